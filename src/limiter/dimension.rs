//! One dimension of a pool: its limit, its bucket, and what was learned about the server's own bucket.
//!
//! The preset limit applies until a response head (the status line and headers) reports another limit. Response headers
//! can lower a limit that was given by hand, but never raise it. As long as a rate that was learned from refusals is
//! lower than the known limit, this rate replaces the limit.
//!
//! The file `levels` sets the level and the burst of the bucket according to what the server reports.

mod levels;
mod search;

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, Dimension, LimitSignal, RateLimits};

use super::bucket::Bucket;
use super::drift::Drift;
use super::production::Production;
use super::used::Used;

use search::BurstSearch;

pub(super) use levels::HeadSignal;

/// The state of one dimension of a pool.
#[derive(Debug)]
pub(super) struct DimensionState {
    dimension: Dimension,
    /// The limit that the user gave by hand, per minute.
    by_hand: Option<u32>,
    /// The limit that the latest response head reported, per minute.
    reported: Option<u32>,
    /// Whether the remaining amount in response headers is exact, and not rounded to thousands.
    is_exact: bool,
    /// The highest known level of the server's bucket, computed from response headers; 0 if no header has shown a
    /// level.
    most_held: u32,
    /// The amount that requests have taken from the server's bucket. Only requests whose response head has come are
    /// included.
    given: u64,
    /// The bucket; `None` where no limit is known.
    pub(super) bucket: Option<Bucket>,
    /// The share of the limit that other clients use.
    drift: Drift,
    /// The shadow: an estimate of the server's bucket. This estimate assumes that one burst can use the server's limit
    /// of a whole minute. The shadow is used until a response header or a refusal says more about the server's bucket.
    shadow: Option<Bucket>,
    /// The limit that was learned from refusals, and that replaces the known limit.
    learned: Option<Learned>,
    /// Whether the level must rise slowly. After trouble (a long pause or many faults), the level must rise slowly,
    /// because the server's bucket has filled up in that time.
    is_slow: bool,
    /// Learns the size of the server's bucket from refusals. The burst never falls below the size that this search
    /// found.
    search: BurstSearch,
    /// The fraction of a token that is left over from the last raise of the level. This fraction of a token is added at
    /// the next raise of the level.
    raise_credit: f64,
    /// The amount that is reserved for requests that the server has not counted yet.
    uncounted: i64,
    /// How long the server takes to produce answers. Only the dimension of output tokens measures how long answers
    /// take.
    production: Production,
    /// The amount that was counted against the limit since the start of the run.
    pub(super) used: Used,
    no_raise_until: Instant,
    /// The instant at which the state of this dimension was created.
    began: Instant,
}

/// A limit that was learned from refusals.
#[derive(Clone, Copy, Debug)]
struct Learned {
    /// The known limit that the learned limit replaces; `None` if no limit was known.
    replaced: Option<u32>,
    /// The learned rate, divided by the limit of the bucket. The limit of the bucket is rounded to a whole number, and
    /// this share corrects the rounding.
    share: f64,
}

impl DimensionState {
    /// Returns a dimension. If a limit was given by hand, the dimension has this limit. Otherwise, it has the preset
    /// limit. The bucket leaves a share of the limit unused: `headroom`.
    pub(super) fn new(
        dimension: Dimension,
        preset: RateLimits,
        by_hand: RateLimits,
        headroom: f64,
        now: Instant,
    ) -> Self {
        let limit = by_hand.of(dimension).or(preset.of(dimension));
        let mut bucket = limit.map(|limit| Bucket::new(limit, first_burst(limit)));
        bucket.iter_mut().for_each(|bucket| bucket.set_headroom(headroom, now));
        Self {
            dimension,
            by_hand: by_hand.of(dimension),
            reported: None,
            is_exact: dimension == Dimension::Requests,
            most_held: 0,
            given: 0,
            bucket,
            drift: Drift::default(),
            shadow: limit.map(|limit| Bucket::new(limit, limit)),
            learned: None,
            is_slow: false,
            search: BurstSearch::new(),
            raise_credit: 0.0,
            uncounted: 0,
            production: Production::default(),
            used: Used::default(),
            no_raise_until: Instant::ZERO,
            began: now,
        }
    }

    /// Replaces the limit that was given by hand. The new limit applies immediately. But if the limit that the server
    /// last reported is lower, the reported limit applies. If no limit is given by hand, the reported limit applies. If
    /// there is neither a limit given by hand nor a reported limit, `preset` applies. A limit that was learned from
    /// refusals is forgotten.
    pub(super) fn set_by_hand(&mut self, by_hand: RateLimits, preset: RateLimits, now: Instant) {
        self.by_hand = by_hand.of(self.dimension);
        let limit = match (self.by_hand, self.reported) {
            (Some(most), Some(reported)) => Some(most.min(reported)),
            (Some(most), None) => Some(most),
            (None, reported) => reported.or(preset.of(self.dimension)),
        };
        match (&mut self.bucket, limit) {
            (Some(bucket), Some(limit)) if bucket.limit() != limit => bucket.set_limit(limit, now),
            (Some(_), Some(_)) => {}
            (bucket, limit) => *bucket = limit.map(|limit| Bucket::new(limit, first_burst(limit))),
        }
        (self.shadow, self.learned) = (None, None);
    }

    /// Returns the limit that the latest response head reported.
    pub(super) fn reported(&self) -> Option<u32> {
        self.reported
    }

    /// Returns the highest level that the server's bucket is known to have had; `None` if no response header has shown
    /// a level.
    pub(super) fn burst_seen(&self) -> Option<u32> {
        let most = self.most_held.max(self.search.found()).min(self.reported?);
        Some(most).filter(|most| *most > 0)
    }

    /// Returns the amount that is reserved for requests that the server has not counted yet.
    pub(super) fn uncounted(&self) -> i64 {
        self.uncounted
    }

    /// Returns the part of `cost` that counts in this dimension.
    fn amount(&self, cost: Cost) -> u32 {
        cost.of(self.dimension)
    }

    /// Call this when a request with this cost is sent.
    pub(super) fn on_sent(&mut self, cost: Cost, now: Instant) {
        let amount = self.amount(cost);
        self.uncounted += i64::from(amount);
        if let Some(shadow) = &mut self.shadow {
            shadow.debit(amount, now);
        }
    }

    /// If a request is not sent after all, puts its tokens back into the bucket.
    pub(super) fn give_back(&mut self, cost: Cost) {
        let amount = self.amount(cost);
        if let Some(bucket) = &mut self.bucket {
            bucket.refund(amount);
        }
    }

    /// Call this when the response head of a request has come, because by then the server has counted the request and
    /// its input.
    pub(super) fn on_head(&mut self, cost: Cost) {
        if self.dimension != Dimension::OutputTokens {
            self.uncounted -= i64::from(self.amount(cost));
        }
    }

    /// Call this when a request has ended, because by then the server has counted the output of the request. If no
    /// response head has come, only the end of the request shows that the server has counted the request and its input.
    pub(super) fn on_end(&mut self, cost: Cost, head_seen: bool) {
        if !head_seen || self.dimension == Dimension::OutputTokens {
            self.uncounted -= i64::from(self.amount(cost));
        }
    }

    /// Adds the consumption of a request to the total consumption of this limit.
    pub(super) fn count(&mut self, used: Cost) {
        self.used.count(self.amount(used));
    }

    /// Corrects a request's reservation to the amount that the request used. `took` is the time from sending the
    /// request to the end of the answer.
    pub(super) fn settle(&mut self, reserved: Cost, used: Cost, took: Duration, now: Instant) {
        let (reserved, used) = (self.amount(reserved), self.amount(used));
        if self.dimension == Dimension::OutputTokens && used > 0 {
            self.production.note(used, took);
        }
        let correct = |bucket: &mut Bucket| match used.checked_sub(reserved) {
            Some(more) => bucket.debit(more, now),
            None => bucket.refund(reserved - used),
        };
        self.bucket.iter_mut().for_each(correct);
        self.shadow.iter_mut().for_each(correct);
    }

    /// Adopts the limit that response headers report. Returns whether the new limit differs from the limit that applied
    /// before. A limit given by hand is never raised.
    pub(super) fn adopt_limit(&mut self, signal: LimitSignal, headroom: f64, now: Instant) -> bool {
        let Some(reported) = signal.limit.filter(|&limit| limit > 0) else { return false };
        if self.reported.replace(reported) != Some(reported) {
            // If the limit has changed, the server's bucket has changed as well.
            (self.most_held, self.given) = (0, 0);
        }
        let limit = self.by_hand.map_or(reported, |most| most.min(reported));
        if let Some(learned) = &mut self.learned {
            // The learned limit stays: a proxy passes on the limits of the API, but refuses requests sooner.
            learned.replaced = Some(limit);
            return false;
        }
        match &mut self.bucket {
            Some(bucket) if bucket.limit() == limit => return false,
            Some(bucket) => bucket.set_limit(limit, now),
            bucket @ None => {
                // While no limit was known, all requests were sent without waiting. So at the first report of a limit,
                // the level is set to the remaining amount that the server reports.
                let bucket = bucket.insert(Bucket::new(limit, limit));
                bucket.set_headroom(headroom, now);
            }
        }
        true
    }

    /// Forgets the shadow (the estimated bucket of the server), because response headers now report the level.
    pub(super) fn forget_shadow(&mut self) {
        self.shadow = None;
    }

    /// Returns whether the limit that applies in this dimension was learned from refusals.
    pub(super) fn has_learned(&self) -> bool {
        self.learned.is_some()
    }

    /// Returns whether a rate is lower than the known limit of this dimension.
    pub(super) fn is_below_known(&self, per_minute: f64) -> bool {
        self.known().is_none_or(|known| per_minute < f64::from(known))
    }

    /// Returns the known limit, which applies if no limit was learned from refusals.
    fn known(&self) -> Option<u32> {
        match self.learned {
            Some(learned) => learned.replaced,
            None => self.bucket.as_ref().map(Bucket::limit),
        }
    }

    /// Replaces the known limit by a rate that was learned from refusals.
    pub(super) fn learn(&mut self, per_minute: f64, now: Instant) {
        let (is_new, replaced) = (self.learned.is_none(), self.known());
        let limit = per_minute.ceil().clamp(1.0, f64::from(replaced.unwrap_or(u32::MAX)));
        self.learned = Some(Learned { replaced, share: (per_minute / limit).min(1.0) });
        let bucket = self.bucket.get_or_insert_with(|| Bucket::new(limit as u32, 1));
        if is_new {
            // The burst is lowered first. Otherwise, the tokens that an empty bucket with a large burst misses would be
            // a debt, whose refill takes minutes at the learned rate.
            bucket.set_burst(first_burst(limit as u32), now);
            bucket.clamp(0, now);
        }
        bucket.set_limit(limit as u32, now);
    }

    /// Forgets the learned rate and returns to the known limit, or to no limit if none is known.
    pub(super) fn unlearn(&mut self, now: Instant) {
        let Some(Learned { replaced, .. }) = self.learned.take() else { return };
        match (replaced, &mut self.bucket) {
            (Some(known), Some(bucket)) => bucket.set_limit(known, now),
            _ => self.bucket = None,
        }
    }

    /// Sets the rate at which the bucket refills. The rate is the limit, or the learned share of the limit, minus the
    /// headroom and minus the share of other clients.
    pub(super) fn set_pace(&mut self, headroom: f64, now: Instant) {
        if self.dimension != Dimension::Requests {
            self.drift.fade(now);
        }
        let learned = self.learned.map_or(1.0, |learned| learned.share);
        if let Some(bucket) = &mut self.bucket {
            bucket.set_headroom(1.0 - (1.0 - headroom) * (1.0 - self.drift.share()) * learned, now);
        }
    }
}

/// Returns the first burst of a bucket: the amount that the limit allows per second, but at least 1.
///
/// The server can enforce limits over spans as short as a second, so it could reject a burst above this amount. Source:
/// API documentation, "Rate limits" (2026-08-22).
fn first_burst(limit_per_minute: u32) -> u32 {
    (limit_per_minute / 60).max(1)
}
