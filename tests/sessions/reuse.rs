//! Tests rows that copy their answer from another line: the line of an equal row of the run, or a line of earlier
//! results.

use std::fmt::Write as _;
#[cfg(unix)]
use std::io::Write as _;
#[cfg(unix)]
use std::process::Stdio;
#[cfg(unix)]
use std::time::Duration;

#[cfg(unix)]
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::support::{Api, Folder, Said, feed, rows};
#[cfg(unix)]
use super::support::{finish, ids};

#[test]
fn one_of_several_equal_rows_is_sent_and_each_row_gets_a_line() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &equal_rows(200, 80));
    let api = Api::quick();

    let hint = folder.run_at(&api, &["run", "prompts.jsonl", "--dry-run"]);
    let first = folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]);

    hint.ends_with(0).tells(&["note: 120 of the 200 rows repeat the request of an earlier row; --dedupe sends each"]);
    first.ends_with(0).tells(&[
        "80 rows to send (120 copied from equal rows)",
        "200 answered\n",
        "120 copied from equal",
    ]);
    assert!(!first.err.contains("repeat the request"), "{}", first.err);
    again.ends_with(0).tells(&["nothing to do: all 200 rows are answered"]);
    assert_eq!(api.books().billed_calls, 80);
    let lines = lines(&folder.read("prompts.results.jsonl"));
    assert_eq!(lines.len(), 200);
    assert_copies(&lines, 120);
}

#[test]
fn the_first_part_of_an_input_copies_the_answers_of_a_later_part() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("prompts.jsonl", &equal_rows(20, 10));

    folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe", "--skip", "10"]).ends_with(0).tells(&["10 answered"]);
    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe", "--limit", "10"]);

    said.ends_with(0).tells(&["10 answered", "10 copied from equal rows"]);
    assert_eq!(api.books().billed_calls, 10);
}

#[test]
fn rows_added_later_copy_the_answers_of_earlier_runs_to_the_same_results() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("prompts.jsonl", &equal_rows(50, 30));
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let more = rows(40).replace("\"r", "\"s");
    folder.write("prompts.jsonl", &(equal_rows(50, 30) + &more));

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]);

    said.ends_with(0).tells(&["10 rows to send (50 done by earlier runs, 30 copied", "30 copied from equal rows"]);
    assert_eq!(api.books().billed_calls, 60, "the first run sent all of its rows");
    assert_copies(&lines(&folder.read("prompts.results.jsonl")), 30);
}

#[test]
fn a_failure_is_not_copied() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &equal_rows(30, 1));
    let api = Api::with_faults(r#"{"rules": [{"status": 400, "times": 2}]}"#);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]);

    let resumed = folder.run_at(&api, &["resume", "prompts.errors.jsonl"]);

    said.ends_with(3).tells(&["1 row to send (29 copied", "28 answered", "27 copied from equal rows", "2 failed"]);
    resumed.ends_with(0).tells(&["2 copied from equal rows"]);
    assert_eq!(api.books().requests, 3, "the run folder says that equal rows are copied");
}

#[test]
fn equal_rows_of_a_pipe_copy_answers_that_are_kept_in_a_private_file() {
    let folder = Folder::new();
    let api = Api::quick();

    let said = feed(folder.command_at(&api, &["run", "--dedupe"]), &equal_rows(300, 40));

    said.ends_with(0).tells(&["300 answered", "260 copied from equal rows"]);
    assert_eq!(api.books().billed_calls, 40);
    assert_copies(&lines(&said.out), 260);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[cfg(unix)]
#[test]
fn a_pipe_that_is_stopped_keeps_the_rows_that_wait_for_an_equal_row() {
    let folder = Folder::new();
    let api = Api::slow(Duration::from_secs(600));
    let mut command = folder.command_at(&api, &["run", "--dedupe", "--grace", "0s"]);
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(equal_rows(60, 2).as_bytes()).expect("it is read");
    drop(stdin);
    api.wait_for_requests(2);

    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("it runs");
    kill_process(pid, Signal::INT).expect("it runs");
    let stopped = finish(child);
    let log = folder.names().into_iter().find(|name| name.ends_with(".errors.jsonl")).expect("there is a log");

    assert_eq!((stopped.out.as_str(), ids(&folder.read(&log)).len()), ("", 60), "{}", stopped.err);
    let quick = Api::quick();
    let resumed = folder.run_at(&quick, &["resume", &log, "--dedupe"]);
    resumed.ends_with(0);
    assert_eq!((lines(&resumed.out).len(), quick.books().requests), (60, 2));
}

#[test]
fn a_row_takes_the_answer_to_the_same_request_from_earlier_results() {
    let folder = Folder::with_rows(40);
    let api = Api::quick();
    folder.write("old.jsonl", &rows(30));
    folder.run_at(&api, &["run", "old.jsonl", "-o", "old/a.jsonl"]).ends_with(2);
    folder.write("old/unrelated.txt", "x");
    folder.run_at(&api, &["run", "old.jsonl", "-o", "old/a.jsonl"]).ends_with(0);

    let by_folder = folder.run_at(&api, &["run", "prompts.jsonl", "--reuse", "old"]);
    let by_pattern = folder.run_at(&api, &["run", "prompts.jsonl", "--reuse", "old/*", "-o", "b.jsonl"]);
    let chain = folder.run_at(&api, &["run", "--reuse", "b.jsonl", "prompts.jsonl", "-o", "c.jsonl"]);

    by_folder.ends_with(0).tells(&["10 rows to send (30 reused)", "40 answered", "30 reused"]);
    by_pattern.ends_with(0).tells(&["10 rows to send (30 reused)"]);
    chain.ends_with(0).tells(&["0 rows to send (40 reused)\n", "40 reused"]);
    assert_eq!(api.books().billed_calls, 50);
    let lines = lines(&folder.read("c.jsonl"));
    let from = |line: &Value| line["meta"]["reused_from"]["custom_id"] == line["custom_id"];
    assert_eq!(lines.iter().filter(|line| from(line) && line["meta"]["cost_usd"] == 0).count(), 40);
}

#[test]
fn reused_rows_do_not_count_as_requests() {
    let folder = Folder::with_rows(20);
    let api = Api::quick();
    folder.write("old.jsonl", &rows(15));
    folder.run_at(&api, &["run", "old.jsonl"]).ends_with(0);

    let said = folder
        .run_at(&api, &["run", "prompts.jsonl", "--reuse", "old.results.jsonl", "--max-requests", "5", "--dedupe"]);

    said.ends_with(0).tells(&["5 rows to send (15 reused)", "20 answered"]);
    assert_eq!(api.books().requests, 20);
    folder.write("others.jsonl", &rows(3).replace("Say", "Write"));
    let others = folder.run_at(&api, &["run", "others.jsonl", "--reuse", "old.results.jsonl"]);
    others.ends_with(0).tells(&["note: --reuse: these results have no answers to the requests of this run"]);
    assert!(!said.err.contains("these results have no answer"), "{}", said.err);
}

#[test]
fn truncated_answers_are_not_reused_and_are_copied_within_a_run() {
    let folder = Folder::new();
    let api = Api::quick();
    let short = equal_rows(6, 2).replace("\"max_tokens\":32", "\"max_tokens\":5");
    folder.write("prompts.jsonl", &short);
    folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]).ends_with(0);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--reuse", "prompts.results.jsonl", "-o", "b.jsonl"]);

    let first = lines(&folder.read("prompts.results.jsonl"));
    assert!(first.iter().all(|line| line["meta"]["quality"] == "truncated"), "{first:?}");
    assert_copies(&first, 4);
    said.ends_with(0).tells(&["6 rows to send,", "none of the answers in these results can be used"]);
}

#[test]
fn results_that_can_not_be_reused_are_named_before_anything_is_sent() {
    let folder = Folder::with_rows(3);
    let (api, other) = (Api::quick(), Api::quick());
    folder.run(&["run", "prompts.jsonl", "--simulate", "-o", "rehearsal.jsonl"]).ends_with(0);
    folder.run_at(&other, &["run", "prompts.jsonl", "-o", "other.jsonl"]).ends_with(0);
    folder.run_at(&other, &["run", "prompts.jsonl", "-o", "own.jsonl"]).ends_with(0);
    folder.write("unknown.jsonl", &folder.read("other.jsonl"));
    folder.write("damaged.jsonl", &format!("{0}garbage\n{0}", folder.read("other.jsonl")));
    folder.write("empty/prompts.jsonl", &rows(1));
    let try_at = |api: &Api, args: &[&str]| {
        let mut all = vec!["run", "prompts.jsonl", "-o", "own.jsonl", "--rerun-changed"];
        all.extend(args);
        folder.run_at(api, &all)
    };
    let refused = |args: &[&str], says: &str| {
        try_at(&other, args).ends_with(2).tells(&[says]);
    };

    refused(&["--reuse", "none.jsonl"], "--reuse: none.jsonl: no such file");
    refused(&["--reuse", "empty"], "--reuse empty: has no results file of claude-batch directly in it");
    refused(&["--reuse", "*.nothing"], "--reuse *.nothing: no file matches");
    refused(&["--reuse", "own.jsonl"], "these are the results of this run");
    refused(&["--reuse", "rehearsal.jsonl"], "its answers come from the simulator");
    refused(&["--reuse", "rehearsal.jsonl", "--reuse-any-origin"], "its answers come from the simulator");
    refused(&["--reuse", "unknown.jsonl"], "the server of its answers is not known");
    refused(
        &["--reuse", "damaged.jsonl", "--reuse-any-origin"],
        "line 4 of damaged.jsonl is not a line of claude-batch",
    );
    let elsewhere = folder.run_at(&api, &["run", "prompts.jsonl", "--reuse", "other.jsonl"]);
    elsewhere.ends_with(2).tells(&["its answers come from http://127.0.0.1:", "to use them, add --reuse-any-origin"]);
    let real = folder.run(&["run", "prompts.jsonl", "--simulate", "--reuse", "other.jsonl"]);
    real.ends_with(2).tells(&["a run with --simulate can use only answers of the simulator"]);

    assert_eq!((api.books().requests, other.books().requests), (0, 6));
    assert!(!folder.names().contains(&"prompts.results.jsonl".to_owned()), "{:?}", folder.names());
}

#[test]
fn only_results_of_this_server_are_taken_from_a_folder() {
    let folder = Folder::with_rows(5);
    let (api, other) = (Api::quick(), Api::quick());
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    folder.run_at(&other, &["run", "prompts.jsonl", "-o", "other.jsonl"]).ends_with(0);
    folder.run(&["run", "prompts.jsonl", "--simulate"]).ends_with(0);

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--reuse", ".", "-o", "new.jsonl"]);

    said.ends_with(0).tells(&["2 results files are not used", "(from the simulator)", "0 rows to send (5 reused)"]);
    assert_eq!(api.books().requests, 5);
}

#[test]
fn a_plan_knows_the_rows_that_are_not_sent() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &equal_rows(100, 60));
    let api = Api::quick();
    folder.write("old.jsonl", &equal_rows(20, 20));
    folder.run_at(&api, &["run", "old.jsonl"]).ends_with(0);

    let plan = |args: &[&str]| -> Value {
        let all: Vec<&str> = ["plan", "prompts.jsonl", "--json"].iter().chain(args).copied().collect();
        let said: Said = folder.run_at(&api, &all);
        serde_json::from_str::<Value>(&said.ends_with(0).out).expect("a document")["rows"].take()
    };
    let counts =
        |rows: &Value| ["to_send", "reused", "copied", "repeated"].map(|name| rows[name].as_u64().unwrap_or(9));

    assert_eq!(counts(&plan(&[])), [100, 0, 0, 40]);
    assert_eq!(counts(&plan(&["--dedupe"])), [60, 0, 40, 0]);
    // 20 of the 60 requests have answers. 40 rows repeat the request of another row. 20 of these 40 rows repeat a
    // request that has an answer.
    assert_eq!(counts(&plan(&["--dedupe", "--reuse", "old.results.jsonl"])), [40, 40, 20, 0]);
}

#[test]
fn a_plan_does_not_learn_from_copied_and_reused_answers() {
    let folder = Folder::new();
    folder.write("prompts.jsonl", &equal_rows(100, 40));
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl", "--dedupe"]).ends_with(0);
    folder.write("new.jsonl", &rows(10));

    let said = folder.run_at(&api, &["plan", "new.jsonl", "--history", "prompts.results.jsonl", "--json"]);

    let plan: Value = serde_json::from_str(&said.ends_with(0).out).expect("a document");
    assert_eq!(plan["basis"]["history"]["answers"], 40);
}

/// Returns `count` rows with `kinds` different requests, which the rows use in turn. Every third row has no label.
fn equal_rows(count: usize, kinds: usize) -> String {
    let mut text = String::new();
    for at in 0..count {
        let label = if at % 3 == 2 { String::new() } else { format!("\"custom_id\":\"r{at}\",") };
        let _ = writeln!(text, "{{{label}\"prompt\":\"Say the number {}.\",\"max_tokens\":32}}", at % kinds);
    }
    text
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("a line")).collect()
}

/// Counts the lines that are copies of other lines, and asserts that their number is `copies`. A copy has the same
/// request and the same answer as the line from which it was copied, and costs nothing.
#[track_caller]
fn assert_copies(lines: &[Value], copies: usize) {
    let is_copy = |line: &&Value| line["meta"].get("copied_from").is_some();
    assert_eq!(lines.iter().filter(is_copy).count(), copies);
    for copy in lines.iter().filter(is_copy) {
        let source = lines.iter().find(|line| line["custom_id"] == copy["meta"]["copied_from"]).expect("it is a label");
        assert_eq!(source["meta"]["key"], copy["meta"]["key"]);
        assert_eq!(source["result"]["message"], copy["result"]["message"]);
        assert_eq!(source["meta"]["quality"], copy["meta"]["quality"]);
        assert!(
            copy["meta"]["cost_usd"] == 0
                && copy["meta"]["attempts"] == 0
                && copy["meta"]["usage"]["output_tokens"] == 0
        );
    }
}
