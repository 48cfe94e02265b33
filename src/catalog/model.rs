//! The facts that the catalog has about each model.

use std::sync::Arc;

use jiff::civil::Date;
use serde::Deserialize;

use super::price::PriceStep;
use crate::domain::{ModelClass, Speed};

/// The tokenizer of a model, which splits text into tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TokenizerFamily {
    /// The tokenizer of models before Opus 4.7.
    Old,
    /// The tokenizer of Opus 4.7 and later models. From Latin text or code, this tokenizer makes about 30 % more tokens
    /// than the old tokenizer.
    New,
}

/// The stage of a model's life, in the words of the Models API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lifecycle {
    /// The model is served and recommended.
    #[default]
    Active,
    /// The model is served until its retirement date.
    Deprecated,
    /// The model is no longer served: the API answers 404.
    Retired,
}

impl Lifecycle {
    /// Returns the name that the Models API uses for the stage of a model's life.
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Retired => "retired",
        }
    }
}

/// A product line, in the words of the Models API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    /// Haiku.
    Haiku,
    /// Sonnet.
    Sonnet,
    /// Opus.
    Opus,
    /// Fable.
    Fable,
    /// Mythos.
    Mythos,
}

impl Line {
    /// Returns the name that the Models API uses for the product line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Haiku => "haiku",
            Self::Sonnet => "sonnet",
            Self::Opus => "opus",
            Self::Fable => "fable",
            Self::Mythos => "mythos",
        }
    }
}

/// The length, in tokens, of the hidden prompt that the API adds to a request with tools.
///
/// Units: tokens. Source: API documentation, "Pricing", tool use (2026-10).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "(u32, u32)")]
pub struct ToolPrompt {
    /// The length of the hidden prompt if `tool_choice` is auto or none.
    pub auto: u32,
    /// The length of the hidden prompt if `tool_choice` is any or tool.
    pub forced: u32,
}

impl ToolPrompt {
    /// The lengths that are assumed for a model without published figures. Two pairs of lengths are published, and most
    /// models have one of these pairs. The assumed lengths are the larger pair, which is published for models 4.5 and
    /// 4.6.
    pub(crate) const UNPUBLISHED: Self = Self { auto: 496, forced: 588 };
}

impl From<(u32, u32)> for ToolPrompt {
    fn from((auto, forced): (u32, u32)) -> Self {
        Self { auto, forced }
    }
}

/// One model.
///
/// Source: API documentation, "Models overview", "Pricing", "Model deprecations"; see `models.toml` for dates.
#[derive(Clone, Debug)]
pub struct Model {
    /// The id of the model's snapshot. The ids of models before 4.6 end with a date.
    pub id: Arc<str>,
    /// Other names that the API accepts for the model.
    pub aliases: Vec<Arc<str>>,
    /// The model's name for people, for example in a table.
    pub display_name: String,
    /// The product line of the model.
    pub line: Line,
    /// The class of the model: all models that share its limits.
    pub class: ModelClass,
    /// The model's release date. If the model's id contains a date, the two dates are the same.
    pub released: Date,
    /// The stage of the model's life on the day when the catalog was checked.
    pub lifecycle: Lifecycle,
    /// The model's retirement date, past or future; `None` if unknown.
    pub retires: Option<Date>,
    /// The size of the model's context window, in tokens. No prompt can be longer than the context window.
    pub context_tokens: u32,
    /// The largest `max_tokens` that the model accepts.
    pub max_output_tokens: u32,
    /// The model's tokenizer.
    pub family: TokenizerFamily,
    /// Whether the API answers 400 if a request to this model changes a sampling parameter from its default value.
    pub rejects_sampling: bool,
    /// Whether the API can make the model follow a JSON schema, through `output_config.format` and `strict` tools.
    /// Source: API documentation, "Structured outputs" (2026), and `capabilities.structured_outputs` of the Models API,
    /// as quoted in public reports (2026). These sources name Sonnet 4.5, Opus 4.1 and all later models.
    pub structured_outputs: bool,
    /// Whether the model accepts a `tool_choice` of `any` or `tool`. Source: API documentation, "Errors" (2026-10).
    pub allows_forced_tools: bool,
    /// Whether the last message of a request to this model can be from the assistant. Source: API documentation,
    /// "Errors" (2026-10).
    pub allows_prefill: bool,
    /// The length of the hidden prompt that the API adds to a request with tools.
    pub tool_prompt: ToolPrompt,
    /// The length, in tokens, of the shortest prefix that the prompt cache keeps. Source: API documentation, "Prompt
    /// caching" (2026-08-22).
    pub cache_min_tokens: u32,
    /// The model's prices, sorted by prompt length; empty when they are unknown.
    pub prices: Vec<PriceStep>,
    /// The model's prices in fast mode; empty when the model has no fast mode or the prices are not published.
    pub fast_prices: Vec<PriceStep>,
}

impl Model {
    /// The assumed length, in tokens, of a model's shortest cached prefix, if no figure is published for the model. The
    /// assumed figure is the lowest figure of all models. If this figure is too low, some prefixes with a cache mark
    /// (`cache_control`) are too short to be cached. A mark on a prefix that is too short costs nothing.
    pub(crate) const UNPUBLISHED_CACHE_MIN_TOKENS: u32 = 512;

    /// Returns whether the catalog lists the model as retired.
    pub(crate) fn is_retired(&self) -> bool {
        self.lifecycle == Lifecycle::Retired
    }

    /// Returns whether the model is retired on `date`. Even if the catalog lists the model as served, the model can
    /// have a retirement date. So `date` is compared with the retirement date too.
    pub(crate) fn is_retired_on(&self, date: Date) -> bool {
        self.is_retired() || self.retires.is_some_and(|retires| retires <= date)
    }

    /// Returns the model's prices at a speed, sorted by prompt length; empty when they are unknown.
    pub(crate) fn prices_at(&self, speed: Speed) -> &[PriceStep] {
        match speed {
            Speed::Standard => &self.prices,
            Speed::Fast => &self.fast_prices,
        }
    }
}
