//! The built-in data files and their format.

use jiff::civil::Date;
use serde::Deserialize;

use super::model::{Lifecycle, Line, Model, TokenizerFamily, ToolPrompt};
use super::price::PriceStep;
use crate::domain::{ModelClass, Money};

pub(super) const MODELS: &str = include_str!("models.toml");
pub(super) const TIERS: &str = include_str!("tiers.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModels {
    pub checked: String,
    pub source: String,
    pub default_model: String,
    pub web_search_per_thousand: f64,
    pub model: Vec<RawModel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawModel {
    id: String,
    #[serde(default)]
    aliases: Vec<String>,
    name: String,
    line: Line,
    class: String,
    released: Date,
    #[serde(default)]
    lifecycle: Lifecycle,
    retires: Option<Date>,
    context: u32,
    max_output: u32,
    tokenizer: TokenizerFamily,
    #[serde(default)]
    rejects_sampling: bool,
    #[serde(default)]
    structured_outputs: bool,
    #[serde(default = "yes")]
    forced_tools: bool,
    #[serde(default = "yes")]
    prefill: bool,
    tool_prompt: Option<ToolPrompt>,
    cache_min: Option<u32>,
    #[serde(default)]
    prices: Vec<RawStep>,
    #[serde(default)]
    fast_prices: Vec<RawStep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawStep {
    #[serde(default)]
    above: u64,
    input: f64,
    output: f64,
    write_5m: f64,
    write_1h: f64,
    read: f64,
    #[serde(default = "yes")]
    confirmed: bool,
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
pub(super) struct RawTiers {
    pub tier: Vec<RawTier>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTier {
    pub name: String,
    pub date: String,
    pub source: String,
    pub deposit_usd: Option<u32>,
    pub monthly_cap_usd: u32,
    pub count_tokens_rpm: u32,
    pub batch_rpm: u32,
    pub batch_queue: u32,
    pub rows: Vec<(String, u32, u32, u32)>,
}

impl From<RawModel> for Model {
    fn from(raw: RawModel) -> Self {
        Self {
            id: raw.id.into(),
            aliases: raw.aliases.into_iter().map(Into::into).collect(),
            display_name: raw.name,
            line: raw.line,
            class: ModelClass(raw.class.into()),
            released: raw.released,
            lifecycle: raw.lifecycle,
            retires: raw.retires,
            context_tokens: raw.context,
            max_output_tokens: raw.max_output,
            family: raw.tokenizer,
            rejects_sampling: raw.rejects_sampling,
            structured_outputs: raw.structured_outputs,
            allows_forced_tools: raw.forced_tools,
            allows_prefill: raw.prefill,
            tool_prompt: raw.tool_prompt.unwrap_or(ToolPrompt::UNPUBLISHED),
            cache_min_tokens: raw.cache_min.unwrap_or(Model::UNPUBLISHED_CACHE_MIN_TOKENS),
            prices: raw.prices.into_iter().map(PriceStep::from).collect(),
            fast_prices: raw.fast_prices.into_iter().map(PriceStep::from).collect(),
        }
    }
}

impl From<RawStep> for PriceStep {
    fn from(raw: RawStep) -> Self {
        Self {
            above_prompt_tokens: raw.above,
            input: Money::per_token(raw.input),
            output: Money::per_token(raw.output),
            cache_write_5m: Money::per_token(raw.write_5m),
            cache_write_1h: Money::per_token(raw.write_1h),
            cache_read: Money::per_token(raw.read),
            is_confirmed: raw.confirmed,
        }
    }
}
