//! Tests the summary of a run as JSON, and what happens to an error log without lines.

use serde_json::Value;

use super::support::*;

/// A fault that makes some rows fail. The program does not retry this status.
const REFUSED: &str = r#"{"rules": [{"status": 400, "contains": "number 1."}]}"#;

#[test]
fn with_summary_json_the_last_line_is_the_summary_and_the_answers_are_not_mixed_with_it() {
    let (folder, api) = (Folder::with_rows(5), Api::quick());

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--tier", "2", "--summary", "json"]);

    let summary = last_line(said.ends_with(0));
    assert!(!said.err.contains("finished after") && said.out.is_empty(), "{}\n{}", said.err, said.out);
    assert_eq!((summary["type"].as_str(), summary["exit_code"].as_i64()), (Some("summary"), Some(0)));
    assert_eq!(
        (&summary["rows"]["total"], &summary["rows"]["answered"], &summary["this_run"]["ok"]),
        (&5.into(), &5.into(), &5.into())
    );
    assert_eq!(summary["files"]["results"], "prompts.results.jsonl");
    assert_eq!(summary["next"]["argv"], serde_json::json!(["claude-batch", "results", "prompts.results.jsonl"]));
}

#[test]
fn a_quiet_run_can_end_with_a_summary_as_json_and_nothing_else() {
    let (folder, api) = (Folder::with_rows(5), Api::with_faults(REFUSED));

    let quiet = ["run", "prompts.jsonl", "-q", "--summary", "json", "--halt", "never"];
    let said = folder.run_at(&api, &quiet);
    let again = folder.run_at(&api, &quiet);

    let summary = last_line(said.ends_with(3));
    assert_eq!((&summary["rows"]["failed"], &summary["exit_code"]), (&1.into(), &3.into()));
    assert_eq!(
        (&summary["failures"][0]["class"], &summary["files"]["errors"]),
        (&"invalid_request".into(), &"prompts.errors.jsonl".into())
    );
    let idle = last_line(again.ends_with(3));
    assert_eq!((&idle["rows"], &idle["this_run"]["answered"]), (&summary["rows"], &0.into()));
}

#[test]
fn a_stream_of_events_ends_with_the_summary_and_the_summary_can_be_left_out() {
    let (folder, api) = (Folder::with_rows(5), Api::quick());
    let run = |more: &[&str]| folder.run_at(&api, &[&["run", "prompts.jsonl", "--fresh"], more].concat());

    let stream = run(&["--progress", "json"]);
    let text = run(&["--progress", "json", "--summary", "text"]);
    let none = run(&["--summary", "none"]);

    assert_eq!(last_line(stream.ends_with(0))["type"], "summary");
    assert!(!stream.err.contains("finished after"), "{}", stream.err);
    assert_eq!(last_line(text.ends_with(0))["type"], "note");
    assert!(!none.ends_with(0).err.contains("5 answered"), "{}", none.err);
}

#[test]
fn a_summary_as_json_comes_even_if_there_are_no_rows() {
    let (folder, api) = (Folder::new(), Api::quick());
    folder.write("prompts.jsonl", "\n");

    let summary = last_line(folder.run_at(&api, &["run", "prompts.jsonl", "--summary", "json"]).ends_with(0));

    assert_eq!((&summary["rows"]["total"], &summary["next"]), (&0.into(), &Value::Null));
}

#[test]
fn an_error_log_without_lines_is_removed_after_a_run_without_failures() {
    let (folder, api) = (Folder::with_rows(3), Api::quick());

    folder.run_at(&api, &["run", "prompts.jsonl", "-n", "2"]).ends_with(0);
    let after_a_part = folder.names();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);

    let names = ["prompts.jsonl", "prompts.results.jsonl", "prompts.results.jsonl.run"];
    assert_eq!((after_a_part, folder.names()), (names.map(str::to_owned).into(), names.map(str::to_owned).into()));
}

#[test]
fn an_error_log_with_lines_and_a_file_that_the_user_made_stay() {
    let (folder, api) = (Folder::with_rows(3), Api::with_faults(REFUSED));
    folder.write("mine.jsonl", "");

    folder.run_at(&api, &["run", "prompts.jsonl", "--halt", "never"]).ends_with(3);
    folder.run_at(&Api::quick(), &["run", "prompts.jsonl", "-o", "out.jsonl", "--errors", "mine.jsonl"]).ends_with(0);

    assert_eq!(ids(&folder.read("prompts.errors.jsonl")), ["r1"]);
    assert_eq!(folder.read("mine.jsonl"), "");
}

/// Returns the last line of standard error, which is JSON.
#[track_caller]
fn last_line(said: &Said) -> Value {
    let last = said.err.lines().last().unwrap_or_default();
    serde_json::from_str(last).unwrap_or_else(|error| panic!("{error}: {}", said.err))
}
