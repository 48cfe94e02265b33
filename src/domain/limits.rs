//! Limits: where they come from, which requests they apply to, and what a response says about them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Dimension;

/// A usage tier of an organization, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// Begin with the strictest preset in use and adopt the limits that responses report.
    Auto,
    /// No limits of this program's own; those in response headers still count.
    None,
    /// Tier 1 (to 2026-06-25).
    One,
    /// Tier 2 (to 2026-06-25).
    Two,
    /// Tier 3 (to 2026-06-25).
    Three,
    /// Tier 4 (to 2026-06-25).
    Four,
    /// Start (since 2026-06-26).
    Start,
    /// Build (since 2026-06-26).
    Build,
    /// Scale (since 2026-06-26).
    Scale,
}

impl Tier {
    /// Every tier, in the order in which they are offered.
    pub const ALL: [Self; 9] =
        [Self::Auto, Self::None, Self::One, Self::Two, Self::Three, Self::Four, Self::Start, Self::Build, Self::Scale];

    /// Returns the name as typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::None => "none",
            Self::One => "1",
            Self::Two => "2",
            Self::Three => "3",
            Self::Four => "4",
            Self::Start => "start",
            Self::Build => "build",
            Self::Scale => "scale",
        }
    }

    /// Reads a name as typed, any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name().eq_ignore_ascii_case(text))
    }
}

/// Limits per minute; `None` means no limit in that dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests a minute.
    pub rpm: Option<u32>,
    /// Uncached input tokens a minute.
    pub itpm: Option<u32>,
    /// Output tokens a minute.
    pub otpm: Option<u32>,
}

impl RateLimits {
    /// No limit in any dimension.
    pub const NONE: Self = Self { rpm: None, itpm: None, otpm: None };

    /// Returns limits in all three dimensions.
    pub const fn new(rpm: u32, itpm: u32, otpm: u32) -> Self {
        Self { rpm: Some(rpm), itpm: Some(itpm), otpm: Some(otpm) }
    }

    /// Returns these limits, and those of `others` in the dimensions that have none here.
    pub fn or(self, others: Self) -> Self {
        Self { rpm: self.rpm.or(others.rpm), itpm: self.itpm.or(others.itpm), otpm: self.otpm.or(others.otpm) }
    }

    /// Returns the limit of one dimension.
    pub fn of(&self, dimension: Dimension) -> Option<u32> {
        match dimension {
            Dimension::Requests => self.rpm,
            Dimension::InputTokens => self.itpm,
            Dimension::OutputTokens => self.otpm,
        }
    }
}

/// A group of models that share one set of limits, by its name in the catalog (`haiku-4.5`, `opus-4.x`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelClass(pub Arc<str>);

impl fmt::Display for ModelClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Speed of service; each has limits of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// The ordinary one.
    #[default]
    Standard,
    /// `speed: fast`.
    Fast,
}

/// Identifies one set of limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId {
    /// Who serves the models, for example `anthropic`.
    pub provider: Arc<str>,
    /// Whose limits these are: a key or an organization; empty when there is only one.
    pub account: Arc<str>,
    /// Which models share the limits.
    pub class: ModelClass,
    /// At which speed.
    pub speed: Speed,
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speed {
            Speed::Standard => write!(f, "{}", self.class),
            Speed::Fast => write!(f, "{} (fast)", self.class),
        }
    }
}

/// What one response head says about one dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSignal {
    /// The limit per minute. Some proxies send a value above four billion for "no limit"; it becomes `None`.
    pub limit: Option<u32>,
    /// What is left. Tokens are rounded by the server to the nearest thousand, requests are exact.
    pub remaining: Option<u32>,
}

/// What one response head says about limits. All empty when a proxy hides the headers.
///
/// Source: API documentation, "Rate limits", response headers (2026-08-22).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSignals {
    /// Requests.
    pub requests: LimitSignal,
    /// Input tokens.
    pub input_tokens: LimitSignal,
    /// Output tokens.
    pub output_tokens: LimitSignal,
    /// `retry-after-ms` or `retry-after`, the longer one when both are valid; `None` when both are missing or invalid.
    pub retry_after: Option<Duration>,
    /// Whether the server says that the request should be tried again.
    pub should_retry: Option<bool>,
}

impl RateSignals {
    /// Returns the signal of one dimension.
    pub fn of(&self, dimension: Dimension) -> LimitSignal {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
        }
    }

    /// Returns whether the head said anything about a limit (concurrency 429s and proxies do not).
    pub(crate) fn has_limits(&self) -> bool {
        Dimension::ALL.iter().any(|&dimension| {
            let signal = self.of(dimension);
            signal.limit.is_some() || signal.remaining.is_some()
        })
    }
}
