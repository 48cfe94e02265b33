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

/// The parts that a run is made of.
pub struct Parts<T, L, R> {
    /// The routes of the run: each endpoint has a provider that makes the requests and a transport that sends them.
    pub routes: Routes<T>,
    /// The scheduler, without rows.
    pub scheduler: Scheduler,
    /// The ledger, which receives the lines and the marks.
    pub ledger: L,
    /// The channel on which the ledger reports lines that are on disk.
    pub commits: mpsc::UnboundedReceiver<Commit>,
    /// The rows. The channel closes at the end of the input.
    pub feed: mpsc::Receiver<Incoming>,
    /// The batch lane, which sends rows in batches and collects the batches of earlier runs. The value is `None` if
    /// there is nothing to collect and every row is sent online.
    pub lane: Option<LaneParts>,
    /// The rows whose last answer was not accepted by an earlier run, each together with that answer.
    pub unfinished: HashMap<RowId, UnfinishedRow>,
    /// The rows with equal requests that copy answers; `None` if every equal row is sent.
    pub equal: Option<EqualRows>,
    /// Interrupts.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// The reporter, which receives the events.
    pub reporter: R,
    /// The clock of the run.
    pub clock: RunClock,
    /// The id of the run.
    pub run: Arc<str>,
    /// After an interrupt asks the run to stop, requests in flight can continue for this long. `None` means the default
    /// of the signal: no time limit after Ctrl-C, and 30 seconds after other signals.
    pub grace: Option<Duration>,
    /// Whether the caller gets the rows that this run does not answer. If the value is false, the run only counts these
    /// rows.
    pub keep_pending: bool,
}

/// The result of a run. The reporter counts the answered and the failed rows.
#[derive(Debug, Default)]
pub struct Finish {
    /// The reason why the run stopped before the end of its input; `None` if the run reached the end of its input.
    pub halted: Option<HaltReason>,
    /// The providers that stopped, with their reasons, in the order of the chain.
    pub stopped: Vec<(Arc<str>, HaltReason)>,
    /// The number of pending rows, that is, rows that were read but neither answered nor failed.
    pub pending: u64,
    /// The pending rows themselves. The list is empty if the run does not keep pending rows. The list includes rows
    /// whose lines could not be written.
    pub kept: Vec<Job>,
    /// The number of requests that were aborted in flight. Aborted requests were possibly billed.
    pub aborted: u64,
    /// The number of pending rows that were billed or possibly billed. If there are pending rows that were possibly
    /// billed, their marks must stay when the ledger is closed. No line shows that these rows were billed, so the next
    /// run finds these rows by their marks.
    pub maybe_billed: u64,
    /// The money that the run spent on canaries (test requests): see
    /// [`JournalLedger::carry`](super::JournalLedger::carry).
    pub canary_spend: Money,
    /// The number of this run's attempts that were possibly billed, but whose answers were not kept. Aborted attempts
    /// are included in this number.
    pub maybe_paid: u64,
    /// How many batches are open or not collected, and how many rows they contain.
    pub batches: (u64, u64),
    /// How many of these batches have ended, and how many rows they contain.
    pub ended_batches: (u64, u64),
    /// How many of these batches the API does not list, and how many rows they contain.
    pub missing_batches: (u64, u64),
    /// An error of the input itself, as text. After such an error, the run read no more rows.
    pub input_error: Option<String>,
    /// What the run learned about the limits of each pool from response heads.
    pub learned: Vec<LearnedPool>,
}
