//! Tests that every command of every page runs, and checks its results where possible.

use std::process::Child;
use std::time::Duration;

use claude_batch::sim::config::{BatchConfig, BatchTime, Latency};
use claude_batch::sim::faults::FaultPlan;

use crate::page::{Page, pages};
use crate::shell::{folder_of_a_user, shell};
use crate::support::*;

/// Commands that no test of this file runs. Each entry has the beginning of the command's line, and the reason.
const NOT_RUN: &[(&str, &str)] = &[
    ("cargo run --release", "builds the program; tests/sessions/main_uses.rs runs the same command without the build"),
    ("cargo test", "this is one of its tests"),
    ("cargo install", "builds the program"),
    ("export ANTHROPIC_API_KEY=", "the shell of the tests has a key"),
    ("claude-batch simulate ", "runs until Ctrl-C; tests/sim_cli.rs starts it"),
    ("jq ", "needs jq; tests/sessions reads the same document"),
];

/// The page whose commands are for a run in progress.
const DURING_A_RUN: &str = "src/watch/WATCHING.md";

#[test]
fn every_command_of_every_page_runs() {
    let pages = pages();
    let failed: Vec<String> = std::thread::scope(|scope| {
        let running: Vec<_> = pages.iter().map(|page| scope.spawn(|| run_page(page))).collect();
        running.into_iter().flat_map(|page| page.join().expect("a page is run")).collect()
    });

    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// Runs the commands of a page in order, and then checks what they made. Returns a text for each fault.
fn run_page(page: &Page) -> Vec<String> {
    let folder = folder_of_a_user();
    let api = api_of(page);
    let run = (page.path == DURING_A_RUN).then(|| in_progress(&folder, &api));
    let mut failed = Vec::new();
    for block in page.blocks() {
        if let Some(name) = block.above.strip_suffix("`:").and_then(|above| above.rsplit('`').next()) {
            folder.write(name, &block.text);
        }
        let needs_tables = ["parquet", "xlsx"].iter().any(|ending| block.text.contains(ending));
        let script = to_run(&block.text);
        if block.language != "sh" || script.trim().is_empty() || (needs_tables && !cfg!(feature = "tables")) {
            continue;
        }
        let said = Said::of(shell(&folder, &api, &script).output().expect("there is a shell"));
        if said.code != Some(0) {
            failed.push(format!("{}: exit code {:?} of\n{script}\n{}\n{}", page.path, said.code, said.out, said.err));
        }
        if let Err(message) = std::panic::catch_unwind(|| look(page, &folder, &script, &said)) {
            let text = message.downcast_ref::<String>().cloned().unwrap_or_default();
            failed.push(format!("{}: after\n{script}\n{text}", page.path));
        }
    }
    run.into_iter().for_each(|run| _ = finish(run).ends_with(0));
    failed
}

/// Starts a run of `prompts.jsonl`, and waits until other commands can see it.
fn in_progress(folder: &Folder, api: &Api) -> Child {
    let run = folder.command_at(api, &["run", "prompts.jsonl", "-c", "2"]).spawn().expect("it starts");
    api.wait_for_requests(1);
    while !folder.path("prompts.results.jsonl.run/status.json").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    run
}

/// Returns the lines of a block that the test runs.
fn to_run(block: &str) -> String {
    let is_run = |line: &&str| {
        let line = line.trim_start();
        !NOT_RUN.iter().any(|(start, _)| line.starts_with(start))
    };
    block.lines().filter(is_run).flat_map(|line| [line, "\n"]).collect()
}

fn api_of(page: &Page) -> Api {
    let time = BatchTime::Fixed(Duration::from_secs(1));
    let config = quick().with_batches(BatchConfig { time, ..BatchConfig::default() });
    let slow = Latency { first_token: Duration::from_millis(400), jitter: 0.4, ..Latency::ZERO };
    let failing = |rule: &str| {
        let faults = format!(r#"{{"seed": 5, "rules": [{rule}]}}"#);
        FaultPlan::parse(&faults, "faults").expect("a fault plan")
    };
    match page.path.as_str() {
        DURING_A_RUN => Api::new(config.with_latency(slow)),
        // Some rows must fail, because the page has a command that lists failed rows.
        "src/export/TABLES.md" => Api::new(config.with_faults(failing(r#"{"status": 400, "share": 0.05}"#))),
        // One row of prompts.jsonl must fail until it is sent again, because the page has a command that resumes failed
        // rows.
        "README.md" | "src/journal/RESUMING.md" => {
            let rule = r#"{"status": 400, "contains": "a speaking invitation", "first_attempts_only": true}"#;
            Api::new(config.with_faults(failing(rule)))
        }
        _ => Api::new(config),
    }
}

/// Checks those promises of a block that are visible in files or messages.
fn look(page: &Page, folder: &Folder, script: &str, said: &Said) {
    let has = |part: &str| script.contains(part);
    match page.path.as_str() {
        "src/plan/CACHING.md" if has("rules.txt") => {
            said.tells(&["note: all 300 requests get cache marks, at 1 prefix", "hit rate", "; saved $"]);
        }
        "src/batches/BATCHES.md" if has("cities.jsonl") => {
            said.tells(&["299 in batches at half price"]);
        }
        "src/journal/RESUMING.md" if has("--rerun truncated") => {
            said.tells(&["truncated answers are asked for again, with --max-tokens 4096"]);
            assert!(!folder.read("fixtures/tickets.csv.results.jsonl").contains("\"quality\":\"truncated\""));
        }
        "src/sim/SIMULATOR.md" if has("resume out.errors.jsonl") => {
            assert!(std::fs::read_to_string(folder.path("out.errors.jsonl")).unwrap_or_default().is_empty());
        }
        "src/export/TABLES.md" if has("failed.csv") => tables_hold_every_ticket(folder),
        "src/source/INPUTS.md" if has("letters.csv") => {
            let (columns, letters) = records(folder, "letters.csv");
            assert_eq!((columns.join(","), letters.len()), ("id,text,error".to_owned(), 10));
            assert!(folder.read("fixtures/openai-batch.results.jsonl").contains("claude-haiku-4-5"));
        }
        "src/source/INPUTS.md" if has("answers.parquet") => {
            assert!(std::fs::read(folder.path("answers.parquet")).expect("it was made").starts_with(b"PAR1"));
            assert_eq!(records(folder, "sheet.csv").1.len(), records(folder, "fixtures/tickets.csv").1.len());
        }
        _ => {}
    }
}

fn tables_hold_every_ticket(folder: &Folder) {
    let (columns, answers) = records(folder, "answers.csv");
    let (_, tickets) = records(folder, "fixtures/tickets.csv");
    let input = |record: &csv::StringRecord| {
        record.iter().take(7).map(|cell| cell.trim_start_matches('\'').to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(columns, ["id", "customer", "language", "channel", "subject", "body", "priority", "text", "error"]);
    assert_eq!(answers.iter().map(input).collect::<Vec<_>>(), tickets.iter().map(input).collect::<Vec<_>>());

    let (columns, failed) = records(folder, "failed.csv");
    assert_eq!(columns, ["id", "input.subject", "error.class", "error"]);
    assert!(!failed.is_empty() && failed.iter().all(|record| &record[2] == "invalid_request"));
    assert_eq!(folder.read("answers.txt").lines().count() + failed.len(), tickets.len());
}

/// Returns the column names and the records of a CSV file.
fn records(folder: &Folder, name: &str) -> (Vec<String>, Vec<csv::StringRecord>) {
    let text = folder.read(name);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let names = reader.headers().expect("a header").iter().map(str::to_owned).collect();
    (names, reader.records().map(|record| record.expect("it is CSV")).collect())
}
