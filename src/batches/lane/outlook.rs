//! What the lane knows about its deadline.

use std::time::Duration;

use super::super::demand::{Demand, Lengths};
use crate::clock::Instant;
use crate::domain::Ask;

/// How often the deadline is looked at.
const EVERY: Duration = Duration::from_secs(5);
/// How long before they are needed rows are moved: a batch ends some time after it was cancelled, and the run sees that
/// some time later. The last answers also need their time.
const LEAD: Duration = Duration::from_secs(150);
/// What the lane knows about its deadline.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    pub(super) is_online_only: bool,
    pub(super) deadline: Option<Instant>,
    pub(super) lengths: Lengths,
    /// The rows of the input that were not read yet, as far as the survey knows them.
    pub(super) unread: Demand,
    /// Whether rows are being moved.
    pub(super) is_moving: bool,
    /// How many rows that are not submitted may go online now.
    pub(super) quota: u64,
    pub(super) checked_at: Option<Instant>,
    /// How long the slowest cancellation took so far.
    pub(super) longest_cancel: Duration,
    pub(super) is_told: bool,
}

impl Outlook {
    /// Returns an outlook for rows that were not read yet.
    pub(super) fn new(deadline: Option<Instant>, unread: Demand) -> Self {
        Self { deadline, unread, ..Self::default() }
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

    /// Returns how long before they are needed rows are moved.
    pub(super) fn lead(&self) -> Duration {
        LEAD + self.longest_cancel
    }

    /// Returns when to look at the deadline again.
    pub(super) fn next_at(&self) -> Instant {
        match (self.deadline, self.checked_at) {
            (Some(_), Some(at)) => at + EVERY,
            (Some(_), None) => Instant::ZERO,
            (None, _) => Instant::NEVER,
        }
    }
}
