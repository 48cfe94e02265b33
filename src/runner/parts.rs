//! The parts that a run is made of, and the result of a run.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::equal::EqualRows;
use super::input::Incoming;
use super::lane_parts::LaneParts;
use super::ledger::Commit;
use super::routes::Routes;
use super::signals::Interrupt;
use crate::clock::RunClock;
use crate::domain::{HaltReason, Job, LearnedPool, Money, RowId};
use crate::journal::UnfinishedRow;
use crate::scheduler::Scheduler;

/// The parts of a run.
pub struct Parts<T, L, R> {
    /// How each endpoint is reached.
    pub routes: Routes<T>,
    /// The scheduler, with no rows yet.
    pub scheduler: Scheduler,
    /// The ledger, which receives the lines.
    pub ledger: L,
    /// The ledger's reports about lines on disk.
    pub commits: mpsc::UnboundedReceiver<Commit>,
    /// The rows. When the channel closes, the input has ended.
    pub feed: mpsc::Receiver<Incoming>,
    /// Puts rows into batches, and collects the batches of earlier runs; `None` if there is nothing to collect, and
    /// every row is sent online.
    pub lane: Option<LaneParts>,
    /// Rows whose last answer an earlier run did not accept, with that answer.
    pub unfinished: HashMap<RowId, UnfinishedRow>,
    /// Copies answers for rows with equal requests; `None` if each of these rows is sent.
    pub equal: Option<EqualRows>,
    /// Interrupts.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// The reporter, which receives the events.
    pub reporter: R,
    /// The run's clock.
    pub clock: RunClock,
    /// The id of the run.
    pub run: Arc<str>,
    /// How long requests in flight can continue after an interrupt that asks for an end. `None` means the default of
    /// each signal: no time limit after Ctrl-C, 30 seconds after other signals.
    pub grace: Option<Duration>,
    /// Whether rows that this run does not answer are kept for the caller. Otherwise they are only counted.
    pub keep_pending: bool,
}

/// The result of a run. The reporter has the counts of its rows.
#[derive(Debug, Default)]
pub struct Finish {
    /// The reason why the run stopped, if it stopped before the end of its input.
    pub halted: Option<HaltReason>,
    /// The providers that stopped, with the reason, in the order of the chain.
    pub stopped: Vec<(Arc<str>, HaltReason)>,
    /// Number of rows that were read, but neither answered nor failed.
    pub pending: u64,
    /// The pending rows themselves, if they are kept. They include rows whose lines could not be written.
    pub kept: Vec<Job>,
    /// Number of requests that were aborted in flight. They may have been billed.
    pub aborted: u64,
    /// Number of pending rows that were billed or may have been billed. If there is such a row, the marks must stay
    /// when the ledger is closed. No line shows that the row was billed, so the next run counts such rows by their
    /// marks.
    pub maybe_billed: u64,
    /// What the run spent on requests that belong to no row: see [`JournalLedger::carry`](super::JournalLedger::carry).
    pub canary_spend: Money,
    /// Number of attempts of this run that may have been billed and whose answer was not kept. Aborted attempts are
    /// included.
    pub maybe_paid: u64,
    /// How many batches are open or not collected, and how many rows they have.
    pub batches: (u64, u64),
    /// An error of the input itself. No rows were read after the error.
    pub input_error: Option<String>,
    /// What response heads showed about the limits of each pool.
    pub learned: Vec<LearnedPool>,
}
