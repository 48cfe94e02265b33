//! All dimensions of one pool. A request is admitted by all dimensions or by none. When a request ends, its reservation
//! is replaced by its real usage.
//!
//! A pool owns its dimensions, its headroom and its hold (a time in which it sends nothing). Limits come from presets,
//! from numbers given by hand, and from response heads (the status line and headers). A response head can raise or
//! lower a preset limit, but can only lower a limit given by hand. The file `dimension` decides what a response head
//! changes in a dimension.
//!
//! If a proxy hides the headers, limits are learned from refusals (`hidden`). Until these limits are learned, the pool
//! sends few requests after each hold (`slow_start`).
//!
//! Some servers have one limit on input and output together. If a server limits the sum of input and output, this limit
//! takes the place of the input limit. When a known server with such a limit admits a request, the server counts the
//! input and the `max_tokens` of the request. Servers with such a limit give no tokens back when a request ends. So a
//! request reserves the sum of its input and `max_tokens` as input, and the reservation stays after the request ends.
//! If a server does give tokens back, its response headers report more tokens than this program has counted. The
//! headers then raise the level.
//!
//! Rejected: a fourth dimension for a limit on the sum of input and output tokens. The flags, the presets, the reports
//! and the code for headers would all have to support the fourth dimension. No server has separate headers for such a
//! limit.

mod learned;

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, LearnedPool, LimitUse, PoolId, RateLimits, RateSignals};

use super::admission::{Admission, Reservation};
use super::bucket::Bucket;
use super::dimension::{DimensionState, HeadSignal};
use super::headroom::{Headroom, UnusedShare};
use super::hidden::Hidden;
use super::slow_start::SlowStart;

/// How many response heads count as the first response heads of a pool.
const FIRST_HEADS: u32 = 8;
/// After `HIDDEN_AFTER` answers without limit headers, the program assumes that a proxy hides these headers.
const HIDDEN_AFTER: u32 = 20;
/// The longest possible hold (time without sending) if the refusal does not say how long to wait.
pub(crate) const LONGEST_UNSAID_HOLD: Duration = Duration::from_secs(60);
/// A hold of at least `LONG_HOLD` counts as trouble, because the server's buckets fill up during the hold.
const LONG_HOLD: Duration = Duration::from_secs(10);
/// The share of the limits that is left unused after a 429. `HEADROOM_AFTER_LIMIT` is for a rate limit, and
/// `HEADROOM_AFTER_ACCELERATION` is for an acceleration limit (the rate rose too fast).
const HEADROOM_AFTER_LIMIT: f64 = 0.03;
const HEADROOM_AFTER_ACCELERATION: f64 = 0.5;
/// The bucket rates depend on the headroom and on the share of other clients. This is the shortest time between two
/// changes of these rates. It would be too much work to change the rates at every request.
const PACE_EVERY: Duration = Duration::from_millis(250);

/// One pool: its dimensions, its headroom and its hold (a time in which it sends nothing).
#[derive(Debug)]
pub struct Pool {
    id: PoolId,
    dimensions: [DimensionState; 3],
    held_until: Instant,
    /// The number of consecutive holds (waits after a refusal) whose length the server did not give.
    refusals_in_a_row: u32,
    /// The limit that the server does not report; it is learned from refusals.
    hidden: Hidden,
    /// The slow start after the last hold. If the limits are known, there is no slow start.
    slow_start: Option<SlowStart>,
    unused: UnusedShare,
    /// When the rates of the buckets were last set.
    paced_at: Instant,
    heads_seen: u32,
    has_seen_limits: bool,
    /// Whether limits are learned from refusals: no response head has shown a limit, or refusals came that the limits
    /// in the heads can't explain.
    learns: bool,
    /// The number of refusals that the limits in the heads can't explain, at most one for each hold. The second field
    /// is the time of the last one.
    unexplained: (u32, Instant),
    /// Whether the limit of the input dimension applies to input and output together.
    counts_together: bool,
}

impl Pool {
    /// Returns a pool with the limits given by hand. If a dimension has no limit given by hand, the pool uses the
    /// `preset` limit of this dimension.
    pub fn new(id: PoolId, preset: RateLimits, by_hand: RateLimits, headroom: Headroom, now: Instant) -> Self {
        let unused = UnusedShare::new(headroom);
        let mut pool = Self {
            id,
            dimensions: Dimension::ALL
                .map(|dimension| DimensionState::new(dimension, preset, by_hand, unused.get(), now)),
            held_until: Instant::ZERO,
            refusals_in_a_row: 0,
            hidden: Hidden::default(),
            slow_start: None,
            unused,
            paced_at: now,
            heads_seen: 0,
            has_seen_limits: false,
            learns: true,
            unexplained: (0, Instant::ZERO),
            counts_together: false,
        };
        pool.follow_limits(now);
        pool
    }

    /// During a run, replaces the limits that the user set by hand.
    ///
    /// A new limit applies immediately. But if the limit that the server last reported is lower, the reported limit
    /// applies. When the user removes a limit, the reported limit applies. If no limit was reported, `preset` applies.
    pub(crate) fn set_by_hand(&mut self, by_hand: RateLimits, preset: RateLimits, now: Instant) {
        self.dimensions.iter_mut().for_each(|dimension| dimension.set_by_hand(by_hand, preset, now));
        self.hidden = Hidden::default();
        self.set_pace(now);
    }

    /// Changes the share of the limits that is left unused. The change applies immediately.
    pub(crate) fn set_headroom(&mut self, headroom: Headroom, now: Instant) {
        self.unused = UnusedShare::new(headroom);
        self.set_pace(now);
    }

    /// Returns the id of the pool.
    pub fn id(&self) -> &PoolId {
        &self.id
    }

    /// Returns the current limits of the pool, per minute.
    pub fn limits(&self) -> RateLimits {
        let [rpm, itpm, otpm] = Dimension::ALL.map(|dimension| self.bucket(dimension).map(Bucket::limit));
        RateLimits { rpm, itpm, otpm }
    }

    /// Returns what response heads showed about the limits; `None` if no response head reported a limit. A limit on
    /// input and output together is left out, because such a limit says nothing about input alone.
    pub(crate) fn reported(&self) -> Option<LearnedPool> {
        let is_known = |dimension| dimension != Dimension::InputTokens || !self.counts_together;
        let known = |dimension: Dimension| Some(&self.dimensions[dimension.index()]).filter(|_| is_known(dimension));
        let [rpm, itpm, otpm] = Dimension::ALL.map(|dimension| known(dimension)?.reported());
        let limits = RateLimits { rpm, itpm, otpm };
        let bursts = Dimension::ALL.map(|dimension| known(dimension)?.burst_seen());
        let PoolId { provider, class, speed, .. } = &self.id;
        let (provider, class) = (provider.clone(), class.clone());
        (limits != RateLimits::NONE).then_some(LearnedPool { provider, class, speed: *speed, limits, bursts })
    }

    /// Returns the level of each bucket, as a share of a minute's limit; `None` where there is no limit.
    pub fn levels(&self, now: Instant) -> [Option<f64>; 3] {
        Dimension::ALL.map(|dimension| {
            let bucket = self.bucket(dimension)?;
            Some((bucket.level(now) as f64 / f64::from(bucket.limit())).clamp(0.0, 1.0))
        })
    }

    /// Returns the level of the bucket for this dimension, in the unit of the dimension; `None` if the dimension has no
    /// limit.
    pub fn level(&self, dimension: Dimension, now: Instant) -> Option<i64> {
        self.bucket(dimension).map(|bucket| bucket.level(now))
    }

    /// Returns the amounts that are reserved for requests, but are not yet counted by the server. The server counts a
    /// request and its input before it sends the response head. The server counts the output while it sends the answer.
    pub(crate) fn uncounted(&self) -> [i64; 3] {
        Dimension::ALL.map(|dimension| self.dimensions[dimension.index()].uncounted())
    }

    /// Returns how much of the limits was used since the start of the run, even if the pool was made later.
    pub(crate) fn limit_use(&self, now: Instant) -> LimitUse {
        let used = |dimension: Dimension| &self.dimensions[dimension.index()].used;
        LimitUse {
            pool: self.id.clone(),
            counted: Dimension::ALL.map(|dimension| used(dimension).counted()),
            allowed: Dimension::ALL.map(|dimension| used(dimension).allowed(now)),
        }
    }

    /// Returns when the last hold (time without sending) ends. If the pool is not held, this instant is in the past.
    pub fn held_until(&self) -> Instant {
        self.held_until
    }

    /// Returns how many response heads the pool has observed.
    pub(crate) fn heads_seen(&self) -> u32 {
        self.heads_seen
    }

    /// Returns whether the limits of the pool are learned from refusals.
    pub(crate) fn learns(&self) -> bool {
        self.learns
    }

    /// Returns whether a request must reserve its `max_tokens` from the input limit, in addition to its input tokens.
    pub(crate) fn counts_together(&self) -> bool {
        self.counts_together
    }

    /// Takes `cost` from every bucket, or takes nothing.
    pub fn reserve(&mut self, cost: Cost, now: Instant) -> Admission {
        if self.held_until > now {
            return Admission::Wait { until: self.held_until, on: None };
        }
        self.pace(now);
        if let Some(until) = self.slow_start.map(|start| start.next_at()).filter(|until| *until > now) {
            return Admission::Wait { until, on: None };
        }
        for (at, dimension) in Dimension::ALL.into_iter().enumerate() {
            let Some(bucket) = &mut self.dimensions[at].bucket else { continue };
            if let Err(until) = bucket.take(cost.of(dimension), now) {
                self.dimensions[..at].iter_mut().for_each(|taken| taken.give_back(cost));
                return Admission::Wait { until, on: Some(dimension) };
            }
        }
        self.dimensions.iter_mut().for_each(|dimension| dimension.on_sent(cost, now));
        if self.slow_start.as_mut().is_some_and(SlowStart::on_sent) {
            self.slow_start = None;
        }
        Admission::Granted(Reservation { cost, taken_at: now })
    }

    /// Ends a request: replaces the reservation with the amount that the request used.
    ///
    /// `head_seen` says whether [`Pool::observe`] was already called for the request.
    pub fn settle(&mut self, reservation: Reservation, used: Cost, head_seen: bool, now: Instant) {
        let Reservation { cost, taken_at } = reservation;
        let took = now.since(taken_at);
        let (counted, kept) = if self.counts_together { together(cost, used) } else { (used, used) };
        for dimension in &mut self.dimensions {
            dimension.on_end(cost, head_seen);
            dimension.count(counted);
            dimension.settle(cost, kept, took, now);
        }
    }

    /// Updates the pool from a response head. Returns whether a limit changed.
    ///
    /// Call this once for each request, before the body of the response is read. The level of each bucket is clamped
    /// (lowered) to the remaining amount. A level is raised towards a target. The target is the remaining amount, minus
    /// the cost of requests that the response head does not include yet.
    pub fn observe(&mut self, cost: Cost, signals: &RateSignals, was_admitted: bool, now: Instant) -> bool {
        self.dimensions.iter_mut().for_each(|dimension| dimension.on_head(cost));
        self.heads_seen = self.heads_seen.saturating_add(1);
        if signals.has_limits() && !self.has_seen_limits {
            (self.has_seen_limits, self.learns) = (true, false);
        }
        // Some response heads have no limits on tokens. Response heads without limits on tokens do not show whether
        // input and output count together.
        if signals.has_token_limits() {
            self.counts_together = signals.counts_together();
        }
        if was_admitted {
            self.refusals_in_a_row = 0;
        }
        if self.has_seen_limits {
            self.dimensions.iter_mut().for_each(DimensionState::forget_shadow);
            if !self.learns {
                self.unlearn(now);
            }
        } else if was_admitted && self.heads_seen > HIDDEN_AFTER {
            self.dimensions.iter_mut().for_each(|dimension| dimension.follow_shadow(cost, now));
        }
        let is_early = self.heads_seen <= FIRST_HEADS;
        let wanted_headroom = self.unused.wanted();

        let mut is_changed = false;
        for (state, dimension) in self.dimensions.iter_mut().zip(Dimension::ALL) {
            let signal = signals.of(dimension);
            let head = HeadSignal { signal, cost, was_admitted, is_early, wanted_headroom };
            is_changed |= state.adopt_limit(signal, self.unused.get(), now);
            state.note_held(head, now);
            state.adopt_level(head, now);
        }
        if is_changed {
            self.follow_limits(now);
        }
        is_changed
    }

    /// Updates the pool after a refusal: corrects the burst of the empty bucket, and raises the headroom.
    ///
    /// If the response head shows which dimension had no room, returns this dimension. If `limit_changed` is true, the
    /// limit changed after the request was sent. If the limit has changed, the refusal says nothing about bursts.
    pub(crate) fn on_refusal(
        &mut self,
        cost: Cost,
        signals: &RateSignals,
        limit_changed: bool,
        now: Instant,
    ) -> Option<Dimension> {
        let states = || self.dimensions.iter().zip(Dimension::ALL);
        let mut short = states().find(|(state, dimension)| state.was_short(cost, signals.of(*dimension)));
        if short.is_none() {
            short = states().find(|(state, dimension)| state.may_have_been_short(cost, signals.of(*dimension)));
        }
        let short = short.map(|(_, dimension)| dimension);
        if limit_changed {
            return short;
        }
        self.open_headroom(HEADROOM_AFTER_LIMIT, now);
        match short {
            Some(dimension) => {
                self.unexplained.0 = 0;
                self.dimensions[dimension.index()].correct_burst(cost, signals.of(dimension), signals.retry_after, now)
            }
            None => self.on_unexplained_refusal(now),
        }
        short
    }

    /// Restarts the pool slowly after trouble (a long hold or many faults). During the trouble, tokens built up in the
    /// server's buckets. With the slow restart, the run does not use these tokens in one burst.
    pub(crate) fn restart_slowly(&mut self, now: Instant) {
        self.dimensions.iter_mut().for_each(|dimension| dimension.restart_slowly(now));
    }

    /// Slows the pool after a refusal by an acceleration limit (the rate rose too fast). This call reduces the rate to
    /// half. After that, the rate rises again by itself.
    pub(crate) fn on_acceleration(&mut self, now: Instant) {
        self.unexplained.0 = 0;
        self.open_headroom(HEADROOM_AFTER_ACCELERATION, now);
    }

    /// Holds the pool: it sends nothing before `until`. `refused` is the cost of the request that was rejected. A call
    /// of this function never shortens an earlier hold.
    ///
    /// The server says when it can accept the rejected request, but not whether it can accept other requests at that
    /// time. So the levels are set to the amounts that the rejected request needs, and later response heads raise the
    /// levels. If the levels stayed high, all waiting rows would be sent in one burst. This burst would use everything
    /// that was refilled during the hold.
    pub fn hold_until(&mut self, until: Instant, refused: Cost, now: Instant) {
        self.held_until = self.held_until.max(until);
        self.dimensions.iter_mut().for_each(|dimension| dimension.hold(refused, until));
        let is_unknown = self.learns && !self.has_learned();
        self.slow_start = is_unknown.then(|| SlowStart::new(self.held_until));
        if until.since(now) >= LONG_HOLD {
            self.restart_slowly(now);
        }
    }

    /// Returns how long to hold the pool (send nothing) if the server does not say how long to wait. The hold is at
    /// least 1 s. If a limit was learned, the hold is at least the time in which this limit allows one and a half
    /// requests. Each consecutive refusal doubles the length of the hold, up to 60 s.
    pub(crate) fn next_unsaid_hold(&mut self) -> Duration {
        let exponent = self.refusals_in_a_row.min(6);
        self.refusals_in_a_row += 1;
        let learned = self.bucket(Dimension::Requests).filter(|_| self.has_learned());
        let fits = learned.map_or(0.0, |bucket| 1.5 / bucket.per_second());
        Duration::from_secs_f64(fits.max(1.0)).saturating_mul(1 << exponent).min(LONGEST_UNSAID_HOLD)
    }

    /// Returns whether the server has rejected several consecutive requests. Each of these rejections makes the next
    /// hold (wait) of the pool longer.
    pub(crate) fn is_refused_in_a_row(&self) -> bool {
        self.refusals_in_a_row > 1
    }

    fn empty(&mut self, now: Instant) {
        self.dimensions.iter_mut().for_each(|dimension| dimension.empty(now));
    }

    fn open_headroom(&mut self, share: f64, now: Instant) {
        if self.unused.open(share) {
            self.set_pace(now);
        }
    }

    /// Adapts the bucket rates to the headroom and to the share of other clients, at most once every [`PACE_EVERY`].
    fn pace(&mut self, now: Instant) {
        let passed = now.since(self.paced_at);
        if passed < PACE_EVERY {
            return;
        }
        self.unused.decay(passed);
        if self.has_learned() {
            self.follow_hidden(now);
        } else {
            self.set_pace(now);
        }
    }

    fn set_pace(&mut self, now: Instant) {
        self.paced_at = now;
        let unused = self.unused.get();
        self.dimensions.iter_mut().for_each(|dimension| dimension.set_pace(unused, now));
        self.follow_limits(now);
    }

    /// Stores which limits apply from `now` on, because [`Pool::limit_use`] needs them.
    fn follow_limits(&mut self, now: Instant) {
        for state in &mut self.dimensions {
            let limit = state.bucket.as_ref().map(Bucket::limit);
            state.used.follow(limit, now);
        }
    }

    fn bucket(&self, dimension: Dimension) -> Option<&Bucket> {
        self.dimensions[dimension.index()].bucket.as_ref()
    }
}

/// For a limit on input and output together, returns two amounts in input tokens. The first amount is what a request
/// used. The second amount is the part of the reservation that the request keeps. The used amount is the sum of the
/// request's input and output tokens. A server that limits this sum gives no tokens back, so the request keeps its
/// whole reservation. A rejected request keeps nothing of its reservation.
fn together(reserved: Cost, used: Cost) -> (Cost, Cost) {
    let kept = if used.input_tokens > 0 { used.input_tokens.max(reserved.input_tokens) } else { 0 };
    let both = used.input_tokens.saturating_add(used.output_tokens);
    (Cost { input_tokens: both, ..used }, Cost { input_tokens: kept, ..used })
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;

    use super::*;
    use crate::domain::{LimitSignal, ModelClass, Speed};

    const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

    fn pool(by_hand: RateLimits) -> Pool {
        let class = ModelClass(Arc::from("haiku-4.5"));
        let id = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        Pool::new(id, TIER_2, by_hand, Headroom::Fixed(0.0), Instant::ZERO)
    }

    fn requests(limit: u32, remaining: u32) -> RateSignals {
        let requests = LimitSignal { limit: Some(limit), remaining: Some(remaining) };
        RateSignals { requests, ..RateSignals::default() }
    }

    const ONE: Cost = Cost { requests: 1, input_tokens: 10, output_tokens: 10 };

    fn observe(pool: &mut Pool, signals: &RateSignals, now: Instant) {
        let Admission::Granted(reservation) = pool.reserve(ONE, now) else { panic!("the bucket has no room") };
        pool.observe(ONE, signals, true, now);
        pool.settle(reservation, ONE, true, now);
    }

    #[test]
    fn the_use_of_limits_is_what_was_used_and_not_what_was_reserved() {
        let mut pool = pool(RateLimits::NONE);
        let start = Instant::from_secs(30);
        let used = Cost { input_tokens: 7, output_tokens: 3, ..ONE };

        let Admission::Granted(reservation) = pool.reserve(ONE, start) else { panic!("the bucket has room") };
        pool.observe(ONE, &requests(2_000, 1_990), true, start);
        pool.settle(reservation, used, true, start);

        let shown = pool.limit_use(Instant::from_secs(60));
        assert_eq!(shown.counted, [1, 7, 3]);
        // In the first half minute, the limit is 1,000 requests per minute. After that, the limit is 2,000 requests per
        // minute.
        assert_eq!(shown.allowed, [Some(500 + 1_000), Some(450_000), Some(90_000)]);
    }

    #[test]
    fn the_share_that_is_left_unused_is_not_used_later() {
        let class = ModelClass(Arc::from("haiku-4.5"));
        let id = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        let only_requests = RateLimits { rpm: Some(600), ..RateLimits::NONE };
        let mut pool = Pool::new(id, only_requests, RateLimits::NONE, Headroom::Fixed(0.5), Instant::ZERO);
        let (mut sent, mut server) = (0, 600.0_f64);
        for tenth in 0..3_000_u64 {
            let now = Instant::from_millis(tenth * 100);
            server = (server + 1.0).min(600.0);
            while let Admission::Granted(reservation) = pool.reserve(ONE, now) {
                server -= 1.0;
                pool.observe(ONE, &requests(600, server as u32), true, now);
                pool.settle(reservation, ONE, true, now);
                sent += 1;
            }
        }

        // The expected number is the server's first burst plus half of what the limit allows in five minutes.
        assert!((1_500..=2_110).contains(&sent), "{sent}");
    }

    #[test]
    fn a_limit_given_by_hand_is_not_exceeded_when_the_server_has_more_left() {
        let mut pool = pool(RateLimits { rpm: Some(60), ..RateLimits::NONE });
        let mut sent = 0;
        for tenth in 0..1_200_u64 {
            let now = Instant::from_millis(tenth * 100);
            while let Admission::Granted(reservation) = pool.reserve(ONE, now) {
                pool.observe(ONE, &requests(4_000, 3_990), true, now);
                pool.settle(reservation, ONE, true, now);
                sent += 1;
            }
        }

        assert!((115..=122).contains(&sent), "{sent} requests in two minutes at 60 per minute");
    }

    #[test]
    fn a_limit_given_by_hand_is_never_raised_and_can_be_removed() {
        let now = Instant::from_secs(1);
        let mut pool = pool(RateLimits { rpm: Some(600), ..RateLimits::NONE });

        observe(&mut pool, &requests(2_000, 1_000), now);
        assert_eq!(pool.limits().rpm, Some(600));
        pool.set_by_hand(RateLimits { rpm: Some(5_000), ..RateLimits::NONE }, TIER_2, now);
        assert_eq!(pool.limits().rpm, Some(2_000), "the server allows no more");
        pool.set_by_hand(RateLimits { rpm: Some(300), ..RateLimits::NONE }, TIER_2, now);
        assert_eq!(pool.limits(), RateLimits { rpm: Some(300), ..TIER_2 });
        pool.set_by_hand(RateLimits::NONE, TIER_2, now);

        assert_eq!(pool.limits(), RateLimits { rpm: Some(2_000), ..TIER_2 });
    }

    #[test]
    fn what_heads_report_is_learned_and_presets_are_not() {
        let mut pool = pool(RateLimits { rpm: Some(600), ..RateLimits::NONE });
        assert_eq!(pool.reported(), None, "only a preset and a number given by hand are known");

        for (at, remaining) in [(0, 15), (1, 12), (60, 9)] {
            observe(&mut pool, &requests(2_000, remaining), Instant::from_secs(at));
        }
        let learned = pool.reported().expect("the limit was reported");
        observe(&mut pool, &requests(1_000, 7), Instant::from_secs(61));
        let changed = pool.reported().expect("the limit was reported");

        let rpm = |rpm| RateLimits { rpm: Some(rpm), ..RateLimits::NONE };
        assert_eq!((learned.limits, learned.bursts), (rpm(2_000), [Some(16), None, None]));
        assert_eq!(
            (changed.limits, changed.bursts),
            (rpm(1_000), [Some(8), None, None]),
            "another limit, another bucket"
        );
    }

    #[test]
    fn requests_that_come_together_show_the_burst_together() {
        let mut pool = pool(RateLimits::NONE);

        // The server's bucket holds 4 requests. The server admits all 4 requests before it sends the first response
        // head.
        (0..4).for_each(|_| _ = pool.observe(ONE, &requests(50, 0), true, Instant::from_millis(100)));
        pool.observe(ONE, &requests(50, 0), false, Instant::from_millis(100));
        let at_once = pool.reported().map(|learned| learned.bursts[0]);
        // The amount that is refilled later is not part of the burst.
        (2..60).for_each(|second| _ = pool.observe(ONE, &requests(50, 0), second % 2 == 0, Instant::from_secs(second)));

        assert_eq!(at_once, Some(Some(4)));
        assert_eq!(pool.reported().map(|learned| learned.bursts[0]), Some(Some(4)));
    }

    #[test]
    fn a_request_above_the_burst_does_not_make_the_burst_look_larger() {
        let mut pool = pool(RateLimits::NONE);
        let tokens = |remaining| {
            let input_tokens = LimitSignal { limit: Some(450_000), remaining: Some(remaining) };
            RateSignals { input_tokens, ..RateSignals::default() }
        };
        let large = Cost { requests: 1, input_tokens: 20_000, output_tokens: 10 };

        pool.observe(large, &tokens(0), true, Instant::ZERO);
        assert_eq!(pool.reported().map(|learned| learned.bursts), Some([None; 3]));
        pool.observe(Cost { input_tokens: 2_500, ..large }, &tokens(5_000), true, Instant::from_secs(9));

        assert_eq!(pool.reported().map(|learned| learned.bursts), Some([None, Some(7_500), None]));
    }

    #[test]
    fn a_reported_zero_may_stand_for_a_debt_and_changes_no_level_below_zero() {
        let mut pool = pool(RateLimits::NONE);
        let large = Cost { requests: 1, input_tokens: 20_000, output_tokens: 10 };
        let input_tokens = LimitSignal { limit: Some(450_000), remaining: Some(0) };
        let Admission::Granted(reservation) = pool.reserve(large, Instant::ZERO) else { panic!("the bucket is full") };
        let before = pool.level(Dimension::InputTokens, Instant::ZERO);

        pool.observe(large, &RateSignals { input_tokens, ..RateSignals::default() }, true, Instant::ZERO);

        assert_eq!(before, Some(-12_500));
        assert_eq!(pool.level(Dimension::InputTokens, Instant::ZERO), before);
        pool.settle(reservation, large, true, Instant::ZERO);
    }

    #[test]
    fn a_refusal_because_of_another_limit_is_no_sign_that_others_use_requests() {
        let mut pool = pool(RateLimits { rpm: Some(60), ..RateLimits::NONE });

        for second in 0..9 {
            let now = Instant::from_millis(second * 2_000);
            let Admission::Granted(reservation) = pool.reserve(ONE, now) else { panic!("the bucket is full") };
            pool.observe(ONE, &requests(60, 1), false, now);
            pool.settle(reservation, ONE, true, now);
        }
        let at = Instant::from_secs(18);
        let until = loop {
            match pool.reserve(ONE, at) {
                Admission::Granted(reservation) => pool.settle(reservation, ONE, true, at),
                Admission::Wait { until, .. } => break until,
            }
        };

        assert!(until <= at + Duration::from_millis(1_001), "the whole limit is used, not {until:?}");
    }

    #[test]
    fn a_refusal_names_the_input_if_the_reported_amount_may_be_rounded_up() {
        let mut pool = pool(RateLimits::NONE);
        let large = Cost { requests: 1, input_tokens: 9_995, output_tokens: 10 };
        let refused_at = |remaining| {
            let input_tokens = LimitSignal { limit: Some(450_000), remaining: Some(remaining) };
            RateSignals { input_tokens, ..requests(1_000, 9) }
        };

        assert_eq!(pool.on_refusal(large, &refused_at(10_000), false, Instant::ZERO), Some(Dimension::InputTokens));
        assert_eq!(pool.on_refusal(large, &refused_at(11_000), false, Instant::ZERO), None);
    }

    #[test]
    fn the_share_that_other_clients_use_is_left_to_them() {
        let mut pool = pool(RateLimits::NONE);
        let mut sent = 0;
        // The limit is 1,000 requests per minute, and other clients use half of it. The server's bucket holds as many
        // requests as the limit allows in one second.
        let mut server = 16.0_f64;
        for tenth in 0..600 {
            let now = Instant::from_millis(tenth * 100);
            server = (server + 0.5 * 100.0 / 60.0).min(16.0);
            while let Admission::Granted(reservation) = pool.reserve(ONE, now) {
                server -= 1.0;
                sent += u32::from(tenth >= 300);
                pool.observe(ONE, &requests(1_000, server.max(0.0) as u32), true, now);
                pool.settle(reservation, ONE, true, now);
            }
        }

        assert!((240..=310).contains(&sent), "{sent} sent in half a minute; the limit alone allows 500");
    }

    #[test]
    fn after_a_long_hold_a_full_bucket_of_the_server_is_not_used_in_one_burst() {
        let mut pool = pool(RateLimits::NONE);
        (0..4).for_each(|_| observe(&mut pool, &requests(1_000, 1_000), Instant::ZERO));
        assert!(pool.level(Dimension::Requests, Instant::ZERO) > Some(20));

        pool.hold_until(Instant::from_secs(180), Cost::default(), Instant::from_secs(1));

        assert!(pool.level(Dimension::Requests, Instant::from_secs(180)) <= Some(0));
        assert!(
            pool.level(Dimension::Requests, Instant::from_secs(300)) <= Some(8),
            "at most what the limit gives in half a second"
        );
    }

    fn all_tokens(limit: u32, remaining: u32) -> RateSignals {
        let all_tokens = LimitSignal { limit: Some(limit), remaining: Some(remaining) };
        RateSignals { all_tokens, ..RateSignals::default() }
    }

    #[test]
    fn a_limit_on_input_and_output_together_is_used_and_not_exceeded() {
        // The server counts 85 tokens per request, and gives no tokens back. This program estimates 70 tokens per
        // request. The server's bucket is full at the start, and a reply takes 50 ms.
        let (limit, counted) = (10_000, 85.0);
        let mut pool =
            Pool::new(pool(RateLimits::NONE).id, RateLimits::NONE, RateLimits::NONE, Headroom::Auto, Instant::ZERO);
        let (mut level, mut sent, mut refused) = (f64::from(limit), 0, 0);
        let mut replies: VecDeque<(Instant, Reservation, RateSignals, bool)> = VecDeque::new();
        for millis in (0..180_000_u64).step_by(10) {
            let now = Instant::from_millis(millis);
            level = (level + f64::from(limit) / 6_000.0).min(f64::from(limit));
            while replies.front().is_some_and(|(at, ..)| *at <= now) {
                let (_, reservation, signals, was_admitted) = replies.pop_front().expect("it was just looked at");
                let cost = reservation.cost();
                pool.observe(cost, &signals, was_admitted, now);
                let used = Cost { requests: 1, input_tokens: if was_admitted { 4 } else { 0 }, output_tokens: 15 };
                pool.settle(reservation, used, true, now);
                if !was_admitted {
                    pool.on_refusal(cost, &signals, false, now);
                    pool.hold_until(now + signals.retry_after.expect("it is in each refusal"), cost, now);
                }
            }
            while replies.len() < 16 {
                let input_tokens = if pool.counts_together() { 70 } else { 10 };
                let Admission::Granted(reservation) = pool.reserve(Cost { input_tokens, ..ONE }, now) else { break };
                let is_admitted = level >= counted;
                level -= if is_admitted { counted } else { 0.0 };
                (sent, refused) = (sent + u32::from(is_admitted), refused + u32::from(!is_admitted));
                let wait = Duration::from_secs_f64((counted - level).max(0.0) * 60.0 / f64::from(limit));
                let signals =
                    RateSignals { retry_after: (!is_admitted).then_some(wait), ..all_tokens(limit, level as u32) };
                replies.push_back((now + Duration::from_millis(50), reservation, signals, is_admitted));
            }
        }

        let possible = 4.0 * f64::from(limit) / counted;
        let share = f64::from(sent) / possible;
        assert!((0.96..=1.0).contains(&share) && refused <= 12, "{share} of the possible, {refused} refusals");
        assert_eq!(pool.reported(), None, "this limit says nothing about input alone");
    }

    #[test]
    fn the_use_of_a_limit_on_both_is_input_and_output_and_not_max_tokens() {
        let mut pool = pool(RateLimits::NONE);
        let now = Instant::from_secs(1);
        let cost = Cost { input_tokens: 4_100, ..ONE };
        let used = Cost { input_tokens: 7, output_tokens: 3, ..ONE };

        observe(&mut pool, &all_tokens(10_000, 9_000), now);
        let Admission::Granted(reservation) = pool.reserve(cost, now) else { panic!("the bucket has room") };
        let counted = |pool: &Pool| pool.limit_use(now).counted[Dimension::InputTokens.index()];
        let (level, before) = (pool.level(Dimension::InputTokens, now), counted(&pool));
        pool.settle(reservation, used, false, now);

        assert_eq!(counted(&pool) - before, 10);
        assert_eq!(pool.level(Dimension::InputTokens, now), level, "the server gives nothing back");
    }

    #[test]
    fn a_head_without_token_limits_does_not_change_how_tokens_count() {
        let mut pool = pool(RateLimits::NONE);

        observe(&mut pool, &all_tokens(20_000, 19_000), Instant::ZERO);
        observe(&mut pool, &requests(1_000, 990), Instant::from_secs(1));

        assert!(pool.counts_together());
    }

    #[test]
    fn a_limit_on_input_and_output_together_adds_nothing_to_limits_on_each() {
        let mut pool = pool(RateLimits::NONE);
        let tokens = |limit| LimitSignal { limit: Some(limit), remaining: Some(limit) };
        let both =
            RateSignals { input_tokens: tokens(50_000), output_tokens: tokens(10_000), ..all_tokens(20_000, 1_000) };

        observe(&mut pool, &all_tokens(20_000, 19_000), Instant::ZERO);
        let together = pool.counts_together();
        observe(&mut pool, &both, Instant::from_secs(1));

        assert!(together && !pool.counts_together());
        assert_eq!(pool.limits(), RateLimits { itpm: Some(50_000), otpm: Some(10_000), ..TIER_2 });
    }

    #[test]
    fn after_a_hold_a_pool_starts_slowly_only_if_its_limits_are_not_known() {
        let id = pool(RateLimits::NONE).id().clone();
        let sent_at_once = |knows_limits: bool| {
            let mut pool =
                Pool::new(id.clone(), RateLimits::NONE, RateLimits::NONE, Headroom::Fixed(0.0), Instant::ZERO);
            if knows_limits {
                observe(&mut pool, &requests(1_000, 1_000), Instant::ZERO);
            }
            let refused_at = Instant::from_secs(1);
            pool.on_refusal(ONE, &RateSignals::default(), false, refused_at);
            pool.hold_until(Instant::from_secs(2), ONE, refused_at);
            // A later answer shows that the server's bucket is full again.
            if knows_limits {
                pool.observe(ONE, &requests(1_000, 1_000), true, Instant::from_secs(2));
            }
            (0..20).filter(|_| matches!(pool.reserve(ONE, Instant::from_secs(3)), Admission::Granted(_))).count()
        };

        assert_eq!(sent_at_once(false), 4, "one second after the hold: 2² requests");
        assert_eq!(sent_at_once(true), 20);
    }

    #[test]
    fn a_limit_that_is_learned_in_place_of_a_far_higher_one_leaves_no_debt() {
        let id = pool(RateLimits::NONE).id().clone();
        let preset = RateLimits::new(1_000, 2_000_000, 400_000);
        let mut pool = Pool::new(id, preset, RateLimits::NONE, Headroom::Fixed(0.0), Instant::ZERO);
        for second in 0..20 {
            let now = Instant::from_secs(second);
            (0..5).for_each(|_| pool.on_accepted(Cost { input_tokens: 8, ..ONE }, now, now));
            pool.on_refusal(ONE, &RateSignals::default(), false, now);
        }

        let limits = pool.limits();
        assert!(limits.itpm.is_some_and(|limit| limit < 3_000), "{limits:?}");
        let level = pool.level(Dimension::InputTokens, Instant::from_secs(19)).expect("a limit");
        assert!((-1..=0).contains(&level), "{level} tokens");
    }

    #[test]
    fn refusals_that_the_headers_do_not_explain_teach_a_limit() {
        let silent = RateSignals { retry_after: Some(Duration::from_secs(1)), ..RateSignals::default() };
        let learned_after = |refusal: &RateSignals| {
            let mut pool = pool(RateLimits::NONE);
            for second in 0..40 {
                let now = Instant::from_secs(second);
                for _ in 0..5 {
                    pool.observe(ONE, &requests(1_000, 900), true, now);
                    pool.on_accepted(ONE, now, now);
                }
                pool.on_refusal(ONE, refusal, false, now);
                pool.hold_until(now + Duration::from_millis(500), ONE, now);
            }
            pool.observe(ONE, &requests(1_000, 900), true, Instant::from_secs(40));
            pool.limits().rpm.expect("a limit on requests")
        };

        let learned = learned_after(&silent);
        assert!((280..=320).contains(&learned), "five requests a second were accepted, and {learned} are learned");
        assert_eq!(learned_after(&requests(1_000, 0)), 1_000, "the headers say which limit was exceeded");
    }

    #[test]
    fn hidden_headers_let_levels_rise_until_the_first_refusal() {
        let mut pool = pool(RateLimits::NONE);
        let silent = RateSignals::default();
        let mut at = 0;
        let mut most = 0;
        while most < 60 {
            let now = Instant::from_millis(at);
            let granted = std::iter::from_fn(|| match pool.reserve(ONE, now) {
                Admission::Granted(reservation) => Some(reservation),
                Admission::Wait { .. } => None,
            });
            let together: Vec<_> = granted.collect();
            most = together.len();
            at += 600;
            for reservation in together {
                pool.observe(ONE, &silent, true, Instant::from_millis(at));
                pool.settle(reservation, ONE, true, Instant::from_millis(at));
            }
            assert!(at < 20_000, "levels do not rise");
        }

        let now = Instant::from_millis(at);
        assert_eq!(pool.on_refusal(ONE, &silent, false, now), None);

        assert_eq!(pool.level(Dimension::Requests, now), Some(0));
        assert!(pool.level(Dimension::Requests, now + Duration::from_secs(60)) <= Some(16));
    }
}
