//! Simulates the limits of one organization and model class.
//!
//! This module contains the three buckets, the limit on growth (acceleration), and the waits of clients after a 429.
//! Source: API documentation, "Rate limits" (2026-08-22), except where a comment says that something is not confirmed.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Dimension, RateLimits};
use crate::sim::config::{Acceleration, Bursts, OutputRule};

use super::bucket::Bucket;

/// An account: an organization and the index of a model class. All requests of an account share the same limits.
pub(super) type Account = (u64, usize);

/// Why a request got a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The request limit is used up.
    Requests,
    /// The input token limit is used up.
    InputTokens,
    /// The output token limit is used up.
    OutputTokens,
    /// The number of input tokens per minute grows too fast.
    Acceleration,
    /// The organization has too many open requests.
    Concurrency,
    /// The organization has reached its spend cap.
    SpendCap,
    /// Too many requests in batches wait for processing.
    BatchQueue,
    /// A rule in a fault file caused the 429.
    Injected,
}

impl Reason {
    /// Returns the name that the statistics use for the reason.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input_tokens",
            Self::OutputTokens => "output_tokens",
            Self::Acceleration => "acceleration",
            Self::Concurrency => "concurrency",
            Self::SpendCap => "spend_cap",
            Self::BatchQueue => "batch_queue",
            Self::Injected => "ordered",
        }
    }
}

/// What a 429 says about an exhausted limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// The limit that is used up. If several limits are used up, this is the limit that takes longest to recover.
    pub reason: Reason,
    /// The number of seconds after which the request would be admitted if no other request were sent.
    pub retry_after: u64,
    /// The limit per minute that the error message mentions.
    pub limit: u64,
}

/// How many tokens a request takes from the limits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// The estimated number of tokens that count against the input limit.
    pub input: u64,
    /// The value of `max_tokens` in the request.
    pub max_tokens: u64,
}

/// The limits of one organization and model class.
#[derive(Clone, Debug)]
pub(super) struct ClassLimits {
    bursts: Bursts,
    pub(super) requests: Option<Bucket>,
    pub(super) input: Option<Bucket>,
    pub(super) output: Option<Bucket>,
    /// The numbers of requests, input tokens and output tokens that were used so far.
    pub used: [u64; 3],
    /// The numbers of requests, input tokens and output tokens that other clients took in bursts. The amounts are in
    /// units of a bucket.
    pub taken: [i128; 3],
    minute: u64,
    minute_input: u64,
    allowed_input: Option<u64>,
    hold_from: Instant,
    hold_until: Instant,
}

impl ClassLimits {
    /// Returns limits with full buckets.
    pub(super) fn new(limits: RateLimits, bursts: Bursts, now: Instant) -> Self {
        let full = |limit: Option<u32>, capacity: fn(&Bursts, u32) -> u64| {
            limit.map(|limit| Bucket::full(limit, capacity(&bursts, limit), now))
        };
        Self {
            bursts,
            requests: full(limits.rpm, |bursts, limit| bursts.requests.capacity(limit)),
            input: full(limits.itpm, |bursts, limit| bursts.input_tokens.capacity(limit)),
            output: full(limits.otpm, |bursts, limit| bursts.output_tokens.capacity(limit)),
            used: [0; 3],
            taken: [0; 3],
            minute: 0,
            minute_input: 0,
            allowed_input: None,
            hold_from: Instant::NEVER,
            hold_until: Instant::ZERO,
        }
    }

    /// Updates every bucket for the time `now`.
    pub(super) fn advance(&mut self, now: Instant) {
        self.buckets().for_each(|bucket| bucket.advance(now));
    }

    /// Sets new limits. A limit that is missing from `limits` does not change.
    pub(super) fn set(&mut self, limits: RateLimits, now: Instant) {
        self.advance(now);
        let bursts = self.bursts;
        let change = |bucket: &mut Option<Bucket>, limit: Option<u32>, capacity: fn(&Bursts, u32) -> u64| {
            let Some(limit) = limit else { return };
            match bucket {
                Some(bucket) => bucket.set_limit(limit, capacity(&bursts, limit)),
                None => *bucket = Some(Bucket::full(limit, capacity(&bursts, limit), now)),
            }
        };
        change(&mut self.requests, limits.rpm, |bursts, limit| bursts.requests.capacity(limit));
        change(&mut self.input, limits.itpm, |bursts, limit| bursts.input_tokens.capacity(limit));
        change(&mut self.output, limits.otpm, |bursts, limit| bursts.output_tokens.capacity(limit));
    }

    /// Sets the share of each limit that other clients use. The other clients use this share evenly over time. The
    /// share is in thousandths.
    pub(super) fn set_others(&mut self, permille: u32) {
        self.buckets().for_each(|bucket| bucket.set_others(permille));
    }

    /// Takes a share of a minute's limit from the buckets, as if another client had used this share.
    pub(super) fn take_share(&mut self, permille: u32) {
        let [requests, input, output] = [&mut self.requests, &mut self.input, &mut self.output]
            .map(|bucket| bucket.as_mut().map_or(0, |bucket| bucket.take_share(permille)));
        self.taken = [self.taken[0] + requests, self.taken[1] + input, self.taken[2] + output];
    }

    fn buckets(&mut self) -> impl Iterator<Item = &mut Bucket> {
        [&mut self.requests, &mut self.input, &mut self.output].into_iter().flatten()
    }

    /// Takes what a request needs from the buckets. If a limit is used up, takes nothing and returns an error. Before
    /// the call, the caller must update every bucket to the current time.
    pub(super) fn admit(&mut self, asked: Asked, rule: OutputRule) -> Result<(), Refusal> {
        if let Some(refusal) = self.refusal(asked, rule) {
            return Err(refusal);
        }
        if let Some(bucket) = &mut self.requests {
            bucket.take(1);
        }
        if let Some(bucket) = &mut self.input {
            bucket.take(asked.input);
        }
        if let (OutputRule::MaxTokensUpFront, Some(bucket)) = (rule, &mut self.output) {
            bucket.take(asked.max_tokens);
        }
        self.used[Dimension::Requests.index()] += 1;
        self.used[Dimension::InputTokens.index()] += asked.input;
        self.minute_input += asked.input;
        Ok(())
    }

    /// Charges a rejected request (429) to the request limit.
    pub(super) fn charge_refused(&mut self) {
        if let Some(bucket) = &mut self.requests {
            bucket.take(1);
        }
    }

    fn refusal(&self, asked: Asked, rule: OutputRule) -> Option<Refusal> {
        let short = |reason, bucket: &Option<Bucket>, missing: fn(&Bucket, Asked) -> i128| {
            let bucket = bucket.as_ref()?;
            let missing = missing(bucket, asked);
            let limit = u64::from(bucket.limit());
            (missing > 0).then(|| Refusal { reason, retry_after: bucket.seconds_for(missing), limit })
        };
        let output: fn(&Bucket, Asked) -> i128 = match rule {
            OutputRule::AsProduced => |bucket, _| bucket.shortfall_above_zero(),
            OutputRule::MaxTokensUpFront => |bucket, asked| bucket.shortfall(asked.max_tokens),
        };
        [
            short(Reason::Requests, &self.requests, |bucket, _| bucket.shortfall(1)),
            short(Reason::InputTokens, &self.input, |bucket, asked| bucket.shortfall(asked.input)),
            short(Reason::OutputTokens, &self.output, output),
        ]
        .into_iter()
        .flatten()
        .max_by_key(|refusal| refusal.retry_after)
    }

    /// If the input of this minute grows too fast, returns the data for a 429: the seconds until the next minute, and
    /// the current limit.
    pub(super) fn too_fast(&mut self, input: u64, rule: Acceleration, now: Instant) -> Option<Refusal> {
        let minute = now.as_nanos() / 60_000_000_000;
        if minute != self.minute || self.allowed_input.is_none() {
            let before = if minute == self.minute + 1 { self.minute_input } else { 0 };
            self.allowed_input = Some(rule.floor.max(before + rule.step));
            self.minute = minute;
            self.minute_input = 0;
        }
        let allowed = self.allowed_input.unwrap_or(rule.floor);
        if self.minute_input == 0 || self.minute_input + input <= allowed {
            return None;
        }
        let left = (minute + 1) * 60_000_000_000 - now.as_nanos();
        Some(Refusal { reason: Reason::Acceleration, retry_after: left.div_ceil(1_000_000_000), limit: allowed })
    }

    /// Records a wait: at `known_at`, clients learn that they have to wait until `until`.
    pub(super) fn hold(&mut self, known_at: Instant, until: Instant) {
        if self.hold_until <= known_at {
            self.hold_from = known_at;
        }
        self.hold_until = self.hold_until.max(until);
    }

    /// Returns how much longer the client of a request at `now` should have waited; `None` if the request is not too
    /// early.
    pub(super) fn early_by(&self, now: Instant) -> Option<Duration> {
        (self.hold_from < now && now < self.hold_until).then(|| self.hold_until.since(now))
    }

    /// From now on, takes `units` per nanosecond from the bucket for output tokens.
    pub(super) fn begin_output(&mut self, units: i128, now: Instant) {
        if let Some(bucket) = &mut self.output {
            bucket.advance(now);
            bucket.drain_more(units);
        }
    }

    /// Lowers the output rate by `units` per nanosecond. Then takes `rest` units from the bucket at once.
    pub(super) fn end_output(&mut self, units: i128, rest: i128, now: Instant) {
        if let Some(bucket) = &mut self.output {
            bucket.advance(now);
            bucket.drain_less(units);
            bucket.take_units(rest);
        }
    }

    /// Lowers the input bucket by the difference between the real input and its estimate. `too_low` is the real input
    /// minus the estimate, in tokens; it is negative if the estimate was too high.
    pub(super) fn correct_input(&mut self, too_low: i128, now: Instant) {
        if let Some(bucket) = &mut self.input {
            bucket.advance(now);
            bucket.take_units(too_low * super::bucket::TOKEN);
        }
        let used = &mut self.used[Dimension::InputTokens.index()];
        *used = u64::try_from(i128::from(*used) + too_low).unwrap_or(0);
    }

    /// Returns the level of a dimension's bucket, in units; `None` if the dimension has no limit.
    pub(super) fn level(&self, dimension: Dimension) -> Option<i128> {
        self.bucket(dimension).map(Bucket::level)
    }

    /// Returns a dimension's limit per minute; `None` if the dimension has no limit.
    pub(super) fn limit(&self, dimension: Dimension) -> Option<u32> {
        self.bucket(dimension).map(Bucket::limit)
    }

    fn bucket(&self, dimension: Dimension) -> Option<&Bucket> {
        match dimension {
            Dimension::Requests => self.requests.as_ref(),
            Dimension::InputTokens => self.input.as_ref(),
            Dimension::OutputTokens => self.output.as_ref(),
        }
    }
}
