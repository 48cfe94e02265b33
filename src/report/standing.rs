//! The state of a run, and how it ended.

use std::time::Duration;

use crate::domain::{Backoffs, BatchesEnd, HaltReason, LimitUse, PoolStatus, Reason};

/// The state of the scheduler at its last status.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Requests in flight.
    pub in_flight: usize,
    /// The concurrency window.
    pub window: usize,
    /// Why no more requests are sent at the moment.
    pub reason: Reason,
    /// Rows that wait for their next try.
    pub backoffs: Backoffs,
    /// Each pool that has work.
    pub pools: Vec<PoolStatus>,
}

impl Standing {
    /// Returns the pool with the least room. If any pools are held, this is one of them. Otherwise it is the pool with
    /// the emptiest bucket.
    pub(crate) fn busiest(&self) -> Option<&PoolStatus> {
        Self::busiest_of(self.pools.iter())
    }

    /// Returns the pool with the least room of these.
    pub(super) fn busiest_of<'a>(pools: impl Iterator<Item = &'a PoolStatus>) -> Option<&'a PoolStatus> {
        pools.min_by(|a, b| {
            (a.held_for.is_none(), room(a))
                .partial_cmp(&(b.held_for.is_none(), room(b)))
                .unwrap_or(std::cmp::Ordering::Equal)
        })
    }
}

/// Returns the level of a pool's emptiest bucket.
fn room(pool: &PoolStatus) -> f64 {
    pool.level.iter().flatten().copied().fold(f64::INFINITY, f64::min)
}

/// How the run ended.
#[derive(Clone, Debug)]
pub struct Ending {
    /// Rows that were read and are still pending.
    pub pending: u64,
    /// Why the run ended; `None` if it ended because the input ended.
    pub halt: Option<HaltReason>,
    /// The reasons that slowed the run down, each with its share of the run's time, the largest share first.
    pub reasons: Vec<(Reason, f64)>,
    /// How much of its limits each pool has used over the run.
    pub uses: Vec<LimitUse>,
    /// How long the run took.
    pub elapsed: Duration,
    /// The highest number of requests in flight.
    pub max_in_flight: usize,
    /// The state of the batches at the end of the run.
    pub batches: BatchesEnd,
}
