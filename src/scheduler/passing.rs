//! Lets small rows pass a big row that waits until its bucket has enough tokens.
//!
//! If a row needs a large part of a minute's tokens, the row waits until the bucket contains these tokens. A big row
//! can wait for up to a minute. During this wait, the small rows behind the big row can use a quarter of the refill. So
//! the big row waits at most four thirds as long as it would wait without the small rows. Small rows are sent at a rate
//! of at least a quarter of the limit. The run does not take longer when small rows pass a big row, because the limit
//! is fully used in any case.
//!
//! The tokens of passing rows are counted from the instant at which the big row first had to wait. In this way, the
//! wait of the big row is limited, however many rows pass it.
//!
//! Like a big row, a row that writes a shared prefix to the prompt cache needs many input tokens. Rows that read from
//! the cache need few input tokens, so they pass a waiting row that needs many tokens to write a prefix.
//!
//! Rejected:
//! - If small rows got half of the refill, a big row would have to wait for two refills of its bucket, plus a short
//!   time for the headroom.
//! - Small rows can't use spare tokens to pass a big row, because the waiting big row needs all tokens.
//! - If each size of rows had its own queue, the order of the answers would be very different from the order of the
//!   input.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};
use crate::limiter::{Admission, Reservation};

use super::pool::{Passing, PoolState};
use super::state::Scheduler;
use super::warmth::Plan;

/// While a big row waits, the rows behind it can use this share of the refill.
const SHARE: f64 = 0.25;
/// A row is big if its tokens take longer than `BIG_SECONDS` to refill.
const BIG_SECONDS: f64 = 5.0;
/// A row is allowed to pass if it needs at most a quarter of the tokens that the big row needs.
const SMALL_PART: u32 = 4;
/// The number of rows that are checked to find a row that is allowed to pass.
const REACH: usize = 64;

impl Passing {
    /// Returns the earliest instant at which rows are allowed to pass the big row if they need `more` additional
    /// tokens.
    fn free_at(&self, more: u32, per_second: f64) -> Instant {
        let due = (self.taken + u64::from(more)) as f64 / (per_second * SHARE);
        self.since + Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX)
    }
}

impl PoolState {
    /// Returns whether the `cost` of a row is more than the limit of this dimension allows in `BIG_SECONDS` seconds.
    pub(super) fn is_big(&self, cost: Cost, dimension: Dimension) -> bool {
        f64::from(cost.of(dimension)) > BIG_SECONDS * self.per_second(dimension)
    }

    fn per_second(&self, dimension: Dimension) -> f64 {
        self.pool.limits().of(dimension).map_or(f64::INFINITY, |limit| f64::from(limit) / 60.0)
    }
}

impl Scheduler {
    /// Looks for a row that is allowed to pass the first row of a pool's queue. The first row needs `cost` and waits
    /// for `dimension` until `until`. Returns two values. The first value is `None` if no row is allowed to pass. If a
    /// row is allowed to pass, the first value contains the row's place, its use of the prompt cache, and its
    /// reservation. The second value says when to call this function again.
    pub(super) fn who_passes(
        &mut self,
        pool: usize,
        cost: Cost,
        dimension: Dimension,
        until: Instant,
        now: Instant,
    ) -> (Option<(usize, Plan, Reservation)>, Instant) {
        let state = &self.pools[pool];
        let leads = state.ready.front().is_some_and(|entry| !entry.leads.is_empty());
        if !(state.is_big(cost, dimension) || leads && dimension == Dimension::InputTokens) {
            return (None, until);
        }
        let need = cost.of(dimension);
        let per_second = state.per_second(dimension);
        let behind = state.ready.iter().enumerate().take(REACH).skip(1);
        let mut costs = behind.filter_map(|(at, entry)| {
            let plan = self.plan_without_lead(entry, state.endpoint, now)?;
            Some((at, plan, state.cost(&entry.planned.ask, plan.read_tokens)))
        });
        let small = costs.find(|(_, _, cost)| cost.of(dimension) <= need / SMALL_PART);
        let fresh = Passing { since: now, dimension, taken: 0 };
        let state = &mut self.pools[pool];
        let passing = state.passing.get_or_insert(fresh);
        if passing.dimension != dimension {
            *passing = fresh;
        }
        let Some((at, plan, cost)) = small else { return (None, until) };
        let free_at = passing.free_at(cost.of(dimension), per_second);
        if free_at > now {
            return (None, until.min(free_at));
        }
        match state.pool.reserve(cost, now) {
            Admission::Granted(reservation) => {
                passing.taken += u64::from(cost.of(dimension));
                (Some((at, plan, reservation)), until)
            }
            Admission::Wait { until: small_until, .. } => (None, until.min(small_until)),
        }
    }
}
