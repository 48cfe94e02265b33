//! A row in the scheduler: its current request, and what was tried before.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{AttemptRecord, ErrorClass, JobId, Marks, Money, Planned, RetriedRow, shortened};

use super::endpoint::Tally;

/// If a row has waited longer than this, its next wait does not depend on that wait, because it was caused by an
/// outage.
const LONGEST_MEASURE: Duration = Duration::from_secs(10);

/// A row with its history in this run.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) planned: Planned,
    /// How many bytes `planned` adds to the memory for rows.
    pub(super) bytes: usize,
    pub(super) attempts: Vec<AttemptRecord>,
    /// How many tries the current request has used up.
    pub(super) tries: u32,
    pub(super) overloads: u32,
    /// The number of faults that may have been hidden refusals.
    pub(super) maybe_refused: u32,
    /// The start of the first try that ended with a wait, whatever the reason.
    pub(super) waiting_since: Option<Instant>,
    /// How many times the row was refused or met a fault. Rows with a lower number are tried first.
    pub(super) turns: u32,
    /// The endpoint's counts at the moment of the row's last fault.
    pub(super) at_fault: Option<Tally>,
    /// Whether the row's request asks for a stream; `None` until that is decided.
    pub(super) wants_stream: Option<bool>,
    /// Whether the row has met a fault that it caused itself.
    pub(super) is_suspect: bool,
    /// Whether no other endpoint of the chain takes the row.
    pub(super) must_stay: bool,
    /// The prefixes that this row leads: its request writes them to the prompt cache, and other rows wait for that.
    pub(super) leads: Marks,
    /// Whether the row is sent without cache marks.
    pub(super) is_unmarked: bool,
    /// Whether the row is sent without marks as a test: it was refused with marks, and they may be the reason.
    pub(super) tests_marks: bool,
    /// The message of that refusal.
    pub(super) refused_marks: Option<String>,
}

impl Entry {
    /// Returns a row that has not been tried. It is in a box, because a row moves through many hands and is large.
    pub(super) fn new(planned: Planned) -> Box<Self> {
        Box::new(Self {
            bytes: planned.bytes(),
            planned,
            attempts: Vec::new(),
            tries: 0,
            overloads: 0,
            maybe_refused: 0,
            waiting_since: None,
            turns: 0,
            wants_stream: None,
            at_fault: None,
            is_suspect: false,
            must_stay: false,
            leads: Marks::NONE,
            is_unmarked: false,
            tests_marks: false,
            refused_marks: None,
        })
    }

    /// Returns whether the row has an answer that was paid for but is in no line.
    pub(super) fn holds_answer(&self) -> bool {
        self.unrecorded().any(|attempt| attempt.failed.is_none())
    }

    /// Returns whether an attempt that is in no line was billed, or may have been billed. Only the row's mark in the
    /// ledger shows this.
    pub(super) fn may_be_billed(&self) -> bool {
        self.unrecorded().any(|attempt| attempt.maybe_paid || attempt.failed.is_none())
    }

    /// Returns the attempts that are in no line.
    fn unrecorded(&self) -> impl Iterator<Item = &AttemptRecord> {
        self.attempts.iter().filter(|attempt| !attempt.is_recorded)
    }

    /// Returns the row's id if its mark must stay although an attempt has ended.
    pub(super) fn keeps_mark(&self) -> Option<JobId> {
        self.may_be_billed().then_some(self.planned.job.id)
    }

    /// Returns the shortest wait before the next try after a fault: a quarter longer than the last wait of the row. The
    /// last wait may have been longer than its delay, for example because the endpoint was probed. Without this bound
    /// the next wait would be shorter, although the row has failed once more.
    pub(super) fn least_delay(&self) -> Duration {
        let [.., before, last] = &self.attempts[..] else { return Duration::ZERO };
        let waited = last.started_at.since(before.ended_at);
        let was_fault = !matches!(before.failed, None | Some(ErrorClass::RateLimit));
        if was_fault && waited <= LONGEST_MEASURE { waited.mul_f64(1.25) } else { Duration::ZERO }
    }

    /// Returns what reporters show of the row when its last attempt ended without an answer. It can be sent again after
    /// `wait`.
    pub(super) fn retried(&self, status: Option<u16>, wait: Duration) -> Box<RetriedRow> {
        Box::new(RetriedRow {
            label: shortened(&self.planned.job.custom_id).into_owned(),
            pool: self.planned.ask.pool.clone(),
            status,
            wait,
            next_try: u32::try_from(self.attempts.len() + 1).unwrap_or(u32::MAX),
        })
    }

    /// Returns the highest amount that the attempts so far may have cost together. Attempts that are in a line do not
    /// count.
    pub(super) fn at_most(&self) -> Money {
        self.unrecorded().fold(Money::ZERO, |sum, attempt| sum + attempt.at_most())
    }
}
