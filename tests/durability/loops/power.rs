//! Tests power failures. After a power failure, everything that was synced is on the disk. Data that was not synced can
//! have many states, and the program recovers from each of them.
//!
//! The journal uses threads, as in the program. So several groups of lines are still being written when the power is
//! lost. After a power failure, each write that was not synced can be complete, missing, cut at a multiple of 512
//! bytes, or zeroed. The disk may also have stored these writes in an order that differs from the program's order.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use claude_batch::clock::Instant;
use claude_batch::domain::{
    AttemptRecord, Ended, ErrorClass, Failure, Job, Message, Money, Outcome, Planned, Quality, Usage,
};
use claude_batch::journal::{Commit, Fsync, InputRead, Journal, JournalOptions, MemDisk, RowState, Start, Threading};

use super::virtual_run::{Load, NO_FAULTS, Roads, assert_ends, assert_kept, label, row};
use super::{Seen, Size};
use crate::support::journal_options;

const ROWS: u64 = 48;

/// Makes the power fail during runs, at random changes of the disk. Returns how many states of the disk were checked.
///
/// The journal opens each state, and the state must contain every row that was reported. From every `finished`-th
/// state, the function also starts further runs until every row is answered.
pub fn losses(states: u64, finished: u64, seed: u64) -> u64 {
    const STATES_OF_A_DEATH: u64 = 20;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut tried = 0;
    while tried < states {
        let disk = MemDisk::new();
        // In some cases, the power fails in a second run, which recovers and compacts the files before it writes.
        let mut reported = BTreeSet::new();
        if random.bool() {
            reported = run(&disk, "r0", ROWS / 2);
        }
        let before = disk.changes();
        disk.die_at(before + random.u64(0..ROWS * 5), random.usize(0..1500));
        reported.extend(run(&disk, "r1", ROWS));
        for _ in 0..STATES_OF_A_DEATH {
            let state_seed = random.u64(..);
            let what = format!("seed {seed}, state {tried} ({state_seed})");
            let after = disk.after_power_loss(&mut fastrand::Rng::with_seed(state_seed));
            assert_kept(&after, &reported, &what);
            let opened = Journal::open(journal_options(&after, "r2"), Box::new(|_| {})).map(|_| ());
            assert!(opened.is_ok(), "{what}: {opened:?}");
            assert_kept(&after, &reported, &what);
            if tried % finished == 0 {
                assert_ends(
                    &after.after_death(),
                    Load { rows: ROWS, faults: NO_FAULTS, kinds: None, mends: false, roads: Roads::One },
                    &what,
                );
            }
            tried += 1;
        }
    }
    tried
}

/// Appends rows until all are appended or the disk fails. Returns the labels of the rows whose lines the journal
/// reported as durable.
fn run(disk: &MemDisk, name: &str, rows: u64) -> BTreeSet<String> {
    let reported = Arc::new(Mutex::new(0));
    let seen = reported.clone();
    let on_commit = Box::new(move |commit| {
        if let Commit::UpTo(seq) = commit {
            *seen.lock().expect("nobody panics") = seq;
        }
    });
    let options = JournalOptions { threading: Threading::Thread, fsync: Fsync::Group, ..journal_options(disk, name) };
    let Ok((mut journal, recovered)) = Journal::open(JournalOptions { start: Start::Continue, ..options }, on_commit)
    else {
        return BTreeSet::new();
    };
    let mut labels = Vec::new();
    for number in 0..rows {
        let Planned { job, .. } = row(number);
        if recovered.done.state(job.row, &job.identity) != RowState::New {
            continue;
        }
        let slot = journal.mark(&job, Money::ZERO);
        if journal.flush().is_err() {
            break;
        }
        labels.push(label(number));
        if journal.append_outcome(&outcome(*job, number), labels.len() as u64).is_err() {
            break;
        }
        journal.clear(slot);
        if journal.flush().is_err() {
            break;
        }
    }
    // After the power has failed, closing the journal fails.
    let _ = journal.close(InputRead::Whole, false);
    let reported = *reported.lock().expect("nobody panics");
    labels.into_iter().take(reported as usize).collect()
}

fn outcome(job: Job, number: u64) -> Outcome {
    let attempt = AttemptRecord {
        started_at: Instant::from_millis(number),
        ended_at: Instant::from_millis(number + 5),
        usage: Usage { input_tokens: 3, output_tokens: 7, ..Usage::default() },
        max_tokens: 5,
        template: 7,
        estimated_input: 12,
        ..AttemptRecord::new("anthropic", "claude-haiku-4-5")
    };
    // Some lines are longer than several sectors, and some are shorter than one sector.
    let text = "word ".repeat(number as usize * 37 % 400);
    let json = format!(r#"{{"id":"msg","content":[{{"type":"text","text":"{text}"}}]}}"#);
    let ended = match number % 10 {
        7 => {
            let failure = Failure { status: Some(500), message: "out of order".to_owned(), ..Failure::default() };
            Ended::Failed { class: ErrorClass::Server, failure, is_retryable: true }
        }
        _ => Ended::Succeeded(Message {
            json: json.into_bytes().into(),
            usage: Usage::default(),
            quality: Quality::Ok,
            content: 0..0,
        }),
    };
    Outcome { job: Box::new(job), attempts: vec![attempt], ended }
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let states = losses(size.pick(1_000, 10_000), 10, 21);
    vec![Seen::new(
        "states of the disk after a loss of power",
        "10,000 tried, 0 violations",
        format!("{states} tried (dropped, reordered, cut at 512 bytes, zeroed), 0 violations"),
    )]
}
