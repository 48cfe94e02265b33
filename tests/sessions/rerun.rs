//! Tests runs that ask again for truncated answers: `run --rerun`, and `resume` with parameters that replace the
//! parameters of the rows.

use std::time::Duration;

use claude_batch::sim::config::{BatchConfig, BatchTime};
use serde_json::Value;

#[cfg(unix)]
use crate::commands::{pasted, printed};
use crate::support::*;

/// Answers of the quick API have 12 tokens, so these flags truncate the answers.
const SHORT: [&str; 2] = ["--max-tokens", "5"];
const AGAIN: [&str; 4] = ["--rerun", "truncated", "--max-tokens", "50"];
const TEMPLATE: [&str; 2] = ["-t", "Translate {{word}} into {{language}}."];

#[test]
fn rows_without_a_name_get_longer_answers_in_one_command() {
    let folder = table();
    let api = Api::quick();
    folder.run_at(&api, &[&["run", "in.csv", "-s", "Be brief."][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    let before = lines(&folder);

    let dry = folder.run_at(&api, &[&["run", "in.csv", "--dry-run"][..], &AGAIN].concat());
    let said = folder.run_at(&api, &[&["run", "in.csv"][..], &AGAIN].concat());

    dry.ends_with(0).tells(&["4 truncated answers are asked for again", "4 rows to send", "nothing was sent"]);
    said.ends_with(0).tells(&[
        "4 truncated answers are asked for again, with --max-tokens 50 of this command",
        "4 rows to send",
        "4 answered",
        "68 out in all runs",
    ]);
    let after = lines(&folder);
    assert_eq!(qualities(&before), ["truncated"; 4]);
    assert_eq!(qualities(&after), ["ok"; 4], "one line a row");
    assert_eq!(keys(&before), keys(&after), "the keys are those of the rows");
    assert_eq!(api.books().billed_calls, 8);
    let again = folder.run_at(&api, &[&["run", "in.csv"][..], &AGAIN].concat());
    again.ends_with(0).tells(&["nothing to do: no answer is truncated"]);
    let usual = folder.run_at(&api, &[&["run", "in.csv", "-s", "Be brief."][..], &TEMPLATE, &SHORT].concat());
    usual.ends_with(0).tells(&["nothing to do: all 4 rows are answered"]);
    assert_eq!(api.books().billed_calls, 8);
}

#[test]
fn rows_that_are_asked_again_use_the_prompt_cache_in_a_run_with_batches_too() {
    let folder = Folder::new();
    let time = BatchTime::Fixed(Duration::from_millis(100));
    let api = Api::new(quick().with_batches(BatchConfig { time, ..BatchConfig::default() }));
    folder.write("rules.txt", &"A ticket that mentions an order goes to the first team. ".repeat(800));
    folder.write("prompts.jsonl", &rows(20).replace("32", "5"));
    folder.run_at(&api, &[&["run", "prompts.jsonl", "-s", "@rules.txt", "--lane", "batch"][..], &SHORT].concat());
    let before = api.books();

    let plan = folder.run_at(&api, &[&["plan", "prompts.jsonl", "--lane", "batch"][..], &AGAIN].concat());
    let said = folder.run_at(&api, &[&["run", "prompts.jsonl", "--lane", "batch"][..], &AGAIN].concat());

    let planned = "cache    all 20 requests get cache marks, at 1 prefix that rows share (kept for 5 min)";
    assert!(plan.out.contains(planned), "{}", plan.out);
    said.ends_with(0).tells(&["all 20 requests get cache marks", "(hit rate 9"]);
    let after = api.books();
    assert_eq!((before.cache_writes, before.cache_reads), (0, 0), "the test row and the batch have no marks");
    assert_eq!((after.cache_writes, after.cache_reads), (1, 19));
}

#[test]
fn rows_with_their_own_max_tokens_get_longer_answers_and_only_if_they_were_truncated() {
    let folder = Folder::new();
    let api = Api::quick();
    let row = |at: usize| format!("{{\"id\":\"r{at}\",\"prompt\":\"{at}\",\"max_tokens\":{}}}\n", 4 + 4 * at);
    folder.write("prompts.jsonl", &(0..5).map(row).collect::<String>());
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    let before = folder.read("prompts.results.jsonl");

    let said = folder.run_at(&api, &[&["run", "prompts.jsonl", "-m", "claude-sonnet-5"][..], &AGAIN].concat());

    said.ends_with(0)
        .tells(&["with --model claude-sonnet-5, --max-tokens 50", "2 rows to send (3 done by earlier runs)"]);
    let after = folder.read("prompts.results.jsonl");
    assert_each_once(&after, 5);
    let (before, after) = (parsed(&before), parsed(&after));
    assert_eq!(qualities(&before), ["ok", "ok", "ok", "truncated", "truncated"]);
    assert_eq!((qualities(&after), keys(&before)), (vec!["ok"; 5], keys(&after)));
    let mut changed: Vec<_> = after
        .iter()
        .filter(|line| line["meta"]["model"] == "claude-sonnet-5")
        .filter_map(|line| line["custom_id"].as_str())
        .collect();
    changed.sort_unstable();
    assert_eq!(changed, ["r0", "r1"], "only rows that are asked again get the model");
}

#[test]
fn rows_without_an_answer_are_sent_with_the_settings_of_the_earlier_run() {
    let folder = table();
    let api = Api::quick();
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    folder.write("in.csv", &(folder.read("in.csv") + "new,fr\n"));

    let said = folder.run_at(&api, &[&["run", "in.csv"][..], &AGAIN].concat());

    said.ends_with(0).tells(&["5 rows to send", "note: 1 row has no answer yet: --max-tokens 50 has no effect"]);
    let after = lines(&folder);
    assert_eq!(qualities(&after), ["ok", "ok", "ok", "ok", "truncated"]);
    let usual = folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat());
    usual.ends_with(0).tells(&["nothing to do"]);
}

#[test]
fn a_row_that_fails_keeps_its_old_answer_and_the_printed_command_tries_it_again() {
    let folder = table();
    let api = Api::with_faults(r#"{"rules": [{"status": 500, "arrivals": [6]}]}"#);
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);

    let args = [&["run", "in.csv", "--max-retries", "0"][..], &AGAIN].concat();
    let said = folder.run_at(&api, &args);

    said.ends_with(3).tells(&["1 failed", "--retry-failed"]);
    assert_eq!(qualities(&lines(&folder)), ["ok", "ok", "ok", "truncated"]);
    #[cfg(unix)]
    {
        let retry = printed(&said, "retry").expect("a row failed");
        pasted(&retry, &folder.command_at(&api, &args), None)
            .ends_with(0)
            .tells(&["1 truncated answer is asked for again"]);
        assert_eq!(qualities(&lines(&folder)), ["ok"; 4]);
        assert_eq!(folder.read_log("in.csv.errors.jsonl"), "");
    }
}

#[test]
fn a_killed_run_leaves_the_old_answers_and_counts_what_was_in_flight() {
    let folder = table();
    let api = Api::slow(Duration::from_millis(100));
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    let before = keys(&lines(&folder));
    let mut run =
        folder.command_at(&api, &[&["run", "in.csv", "-c1"][..], &AGAIN].concat()).spawn().expect("it starts");
    api.wait_for_requests(6);
    run.kill().expect("it can be ended");
    run.wait().expect("it ends");

    let usual = folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat());

    usual.ends_with(0).tells(&["nothing to do: all 4 rows are answered", "possibly billed twice: 1 answer"]);
    let between = lines(&folder);
    assert_eq!(keys(&between), before);
    assert_eq!(qualities(&between).iter().filter(|quality| **quality == "ok").count(), 1);
    folder.run_at(&api, &[&["run", "in.csv"][..], &AGAIN].concat()).ends_with(0).tells(&["3 rows to send"]);
    assert_eq!((qualities(&lines(&folder)), keys(&lines(&folder))), (vec!["ok"; 4], before));
}

#[test]
fn a_budget_counts_old_and_new_answers() {
    let folder = table();
    let api = Api::quick();
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    // The first budget is enough for a new answer alone, but not for the old answers and a new answer together.
    let said = folder.run_at(&api, &[&["run", "in.csv", "--max-cost", "0.0004"][..], &AGAIN].concat());
    let again = folder.run_at(&api, &[&["run", "in.csv", "--max-cost", "1"][..], &AGAIN].concat());

    said.ends_with(4).tells(&["--max-cost"]);
    again.ends_with(0);
    assert_eq!(qualities(&lines(&folder)), ["ok"; 4]);
}

#[cfg(unix)]
#[test]
fn the_command_that_the_summary_prints_asks_again_with_four_times_the_room() {
    for more in [&[][..], &["--format", "csv", "--param", "top_k=3", "-o", "o ut.csv"], &["--fresh", "--id", "word"]] {
        let folder = Folder::new();
        folder.write("in put.csv", "word,language\nyes,fr\nno,de\nmaybe,it\n");
        let api = Api::quick();
        let args = [&["run", "in put.csv"][..], &TEMPLATE, &SHORT, more].concat();
        let command = folder.command_at(&api, &args);
        let said = folder.run_at(&api, &args);

        let printed = printed(&said, "rerun").expect("answers were truncated");
        let again = pasted(&printed, &command, None);

        assert!(printed.contains("'in put.csv' --rerun truncated --max-tokens 20"), "{printed}");
        again.ends_with(0).tells(&["3 truncated answers are asked for again", "3 answered"]);
        assert!(!again.err.contains("rerun "), "{}", again.err);
        assert_eq!(api.books().billed_calls, 6, "{more:?}");
    }
}

#[test]
fn without_the_run_folder_rows_are_recognized_by_the_other_flags_and_never_paid_for_by_accident() {
    let folder = table();
    let api = Api::quick();
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    std::fs::remove_dir_all(folder.path("in.csv.results.jsonl.run")).expect("it is there");
    let before = folder.read("in.csv.results.jsonl");

    // The run folder is gone, so the program can't know that the rows had --max-tokens 5.
    let refused = folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &AGAIN].concat());

    refused.ends_with(2).tells(&["--rerun: 4 rows of the input and 4 answers", "do not belong together"]);
    assert_eq!((folder.read("in.csv.results.jsonl"), api.books().billed_calls), (before, 4));
    folder.write("claude-batch.toml", "max-tokens = 5\n");
    let said = folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &AGAIN].concat());
    said.ends_with(0).tells(&["4 truncated answers are asked for again"]);
    assert_eq!(qualities(&lines(&folder)), ["ok"; 4]);
}

#[test]
fn a_rerun_that_is_not_possible_is_refused() {
    let folder = table();
    let api = Api::quick();
    let none = folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &AGAIN].concat());
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);
    let fresh = folder.run_at(&api, &[&["run", "in.csv", "--fresh"][..], &AGAIN].concat());
    let column = folder.run_at(&api, &[&["run", "in.csv", "-s", "{{word}}"][..], &AGAIN].concat());
    let stream = feed(folder.command_at(&api, &[&["run"][..], &AGAIN].concat()), "{\"prompt\":\"a\"}\n");

    none.ends_with(2)
        .tells(&["--rerun asks again for answers of an earlier run, but there are no answers in in.csv.results.jsonl"]);
    fresh.ends_with(2).tells(&["leave out one of these flags"]);
    column.ends_with(2).tells(&["--system", "can't contain columns"]);
    stream.ends_with(2).tells(&["name its results file with -o"]);
    assert_eq!(api.books().billed_calls, 4);
}

#[test]
fn rows_of_a_pipe_are_recognized_by_their_results_file() {
    let folder = Folder::new();
    let api = Api::quick();
    let rows = "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}\n{\"prompt\":\"a\"}\n";
    feed(folder.command_at(&api, &[&["run", "-o", "o.jsonl"][..], &SHORT].concat()), rows).ends_with(0);

    let said = feed(folder.command_at(&api, &[&["run", "-o", "o.jsonl"][..], &AGAIN].concat()), rows);

    said.ends_with(0).tells(&["rows of the pipe whose answer in the results is truncated are sent again"]);
    assert_eq!(qualities(&parsed(&folder.read("o.jsonl"))), ["ok"; 3]);
    assert_eq!(api.books().billed_calls, 6);
}

#[test]
fn equal_rows_are_asked_again_once_and_do_not_copy_their_old_answers() {
    let folder = Folder::new();
    let api = Api::quick();
    folder.write("in.jsonl", &"{\"prompt\":\"a\"}\n".repeat(3));
    folder.run_at(&api, &[&["run", "in.jsonl", "--dedupe"][..], &SHORT].concat()).ends_with(0);

    let said = folder.run_at(&api, &[&["run", "in.jsonl", "--dedupe"][..], &AGAIN].concat());

    said.ends_with(0).tells(&["3 truncated answers"]);
    assert_eq!(qualities(&parsed(&folder.read("in.results.jsonl"))), ["ok"; 3]);
    assert_eq!(api.books().billed_calls, 2);
}

#[test]
fn rows_that_are_asked_again_are_sent_online() {
    let folder = table();
    let api = Api::quick();
    folder.run_at(&api, &[&["run", "in.csv"][..], &TEMPLATE, &SHORT].concat()).ends_with(0);

    let said = folder.run_at(&api, &[&["run", "in.csv", "--lane", "batch"][..], &AGAIN].concat());

    said.ends_with(0).tells(&["4 truncated answers are asked for again, online"]);
    assert_eq!((qualities(&lines(&folder)), api.books().batches.calls.get("create")), (vec!["ok"; 4], None));
}

#[test]
fn resume_gives_truncated_rows_of_a_log_more_room() {
    let folder = table();
    let api = Api::with_faults(r#"{"rules": [{"status": 500, "arrivals": [1, 2, 3, 4]}]}"#);
    let run = [&["run", "in.csv", "--max-retries", "0", "--halt", "never"][..], &TEMPLATE, &SHORT].concat();
    folder.run_at(&api, &run).ends_with(3);
    // Three rows failed because their answers were truncated.
    let log = folder.read("in.csv.errors.jsonl");
    folder.write("in.csv.errors.jsonl", &log.replacen("\"class\":\"server\"", "\"class\":\"truncated\"", 3));

    let resume = ["resume", "in.csv.errors.jsonl", "--only", "truncated", "--max-tokens", "50", "-s", "Be brief."];
    let said = folder.run_at(&api, &resume);

    said.ends_with(3)
        .tells(&["3 rows to send", "--system, --max-tokens 50 of this command replaces the values in the rows"]);
    assert_eq!(qualities(&lines(&folder)), ["ok"; 3]);
    let left = parsed(&folder.read("in.csv.errors.jsonl"));
    assert!(left.len() == 1 && left[0]["params"]["max_tokens"] == 5 && left[0]["params"]["system"].is_null());
}

#[test]
fn rows_of_a_log_keep_their_keys_when_resume_changes_their_requests() {
    let folder = table();
    let api = Api::with_faults(r#"{"rules": [{"status": 500, "arrivals": [1, 2, 3, 4, 5, 6]}]}"#);
    let run = [&["run", "in.csv", "--max-retries", "0", "--halt", "never"][..], &TEMPLATE, &SHORT].concat();
    folder.run_at(&api, &run).ends_with(3);
    let log = parsed(&folder.read("in.csv.errors.jsonl"));
    let resume = ["resume", "in.csv.errors.jsonl", "--max-tokens", "50", "-m", "claude-sonnet-5", "--max-retries", "0"];

    let first = folder.run_at(&api, &[&resume[..], &["--halt", "never"]].concat());
    let still = parsed(&folder.read("in.csv.errors.jsonl"));
    let second = folder.run_at(&api, &resume);

    first.ends_with(3).tells(&["2 failed", "--model claude-sonnet-5, --max-tokens 50"]);
    second
        .ends_with(0)
        .tells(&["--model claude-sonnet-5, --max-tokens 50 of this command replaces the values in the rows"]);
    let identity =
        |line: &Value| (line["error"]["key"].clone(), line["error"]["occurrence"].clone(), line["params"].clone());
    let logged: Vec<_> = log.iter().map(identity).collect();
    assert!(still.len() == 2 && still.iter().map(identity).all(|row| logged.contains(&row)), "{logged:?}");
    let after = lines(&folder);
    assert_eq!(qualities(&after), ["ok"; 4]);
    assert!(after.iter().all(|line| line["meta"]["model"] == "claude-sonnet-5"));
    let known: Vec<_> = after.iter().map(|line| (&line["meta"]["key"], &line["meta"]["occurrence"])).collect();
    assert!(logged.iter().all(|(key, occurrence, _)| known.contains(&(key, occurrence))), "{logged:?} {known:?}");
    folder.run_at(&api, &run).ends_with(0).tells(&["nothing to do"]);
}

/// Returns a folder with a table of four rows without ids. Two of the rows are equal.
fn table() -> Folder {
    let folder = Folder::new();
    folder.write("in.csv", "word,language\nyes,fr\nno,de\nmaybe,it\nyes,fr\n");
    folder
}

/// Returns the lines of the results.
fn lines(folder: &Folder) -> Vec<Value> {
    parsed(&folder.read("in.csv.results.jsonl"))
}

fn parsed(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

/// Returns the sorted qualities of the answers.
fn qualities(lines: &[Value]) -> Vec<&str> {
    let mut found: Vec<_> = lines.iter().filter_map(|line| line["meta"]["quality"].as_str()).collect();
    found.sort_unstable();
    found
}

/// Returns the keys and occurrences of the rows, sorted.
fn keys(lines: &[Value]) -> Vec<String> {
    let mut found: Vec<_> =
        lines.iter().map(|line| format!("{} {}", line["meta"]["key"], line["meta"]["occurrence"])).collect();
    found.sort_unstable();
    found
}
