//! Kills the real program while answers of changed rows replace earlier answers. No answer is lost, each row has one
//! line in the end, and the totals still include the cost of removed lines.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use claude_batch::journal::{RealDisk, read_manifest};
use serde_json::Value;

use super::kills::{Point, has_strace, kill_after, meddled};
use super::program::{Api, Outcome, Place};
use super::{Seen, Size};

const NO_FAULTS: &str = r#"{"rules":[]}"#;
/// Number of rows. Every second row has a name, and its request changes.
const ROWS: usize = 60;
/// Output tokens of each answer of [`Api::start`].
const TOKENS: u64 = 40;

/// System calls on files. The program makes them while it replaces the results, and just before that.
const POINTS: &[Point] = &[
    Point { calls: "pwrite64", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "pwrite64", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.run" },
    Point { calls: "fdatasync,fsync", file: "" },
];

/// A place where every row is answered. Since then, every second row has changed.
fn changed() -> (Api, Place) {
    let (api, place) = (Api::start(NO_FAULTS), Place::with_rows(ROWS));
    place.finish(&api).expect("nothing disturbs it");
    let input = fs::read_to_string(place.path("in.jsonl")).expect("it is text");
    let edited = |line: &str| match line.contains("custom_id") {
        true => line.replace(" row ", " changed row "),
        false => line.to_owned(),
    };
    let edited: String = input.split_inclusive('\n').map(edited).collect();
    fs::write(place.path("in.jsonl"), edited).expect("it can be written");
    (api, place)
}

fn rerun(api: &Api, place: &Place) -> Command {
    place.command(api, &["run", "in.jsonl", "-o", "out.jsonl", "--rerun-changed"])
}

/// Runs the command and does not kill it. Returns the answers, and how long the run took.
fn undisturbed() -> (BTreeMap<String, Value>, Duration) {
    let (api, place) = changed();
    let begun = Instant::now();
    let expected = judge(&api, &place, None, "undisturbed");
    let took = begun.elapsed();
    assert_eq!((api.billed(), tokens(&place)), ((ROWS + ROWS / 2) as u64, TOKENS * (ROWS + ROWS / 2) as u64));
    (expected, took)
}

/// Lets the command run to its end, does not kill it, and checks the files. Returns the answers.
fn judge(api: &Api, place: &Place, expected: Option<&BTreeMap<String, Value>>, what: &str) -> BTreeMap<String, Value> {
    let ended = Outcome::of(rerun(api, place));
    assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
    let answers = place.answers().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answers.len(), ROWS, "{what}: rows are lost");
    assert!(expected.is_none_or(|expected| *expected == answers), "{what}: answers differ from an undisturbed run's");
    let counted = tokens(place);
    assert!(counted >= TOKENS * (ROWS + ROWS / 2) as u64, "{what}: {counted} output tokens are counted");
    assert!(!place.path("out.jsonl.claude-batch.tmp").exists(), "{what}: a temporary file is left");
    answers
}

/// Returns the sum of the output tokens in the result lines and in the run folder's manifest.
fn tokens(place: &Place) -> u64 {
    let text = fs::read_to_string(place.path("out.jsonl")).expect("it is text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let in_lines: u64 = lines.filter_map(|line| line["meta"]["usage"]["output_tokens"].as_u64()).sum();
    let manifest = read_manifest(&place.path("out.jsonl.run"), &RealDisk::default()).expect("it can be read");
    in_lines + manifest.map_or(0, |manifest| manifest.carried.usage.output_tokens)
}

/// Kills the command at random moments, most of them near its end. After each kill, lets the command finish.
pub fn kills(kills: u64, seed: u64) {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut hit = 0;
    while hit < kills {
        let (api, place) = changed();
        let moment = took.mul_f64(1.0 - 0.8 * random.f64().powi(2));
        if kill_after(rerun(&api, &place), moment) {
            hit += 1;
            api.settle();
            judge(&api, &place, Some(&expected), &format!("seed {seed}, killed after {moment:?}"));
        }
    }
}

/// Kills the command at each write, sync and rename of two steps: it saves the sums, and then it replaces the results.
fn at_every_step() -> u64 {
    let (expected, _) = undisturbed();
    let mut all = 0;
    for &point in POINTS {
        let before = all;
        for nth in 1.. {
            let (api, place) = changed();
            let ended = Outcome::of(meddled(&rerun(&api, &place), &place, point, "signal=SIGKILL", nth));
            if ended.code.is_some() {
                assert_eq!(ended.code, Some(0), "{point:?} {nth}: {ended:?}");
                break;
            }
            all += 1;
            api.settle();
            judge(&api, &place, Some(&expected), &format!("killed at {point:?} {nth}"));
        }
        assert!(all > before, "no kill at {point:?}: nothing was tried there");
    }
    all
}

/// Returns the lines of this loop for the page.
pub fn page(size: Size) -> Vec<Seen> {
    let random = size.pick(5, 200);
    kills(random, 3);
    let traced = match has_strace() {
        true => format!("{} at every write, sync and rename of the replacement (strace)", at_every_step()),
        false => "none by strace: NOT INSTALLED".to_owned(),
    };
    vec![Seen::new(
        "kills while answers of changed rows replace earlier ones (real program)",
        "lost 0; one line per row at the end; no cost forgotten",
        format!("{random} random moments, {traced}: 0 lost, one line per row, no cost forgotten"),
    )]
}
