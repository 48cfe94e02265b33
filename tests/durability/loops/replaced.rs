//! Kills the real program while answers of changed rows replace earlier answers. Checks that no answer is lost, that
//! each row has one line in the end, and that the totals include the cost of removed lines.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use claude_batch::journal::{RealDisk, read_manifest};
use serde_json::Value;

use super::kills::{Point, has_strace, kill_after, under_strace};
use super::program::{Api, Outcome, Workspace};
use super::{Seen, Size};

const NO_FAULTS: &str = r#"{"rules":[]}"#;
/// The number of rows. Every second row has an id. The requests of these rows change.
const ROWS: usize = 60;
/// The number of output tokens of each answer of [`Api::start`].
const TOKENS: u64 = 40;

/// The calls to the file system that the program makes just before and during the replacement of the results.
const POINTS: &[Point] = &[
    Point { calls: "pwrite64", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.jsonl.claude-batch.tmp" },
    Point { calls: "pwrite64", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "rename,renameat,renameat2", file: "out.jsonl.run/manifest.json.claude-batch.tmp" },
    Point { calls: "fdatasync,fsync", file: "out.jsonl.run" },
    Point { calls: "fdatasync,fsync", file: "" },
];

/// Returns a workspace in which a run has answered every row. After that run, the requests of every second row were
/// changed.
fn changed() -> (Api, Workspace) {
    let (api, workspace) = (Api::start(NO_FAULTS), Workspace::with_rows(ROWS));
    workspace.finish(&api).expect("nothing disturbs it");
    let input = fs::read_to_string(workspace.path("in.jsonl")).expect("it is text");
    let edited = |line: &str| match line.contains("custom_id") {
        true => line.replace(" row ", " changed row "),
        false => line.to_owned(),
    };
    let edited: String = input.split_inclusive('\n').map(edited).collect();
    fs::write(workspace.path("in.jsonl"), edited).expect("it can be written");
    (api, workspace)
}

fn rerun(api: &Api, workspace: &Workspace) -> Command {
    workspace.command(api, &["run", "in.jsonl", "-o", "out.jsonl", "--rerun-changed"])
}

/// Lets the command run to its end. Returns the answers, and how long the run took.
fn undisturbed() -> (BTreeMap<String, Value>, Duration) {
    let (api, workspace) = changed();
    let begun = Instant::now();
    let expected = judge(&api, &workspace, None, "undisturbed");
    let took = begun.elapsed();
    assert_eq!((api.billed(), tokens(&workspace)), ((ROWS + ROWS / 2) as u64, TOKENS * (ROWS + ROWS / 2) as u64));
    (expected, took)
}

/// Lets the command run to its end, and checks the files. Returns the answers.
fn judge(
    api: &Api,
    workspace: &Workspace,
    expected: Option<&BTreeMap<String, Value>>,
    what: &str,
) -> BTreeMap<String, Value> {
    let ended = Outcome::of(rerun(api, workspace));
    assert_eq!(ended.code, Some(0), "{what}: {ended:?}");
    let answers = workspace.answers().unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(answers.len(), ROWS, "{what}: rows are lost");
    assert!(expected.is_none_or(|expected| *expected == answers), "{what}: answers differ from an undisturbed run's");
    let counted = tokens(workspace);
    assert!(counted >= TOKENS * (ROWS + ROWS / 2) as u64, "{what}: {counted} output tokens are counted");
    assert!(!workspace.path("out.jsonl.claude-batch.tmp").exists(), "{what}: a temporary file is left");
    answers
}

/// Returns the sum of the output tokens in the result lines and in the manifest of the run folder.
fn tokens(workspace: &Workspace) -> u64 {
    let text = fs::read_to_string(workspace.path("out.jsonl")).expect("it is text");
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("each line is JSON"));
    let in_lines: u64 = lines.filter_map(|line| line["meta"]["usage"]["output_tokens"].as_u64()).sum();
    let manifest = read_manifest(&workspace.path("out.jsonl.run"), &RealDisk::default()).expect("it can be read");
    in_lines + manifest.map_or(0, |manifest| manifest.carried.usage.output_tokens)
}

/// Kills the command at random moments. Most of these moments are near the end of the command. After each kill, lets
/// the command finish.
pub fn kills(kills: u64, seed: u64) {
    let (expected, took) = undisturbed();
    let mut random = fastrand::Rng::with_seed(seed);
    let mut hit = 0;
    while hit < kills {
        let (api, workspace) = changed();
        let moment = took.mul_f64(1.0 - 0.8 * random.f64().powi(2));
        if kill_after(rerun(&api, &workspace), moment) {
            hit += 1;
            api.settle();
            judge(&api, &workspace, Some(&expected), &format!("seed {seed}, killed after {moment:?}"));
        }
    }
}

/// Kills the command at each write, each sync and each rename in its last two steps. In these steps, the command first
/// saves the totals, and then replaces the results.
fn at_every_step() -> u64 {
    let (expected, _) = undisturbed();
    let mut all = 0;
    for &point in POINTS {
        let before = all;
        for nth in 1.. {
            let (api, workspace) = changed();
            let ended = Outcome::of(under_strace(&rerun(&api, &workspace), &workspace, point, "signal=SIGKILL", nth));
            if ended.code.is_some() {
                assert_eq!(ended.code, Some(0), "{point:?} {nth}: {ended:?}");
                break;
            }
            all += 1;
            api.settle();
            judge(&api, &workspace, Some(&expected), &format!("killed at {point:?} {nth}"));
        }
        assert!(all > before, "no kill at {point:?}: nothing was tried there");
    }
    all
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
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
