//! The models that a simulated API serves.

use std::sync::Arc;

use crate::domain::{ModelClass, Money, RateLimits};

/// What the simulator knows about a model.
#[derive(Clone, Debug)]
pub struct SimModel {
    /// The full id that appears in answers, for example `claude-haiku-4-5-20251001`.
    pub id: Arc<str>,
    /// The other names that requests can use, for example `claude-haiku-4-5`.
    pub aliases: Vec<Arc<str>>,
    /// The display name, for example `Claude Haiku 4.5`.
    pub display_name: Arc<str>,
    /// The release date in RFC 3339 format.
    pub created_at: Arc<str>,
    /// The retirement date in RFC 3339 format. A model with a retirement date is listed as deprecated.
    pub retires_at: Option<Arc<str>>,
    /// The class of this model. All models of a class share limits.
    pub class: ModelClass,
    /// The limits of the model's class.
    pub limits: RateLimits,
    /// The maximum number of tokens in a prompt.
    pub context_tokens: u64,
    /// The maximum number of tokens in an answer.
    pub max_output_tokens: u64,
    /// The minimum number of tokens in a cached prefix.
    pub cache_min_tokens: u64,
    /// Whether tokens that are read from the cache count against the input limit. Such tokens count only for the oldest
    /// models.
    pub counts_cache_reads: bool,
    /// The prices of the model's tokens; `None` when they are unknown.
    pub price: Option<SimPrice>,
    /// A prompt length in tokens, and the prices of calls whose prompt is longer than this. Cached tokens are part of
    /// the length. If the prompt of a call is longer, these prices apply to all tokens of the call.
    pub long_price: Option<(u64, SimPrice)>,
    /// The features that the model accepts.
    pub traits: ModelTraits,
}

/// The prices of one token: of input, output, cache writes and cache reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SimPrice {
    /// Uncached input.
    pub input: Money,
    /// Output.
    pub output: Money,
    /// The price of input that is written to the five-minute cache.
    pub cache_write_5m: Money,
    /// The price of input that is written to the one-hour cache.
    pub cache_write_1h: Money,
    /// The price of input that is read from the cache.
    pub cache_read: Money,
}

/// Features that only some models accept. Source: API documentation, "Errors" and "Models" (2026-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelTraits {
    /// Whether the last message of a request can be from the assistant.
    pub allows_prefill: bool,
    /// Whether a request can set `temperature`, `top_p` and `top_k` to values other than the default.
    pub allows_sampling: bool,
    /// Whether a request can have `thinking: {"type":"enabled"}`.
    pub allows_thinking_enabled: bool,
    /// Whether a request can have `thinking: {"type":"adaptive"}`.
    pub allows_thinking_adaptive: bool,
    /// Whether a request can have `thinking: {"type":"disabled"}`.
    pub allows_thinking_disabled: bool,
    /// Whether a request can have a `tool_choice` of `any` or `tool`.
    pub allows_forced_tools: bool,
}

impl ModelTraits {
    /// The features that models up to version 4.5 accept.
    pub(crate) const UP_TO_4_5: Self = Self {
        allows_prefill: true,
        allows_sampling: true,
        allows_thinking_enabled: true,
        allows_thinking_adaptive: false,
        allows_thinking_disabled: true,
        allows_forced_tools: true,
    };
}

/// What happens to requests for models that the simulated API does not serve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownModels {
    /// The answer is a 404, as from the real API.
    #[default]
    NotFound,
    /// The request is served like a request for the first model of the list. The answer contains the requested model
    /// name. Each unknown model name has limits of its own.
    LikeTheFirst,
}
