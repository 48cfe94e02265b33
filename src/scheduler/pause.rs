//! The state of a run: paused or not.

use crate::clock::Instant;

/// Whether a run is paused, and since when.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pause {
    /// When the current pause began; `None` if the run is not paused.
    pub(super) since: Option<Instant>,
    /// When the last pause ended.
    pub(super) ended_at: Instant,
}

impl Pause {
    /// Returns whether the run is paused.
    pub(super) fn is_on(self) -> bool {
        self.since.is_some()
    }
}
