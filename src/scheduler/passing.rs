//! Small rows pass a big one that waits for its bucket.
//!
//! A row that needs a good part of a minute's tokens waits until they have come together, up to a minute. Those behind it
//! need not stand still meanwhile: they may take a quarter of what comes in. So a big row waits for four thirds of the
//! time its tokens take, whoever is behind it, and small ones go on at a quarter of the limit at least. The limit is used
//! up either way, so it costs no time.
//!
//! What passed is counted from the moment when the big row first had to wait; how long it waits is bounded by that,
//! not by how many pass.
//!
//! Rejected: a half (a big row then waits for two fills of its bucket, and a little more while headroom is left unused);
//! letting only those pass that the bucket holds beyond the big row's need (there is nothing beyond while it waits); a
//! queue for each size (the order of the input would be lost, and with it the nearness of answers to their rows).

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};
use crate::limiter::{Admission, Reservation};

use super::pool::{Passing, PoolState};

/// The part of what comes in that those behind may take.
const SHARE: f64 = 0.25;
/// A row is big when it needs more than so many seconds' worth of the limit.
const BIG_SECONDS: f64 = 5.0;
/// Those pass that need a quarter of it at most.
const SMALL_PART: u32 = 4;
/// So far behind a small row is looked for.
const REACH: usize = 64;

impl Passing {
    /// Returns when those behind may take so much more.
    fn free_at(&self, more: u32, per_second: f64) -> Instant {
        let due = (self.taken + u64::from(more)) as f64 / (per_second * SHARE);
        self.since + Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX)
    }
}

impl PoolState {
    /// Returns whether a row that needs `cost` is big.
    pub(super) fn is_big(&self, cost: Cost, dimension: Dimension) -> bool {
        f64::from(cost.of(dimension)) > BIG_SECONDS * self.per_second(dimension)
    }

    fn per_second(&self, dimension: Dimension) -> f64 {
        self.pool.limits().of(dimension).map_or(f64::INFINITY, |limit| f64::from(limit) / 60.0)
    }

    /// Returns the place of a row that may pass the first one, which needs `cost` and waits for `dimension` until
    /// `until`, with what was reserved for it; and when to ask again.
    pub(super) fn who_passes(
        &mut self,
        cost: Cost,
        dimension: Dimension,
        until: Instant,
        now: Instant,
    ) -> (Option<(usize, Reservation)>, Instant) {
        if !self.is_big(cost, dimension) {
            return (None, until);
        }
        let need = cost.of(dimension);
        let per_second = self.per_second(dimension);
        let behind = self.ready.iter().enumerate().take(REACH).skip(1);
        let mut costs = behind.map(|(at, entry)| (at, self.prediction.cost(&entry.planned.ask)));
        let small = costs.find(|(_, cost)| cost.of(dimension) <= need / SMALL_PART);
        let fresh = Passing { since: now, dimension, taken: 0 };
        let passing = self.passing.get_or_insert(fresh);
        if passing.dimension != dimension {
            *passing = fresh;
        }
        let Some((at, cost)) = small else { return (None, until) };
        let free_at = passing.free_at(cost.of(dimension), per_second);
        if free_at > now {
            return (None, until.min(free_at));
        }
        match self.pool.reserve(cost, now) {
            Admission::Granted(reservation) => {
                passing.taken += u64::from(cost.of(dimension));
                (Some((at, reservation)), until)
            }
            Admission::Wait { until: small_until, .. } => (None, until.min(small_until)),
        }
    }
}
