//! Prices: what tokens cost, and the price file, which overrides the built-in prices.

use serde::Deserialize;
use toml::Spanned;

use crate::domain::{Caching, Money, Terms, Usage, UsageBound};

/// Prices of one token, for prompts above a certain length.
///
/// The length of the whole prompt decides which step applies. This step then applies to the whole request, including
/// the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceStep {
    /// The step applies to prompts with more tokens than this, including cached tokens.
    pub above_prompt_tokens: u64,
    /// Input that is not written to a cache and not read from a cache.
    pub input: Money,
    /// Output tokens.
    pub output: Money,
    /// Input written to the cache for five minutes.
    pub cache_write_5m: Money,
    /// Input written to the cache for an hour.
    pub cache_write_1h: Money,
    /// Input read from the cache.
    pub cache_read: Money,
    /// Whether the API documentation states all of these prices.
    pub is_confirmed: bool,
}

impl PriceStep {
    /// Returns the price of all tokens of a usage at this step, without web searches.
    fn tokens(&self, usage: &Usage) -> Money {
        self.input.times(usage.input_tokens)
            + self.output.times(usage.output_tokens)
            + self.cache_write_5m.times(usage.cache_write_5m_tokens)
            + self.cache_write_1h.times(usage.cache_write_1h_tokens)
            + self.cache_read.times(usage.cache_read_tokens)
    }

    /// Returns the highest price that one input token can cost.
    ///
    /// A prompt without cache marks is neither written to a cache nor read from a cache.
    fn dearest_input(&self, caching: Caching) -> Money {
        match caching {
            Caching::None => self.input,
            Caching::FiveMinutes => self.input.max(self.cache_read).max(self.cache_write_5m),
            Caching::Hour => self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h),
        }
    }
}

/// Returns the price of tokens on these terms; `money` is their price on standard terms.
fn on(terms: Terms, money: Money) -> Money {
    if terms.is_us_only { Money(money.0.saturating_mul(11) / 10) } else { money }
}

/// The prices of a model at one speed.
#[derive(Clone, Debug)]
pub struct Prices {
    steps: Vec<PriceStep>,
    web_search: Money,
}

impl Prices {
    /// Returns the prices of these steps, which must be sorted by rising prompt length; `None` without a step.
    pub(super) fn new(steps: &[PriceStep], web_search: Money) -> Option<Self> {
        (!steps.is_empty()).then(|| Self { steps: steps.to_vec(), web_search })
    }

    /// Returns what `usage` costs on these terms. The speed in `terms` is ignored, because these prices are for one
    /// speed.
    pub fn cost(&self, terms: Terms, usage: &Usage) -> Money {
        cost(&self.steps, terms, usage, self.web_search).unwrap_or_default()
    }

    /// Returns the price of one output token on these terms, for a prompt of this length.
    pub(crate) fn output_token(&self, terms: Terms, prompt_tokens: u64) -> Money {
        on(terms, step(&self.steps, prompt_tokens).map(|step| step.output).unwrap_or_default())
    }

    /// Returns the highest cost that an answer within `bound` can have on these terms.
    ///
    /// The prompt may be shorter than its bound. So each kind of token is counted at its highest price among the steps
    /// that may apply. Every input token is counted at the price of the most expensive kind that is possible.
    pub fn most(&self, terms: Terms, bound: &UsageBound) -> Money {
        let reachable = || {
            let is_within =
                |(at, step): &(usize, &PriceStep)| *at == 0 || step.above_prompt_tokens < bound.input_tokens;
            self.steps.iter().enumerate().filter(is_within)
        };
        let input = reachable().map(|(_, step)| step.dearest_input(bound.caching)).max().unwrap_or_default();
        let output = reachable().map(|(_, step)| step.output).max().unwrap_or_default();
        let tokens = input.times(bound.input_tokens) + output.times(bound.output_tokens);
        on(terms, tokens) + self.web_search.times(bound.web_searches)
    }
}

/// Returns the step that applies to a prompt of this length; `None` without prices.
fn step(steps: &[PriceStep], prompt_tokens: u64) -> Option<&PriceStep> {
    steps.iter().rfind(|step| step.above_prompt_tokens < prompt_tokens).or(steps.first())
}

/// Returns what `usage` cost; `None` without prices.
pub(super) fn cost(steps: &[PriceStep], terms: Terms, usage: &Usage, web_search: Money) -> Option<Money> {
    let step = step(steps, usage.prompt_tokens())?;
    Some(on(terms, step.tokens(usage)) + web_search.times(usage.web_searches))
}

/// Why a price file can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatalogError {
    /// The file is not TOML, or a member has a wrong name or type.
    #[error("line {line} of the price file: {message}")]
    Syntax {
        /// The line, counted from 1.
        line: usize,
        /// The message of the parser.
        message: String,
    },
    /// A price is negative, or so large that it is certainly a mistake.
    #[error(
        "line {line} of the price file: {member} of {model} is {found}, but prices are dollars per million tokens, from 0 to 1000000"
    )]
    Price {
        /// The line, counted from 1.
        line: usize,
        /// The model.
        model: String,
        /// The name of the price.
        member: &'static str,
        /// The price, as written in the file.
        found: f64,
    },
    /// A model has two prices for one prompt length.
    #[error("line {line} of the price file: {model} has a second price above {above} tokens; keep one of them")]
    Repeated {
        /// The line, counted from 1.
        line: usize,
        /// The model.
        model: String,
        /// The prompt length.
        above: u64,
    },
    /// A model has prices for long prompts only.
    #[error("line {line} of the price file: {model} has no price for short prompts; add one without `above`")]
    NoBase {
        /// The line, counted from 1.
        line: usize,
        /// The model.
        model: String,
    },
    /// The file has no prices.
    #[error(
        "the price file has no [[price]] entry; write one with model, input and output in dollars per million tokens"
    )]
    Empty,
}

/// The content of a price file.
pub(super) struct PriceFile {
    pub date: Option<String>,
    pub web_search: Option<Money>,
    /// Steps of each model, by rising prompt length.
    pub prices: Vec<(String, Vec<PriceStep>)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    date: Option<String>,
    web_search_per_thousand: Option<Spanned<f64>>,
    #[serde(default)]
    price: Vec<Spanned<RawPrice>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    model: String,
    #[serde(default)]
    above: u64,
    input: Spanned<f64>,
    output: Spanned<f64>,
    write_5m: Option<Spanned<f64>>,
    write_1h: Option<Spanned<f64>>,
    read: Option<Spanned<f64>>,
}

/// Reads a price file.
///
/// Cache prices that the file leaves out are computed from the input price. Writing for five minutes costs 1.25 times,
/// writing for an hour costs 2 times, and reading costs 0.1 times the input price.
pub(super) fn parse_price_file(text: &str) -> Result<PriceFile, CatalogError> {
    let file: RawFile = toml::from_str(text).map_err(|error| CatalogError::Syntax {
        line: error.span().map_or(1, |span| line_of(text, span.start)),
        message: error.message().to_owned(),
    })?;
    let mut prices: Vec<(String, Vec<PriceStep>)> = Vec::new();
    let mut first_lines = Vec::new();
    for entry in file.price {
        let line = line_of(text, entry.span().start);
        let raw = entry.into_inner();
        let step = raw.step(text)?;
        let at = prices.iter().position(|(model, _)| *model == raw.model).unwrap_or_else(|| {
            prices.push((raw.model.clone(), Vec::new()));
            first_lines.push(line);
            prices.len() - 1
        });
        let steps = &mut prices[at].1;
        if steps.iter().any(|own| own.above_prompt_tokens == raw.above) {
            return Err(CatalogError::Repeated { line, model: raw.model, above: raw.above });
        }
        steps.push(step);
        steps.sort_by_key(|step| step.above_prompt_tokens);
    }
    if prices.is_empty() {
        return Err(CatalogError::Empty);
    }
    for ((model, steps), line) in prices.iter().zip(first_lines) {
        if steps[0].above_prompt_tokens > 0 {
            return Err(CatalogError::NoBase { line, model: model.clone() });
        }
    }
    let web_search = file
        .web_search_per_thousand
        .map(|dollars| checked(text, &dollars, "web searches", "web_search_per_thousand"))
        .transpose()?
        .map(|dollars| Money::from_dollars(dollars / 1000.0));
    Ok(PriceFile { date: file.date, web_search, prices })
}

impl RawPrice {
    fn step(&self, text: &str) -> Result<PriceStep, CatalogError> {
        let price = |value: &Spanned<f64>, member| checked(text, value, &self.model, member);
        let or_times = |value: &Option<Spanned<f64>>, member, factor: f64, input: f64| match value {
            Some(value) => price(value, member),
            None => Ok(input * factor),
        };
        let input = price(&self.input, "input")?;
        Ok(PriceStep {
            above_prompt_tokens: self.above,
            input: Money::per_token(input),
            output: Money::per_token(price(&self.output, "output")?),
            cache_write_5m: Money::per_token(or_times(&self.write_5m, "write_5m", 1.25, input)?),
            cache_write_1h: Money::per_token(or_times(&self.write_1h, "write_1h", 2.0, input)?),
            cache_read: Money::per_token(or_times(&self.read, "read", 0.1, input)?),
            is_confirmed: true,
        })
    }
}

fn checked(text: &str, value: &Spanned<f64>, model: &str, member: &'static str) -> Result<f64, CatalogError> {
    let dollars = *value.get_ref();
    if (0.0..=1e6).contains(&dollars) {
        return Ok(dollars);
    }
    Err(CatalogError::Price {
        line: line_of(text, value.span().start),
        model: model.to_owned(),
        member,
        found: dollars,
    })
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}
