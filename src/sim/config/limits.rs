//! How a simulated API limits its clients.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ModelClass, RateLimits};

/// How much of a limit can be used at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// A whole minute's worth.
    Minute,
    /// The amount that refills during this time, at least one.
    Time(Duration),
    /// This many, no matter what the limit is.
    Amount(u32),
}

impl Burst {
    /// Returns the capacity of a bucket with this limit per minute.
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
    /// Of requests.
    pub requests: Burst,
    /// Of input tokens.
    pub input_tokens: Burst,
    /// Of output tokens.
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
    /// As it is produced; a request is admitted while the level is above zero.
    #[default]
    AsProduced,
    /// `max_tokens` at the start, corrected at the end: the rule up to 2026-02-18.
    MaxTokensUpFront,
}

/// Limit on how fast the input of a class may grow: each minute may use `step` more than the minute before, and
/// always `floor`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// Input tokens that any minute may use.
    pub floor: u64,
    /// Input tokens that a minute may use in addition to those of the minute before.
    pub step: u64,
}

/// A change of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitChange {
    /// When.
    pub at: Instant,
    /// For which class; `None` for all.
    pub class: Option<ModelClass>,
    /// What they become; a dimension without a limit keeps the one it had.
    pub limits: RateLimits,
}

/// Another client that uses the organization's limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtherClient {
    /// Which class it uses; `None` for all.
    pub class: Option<ModelClass>,
    /// Thousandths of each limit that it takes.
    pub permille: u32,
    /// From when.
    pub from: Instant,
    /// Until when; [`Instant::NEVER`] for always.
    pub until: Instant,
    /// How it takes it.
    pub manner: OtherManner,
}

/// How another client takes its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherManner {
    /// Evenly.
    Steady,
    /// Its share of a minute's limit at once, at this interval; less when the bucket contains less.
    Bursts(Duration),
}
