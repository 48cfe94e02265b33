//! What the batch lane knows about its deadline.

use std::time::Duration;

use super::super::demand::{Demand, Lengths};
use crate::clock::Instant;
use crate::domain::Ask;

/// The time between two checks of the deadline.
const EVERY: Duration = Duration::from_secs(5);
/// The shortest and the longest lead time, without the time that a cancellation takes. The lead time begins when rows
/// are moved to the online lane, and ends when that lane needs these rows. The lead time is needed for two reasons: a
/// canceled batch ends only after some time, and the run sees this end a little later. The last answers also take time.
const LEAD: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(180)];
/// The lead time (without the time that a cancellation takes), divided by the time from the start to the deadline. The
/// lead time stays within the bounds in `LEAD`.
const SHARE_OF_TIME: f64 = 0.04;
/// The expected duration of a cancellation, until the run has seen a cancellation.
const FIRST_CANCEL: Duration = Duration::from_secs(25);
/// The API does not say how many rows of a batch are finished. So the number of finished rows is estimated from
/// canceled batches. Other batches are expected to finish their rows at the speed of the canceled batches. To be
/// careful, only a part of the estimate (80 %) is used.
const TRUSTED: f64 = 0.8;
/// What the batch lane knows about its deadline.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    pub(super) is_online_only: bool,
    pub(super) deadline: Option<Instant>,
    /// The time from the start of the run to the deadline.
    pub(super) whole_time: Duration,
    pub(super) lengths: Lengths,
    /// The largest number of rows in a chunk, if there is a deadline.
    pub(super) most_rows: Option<u32>,
    /// The demand of the input rows that have not been read yet. This demand includes only rows that were counted
    /// before the run.
    pub(super) unread: Demand,
    /// Whether rows are being moved from batches to the online lane.
    pub(super) is_moving: bool,
    /// The number of unsubmitted rows that must be sent online now.
    pub(super) quota: u64,
    pub(super) checked_at: Option<Instant>,
    /// The time that the slowest cancellation took.
    pub(super) longest_cancel: Duration,
    /// Two sums over all canceled batches. The first sum adds up each batch's share of finished rows. The second sum
    /// adds up each batch's age in seconds.
    finished: (f64, f64),
    pub(super) is_told: bool,
}

impl Outlook {
    /// Returns what is known about the deadline at the start of a run. `unread` is the demand of the rows that were not
    /// read yet.
    pub(super) fn new(deadline: Option<Instant>, unread: Demand, now: Instant) -> Self {
        let whole_time = deadline.map_or(Duration::ZERO, |deadline| deadline.since(now));
        Self { deadline, whole_time, unread, ..Self::default() }
    }

    /// Makes the lane send all rows online, so no more rows are put into batches.
    pub(super) fn go_online(&mut self) {
        self.is_online_only = true;
    }

    /// Returns whether all rows are sent online. If all rows are sent online, no more rows are put into batches.
    pub(super) fn is_online_only(&self) -> bool {
        self.is_online_only
    }

    /// Notes that a row of the input was read.
    pub(super) fn on_read(&mut self, ask: &Ask) {
        if self.deadline.is_some() {
            self.unread.remove(ask);
        }
    }

    /// Returns whether the next unsubmitted row must be sent online. Call this function once per row.
    pub(super) fn takes_row(&mut self) -> bool {
        let takes = self.quota > 0;
        self.quota = self.quota.saturating_sub(1);
        takes
    }

    /// Records how long a cancellation took.
    pub(super) fn on_cancel(&mut self, took: Duration) {
        self.longest_cancel = self.longest_cancel.max(took);
    }

    /// Notes two facts about a canceled batch: which share of its rows was finished, and how old the batch was when it
    /// was canceled.
    pub(super) fn on_progress(&mut self, share: f64, age: Duration) {
        self.finished.0 += share;
        self.finished.1 += age.as_secs_f64();
    }

    /// Returns the likely share of unfinished rows in a batch of this age.
    pub(super) fn left_of(&self, age: Duration) -> f64 {
        let (shares, ages) = self.finished;
        1.0 - (TRUSTED * shares / ages.max(1.0) * age.as_secs_f64()).min(TRUSTED)
    }

    /// Returns the lead time: rows are moved to the online lane this long before that lane needs them.
    pub(super) fn lead(&self) -> Duration {
        let [least, most] = LEAD;
        self.whole_time.mul_f64(SHARE_OF_TIME).clamp(least, most) + self.longest_cancel.max(FIRST_CANCEL).mul_f64(1.2)
    }

    /// Returns the time of the next check of the deadline.
    pub(super) fn next_at(&self) -> Instant {
        match (self.deadline, self.checked_at) {
            (Some(_), Some(at)) => at + EVERY,
            (Some(_), None) => Instant::ZERO,
            (None, _) => Instant::NEVER,
        }
    }
}
