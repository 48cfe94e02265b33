//! Limits: where they come from, which requests they apply to, and what a response says about them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::Dimension;

/// The value of `--tier`, which decides the limits at the start of a run: a usage tier of the organization, `auto` or
/// `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tier {
    /// The tier is not known. The run begins with the limits of the lowest tier in use, and adopts the limits that
    /// responses report.
    Auto,
    /// The program sets no limits itself. The run uses the limits that response headers report.
    None,
    /// Tier 1, a name that the API used until 2026-06-25.
    One,
    /// Tier 2, a name that the API used until 2026-06-25.
    Two,
    /// Tier 3, a name that the API used until 2026-06-25.
    Three,
    /// Tier 4, a name that the API used until 2026-06-25.
    Four,
    /// The tier Start, a name that the API uses since 2026-06-26.
    Start,
    /// The tier Build, a name that the API uses since 2026-06-26.
    Build,
    /// The tier Scale. The API has used this name since 2026-06-26.
    Scale,
}

impl Tier {
    /// Every tier, in the order in which the help text lists the tiers.
    pub const ALL: [Self; 9] =
        [Self::Auto, Self::None, Self::One, Self::Two, Self::Three, Self::Four, Self::Start, Self::Build, Self::Scale];

    /// Returns the name of the tier as users type it.
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

    /// Reads the name of a tier that a user typed, in upper or lower case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|tier| tier.name().eq_ignore_ascii_case(text))
    }
}

/// Limits per minute; `None` means no limit in that dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateLimits {
    /// Requests per minute.
    pub rpm: Option<u32>,
    /// Uncached input tokens per minute.
    pub itpm: Option<u32>,
    /// Output tokens per minute.
    pub otpm: Option<u32>,
}

impl RateLimits {
    /// The limits of a pool without limits: `None` in all dimensions.
    pub const NONE: Self = Self { rpm: None, itpm: None, otpm: None };

    /// Returns limits in all three dimensions.
    pub const fn new(rpm: u32, itpm: u32, otpm: u32) -> Self {
        Self { rpm: Some(rpm), itpm: Some(itpm), otpm: Some(otpm) }
    }

    /// Returns these limits; each dimension without a limit gets its limit from `others`.
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

/// The name of a group of models in the catalog (`haiku-4.5`, `opus-4.x`). The models of a group share one set of
/// limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelClass(pub Arc<str>);

impl fmt::Display for ModelClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The speed of service that a request asks for. Each speed has its own limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Speed {
    /// The standard speed.
    #[default]
    Standard,
    /// `speed: fast`.
    Fast,
}

impl Speed {
    /// Returns the name of the speed in the Messages API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Fast => "fast",
        }
    }

    /// Returns the speed that has this name in the Messages API.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Standard, Self::Fast].into_iter().find(|speed| speed.name() == text)
    }
}

/// The id of a pool. A pool is one set of limits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolId {
    /// The provider that serves the models, for example `anthropic`.
    pub provider: Arc<str>,
    /// The key or organization that the limits belong to; empty if the run has only one key.
    pub account: Arc<str>,
    /// The models that share the limits.
    pub class: ModelClass,
    /// The speed of service.
    pub speed: Speed,
}

impl PoolId {
    /// Returns the name of the pool. If the run has several providers, the name includes the provider: `haiku-4.5 at
    /// openrouter`.
    pub(crate) fn named(&self, has_several: bool) -> String {
        if has_several { format!("{self} at {}", self.provider) } else { self.to_string() }
    }
}

impl fmt::Display for PoolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.speed {
            Speed::Standard => write!(f, "{}", self.class),
            Speed::Fast => write!(f, "{} (fast)", self.class),
        }
    }
}

/// The limits of one pool that a run learned from response headers.
///
/// A `LearnedPool` contains neither limits from the catalog of tiers nor limits that the user set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedPool {
    /// The provider that reported the limits.
    pub provider: Arc<str>,
    /// The models that share the limits.
    pub class: ModelClass,
    /// The speed of service.
    pub speed: Speed,
    /// The limits per minute that the server reported last. A limit that the server never reported is `None`.
    pub limits: RateLimits,
    /// The size of the server's bucket in each dimension, as far as the run could see it, in the order of
    /// [`Dimension::ALL`]. The value for a dimension is `None` if no response showed the size of its bucket.
    ///
    /// Units: requests or tokens. A size in tokens can be wrong by up to 500, because response headers round it. If no
    /// response reported the level while the bucket was full, the real bucket is larger.
    pub bursts: [Option<u32>; 3],
}

impl LearnedPool {
    /// Returns whether these learned limits belong to a pool. Each provider has limits of its own.
    pub(crate) fn is_of(&self, pool: &PoolId) -> bool {
        self.provider == pool.provider && self.class == pool.class && self.speed == pool.speed
    }
}

/// The limit of one dimension, as the headers of one response report it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSignal {
    /// The limit per minute. A value above four billion becomes `None`, because some proxies send such a value to say
    /// "no limit".
    pub limit: Option<u32>,
    /// The amount of the limit that is left. The server rounds numbers of tokens to the nearest thousand, but numbers
    /// of requests are exact.
    pub remaining: Option<u32>,
}

/// The limits that the headers of one response report. If a proxy removes these headers, all members are empty.
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
    /// The limit on input and output tokens together. The Claude API also sends separate limits on input and on output.
    /// In this field, the Claude API repeats the token limit that is closest to being used up. Some servers other than
    /// the Claude API send only this combined limit. If a server sends only this limit, the input and `max_tokens` of a
    /// request are counted when the server admits the request.
    pub all_tokens: LimitSignal,
    /// The wait that the server asks for in the header `retry-after-ms` or `retry-after`. If both headers are valid,
    /// the longer wait is used. The value is `None` if both headers are missing or invalid.
    pub retry_after: Option<Duration>,
    /// Whether the server tells the client to try the request again; `None` when the server does not say.
    pub should_retry: Option<bool>,
}

impl RateSignals {
    /// Returns the signal of one dimension. If the response has only one token limit, for input and output together,
    /// the signal of this limit is returned for the input dimension.
    pub fn of(&self, dimension: Dimension) -> LimitSignal {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::InputTokens if self.counts_together() => self.all_tokens,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
        }
    }

    /// Returns whether the response reports a limit on input and output together, and no separate limit for input or
    /// for output.
    pub(crate) fn counts_together(&self) -> bool {
        let none = LimitSignal::default();
        self.all_tokens != none && self.input_tokens == none && self.output_tokens == none
    }

    /// Returns whether the response reported a limit on tokens.
    pub(crate) fn has_token_limits(&self) -> bool {
        [self.input_tokens, self.output_tokens, self.all_tokens].iter().any(|signal| *signal != LimitSignal::default())
    }

    /// Returns whether the response reported a limit. Two kinds of responses report no limit: a 429 for concurrency,
    /// and a response whose headers a proxy has removed.
    pub(crate) fn has_limits(&self) -> bool {
        Dimension::ALL.iter().any(|&dimension| {
            let signal = self.of(dimension);
            signal.limit.is_some() || signal.remaining.is_some()
        })
    }
}
