//! Headroom: the share of the limits that is left unused. Without headroom, small errors in the program's own count
//! would cause refusals.
//!
//! Rejected: a constant headroom. A constant headroom of 10 % makes a run about 10 % longer. With a headroom of a
//! tenth, a run took 1.06 to 1.11 times the shortest possible time.

use std::time::Duration;

/// The share of the limits that is left unused at the start of a run.
const AT_START: f64 = 0.10;
/// How long the headroom takes to fall to 1/e of its value, as long as no request is rejected.
const DECAY: Duration = Duration::from_secs(8);
/// The headroom becomes zero when it falls below this share.
const CLOSED: f64 = 0.000_5;

/// How the unused share of the limits is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Headroom {
    /// At the start, the unused share is a tenth of the limits. While no request is rejected, the share shrinks to
    /// nothing.
    Auto,
    /// A fixed share of the limits, from 0 to 1.
    Fixed(f64),
}

/// The share of the limits that is left unused at present.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnusedShare {
    share: f64,
    is_fixed: bool,
}

impl UnusedShare {
    /// Returns the headroom at the start of a run.
    pub(super) fn new(headroom: Headroom) -> Self {
        match headroom {
            Headroom::Auto => Self { share: AT_START, is_fixed: false },
            Headroom::Fixed(share) => Self { share, is_fixed: true },
        }
    }

    /// Returns the share of the limits that is left unused, from 0 to 1.
    pub(super) fn get(&self) -> f64 {
        self.share
    }

    /// Returns the share that the user wants to leave unused; 0 when this program chooses the share.
    pub(super) fn wanted(&self) -> f64 {
        if self.is_fixed { self.share } else { 0.0 }
    }

    /// Raises the headroom to at least `share`. Returns `false` if the headroom is fixed and can't change.
    pub(super) fn open(&mut self, share: f64) -> bool {
        if !self.is_fixed {
            self.share = self.share.max(share);
        }
        !self.is_fixed
    }

    /// Lowers the headroom according to `passed`, the time since the last call.
    pub(super) fn decay(&mut self, passed: Duration) {
        if !self.is_fixed && self.share > 0.0 {
            let share = self.share * (-passed.as_secs_f64() / DECAY.as_secs_f64()).exp();
            self.share = if share < CLOSED { 0.0 } else { share };
        }
    }
}
