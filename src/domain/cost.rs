//! Types that say how much of the limits a request uses, and how much the request costs: dimensions, tokens and money.

use std::fmt;
use std::ops::{Add, AddAssign};

use super::Interval;

/// The quantities that a limit can count. More variants can be added later, so a `match` must name every variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dimension {
    /// The number of requests per minute.
    Requests,
    /// Uncached input tokens per minute.
    InputTokens,
    /// Output tokens that are produced per minute.
    OutputTokens,
}

impl Dimension {
    /// Every dimension. The dimensions, in the order in which pools check their buckets.
    pub const ALL: [Self; 3] = [Self::Requests, Self::InputTokens, Self::OutputTokens];

    /// Returns the name of the dimension in texts for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::InputTokens => "input tokens",
            Self::OutputTokens => "output tokens",
        }
    }

    /// Returns the position of the dimension in [`Dimension::ALL`].
    pub fn index(self) -> usize {
        match self {
            Self::Requests => 0,
            Self::InputTokens => 1,
            Self::OutputTokens => 2,
        }
    }
}

/// The amounts that a request reserves, one per dimension.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// The number of requests: 1 for a request to the messages endpoint.
    pub requests: u32,
    /// Uncached input tokens.
    pub input_tokens: u32,
    /// Output tokens.
    pub output_tokens: u32,
}

impl Cost {
    /// Returns the amount that is reserved in one dimension.
    pub fn of(&self, dimension: Dimension) -> u32 {
        match dimension {
            Dimension::Requests => self.requests,
            Dimension::InputTokens => self.input_tokens,
            Dimension::OutputTokens => self.output_tokens,
        }
    }
}

/// The tokens and searches that an answer really used, as the API reports them.
///
/// Units: tokens. Source: API reference, `usage` of a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Input tokens that were neither written to a cache nor read from one.
    #[serde(default)]
    pub input_tokens: u64,
    /// Input tokens that were written to the five-minute cache.
    #[serde(default)]
    pub cache_write_5m_tokens: u64,
    /// Input tokens that were written to the one-hour cache.
    #[serde(default)]
    pub cache_write_1h_tokens: u64,
    /// Input tokens that were read from the cache. Tokens that are read from the cache do not count against input
    /// limits.
    #[serde(default)]
    pub cache_read_tokens: u64,
    /// Output tokens, including the tokens of hidden thinking.
    #[serde(default)]
    pub output_tokens: u64,
    /// The number of web searches. The API bills each search.
    #[serde(default)]
    pub web_searches: u64,
    /// Whether more was used than the numbers say, because an answer did not say how many tokens it used. The cost of
    /// such a usage is unknown.
    #[serde(skip)]
    pub is_unknown: bool,
}

impl Usage {
    /// Returns this usage as the usage of an answer that is not whole. Its numbers are the least that was used.
    #[must_use]
    pub(crate) fn so_far(self) -> Self {
        Self { is_unknown: false, ..self }
    }

    /// Returns the length of the whole prompt, in tokens.
    pub(crate) fn prompt_tokens(&self) -> u64 {
        self.limited_input_tokens().saturating_add(self.cache_read_tokens)
    }

    /// Returns this usage as it would be without a prompt cache: all input is plain input.
    #[must_use]
    pub fn without_cache(&self) -> Self {
        Self {
            input_tokens: self.prompt_tokens(),
            cache_write_5m_tokens: 0,
            cache_write_1h_tokens: 0,
            cache_read_tokens: 0,
            ..*self
        }
    }

    /// Returns the tokens that were written to a cache.
    pub(crate) fn cache_write_tokens(&self) -> u64 {
        self.cache_write_5m_tokens.saturating_add(self.cache_write_1h_tokens)
    }

    /// Returns how many input tokens count against the input limit. Tokens that are read from a cache do not count
    /// against this limit.
    pub fn limited_input_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.cache_write_5m_tokens).saturating_add(self.cache_write_1h_tokens)
    }
}

impl Usage {
    /// Returns this usage minus `other`. A number that would be below zero becomes zero.
    pub(crate) fn less(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(other.input_tokens),
            cache_write_5m_tokens: self.cache_write_5m_tokens.saturating_sub(other.cache_write_5m_tokens),
            cache_write_1h_tokens: self.cache_write_1h_tokens.saturating_sub(other.cache_write_1h_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_sub(other.cache_read_tokens),
            output_tokens: self.output_tokens.saturating_sub(other.output_tokens),
            web_searches: self.web_searches.saturating_sub(other.web_searches),
            is_unknown: self.is_unknown,
        }
    }
}

impl AddAssign for Usage {
    /// Adds each member of `other` to the same member of this usage. Numbers from files can have any size, so a sum
    /// that would be too large becomes the largest `u64`.
    fn add_assign(&mut self, other: Self) {
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.input_tokens, other.input_tokens);
        add(&mut self.cache_write_5m_tokens, other.cache_write_5m_tokens);
        add(&mut self.cache_write_1h_tokens, other.cache_write_1h_tokens);
        add(&mut self.cache_read_tokens, other.cache_read_tokens);
        add(&mut self.output_tokens, other.output_tokens);
        add(&mut self.web_searches, other.web_searches);
        self.is_unknown = self.is_unknown || other.is_unknown;
    }
}

/// The caching that a request asks for: the longest lifetime among its cache marks. Writing to a cache costs more than
/// plain input. The price depends on the lifetime of the cache entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Caching {
    /// The request does not ask to cache anything.
    #[default]
    None,
    /// The request asks for a cache entry that lives for five minutes.
    FiveMinutes,
    /// The request asks for a cache entry that lives for an hour.
    Hour,
}

/// The highest usage that one paid answer to a request can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageBound {
    /// Input tokens, cached or not.
    pub input_tokens: u64,
    /// The longest lifetime that the input tokens can have in a cache.
    pub caching: Caching,
    /// Output tokens.
    pub output_tokens: u64,
    /// Web searches.
    pub web_searches: u64,
}

/// The cost of one answer to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expense {
    /// The cost of the prompt. For a request with cache marks, the lowest value assumes that the whole prompt is read
    /// from the cache. The highest value assumes that the whole prompt is written to the cache.
    pub input: Interval<Money>,
    /// The price of one output token if the prompt has the likely length.
    pub output_token: Money,
    /// The highest cost of one paid answer. If the connection breaks during an answer and the request is sent again,
    /// the second answer is paid for as well.
    pub most: Money,
    /// The highest cost of one paid answer from a batch. This cost does not include the prices of fallback models,
    /// because a request in a batch can't have the parameter `fallbacks`.
    pub most_in_batch: Money,
}

/// An amount of money, in pico-dollars (10⁻¹² USD). In this unit, prices per token are whole numbers: at 0.01 dollars
/// per million tokens, one token costs 10,000 pico-dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Money(pub u128);

impl Money {
    /// The number of pico-dollars in a dollar.
    pub(crate) const PICO: u64 = 1_000_000_000_000;

    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Converts a price in dollars per million tokens into the price of one token: 1 USD per million tokens is
    /// 1,000,000 pico-dollars per token.
    pub fn per_token(dollars_per_million: f64) -> Self {
        Self((dollars_per_million * 1e6).round().max(0.0) as u128)
    }

    /// Returns the amount for a number of dollars, rounded to the nearest pico-dollar.
    pub fn from_dollars(dollars: f64) -> Self {
        Self((dollars * 1e12).round().max(0.0) as u128)
    }

    /// Returns the amount in dollars, for display and files.
    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e12
    }

    /// Returns the amount multiplied by `count`.
    pub fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(u128::from(count)))
    }

    /// Returns half of the amount. Half of an odd number of pico-dollars is rounded up, because an upper bound must not
    /// become too low.
    pub(crate) fn half(self) -> Self {
        Self(self.0.div_ceil(2))
    }

    /// Returns the amount, rounded up to the last decimal place that is shown. So an upper bound is never shown too
    /// low.
    pub(crate) fn rounded_up(self) -> Self {
        let dollar = u128::from(Self::PICO);
        let place = if self.0 >= dollar { dollar / 100 } else { dollar / 10_000 };
        Self(self.0.div_ceil(place).saturating_mul(place))
    }

    /// Returns the amount minus `other`; zero if `other` is larger.
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Money {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Money {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl fmt::Display for Money {
    /// Shows dollars. Amounts of one dollar or more have two decimal places, and smaller amounts have four. An amount
    /// that is too small for four places appears as `<$0.0001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let dollars = self.dollars();
        match dollars {
            _ if self.0 == 0 || dollars >= 1.0 => write!(f, "${dollars:.2}"),
            0.000_05.. => write!(f, "${dollars:.4}"),
            _ => write!(f, "<$0.0001"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_shown_in_dollars_and_a_tiny_amount_is_not_shown_as_zero() {
        let shown = |dollars| Money::from_dollars(dollars).to_string();

        assert_eq!([0.0, 0.000_01, 0.000_1].map(shown), ["$0.00", "<$0.0001", "$0.0001"]);
        let rounded_up = |dollars| Money::from_dollars(dollars).rounded_up().to_string();
        assert_eq!(
            [0.0, 0.000_000_1, 0.123_41, 1.000_1, 3.02].map(rounded_up),
            ["$0.00", "$0.0001", "$0.1235", "$1.01", "$3.02"]
        );
        assert_eq!([0.999_99, 2.345].map(rounded_up), ["$1.00", "$2.35"]);
        assert_eq!([0.123_45, 0.999_9, 1.0, 1_234.5].map(shown), ["$0.1235", "$0.9999", "$1.00", "$1234.50"]);
    }
}
