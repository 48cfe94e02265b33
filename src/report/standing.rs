//! The state of a run at its last status event, and the end of the run.

use std::time::Duration;

use crate::domain::{Backoffs, BatchesEnd, HaltReason, LimitUse, PoolStatus, Reason};

/// The state of the scheduler at its last status event.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The number of requests in flight.
    pub in_flight: usize,
    /// How many requests are currently allowed in flight.
    pub window: usize,
    /// The reason why the run is not sending more requests.
    pub reason: Reason,
    /// The rows that wait for their next try.
    pub backoffs: Backoffs,
    /// The active pools: the pools with rows to send or requests in flight.
    pub pools: Vec<PoolStatus>,
}

impl Standing {
    /// Returns the busiest pool. If pools wait after a 429, the busiest pool is one of the waiting pools. If no pool
    /// waits, the busiest pool is the pool with the emptiest bucket.
    pub(crate) fn busiest(&self) -> Option<&PoolStatus> {
        Self::busiest_of(self.pools.iter())
    }

    /// Returns the busiest of these pools.
    pub(super) fn busiest_of<'a>(pools: impl Iterator<Item = &'a PoolStatus>) -> Option<&'a PoolStatus> {
        pools.min_by(|a, b| {
            (a.held_for.is_none(), room(a))
                .partial_cmp(&(b.held_for.is_none(), room(b)))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
    }
}

/// Returns the fill level of the emptiest bucket of a pool.
fn room(pool: &PoolStatus) -> f64 {
    pool.level.iter().flatten().copied().fold(f64::INFINITY, f64::min)
}

/// How the run ended: the reason and the final values.
#[derive(Clone, Debug)]
pub struct Ending {
    /// The number of rows that were read and are pending.
    pub pending: u64,
    /// The reason why the run stopped early; `None` if the run ended because its input ended.
    pub halt: Option<HaltReason>,
    /// The reasons that slowed the run down, each with its share of the run's time. The reason with the largest share
    /// comes first.
    pub reasons: Vec<(Reason, f64)>,
    /// How much of the limits of each pool the whole run used.
    pub uses: Vec<LimitUse>,
    /// The duration of the run.
    pub elapsed: Duration,
    /// The highest number of requests in flight.
    pub max_in_flight: usize,
    /// The state of the batches at the end of the run.
    pub batches: BatchesEnd,
}
