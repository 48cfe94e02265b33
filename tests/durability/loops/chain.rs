//! Kills runs that use a chain of two providers. The first provider is overloaded for some rows, and breaks off the
//! answers to other rows. Later the first provider rejects the key, so rows move to the second provider at all stages
//! of the run. The next run uses both providers again, or only the first provider, or only the second provider.
//!
//! The records of both simulated APIs show what was charged.

use std::collections::BTreeMap;

use claude_batch::journal::{MemDisk, Start};
use serde_json::Value;

use super::virtual_run::{ERRORS, IN_FLIGHT, Load, NO_FAULTS, RESULTS, Roads, SECOND, label, run, whole_labels};

/// The faults of the first provider.
const FAULTS: &str = r#"{"rules":[
    {"status":529,"contains":"row 1"},
    {"kind":"reset_mid","contains":"tenth","first_attempts_only":true},
    {"status":401,"type":"authentication_error","message":"invalid x-api-key","from":"3s"}
]}"#;

/// The totals of all runs that died.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaths {
    /// The number of times that a run died.
    pub points: u64,
    /// The number of answers that came from the second provider and were written before the runs died.
    pub moved: u64,
    /// The number of paid requests whose answer is in no line.
    pub paid_again: u64,
}

/// For every `step`-th change to the disk, starts a separate run that dies at this change. After each death, another
/// run finishes all rows.
pub fn deaths(rows: u64, step: usize) -> Deaths {
    let mut all = Deaths::default();
    for (at, roads) in (0..).step_by(step).zip([Roads::Two, Roads::One, Roads::Second].into_iter().cycle()) {
        let what = format!("death at change {at}, then {roads:?}");
        let disk = MemDisk::new();
        disk.die_at(at, 700);
        let load = Load { rows, faults: FAULTS, kinds: None, mends: false, roads: Roads::Two };
        let dead = run(&disk, "r1", Start::Continue, load);
        if dead.closed.is_some() && disk.changes() <= at {
            break;
        }
        let disk = disk.after_death();
        let before = providers(&disk);
        let faults = if roads == Roads::Two { FAULTS } else { NO_FAULTS };
        let next = run(&disk, "r2", Start::Continue, Load { faults, roads, ..load });
        assert!(next.closed.is_some() && next.finish.pending == 0, "{what}: {next:?}");

        let after = providers(&disk);
        assert_eq!(whole_labels(&disk, ERRORS), Vec::<String>::new(), "{what}");
        assert_eq!(whole_labels(&disk, RESULTS).len() as u64, rows, "{what}: a row is lost or there twice");
        assert!((0..rows).all(|row| after.contains_key(&label(row))), "{what}");
        assert!(before.iter().all(|(label, provider)| after[label] == *provider), "{what}: an answer was replaced");
        let is_again = |label: &String| before.contains_key(label) && next.billed.contains_key(label);
        assert!(!(0..rows).map(label).any(|label| is_again(&label)), "{what}: an answered row was sent again");
        let paid: u64 = dead.billed.values().chain(next.billed.values()).sum();
        // If a stream breaks off, the answer can be billed, and the row is sent again.
        let broken = (0..rows).filter(|row| row % 10 == 7).count() as u64 * 2;
        // Each provider has a limit of its own on requests in flight.
        assert!(next.dead_in_flight <= 2 * IN_FLIGHT as u64, "{what}: {next:?}");
        assert!(paid - rows <= next.dead_in_flight + broken, "{what}: {} paid for nothing", paid - rows);
        all.points += 1;
        all.moved += before.values().filter(|provider| *provider == SECOND).count() as u64;
        all.paid_again += paid - rows;
    }
    all
}

/// Returns the provider of each answer.
fn providers(disk: &MemDisk) -> BTreeMap<String, String> {
    let content = disk.content(RESULTS).unwrap_or_default();
    let lines = content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let text = |value: &Value| value.as_str().expect("it is a text").to_owned();
    lines.map(|line| (text(&line["custom_id"]), text(&line["meta"]["provider"]))).collect()
}
