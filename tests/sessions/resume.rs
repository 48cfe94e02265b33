//! Tests how runs are resumed: with the same command, with `--retry-failed`, with `resume`, and after changes of the
//! input.

use std::path::Path;

use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::SimConfig;
use claude_batch::sim::faults::FaultPlan;

use crate::support::*;

/// The server rejects a tenth of the rows, each time that these rows are sent.
const TENTH: &str = r#"{"seed": 1, "rules": [{"status": 400, "share": 0.1}]}"#;

/// The server rejects the first request for row 1. The error says that the request is invalid.
const ONE_FAILS: &str = r#"{"rules": [{"status": 400, "contains": "number 1.", "times": 1}]}"#;

/// The server answers the first request for row 1 with an internal error.
const ONE_FAULT: &str = r#"{"rules": [{"status": 500, "contains": "number 1.", "times": 1}]}"#;

#[test]
fn rows_that_failed_are_answered_by_resume_after_the_fault_is_gone() {
    let folder = Folder::with_rows(120);
    folder.write("faults.json", TENTH);
    let run =
        ["run", "prompts.jsonl", "--tier", "4", "--simulate", "--simulate-faults", "faults.json", "-o", "out.jsonl"];

    let first = folder.run(&run);
    let failed = ids(&folder.read("out.errors.jsonl"));
    let resumed = folder.run(&["resume", "out.errors.jsonl", "--simulate"]);

    first.ends_with(3).tells(&["invalid_request", "out.errors.jsonl"]);
    assert!((6..=20).contains(&failed.len()), "a tenth of 120 failed: {}", failed.len());
    resumed.ends_with(0).tells(&[&format!("{} answered", failed.len())]);
    assert_eq!(folder.read_log("out.errors.jsonl"), "");
    assert_each_once(&folder.read("out.jsonl"), 120);
}

#[test]
fn resume_runs_only_the_given_classes_and_keeps_rows_that_still_fail_in_the_log() {
    let folder = Folder::with_rows(30);
    let bad = Api::with_faults(
        r#"{"rules": [{"status": 400, "contains": "number 1."}, {"status": 413, "contains": "number 2."}]}"#,
    );
    // The faults stay, so rows 1 and 2 fail each time that they are sent.
    folder.run_at(&bad, &["run", "prompts.jsonl"]).ends_with(3).tells(&["28 answered", "2 failed"]);

    let only = folder.run_at(&bad, &["resume", "prompts.errors.jsonl", "--only", "too_large"]);
    let all = folder.run_at(&bad, &["resume", "prompts.errors.jsonl"]);

    only.ends_with(3);
    all.ends_with(3);
    assert_eq!(bad.books().requests, 30 + 1 + 2);
    let mut left = ids(&folder.read("prompts.errors.jsonl"));
    left.sort();
    assert_eq!(left, ["r1", "r2"]);
    assert_eq!(ids(&folder.read("prompts.results.jsonl")).len(), 28);
}

#[test]
fn an_entry_with_an_answer_that_was_not_accepted_is_a_row_for_resume_and_for_run() {
    let folder = Folder::new();
    let entry = |id: &str, class: &str| {
        let params = r#"{"model":"claude-haiku-4-5","max_tokens":40,"messages":[{"role":"user","content":"This is"}]}"#;
        let answer = r#"{"id":"msg_old","type":"message","role":"assistant","content":[{"type":"text","text":"no"}]}"#;
        format!(
            "{{\"custom_id\":\"{id}\",\"params\":{params},\"_message\":\"own\",\"message\":{answer},\"error\":{{\"class\":\
             \"{class}\",\"status\":200,\"message\":\"cut off\",\"results\":\"out.jsonl\"}}}}\n"
        )
    };
    folder.write("out.errors.jsonl", &[entry("a", "truncated"), entry("b", "invalid_output")].concat());
    folder.write("copy.jsonl", &folder.read("out.errors.jsonl"));
    let api = Api::with_faults(r#"{"rules": [{"status": 400, "share": 1.0, "times": 2}]}"#);

    let failed = folder.run_at(&api, &["run", "copy.jsonl"]);
    let resumed = folder.run_at(&api, &["resume", "out.errors.jsonl", "--only", "truncated"]);

    failed.ends_with(3).tells(&["2 failed"]);
    resumed.ends_with(3).tells(&["1 answered"]);
    assert!(!resumed.err.contains("warning"), "{}", resumed.err);
    let again = folder.read("copy.errors.jsonl");
    assert!(again.contains(r#""_message":"own""#) && !again.contains("msg_old"), "{again}");
    assert_eq!(
        (ids(&folder.read("out.jsonl")), ids(&folder.read("out.errors.jsonl"))),
        (vec!["a".into()], vec!["b".into()])
    );
    assert!(folder.read("out.errors.jsonl").contains("msg_old"), "the entry that is left is whole");
}

/// A table with columns whose names have a meaning of their own in the error log.
const BODIES: &str = "id,body,url,_error\nr0,one,u0,e0\nr1,two,u1,e1\nr2,three,u2,e2\n";

/// A condition that is true for every answer, if the columns are found.
const COLUMNS: &str = "text|length > row.body|length - 99 and row.url != row._error";

/// An answer to a request with fewer than 40 tokens is truncated.
fn short_answers_are_truncated() -> Api {
    let answers = r#"{"rules": [{"max_tokens_below": 40, "truncated": true}]}"#;
    Api::new(SimConfig { answers: AnswerPlan::parse(answers, "answers").expect("an answer plan"), ..quick() })
}

#[test]
fn resume_finds_each_column_under_its_own_name() {
    let (folder, api) = (Folder::new(), short_answers_are_truncated());
    folder.write("t.csv", BODIES);
    let run = ["run", "t.csv", "-t", "Sum up: {{body}}", "--require", COLUMNS, "--max-tokens", "8", "-o", "o.jsonl"];
    let resume = ["resume", "o.errors.jsonl", "--require", COLUMNS, "--max-tokens"];

    let first = folder.run_at(&api, &run);
    let still_short = folder.run_at(&api, &[&resume[..], &["9"]].concat());
    let log = folder.read("o.errors.jsonl");
    let last = folder.run_at(&api, &[&resume[..], &["400"]].concat());

    first.ends_with(3).tells(&["truncated (3)"]);
    still_short.ends_with(3).tells(&["truncated (3)"]);
    let renamed = r#""_body":"one","_url":"u0","_error":"e0","#;
    assert!(log.contains(renamed) && log.contains(r#""renamed":["_body","_url"]"#), "{log}");
    last.ends_with(0).tells(&["3 answered"]);
    assert_each_once(&folder.read("o.jsonl"), 3);
}

#[test]
fn a_row_that_can_not_be_sent_again_keeps_its_entry_with_the_paid_answer() {
    let (folder, api) = (Folder::new(), short_answers_are_truncated());
    folder.write("t.csv", BODIES);
    folder.write("p.jsonl", "{\"prompt\":\"one\",\"body\":\"b\"}\n");
    let table = ["run", "t.csv", "-t", "{{body}}", "--on-truncate", "fail", "--max-tokens", "8", "-o", "t.jsonl"];
    let rows = ["run", "p.jsonl", "--on-truncate", "fail", "--max-tokens", "8", "-o", "p.out.jsonl"];
    for (run, log, count) in [(&table[..], "t.errors.jsonl", 3), (&rows[..], "p.out.errors.jsonl", 1)] {
        folder.run_at(&api, run).ends_with(3);
        let before = folder.read(log);
        let wrong = ["--require", "row.nothing != text", "--max-tokens", "400"];

        let rejected = folder.run_at(&api, &[&["resume", log][..], &wrong[..]].concat());
        let after = folder.read(log);
        let resumed = folder.run_at(&api, &["resume", log, "--require", "text != ''", "--max-tokens", "400"]);

        rejected.ends_with(3).tells(&["no column \"nothing\" is kept", "row "]);
        assert!(!rejected.err.contains("resume.jsonl"), "{}", rejected.err);
        assert_eq!(after, before);
        assert_eq!(after.matches("\"message\":{").count(), count);
        resumed.ends_with(0);
        assert_eq!(folder.read_log(log), "");
    }
}

#[test]
fn a_row_without_an_id_that_could_not_be_sent_is_answered_once() {
    for again in [&["resume", "p.errors.jsonl", "--require", "text != ''"][..], &["run", "p.jsonl"]] {
        let (folder, api) = (Folder::new(), Api::quick());
        folder.write("p.jsonl", "{\"prompt\":\"one\"}\n{\"prompt\":\"one\"}\n{\"prompt\":\"two\",\"note\":\"n\"}\n");
        let first = folder.run_at(&api, &["run", "p.jsonl", "--require", "row.note != text"]);

        let resumed = folder.run_at(&api, again);

        first.ends_with(3).tells(&["1 answered", "invalid_input (2)"]);
        resumed.ends_with(0);
        assert_eq!(folder.read("p.results.jsonl").lines().count(), 3);
        assert_eq!((api.books().requests, folder.read_log("p.errors.jsonl")), (3, String::new()));
    }
}

#[test]
fn rows_of_a_pipe_that_can_not_be_sent_again_stay_in_the_log() {
    let (folder, api) = (Folder::new(), Api::quick());
    let run = ["run", "--format", "csv", "-t", "{{body}}", "--max-requests", "1", "--errors", "e.jsonl"];
    feed(folder.command_at(&api, &run), BODIES);
    let before = folder.read("e.jsonl");

    let rejected = folder.run_at(&api, &["resume", "e.jsonl", "--require", "row.nothing != text"]);
    let after = folder.read("e.jsonl");
    let resumed = folder.run_at(&api, &["resume", "e.jsonl", "--require", COLUMNS]);

    assert_eq!(before.lines().count(), 2, "{before}");
    rejected.ends_with(3).tells(&["2 failed"]);
    assert_eq!(after, before);
    resumed.ends_with(0).tells(&["2 answered"]);
}

/// The first answer to each row is truncated. At the request with this number, the API stops accepting the key, and the
/// run stops.
fn stopped_at(request: u64) -> Api {
    let answers = r#"{"rules": [{"max_tokens_below": 40, "truncated": true}]}"#;
    let faults = format!(r#"{{"rules": [{{"status": 401, "arrivals": [{request}]}}]}}"#);
    Api::new(SimConfig {
        answers: AnswerPlan::parse(answers, "answers").expect("an answer plan"),
        ..quick().with_faults(FaultPlan::parse(&faults, "faults").expect("a fault plan"))
    })
}

#[test]
fn resume_continues_a_row_from_its_last_answer_and_does_not_ask_for_that_answer_again() {
    for again in [&["resume", "prompts.errors.jsonl"][..], &["run", "prompts.jsonl", "--on-truncate", "grow"]] {
        let (folder, api) = (Folder::with_rows(1), stopped_at(2));
        let stopped = folder.run_at(&api, &["run", "prompts.jsonl", "--on-truncate", "grow"]);
        let left = folder.read("prompts.errors.jsonl");
        assert!(left.lines().count() == 1 && left.contains(r#""next":"more_room""#), "{stopped:?} {left}");

        let resumed = folder.run_at(&api, again);

        resumed.ends_with(0).tells(&["1 answered"]);
        assert_eq!((api.books().requests, api.books().billed_calls), (3, 2), "{resumed:?}");
        assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
        let line: serde_json::Value = serde_json::from_str(&folder.read("prompts.results.jsonl")).expect("one line");
        assert_eq!(line["meta"]["steps"].as_array().map(Vec::len), Some(2), "{line}");
        let paid = line["meta"]["cost_usd"].as_f64().expect("the model has a price");
        assert!((paid - api.books().billed_usd).abs() < 1e-12, "{line}");
    }
}

#[test]
fn a_row_that_is_run_again_because_of_its_answer_is_continued_too() {
    let rerun = ["run", "prompts.jsonl", "--rerun", "truncated", "--on-truncate", "grow"];
    for again in [&["resume", "prompts.errors.jsonl"][..], &rerun] {
        let (folder, api) = (Folder::with_rows(1), stopped_at(3));
        folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
        let stopped = folder.run_at(&api, &rerun);
        let left = folder.read("prompts.errors.jsonl");
        assert!(left.lines().count() == 1 && left.contains(r#""next":"more_room""#), "{stopped:?} {left}");

        let resumed = folder.run_at(&api, again);

        resumed.ends_with(0).tells(&["1 answered"]);
        assert_eq!((api.books().requests, api.books().billed_calls), (4, 3), "{again:?} {resumed:?}");
        assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
        let line: serde_json::Value = serde_json::from_str(&folder.read("prompts.results.jsonl")).expect("one line");
        assert_eq!(line["meta"]["steps"].as_array().map(Vec::len), Some(2), "{line}");
    }
}

#[test]
fn a_row_that_is_continued_takes_no_answer_of_another_run() {
    let (folder, api) = (Folder::with_rows(1), stopped_at(2));
    let run = ["run", "prompts.jsonl", "--on-truncate", "grow"];
    folder.run_at(&api, &run);
    folder.run_at(&api, &[&run[..], &["-o", "other.jsonl"]].concat()).ends_with(0);

    let resumed = folder.run_at(&api, &[&run[..], &["--reuse", "other.jsonl"]].concat());

    resumed.ends_with(0);
    assert_eq!(api.books().requests, 2 + 2 + 1, "{resumed:?}");
    // The result line also contains the first answer as a step, so the cost of this answer is not lost.
    assert!(folder.read("prompts.results.jsonl").contains(r#""steps":[{"purpose":"first""#), "{resumed:?}");
}

#[test]
fn equal_rows_wait_for_a_row_that_is_continued() {
    let (folder, api) = (Folder::new(), stopped_at(2));
    folder.write("prompts.jsonl", &"{\"prompt\":\"Say a number.\",\"max_tokens\":32}\n".repeat(3));
    let run = ["run", "prompts.jsonl", "--dedupe", "--on-truncate", "grow"];
    let stopped = folder.run_at(&api, &run);
    assert_eq!(folder.read("prompts.errors.jsonl").lines().count(), 1, "{stopped:?}");

    let resumed = folder.run_at(&api, &run);

    resumed.ends_with(0);
    assert_eq!((api.books().requests, api.books().billed_calls), (3, 2), "{resumed:?}");
    assert_eq!(folder.read("prompts.results.jsonl").lines().count(), 3);
}

#[test]
fn a_row_that_waits_for_its_follow_up_keeps_its_answer_when_the_results_go_to_standard_output() {
    let (folder, api) = (Folder::with_rows(1), stopped_at(2));
    let to_stdout = ["run", "prompts.jsonl", "--on-truncate", "grow", "-o", "-", "--errors", "log.jsonl"];

    let stopped = folder.run_at(&api, &to_stdout);

    let left = folder.read("log.jsonl");
    assert!(left.lines().count() == 1 && left.contains(r#""next":"more_room""#), "{stopped:?} {left}");
}

#[test]
fn every_line_has_the_position_of_its_row_in_the_input_also_after_resume() {
    let folder = Folder::new();
    let row = |id: usize| format!("{{\"id\":\"r{id}\",\"prompt\":\"This is number {id}.\",\"max_tokens\":40}}\n");
    let rejected = "{\"id\":\"r3\",\"prompt\":\"Hi\",\"max_tokens\":\"x\"}\n";
    folder.write("prompts.jsonl", &[&row(0), "{broken\n", &row(2), rejected, &row(4), &row(5)].concat());
    let api = Api::with_faults(
        r#"{"rules": [{"status": 400, "contains": "number 4.", "times": 2}, {"status": 400, "contains": "number 5.", "times": 1}]}"#,
    );
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(3).tells(&["2 answered", "4 failed"]);
    let value = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("each line is JSON");
    let places = |name: &str, member: &str| {
        let mut places: Vec<serde_json::Value> =
            folder.read(name).lines().map(|line| value(line)[member]["index"].clone()).collect();
        places.sort_by_key(serde_json::Value::as_u64);
        places
    };
    let of_the_first = places("prompts.errors.jsonl", "error");

    folder.run_at(&api, &["resume", "prompts.errors.jsonl"]).ends_with(3);

    assert_eq!(of_the_first, [1, 3, 4, 5]);
    assert_eq!(places("prompts.errors.jsonl", "error"), [1, 3, 4]);
    assert_eq!(places("prompts.results.jsonl", "meta"), [0, 2, 5]);
    folder.run_at(&api, &["resume", "prompts.errors.jsonl"]).ends_with(3);
    assert_eq!(places("prompts.results.jsonl", "meta"), [0, 2, 4, 5]);
}

#[test]
fn resume_is_proposed_only_for_rows_that_may_succeed_and_the_rest_get_advice() {
    let folder = Folder::with_rows(30);
    let faults = r#"{"rules": [
        {"status": 400, "contains": "number 1.", "message": "max_tokens: is\u001b[2J wrong"},
        {"status": 500, "contains": "number 2.", "times": 1}
    ]}"#;
    let api = Api::with_faults(faults);

    let mixed = folder.run_at(&api, &["run", "prompts.jsonl", "--max-retries", "0"]);
    let resumed = folder.run_at(&api, &["resume", "prompts.errors.jsonl", "--only", "server"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl"]);
    folder.write("prompts.jsonl", &rows(30).replace("the number 1.", "the number one."));
    let corrected = folder.run_at(&api, &["run", "prompts.jsonl"]);

    mixed.ends_with(3).tells(&[
        "28 answered",
        r#"invalid_request (1): row r1, status 400, "max_tokens: is [2J wrong""#,
        "server (1): row r2, status 500, ",
        "claude-batch resume prompts.errors.jsonl --only server --max-retries 0\n",
        "invalid_request: the API will refuse these rows again",
    ]);
    resumed
        .ends_with(3)
        .tells(&["29 of 30 answered (this run: 1), 1 failed", "invalid_request: the API will refuse these rows again"]);
    assert!(!resumed.err.contains("claude-batch resume"), "{}", resumed.err);
    again.ends_with(3).tells(&[
        "nothing to do",
        "invalid_request: ",
        "correct them in the input, then run the input again",
    ]);
    assert!(!again.err.contains("resume"), "{}", again.err);
    corrected.ends_with(0).tells(&["1 row to send", "answered (this run: 1)"]);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
}

#[test]
fn after_a_run_without_failures_there_is_no_log_and_nothing_to_resume() {
    let folder = Folder::with_rows(2);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);

    let said = folder.run_at(&api, &["resume", "prompts.errors.jsonl"]);

    let said_of_another = folder.run_at(&api, &["resume", "prompt.errors.jsonl"]);

    said.ends_with(0)
        .tells(&["nothing to do: there is no prompts.errors.jsonl; a run without failures removes its error log"]);
    said_of_another.ends_with(2).tells(&["prompt.errors.jsonl: no such file"]);
    assert!(!folder.path("prompts.errors.jsonl").exists());
}

#[test]
fn a_log_that_is_missing_is_an_error_if_its_run_has_failures_or_is_unknown() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAILS));
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "c.results.jsonl", "--errors", "bad.jsonl"]).ends_with(3);
    folder.run_at(&api, &["run", "prompts.jsonl", "--max-requests", "1"]).ends_with(4);
    folder.write("q.jsonl", &rows(1));

    for typed in [
        &["resume", "c.errors.jsonl"][..],
        &["resume", "c.erors.jsonl", "-o", "c.results.jsonl"],
        &["resume", "prompts.errors.jsonl"],
        &["resume", "q.errors.jsonl"],
    ] {
        let said = folder.run_at(&api, typed);
        said.ends_with(2).tells(&["no such file"]);
    }
}

#[test]
fn missing_logs_are_left_out_if_several_logs_are_given() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAULT));
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "a.jsonl", "--max-retries", "0"]).ends_with(3);
    folder.write("good.jsonl", &rows(2));
    folder.run_at(&api, &["run", "good.jsonl"]).ends_with(0);

    let resumed = folder.run_at(&api, &["resume", "a.errors.jsonl", "good.errors.jsonl"]);

    resumed.ends_with(0).tells(&["4 of 4 answered (this run: 1)", "there is no good.errors.jsonl"]);
    assert_eq!(ids(&folder.read("a.jsonl")).len(), 4);
}

#[test]
fn a_resume_with_nothing_to_do_ends_with_a_document() {
    let (folder, api) = (Folder::with_rows(2), Api::quick());
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let resume = || folder.run_at(&api, &["resume", "prompts.errors.jsonl", "--summary", "json"]);

    let gone = resume();
    folder.write("prompts.errors.jsonl", "");
    let empty = resume();

    gone.ends_with(0).tells(&["\"exit_code\":0"]);
    empty.ends_with(0).tells(&["\"exit_code\":0"]);
}

#[test]
fn a_log_without_lines_stays_when_it_is_resumed() {
    let (folder, api) = (Folder::with_rows(2), Api::quick());
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    folder.write("prompts.errors.jsonl", "");

    let said = folder.run_at(&api, &["resume", "prompts.errors.jsonl"]);

    said.ends_with(0).tells(&["nothing to do: no rows in prompts.errors.jsonl"]);
    assert_eq!(folder.read("prompts.errors.jsonl"), "");
}

#[test]
fn the_same_command_again_sends_nothing_more() {
    let folder = Folder::with_rows(8);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let before = folder.contents();

    let again = folder.run_at(&api, &["run", "prompts.jsonl"]);

    again.ends_with(0).tells(&["nothing to do: all 8 rows are answered", "prompts.results.jsonl"]);
    assert_eq!(api.books().requests, 8);
    let results = folder.path("prompts.results.jsonl");
    assert_eq!(folder.contents()[&results], before[&results]);
}

#[test]
fn failed_rows_wait_for_retry_failed() {
    let folder = Folder::with_rows(20);
    let api = Api::with_faults(r#"{"rules": [{"status": 400, "contains": "number 7.", "times": 1}]}"#);

    let first = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let same = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let retried = folder.run_at(&api, &["run", "prompts.jsonl", "--retry-failed"]);

    first.ends_with(3).tells(&["19 answered", "1 failed"]);
    same.ends_with(3).tells(&["nothing to do", "1 failed", "the failures are in prompts.errors.jsonl", "correct them"]);
    retried.ends_with(0).tells(&["answered (this run: 1)"]);
    assert_eq!(api.books().requests, 21);
    assert_eq!(folder.read_log("prompts.errors.jsonl"), "");
    assert_each_once(&folder.read("prompts.results.jsonl"), 20);
}

#[test]
fn only_rows_added_to_the_input_are_sent() {
    let folder = Folder::with_rows(5);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    folder.write("prompts.jsonl", &rows(9));

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(0).tells(&["4 rows to send (5 done by earlier runs)", "9 of 9 answered (this run: 4)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 9);
    assert_eq!(api.books().billed_calls, 9);
}

#[test]
fn a_line_inserted_above_rows_without_ids_leaves_them_done() {
    let folder = Folder::new();
    let api = Api::quick();
    let unnamed = |from: usize| (from..10).map(|at| format!("{{\"prompt\":\"Row {at}\"}}\n")).collect::<String>();
    // Two rows have the same content, but they are separate rows.
    folder.write("prompts.jsonl", &format!("{}{}", unnamed(1), "{\"prompt\":\"Row 3\"}\n"));
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0).tells(&["10 answered"]);

    folder.write("prompts.jsonl", &format!("{}{}", unnamed(0), "{\"prompt\":\"Row 3\"}\n"));
    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(0).tells(&["1 row to send (10 done by earlier runs)", "11 of 11 answered (this run: 1)"]);
    assert_eq!(folder.read("prompts.results.jsonl").lines().count(), 11);
    assert_eq!(api.books().billed_calls, 11);
}

#[test]
fn a_changed_row_is_refused_until_a_flag_says_what_to_do() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    folder.write("prompts.jsonl", &rows(3).replace("the number 1.", "the number one."));
    let before = folder.contents();

    let refused = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let results_after = folder.contents()[&folder.path("prompts.results.jsonl")].clone();
    let rerun = folder.run_at(&api, &["run", "prompts.jsonl", "--rerun-changed"]);

    refused.ends_with(2).tells(&["1 row has", "\"r1\" (prompts.jsonl:2)", "--rerun-changed", "--fresh"]);
    assert_eq!(results_after, before[&folder.path("prompts.results.jsonl")]);
    rerun.ends_with(0).tells(&["answered (this run: 1)"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl"]);
    again.ends_with(0).tells(&["nothing to do"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 3);
    assert_eq!(api.books().billed_calls, 4);
}

#[test]
fn a_run_that_was_refused_because_of_its_settings_is_refused_again() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("prompts.jsonl", "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n");
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);

    for _ in 0..2 {
        let said = folder.run_at(&api, &["run", "prompts.jsonl", "--max-tokens", "50"]);
        said.ends_with(2).tells(&["were asked for with other settings (--max-tokens)"]);
    }

    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0).tells(&["nothing to do"]);
    assert_eq!(api.books().billed_calls, 2);
}

#[test]
fn a_fresh_start_keeps_the_old_files() {
    let folder = Folder::with_rows(3);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let old = folder.read("prompts.results.jsonl");

    let said = folder.run_at(&api, &["run", "prompts.jsonl", "--fresh"]);

    said.ends_with(0).tells(&["3 answered"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 3);
    let kept = folder.names().into_iter().find(|name| name.starts_with("prompts.results.jsonl.old-"));
    let kept = kept.expect("the old results are kept");
    said.tells(&[&format!("note: --fresh: prompts.results.jsonl is now {kept}\n")]);
    assert_eq!(folder.read(&kept), old);
    assert_eq!(api.books().billed_calls, 6);
}

#[test]
fn a_half_written_last_line_is_removed_with_a_note_and_its_row_runs_again() {
    let folder = Folder::with_rows(6);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let whole = folder.read("prompts.results.jsonl");
    folder.write("prompts.results.jsonl", &whole[..whole.len() - 40]);

    let said = folder.run_at(&api, &["run", "prompts.jsonl"]);

    said.ends_with(0).tells(&["note: ", "removed a half-written line of ", "answered (this run: 1)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 6);
}

#[test]
fn rows_of_a_pipe_that_was_stopped_are_resumed_from_their_log() {
    let folder = Folder::new();
    let api = Api::quick();
    let stopped = feed(folder.command_at(&api, &["run", "--max-requests", "5"]), &rows(20));
    let log = folder.names().pop().expect("there is a log");

    let resumed = folder.run_at(&api, &["resume", &log]);

    stopped.ends_with(4).tells(&[&format!("claude-batch resume {log}")]);
    resumed.ends_with(0);
    assert_each_once(&format!("{}{}", stopped.out, resumed.out), 20);
}

#[test]
fn a_run_with_nothing_left_needs_no_key() {
    let (folder, api) = (Folder::with_rows(3), Api::quick());
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let keyless = |more: &str| {
        let mut command = folder.command_at(&api, &["run", "prompts.jsonl"]);
        folder.write("prompts.jsonl", &(rows(3) + more));
        finish(command.env_remove("ANTHROPIC_API_KEY").spawn().expect("it starts"))
    };

    let finished = keyless("");
    let unfinished = keyless("{\"id\":\"new\",\"prompt\":\"Hi\"}\n");

    finished.ends_with(0).tells(&["nothing to do", "all 3 rows are answered"]);
    unfinished.ends_with(2).tells(&["ANTHROPIC_API_KEY"]);
    assert_eq!(api.books().requests, 3);
}

/// The fixture is a run of version 0.1.0. When this run was killed, it had seven answers and three failures on disk,
/// and four requests in flight.
#[test]
fn a_run_that_an_earlier_version_left_behind_is_resumed() {
    let folder = Folder::new();
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/killed-run");
    let copy = |from: &str, to: &str| {
        std::fs::copy(kept.join(from), folder.path(to)).expect("a fixture can be copied");
    };
    std::fs::create_dir(folder.path("out.jsonl.run")).expect("a folder can be made");
    for (from, to) in [("rows.jsonl", "prompts.jsonl"), ("results", "out.jsonl"), ("errors", "out.errors.jsonl")] {
        copy(from, to);
    }
    for name in ["holder", "inflight", "lock", "manifest.json"] {
        copy(&format!("folder/{name}"), &format!("out.jsonl.run/{name}"));
    }
    let before = folder.read("out.jsonl");

    let went_on = folder.run(&["run", "prompts.jsonl", "--tier", "2", "--simulate", "-o", "out.jsonl"]);
    let resumed = folder.run(&["resume", "out.errors.jsonl", "--simulate"]);

    went_on.ends_with(3).tells(&["answered (this run: ", "4 of them because an earlier run"]);
    resumed.ends_with(0);
    let results = folder.read("out.jsonl");
    assert!(results.starts_with(&before), "what was answered stays as it was");
    let (found, asked) = (ids(&results), ids(&folder.read("prompts.jsonl")).len());
    let once: std::collections::BTreeSet<&String> = found.iter().collect();
    assert_eq!((found.len(), once.len(), folder.read_log("out.errors.jsonl").len()), (asked, asked, 0));
}

#[test]
fn a_log_in_another_folder_is_resumed_by_the_command_that_names_its_results() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAULT));
    std::fs::create_dir(folder.path("logs")).expect("it can be made");

    let run = folder.run_at(&api, &["run", "prompts.jsonl", "--errors", "logs/fails.jsonl", "--max-retries", "0"]);
    let again = folder.run_at(&api, &["run", "prompts.jsonl", "--errors", "logs/fails.jsonl"]);
    let unnamed = folder.run_at(&api, &["resume", "logs/fails.jsonl"]);
    let wrong = folder.run_at(&api, &["resume", "logs/fails.jsonl", "-o", "logs/prompts.results.jsonl"]);
    let before = api.books().requests;
    let resumed = folder.run_at(&api, &["resume", "logs/fails.jsonl", "-o", "prompts.results.jsonl"]);

    let command = "claude-batch resume logs/fails.jsonl -o prompts.results.jsonl";
    run.ends_with(3).tells(&[command]);
    again.ends_with(3).tells(&["nothing to do", command]);
    unnamed.ends_with(2).tells(&["line 1 of logs/fails.jsonl", "error.results", "-o RESULTS"]);
    wrong.ends_with(2).tells(&["line 1 of logs/fails.jsonl", "not of -o logs/prompts.results.jsonl"]);
    assert_eq!(before, 4);
    resumed.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 4);
    assert_eq!(folder.names(), ["logs", "prompts.jsonl", "prompts.results.jsonl", "prompts.results.jsonl.run"]);
}

#[test]
fn if_one_log_belongs_to_other_results_all_logs_are_refused_before_any_row_is_sent() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAILS));
    let other = Api::with_faults(ONE_FAILS);
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "a.jsonl"]).ends_with(3);
    folder.run_at(&other, &["run", "prompts.jsonl", "-o", "b.jsonl"]).ends_with(3);

    let refused = folder.run_at(&api, &["resume", "a.errors.jsonl", "b.errors.jsonl", "-o", "a.jsonl"]);
    let to_a_pipe = folder.run_at(&api, &["resume", "a.errors.jsonl", "-o", "-"]);

    refused.ends_with(2).tells(&["line 1 of b.errors.jsonl", "\"b.jsonl\"", "not of -o a.jsonl"]);
    to_a_pipe.ends_with(2).tells(&["with resume, -o names the results file"]);
    assert_eq!(api.books().requests, 4);
}

#[test]
fn rows_of_a_pipe_can_be_resumed_into_a_file() {
    let (folder, api) = (Folder::new(), Api::quick());
    feed(folder.command_at(&api, &["run", "--max-requests", "2", "--errors", "e.jsonl"]), &rows(6)).ends_with(4);

    let resumed = folder.run_at(&api, &["resume", "e.jsonl", "-o", "rest.jsonl"]);

    resumed.ends_with(0).tells(&["4 answered", "rest.jsonl"]);
    assert_eq!(ids(&folder.read("rest.jsonl")).len(), 4);
}

#[test]
fn a_manifest_that_is_huge_or_can_not_be_read_is_refused_by_resume() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAILS));
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "out.jsonl"]).ends_with(3);
    let manifest = folder.path("out.jsonl.run/manifest.json");
    let resume = || folder.run_at(&api, &["resume", "out.errors.jsonl"]);

    std::fs::write(&manifest, "{\"format\":1,\n\"settings\":[]}").expect("it can be written");
    let wrong = resume();
    std::fs::File::create(&manifest).and_then(|file| file.set_len(1 << 30)).expect("it can be long");
    let huge = resume();
    std::fs::remove_file(&manifest).expect("it can be removed");
    let without = resume();

    wrong.ends_with(2).tells(&["out.jsonl.run/manifest.json can't be read (line 2, column", "remove it"]);
    huge.ends_with(2).tells(&["out.jsonl.run/manifest.json can't be read (the file is larger than 4 MiB)"]);
    without.ends_with(0);
    assert_eq!(api.books().requests, 5);
}

#[cfg(unix)]
#[test]
fn results_that_are_a_link_are_refused_by_resume_in_plain_words() {
    let (folder, api) = (Folder::with_rows(4), Api::with_faults(ONE_FAILS));
    folder.run_at(&api, &["run", "prompts.jsonl", "-o", "out.jsonl"]).ends_with(3);
    std::fs::rename(folder.path("out.jsonl"), folder.path("moved.jsonl")).expect("it can be renamed");
    std::os::unix::fs::symlink("moved.jsonl", folder.path("out.jsonl")).expect("it can be linked");
    let before = folder.read("moved.jsonl");

    let by_name = folder.run_at(&api, &["resume", "out.errors.jsonl"]);
    let by_flag = folder.run_at(&api, &["resume", "out.errors.jsonl", "-o", "out.jsonl"]);

    by_name.ends_with(2).tells(&["out.jsonl is a symbolic link"]);
    by_flag.ends_with(2).tells(&["out.jsonl is a symbolic link"]);
    assert_eq!(folder.read("moved.jsonl"), before);
}

#[test]
fn after_a_resume_the_same_command_accepts_new_rows_without_an_id() {
    let folder = Folder::new();
    let row = |text: &str| format!("{{\"prompt\":\"{text}\"}}\n");
    folder.write("prompts.jsonl", &(row("one") + &row("two")));
    folder.write("claude-batch.toml", "model = \"claude-sonnet-4-6\"\nsystem = \"Be brief.\"\n");
    let api = Api::with_faults(r#"{"rules":[{"status":400,"contains":"two","first_attempts_only":true}]}"#);

    let first = folder.run_at(&api, &["run", "prompts.jsonl"]);
    let resumed = folder.run_at(&api, &["resume", "prompts.errors.jsonl"]);
    folder.write("prompts.jsonl", &(row("one") + &row("two") + &row("three")));
    let on = folder.run_at(&api, &["run", "prompts.jsonl"]);

    first.ends_with(3);
    resumed.ends_with(0);
    on.ends_with(0).tells(&["answered (this run: 1)"]);
    assert_eq!((whole_lines(&folder.path("prompts.results.jsonl")), api.books().requests), (3, 4));
}
