//! The answer of a pool to one request, and the reservation of a request that is admitted.

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};

/// A pool's answer to the question whether a request can be sent now.
#[derive(Debug)]
pub enum Admission {
    /// The request can be sent now. When the request ends, `Pool::settle` must replace the reservation with the real
    /// usage.
    Granted(Reservation),
    /// The request must wait.
    Wait {
        /// When to ask the pool again.
        until: Instant,
        /// The dimension that has no room; `None` while the pool is held (must send nothing).
        on: Option<Dimension>,
    },
}

/// The amounts that one request has taken from the buckets of a pool.
#[must_use = "a reservation must be settled; otherwise the pool never gets its share back"]
#[derive(Debug)]
pub struct Reservation {
    pub(super) cost: Cost,
    pub(super) taken_at: Instant,
}

impl Reservation {
    /// Returns the amounts that the request has taken.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}
