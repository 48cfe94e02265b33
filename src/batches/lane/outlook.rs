//! What the lane knows about its deadline.

use std::time::Duration;

use super::super::demand::{Demand, Lengths};
use crate::clock::Instant;
use crate::domain::Ask;

/// How often the deadline is checked.
const EVERY: Duration = Duration::from_secs(5);
/// Rows are moved this long before the online lane needs them. The reason: a cancelled batch ends only after some time,
/// and the run sees this a little later. The last answers also take time.
const LEAD: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(180)];
/// Between the two bounds of `LEAD`, the lead is this share of the time from the start to the deadline.
const SHARE_OF_TIME: f64 = 0.04;
/// How long a cancellation is expected to take, until a cancellation has been seen.
const FIRST_CANCEL: Duration = Duration::from_secs(25);
/// The API does not say how many rows of a batch are finished. The estimate comes from cancelled batches: other batches
/// are expected to finish their rows at the same speed. To be careful, only this part of the estimate is counted.
const TRUSTED: f64 = 0.8;
/// What the lane knows about its deadline.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    pub(super) is_online_only: bool,
    pub(super) deadline: Option<Instant>,
    /// The time from the start of the run to the deadline.
    pub(super) whole_time: Duration,
    pub(super) lengths: Lengths,
    /// How many rows a chunk may have, if there is a deadline.
    pub(super) most_rows: Option<u32>,
    /// The rows of the input that were not read yet. Only rows that the survey has counted are included.
    pub(super) unread: Demand,
    /// Whether rows are being moved.
    pub(super) is_moving: bool,
    /// How many rows that are not submitted may go online now.
    pub(super) quota: u64,
    pub(super) checked_at: Option<Instant>,
    /// How long the slowest cancellation took so far.
    pub(super) longest_cancel: Duration,
    /// Two sums over all cancelled batches: the shares of their rows that were finished, and their ages in seconds.
    finished: (f64, f64),
    pub(super) is_told: bool,
}

impl Outlook {
    /// Returns an outlook for rows that were not read yet.
    pub(super) fn new(deadline: Option<Instant>, unread: Demand, now: Instant) -> Self {
        let whole_time = deadline.map_or(Duration::ZERO, |deadline| deadline.since(now));
        Self { deadline, whole_time, unread, ..Self::default() }
    }

    /// From now on, no row goes into a batch.
    pub(super) fn go_online(&mut self) {
        self.is_online_only = true;
    }

    /// Returns whether no row goes into a batch any more.
    pub(super) fn is_online_only(&self) -> bool {
        self.is_online_only
    }

    /// Notes that a row of the input was read.
    pub(super) fn on_read(&mut self, ask: &Ask) {
        if self.deadline.is_some() {
            self.unread.remove(ask);
        }
    }

    /// Returns whether a row that is not submitted goes online. Each call is for one row.
    pub(super) fn takes_row(&mut self) -> bool {
        let takes = self.quota > 0;
        self.quota = self.quota.saturating_sub(1);
        takes
    }

    /// Notes how long a cancellation took.
    pub(super) fn on_cancel(&mut self, took: Duration) {
        self.longest_cancel = self.longest_cancel.max(took);
    }

    /// Notes which share of its rows a cancelled batch had finished, and its age when it was cancelled.
    pub(super) fn on_progress(&mut self, share: f64, age: Duration) {
        self.finished.0 += share;
        self.finished.1 += age.as_secs_f64();
    }

    /// Returns the share of rows that are probably unfinished in a batch of this age.
    pub(super) fn left_of(&self, age: Duration) -> f64 {
        let (shares, ages) = self.finished;
        1.0 - (TRUSTED * shares / ages.max(1.0) * age.as_secs_f64()).min(TRUSTED)
    }

    /// Rows are moved some time before the online lane needs them. Returns this time.
    pub(super) fn lead(&self) -> Duration {
        let [least, most] = LEAD;
        self.whole_time.mul_f64(SHARE_OF_TIME).clamp(least, most) + self.longest_cancel.max(FIRST_CANCEL).mul_f64(1.2)
    }

    /// Returns when to check the deadline again.
    pub(super) fn next_at(&self) -> Instant {
        match (self.deadline, self.checked_at) {
            (Some(_), Some(at)) => at + EVERY,
            (Some(_), None) => Instant::ZERO,
            (None, _) => Instant::NEVER,
        }
    }
}
