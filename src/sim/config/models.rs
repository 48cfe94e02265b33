//! The models that a simulated API serves.

use std::sync::Arc;

use crate::domain::{ModelClass, Money, RateLimits};

/// A model as the simulator knows it.
#[derive(Clone, Debug)]
pub struct SimModel {
    /// Full id, as in answers: `claude-haiku-4-5-20251001`.
    pub id: Arc<str>,
    /// Other names: `claude-haiku-4-5`.
    pub aliases: Vec<Arc<str>>,
    /// Name for people: `Claude Haiku 4.5`.
    pub display_name: Arc<str>,
    /// Date of release, RFC 3339.
    pub created_at: Arc<str>,
    /// Date of retirement, RFC 3339. A model with such a date counts as deprecated.
    pub retires_at: Option<Arc<str>>,
    /// The class whose limits it uses. All models of a class share the limits.
    pub class: ModelClass,
    /// The limits of its class.
    pub limits: RateLimits,
    /// The maximum number of tokens in a prompt.
    pub context_tokens: u64,
    /// The maximum number of tokens in an answer.
    pub max_output_tokens: u64,
    /// The minimum number of tokens in a cached prefix.
    pub cache_min_tokens: u64,
    /// Whether cache reads count against the input limit. Only the oldest models count them.
    pub counts_cache_reads: bool,
    /// Prices; `None` when unknown.
    pub price: Option<SimPrice>,
    /// The prices of a call whose prompt has more than this many tokens, including cached tokens. They apply to all
    /// tokens of the call.
    pub long_price: Option<(u64, SimPrice)>,
    /// The features that it accepts.
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

/// Features that some models accept and others refuse. Source: API documentation, "Errors" and "Models" (2026-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelTraits {
    /// The conversation may end with an assistant message.
    pub allows_prefill: bool,
    /// A request may set `temperature`, `top_p` and `top_k` to values other than the default.
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

/// What happens to a request for a model that is not in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownModels {
    /// The answer is a 404. The API answers in the same way.
    #[default]
    NotFound,
    /// The request is served like a request for the first model of the list. But the answer has the requested model
    /// name, and this name has limits of its own.
    LikeTheFirst,
}
