//! A row in the scheduler: its current request, and its earlier attempts.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{AttemptRecord, ErrorClass, JobId, Marks, Money, Planned, RetriedRow, shortened};

use super::endpoint::Tally;

/// A row's last wait affects the row's next wait only if the last wait was at most this long. If a wait is longer than
/// this, an outage caused the wait, so the wait does not count.
const LONGEST_MEASURE: Duration = Duration::from_secs(10);

/// A row with its attempts in this run.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) planned: Planned,
    /// The number of bytes that `planned` adds to the memory for rows.
    pub(super) bytes: usize,
    pub(super) attempts: Vec<AttemptRecord>,
    /// The number of tries that the current request has used up.
    pub(super) tries: u32,
    pub(super) overloads: u32,
    /// The number of faults of the row that were possibly hidden refusals (refusals that look like faults).
    pub(super) maybe_refused: u32,
    /// The start of the first try after which the row had to wait for another try.
    pub(super) waiting_since: Option<Instant>,
    /// How many times the row was rejected by the API or met a fault. When a failing endpoint is probed (tested), rows
    /// with a low number are sent first.
    pub(super) turns: u32,
    /// The number of the endpoint's answers and the number of its faults, at the moment of the row's last fault.
    pub(super) at_fault: Option<Tally>,
    /// Whether the row's request asks for a stream; `None` until this is decided.
    pub(super) wants_stream: Option<bool>,
    /// Whether the row has met a fault that the row itself caused.
    pub(super) is_suspect: bool,
    /// Whether the row must stay at its endpoint, because no other endpoint of the chain accepts it.
    pub(super) must_stay: bool,
    /// The prefixes that this row leads. The row's request writes these prefixes to the prompt cache, and other rows
    /// wait until the prefixes are written.
    pub(super) leads: Marks,
    /// Whether the row's request is sent without cache marks.
    pub(super) is_unmarked: bool,
    /// Whether this is a test without cache marks, after the server rejected the row's request with marks.
    pub(super) tests_marks: bool,
    /// The message with which the server rejected the request that had cache marks.
    pub(super) refused_marks: Option<String>,
}

impl Entry {
    /// Returns a row that has not been tried. The row is in a `Box`, because it is large and is moved often.
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

    /// Returns whether the row has a paid answer that no line of the results contains.
    pub(super) fn holds_answer(&self) -> bool {
        self.unrecorded().any(|attempt| attempt.failed.is_none())
    }

    /// Returns whether the row has a billed or possibly billed attempt that is in no line of the results. Only the
    /// row's mark in the ledger (the records of requests in flight) shows that the attempt was billed.
    pub(super) fn may_be_billed(&self) -> bool {
        self.unrecorded().any(|attempt| attempt.maybe_paid || attempt.failed.is_none())
    }

    /// Returns the attempts of the row that are not yet in a line of the results or of the error log.
    fn unrecorded(&self) -> impl Iterator<Item = &AttemptRecord> {
        self.attempts.iter().filter(|attempt| !attempt.is_recorded)
    }

    /// If the row's mark in the ledger must stay after the end of an attempt, returns the id of the row.
    pub(super) fn keeps_mark(&self) -> Option<JobId> {
        self.may_be_billed().then_some(self.planned.job.id)
    }

    /// Returns the shortest wait before the third try of the row. This wait is an eighth longer than the first wait
    /// (the wait before the second try). The first wait can be longer than its computed delay, for example because a
    /// probe tested the endpoint first. Without this lower bound, the second wait could be shorter than the first,
    /// although the row has failed again.
    pub(super) fn least_delay(&self) -> Duration {
        let [before, last] = &self.attempts[..] else { return Duration::ZERO };
        let waited = last.started_at.since(before.ended_at);
        let was_fault = !matches!(before.failed, None | Some(ErrorClass::RateLimit));
        if was_fault && waited <= LONGEST_MEASURE { waited.mul_f64(1.125) } else { Duration::ZERO }
    }

    /// Returns what reporters show about a row whose last attempt ended without an answer. `wait` is the time until the
    /// row can be sent again.
    pub(super) fn retried(&self, status: Option<u16>, wait: Duration) -> Box<RetriedRow> {
        Box::new(RetriedRow {
            label: shortened(&self.planned.job.custom_id).into_owned(),
            pool: self.planned.ask.pool.clone(),
            status,
            wait,
            next_try: u32::try_from(self.attempts.len() + 1).unwrap_or(u32::MAX),
        })
    }

    /// Returns the highest possible cost of the row's attempts so far. An attempt is left out if a line of the results
    /// or of the error log already contains it.
    pub(super) fn at_most(&self) -> Money {
        self.unrecorded().fold(Money::ZERO, |sum, attempt| sum + attempt.at_most())
    }
}
