//! How the level and the burst of a dimension follow what the server says.
//!
//! A response head does not include the requests that are still on their way to the server. So a level is only
//! *clamped* to what the head says, or *raised* in bounded steps. It is raised towards what remains after everything
//! that the head can't have counted. How much the server accepts at once is not published; raising the level finds it
//! out.
//!
//! When clamps take away more than raises give back, another client uses the difference. From that, `Drift` learns the
//! other client's share of the refill. That share is left unused, so that it causes no refusals.
//!
//! If a proxy hides the headers, the server's bucket is estimated by a shadow: a second bucket that holds a whole
//! minute's burst and is charged what we use. The level rises towards the shadow until the first refusal shows that the
//! shadow is wrong.
//!
//! The output of an answer is reserved all at once, but the server counts it while it is produced. So for answers in
//! flight, the output still to come lowers the level only by what the refill until then will not cover (`production`).
//!
//! Rejected: setting a level to what a head says (what another client took, or what is in flight, is then counted
//! twice: thousands of refusals); clamping tokens to the rounded figure (half a thousand too low on average, which
//! makes runs with small limits take 1.5 times as long); a whole minute's burst from the start (1,154 refusals in 800
//! rows against a server with a burst of a second).

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, LimitSignal};

use super::{DimensionState, first_burst};

/// Token counts in heads are rounded to thousands: the real one is at most this far off.
const ROUNDING: i64 = 500;
/// How much a head may raise a level, in multiples of the cost of the request it answers.
const RAISE_FACTOR: f64 = 4.0;
/// The same for the first heads of a pool. With it 50 prompts at tier 1, where one goes at first, are all sent after three
/// round trips. More than that for all heads sent too much before the length of answers was known.
const FIRST_RAISE_FACTOR: f64 = 8.0;
/// The same after trouble: a bucket that filled up meanwhile is used at up to 1.7 times the limit, not at once.
const SLOW_RAISE_FACTOR: f64 = 0.4;
/// The same by the shadow, which may be wrong.
const SHADOW_RAISE_FACTOR: f64 = 1.0;
/// For how long after a refusal the refused dimension is not raised.
const RAISE_PAUSE: Duration = Duration::from_secs(5);
/// While others use the limit as well, at most this part of a minute's limit is kept back: a third of a second's worth.
const KEPT_BACK: i64 = 180;

/// What a head says about one dimension, with what is known of its request.
#[derive(Clone, Copy, Debug)]
pub(in crate::limiter) struct HeadSignal {
    pub(in crate::limiter) signal: LimitSignal,
    /// What the request reserved.
    pub(in crate::limiter) cost: Cost,
    pub(in crate::limiter) was_admitted: bool,
    /// Whether it is one of the first heads of the pool.
    pub(in crate::limiter) is_early: bool,
}

impl DimensionState {
    /// Clamps and raises the level by what a head says is left, and learns what others take.
    pub(in crate::limiter) fn adopt_level(&mut self, head: HeadSignal, now: Instant) {
        let (Some(remaining), Some(bucket)) = (head.signal.remaining.map(i64::from), &mut self.bucket) else { return };
        let cost = head.cost.of(self.dimension);
        let (rounding, uncovered) = match self.dimension {
            Dimension::Requests => (0, 0),
            Dimension::InputTokens => (ROUNDING, 0),
            Dimension::OutputTokens => (ROUNDING, self.production.uncovered(self.uncounted, bucket.per_second())),
        };
        // A refusal shows that the real figure lies at the lower end of what was rounded.
        let is_short = !head.was_admitted && remaining <= i64::from(cost);
        // While others take their share a level at the upper end would be refused as often as not. What is kept back is
        // kept once, not for each request, so it costs no throughput.
        let margin = match (is_short, self.drift.share() > 0.0) {
            (true, _) => -rounding,
            (false, true) => -(self.uncounted / 4).min(i64::from(bucket.limit()) / KEPT_BACK),
            (false, false) => rounding,
        };
        // What lies below this level was taken by others; the uncovered output was not.
        let missing = (bucket.level(now) - remaining - margin).max(0);
        let lowered = bucket.clamp(remaining - uncovered + margin, now).min(missing);
        let factor = match (self.is_slow, head.is_early) {
            (true, _) => SLOW_RAISE_FACTOR,
            (false, true) => FIRST_RAISE_FACTOR,
            (false, false) => RAISE_FACTOR,
        };
        // A step is a whole number; the parts of a token that are left add up.
        self.raise_credit = self.raise_credit.fract() + f64::from(cost) * factor;
        let target = remaining - rounding - self.uncounted;
        let may_raise = head.was_admitted && self.no_raise_until <= now;
        let raised = if may_raise { bucket.raise(target, self.raise_credit as i64, now) } else { 0 };
        self.is_slow &= raised > 0 || target > bucket.level(now);
        let is_small = cost <= first_burst(bucket.limit());
        let refused = if is_short && is_small { i64::from(cost) } else { 0 };
        self.drift.note(lowered.max(refused) - raised, bucket.limit());
    }

    /// Raises the level towards that of the shadow.
    pub(in crate::limiter) fn follow_shadow(&mut self, cost: Cost, now: Instant) {
        let step = (f64::from(self.amount(cost)) * SHADOW_RAISE_FACTOR).ceil() as i64;
        if let (Some(shadow), Some(bucket)) = (&self.shadow, &mut self.bucket) {
            bucket.raise(shadow.level(now), step, now);
        }
    }

    /// Returns whether a refusal of a request with this cost says that this dimension was short.
    pub(in crate::limiter) fn was_short(&self, cost: Cost, signal: LimitSignal) -> bool {
        let needed = match self.dimension {
            Dimension::Requests | Dimension::InputTokens => i64::from(self.amount(cost)),
            Dimension::OutputTokens => 1,
        };
        signal.remaining.is_some_and(|remaining| i64::from(remaining) < needed)
    }

    /// Lets less through at once after a refusal of a request with this cost.
    pub(in crate::limiter) fn shrink_burst(&mut self, cost: Cost, now: Instant) {
        let cost = self.amount(cost);
        let Some(bucket) = &mut self.bucket else { return };
        if cost > bucket.burst() {
            // It was sent on debt from a bucket that was full by our count. A server whose bucket is no larger would have
            // let it in. So the server's bucket holds this much: wait for all of it the next time.
            let level = bucket.level(now);
            self.least_burst = cost;
            bucket.set_burst(cost, now);
            bucket.clamp(level, now);
            return;
        }
        self.no_raise_until = now + RAISE_PAUSE;
        let least = first_burst(bucket.limit()).max(self.least_burst);
        bucket.set_burst((bucket.burst() / 2).max(least), now);
    }

    /// Empties the bucket after a refusal that names no dimension: this may be the one that was short.
    pub(in crate::limiter) fn empty(&mut self, now: Instant) {
        self.shadow = None;
        if let Some(bucket) = &mut self.bucket {
            bucket.set_burst(first_burst(bucket.limit()), now);
            bucket.clamp(0, now);
        }
    }

    /// Starts again slowly after trouble: the server's bucket filled up meanwhile, and is not used at once.
    pub(in crate::limiter) fn restart_slowly(&mut self, now: Instant) {
        let Some(bucket) = &mut self.bucket else { return };
        self.is_slow = true;
        bucket.set_burst((first_burst(bucket.limit()) / 2).max(self.least_burst).max(1), now);
    }

    /// Sets the level to what the refused request needs at the end of a hold.
    pub(in crate::limiter) fn hold(&mut self, refused: Cost, until: Instant) {
        let fits = i64::from(self.amount(refused));
        let Some(bucket) = &mut self.bucket else { return };
        bucket.clamp(fits, until);
        if fits > i64::from(first_burst(bucket.limit())) {
            bucket.raise(fits, i64::MAX, until);
        }
    }
}
