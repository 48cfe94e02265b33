//! Which rows must go online so that every row is answered by the deadline.

use crate::clock::Instant;

/// What the lane knows about its deadline.
#[derive(Debug, Default)]
pub(super) struct Outlook {
    is_online_only: bool,
}

impl Outlook {
    /// From now on, no row goes into a batch.
    pub(super) fn go_online(&mut self) {
        self.is_online_only = true;
    }

    /// Returns whether no row goes into a batch any more.
    pub(super) fn is_online_only(&self) -> bool {
        self.is_online_only
    }

    /// Returns when to look at the deadline again.
    pub(super) fn next_at(&self) -> Instant {
        Instant::NEVER
    }
}
