//! The parts of a run, and how it ended.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::input::Incoming;
use super::ledger::Commit;
use super::signals::Interrupt;
use crate::clock::RunClock;
use crate::domain::{HaltReason, Job};
use crate::provider::Provider;
use crate::scheduler::Scheduler;

/// The parts of a run.
pub struct Parts<T, L, R> {
    /// How requests reach the server.
    pub transport: Arc<T>,
    /// How rows become requests and responses become replies.
    pub provider: Arc<dyn Provider>,
    /// The scheduler, with no rows yet.
    pub scheduler: Scheduler,
    /// Where lines go.
    pub ledger: L,
    /// What the ledger reports about lines on disk.
    pub commits: mpsc::UnboundedReceiver<Commit>,
    /// Where rows come from. When the channel closes, the input has ended.
    pub feed: mpsc::Receiver<Incoming>,
    /// Interrupts.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// Who is told of events.
    pub reporter: R,
    /// The run's clock.
    pub clock: RunClock,
    /// The run's name.
    pub run: Arc<str>,
    /// How long requests in flight may continue after an interrupt that asks for an end. `None` gives each signal's own
    /// default: no time limit after Ctrl-C, 30 seconds after the others.
    pub grace: Option<Duration>,
    /// Whether rows that this run does not answer are kept for the caller; otherwise they are only counted.
    pub keep_pending: bool,
}

/// How a run ended. The reporter has the counts of its rows.
#[derive(Debug, Default)]
pub struct Finish {
    /// Why it stopped before the end of its input.
    pub halted: Option<HaltReason>,
    /// Rows that were read and neither answered nor failed.
    pub pending: u64,
    /// The pending rows themselves, if they are kept. Rows whose lines could not be written are among them.
    pub kept: Vec<Job>,
    /// Requests that were aborted in flight and may have been billed.
    pub aborted: u64,
    /// Attempts of this run that may have been billed although no answer of theirs is kept. The aborted ones are
    /// included.
    pub maybe_paid: u64,
    /// An error of the input itself, after which no more rows were read.
    pub input_error: Option<String>,
}
