//! Kills a run at every change that it makes to the disk, and at every call of the batch endpoints. The next runs
//! finish the rows.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::time::Duration;

use claude_batch::journal::Start;
use serde_json::Value;

use crate::judge::{answers, assert_complete, verdict};
use crate::page::{Seen, Size};
use crate::seen::Kill;
use crate::support::ERRORS;
use crate::world::{Run, World, labels, play, quick, row};

/// The number of rows of a run. One row is sent online, and the other rows form three batches.
pub const ROWS: u64 = 60;
/// Of ten rows, one row fails once, one row is invalid once, and one row expires once. The reply to the second creation
/// of a batch is lost although the batch exists.
const FAULTS: &str = r#"{"rules": [
    {"kind": "request_errored", "contains": "tenth", "first_attempts_only": true},
    {"kind": "request_errored", "type": "invalid_request_error", "contains": ":13:", "first_attempts_only": true},
    {"kind": "request_expired", "contains": ":25:", "first_attempts_only": true},
    {"kind": "reset_before", "calls": "create", "arrivals": [2], "takes_effect": true}
]}"#;

/// The counts of what happened in the killed runs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Deaths {
    pub deaths: u64,
    /// The number of rows that were reported as possibly billed twice, but were billed only once.
    pub told: u64,
    /// The number of rows that were billed twice, because they were in flight online when the run died.
    pub billed_again: u64,
}

impl Deaths {
    fn add(&mut self, other: Self) {
        self.deaths += other.deaths;
        self.told += other.told;
        self.billed_again += other.billed_again;
    }
}

fn run() -> Run {
    Run::of(0..ROWS)
}

/// Lets the program run until every row is answered, and checks the result.
async fn finish(world: &mut World, answers: &BTreeMap<String, Value>, what: &str) -> Deaths {
    let ended = world.run(&run()).await;
    assert!(ended.finish().halted.is_none(), "{what}: the next run fails: {ended:?}");
    if !labels(&world.disk, ERRORS).is_empty() {
        let resumed = world.run(&Run { start: Start::Resume, ..run() }).await;
        assert!(resumed.finish().halted.is_none(), "{what}: resume fails: {resumed:?}");
    }
    assert_complete(world, &run().rows, answers, what);
    let found = verdict(world, what);
    assert!(found.billed_again <= found.died_online, "{what}: rows of batches are billed twice: {found:?}");
    assert_eq!(found.overlaps, 0, "{what}: rows are submitted twice");
    Deaths { deaths: 1, told: found.told, billed_again: found.billed_again }
}

/// Kills a run once, and finishes its rows with further runs. Returns `None` if the run ended before it could be
/// killed.
fn die_once(kill: Kill, power: Option<u64>, answers: &BTreeMap<String, Value>) -> Option<Deaths> {
    play(FAULTS, quick(), async |world| {
        world.power = power.map(fastrand::Rng::with_seed);
        let dead = world.run(&Run { kill, ..run() }).await;
        if dead.finish.is_some() {
            return None;
        }
        Some(finish(world, answers, &format!("{kill:?}, power {power:?}")).await)
    })
}

/// Returns the number of disk changes and the number of batch calls that a run makes if it is not killed.
pub fn undisturbed() -> (u64, u64) {
    let answers = answers(&run().rows, row);
    play(FAULTS, quick(), async |world| {
        let ended = world.run(&run()).await;
        let counts = (ended.changes, ended.calls);
        assert!(ended.finish().halted.is_none(), "{ended:?}");
        finish(world, &answers, "undisturbed").await;
        counts
    })
}

/// Kills a run at every `step`-th change of the disk. Only the first `cut` bytes of a write are written. With `power`,
/// each death is a power failure: some of the writes that were not synced are lost.
pub fn at_changes(step: usize, cut: usize, power: Option<u64>) -> Deaths {
    let answers = answers(&run().rows, row);
    let mut all = Deaths::default();
    for at in (0..).step_by(step) {
        match die_once(Kill::Change { at, cut }, power.map(|seed| seed + at), &answers) {
            Some(deaths) => all.add(deaths),
            None => break,
        }
    }
    all
}

/// Kills a run at every `step`-th call of a batch endpoint: before the call is sent, before its reply, and in the
/// middle of its reply.
pub fn at_calls(step: usize) -> Deaths {
    let answers = answers(&run().rows, row);
    let mut all = Deaths::default();
    for kill in [Kill::Before, Kill::Unanswered, Kill::Inside] {
        for at in (0..).step_by(step) {
            match die_once(kill(at), None, &answers) {
                Some(deaths) => all.add(deaths),
                None => break,
            }
        }
    }
    all
}

/// Lets every `step`-th change of the disk fail once, with an error of this kind. The process survives, and ends the
/// run in an orderly way.
pub fn faults(step: usize, kind: ErrorKind) -> Deaths {
    let answers = answers(&run().rows, row);
    let mut all = Deaths::default();
    for at in (0..).step_by(step) {
        let seen = play(FAULTS, quick(), async |world| {
            world.disk.fail_at(at, kind);
            let ended = world.run(&Run { kill: Kill::Fault, ..run() }).await;
            if ended.changes <= at {
                return None;
            }
            Some(finish(world, &answers, &format!("{kind:?} at change {at}")).await)
        });
        match seen {
            Some(deaths) => all.add(deaths),
            None => break,
        }
    }
    all
}

/// Kills a run at every `step`-th change of the disk, before the last write is synced. The next run starts on this
/// disk, and the power fails soon after that.
pub fn before_a_loss_of_power(step: usize) -> Deaths {
    let answers = answers(&run().rows, row);
    let mut all = Deaths::default();
    for at in (0..).step_by(step) {
        let seen = play(FAULTS, quick(), async |world| {
            let dead = world.run(&Run { kill: Kill::Change { at, cut: usize::MAX }, ..run() }).await;
            if dead.finish.is_some() {
                return None;
            }
            world.power = Some(fastrand::Rng::with_seed(at));
            world.run(&Run { kill: Kill::After(Duration::from_millis(100)), ..run() }).await;
            world.power = None;
            Some(finish(world, &answers, &format!("death at change {at}, then a loss of power")).await)
        });
        match seen {
            Some(deaths) => all.add(Deaths { deaths: 2, ..deaths }),
            None => break,
        }
    }
    all
}

/// Kills several runs one after the other, at random changes of the disk and at random calls. Some of the killed runs
/// are resumed runs.
pub fn in_a_row(sequences: u64, seed: u64) -> Deaths {
    let answers = answers(&run().rows, row);
    let (changes, calls) = undisturbed();
    let mut all = Deaths::default();
    for sequence in 0..sequences {
        let mut random = fastrand::Rng::with_seed(seed + sequence);
        let what = format!("seed {}", seed + sequence);
        play(FAULTS, quick(), async |world| {
            world.power = random.bool().then(|| random.fork());
            let mut deaths = 0;
            for again in 0..random.u64(2..=6) {
                let start = if again > 0 && random.u8(0..4) == 0 { Start::Resume } else { Start::Continue };
                // Many runs die soon after their start, in the middle of recovery.
                let reach = if random.bool() { 24 } else { changes };
                let kill = match random.u8(0..5) {
                    0 => Kill::Before(random.u64(0..calls)),
                    1 => Kill::Unanswered(random.u64(0..calls)),
                    2 => Kill::Inside(random.u64(0..calls)),
                    _ => Kill::Change { at: random.u64(0..reach), cut: random.usize(0..600) },
                };
                let ended = world.run(&Run { start, kill, ..run() }).await;
                deaths += u64::from(ended.finish.is_none());
            }
            let ended = finish(world, &answers, &what).await;
            all.add(Deaths { deaths, ..ended });
        });
    }
    all
}

/// Runs this loop. Returns the results as lines for `benches/BATCHES.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let mut changes = Deaths::default();
    for cut in [0, 1, 100, usize::MAX] {
        changes.add(at_changes(size.pick(29, 1), cut, None));
    }
    let power = at_changes(size.pick(29, 1), 300, Some(1));
    let both = before_a_loss_of_power(size.pick(29, 1));
    let calls = at_calls(size.pick(9, 1));
    let failed = faults(size.pick(29, 1), ErrorKind::StorageFull);
    let rowed = in_a_row(size.pick(5, 300), 100);
    let goal = "0 rows lost, 0 lines twice, 0 rows submitted twice, every start works";
    let seen = |deaths: Deaths, what: &str| {
        let Deaths { deaths, told, billed_again } = deaths;
        format!(
            "{deaths} deaths{what}: the target holds; {billed_again} rows that were in flight online billed again; \
             {told} rows reported as possibly billed twice"
        )
    };
    vec![
        Seen::new("deaths at every change of the disk", goal, seen(changes, " (writes cut in 4 ways)")),
        Seen::new("losses of power at every change of the disk", goal, seen(power, "")),
        Seen::new("deaths at every change of the disk, then a loss of power in the next run", goal, seen(both, "")),
        Seen::new(
            "deaths at every call of a batch endpoint: before the call, before its reply, inside its reply",
            goal,
            seen(calls, ""),
        ),
        Seen::new("a full disk at every change of the disk", goal, seen(failed, "")),
        Seen::new("two to six deaths in a row", goal, seen(rowed, "")),
    ]
}
