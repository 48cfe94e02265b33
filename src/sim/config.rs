//! What a simulated API is like: its models and limits, its speed, its answers and its moods.
//!
//! Owns plain values only. Everything about the simulator that can differ is here, so that a test, a flag or a preset is
//! a change of a value.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{ModelClass, Money, RateLimits};

use super::faults::FaultPlan;

/// What a simulated API is like.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of answers, lengths, latencies and faults.
    pub seed: u64,
    /// The models it serves.
    pub models: Vec<SimModel>,
    /// What it does with others.
    pub unknown_models: UnknownModels,
    /// Requests a minute to `count_tokens`, apart from all other limits.
    pub count_tokens_rpm: Option<u32>,
    /// How much of each limit can be used at once.
    pub bursts: Bursts,
    /// How long answers take.
    pub latency: Latency,
    /// Time that a message takes on the way, each way, where the transport has none of its own.
    pub network: Duration,
    /// How long answers are.
    pub lengths: OutputLengths,
    /// How often answers end otherwise than by `end_turn`.
    pub endings: Endings,
    /// When output counts against its limit.
    pub output_rule: OutputRule,
    /// Whether a request that is refused with 429 uses a request of the limit. Unconfirmed for the API.
    pub refused_uses_request: bool,
    /// Tokens for each token of the simulator's own counter: 1.3 makes usage 30 % higher than the text suggests.
    pub token_skew: f64,
    /// Estimate of the input at the start, for each token it turns out to be.
    pub estimate_skew: f64,
    /// Limit on the increase of input tokens from minute to minute.
    pub acceleration: Option<Acceleration>,
    /// Open requests of an organization at most; more get a 429 without rate headers.
    pub max_concurrent: Option<u32>,
    /// Money after which every request gets the 429 of a spend cap.
    pub spend_cap: Option<Money>,
    /// Which keys are good.
    pub keys: Keys,
    /// Whose limits are one.
    pub organizations: Organizations,
    /// Limits that change while it runs.
    pub changes: Vec<LimitChange>,
    /// Other clients of the same organization.
    pub others: Vec<OtherClient>,
    /// Faults on order.
    pub faults: FaultPlan,
    /// Wall time of [`Instant::ZERO`], for dates in headers.
    pub wall_start: jiff::Timestamp,
}

impl SimConfig {
    /// Returns an API with these models, whole-minute bursts, realistic latency and no faults.
    pub fn new(models: Vec<SimModel>) -> Self {
        Self {
            seed: 0,
            models,
            unknown_models: UnknownModels::NotFound,
            count_tokens_rpm: Some(2_000),
            bursts: Bursts::all(Burst::Minute),
            latency: Latency::REALISTIC,
            network: Duration::ZERO,
            lengths: OutputLengths::default(),
            endings: Endings::default(),
            output_rule: OutputRule::AsProduced,
            refused_uses_request: false,
            token_skew: 1.0,
            estimate_skew: 1.0,
            acceleration: None,
            max_concurrent: None,
            spend_cap: None,
            keys: Keys::Any,
            organizations: Organizations::One,
            changes: Vec::new(),
            others: Vec::new(),
            faults: FaultPlan::default(),
            wall_start: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Gives every model the same limits.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.models.iter_mut().for_each(|model| model.limits = limits);
        self
    }

    /// Sets the burst of every dimension.
    #[must_use]
    pub fn with_burst(mut self, burst: Burst) -> Self {
        self.bursts = Bursts::all(burst);
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how long answers take.
    #[must_use]
    pub fn with_latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Sets how long answers are.
    #[must_use]
    pub fn with_lengths(mut self, lengths: OutputLengths) -> Self {
        self.lengths = lengths;
        self
    }

    /// Sets the faults.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultPlan) -> Self {
        self.faults = faults;
        self
    }
}

/// A model as the simulator knows it.
#[derive(Clone, Debug)]
pub struct SimModel {
    /// Full id, as answers name it: `claude-haiku-4-5-20251001`.
    pub id: Arc<str>,
    /// Other names: `claude-haiku-4-5`.
    pub aliases: Vec<Arc<str>>,
    /// Name for people: `Claude Haiku 4.5`.
    pub display_name: Arc<str>,
    /// Date of release, RFC 3339.
    pub created_at: Arc<str>,
    /// When it will be taken away, RFC 3339; such a model counts as deprecated.
    pub retires_at: Option<Arc<str>>,
    /// Who shares its limits.
    pub class: ModelClass,
    /// Limits of that class.
    pub limits: RateLimits,
    /// Tokens of a prompt at most.
    pub context_tokens: u64,
    /// Tokens of an answer at most.
    pub max_output_tokens: u64,
    /// Tokens of a prefix that can be cached, at least.
    pub cache_min_tokens: u64,
    /// Whether cache reads count against the input limit, as in the oldest models.
    pub counts_cache_reads: bool,
    /// Prices; `None` when unknown.
    pub price: Option<SimPrice>,
    /// Prompts longer than so many tokens, cached ones included, cost this, as a whole.
    pub long_price: Option<(u64, SimPrice)>,
    /// What it refuses.
    pub traits: ModelTraits,
}

/// Prices of one token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimPrice {
    /// Uncached input.
    pub input: Money,
    /// Output.
    pub output: Money,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: Money,
    /// Input written to the cache for an hour.
    pub cache_write_1h: Money,
    /// Input read from the cache.
    pub cache_read: Money,
}

/// What a model accepts where models differ. Source: API documentation, "Errors" and "Models" (2026-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelTraits {
    /// The conversation may end with an assistant message.
    pub allows_prefill: bool,
    /// `temperature`, `top_p`, `top_k` other than the default.
    pub allows_sampling: bool,
    /// `thinking: {"type":"enabled"}`.
    pub allows_thinking_enabled: bool,
    /// `thinking: {"type":"adaptive"}`.
    pub allows_thinking_adaptive: bool,
    /// `thinking: {"type":"disabled"}`.
    pub allows_thinking_disabled: bool,
    /// `tool_choice` of `any` or `tool`.
    pub allows_forced_tools: bool,
}

impl ModelTraits {
    /// What models up to 4.5 accept.
    pub const UP_TO_4_5: Self = Self {
        allows_prefill: true,
        allows_sampling: true,
        allows_thinking_enabled: true,
        allows_thinking_adaptive: false,
        allows_thinking_disabled: true,
        allows_forced_tools: true,
    };
}

/// What happens to a model that is not in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownModels {
    /// 404, as the API does.
    #[default]
    NotFound,
    /// It is served like the first of the list, under its own name and in a class of that name's own.
    LikeTheFirst,
}

/// How much of a limit can be used at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Burst {
    /// A whole minute's worth.
    Minute,
    /// What comes in during this time, at least one.
    Time(Duration),
    /// So many, whatever the limit.
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
    pub const fn all(burst: Burst) -> Self {
        Self { requests: burst, input_tokens: burst, output_tokens: burst }
    }
}

/// How long answers take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Time to the first token, at the middle.
    pub first_token: Duration,
    /// Spread of the time to the first token: 0.3 lets it vary by a factor of about 1.35 either way.
    pub jitter: f64,
    /// Output tokens a second; infinite for no time at all.
    pub tokens_per_second: f64,
    /// Time to an error.
    pub error: Duration,
}

impl Latency {
    /// Near what small models show.
    pub const REALISTIC: Self = Self {
        first_token: Duration::from_millis(600),
        jitter: 0.3,
        tokens_per_second: 120.0,
        error: Duration::from_millis(60),
    };

    /// Everything at once.
    pub const ZERO: Self =
        Self { first_token: Duration::ZERO, jitter: 0.0, tokens_per_second: f64::INFINITY, error: Duration::ZERO };
}

/// How long answers are, before `max_tokens` cuts them: a lognormal around a mean that grows with the prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputLengths {
    /// Mean for an empty prompt, in tokens.
    pub mean: f64,
    /// Tokens more for each token of the prompt.
    pub per_prompt_token: f64,
    /// Tokens more for each token of `max_tokens`.
    pub per_max_token: f64,
    /// Spread of the logarithm; 0 makes every answer the mean.
    pub sigma: f64,
}

impl OutputLengths {
    /// Every answer has so many tokens.
    pub const fn fixed(tokens: u32) -> Self {
        Self { mean: tokens as f64, per_prompt_token: 0.0, per_max_token: 0.0, sigma: 0.0 }
    }
}

impl Default for OutputLengths {
    fn default() -> Self {
        Self { mean: 90.0, per_prompt_token: 0.2, per_max_token: 0.05, sigma: 0.6 }
    }
}

/// Shares of answers that end otherwise than by `end_turn`; each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Endings {
    /// `refusal`, before any output.
    pub refusal: f64,
    /// `stop_sequence`, among requests that name some.
    pub stop_sequence: f64,
    /// `tool_use`, among requests whose tools are free to use.
    pub tool_use: f64,
}

/// When output counts against its limit. Source: API documentation, "Rate limits" (2026-02-18 and 2026-02-19).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputRule {
    /// As it is produced; a request is let in while the level is above zero.
    #[default]
    AsProduced,
    /// `max_tokens` at the start, corrected at the end: the rule up to 2026-02-18.
    MaxTokensUpFront,
}

/// Limit on how fast the input of a class may grow: a minute may use `step` more than the one before it used, and
/// `floor` in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Acceleration {
    /// Input tokens that any minute may use.
    pub floor: u64,
    /// Input tokens that a minute may use beyond what the one before it used.
    pub step: u64,
}

/// Which keys are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key that is there.
    #[default]
    Any,
    /// These.
    Only(Vec<String>),
    /// None: every answer is a 401.
    None,
}

/// Whose limits are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Organizations {
    /// Every key belongs to the same organization.
    #[default]
    One,
    /// Each key is an organization of its own.
    PerKey,
}

/// Limits that change at a moment.
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
    /// Until when; [`Instant::NEVER`] for good.
    pub until: Instant,
    /// How it takes it.
    pub manner: OtherManner,
}

/// How another client takes its share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherManner {
    /// Evenly.
    Steady,
    /// At once, its share of a minute's limit, as often as this; less when the bucket holds less.
    Bursts(Duration),
}
