//! Adjusts the level and the burst of a dimension to what the server says.
//!
//! The figures in a response head (the status line and headers) do not include requests that are on their way to the
//! server. For this reason, a level is never set to the figure in a header. The level is *clamped* (lowered to the
//! header's figure, if this figure is lower) or *raised* in steps of limited size. The target of a raise is the
//! remaining amount in the header, minus the cost of the requests that the server had not counted yet. The burst that
//! the server accepts is not published. This program finds the burst by raising the level in steps.
//!
//! If all clamps together take more from the level than all raises add to it, another client has used the difference.
//! To learn the other client's share of the refill, `Drift` compares the total of all clamps with the total of all
//! raises. This program leaves the share of the other client unused, so that the server rejects fewer requests.
//!
//! A server's level can be below zero, and a header then reports 0. The server's level falls below zero when the server
//! accepts a request that is larger than its bucket, or when answers are longer than predicted. So our own level is
//! never raised because of a reported 0. A reported 0 is a sign of other clients only if our own level is clearly above
//! zero. A reported 0 for output tokens is a sign of other clients only if the server's bucket is large enough for all
//! output in flight.
//!
//! If a proxy hides the headers, the program estimates the server's bucket with a shadow. The shadow is a second
//! bucket, whose burst is the limit of a whole minute. The cost of each request is taken from both the bucket and the
//! shadow. The level rises towards the level of the shadow until the first refusal shows that the shadow is wrong.
//!
//! A request reserves its whole output when it is sent, but the server counts the output when it is produced. So the
//! level is lowered by only a part of the output that is still to be produced. The part that lowers the level is the
//! output that the refill will not replace in time (`production`).
//!
//! Rejected:
//! - When a level was set to the figure in a header, the tokens of other clients and of requests in flight were counted
//!   twice. Because these tokens were counted twice, the server refused thousands of requests.
//! - When the level of tokens was clamped to the rounded figure in a header, runs with small limits took 1.5 times as
//!   long. The cause was the rounding: on average, a rounded figure is 500 tokens too low.
//! - If the server's bucket was in debt, the server reported 0. Because of this report, the program set its own level
//!   to 0, which was wrong. The level then rose too early. The difference between the level and the server's bucket was
//!   wrongly counted as the share of another client. Because of this mistake, a run took up to five times as long if
//!   its rows were larger than the server's burst.
//! - A run of 800 rows began with a burst of a whole minute's limit, but the server allowed only a burst of one second.
//!   This run caused 1,154 refusals.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, LimitSignal};

use super::{DimensionState, first_burst};

/// Token counts in response headers are usually rounded to thousands. The real count differs from the rounded count by
/// at most `ROUNDING`. If a server ever reports a number that is not rounded, the program treats all numbers from this
/// server as exact.
const ROUNDED_TO: i64 = 1_000;
const ROUNDING: i64 = ROUNDED_TO / 2;
/// If a refusal reports a remaining amount, the search for the burst begins `UNSURE` tokens below this amount. Half of
/// `UNSURE` compensates for the rounding of the reported amount.
const UNSURE: u32 = 1_000;
/// The largest raise of a level by one response head, as a multiple of the request's cost.
const RAISE_FACTOR: f64 = 4.0;
/// The largest raise of a level by one of a pool's first response heads, as a multiple of the request's cost. With this
/// factor, a run of 50 prompts at tier 1 starts with one request. After three round trips, such a run has sent all its
/// requests. An earlier version used this factor for all response heads. That earlier version sent too much before it
/// knew how long answers are.
const FIRST_RAISE_FACTOR: f64 = 8.0;
/// After trouble, one response head can raise a level by at most this factor times the cost of the request that it
/// answers. With this factor, the run gradually uses the tokens that built up in the server's bucket during the
/// trouble. With this factor, the rate is at most 1.7 times the limit, and there is no burst.
const SLOW_RAISE_FACTOR: f64 = 0.4;
/// The shadow is an estimate of the server's level. A response raises our level towards this estimate by at most the
/// cost of its request times this factor. This factor is smaller than [`RAISE_FACTOR`], because the shadow can be
/// wrong.
const SHADOW_RAISE_FACTOR: f64 = 1.0;
/// After a refusal, the level of a dimension is not raised for this time.
const RAISE_PAUSE: Duration = Duration::from_secs(5);
/// If other clients also use the limit, a margin of the level is left unused. The margin is at most the limit per
/// minute divided by `KEPT_BACK`. Because `KEPT_BACK` is 180, the margin is never more than the limit allows in a third
/// of a second.
const KEPT_BACK: i64 = 180;

/// During the first seconds of the run (`GIVEN_FOR`), the amounts that requests take from the server's bucket are added
/// up. After this time, the sum of the errors in the estimated input would be too large.
const GIVEN_FOR: Duration = Duration::from_secs(10);

/// What a response head says about one dimension, and facts about its request.
#[derive(Clone, Copy, Debug)]
pub(in crate::limiter) struct HeadSignal {
    pub(in crate::limiter) signal: LimitSignal,
    /// The amount that the request reserved.
    pub(in crate::limiter) cost: Cost,
    pub(in crate::limiter) was_admitted: bool,
    /// Whether this response head is one of the pool's first response heads.
    pub(in crate::limiter) is_early: bool,
    /// The share of the limit that the user wants to leave unused, from 0 to 1.
    pub(in crate::limiter) wanted_headroom: f64,
}

impl DimensionState {
    /// Uses a response head to update the highest known level of the server's bucket. The highest known level is a
    /// lower bound of the bucket's size. If the bucket was full when the run began, and no other client used the
    /// bucket, the highest known level is equal to the bucket's size.
    ///
    /// Before this request, the server's level was at least the remaining amount plus the cost of the request. The
    /// level at the start of the run is the remaining amount, plus everything taken from the bucket since the start,
    /// minus the refill since the start. The level at the start of the run is computed only in the first seconds of the
    /// run (`GIVEN_FOR`).
    pub(in crate::limiter) fn note_held(&mut self, head: HeadSignal, now: Instant) {
        let counted = match self.dimension {
            Dimension::Requests | Dimension::InputTokens if head.was_admitted => head.cost.of(self.dimension),
            Dimension::Requests | Dimension::InputTokens | Dimension::OutputTokens => 0,
        };
        self.given = self.given.saturating_add(u64::from(counted));
        let (Some(remaining), Some(limit)) = (head.signal.remaining, self.reported) else { return };
        if remaining == 0 && self.dimension != Dimension::Requests {
            // A full bucket grants even a request that costs more tokens than the bucket holds. After such a request
            // the bucket is in debt, and the response head does not show the amount of the debt.
            return;
        }
        let passed = now.since(self.began);
        let refilled = (f64::from(limit) / 60.0 * passed.as_secs_f64()) as u64;
        let given = if passed <= GIVEN_FOR { self.given.saturating_sub(refilled) } else { 0 };
        let held = u64::from(remaining) + given.max(u64::from(counted));
        self.most_held = self.most_held.max(u32::try_from(held).unwrap_or(u32::MAX));
    }

    /// Lowers or raises the level according to the remaining amount in a response head. Also learns the share of other
    /// clients.
    pub(in crate::limiter) fn adopt_level(&mut self, head: HeadSignal, now: Instant) {
        let (Some(remaining), Some(bucket)) = (head.signal.remaining.map(i64::from), &mut self.bucket) else { return };
        let cost = head.cost.of(self.dimension);
        self.is_exact |= remaining % ROUNDED_TO != 0;
        let rounding = if self.is_exact { 0 } else { ROUNDING };
        let uncovered = match self.dimension {
            Dimension::Requests | Dimension::InputTokens => 0,
            Dimension::OutputTokens => self.production.uncovered(self.uncounted, bucket.per_second()),
        };
        // If a request was rejected, the real remaining amount is at the lower end of the rounding range. If the
        // rounded amount is equal to the cost, the real amount can be smaller than the cost.
        let is_short = !head.was_admitted && remaining < i64::from(cost) + rounding.min(1);
        // The server reports a level below zero as 0. So if the server reports 0, the real level is at most 0, but it
        // can be much lower.
        let may_be_in_debt = remaining == 0 && self.dimension != Dimension::Requests;
        // Some requests fit only if the real remaining amount is at the upper end of the rounding range. If the program
        // sent these requests while other clients use the limit, the server would reject about half of them. The margin
        // costs no throughput, because it is subtracted from the level only once and not for each request.
        let margin = match (is_short, self.drift.share() > 0.0) {
            (true, _) => -rounding,
            (false, true) => -(self.uncounted / 4).min(i64::from(bucket.limit()) / KEPT_BACK),
            (false, false) => rounding,
        };
        let may_hide_debt = match self.dimension {
            Dimension::Requests => false,
            Dimension::InputTokens => may_be_in_debt,
            // If more output is in flight than the server's bucket holds, the server's level falls below zero even
            // without other clients.
            Dimension::OutputTokens => may_be_in_debt && self.uncounted > i64::from(self.most_held),
        };
        // The amount that other clients took from the server's bucket. This amount does not include the uncovered
        // output (output that the refill will not replace in time).
        let missing = (bucket.level(now) - remaining - if may_hide_debt { rounding } else { margin }).max(0);
        let lowered = bucket.clamp(remaining - uncovered + margin, now).min(missing);
        let factor = match (self.is_slow, head.is_early) {
            (true, _) => SLOW_RAISE_FACTOR,
            (false, true) => FIRST_RAISE_FACTOR,
            (false, false) => RAISE_FACTOR,
        };
        // The level is raised by a whole number of tokens. The fraction that is left over is added to the next raise of
        // the level.
        self.raise_credit = self.raise_credit.fract() + f64::from(cost) * factor;
        // The server's bucket also contains the tokens that the user's headroom has left unused. Our level must not
        // include these tokens, because they must not be used later.
        let a_second = head.wanted_headroom * f64::from(bucket.limit()) / 60.0;
        let left_unused = (a_second * now.since(self.began).as_secs_f64()) as i64;
        let target = remaining - rounding - self.uncounted - left_unused;
        // If the user's own limit or a learned limit is below the server's limit, the server always reports more than
        // this program is allowed to use.
        let is_by_hand = self.by_hand.zip(self.reported).is_some_and(|(most, reported)| most < reported);
        let is_below_server = is_by_hand || self.learned.is_some();
        let may_raise = head.was_admitted && !may_be_in_debt && self.no_raise_until <= now && !is_below_server;
        let raised = if may_raise { bucket.raise(target, self.raise_credit as i64, now) } else { 0 };
        self.is_slow &= raised > 0 || target > bucket.level(now);
        // The refusal of a large request is no sign of other clients, because the server's burst can be smaller than
        // the request. The run's own answers can be longer than predicted. So a refusal by the output limit is no sign
        // of other clients.
        let is_sign = is_short && cost <= first_burst(bucket.limit()) && self.dimension != Dimension::OutputTokens;
        let refused = if is_sign { i64::from(cost) } else { 0 };
        self.drift.note(lowered.max(refused) - raised, bucket.limit());
    }

    /// Raises the level towards the level of the shadow (the estimate of the server's bucket).
    pub(in crate::limiter) fn follow_shadow(&mut self, cost: Cost, now: Instant) {
        let step = (f64::from(self.amount(cost)) * SHADOW_RAISE_FACTOR).ceil() as i64;
        if let (Some(shadow), Some(bucket)) = (&self.shadow, &mut self.bucket) {
            bucket.raise(shadow.level(now), step, now);
        }
    }

    /// Returns whether the response head of a refusal shows that this dimension had no room for a request with this
    /// cost.
    pub(in crate::limiter) fn was_short(&self, cost: Cost, signal: LimitSignal) -> bool {
        let needed = match self.dimension {
            Dimension::Requests | Dimension::InputTokens => i64::from(self.amount(cost)),
            Dimension::OutputTokens => 1,
        };
        signal.remaining.is_some_and(|remaining| i64::from(remaining) < needed)
    }

    /// Returns whether this dimension possibly had no room when a request with this cost was rejected. The server may
    /// round its figure up, so the header can show enough room although there was not enough.
    pub(in crate::limiter) fn may_have_been_short(&self, cost: Cost, signal: LimitSignal) -> bool {
        let needed = match self.dimension {
            Dimension::InputTokens if !self.is_exact => i64::from(self.amount(cost)) + ROUNDING,
            // For this dimension, the server reports exact numbers. For output tokens, one remaining token is enough to
            // admit a request.
            Dimension::Requests | Dimension::InputTokens | Dimension::OutputTokens => return false,
        };
        signal.remaining.is_some_and(|remaining| i64::from(remaining) < needed)
    }

    /// Corrects the bucket's burst after the server has refused a request with this cost. `signal` and `retry_after`
    /// come from the refusal.
    pub(in crate::limiter) fn correct_burst(
        &mut self,
        cost: Cost,
        signal: LimitSignal,
        retry_after: Option<Duration>,
        now: Instant,
    ) {
        let cost = self.amount(cost);
        let Some(bucket) = &mut self.bucket else { return };
        let per_second = f64::from(bucket.limit()) / 60.0;
        if cost > bucket.burst() {
            // The rejected request was sent when our bucket was full. If the server's bucket were as small as ours,
            // that bucket would have been full too, and the server would have accepted the request. The server's bucket
            // is therefore larger than ours. The server's bucket contains at least the remaining amount. The search
            // begins slightly below the remaining amount, because too small a burst costs less time than too large a
            // burst.
            let held = signal.remaining.unwrap_or(0).saturating_sub(UNSURE).max(bucket.burst());
            self.search.on_too_small(held, cost, retry_after, per_second);
            bucket.set_burst(self.search.found(), now);
            return;
        }
        self.no_raise_until = now + RAISE_PAUSE;
        if bucket.burst() <= self.search.found() {
            self.search.on_too_large(per_second);
        }
        let least = first_burst(bucket.limit()).max(self.search.found());
        bucket.set_burst((bucket.burst() / 2).max(least), now);
    }

    /// Empties the bucket after a refusal that names no dimension, because this dimension could be the cause of the
    /// refusal.
    pub(in crate::limiter) fn empty(&mut self, now: Instant) {
        self.shadow = None;
        if let Some(bucket) = &mut self.bucket {
            bucket.set_burst(first_burst(bucket.limit()), now);
            bucket.clamp(0, now);
        }
    }

    /// Restarts this dimension slowly after trouble (a long pause or many faults). During the trouble, the server's
    /// bucket filled with tokens. With the slow restart, the run does not use these tokens in one burst.
    pub(in crate::limiter) fn restart_slowly(&mut self, now: Instant) {
        let Some(bucket) = &mut self.bucket else { return };
        self.is_slow = true;
        bucket.set_burst((first_burst(bucket.limit()) / 2).max(self.search.found()).max(1), now);
    }

    /// Changes the level. At the end of the hold (a time without sending), the bucket will contain the amount for the
    /// rejected request.
    pub(in crate::limiter) fn hold(&mut self, refused: Cost, until: Instant) {
        let fits = i64::from(self.amount(refused));
        let Some(bucket) = &mut self.bucket else { return };
        bucket.clamp(fits, until);
        if fits > i64::from(first_burst(bucket.limit())) {
            // If a request costs more than the burst, it is sent when the bucket is full.
            bucket.raise(fits.min(i64::from(bucket.burst())), i64::MAX, until);
        }
    }
}
