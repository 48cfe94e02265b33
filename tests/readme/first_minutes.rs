//! Follows the path of a new user, in twelve steps. The commands are taken from the README.

use std::process::{Child, Stdio};
use std::time::Duration;

use claude_batch::sim::config::Latency;
use claude_batch::sim::faults::FaultPlan;
use rustix::process::{Pid, Signal, kill_process};

use crate::page::{blocks, readme};
use crate::shell::{folder_of_a_user, shell, words};
use crate::support::*;

/// The names of the steps.
const STEPS: [&str; 12] = [
    "install",
    "help",
    "rehearse",
    "plan",
    "run",
    "look",
    "Ctrl-C",
    "resume",
    "failed rows",
    "resume the failed rows",
    "export",
    "report",
];

#[test]
fn a_new_user_who_follows_the_readme_loses_no_row_and_pays_for_no_row_twice() {
    let steps = steps();
    let names: Vec<_> = steps.iter().map(|step| step.name.as_str()).collect();
    assert_eq!(names, STEPS);
    let (folder, api) = (folder_of_a_user(), failing_and_slow());
    let said = |at: usize| Said::of(shell(&folder, &api, &steps[at - 1].commands).output().expect("a shell"));

    assert!(steps[0].commands.starts_with("cargo install --path . --locked\n"), "{}", steps[0].commands);
    let sample: String = steps[0].commands.lines().skip(1).collect();
    Said::of(shell(&folder, &api, &sample).output().expect("a shell")).ends_with(0);
    let rows = folder.read("prompts.jsonl").lines().filter(|row| !row.trim().is_empty()).count();

    assert!(said(2).ends_with(0).out.contains("resume"));
    said(3).ends_with(0).tells(&["simulator", "answered"]);
    assert!(said(4).ends_with(0).out.contains("cost"));
    assert_eq!(api.books().requests, 0, "neither a rehearsal nor a plan sends anything to the API");

    let running = started(&folder, &api, &steps[4].commands);
    api.wait_for_requests(12);
    assert!(said(6).ends_with(0).out.contains("rows"));
    assert_eq!(steps[6].commands.trim(), "", "Ctrl-C is a key");
    interrupt(&running);
    finish(running).ends_with(130);
    let before = whole_lines(&folder.path("prompts.results.jsonl"));
    assert!(before > 0 && before < rows as u64, "{before} rows were answered before Ctrl-C");

    assert_eq!(steps[7].commands, steps[4].commands, "the same command resumes");
    said(8).ends_with(0).tells(&["failed"]);
    assert!(said(9).ends_with(0).out.contains("invalid_request"));
    said(10).ends_with(0);
    said(11).ends_with(0);
    said(12).ends_with(0);

    let found = ids(&folder.read("prompts.results.jsonl"));
    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!((found.len(), distinct.len()), (rows, rows), "each row has one answer");
    assert_eq!(api.books().billed_calls, rows as u64, "each row was paid for once");
    let answers = csv::Reader::from_path(folder.path("answers.csv")).expect("a table").into_records().count();
    assert_eq!(answers, rows);
    assert!(folder.read("report.html").contains("</html>"));
}

struct Step {
    name: String,
    commands: String,
}

/// Returns the steps of the README. Each step begins with a comment such as `# 3. rehearse: …`.
fn steps() -> Vec<Step> {
    let readme = readme();
    let mut steps: Vec<Step> = Vec::new();
    for block in blocks(readme.section("## The first ten minutes")).iter().filter(|block| block.language == "sh") {
        for line in block.text.lines() {
            let title = line.strip_prefix("# ").and_then(|rest| rest.split_once(". "));
            match (title, steps.last_mut()) {
                (Some((_, title)), _) => {
                    let name = title.split([':', ',']).next().unwrap_or(title).trim().to_owned();
                    steps.push(Step { name, commands: String::new() });
                }
                (None, Some(step)) if !line.is_empty() => step.commands.extend([line, "\n"]),
                (None, _) => {}
            }
        }
    }
    steps
}

/// Returns an API with answers that take a third of a second. The API rejects a tenth of the rows when they are sent
/// for the first time.
fn failing_and_slow() -> Api {
    let faults = r#"{"seed": 3, "rules": [{"status": 400, "share": 0.1, "first_attempts_only": true}]}"#;
    let latency = Latency { first_token: Duration::from_millis(300), jitter: 0.2, ..Latency::ZERO };
    Api::new(quick().with_latency(latency).with_faults(FaultPlan::parse(faults, "faults").expect("a fault plan")))
}

/// Starts the program with the arguments of a command. The program sends only four requests at a time, so a test has
/// enough time to interrupt the program.
fn started(folder: &Folder, api: &Api, command: &str) -> Child {
    let words = words(command);
    let args: Vec<_> = words.iter().skip(1).map(String::as_str).collect();
    let mut program = folder.command_at(api, &args);
    program.env("CLAUDE_BATCH_CONCURRENCY", "4").stdout(Stdio::piped()).spawn().expect("it starts")
}

fn interrupt(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::INT).expect("the run is in progress");
}
