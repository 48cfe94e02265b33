//! Settings for the limits of a simulated API.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ModelClass, RateLimits};

/// How much of a limit can be used in one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// A burst can use the amount that refills in a minute.
    Minute,
    /// A burst can use the amount that refills during this time. The amount is at least 1.
    Time(Duration),
    /// A burst can use this fixed amount, which does not depend on the limit.
    Amount(u32),
}

impl Burst {
    /// Returns the capacity of a bucket whose limit per minute is `limit`.
    pub fn capacity(self, limit: u32) -> u64 {
        match self {
            Self::Minute => u64::from(limit),
            Self::Time(time) => {
                u64::try_from(u128::from(limit) * time.as_nanos() / 60_000_000_000).unwrap_or(u64::MAX).max(1)
            }
            Self::Amount(amount) => u64::from(amount),
        }
    }
}

/// The burst sizes for requests, input tokens and output tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// The burst size for requests.
    pub requests: Burst,
    /// The burst size for input tokens.
    pub input_tokens: Burst,
    /// The burst size for output tokens.
    pub output_tokens: Burst,
}

impl Bursts {
    /// Returns the same burst size for requests, input tokens and output tokens.
    pub(crate) const fn all(burst: Burst) -> Self {
        Self { requests: burst, input_tokens: burst, output_tokens: burst }
    }
}

/// The time at which output tokens count against the output limit. Source: API documentation, "Rate limits" (2026-02-18
/// and 2026-02-19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputRule {
    /// Output tokens count against the limit when they are produced. A request is admitted if the output bucket is not
    /// empty.
    #[default]
    AsProduced,
    /// The whole `max_tokens` of a request counts against the limit at the start of the call. At the end of the call,
    /// the unused part of `max_tokens` is given back. The API had this rule up to 2026-02-18.
    MaxTokensUpFront,
}

/// How fast the input of a model class is allowed to grow. In each minute, the class can use `step` tokens more than in
/// the minute before, and always at least `floor` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// The number of input tokens that are always allowed in a minute.
    pub floor: u64,
    /// In each minute, a client can use this many more input tokens than in the minute before.
    pub step: u64,
}

/// A change of limits while the simulator runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// The time at which the limits change.
    pub at: Instant,
    /// The model class that gets new limits; `None` for all classes.
    pub class: Option<ModelClass>,
    /// The new limits. A limit without a new value does not change.
    pub limits: RateLimits,
}

/// Another client that uses the organization's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherClient {
    /// The model class that the client uses; `None` for all classes.
    pub class: Option<ModelClass>,
    /// The share of each limit that the client uses, in thousandths.
    pub permille: u32,
    /// The time at which the client starts.
    pub from: Instant,
    /// The time at which the client stops; [`Instant::NEVER`] if it never stops.
    pub until: Instant,
    /// How the client uses its share of the limits over time.
    pub manner: OtherManner,
}

/// How another client uses its share of the limits over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherManner {
    /// The client uses its share evenly over time.
    Steady,
    /// At intervals of this length, the client uses its whole share of a minute's limit at once. If the bucket contains
    /// less than this share, the client empties the bucket.
    Bursts(Duration),
}
