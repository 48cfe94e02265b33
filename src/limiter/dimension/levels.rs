//! Adjusts the level and the burst of a dimension to what the server says.
//!
//! The figures in a response head do not include the requests that are on their way to the server. So a level is never
//! set to the figure in a head. It is *clamped* (lowered to that figure if it is higher) or *raised* in steps of
//! limited size. It is raised towards a target: the remaining amount that the head reports, minus the cost of requests
//! that the head can't have counted. The burst that the server accepts is not published. By raising the level in steps,
//! this program finds the burst.
//!
//! If clamps take more from the level than raises add to it, another client uses the difference. From that difference,
//! `Drift` learns the other client's share of the refill. This program leaves that share unused, so that fewer requests
//! are refused.
//!
//! A server's level can be below zero, and a head then reports 0. The level falls below zero when the server accepts a
//! request that is larger than its bucket, and when answers are longer than predicted. So a reported 0 never raises the
//! level, and it counts as a sign of other clients only if our own level is clearly above zero. For output, this last
//! rule applies only while more is in flight than the server's bucket holds.
//!
//! If a proxy hides the headers, the server's bucket is estimated by a shadow. The shadow is a second bucket that holds
//! a whole minute's burst. The cost of each request is taken from the shadow as well. The level rises towards the
//! shadow until the first refusal shows that the shadow is wrong.
//!
//! The whole output of an answer is reserved when the request is sent, but the server counts the output while it is
//! produced. Output that is not produced yet lowers the level only by the part that the refill will not cover in time
//! (`production`).
//!
//! Rejected:
//! - Setting a level to the figure in a head. Tokens of other clients and of requests in flight were then counted
//!   twice. This caused thousands of refusals.
//! - Clamping the level of tokens to the rounded figure of a head. This figure is 500 tokens too low on average, so
//!   runs with small limits took 1.5 times as long.
//! - Setting the level to 0 when a head reports 0. The level rose although the server was in debt, and the difference
//!   counted as the share of another client. Runs with rows above the server's burst took up to five times as long.
//! - A burst of a whole minute from the start. A server with a burst of a second refused requests 1,154 times in a run
//!   of 800 rows.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, LimitSignal};

use super::{DimensionState, first_burst};

/// Token counts in heads are rounded to thousands. The real count differs by at most this much. A server that once
/// reports another number does not round.
const ROUNDED_TO: i64 = 1_000;
const ROUNDING: i64 = ROUNDED_TO / 2;
/// The search for the burst begins this far below the remaining amount that a refusal reports. Half of this distance
/// allows for rounding.
const UNSURE: u32 = 1_000;
/// How much a head may raise a level, in multiples of the cost of its request.
const RAISE_FACTOR: f64 = 4.0;
/// How much each of the first heads of a pool may raise a level, in the same unit. With this factor, a run of 50
/// prompts at tier 1 starts with one request and has sent all of them after three round trips. A version that used this
/// factor for all heads sent too much before it knew the length of answers.
const FIRST_RAISE_FACTOR: f64 = 8.0;
/// How much a head may raise a level after trouble, in the same unit. The tokens that built up in the server's bucket
/// during the trouble are then used gradually, at up to 1.7 times the limit, instead of in one burst.
const SLOW_RAISE_FACTOR: f64 = 0.4;
/// How much a head may raise the level towards the shadow, in the same unit. This step is smaller than
/// [`RAISE_FACTOR`], because the shadow may be wrong.
const SHADOW_RAISE_FACTOR: f64 = 1.0;
/// After a refusal, the level of the dimension is not raised for this long.
const RAISE_PAUSE: Duration = Duration::from_secs(5);
/// While other clients use the limit as well, a margin is left unused. The margin is at most 1/180 of a minute's limit,
/// that is, what the limit gives in a third of a second.
const KEPT_BACK: i64 = 180;

/// The amounts that the server's bucket gave are added up for this long. After that, the errors of the estimated input
/// would add up too.
const GIVEN_FOR: Duration = Duration::from_secs(10);

/// What a head says about one dimension, and what is known about its request.
#[derive(Clone, Copy, Debug)]
pub(in crate::limiter) struct HeadSignal {
    pub(in crate::limiter) signal: LimitSignal,
    /// The amount that the request reserved.
    pub(in crate::limiter) cost: Cost,
    pub(in crate::limiter) was_admitted: bool,
    /// Whether this head is one of the first heads of the pool.
    pub(in crate::limiter) is_early: bool,
    /// The share of the limit that the user wants to leave unused, 0 to 1.
    pub(in crate::limiter) wanted_headroom: f64,
}

impl DimensionState {
    /// Updates the highest known level of the server's bucket. This level is a lower bound of the bucket's size. It
    /// equals the size if the bucket was full when the run began and no other client used the bucket.
    ///
    /// Before this request, the level was at least the remaining amount plus the cost of the request. At the start of
    /// the run, the level was the remaining amount plus everything that the bucket gave, minus the refill since then.
    /// This sum is used only in the first seconds.
    pub(in crate::limiter) fn note_held(&mut self, head: HeadSignal, now: Instant) {
        let counted = match self.dimension {
            Dimension::Requests | Dimension::InputTokens if head.was_admitted => head.cost.of(self.dimension),
            Dimension::Requests | Dimension::InputTokens | Dimension::OutputTokens => 0,
        };
        self.given = self.given.saturating_add(u64::from(counted));
        let (Some(remaining), Some(limit)) = (head.signal.remaining, self.reported) else { return };
        if remaining == 0 && self.dimension != Dimension::Requests {
            // A full bucket also accepts a request that costs more tokens than it holds. The bucket is then in debt,
            // and the head does not show how large the debt is.
            return;
        }
        let passed = now.since(self.began);
        let refilled = (f64::from(limit) / 60.0 * passed.as_secs_f64()) as u64;
        let given = if passed <= GIVEN_FOR { self.given.saturating_sub(refilled) } else { 0 };
        let held = u64::from(remaining) + given.max(u64::from(counted));
        self.most_held = self.most_held.max(u32::try_from(held).unwrap_or(u32::MAX));
    }

    /// Clamps or raises the level according to the remaining amount that a head reports, and learns what other clients
    /// take.
    pub(in crate::limiter) fn adopt_level(&mut self, head: HeadSignal, now: Instant) {
        let (Some(remaining), Some(bucket)) = (head.signal.remaining.map(i64::from), &mut self.bucket) else { return };
        let cost = head.cost.of(self.dimension);
        self.is_exact |= remaining % ROUNDED_TO != 0;
        let rounding = if self.is_exact { 0 } else { ROUNDING };
        let uncovered = match self.dimension {
            Dimension::Requests | Dimension::InputTokens => 0,
            Dimension::OutputTokens => self.production.uncovered(self.uncounted, bucket.per_second()),
        };
        // If a request was refused, the real remaining amount is at the lower end of the rounding range. A rounded
        // amount that is equal to the cost may be less in reality.
        let is_short = !head.was_admitted && remaining < i64::from(cost) + rounding.min(1);
        // A level below zero is reported as 0. So after a 0, the level is at most 0, but it may be much lower.
        let may_be_in_debt = remaining == 0 && self.dimension != Dimension::Requests;
        // While other clients use the limit, a level at the upper end of the rounding range would cause a refusal about
        // every second time. The margin is subtracted from the level once, not for each request, so it costs no
        // throughput.
        let margin = match (is_short, self.drift.share() > 0.0) {
            (true, _) => -rounding,
            (false, true) => -(self.uncounted / 4).min(i64::from(bucket.limit()) / KEPT_BACK),
            (false, false) => rounding,
        };
        let may_hide_debt = match self.dimension {
            Dimension::Requests => false,
            Dimension::InputTokens => may_be_in_debt,
            // Even without other clients, the level falls below zero if more output is in flight than the server's
            // bucket holds.
            Dimension::OutputTokens => may_be_in_debt && self.uncounted > i64::from(self.most_held),
        };
        // Other clients took this amount. It does not include the uncovered output.
        let missing = (bucket.level(now) - remaining - if may_hide_debt { rounding } else { margin }).max(0);
        let lowered = bucket.clamp(remaining - uncovered + margin, now).min(missing);
        let factor = match (self.is_slow, head.is_early) {
            (true, _) => SLOW_RAISE_FACTOR,
            (false, true) => FIRST_RAISE_FACTOR,
            (false, false) => RAISE_FACTOR,
        };
        // A step is a whole number of tokens. The fraction that is left over is added to the next step.
        self.raise_credit = self.raise_credit.fract() + f64::from(cost) * factor;
        // The server's bucket also contains the tokens that the user wants to leave unused. They must not be used
        // later.
        let a_second = head.wanted_headroom * f64::from(bucket.limit()) / 60.0;
        let left_unused = (a_second * now.since(self.began).as_secs_f64()) as i64;
        let target = remaining - rounding - self.uncounted - left_unused;
        // If the limit given by hand is below the server's limit, the server always reports more than this program is
        // allowed to use.
        let is_below_server = self.by_hand.zip(self.reported).is_some_and(|(most, reported)| most < reported);
        let may_raise = head.was_admitted && !may_be_in_debt && self.no_raise_until <= now && !is_below_server;
        let raised = if may_raise { bucket.raise(target, self.raise_credit as i64, now) } else { 0 };
        self.is_slow &= raised > 0 || target > bucket.level(now);
        // A refusal of a request with a large cost is no sign of other clients, because the server's burst may be
        // small. A refusal because of output is no sign either, because the run's own answers may be longer than
        // predicted.
        let is_sign = is_short && cost <= first_burst(bucket.limit()) && self.dimension != Dimension::OutputTokens;
        let refused = if is_sign { i64::from(cost) } else { 0 };
        self.drift.note(lowered.max(refused) - raised, bucket.limit());
    }

    /// Raises the level towards the level of the shadow.
    pub(in crate::limiter) fn follow_shadow(&mut self, cost: Cost, now: Instant) {
        let step = (f64::from(self.amount(cost)) * SHADOW_RAISE_FACTOR).ceil() as i64;
        if let (Some(shadow), Some(bucket)) = (&self.shadow, &mut self.bucket) {
            bucket.raise(shadow.level(now), step, now);
        }
    }

    /// Returns whether this dimension had no room when a request with this cost was refused.
    pub(in crate::limiter) fn was_short(&self, cost: Cost, signal: LimitSignal) -> bool {
        let needed = match self.dimension {
            Dimension::Requests | Dimension::InputTokens => i64::from(self.amount(cost)),
            Dimension::OutputTokens => 1,
        };
        signal.remaining.is_some_and(|remaining| i64::from(remaining) < needed)
    }

    /// Returns whether this dimension may have had no room when a request with this cost was refused. The head shows
    /// enough room, but its figure may be rounded up.
    pub(in crate::limiter) fn may_have_been_short(&self, cost: Cost, signal: LimitSignal) -> bool {
        let needed = match self.dimension {
            Dimension::InputTokens if !self.is_exact => i64::from(self.amount(cost)) + ROUNDING,
            // The number that is left is not rounded. For output, one remaining token is enough.
            Dimension::Requests | Dimension::InputTokens | Dimension::OutputTokens => return false,
        };
        signal.remaining.is_some_and(|remaining| i64::from(remaining) < needed)
    }

    /// Corrects the burst after a refusal of a request with this cost. `signal` and `retry_after` come from the
    /// refusal.
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
            // The request was sent when our bucket was full. If the server's bucket were as small as ours, the server
            // would have accepted the request and gone into debt. So the server's bucket is larger. The server's bucket
            // contains at least the remaining amount. The search begins a little lower, because a burst that is too
            // small costs less time than one that is too large.
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

    /// Empties the bucket after a refusal that names no dimension, because this may be the dimension that had no room.
    pub(in crate::limiter) fn empty(&mut self, now: Instant) {
        self.shadow = None;
        if let Some(bucket) = &mut self.bucket {
            bucket.set_burst(first_burst(bucket.limit()), now);
            bucket.clamp(0, now);
        }
    }

    /// Starts again slowly after trouble. The tokens that built up in the server's bucket during the trouble are not
    /// used in one burst.
    pub(in crate::limiter) fn restart_slowly(&mut self, now: Instant) {
        let Some(bucket) = &mut self.bucket else { return };
        self.is_slow = true;
        bucket.set_burst((first_burst(bucket.limit()) / 2).max(self.search.found()).max(1), now);
    }

    /// Sets the level that the bucket will have at the end of a hold to the amount that the refused request needs.
    pub(in crate::limiter) fn hold(&mut self, refused: Cost, until: Instant) {
        let fits = i64::from(self.amount(refused));
        let Some(bucket) = &mut self.bucket else { return };
        bucket.clamp(fits, until);
        if fits > i64::from(first_burst(bucket.limit())) {
            // A request that costs more than the burst is sent when the bucket is full.
            bucket.raise(fits.min(i64::from(bucket.burst())), i64::MAX, until);
        }
    }
}
