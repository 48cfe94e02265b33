//! The answer of a pool to one request, and the reservation of a request that is admitted.

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};

/// Whether a request may be sent now.
#[derive(Debug)]
pub enum Admission {
    /// Yes. When the request ends, the reservation must be replaced by the real usage.
    Granted(Reservation),
    /// No: the request must wait.
    Wait {
        /// When to ask again.
        until: Instant,
        /// The dimension that has no room; `None` while the pool is held.
        on: Option<Dimension>,
    },
}

/// The amounts that were taken from the buckets for one request.
#[must_use = "a reservation must be settled; otherwise the pool never gets its share back"]
#[derive(Debug)]
pub struct Reservation {
    pub(super) cost: Cost,
    pub(super) taken_at: Instant,
}

impl Reservation {
    /// Returns the amounts that were taken.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
