//! Tests runs that send only one of several equal requests. The tests let the process die at changes that such a run
//! makes to the disk. The next run copies the answers that the dead run has written.

use std::collections::{BTreeMap, BTreeSet};

use claude_batch::journal::{MemDisk, Start};
use serde_json::Value;

use super::changes::each_death;
use super::virtual_run::{ERRORS, Load, NO_FAULTS, REFUSED_ONCE, RESULTS, Roads, assert_ends, run, whole_labels};

/// The number of different requests. Rows with the same request are of the same kind.
const KINDS: u64 = 20;

fn load(rows: u64) -> Load {
    Load { rows, faults: REFUSED_ONCE, kinds: Some(KINDS), mends: false, roads: Roads::One }
}

/// Plays a run in which the process does not die. Asserts that each different request is paid for once, and that the
/// other rows with this request have copies of its answer.
pub fn undisturbed(rows: u64) {
    let disk = MemDisk::new();

    let run = run(&disk, "r1", Start::Continue, load(rows));

    assert!(run.closed.is_some() && run.finish.pending == 0, "{run:?}");
    let paid: u64 = run.billed.values().sum();
    // A refusal costs nothing. After a refused row, the next row with the same request is sent.
    assert_eq!(paid, KINDS, "{:?}", run.billed);
    let answers = assert_ends(&disk, load(rows), "undisturbed");
    assert_eq!(answers.len() as u64, rows);
    assert_copied(&disk, "undisturbed");
}

/// Makes the process die at every `step`-th change ([`each_death`]). Returns the number of deaths.
pub fn deaths(rows: u64, step: usize, cut: usize) -> u64 {
    let mut deaths = 0;
    each_death(
        step,
        cut,
        || load(rows),
        |disk, _, _, what| {
            deaths += 1;
            let answers = assert_ends(disk, load(rows), what);
            assert_eq!(answers.len() as u64, rows, "{what}");
            assert_copied(disk, what);
        },
    );
    deaths
}

/// Faults that make rows fail, cause retries, lose paid answers, or halt the run.
const FAULTS: [&str; 6] = [
    r#"{"rules":[{"status":400,"share":0.4,"draw":"attempt"}]}"#,
    r#"{"rules":[{"status":529,"share":0.5,"draw":"attempt"}]}"#,
    r#"{"rules":[{"kind":"reset_mid","share":0.5,"draw":"attempt"}]}"#,
    r#"{"rules":[{"status":401,"arrivals":[9]}]}"#,
    r#"{"rules":[{"status":404,"arrivals":[3]}]}"#,
    r#"{"rules":[{"status":402,"arrivals":[1]},{"status":500,"share":0.3,"draw":"attempt"}]}"#,
];

/// Plays a run with API faults. Asserts that each row has a line or is pending (not finished), and that the next runs
/// answer all rows.
pub fn faults(rows: u64) {
    for faults in FAULTS {
        let disk = MemDisk::new();

        let first = run(&disk, "r1", Start::Continue, Load { faults, ..load(rows) });

        let written: usize = [RESULTS, ERRORS].into_iter().map(|path| whole_labels(&disk, path).len()).sum();
        assert_eq!(written as u64 + first.finish.pending, rows, "{faults}: {:?}", first.finish);
        let answers = assert_ends(&disk, Load { faults: NO_FAULTS, ..load(rows) }, faults);
        assert_eq!(answers.len() as u64, rows, "{faults}");
        assert_copied(&disk, faults);
    }
}

/// Asserts that all rows with the same request have the same answer. Also asserts that only one of these rows has a
/// cost. Answers that were lost when the process died are not counted.
fn assert_copied(disk: &MemDisk, what: &str) {
    let content = String::from_utf8(disk.content(RESULTS).expect("there are results")).expect("it is text");
    let lines: Vec<Value> = content.lines().map(|line| serde_json::from_str(line).expect("a line")).collect();
    let mut messages: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for line in &lines {
        let key = line["meta"]["key"].as_str().expect("a key");
        messages.entry(key).or_default().insert(line["result"]["message"].to_string());
        let is_copy = line["meta"].get("copied_from").is_some();
        assert_eq!(is_copy, line["meta"]["attempts"] == 0, "{what}: {line}");
        assert!(!is_copy || line["meta"]["cost_usd"] == 0, "{what}: {line}");
    }
    assert!(messages.values().all(|messages| messages.len() == 1), "{what}: rows with one request differ");
    let sent = lines.iter().filter(|line| line["meta"]["attempts"] != 0).count();
    assert_eq!(sent as u64, KINDS, "{what}: written answers that were paid for");
}
