//! The state of a run in progress.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::attempts::Attempts;
use super::equal::EqualRows;
use super::events::Events;
use super::parts::Finish;
use super::run_lane::RunLane;
use super::unsynced::UnsyncedLines;
use crate::clock::RunClock;
use crate::domain::{Planned, RowId};
use crate::journal::UnfinishedRow;
use crate::provider::Provider;
use crate::scheduler::{Scheduler, Ticket};

/// A run in progress, with everything that the loop owns except its channels.
pub(super) struct Run<T, L, R> {
    pub(super) attempts: Attempts<T>,
    pub(super) transport: Arc<T>,
    pub(super) provider: Arc<dyn Provider>,
    /// The batch lane, which sends rows in batches; `None` if every row is sent online and there are no batches to
    /// collect.
    pub(super) lane: Option<RunLane<T>>,
    pub(super) scheduler: Scheduler,
    pub(super) ledger: L,
    /// Rows with an answer that an earlier run did not accept. Each row has its last such answer.
    pub(super) unfinished: HashMap<RowId, UnfinishedRow>,
    /// Rows with equal requests, and the answers that they can copy; `None` if every equal row is sent.
    pub(super) equal: Option<EqualRows>,
    pub(super) events: Events<R>,
    pub(super) clock: RunClock,
    pub(super) keep_pending: bool,
    pub(super) grace: Option<Duration>,
    /// The attempts that this iteration of the loop has marked as in flight but has not sent yet. The flag of an
    /// attempt says whether its request asks for a stream.
    pub(super) marked: Vec<(Ticket, bool)>,
    /// The lines that are not on disk yet.
    pub(super) unsynced: UnsyncedLines,
    /// Whether writing lines has failed.
    pub(super) is_broken: bool,
    pub(super) is_input_open: bool,
    /// Whether the reporter was told that the run has halted.
    pub(super) is_draining: bool,
    /// Whether the reporter was told that an outage has begun, but not yet that the outage has ended.
    pub(super) has_outage: bool,
    pub(super) interrupts_seen: u32,
    /// The instant at which requests in flight are aborted; `None` if no instant is set.
    pub(super) abort_at: Option<tokio::time::Instant>,
    pub(super) finish: Finish,
}

impl<T, L, R> Run<T, L, R> {
    /// Counts a row that this run does not answer. If `keep_pending` is true, also stores the row.
    pub(super) fn keep(&mut self, planned: Planned) {
        if let Some(equal) = &mut self.equal {
            equal.on_end(planned.job.key);
        }
        self.finish.pending += 1;
        if self.keep_pending {
            self.finish.kept.push(*planned.job);
        }
    }
}
