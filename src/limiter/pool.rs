//! All dimensions of one pool: admitted by all or by none, settled to what was really used.
//!
//! Owns the buckets, the hold, the headroom and what heads say. The limits in force come from three sources: presets
//! (beaten by headers, up and down), numbers given by hand (lowered by headers, never raised), and headers.
//!
//! A head describes the server before the requests still on their way, so a level is only ever *clamped* to it, or
//! *raised* towards what remains after everything that the head can't have seen, by bounded steps. The burst the server
//! really has is unpublished; it is found by raising.
//!
//! What clamps take away beyond what raises give back is gone without us: another client takes it. Its share of the
//! refill is learned from that (`Drift`) and left to it, so that it costs no refusals.
//!
//! Where a proxy hides the headers nothing can be observed. A shadow of the server, which holds a whole minute's burst
//! and is charged what we use, then stands for the head, until the first refusal proves it wrong.
//!
//! Output is reserved whole and counted by the server while it is produced: what is still to come of the answers in
//! flight lowers a level only as far as the limit does not cover it meanwhile (`production`).
//!
//! Rejected: setting a level to what a head says (another client, or what is in flight, is then taken twice: thousands
//! of refusals); clamping tokens to the rounded figure (half a thousand too low on average, 1.5 times the time on small
//! limits); a whole minute's burst from the start (1,154 refusals in 800 rows against a server with a burst of a
//! second); a constant headroom (costs its own share of the run, 1.06 to 1.11 at a tenth).

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, PoolId, RateLimits, RateSignals};

use super::Bucket;
use super::drift::Drift;
use super::hidden::Hidden;
use super::production::Production;

/// Token counts in heads are rounded to thousands: the real one is at most this far off.
const ROUNDING: i64 = 500;
/// How much a head may raise a level, in multiples of the cost of the request it answers. Twice as much for the first
/// heads, so that 50 prompts at tier 1, where it begins with one, are out after three round trips; more than that for all
/// of them sent too much before the length of answers was known.
const RAISE_FACTOR: f64 = 4.0;
const FIRST_RAISE_FACTOR: f64 = 8.0;
const FIRST_HEADS: u32 = 8;
/// The same after trouble: a bucket that filled up meanwhile is used at up to 1.7 times the limit, not at once.
const CALM_RAISE_FACTOR: f64 = 0.4;
/// The same by the shadow, which may be wrong.
const SHADOW_RAISE_FACTOR: f64 = 1.0;
/// Answers without any header after which headers are taken to be hidden.
const HIDDEN_AFTER: u32 = 20;
/// For how long after a refusal nothing is raised in the refused dimension.
const RAISE_PAUSE: Duration = Duration::from_secs(5);
/// The dimensions in which a limit is learned that nobody tells.
const LEARNED: [Dimension; 2] = [Dimension::Requests, Dimension::InputTokens];
/// The longest hold where the server does not say for how long.
pub const LONGEST_UNSAID_HOLD: Duration = Duration::from_secs(60);
/// A hold of this length is trouble: the server's buckets fill up meanwhile.
const LONG_HOLD: Duration = Duration::from_secs(10);
/// What of the limit is left unused at first, after a 429, and after an acceleration 429.
const HEADROOM_AT_START: f64 = 0.10;
const HEADROOM_AFTER_LIMIT: f64 = 0.03;
const HEADROOM_AFTER_ACCELERATION: f64 = 0.5;
/// The headroom falls to 1/e of itself in this time while nothing contradicts.
const HEADROOM_DECAY: Duration = Duration::from_secs(8);
/// Below this share the headroom is closed.
const HEADROOM_CLOSED: f64 = 0.000_5;
/// What is kept back from a shared limit at most: this part of a minute's, a third of a second's worth.
const KEPT_BACK: i64 = 180;
/// How often the rates of the buckets follow headroom and drift: off the hot path.
const PACE_EVERY: Duration = Duration::from_millis(250);

/// The answer to "may this be sent now?".
#[derive(Debug)]
pub enum Admission {
    /// Yes; the reservation must be settled.
    Granted(Reservation),
    /// Not before `until`.
    Wait {
        /// When to ask again.
        until: Instant,
        /// What is short; `None` while the pool is held.
        on: Option<Dimension>,
    },
}

/// What was taken for one request.
#[must_use = "a reservation is settled or returned, else the pool leaks"]
#[derive(Debug)]
pub struct Reservation {
    cost: Cost,
    taken_at: Instant,
}

impl Reservation {
    /// Returns what was taken.
    pub fn cost(&self) -> Cost {
        self.cost
    }
}

/// How the unused share of the limits is chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Headroom {
    /// Begins at a tenth and closes while nothing contradicts.
    Auto,
    /// A fixed share, 0 to 1.
    Fixed(f64),
}

/// A limit of one dimension that was learned and stands in the place of the one that was told.
#[derive(Clone, Copy, Debug)]
struct Learned {
    /// The one that was told, if any was.
    told: Option<u32>,
    /// What of the bucket's limit, a whole number, was learned.
    share: f64,
}

/// The buckets of one pool.
#[derive(Debug)]
pub struct Pool {
    id: PoolId,
    by_hand: RateLimits,
    /// What heads said last.
    reported: RateLimits,
    buckets: [Option<Bucket>; 3],
    /// What others take of each limit.
    drifts: [Drift; 3],
    /// What the server would have left if it allowed a minute's burst; kept until a head or a refusal says more.
    shadows: Option<[Option<Bucket>; 3]>,
    /// Dimensions in which the server's level has to be used up slowly.
    is_calm: [bool; 3],
    /// The largest cost that the server is known to want whole before it lets it in; 0 when none is.
    goes_at_once: [u32; 3],
    /// The parts of a token by which levels may still be raised.
    raise_credit: [f64; 3],
    /// What is reserved for requests whose head has not come (requests, input) or whose end has not (output).
    unseen: [i64; 3],
    production: Production,
    no_raise_until: [Instant; 3],
    held_until: Instant,
    /// Times in a row that the server refused without saying for how long.
    refusals_in_a_row: u32,
    /// A limit that nobody tells, learned from refusals.
    hidden: Hidden,
    /// What that does to the buckets of requests and input.
    learned: Option<[Learned; 2]>,
    headroom: Headroom,
    headroom_share: f64,
    headroom_at: Instant,
    heads_seen: u32,
    has_seen_limits: bool,
}

impl Pool {
    /// Returns a pool with `preset` limits, or those given by hand where there are any.
    pub fn new(id: PoolId, preset: RateLimits, by_hand: RateLimits, headroom: Headroom, now: Instant) -> Self {
        let headroom_share = match headroom {
            Headroom::Auto => HEADROOM_AT_START,
            Headroom::Fixed(share) => share,
        };
        let bucket = |dimension| {
            let limit = by_hand.of(dimension).or(preset.of(dimension))?;
            let mut bucket = Bucket::new(limit, first_burst(limit));
            bucket.set_headroom(headroom_share, now);
            Some(bucket)
        };
        let shadow = |dimension| by_hand.of(dimension).or(preset.of(dimension)).map(|limit| Bucket::new(limit, limit));
        Self {
            id,
            by_hand,
            reported: RateLimits::NONE,
            buckets: Dimension::ALL.map(bucket),
            drifts: [Drift::default(); 3],
            shadows: Some(Dimension::ALL.map(shadow)),
            is_calm: [false; 3],
            goes_at_once: [0; 3],
            raise_credit: [0.0; 3],
            unseen: [0; 3],
            production: Production::default(),
            no_raise_until: [Instant::ZERO; 3],
            held_until: Instant::ZERO,
            refusals_in_a_row: 0,
            hidden: Hidden::default(),
            learned: None,
            headroom,
            headroom_share,
            headroom_at: now,
            heads_seen: 0,
            has_seen_limits: false,
        }
    }

    /// Replaces the limits given by hand while the run goes on.
    ///
    /// A limit that is given holds at once, but never above what the server last said. Where one is taken back the
    /// server's word holds again, or `preset` where it has said nothing.
    pub fn set_by_hand(&mut self, by_hand: RateLimits, preset: RateLimits, now: Instant) {
        self.by_hand = by_hand;
        for dimension in Dimension::ALL {
            let known = self.reported.of(dimension).or(preset.of(dimension));
            let limit = match (by_hand.of(dimension), self.reported.of(dimension)) {
                (Some(most), Some(reported)) => Some(most.min(reported)),
                (Some(most), None) => Some(most),
                (None, _) => known,
            };
            let slot = &mut self.buckets[dimension.index()];
            match (slot.as_mut(), limit) {
                (Some(bucket), Some(limit)) if bucket.limit() != limit => bucket.set_limit(limit, now),
                (Some(_), Some(_)) | (None, None) => {}
                (Some(_), None) => *slot = None,
                (None, Some(limit)) => *slot = Some(Bucket::new(limit, first_burst(limit))),
            }
        }
        self.shadows = None;
        (self.hidden, self.learned) = (Hidden::default(), None);
        self.apply_pace(now);
    }

    /// Returns whose pool this is.
    pub fn id(&self) -> &PoolId {
        &self.id
    }

    /// Returns the limits in force.
    pub fn limits(&self) -> RateLimits {
        let [rpm, itpm, otpm] = Dimension::ALL.map(|dimension| self.bucket(dimension).map(Bucket::limit));
        RateLimits { rpm, itpm, otpm }
    }

    /// Returns what can be taken of each bucket, as a share of a minute's limit; `None` where there is no limit.
    pub fn levels(&self, now: Instant) -> [Option<f64>; 3] {
        Dimension::ALL.map(|dimension| {
            let bucket = self.bucket(dimension)?;
            Some((bucket.level(now) as f64 / f64::from(bucket.limit())).clamp(0.0, 1.0))
        })
    }

    /// Returns the level of one bucket in its own units; `None` where there is no limit.
    pub fn level(&self, dimension: Dimension, now: Instant) -> Option<i64> {
        self.bucket(dimension).map(|bucket| bucket.level(now))
    }

    /// Returns what is reserved for requests whose head (requests, input) or end (output) has not come.
    pub fn unseen(&self) -> [i64; 3] {
        self.unseen
    }

    /// Returns until when the pool is held; in the past when it is not.
    pub fn held_until(&self) -> Instant {
        self.held_until
    }

    /// Returns how many heads have been observed.
    pub fn heads_seen(&self) -> u32 {
        self.heads_seen
    }

    /// Returns whether any head ever spoke of limits.
    pub fn has_seen_limits(&self) -> bool {
        self.has_seen_limits
    }

    /// Takes `cost` from every bucket, or from none.
    pub fn reserve(&mut self, cost: Cost, now: Instant) -> Admission {
        if self.held_until > now {
            return Admission::Wait { until: self.held_until, on: None };
        }
        self.pace(now);
        for (taken, dimension) in Dimension::ALL.into_iter().enumerate() {
            let Some(bucket) = &mut self.buckets[dimension.index()] else { continue };
            if let Err(until) = bucket.take(cost.of(dimension), now) {
                self.untake(cost, &Dimension::ALL[..taken]);
                return Admission::Wait { until, on: Some(dimension) };
            }
        }
        for dimension in Dimension::ALL {
            self.unseen[dimension.index()] += i64::from(cost.of(dimension));
            if let Some(shadow) = self.shadow(dimension) {
                shadow.debit(cost.of(dimension), now);
            }
        }
        Admission::Granted(Reservation { cost, taken_at: now })
    }

    /// Returns when `cost` can be taken if nobody else takes before, and the dimension that takes longest.
    pub fn ready_at(&self, cost: Cost, now: Instant) -> (Instant, Option<Dimension>) {
        let ready = |dimension| Some((self.bucket(dimension)?.ready_at(cost.of(dimension), now), Some(dimension)));
        Dimension::ALL.into_iter().filter_map(ready).max_by_key(|(at, _)| *at).unwrap_or((now, None))
    }

    /// Ends a request that was answered: what was reserved becomes what was used.
    ///
    /// `head_seen` says whether [`Pool::observe`] was called for it.
    pub fn settle(&mut self, reservation: Reservation, used: Cost, head_seen: bool, now: Instant) {
        self.forget(&reservation, head_seen);
        if used.output_tokens > 0 {
            self.production.note(used.output_tokens, now.since(reservation.taken_at));
        }
        for dimension in Dimension::ALL {
            let (reserved, used) = (reservation.cost.of(dimension), used.of(dimension));
            let correct = |bucket: &mut Bucket| match used.checked_sub(reserved) {
                Some(more) => bucket.debit(more, now),
                None => bucket.refund(reserved - used),
            };
            self.buckets[dimension.index()].as_mut().map(correct);
            self.shadow(dimension).map(correct);
        }
    }

    fn shadow(&mut self, dimension: Dimension) -> Option<&mut Bucket> {
        self.shadows.as_mut()?[dimension.index()].as_mut()
    }

    /// Notes that the head of a request has come: the server has counted its request and input.
    fn see(&mut self, cost: Cost) {
        for dimension in [Dimension::Requests, Dimension::InputTokens] {
            self.unseen[dimension.index()] -= i64::from(cost.of(dimension));
        }
    }

    fn forget(&mut self, reservation: &Reservation, head_seen: bool) {
        if !head_seen {
            self.see(reservation.cost);
        }
        self.unseen[Dimension::OutputTokens.index()] -= i64::from(reservation.cost.output_tokens);
    }

    fn untake(&mut self, cost: Cost, dimensions: &[Dimension]) {
        for &dimension in dimensions {
            if let Some(bucket) = &mut self.buckets[dimension.index()] {
                bucket.refund(cost.of(dimension));
            }
        }
    }

    /// Takes in what a response head says; returns whether a limit changed.
    ///
    /// Call it once for each request, before its body is read. Levels are clamped to what remains, and raised towards
    /// what remains after everything the head can't have seen.
    pub fn observe(&mut self, cost: Cost, signals: &RateSignals, was_admitted: bool, now: Instant) -> bool {
        self.see(cost);
        self.heads_seen = self.heads_seen.saturating_add(1);
        self.has_seen_limits |= signals.has_limits();
        if was_admitted {
            self.refusals_in_a_row = 0;
        }
        if self.has_seen_limits {
            self.shadows = None;
            self.unlearn(now);
        } else if was_admitted && self.heads_seen > HIDDEN_AFTER {
            self.follow_shadow(cost, now);
        }
        let mut is_changed = false;
        for dimension in Dimension::ALL {
            is_changed |= self.adopt_limit(dimension, signals, now);
            self.adopt_level(dimension, cost, signals, was_admitted, now);
        }
        is_changed
    }

    fn adopt_limit(&mut self, dimension: Dimension, signals: &RateSignals, now: Instant) -> bool {
        let Some(reported) = signals.of(dimension).limit.filter(|&limit| limit > 0) else { return false };
        match dimension {
            Dimension::Requests => self.reported.rpm = Some(reported),
            Dimension::InputTokens => self.reported.itpm = Some(reported),
            Dimension::OutputTokens => self.reported.otpm = Some(reported),
        }
        let limit = self.by_hand.of(dimension).map_or(reported, |most| most.min(reported));
        match &mut self.buckets[dimension.index()] {
            Some(bucket) if bucket.limit() == limit => false,
            Some(bucket) => {
                bucket.set_limit(limit, now);
                true
            }
            slot @ None => {
                // Without a limit everything went at once, so what the server has left is known to be there.
                let mut bucket = Bucket::new(limit, limit);
                bucket.set_headroom(self.headroom_share, now);
                *slot = Some(bucket);
                true
            }
        }
    }

    fn adopt_level(
        &mut self,
        dimension: Dimension,
        cost: Cost,
        signals: &RateSignals,
        was_admitted: bool,
        now: Instant,
    ) {
        let Some(remaining) = signals.of(dimension).remaining.map(i64::from) else { return };
        let rounding = match dimension {
            Dimension::Requests => 0,
            Dimension::InputTokens | Dimension::OutputTokens => ROUNDING,
        };
        let unseen = self.unseen[dimension.index()];
        let may_raise = was_admitted && self.no_raise_until[dimension.index()] <= now;
        let drift = &mut self.drifts[dimension.index()];
        let is_calm = &mut self.is_calm[dimension.index()];
        let Some(bucket) = &mut self.buckets[dimension.index()] else { return };
        let uncovered = match dimension {
            Dimension::Requests | Dimension::InputTokens => 0,
            Dimension::OutputTokens => self.production.uncovered(unseen, bucket.per_second()),
        };
        // A refusal shows that the real figure lies at the lower end of what was rounded.
        let is_short = !was_admitted && remaining <= i64::from(cost.of(dimension));
        // While others take their share a level at the upper end would be refused as often as not. What is kept back is
        // kept once, not for each request, so it costs no throughput.
        let margin = match (is_short, drift.share() > 0.0) {
            (true, _) => -rounding,
            (false, true) => -(unseen / 4).min(i64::from(bucket.limit()) / KEPT_BACK),
            (false, false) => rounding,
        };
        // Only what is missing without that tells of others.
        let missing = (bucket.level(now) - remaining - margin).max(0);
        let lowered = bucket.clamp(remaining - uncovered + margin, now).min(missing);
        let factor = match *is_calm {
            true => CALM_RAISE_FACTOR,
            false if self.heads_seen <= FIRST_HEADS => FIRST_RAISE_FACTOR,
            false => RAISE_FACTOR,
        };
        let credit = &mut self.raise_credit[dimension.index()];
        // Parts of a request add up: a step is a whole number.
        *credit = credit.fract() + f64::from(cost.of(dimension)) * factor;
        let step = *credit as i64;
        let target = remaining - rounding - unseen;
        let raised = if may_raise { bucket.raise(target, step, now) } else { 0 };
        *is_calm &= raised > 0 || target > bucket.level(now);
        let is_small = cost.of(dimension) <= first_burst(bucket.limit());
        let refused = if is_short && is_small { i64::from(cost.of(dimension)) } else { 0 };
        drift.note(lowered.max(refused) - raised, bucket.limit());
    }

    /// Raises levels towards those of the shadow.
    fn follow_shadow(&mut self, cost: Cost, now: Instant) {
        let Some(shadows) = &self.shadows else { return };
        for dimension in Dimension::ALL {
            let at = dimension.index();
            if let (Some(shadow), Some(bucket)) = (&shadows[at], &mut self.buckets[at]) {
                let step = (f64::from(cost.of(dimension)) * SHADOW_RAISE_FACTOR).ceil() as i64;
                bucket.raise(shadow.level(now), step, now);
            }
        }
    }

    /// Notes that the server let in a request sent at `sent_at`, whatever becomes of it.
    pub fn on_let_in(&mut self, cost: Cost, sent_at: Instant, now: Instant) {
        if !self.has_seen_limits {
            self.hidden.on_let_in(cost, sent_at, now);
        }
    }

    /// Takes in a fault; returns whether it is a refusal in disguise: then the pool is to be held as after one.
    pub fn on_fault(&mut self, now: Instant) -> bool {
        if self.has_seen_limits || self.held_until > now {
            return false;
        }
        let is_refusal = self.hidden.on_fault(now);
        if is_refusal {
            self.distrust_shadow(now);
        }
        self.follow_hidden(now);
        is_refusal
    }

    /// Notes that an outage of the endpoint is over: its faults say nothing about limits.
    pub fn on_outage_end(&mut self) {
        self.hidden.on_outage_end();
    }

    /// Notes that requests are let in while others meet faults: those are no refusals.
    pub fn on_proof_of_room(&mut self, now: Instant) {
        self.hidden.on_proof_of_room(now);
    }

    /// Returns whether faults may be refusals in disguise, for which no row is to blame.
    pub fn may_be_refusing(&self, now: Instant) -> bool {
        !self.has_seen_limits && self.hidden.may_be_refusing(now)
    }

    /// Lets the rates that were learned take effect where those that were told are not lower.
    fn follow_hidden(&mut self, now: Instant) {
        let Some(per_minute) = self.hidden.per_minute(now) else { return self.unlearn(now) };
        let is_new = self.learned.is_none();
        let told = LEARNED.map(|dimension| self.bucket(dimension).map(Bucket::limit));
        let mut learned = self.learned.unwrap_or(told.map(|told| Learned { told, share: 1.0 }));
        let is_lower =
            |(learned, per_minute): (&Learned, f64)| learned.told.is_none_or(|told| per_minute < f64::from(told));
        if !learned.iter().zip(per_minute).any(is_lower) {
            self.hidden.forget_limit();
            return self.unlearn(now);
        }
        for ((dimension, learned), per_minute) in LEARNED.into_iter().zip(&mut learned).zip(per_minute) {
            let limit = per_minute.ceil().clamp(1.0, f64::from(learned.told.unwrap_or(u32::MAX)));
            learned.share = (per_minute / limit).min(1.0);
            let bucket = self.buckets[dimension.index()].get_or_insert_with(|| Bucket::new(limit as u32, 1));
            bucket.set_limit(limit as u32, now);
            if is_new {
                bucket.set_burst(first_burst(limit as u32), now);
                bucket.clamp(0, now);
            }
        }
        self.learned = Some(learned);
        self.apply_pace(now);
    }

    /// Goes back to the limits that were told.
    fn unlearn(&mut self, now: Instant) {
        let Some(learned) = self.learned.take() else { return };
        for (dimension, Learned { told, .. }) in LEARNED.into_iter().zip(learned) {
            let slot = &mut self.buckets[dimension.index()];
            match (told, slot.as_mut()) {
                (Some(told), Some(bucket)) => bucket.set_limit(told, now),
                _ => *slot = None,
            }
        }
        self.apply_pace(now);
    }

    /// Takes in a refusal: the emptied buckets burst less, and the headroom opens.
    ///
    /// Returns the dimension that was short, where the head told. A refusal by a limit that changed under way
    /// (`limit_changed`) says nothing about bursts.
    pub fn on_refusal(
        &mut self,
        cost: Cost,
        signals: &RateSignals,
        limit_changed: bool,
        now: Instant,
    ) -> Option<Dimension> {
        let short = Dimension::ALL.into_iter().find(|&dimension| {
            let needed = match dimension {
                Dimension::Requests | Dimension::InputTokens => i64::from(cost.of(dimension)),
                Dimension::OutputTokens => 1,
            };
            signals.of(dimension).remaining.is_some_and(|remaining| i64::from(remaining) < needed)
        });
        if limit_changed {
            return short;
        }
        self.open_headroom(HEADROOM_AFTER_LIMIT, now);
        match short {
            Some(dimension) => self.shrink_burst(dimension, cost.of(dimension), now),
            None if !self.has_seen_limits => {
                self.distrust_shadow(now);
                if self.held_until <= now {
                    self.hidden.on_refusal(now);
                    self.follow_hidden(now);
                }
            }
            None => {}
        }
        short
    }

    fn shrink_burst(&mut self, dimension: Dimension, cost: u32, now: Instant) {
        let Some(bucket) = &mut self.buckets[dimension.index()] else { return };
        if cost > bucket.burst() {
            // It went on debt from a bucket that was full by our count. A server whose bucket were no larger would have
            // let it in, so this much can go at once; wait for all of it the next time.
            let level = bucket.level(now);
            self.goes_at_once[dimension.index()] = cost;
            bucket.set_burst(cost, now);
            bucket.clamp(level, now);
            return;
        }
        self.no_raise_until[dimension.index()] = now + RAISE_PAUSE;
        let least = first_burst(bucket.limit()).max(self.goes_at_once[dimension.index()]);
        bucket.set_burst((bucket.burst() / 2).max(least), now);
    }

    /// A refusal that names no dimension: any bucket may be the empty one.
    fn distrust_shadow(&mut self, now: Instant) {
        self.shadows = None;
        for bucket in self.buckets.iter_mut().flatten() {
            bucket.set_burst(first_burst(bucket.limit()), now);
            bucket.clamp(0, now);
        }
    }

    /// Starts over slowly after trouble: levels that filled up meanwhile are not used at once.
    pub fn calm_down(&mut self, now: Instant) {
        for dimension in Dimension::ALL {
            let at = dimension.index();
            let Some(bucket) = &mut self.buckets[at] else { continue };
            self.is_calm[at] = true;
            bucket.set_burst((first_burst(bucket.limit()) / 2).max(self.goes_at_once[at]).max(1), now);
        }
    }

    /// Slows the pool after an acceleration refusal: half the rate, rising again by itself.
    pub fn on_acceleration(&mut self, now: Instant) {
        self.open_headroom(HEADROOM_AFTER_ACCELERATION, now);
    }

    /// Holds the whole pool until `until`, after the refusal of a request that was to cost `refused`; never shortens a
    /// hold.
    ///
    /// The server says when that request fits, not that more does: this is what levels begin with at the end, and heads
    /// raise them. What came in meanwhile is not spent at once by a herd.
    pub fn hold_until(&mut self, until: Instant, refused: Cost, now: Instant) {
        self.held_until = self.held_until.max(until);
        for dimension in Dimension::ALL {
            if let Some(bucket) = &mut self.buckets[dimension.index()] {
                let fits = i64::from(refused.of(dimension));
                bucket.clamp(fits, until);
                if fits > i64::from(first_burst(bucket.limit())) {
                    bucket.raise(fits, i64::MAX, until);
                }
            }
        }
        if until.since(now) >= LONG_HOLD {
            self.calm_down(now);
        }
    }

    /// Returns how long to hold when the server does not say: 1 s, or until a request and a half fit a limit that was
    /// learned, doubling to 60 s while it keeps refusing.
    pub fn next_unsaid_hold(&mut self) -> Duration {
        let exponent = self.refusals_in_a_row.min(6);
        self.refusals_in_a_row += 1;
        let fits =
            self.learned.and_then(|_| self.bucket(Dimension::Requests)).map_or(0.0, |bucket| 1.5 / bucket.per_second());
        Duration::from_secs_f64(fits.max(1.0)).saturating_mul(1 << exponent).min(LONGEST_UNSAID_HOLD)
    }

    fn open_headroom(&mut self, share: f64, now: Instant) {
        if self.headroom == Headroom::Auto {
            self.headroom_share = self.headroom_share.max(share);
            self.apply_pace(now);
        }
    }

    /// Lets headroom and drift take effect on the rates, once in a while.
    fn pace(&mut self, now: Instant) {
        let passed = now.since(self.headroom_at);
        if passed < PACE_EVERY {
            return;
        }
        if self.headroom == Headroom::Auto && self.headroom_share > 0.0 {
            let share = self.headroom_share * (-passed.as_secs_f64() / HEADROOM_DECAY.as_secs_f64()).exp();
            self.headroom_share = if share < HEADROOM_CLOSED { 0.0 } else { share };
        }
        if self.learned.is_some() {
            self.follow_hidden(now);
        } else {
            self.apply_pace(now);
        }
    }

    fn apply_pace(&mut self, now: Instant) {
        self.headroom_at = now;
        let [requests, input] = self.learned.map_or([1.0; 2], |learned| learned.map(|learned| learned.share));
        let learned = [requests, input, 1.0];
        for ((bucket, drift), learned) in self.buckets.iter_mut().zip(&self.drifts).zip(learned) {
            if let Some(bucket) = bucket {
                bucket.set_headroom(1.0 - (1.0 - self.headroom_share) * (1.0 - drift.share()) * learned, now);
            }
        }
    }

    fn bucket(&self, dimension: Dimension) -> Option<&Bucket> {
        self.buckets[dimension.index()].as_ref()
    }
}

/// Returns the burst to begin with: a second's worth, at least one.
///
/// Limits may be enforced over spans as short as a second, so more than that can be refused at once.
/// Source: API documentation, "Rate limits" (2026-08-22).
fn first_burst(limit_per_minute: u32) -> u32 {
    (limit_per_minute / 60).max(1)
}

#[cfg(test)]
mod tests {
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
        let Admission::Granted(reservation) = pool.reserve(ONE, now) else { panic!("the bucket has room") };
        pool.observe(ONE, signals, true, now);
        pool.settle(reservation, ONE, true, now);
    }

    #[test]
    fn a_limit_given_by_hand_is_never_raised_and_may_be_taken_back() {
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
    fn what_goes_without_us_is_left_to_others() {
        let mut pool = pool(RateLimits::NONE);
        let mut sent = 0;
        // Others take half of 1,000 a minute; the server's bucket holds a second's worth.
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

        assert!((240..=310).contains(&sent), "{sent} in half a minute: 500 were ours by the limit alone");
    }

    #[test]
    fn after_a_long_hold_a_full_server_is_not_used_at_once() {
        let mut pool = pool(RateLimits::NONE);
        (0..4).for_each(|_| observe(&mut pool, &requests(1_000, 1_000), Instant::ZERO));
        assert!(pool.level(Dimension::Requests, Instant::ZERO) > Some(20));

        pool.hold_until(Instant::from_secs(180), Cost::default(), Instant::from_secs(1));

        assert!(pool.level(Dimension::Requests, Instant::from_secs(180)) <= Some(0));
        assert!(pool.level(Dimension::Requests, Instant::from_secs(300)) <= Some(8), "half a second's worth");
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
