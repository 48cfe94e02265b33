//! Prices: the cost of tokens.

use crate::domain::{Caching, Lane, Money, Terms, Usage, UsageBound};

/// A price step: the prices of one token, for prompts above a certain length.
///
/// The length of the whole prompt decides which price step applies. The prices of this step apply to the whole request,
/// including the output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceStep {
    /// The prompt length above which the step applies, in tokens. Cached tokens count towards the prompt length.
    pub above_prompt_tokens: u64,
    /// The price of input that is neither written to a cache nor read from a cache.
    pub input: Money,
    /// Output tokens.
    pub output: Money,
    /// The price of input that is written to the five-minute cache.
    pub cache_write_5m: Money,
    /// The price of input that is written to the one-hour cache.
    pub cache_write_1h: Money,
    /// The price of input that is read from the cache.
    pub cache_read: Money,
    /// Whether the API documentation states all of these prices.
    pub is_confirmed: bool,
}

impl PriceStep {
    /// Multiplies all prices of the price step by `factor`.
    pub(super) fn multiply(&mut self, factor: f64) {
        let Self { above_prompt_tokens: _, input, output, cache_write_5m, cache_write_1h, cache_read, is_confirmed: _ } =
            self;
        for price in [input, output, cache_write_5m, cache_write_1h, cache_read] {
            *price = Money((price.0 as f64 * factor).round() as u128);
        }
    }

    /// Returns the price of all tokens in `usage` at this price step, without web searches.
    fn tokens(&self, usage: &Usage) -> Money {
        self.input.times(usage.input_tokens)
            + self.output.times(usage.output_tokens)
            + self.cache_write_5m.times(usage.cache_write_5m_tokens)
            + self.cache_write_1h.times(usage.cache_write_1h_tokens)
            + self.cache_read.times(usage.cache_read_tokens)
    }

    /// Returns the highest price that one input token can cost.
    ///
    /// Without cache marks, a prompt is neither written to a cache nor read from a cache.
    fn dearest_input(&self, caching: Caching) -> Money {
        match caching {
            Caching::None => self.input,
            Caching::FiveMinutes => self.input.max(self.cache_read).max(self.cache_write_5m),
            Caching::Hour => self.input.max(self.cache_read).max(self.cache_write_5m).max(self.cache_write_1h),
        }
    }
}

/// Returns the cost on `terms` of the tokens that cost `money` on standard terms.
///
/// In a batch, all tokens cost half: input, output, cache writes and cache reads. Requests that must run in the United
/// States have a higher price, which is halved too. Callers add the full price of web searches to the result, because
/// searches are not tokens. The documentation does not say whether searches cost less in a batch. If the full price is
/// used, a computed cost can be too high. But an upper bound that is computed with the full price is never too low.
///
/// Source: API documentation, "Batch processing" and "Pricing" (2026-09-20).
fn on(terms: Terms, money: Money) -> Money {
    let money = if terms.is_us_only { Money(money.0.saturating_mul(11) / 10) } else { money };
    match terms.lane {
        Lane::Online => money,
        Lane::Batch => money.half(),
    }
}

/// The prices of a model at one speed.
#[derive(Clone, Debug)]
pub struct Prices {
    steps: Vec<PriceStep>,
    web_search: Money,
}

impl Prices {
    /// Returns prices with these price steps; `None` if `steps` is empty. Callers pass the steps sorted by prompt
    /// length.
    pub(super) fn new(steps: &[PriceStep], web_search: Money) -> Option<Self> {
        (!steps.is_empty()).then(|| Self { steps: steps.to_vec(), web_search })
    }

    /// Returns what `usage` costs on `terms`. The speed in `terms` is ignored, because all prices in `Prices` are for
    /// one speed.
    pub fn cost(&self, terms: Terms, usage: &Usage) -> Money {
        cost(&self.steps, terms, usage, self.web_search).unwrap_or_default()
    }

    /// Returns the price of one output token on `terms`, for a prompt of `prompt_tokens` tokens.
    pub(crate) fn output_token(&self, terms: Terms, prompt_tokens: u64) -> Money {
        on(terms, step(&self.steps, prompt_tokens).map(|step| step.output).unwrap_or_default())
    }

    /// Returns the price of one token of plain input on `terms`, for a prompt of `prompt_tokens` tokens.
    pub(crate) fn input_token(&self, terms: Terms, prompt_tokens: u64) -> Money {
        on(terms, step(&self.steps, prompt_tokens).map(|step| step.input).unwrap_or_default())
    }

    /// Returns whether the prices depend on the length of the prompt.
    pub(crate) fn has_steps(&self) -> bool {
        self.steps.len() > 1
    }

    /// Returns whether the same price step applies to prompts of these two lengths.
    pub(crate) fn is_same_step(&self, one: u64, other: u64) -> bool {
        let above = |prompt_tokens| step(&self.steps, prompt_tokens).map(|step| step.above_prompt_tokens);
        above(one) == above(other)
    }

    /// Returns the prices for writing a token to the five-minute cache, writing it to the one-hour cache, and reading
    /// it from a cache. Each price is given as a multiple of the price of plain input. Returns `None` if plain input is
    /// free.
    pub(crate) fn cache_rates(&self) -> Option<[f64; 3]> {
        let step = self.steps.first().filter(|step| step.input > Money::ZERO)?;
        Some(
            [step.cache_write_5m, step.cache_write_1h, step.cache_read]
                .map(|price| price.0 as f64 / step.input.0 as f64),
        )
    }

    /// Returns the highest cost that an answer within `bound` can have on `terms`.
    ///
    /// If the prompt is shorter than its bound, another price step can apply, which may be cheaper or more expensive.
    /// The cost is computed with the highest prices among all price steps that can apply. Every input token has the
    /// price of the most expensive kind of input (plain, written to the cache, or read from it).
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

/// Returns the price step that applies to a prompt of `prompt_tokens` tokens; `None` if there are no steps.
fn step(steps: &[PriceStep], prompt_tokens: u64) -> Option<&PriceStep> {
    steps.iter().rfind(|step| step.above_prompt_tokens < prompt_tokens).or(steps.first())
}

/// Returns the cost of `usage` at the prices in `steps`; `None` if there are no steps.
pub(super) fn cost(steps: &[PriceStep], terms: Terms, usage: &Usage, web_search: Money) -> Option<Money> {
    let step = step(steps, usage.prompt_tokens())?;
    Some(on(terms, step.tokens(usage)) + web_search.times(usage.web_searches))
}
