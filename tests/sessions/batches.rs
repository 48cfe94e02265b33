//! Tests what a run in batches tells its user.

use std::time::Duration;

use claude_batch::sim::config::{BatchConfig, BatchTime, Organizations};

use crate::support::*;

const RUN: [&str; 6] = ["run", "prompts.jsonl", "--lane", "batch", "--tier", "2"];

/// Returns a folder with `rows` rows, and an API whose batches take the given time.
fn ready(rows: usize, time: Duration) -> (Folder, Api) {
    let time = BatchTime::Fixed(time);
    let api = Api::new(quick().with_batches(BatchConfig { time, ..BatchConfig::default() }));
    (Folder::with_rows(rows), api)
}

#[test]
fn a_run_in_batches_waits_for_them_and_says_what_the_half_price_saved() {
    let (folder, api) = ready(40, Duration::from_millis(100));

    let said = folder.run_at(&api, &[&RUN[..], &["--batch-rows", "20", "--progress", "plain"]].concat());

    said.ends_with(0).tells(&[
        "half price in batches",
        "waiting for 2 batches (39 rows), the oldest submitted 1 s ago, ",
        ": 40 answered\nlanes    39 in batches at half price (saved $",
        "), 1 online\n",
        "% waiting for batches",
    ]);
    assert!(!said.err.contains("disk") && !said.err.contains("left"), "{}", said.err);
    assert_each_once(&folder.read("prompts.results.jsonl"), 40);
    assert_eq!(folder.read("prompts.results.jsonl").matches(r#""lane":"batch""#).count(), 39);
}

#[test]
fn open_batches_are_reported_last_and_the_printed_command_collects_them() {
    let (folder, api) = ready(30, Duration::from_millis(1_500));

    let left = folder.run_at(&api, &[&RUN[..], &["--detach"]].concat());

    left.ends_with(4).tells(&["ended with 1 open batch after", ": 1 answered, 29 in 1 open batch\n"]);
    let last: Vec<_> = left.err.lines().rev().take(3).collect();
    assert_eq!(
        last,
        [
            "  to stop the batches:    claude-batch batches cancel prompts.results.jsonl",
            "  to collect the answers: claude-batch run prompts.jsonl --lane batch --tier 2",
            "claude-batch: 1 batch with 29 rows keeps running without this program, and its answers are billed",
        ]
    );
    assert!(!left.err.contains("pending") && !left.err.contains("changed"), "{}", left.err);

    let collected = folder.run_at(&api, &RUN);

    collected.ends_with(0).tells(&["1 batch of an earlier run", "29 in batches at half price (saved $"]);
    assert!(!collected.err.contains("keeps running"), "{}", collected.err);
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
}

#[test]
fn batches_of_a_simulated_run_end_with_it_and_even_a_quiet_run_says_so() {
    let folder = Folder::with_rows(30);

    let left = folder.run(&[&RUN[..], &["--simulate", "--detach", "-q"]].concat());

    left.ends_with(4);
    assert_eq!(
        left.err,
        "claude-batch: 1 batch with 29 rows ends with the simulator; the same command sends its rows again\n"
    );
}

#[test]
fn a_pipe_whose_rows_are_in_batches_is_not_reported_as_empty() {
    let (folder, api) = ready(0, Duration::from_secs(3_600));
    let args = ["run", "-", "--lane", "batch", "--detach", "-o", "out.jsonl", "--tier", "2"];

    let left = feed(folder.command_at(&api, &args), &rows(20));

    left.ends_with(4).tells(&[
        "19 in 1 open batch",
        "to collect the answers: claude-batch batches collect out.jsonl --wait\n",
        "to stop the batches:    claude-batch batches cancel out.jsonl\n",
    ]);
    assert!(!left.err.contains("nothing to do") && !left.err.contains("pipe the same rows"), "{}", left.err);
}

#[cfg(unix)]
#[test]
fn an_interrupted_run_leaves_its_batches_and_keeps_its_exit_code() {
    use rustix::process::{Pid, Signal, kill_process};

    let (folder, api) = ready(30, Duration::from_secs(3_600));
    let child = folder.command_at(&api, &RUN).spawn().expect("it starts");
    let log = folder.path("prompts.results.jsonl.batches/log.jsonl");
    while !std::fs::read_to_string(&log).is_ok_and(|log| log.contains("msgbatch_")) {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id")).expect("a process id");
    kill_process(pid, Signal::INT).expect("it runs");

    let said = finish(child);

    said.ends_with(130).tells(&["stopped (interrupted)", "29 in 1 open batch", "1 batch with 29 rows keeps running"]);
    assert!(said.err.ends_with("claude-batch batches cancel prompts.results.jsonl\n"), "{}", said.err);
}

#[test]
fn a_key_of_another_workspace_does_not_make_open_batches_look_deleted() {
    let time = BatchTime::Fixed(Duration::from_millis(1_500));
    let mut config = quick().with_batches(BatchConfig { time, ..BatchConfig::default() });
    config.organizations = Organizations::PerKey;
    let (folder, api) = (Folder::with_rows(30), Api::new(config));
    folder.run_at(&api, &[&RUN[..], &["--detach"]].concat()).ends_with(4);

    let mut other = folder.command_at(&api, &RUN);
    other.env("ANTHROPIC_API_KEY", "sk-ant-api03-of-another-workspace");
    let refused = finish(other.spawn().expect("it starts"));

    refused.ends_with(5).tells(&["belong to another organization or workspace, so this key can't see them"]);
    assert_eq!(api.books().batches.created, 1, "nothing is submitted again");

    folder.run_at(&api, &RUN).ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
}

#[test]
fn a_run_that_would_give_up_open_batches_is_refused_before_it_changes_a_file() {
    let (folder, api) = ready(30, Duration::from_millis(1_500));
    folder.run_at(&api, &[&RUN[..], &["--detach"]].concat()).ends_with(4);
    let before = folder.read("prompts.results.jsonl");

    let fresh = folder.run_at(&api, &[&RUN[..], &["--fresh"]].concat());
    let simulated = ["-o", "prompts.results.jsonl", "--simulate", "--fresh"];
    let simulated = folder.run_at(&api, &[&RUN[..], &simulated].concat());

    fresh.ends_with(2).tells(&["1 batch of an earlier run is open and paid for", "without --fresh collects it"]);
    simulated.ends_with(2).tells(&["1 batch of an earlier run is open at http://", "collect it there first"]);
    assert_eq!(folder.read("prompts.results.jsonl"), before, "the answers are still there");
    folder.run_at(&api, &RUN).ends_with(0);
    assert_eq!(api.books().batches.created, 1);
    assert_each_once(&folder.read("prompts.results.jsonl"), 30);
}

#[test]
fn a_row_that_changes_while_its_batch_is_open_is_not_sent_until_the_batch_is_collected() {
    let (folder, api) = ready(10, Duration::from_millis(1_500));
    folder.run_at(&api, &[&RUN[..], &["--detach"]].concat()).ends_with(4);
    let changed = rows(10).replace("Say the number 7.", "Say the number seven.");
    std::fs::write(folder.path("prompts.jsonl"), changed).expect("the input can be written");

    let asked = folder.run_at(&api, &RUN);
    let forced = folder.run_at(&api, &[&RUN[..], &["--rerun-changed"]].concat());

    asked.ends_with(2).tells(&["1 row has an answer in", "(or will have one from an open batch), the first is \"r7\""]);
    forced.ends_with(2).tells(&["collect the batches first"]);
    folder.run_at(&api, &["batches", "collect", "prompts.results.jsonl", "--wait"]).ends_with(0);
    folder.run_at(&api, &[&RUN[..], &["--rerun-changed"]].concat()).ends_with(0);
    assert_eq!(api.books().billed_calls, 11, "only the changed row is paid for again");
}

#[test]
fn equal_rows_wait_for_the_answer_of_a_row_in_a_batch_of_an_earlier_run() {
    let (folder, api) = ready(0, Duration::from_millis(1_500));
    let equal: String = rows(6).replace("Say the number 5.", "Say the number 4.");
    std::fs::write(folder.path("prompts.jsonl"), equal).expect("the input can be written");
    let dedupe = [&RUN[..], &["--dedupe"]].concat();

    let left = folder.run_at(&api, &[&dedupe[..], &["--detach"]].concat());
    let collected = folder.run_at(&api, &dedupe);

    left.ends_with(4);
    collected.ends_with(0);
    assert_eq!(api.books().billed_calls, 5, "one of the two equal rows is sent");
    assert_each_once(&folder.read("prompts.results.jsonl"), 6);
}
