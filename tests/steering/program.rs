//! Tests whole sessions of the program: a run, and `ctl` from another terminal.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::session::*;

const ROWS: usize = 60;
const RUN: [&str; 5] = ["run", "prompts.jsonl", "--tier", "none", "-c8"];
/// The longest allowed time until an order is acknowledged. This time includes the start of the program.
const SOON: Duration = Duration::from_secs(1);
/// The number of random moments that are tried.
const MOMENTS: u64 = 24;

/// Starts a run of [`ROWS`] rows, and waits until the run accepts requests of `ctl` and has sent some rows.
fn started(folder: &Folder, api: &Api, args: &[&str]) -> Child {
    let child = folder.command_at(api, &[&RUN, args].concat()).spawn().expect("it starts");
    api.wait_for_requests(3);
    child
}

fn ctl(folder: &Folder, words: &[&str]) -> Said {
    folder.run(&[&["ctl", "prompts.jsonl"], words].concat())
}

#[test]
fn a_run_is_paused_and_resumed_and_then_finishes() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    let child = started(&folder, &api, &[]);

    let paused = ctl(&folder, &["pause"]);
    let again = ctl(&folder, &["pause"]);
    let sent = api.books().requests;
    std::thread::sleep(Duration::from_millis(300));
    let later = api.books().requests;
    let resumed = ctl(&folder, &["resume"]);
    let said = finish(child);

    assert!(paused.ends_with(0).out.starts_with("paused: nothing is sent"), "{}", paused.out);
    assert!(again.ends_with(0).out.contains("already paused"), "{}", again.out);
    assert_eq!((sent, sent < ROWS as u64), (later, true), "nothing is sent during a pause");
    assert!(resumed.ends_with(0).out.contains("resumed"), "{}", resumed.out);
    said.ends_with(0).tells(&["paused: nothing is sent", "resumed"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn drain_waits_for_the_requests_in_flight_and_stop_does_not() {
    for (verb, latency) in [("drain", Duration::from_millis(60)), ("stop", Duration::from_secs(3_600))] {
        let (folder, api) = (Folder::with_rows(ROWS), Api::slow(latency));
        let child = started(&folder, &api, &[]);

        let told = ctl(&folder, &[verb]);
        let said = finish(child);
        let after = ctl(&folder, &[verb]);

        told.ends_with(0);
        assert!(told.out.contains("in flight") || told.out.contains("cut off"), "{verb}: {}", told.out);
        said.ends_with(4);
        let answered = ids(&folder.read("prompts.results.jsonl")).len() as u64;
        if verb == "drain" {
            assert_eq!(answered, api.books().billed_calls, "all answers in flight were waited for");
            folder.run_at(&api, &RUN).ends_with(0);
            assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
        }
        after.ends_with(2).tells(&["not running: it has ended", "type the run's command again"]);
    }
}

#[test]
fn a_setting_is_changed_and_the_answer_says_what_is_in_force() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    let child = started(&folder, &api, &[]);
    ctl(&folder, &["pause"]).ends_with(0);

    let told: Vec<String> = [
        "headroom=50%",
        "rpm=60000",
        "concurrency=4",
        "tier=2",
        "max-time=8h",
        "max-requests=1000",
        "headroom=default",
    ]
    .map(|setting| ctl(&folder, &["set", setting]).ends_with(0).out.trim().to_owned())
    .into();
    let unpriced = ctl(&folder, &["set", "concurrency=10001"]);
    let budget = ctl(&folder, &["set", "budget=40"]);
    ctl(&folder, &["resume"]).ends_with(0);
    let said = finish(child);

    assert_eq!(
        told,
        [
            "headroom is 50% (was auto)",
            "rpm is 60,000 (was not set)",
            "concurrency is 4 (was 8)",
            "tier is 2 (was none)",
            "max-time is 8 h 00 min (was not set)",
            "max-requests is 1,000 (was not set)",
            "headroom is auto (was 50%)",
        ]
    );
    unpriced.ends_with(2).tells(&["concurrency=10001", "1 to 10000"]);
    assert!(budget.ends_with(0).out.contains("max-cost is $40"), "{}", budget.out);
    said.ends_with(0).tells(&["headroom is 50% (was auto)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn a_schedule_applies_from_the_first_row_on_and_a_later_ctl_wins() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(30)));
    let args = [&RUN[..], &["--schedule", "0:00-24:00 pause concurrency=2"]].concat();
    let child = folder.command_at(&api, &args).spawn().expect("it starts");

    wait_for(&folder, "prompts.results.jsonl.run/process");
    let before = api.books().requests;
    let set = ctl(&folder, &["set", "concurrency=default"]);
    ctl(&folder, &["resume"]).ends_with(0);
    let said = finish(child);

    assert_eq!(before, 0);
    assert_eq!(set.ends_with(0).out.trim(), "concurrency is 8 (was 2)");
    said.ends_with(0).tells(&["concurrency is 2 (was 8)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

#[test]
fn a_wrong_schedule_is_refused_with_the_word_that_is_wrong() {
    let folder = Folder::with_rows(1);

    let said = folder.run(&["run", "prompts.jsonl", "--simulate", "--schedule", "mon-fry 9:00-18:00 headroom=50%"]);

    said.ends_with(2).tells(&["--schedule", "\"fry\"", "mon-fri"]);
    assert_eq!(folder.names(), ["prompts.jsonl"]);
}

#[test]
fn at_random_moments_an_order_is_acknowledged_within_a_second_and_nothing_is_lost() {
    for moment in 0..MOMENTS {
        let mut rng = fastrand::Rng::with_seed(moment);
        let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(40)));
        let child = started(&folder, &api, &[]);
        std::thread::sleep(Duration::from_millis(rng.u64(0..100)));
        let words = [&["pause"][..], &["set", "headroom=20%"], &["set", "rpm=100k"], &["drain"]];

        let begin = Instant::now();
        let told = ctl(&folder, words[rng.usize(0..4)]);
        let took = begin.elapsed();
        ctl(&folder, &["resume"]);
        finish(child);
        folder.run_at(&api, &RUN);

        // The run may have ended before the order came.
        assert!(told.code == Some(0) || told.err.contains("ended"), "seed {moment}: {}", told.err);
        assert!(took <= SOON, "seed {moment}: {took:?}");
        assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
        assert_eq!(api.books().billed_again, 0, "seed {moment}");
    }
}

#[test]
fn a_killed_run_is_distinguished_from_a_run_that_has_ended() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(100)));
    let mut child = started(&folder, &api, &[]);
    child.kill().expect("it can be killed");
    child.wait().expect("it ends");

    let said = ctl(&folder, &["pause"]);
    let on = folder.run_at(&api, &RUN);

    said.ends_with(2).tells(&["not running: it was killed", "type the run's command again"]);
    on.ends_with(0);
}

#[test]
fn the_message_says_why_a_run_can_not_be_reached() {
    let folder = Folder::with_rows(2);

    ctl(&folder, &["pause"]).ends_with(2).tells(&["no results"]);
    folder.run(&["ctl", "-", "pause"]).ends_with(2).tells(&["standard output", "no run folder"]);
    ctl(&folder, &["hold"]).ends_with(2).tells(&["\"hold\"", "pause, resume, drain, stop, set"]);
    ctl(&folder, &["set"]).ends_with(2).tells(&["concurrency, tier"]);
    folder.run(&["ctl", "prompts.jsonl"]).ends_with(2);
}

#[test]
fn a_run_continues_when_a_folder_has_the_name_of_a_request() {
    let (folder, api) = (Folder::with_rows(4), Api::quick());
    folder.run_at(&api, &[&RUN[..], &["--limit", "1"]].concat()).ends_with(0);
    folder.write("prompts.results.jsonl.run/ctl.request/file", "");

    let said = folder.run_at(&api, &RUN);

    said.ends_with(0).tells(&["ctl can't reach this run", "ctl.request"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 4);
}

#[test]
fn planted_requests_do_not_disturb_a_run() {
    let (folder, api) = (Folder::with_rows(ROWS), Api::slow(Duration::from_millis(60)));
    let mut child = started(&folder, &api, &[]);
    let name = "prompts.results.jsonl.run/ctl.request";
    let mut planted = 0;
    while child.try_wait().expect("it can be asked").is_none() {
        if !folder.path(name).exists() {
            let id = "0".repeat(32);
            folder.write(name, &format!("{{\"v\":1,\"process\":\"{id}\",\"id\":\"{id}\",\"verb\":\"stop\"}}\n"));
            planted += 1;
        }
        std::thread::sleep(Duration::from_millis(1));
    }

    let said = finish(child);

    assert!(planted > 2, "{planted}");
    said.ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), ROWS);
}

/// Waits until a file exists.
fn wait_for(folder: &Folder, name: &str) {
    while !folder.path(name).exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
}
