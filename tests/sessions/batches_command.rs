//! Tests the command `batches`, with the batches of real runs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use claude_batch::sim::config::{BatchConfig, BatchTime};
use claude_batch::sim::faults::FaultPlan;
use serde_json::Value;

use crate::hostile::{Hostile, response};
use crate::support::*;

const STUCK: BatchTime = BatchTime::Stuck;
/// The time that a batch takes. This time is so long that a run can end before its batches end.
const SOON: BatchTime = BatchTime::Fixed(Duration::from_secs(2));

#[test]
fn the_batches_of_a_run_are_listed_with_their_states() {
    let (folder, api) = detached(STUCK);

    let open = folder.run_at(&api, &["batches", "list", "prompts.jsonl"]);
    let json = document(&folder.run_at(&api, &["batches", "list", "prompts.results.jsonl", "--json"]));

    open.ends_with(0).tells(&["claude-batch batches collect prompts.results.jsonl --wait"]);
    assert_eq!(open.out.lines().count(), 3, "{}", open.out);
    assert!(open.out.contains("in progress") && !open.out.contains("counts"), "{}", open.out);
    assert_eq!((&json["v"], &json["origin"]), (&1.into(), &api.url.as_str().into()));
    assert_eq!(members(&json, "state"), ["in_progress", "in_progress"]);
    assert_eq!((members(&json, "rows"), members(&json, "chunk")), (vec![10.into(); 2], vec![0.into(), 1.into()]));
    assert_eq!(members(&json, "counts"), [Value::Null, Value::Null], "the API hides them until the end");
    assert_eq!(members(&json, "run"), ["prompts.results.jsonl"; 2]);
    assert!(members(&json, "reserved_usd").iter().all(|most| most.as_f64().is_some_and(|most| most > 0.0)));
}

#[test]
fn ended_batches_have_counts_and_a_command_that_collects_them() {
    let (folder, api) = detached(SOON);

    wait_for(&folder, &api, "ended");
    let ended = folder.run_at(&api, &["batches", "list", "prompts.jsonl"]);
    let by_folder = folder.run_at(&api, &["batches", "list", "prompts.results.jsonl.batches"]);

    ended.ends_with(0).tells(&["2 batches have ended", "claude-batch batches collect prompts.results.jsonl"]);
    assert_eq!(ended.out.matches("10 succeeded").count(), 2, "{}", ended.out);
    by_folder.ends_with(0);
    assert_eq!(by_folder.out.lines().count(), 3);
}

#[test]
fn without_a_key_or_a_server_the_list_shows_the_content_of_the_log() {
    let (folder, api) = detached(STUCK);
    let body = br#"{"type":"error","error":{"type":"permission_error","message":"no sk-ant-canary here"}}"#;
    let forbidden = Hostile::always(response(403, &[("content-type", "application/json")], body));

    let keyless = folder.run(&["batches", "list", "prompts.jsonl", "--base-url", &api.url]);
    let elsewhere = folder.run_at(&Api::quick(), &["batches", "list", "prompts.jsonl"]);
    drop(api);
    let mut command = folder.command(&["batches", "list", "--base-url", &forbidden.url]);
    let refused = Said::of(command.env("ANTHROPIC_API_KEY", CANARY).output().expect("it starts"));

    keyless.ends_with(0).tells(&["unknown", "no key"]);
    elsewhere.ends_with(2).tells(&["unknown", "--base-url"]);
    for said in [&keyless, &elsewhere] {
        assert_eq!(said.out.matches("unknown").count(), 2, "{}", said.out);
    }
    refused.ends_with(5).tells(&["403", "user:batch"]);
}

#[test]
fn the_workspace_has_the_batches_of_all_runs() {
    let (folder, api) = detached(STUCK);
    let other = Folder::with_rows(4);
    other.run_at(&api, &["run", "prompts.jsonl", "--lane", "batch", "--detach"]);

    let all = document(&folder.run_at(&api, &["batches", "list", "--json"]));
    let one = folder.run_at(&api, &["batches", "list", "--limit", "1"]);

    assert_eq!(members(&all, "rows"), [3, 10, 10], "the newest first");
    let run = Value::from("prompts.results.jsonl");
    assert_eq!(members(&all, "run"), [Value::Null, run.clone(), run]);
    assert_eq!(all["has_more"], false);
    one.ends_with(0).tells(&["older batches", "--limit"]);
    assert_eq!(one.out.lines().count(), 2);
}

#[test]
fn a_batch_is_shown_with_its_times_and_its_run() {
    let (folder, api) = detached(STUCK);
    let listed = document(&folder.run_at(&api, &["batches", "list", "prompts.jsonl", "--json"]));
    let ids = members(&listed, "id");
    let id = ids[1].as_str().expect("it has an id");

    let one = folder.run_at(&api, &["batches", "show", id]);
    let all = folder.run_at(&api, &["batches", "show", "prompts.jsonl"]);
    let none = folder.run_at(&api, &["batches", "show", "msgbatch_none"]);

    one.ends_with(0);
    for part in [id, "in progress", "rows", "10", "expires", "prompts.results.jsonl, chunk 1", "at most $", "--wait"] {
        assert!(one.out.contains(part), "{part}: {}", one.out);
    }
    all.ends_with(0);
    assert_eq!(all.out.matches("msgbatch_").count(), 2, "{}", all.out);
    none.ends_with(2).tells(&["does not know batch msgbatch_none", "404", "batches list"]);
}

#[test]
fn a_run_without_batches_and_a_damaged_log_are_named() {
    let folder = Folder::with_rows(2);
    let api = Api::quick();
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);

    let none = folder.run_at(&api, &["batches", "list", "prompts.jsonl"]);
    let nothing = folder.run_at(&api, &["batches", "show", "nothing.jsonl"]);
    folder.write("prompts.results.jsonl.batches/log.jsonl", "{\"v\":1,\"type\":\"new\"}\n{}\n");
    let damaged = folder.run_at(&api, &["batches", "list", "prompts.jsonl"]);

    none.ends_with(2).tells(&["prompts.results.jsonl: this run has no batches", "--lane batch"]);
    nothing.ends_with(2).tells(&["nothing.jsonl: no such file"]);
    damaged.ends_with(2).tells(&["log.jsonl:1", "damaged"]);
}

#[test]
fn collect_writes_the_results_of_ended_batches_and_sends_nothing() {
    let (folder, api) = detached(SOON);
    wait_for(&folder, &api, "ended");

    let collected = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);
    let again = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);
    let run = folder.run_at(&api, &["run", "prompts.jsonl", "--lane", "batch"]);

    collected.ends_with(0).tells(&["collecting 2 batches with 20 rows", "21 of 21 answered (this run: 20)"]);
    again.ends_with(0).tells(&["nothing to do", "collected", "prompts.results.jsonl"]);
    run.ends_with(0).tells(&["nothing to do", "21 rows"]);
    let results = folder.read("prompts.results.jsonl");
    assert_each_once(&results, 21);
    assert_eq!(results.matches(r#""lane":"batch""#).count(), 20);
    let books = api.books();
    assert_eq!(books.requests - books.batches.calls.values().sum::<u64>(), 1, "only the first row was sent online");
    assert_eq!(books.batches.created, 2);
    let listed = document(&folder.run_at(&api, &["batches", "list", "prompts.jsonl", "--json"]));
    assert_eq!(members(&listed, "state"), ["collected", "collected"]);
    assert_eq!(members(&listed, "is_open"), [false, false]);
}

#[test]
fn collect_leaves_open_batches_alone_or_waits_for_them() {
    let (folder, api) = detached(BatchTime::Fixed(Duration::from_secs(4)));

    let early = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);
    let before = folder.read("prompts.results.jsonl");
    let waited = folder.run_at(&api, &["batches", "collect", "prompts.jsonl", "--wait"]);

    early.ends_with(4).tells(&["nothing was collected", "2 batches with 20 rows have not ended", "--wait"]);
    assert_eq!(ids(&before), ["r0"]);
    waited.ends_with(0).tells(&["21 of 21 answered (this run: 20)"]);
    assert_each_once(&folder.read("prompts.results.jsonl"), 21);
}

#[test]
fn rows_that_must_be_sent_again_are_left_for_the_next_run() {
    let faults = r#"{"rules": [
        {"kind": "request_errored", "type": "overloaded_error", "contains": "number 3.", "times": 1},
        {"kind": "request_errored", "type": "invalid_request_error", "contains": "number 4.", "times": 1}]}"#;
    let (folder, api) = detached_from(SOON, faults);
    wait_for(&folder, &api, "ended");

    let collected = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);
    let failed = ids(&folder.read("prompts.errors.jsonl"));
    let again = folder.run_at(&api, &["run", "prompts.jsonl", "-o", "prompts.results.jsonl", "--lane", "online"]);

    let command = "claude-batch run prompts.jsonl -o prompts.results.jsonl --lane batch";
    collected.ends_with(3).tells(&["1 row must be sent again", command]);
    assert_eq!(failed, ["r4"]);
    again.ends_with(3).tells(&["1 failed", "(this run: 1)"]);
    assert_eq!(ids(&folder.read("prompts.results.jsonl")).len(), 20);
}

#[test]
fn collect_ends_and_says_why_the_results_of_ended_batches_cannot_be_read() {
    let faults = r#"{"rules": [{"calls": ["results"], "status": 400, "error_code": "cmek_key_disabled",
        "message": "The key is disabled."}]}"#;
    let (folder, api) = detached_from(SOON, faults);
    wait_for(&folder, &api, "ended");

    let collected = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);

    let why = "can't be read (status 400, cmek_key_disabled: The key is disabled.)";
    collected.ends_with(5).tells(&[why, "2 batches with 20 rows have ended, and their answers are not collected"]);
    assert!(!collected.err.contains("keep running") && !collected.err.contains("batches cancel"), "{}", collected.err);
}

#[test]
fn canceled_batches_keep_the_answers_that_were_finished() {
    let (folder, api) = detached(BatchTime::Fixed(Duration::from_secs(3_600)));

    let unasked = folder.run_at(&api, &["batches", "cancel", "prompts.jsonl"]);
    let unknown = folder.run_at(&api, &["batches", "cancel", "prompts.jsonl", "msgbatch_none", "--yes"]);
    let canceled = folder.run_at(&api, &["batches", "cancel", "prompts.jsonl", "--yes"]);
    let again = folder.run_at(&api, &["batches", "cancel", "prompts.jsonl", "--yes"]);
    wait_for(&folder, &api, "ended");
    let collected = folder.run_at(&api, &["batches", "collect", "prompts.jsonl"]);

    unasked.ends_with(2).tells(&["2 batches with 20 rows", "--yes"]);
    unknown.ends_with(2).tells(&["msgbatch_none", "not a batch of prompts.results.jsonl"]);
    canceled.ends_with(0).tells(&["billed", "claude-batch batches collect prompts.results.jsonl --wait"]);
    assert_eq!(canceled.err.matches("being canceled").count(), 2, "{}", canceled.err);
    again.ends_with(0).tells(&["nothing to cancel"]);
    let log = folder.read("prompts.results.jsonl.batches/log.jsonl");
    assert_eq!(log.matches(r#""type":"canceling""#).count(), 2, "{log}");
    collected.ends_with(3).tells(&["20 rows must be sent again"]);
    assert_eq!((api.books().batches.created, ids(&folder.read("prompts.results.jsonl")).len()), (2, 1));
}

#[test]
fn one_batch_can_be_canceled() {
    let (folder, api) = detached(STUCK);
    let listed = document(&folder.run_at(&api, &["batches", "list", "prompts.jsonl", "--json"]));
    let id = members(&listed, "id")[1].as_str().expect("it has an id").to_owned();

    folder.run_at(&api, &["batches", "cancel", "prompts.jsonl", &id, "--yes"]).ends_with(0);

    let listed = document(&folder.run_at(&api, &["batches", "list", "prompts.jsonl", "--json"]));
    let states = members(&listed, "state");
    assert_eq!(states[0], "in_progress");
    assert!(states[1] == "canceling" || states[1] == "ended", "{states:?}");
}

#[test]
fn a_run_in_progress_keeps_its_batches() {
    let (folder, api) = detached(STUCK);
    let mut run = folder.command_at(&api, &["run", "prompts.jsonl", "--lane", "batch"]).spawn().expect("it starts");
    while !folder.path("prompts.results.jsonl.run/holder").exists()
        || folder.read("prompts.results.jsonl.run/holder").trim() != run.id().to_string()
    {
        std::thread::sleep(Duration::from_millis(5));
    }

    let canceled = folder.run_at(&api, &["batches", "cancel", "prompts.jsonl", "--yes"]);
    let collected = folder.run_at(&api, &["batches", "collect", "prompts.jsonl", "--wait"]);

    run.kill().expect("it can be ended");
    run.wait().expect("it ends");
    canceled.ends_with(2).tells(&["is in progress", "Ctrl-C", &run.id().to_string()]);
    collected.ends_with(2).tells(&["prompts.results.jsonl", &run.id().to_string()]);
    assert_eq!(api.books().batches.calls.get("cancel"), None);
}

#[test]
fn a_batch_whose_record_was_lost_is_adopted() {
    let (folder, api) = detached(SOON);
    let listed = document(&folder.run_at(&api, &["batches", "list", "prompts.jsonl", "--json"]));
    let ids_of_batches = members(&listed, "id");
    let [first, second] = [0, 1].map(|at| ids_of_batches[at].as_str().expect("it has an id"));
    let early = folder.run_at(&api, &["batches", "adopt", first, "prompts.jsonl"]);
    wait_for(&folder, &api, "ended");
    let known = folder.run_at(&api, &["batches", "adopt", first, "prompts.jsonl"]);
    std::fs::remove_dir_all(folder.path("prompts.results.jsonl.batches")).expect("it is there");

    let adopted = folder.run_at(&api, &["batches", "adopt", first, "prompts.jsonl"]);
    let again = folder.run_at(&api, &["batches", "adopt", first, "prompts.jsonl"]);
    folder.write("other.jsonl", "{\"custom_id\":\"x\",\"prompt\":\"a\"}\n");
    let other = folder.run_at(&api, &["batches", "adopt", second, "other.jsonl"]);
    let second = folder.run_at(&api, &["batches", "adopt", second, "prompts.jsonl"]);
    let run = folder.run_at(&api, &["run", "prompts.jsonl", "--lane", "batch"]);

    early.ends_with(4).tells(&["has not ended", "within an hour", "again"]);
    known.ends_with(2).tells(&["is an open batch of prompts.results.jsonl", "collect"]);
    adopted.ends_with(0).tells(&["10 answers are taken", "11 of 21 answered (this run: 10), 10 pending"]);
    again.ends_with(0).tells(&["0 answers are taken", "10 rows have an answer already"]);
    other.ends_with(2).tells(&["10 answers belong to no row of the input"]);
    second.ends_with(0).tells(&["10 answers are taken"]);
    run.ends_with(0).tells(&["nothing to do"]);
    let results = folder.read("prompts.results.jsonl");
    assert_each_once(&results, 21);
    assert_eq!((results.matches(r#""lane":"batch""#).count(), api.books().batches.created), (20, 2));
    let spent: f64 = results.lines().filter_map(cost_of).sum();
    assert!((spent - api.books().billed_usd).abs() < 1e-9, "{spent} {}", api.books().billed_usd);
}

#[test]
fn a_batch_of_another_program_is_adopted_by_the_names_of_rows() {
    let api = Api::new(
        quick().with_batches(BatchConfig { time: BatchTime::Fixed(Duration::ZERO), ..BatchConfig::default() }),
    );
    let folder = Folder::with_rows(3);
    let request = |id: &str| {
        format!(
            r#"{{"custom_id":"{id}","params":{{"model":"claude-haiku-4-5","max_tokens":9,"messages":[{{"role":"user","content":"a"}}]}}}}"#
        )
    };
    let body = format!(r#"{{"requests":[{},{}]}}"#, request("r1"), request("nobody"));
    let id = create(&api, &body);

    let adopted = folder.run_at(&api, &["batches", "adopt", &id, "prompts.jsonl"]);

    adopted.ends_with(0).tells(&["1 answer is taken", "1 answer belongs to no row"]);
    assert_eq!(ids(&folder.read("prompts.results.jsonl")), ["r1"]);
    folder.run_at(&api, &["run", "prompts.jsonl"]).ends_with(0);
    assert_each_once(&folder.read("prompts.results.jsonl"), 3);
}

/// Reads the cost of a row, in dollars, from its line.
fn cost_of(line: &str) -> Option<f64> {
    serde_json::from_str::<Value>(line).expect("it is JSON")["meta"]["cost_usd"].as_f64()
}

/// Creates a batch as another program would. Returns the id of the batch.
fn create(api: &Api, body: &str) -> String {
    let host = api.url.strip_prefix("http://").expect("it is on this machine");
    let mut stream = TcpStream::connect(host).expect("it listens");
    let head = format!(
        "POST /v1/messages/batches HTTP/1.1\r\nhost: {host}\r\nx-api-key: {CANARY}\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).expect("it reads");
    let mut reply = String::new();
    stream.read_to_string(&mut reply).expect("it answers");
    let at = reply.find("msgbatch_").unwrap_or_else(|| panic!("{reply}"));
    reply[at..].chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect()
}

/// Returns a folder and an API. In the folder, a run of 21 rows has ended and left two open batches of 10 rows each.
/// The first row was sent online.
fn detached(time: BatchTime) -> (Folder, Api) {
    detached_from(time, r#"{"rules": []}"#)
}

/// Returns the same folder and API as [`detached`], with these faults of the API.
fn detached_from(time: BatchTime, faults: &str) -> (Folder, Api) {
    let batches = BatchConfig { time, cancel_time: Duration::ZERO, ..BatchConfig::default() };
    let faults = FaultPlan::parse(faults, "faults").expect("a fault plan");
    let api = Api::new(quick().with_batches(batches).with_faults(faults));
    let folder = Folder::with_rows(21);
    folder.run_at(&api, &["run", "prompts.jsonl", "--lane", "batch", "--batch-rows", "10", "--detach"]);
    (folder, api)
}

fn document(said: &Said) -> Value {
    serde_json::from_str(&said.out).unwrap_or_else(|error| panic!("{error}: {}\n{}", said.out, said.err))
}

/// Returns, for each batch in a document, the value of one member.
fn members(document: &Value, name: &str) -> Vec<Value> {
    let batches = document["batches"].as_array().expect("it has batches");
    batches.iter().map(|batch| batch[name].clone()).collect()
}

/// Waits until all batches of the run are in this state.
fn wait_for(folder: &Folder, api: &Api, state: &str) {
    loop {
        let listed = document(&folder.run_at(api, &["batches", "list", "prompts.jsonl", "--json"]));
        if members(&listed, "state").iter().all(|own| own == state) {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
