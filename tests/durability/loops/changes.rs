//! Makes the disk fail or the process die at each change that a run makes to the disk. After each failure of the disk
//! or death of the process, the next run resumes.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use claude_batch::journal::{MemDisk, Start};
use serde_json::Value;

use super::virtual_run::{IN_FLIGHT, Load, REFUSED_ONCE, Roads, Virtual, assert_ends, assert_kept, run};
use super::{Seen, Size};

fn load(rows: u64) -> Load {
    Load { rows, faults: REFUSED_ONCE, kinds: None, mends: false, roads: Roads::One }
}

fn undisturbed(rows: u64) -> BTreeMap<String, Value> {
    let disk = MemDisk::new();
    run(&disk, "r1", Start::Continue, load(rows));
    assert_ends(&disk, load(rows), "undisturbed")
}

/// The totals of all runs. Each run was disturbed once: the disk failed or the process died.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disturbed {
    /// The number of runs.
    pub points: u64,
    /// The number of rows that were charged twice.
    pub twice: u64,
    /// The number of rows that were charged and have no line.
    pub unwritten: u64,
    /// The number of rows that the next run, at its start, reports as possibly paid.
    pub reported: u64,
}

/// Makes the process die at every `step`-th change, with a separate run for each death. If the change is a write, only
/// the first `cut` bytes of the write reach the disk. After each death, a second run finishes the rows. The second run
/// must report every row that was paid twice. Calls `check` with the disk, the run that died, the second run, and a
/// message for failed assertions.
pub fn each_death(
    step: usize,
    cut: usize,
    load: impl Fn() -> Load,
    mut check: impl FnMut(&MemDisk, &Virtual, &Virtual, &str),
) {
    for at in (0..).step_by(step) {
        let what = format!("death at change {at}, cut at {cut}");
        let disk = MemDisk::new();
        disk.die_at(at, cut);
        let dead = run(&disk, "r1", Start::Continue, load());
        if dead.closed.is_some() {
            break;
        }
        let disk = disk.after_death();
        assert_kept(&disk, &dead.reported, &what);
        let next = run(&disk, "r2", Start::Continue, load());
        assert!(next.refused.is_none() && next.closed.is_some() && next.finish.pending == 0, "{what}: {next:?}");
        let twice = twice(&dead, &next);
        assert!(twice <= next.dead_in_flight, "{what}: {twice} answered twice, {} reported", next.dead_in_flight);
        assert!(next.dead_in_flight <= IN_FLIGHT as u64, "{what}: {} reported", next.dead_in_flight);
        check(&disk, &dead, &next, &what);
    }
}

/// Returns how many rows were paid for twice: once in each run.
fn twice(dead: &Virtual, next: &Virtual) -> u64 {
    dead.billed.keys().filter(|label| next.billed.contains_key(*label)).count() as u64
}

/// Makes the process die at every `step`-th change ([`each_death`]), and counts what was paid and reported.
pub fn deaths(rows: u64, step: usize, cut: usize) -> Disturbed {
    let expected = undisturbed(rows);
    let mut all = Disturbed::default();
    each_death(
        step,
        cut,
        || load(rows),
        |disk, dead, next, what| {
            let written = dead.reported.len() as u64;
            let charged = dead.billed.len() as u64;
            all.points += 1;
            all.twice += twice(dead, next);
            // A line can be in the file although its sync was not reported. So `unwritten` can be too high, but never
            // too low.
            all.unwritten += charged.saturating_sub(written);
            all.reported += next.dead_in_flight;
            assert!(assert_ends(disk, load(rows), what) == expected, "{what}: wrong labels or messages");
        },
    );
    all
}

/// Makes the process die up to five times, one after the other. Each death is at a random change to the disk, during a
/// start, a run or a resume.
pub fn deaths_in_a_row(sequences: u64, rows: u64, seed: u64) -> Disturbed {
    let expected = undisturbed(rows);
    let mut random = fastrand::Rng::with_seed(seed);
    let mut all = Disturbed::default();
    for sequence in 0..sequences {
        let what = format!("seed {seed}, sequence {sequence}");
        let mut disk = MemDisk::new();
        let mut reported = std::collections::BTreeSet::new();
        for again in 0..random.u64(2..=5) {
            let start = if again > 0 && random.bool() { Start::Resume } else { Start::Continue };
            // Recovery and compaction make about twenty changes. A run makes about five changes for each row.
            let reach = if random.bool() { 24 } else { rows * 5 };
            disk.die_at(random.u64(0..reach), random.usize(0..600));
            let dead = run(&disk, &format!("r{again}"), start, load(rows));
            reported.extend(dead.reported);
            disk = disk.after_death();
            assert_kept(&disk, &reported, &what);
            all.points += 1;
        }
        assert!(assert_ends(&disk, load(rows), &what) == expected, "{what}: wrong labels or messages");
    }
    all
}

/// Makes every `step`-th change of the disk fail once, with an error of the kind `kind`.
pub fn faults(rows: u64, step: usize, kind: ErrorKind) -> Disturbed {
    let expected = undisturbed(rows);
    let mut all = Disturbed::default();
    for at in (0..).step_by(step) {
        let what = format!("{kind:?} at change {at}");
        let disk = MemDisk::new();
        disk.fail_at(at, kind);
        let failed = run(&disk, "r1", Start::Continue, load(rows));
        if failed.closed.is_some() && disk.changes() <= at {
            break;
        }
        assert_kept(&disk, &failed.reported, &what);
        all.points += 1;
        let disk = disk.after_death();
        assert!(assert_ends(&disk, load(rows), &what) == expected, "{what}: wrong labels or messages");
    }
    all
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let rows = size.pick(40, 200);
    let mut points = 0;
    let mut twice = 0;
    let mut reported = 0;
    for cut in [0, 1, 700, usize::MAX] {
        let seen = deaths(rows, size.pick(7, 1), cut);
        points += seen.points;
        twice += seen.twice;
        reported += seen.reported;
    }
    let sequences = size.pick(20, 1_000);
    let rowed = deaths_in_a_row(sequences, rows, 5);
    let kinds = [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::ReadOnlyFilesystem, ErrorKind::QuotaExceeded];
    let faulted: u64 = kinds.into_iter().map(|kind| faults(rows, size.pick(7, 1), kind).points).sum();
    vec![
        Seen::new(
            "deaths at every change that a run makes on the disk (disk in memory)",
            "lost 0, duplicate 0, half-written 0; answered twice ≤ reported ≤ in flight",
            format!(
                "{points} deaths at {rows} rows, cut in 4 ways: 0 lost, 0 duplicate, 0 half-written; {twice} answered twice ≤ {reported} reported"
            ),
        ),
        Seen::new(
            "several deaths in a row, during recovery, compaction and normal work (disk in memory)",
            "every start works",
            format!("{sequences} sequences, {} deaths: every start works", rowed.points),
        ),
        Seen::new(
            "I/O faults at the N-th change of the disk, for every N until a run ends without a fault (disk in memory)",
            "0 lost, always resumable",
            format!("{faulted} faults of 4 kinds at {rows} rows: 0 lost, all resumable"),
        ),
    ]
}
