//! Checks the runs in a test world against the records of the API and against the files. The judge reads the log of
//! batches with its own code.

use std::collections::{BTreeMap, BTreeSet};

use claude_batch::clock::Instant;
use claude_batch::domain::{LaneChoice, Money, Planned};
use serde_json::Value;

use crate::support::{ERRORS, RESULTS};
use crate::world::{ByLabel, NO_FAULTS, Run, World, label, labels, lines, play, quick};

/// The path of the folder with the files of batches.
const FOLDER: &str = "d/out.jsonl.batches";

/// A row in a batch, according to the API.
#[derive(Clone, Debug)]
pub struct Submission {
    pub batch: String,
    pub created: Instant,
    pub ended: Option<Instant>,
    pub result: &'static str,
    pub is_deleted: bool,
}

/// The counts that the judge found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// The number of charges for rows that had already been charged.
    pub billed_again: u64,
    /// The number of rows that were wrongly sent again: their earlier batch was still open, or had already answered
    /// them.
    pub overlaps: u64,
    /// The number of rows that the log reports as possibly billed twice.
    pub told: u64,
    /// The number of rows that were in flight online when a run died.
    pub died_online: u64,
}

/// Returns the submissions of each row in batches. The submissions are in the order in which the API got them.
pub fn submissions(world: &World) -> BTreeMap<String, Vec<Submission>> {
    let mut all: BTreeMap<String, Vec<Submission>> = BTreeMap::new();
    let names: BTreeMap<String, String> = (0..1_000)
        .map(|number| {
            let job = (world.row)(number).job;
            (format!("{:016x}{:016x}", job.row.label, job.row.key), job.custom_id)
        })
        .collect();
    let now = world.now();
    for batch in world.api().batches(now) {
        for request in batch.requests() {
            let id = request.custom_id.rsplit('-').next().unwrap_or_default();
            let Some(name) = names.get(id) else { continue };
            all.entry(name.clone()).or_default().push(Submission {
                batch: batch.id().to_owned(),
                created: batch.created(),
                ended: batch.ended(),
                result: request.result,
                is_deleted: batch.is_deleted(),
            });
        }
    }
    all
}

/// Returns how many times each row was charged.
pub fn billed(world: &World) -> ByLabel {
    world.api().books().by_id.iter().map(|(id, books)| (id.clone(), books.calls)).collect()
}

/// Returns the records of the log of batches, without a half-written last line.
pub fn log(world: &World) -> Vec<Value> {
    lines(&world.disk, &format!("{FOLDER}/log.jsonl"))
}

/// Reads the log, and returns the numbers of the batches that may exist at the API and are not collected.
pub fn open_chunks(world: &World) -> BTreeSet<u64> {
    let mut open = BTreeSet::new();
    for record in log(world) {
        let chunk = record["chunk"].as_u64();
        match (record["type"].as_str(), chunk) {
            (Some("intent"), Some(chunk)) => _ = open.insert(chunk),
            (Some("refused" | "collected" | "lost"), Some(chunk)) => _ = open.remove(&chunk),
            _ => {}
        }
    }
    open
}

/// Counts the rows that were charged again or sent again, and asserts that the program reported each such row.
pub fn verdict(world: &World, what: &str) -> Verdict {
    let billed = billed(world);
    let billed_again = billed.iter().filter(|(id, _)| *id != "theirs").map(|(_, calls)| calls.saturating_sub(1)).sum();
    let lost = log(world).into_iter().filter(|record| record["type"] == "lost");
    let (told, traffic) = (lost.filter_map(|lost| lost["rows"].as_u64()).sum(), world.traffic());
    let died_online = traffic.died_online.len() as u64;
    let mut overlaps = 0;
    for (name, all) in &submissions(world) {
        let is_open = |one: &Submission, at: Instant| one.ended.is_none_or(|ended| ended > at);
        let overlaps_at = |one: &Submission, at: Instant| {
            one.created < at && (is_open(one, at) || one.result == "succeeded") && !one.is_deleted
        };
        let mut later = all.iter().enumerate().skip(1);
        let is_submitted_twice = later.any(|(at, next)| all[..at].iter().any(|one| overlaps_at(one, next.created)));
        let mut online = traffic.online.iter().filter(|(_, sent)| sent == name);
        let is_sent_online = online.any(|(at, _)| all.iter().any(|one| overlaps_at(one, *at)));
        overlaps += u64::from(is_submitted_twice || is_sent_online);
    }
    let found = Verdict { billed_again, overlaps, told, died_online };
    assert!(billed_again <= told + died_online, "{what}: rows are billed twice and nobody says so: {found:?}");
    assert!(overlaps <= told, "{what}: rows are submitted twice and nobody says so: {found:?}");
    found
}

/// Asserts that each row has exactly one line with the right answer, and that no failed row is left. Also asserts that
/// every batch is collected and that no files of batches are left.
pub fn assert_complete(world: &World, rows: &[u64], answers: &BTreeMap<String, Value>, what: &str) {
    let content = world.disk.content(RESULTS).unwrap_or_default();
    assert!(content.ends_with(b"\n"), "{what}: a half-written line is left");
    let mut seen = BTreeSet::new();
    for line in lines(&world.disk, RESULTS) {
        let name = line["custom_id"].as_str().expect("each line has a label").to_owned();
        assert_eq!(line["result"]["message"]["content"], answers[&name], "{what}: the answer of {name}");
        assert!(seen.insert(name.clone()), "{what}: {name} has two lines");
    }
    let expected: BTreeSet<String> = rows.iter().map(|&row| label(row)).collect();
    let lost: Vec<_> = expected.difference(&seen).collect();
    assert!(lost.is_empty(), "{what}: rows are lost: {lost:?}; failed: {:?}", labels(&world.disk, ERRORS));
    assert_eq!(labels(&world.disk, ERRORS), [""; 0], "{what}: rows are in both files, or failed");
    assert_collected(world, what);
}

/// Asserts that no batch is open, and that no files of batches are left.
pub fn assert_collected(world: &World, what: &str) {
    assert_eq!(open_chunks(world), BTreeSet::new(), "{what}: batches are not collected");
    let left: Vec<_> = world
        .disk
        .paths()
        .into_iter()
        .filter(|path| path.starts_with(FOLDER) && !path.ends_with("log.jsonl"))
        .collect();
    assert!(left.is_empty(), "{what}: files are left: {left:?}");
}

/// Asserts that the API did not charge more than `most`. The batches of other clients do not count.
pub fn assert_within(world: &World, most: Money, what: &str) {
    let api = world.api();
    let theirs = api.books().by_id.get("theirs").map_or(0.0, |theirs| theirs.usd);
    let charged = Money(api.books().billed_money.0 - (theirs * 1e12).round() as u128);
    assert!(charged <= most, "{what}: {charged} were charged, {most} is allowed");
}

/// Returns the answers to these rows. The answers come from a run without faults, in which all rows are sent online.
pub fn answers(rows: &[u64], row: fn(u64) -> Planned) -> BTreeMap<String, Value> {
    let online = || {
        play(NO_FAULTS, quick(), async |world| {
            world.row = row;
            world.run(&Run { lane: LaneChoice::Online, ..Run::of(rows.iter().copied()) }).await;
            let answer = |line: &Value| {
                let name = line["custom_id"].as_str().expect("each line has a label");
                (name.to_owned(), line["result"]["message"]["content"].clone())
            };
            lines(&world.disk, RESULTS).iter().map(answer).collect()
        })
    };
    // A second simulated world needs a thread of its own.
    std::thread::scope(|scope| scope.spawn(online).join()).expect("nothing goes wrong in an undisturbed run")
}
