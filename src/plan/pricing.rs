//! Computes the cost of an answer to one request.

use super::bound::{Bound, FALLBACKS, bound};
use super::estimate::Estimate;
use super::models::Known;
use crate::catalog::Prices;
use crate::domain::{Caching, Expense, Interval, Merged, Money, Terms, Usage, UsageBound};

/// Everything that the cost of an answer depends on, except the caching of the prompt.
pub(super) struct Pricing<'a> {
    prices: &'a Prices,
    terms: Terms,
    bound: Bound,
    known: &'a Known,
    tokens: Interval<u32>,
}

impl<'a> Pricing<'a> {
    /// Returns the pricing of a request; `None` if the model has no price.
    pub(super) fn of(
        params: Merged<'_>,
        estimate: &Estimate,
        known: &'a Known,
        terms: Terms,
        max_tokens: u32,
    ) -> Option<Self> {
        let prices = known.prices(terms.speed)?;
        let bound = bound(params, estimate, known.model.as_ref(), max_tokens);
        Some(Self { prices, terms, bound, known, tokens: estimate.tokens })
    }

    /// Returns the expected and the highest cost of an answer. `caching` is the longest lifetime of the cache marks in
    /// the request.
    pub(super) fn expense(&self, caching: Caching) -> Expense {
        let Self { prices, terms, tokens, .. } = *self;
        let most = self.most(caching);
        // The ways in which the tokens of the prompt can be billed. Without cache marks, the tokens are plain input.
        // With cache marks, the tokens can also be read from the cache or written to the cache.
        let ways: &[fn(u64) -> Usage] = match caching {
            Caching::None => &[uncached],
            Caching::FiveMinutes => &[uncached, from_cache, to_cache_for_minutes],
            Caching::Hour => &[uncached, from_cache, to_cache_for_minutes, to_cache_for_an_hour],
        };
        let cost = |tokens: u32, way: fn(u64) -> Usage| prices.cost(terms, &way(tokens.into())).min(most);
        let likely = cost(tokens.likely, uncached);
        let low = ways.iter().map(|way| cost(tokens.low, *way)).min().unwrap_or(likely).min(likely);
        let high = ways.iter().map(|way| cost(tokens.high, *way)).max().unwrap_or(likely).max(likely);
        let input = Interval { low, likely, high };
        let output_token = prices.output_token(terms, tokens.likely.into());
        Expense { input, output_token, most, most_in_batch: self.most_in_batch() }
    }

    /// Returns the highest cost of an answer. `caching` is the longest lifetime of the cache marks in the request.
    pub(super) fn most(&self, caching: Caching) -> Money {
        let usage = UsageBound { caching: self.bound.usage.caching.max(caching), ..self.bound.usage };
        let others = match self.bound.may_fall_back {
            true => self.known.most_of_any(self.terms, &usage).times(FALLBACKS),
            false => Money::ZERO,
        };
        self.prices.most(self.terms, &usage) + others
    }

    /// Returns the highest cost of an answer from a batch. No other model can answer, because batches do not accept
    /// `fallbacks`. The request in the batch has no cache marks except those that the row itself contains.
    fn most_in_batch(&self) -> Money {
        self.prices.most(self.terms.in_batch(), &self.bound.usage_in_batch)
    }
}

fn uncached(tokens: u64) -> Usage {
    Usage { input_tokens: tokens, ..Usage::default() }
}

fn from_cache(tokens: u64) -> Usage {
    Usage { cache_read_tokens: tokens, ..Usage::default() }
}

fn to_cache_for_minutes(tokens: u64) -> Usage {
    Usage { cache_write_5m_tokens: tokens, ..Usage::default() }
}

fn to_cache_for_an_hour(tokens: u64) -> Usage {
    Usage { cache_write_1h_tokens: tokens, ..Usage::default() }
}
