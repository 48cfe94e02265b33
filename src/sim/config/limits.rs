//! How a simulated API limits its clients.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ModelClass, RateLimits};

/// How much of a limit can be used in one burst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// The amount that refills in a minute.
    Minute,
    /// The amount that refills during this time, but at least 1.
    Time(Duration),
    /// This amount, no matter what the limit is.
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

/// The burst of each dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// Burst of requests.
    pub requests: Burst,
    /// Burst of input tokens.
    pub input_tokens: Burst,
    /// Burst of output tokens.
    pub output_tokens: Burst,
}

impl Bursts {
    /// Returns the same burst for every dimension.
    pub(crate) const fn all(burst: Burst) -> Self {
        Self { requests: burst, input_tokens: burst, output_tokens: burst }
    }
}

/// When output counts against its limit. Source: API documentation, "Rate limits" (2026-02-18 and 2026-02-19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputRule {
    /// Output counts as it is produced. A request is admitted while the level is above zero.
    #[default]
    AsProduced,
    /// `max_tokens` counts at the start and is corrected at the end. This was the rule up to 2026-02-18.
    MaxTokensUpFront,
}

/// Limit on how fast the input of a model class may grow: a minute may use at most `step` tokens more than the minute
/// before. However, a minute may always use `floor` tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// Input tokens that are always allowed in a minute.
    pub floor: u64,
    /// A minute may use this many input tokens more than the minute before it.
    pub step: u64,
}

/// A change of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// When the limits change.
    pub at: Instant,
    /// The class whose limits change; `None` for all classes.
    pub class: Option<ModelClass>,
    /// The new limits. A dimension without a limit here keeps its old limit.
    pub limits: RateLimits,
}

/// Another client that uses the organization's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherClient {
    /// The class that it uses; `None` for all classes.
    pub class: Option<ModelClass>,
    /// How much of each limit it takes, in thousandths.
    pub permille: u32,
    /// When it starts.
    pub from: Instant,
    /// When it ends; [`Instant::NEVER`] if it never ends.
    pub until: Instant,
    /// In what way it takes its share.
    pub manner: OtherManner,
}

/// How another client takes its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherManner {
    /// Spread evenly over time.
    Steady,
    /// In bursts: at this interval, it takes its share of a minute's limit in one step. If the bucket contains less,
    /// the client takes what is left.
    Bursts(Duration),
}
