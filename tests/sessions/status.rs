//! Tests the command `status`, during a run and after it.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::support::*;

const RUN: [&str; 5] = ["run", "prompts.jsonl", "--tier", "none", "-c4"];
const STATUS: &str = "prompts.results.jsonl.run/status.json";
const TIMELINE: &str = "prompts.results.jsonl.run/timeline.json";

#[test]
fn a_run_is_running_then_killed_then_finished() {
    let (folder, api) = (Folder::with_rows(60), Api::slow(Duration::from_millis(100)));
    let mut child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(10);
    while !folder.path(TIMELINE).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }

    let running = folder.run(&["status", "prompts.jsonl"]);
    let document = folder.run(&["status", "prompts.jsonl", "--json"]);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");
    let killed = folder.run(&["status"]);

    running.ends_with(9);
    for part in ["prompts.results.jsonl: running for ", "of 60 rows done", "claude-batch ctl prompts.results.jsonl "] {
        assert!(running.out.contains(part), "{part:?} is missing in:\n{}", running.out);
    }
    document.ends_with(9);
    let document: Value = serde_json::from_str(&document.out).expect("it is JSON");
    assert_eq!((&document["state"], &document["progress"]["total"]), (&"running".into(), &60.into()));
    assert_fits("status", &document);
    killed.ends_with(8);
    assert!(
        killed.out.contains("killed") && killed.out.contains("to resume  claude-batch run prompts.jsonl"),
        "{}",
        killed.out
    );

    folder.run_at(&api, &RUN).ends_with(0);
    let finished = folder.run(&["status", "--watch"]);
    finished.ends_with(0);
    assert!(finished.out.contains("finished after") && finished.out.contains("60 of 60 rows done"), "{}", finished.out);
    assert_fits("status", &serde_json::from_str(&folder.read(STATUS)).expect("it is JSON"));
    let timeline: Value = serde_json::from_str(&folder.read(TIMELINE)).expect("it is JSON");
    assert_fits("timeline", &timeline);
    assert_eq!(timeline["runs"].as_array().map(Vec::len), Some(2));
    let answered: u64 =
        timeline["points"].as_array().expect("a list").iter().filter_map(|own| own["ok"].as_u64()).sum();
    assert!((1..=60).contains(&answered), "{answered}");
}

#[test]
fn a_second_run_with_the_same_results_leaves_the_files_of_the_first_alone() {
    let (folder, api) = (Folder::with_rows(60), Api::slow(Duration::from_millis(100)));
    let mut first = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(10);
    let process = "prompts.results.jsonl.run/process";
    while !folder.path(TIMELINE).exists() || !folder.path(process).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let own = folder.read(process);

    for flags in [&[][..], &["--fresh"]] {
        folder.run_at(&api, &[&RUN, flags].concat()).ends_with(2).tells(&["another run"]);
    }

    assert_eq!(folder.read(process), own);
    folder.run(&["ctl", "prompts.jsonl", "drain"]).ends_with(0);
    first.wait().expect("it ends");
    let status: Value = serde_json::from_str(&folder.read(STATUS)).expect("it is JSON");
    assert_eq!((&status["state"], &status["pid"]), (&"ended".into(), &first.id().into()));
    let timeline: Value = serde_json::from_str(&folder.read(TIMELINE)).expect("it is JSON");
    assert_eq!(timeline["runs"].as_array().map(Vec::len), Some(1));
    assert!(!folder.path(process).exists());
}

#[test]
fn failed_rows_are_shown_with_an_example_and_a_command() {
    let folder = Folder::with_rows(10);
    let api = Api::with_faults(r#"{"rules":[{"status":500,"contains":"number 3."}]}"#);

    folder.run_at(&api, &[&RUN[..], &["--max-retries", "0"]].concat()).ends_with(3);
    let status = folder.run(&["status", "prompts.errors.jsonl"]);

    status.ends_with(3);
    for part in [
        "failed after",
        "10 of 10 rows done, 1 failed",
        "errors",
        "(row r3)",
        "claude-batch resume prompts.errors.jsonl",
    ] {
        assert!(status.out.contains(part), "{part:?} is missing in:\n{}", status.out);
    }
    assert_fits("status", &serde_json::from_str(&folder.read(STATUS)).expect("it is JSON"));
    let names: Vec<_> = folder.contents().into_keys().collect();
    assert!(!folder.read(STATUS).contains("Say the number"), "a prompt is in the status; files: {names:?}");
}

#[test]
fn after_a_run_on_a_part_of_the_rows_the_other_rows_are_still_counted() {
    let folder = Folder::with_rows(40);
    let faults = r#"{"rules":[{"status":500,"contains":"number 3.","times":1},{"status":400,"contains":"number 5."}]}"#;
    let api = Api::with_faults(faults);
    let flags = ["--max-retries", "0", "--max-requests", "12", "-c1"];
    folder.run_at(&api, &[&["run", "prompts.jsonl"], &flags[..]].concat()).ends_with(4);
    let is_shown = |rows: &str, code: i32, parts: &[&str]| {
        let status = folder.run(&["status", "prompts.jsonl"]);
        status.ends_with(code);
        for part in [&[rows], parts].concat() {
            assert!(status.out.contains(part), "{part:?} is missing in:\n{}", status.out);
        }
        assert_fits("status", &serde_json::from_str(&folder.read(STATUS)).expect("it is JSON"));
    };
    let resume = "claude-batch run prompts.jsonl --max-retries 0 --max-requests 12 -c1";
    is_shown("12 of 40 rows done, 2 failed", 4, &[resume]);

    // The log has two rows, and --only leaves one of them out.
    let resumed = ["resume", "prompts.errors.jsonl", "--only", "server", "-q", "--summary", "json"];
    let summary = folder.run_at(&api, &resumed);
    summary.ends_with(3);
    let summary: Value = serde_json::from_str(summary.err.lines().last().unwrap_or_default()).expect("it is JSON");
    let rows = serde_json::json!({"total": 40, "answered": 11, "failed": 1, "in_open_batches": 0, "pending": 28});
    assert_eq!(summary["rows"], rows);
    assert_eq!((&summary["next"]["kind"], &summary["next"]["argv"][2]), (&"continue".into(), &"prompts.jsonl".into()));
    assert_fits("summary", &summary);
    is_shown("12 of 40 rows done, 1 failed", 4, &["only failed rows were run again", resume, "(row r5)"]);

    folder.run_at(&api, &["run", "prompts.jsonl", "--limit", "20"]).tells(&["19 of 40 answered"]);
    is_shown("20 of 40 rows done, 1 failed", 4, &["only the rows of --skip and --limit were run", resume]);

    folder.run(&["report", "prompts.jsonl", "-o", "r.html"]).ends_with(0);
    let page = folder.read("r.html");
    assert!(page.contains("19 of 40 rows answered, 1 failed") && page.contains("of 40 in the input"), "{page}");

    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(3);
    is_shown("40 of 40 rows done, 1 failed", 3, &["claude-batch resume prompts.errors.jsonl"]);
}

#[test]
fn a_budget_stops_a_run_and_several_runs_have_a_line_each() {
    let (folder, api) = (Folder::with_rows(20), Api::quick());
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "a.jsonl"]).ends_with(0);
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "b.jsonl", "--max-requests", "5", "-c1"]).ends_with(4);

    let stopped = folder.run(&["status", "b.jsonl"]);
    let both = folder.run(&["status"]);
    let document = folder.run(&["status", "--json"]);

    stopped.ends_with(4);
    assert!(stopped.out.contains("stopped (a limit that you set is reached)"), "{}", stopped.out);
    both.ends_with(4);
    let lines: Vec<&str> = both.out.lines().collect();
    assert!(lines.len() == 3 && lines.iter().all(|line| line.chars().count() <= 80), "{}", both.out);
    assert!(
        lines[1].starts_with("a.jsonl  finished  20 of 20") && lines[2].starts_with("b.jsonl  stopped "),
        "{}",
        both.out
    );
    let document: Value = serde_json::from_str(&document.out).expect("it is JSON");
    assert_eq!(document["runs"][0]["state"], "finished");
}

#[test]
fn files_that_are_damaged_or_of_an_older_version_are_reported() {
    let (folder, api) = (Folder::with_rows(5), Api::quick());
    folder.run_at(&api, &RUN).ends_with(0);
    let good = folder.read(STATUS);

    for (text, said) in [
        ("{\"v\":1,\u{1b}[2J", "status.json is damaged"),
        ("", "status.json is damaged"),
        ("{\"v\":7}", "the version 7 of a newer claude-batch"),
    ] {
        folder.write(STATUS, text);
        let status = folder.run(&["status", "prompts.jsonl"]);
        status.ends_with(4);
        assert!(status.out.contains(said) && status.out.contains("results: 5 lines"), "{}", status.out);
        assert!(!status.out.contains('\u{1b}'), "{:?}", status.out);
    }
    std::fs::remove_file(folder.path(STATUS)).expect("it can be removed");
    let older = folder.run(&["status", "prompts.jsonl"]);
    older.ends_with(4);
    assert!(older.out.contains("there is no status.json"), "{}", older.out);
    let hostile = good.replace("\"origin\":\"", "\"origin\":\"\\u001b[2J").replace("\"run\":\"", "\"run\":\"\\u001b");
    folder.write(STATUS, &hostile.replace("\"message\":", "\"mess\":"));
    assert!(!folder.run(&["status", "prompts.jsonl"]).ends_with(0).out.contains('\u{1b}'));
}

#[test]
fn a_status_that_can_not_be_written_causes_one_warning_and_the_run_continues() {
    let (folder, api) = (Folder::with_rows(30), Api::quick());
    // The test creates a folder with the name of the status file. Not even root can replace this folder with a file.
    folder.write("prompts.results.jsonl.run/status.json/x", "");
    folder.write("prompts.results.jsonl.run/timeline.json", "{");

    let said = folder.run_at(&api, &RUN);

    said.ends_with(0).tells(&["status.json", "the run does not need this file"]);
    assert_eq!(said.err.matches("the run does not need this file").count(), 1, "{}", said.err);
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
}

#[test]
fn a_run_that_ended_but_could_not_write_its_last_state_is_finished_by_the_same_command() {
    let (folder, api) = (Folder::with_rows(5), Api::quick());
    folder.run_at(&api, &RUN).ends_with(0);
    let mut status: Value = serde_json::from_str(&folder.read(STATUS)).expect("it is JSON");
    (status["state"], status["end"]) = ("running".into(), Value::Null);
    folder.write(STATUS, &status.to_string());
    let unknown = folder.run(&["status", "prompts.jsonl"]);
    unknown.ends_with(4);
    assert!(unknown.out.contains("the run has ended, but it could not write"), "{}", unknown.out);

    folder.run_at(&api, &RUN).ends_with(0).tells(&["nothing to do"]);

    let status = folder.run(&["status", "prompts.jsonl"]);
    status.ends_with(0);
    assert!(status.out.contains("5 of 5 rows done") && status.out.contains("by earlier runs"), "{}", status.out);
}

#[cfg(unix)]
#[test]
fn after_ctrl_c_a_run_is_stopped_with_its_reason() {
    let (folder, api) = (Folder::with_rows(200), Api::slow(Duration::from_millis(50)));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    api.wait_for_requests(10);
    let pid = rustix::process::Pid::from_raw(child.id() as i32).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it can be interrupted");
    finish(child).ends_with(130);

    let status = folder.run(&["status", "prompts.results.jsonl.run"]);

    status.ends_with(4);
    assert!(status.out.contains("stopped (interrupted)") && status.out.contains("to resume"), "{}", status.out);
}

#[test]
fn a_run_without_files_is_reported() {
    let folder = Folder::with_rows(3);

    let none = folder.run(&["status"]);
    let missing = folder.run(&["status", "prompts.jsonl"]);

    none.ends_with(0);
    assert_eq!(none.out, "no runs below this folder\n");
    missing.ends_with(2).tells(&["prompts.jsonl: no results"]);
}

/// Asserts that a document fits a schema of the project.
#[track_caller]
fn assert_fits(schema: &str, document: &Value) {
    let schemas = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schemas");
    let text = std::fs::read_to_string(schemas.join(format!("{schema}.schema.json"))).expect("the schema can be read");
    let schema: Value = serde_json::from_str(&text).expect("the schema is JSON");
    let schema = jsonschema::validator_for(&schema).expect("it is a schema");
    let faults: Vec<String> =
        schema.iter_errors(document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:?}\n{document}");
    assert!(!schema.is_valid(&serde_json::json!({"v": 1})), "the schema can refuse something");
}
