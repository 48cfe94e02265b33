//! Charges calls. Output uses up the limits while it is produced. At the end of a call, its price is charged.

use crate::clock::Instant;
use crate::domain::{Dimension, Money, Usage};
use crate::sim::config::{OutputRule, SimPrice};

use super::bucket::TOKEN;
use super::call::Phase;
use super::limits::Account;
use super::state::Model;

impl Model {
    /// Handles the first token of a call. After the first token, other calls can read the cache entries of this call,
    /// and the output of this call uses up the limits.
    pub(super) fn begin(&mut self, ticket: u64, at: Instant) {
        let Some(call) = self.calls.get_mut(&ticket).filter(|call| call.phase == Phase::Waiting) else { return };
        let writes = std::mem::take(&mut call.writes);
        let span = i128::from(call.end.as_nanos() - call.begin.as_nanos());
        let is_charged_now = self.config.output_rule == OutputRule::AsProduced;
        let total = i128::from(call.output_tokens) * TOKEN;
        let rate = if span > 0 && is_charged_now { total / span } else { 0 };
        call.phase = Phase::Producing(rate);
        let account = call.account;
        self.books.cache_writes += writes.len() as u64;
        self.cache.write(&writes, at);
        self.account(account).begin_output(rate, at);
    }

    /// Ends a call at its last token: takes the rest of the output from the limit, and corrects the estimate of the
    /// input.
    pub(super) fn end(&mut self, ticket: u64, at: Instant) {
        let Some(call) = self.calls.get_mut(&ticket) else { return };
        let Phase::Producing(rate) = call.phase else { return };
        call.phase = Phase::Over;
        let produced = rate * i128::from(call.end.as_nanos() - call.begin.as_nanos());
        let total = i128::from(call.output_tokens) * TOKEN;
        let rest = match self.config.output_rule {
            OutputRule::AsProduced => total - produced,
            OutputRule::MaxTokensUpFront => total - i128::from(call.max_tokens) * TOKEN,
        };
        let too_low = i128::from(call.counted) - i128::from(call.estimate);
        let (account, output) = (call.account, call.output_tokens);
        self.close_accounts(account, rate, rest, too_low, output, at);
        self.bill(ticket);
        self.forget_if_over(ticket);
    }

    /// Ends a stream because its client has left. After that, the stream produces no more output.
    pub(super) fn cut_short(&mut self, ticket: u64, now: Instant) {
        let Some(call) = self.calls.get_mut(&ticket) else { return };
        let rate = match call.phase {
            Phase::Waiting => 0,
            Phase::Producing(rate) => rate,
            Phase::Over => return,
        };
        let span = call.end.since(call.begin).as_nanos().max(1);
        let gone = now.since(call.begin).as_nanos();
        // A partly produced token is charged as a whole token.
        let produced = (u128::from(call.output_tokens) * gone).div_ceil(span);
        call.phase = Phase::Over;
        call.output_tokens = u64::try_from(produced).unwrap_or(u64::MAX).min(call.output_tokens);
        let total = i128::from(call.output_tokens) * TOKEN;
        let rest = match self.config.output_rule {
            OutputRule::AsProduced => total - rate * i128::try_from(gone).unwrap_or(i128::MAX),
            OutputRule::MaxTokensUpFront => total - i128::from(call.max_tokens) * TOKEN,
        };
        let too_low = i128::from(call.counted) - i128::from(call.estimate);
        let (account, output) = (call.account, call.output_tokens);
        self.close_accounts(account, rate, rest, too_low, output, now);
        self.bill(ticket);
    }

    fn close_accounts(&mut self, account: Account, rate: i128, rest: i128, too_low: i128, output: u64, at: Instant) {
        let limits = self.account(account);
        limits.end_output(rate, rest, at);
        limits.correct_input(too_low, at);
        limits.used[Dimension::OutputTokens.index()] += output;
        let debt = limits.level(Dimension::OutputTokens).map_or(0, |level| (-level).max(0) / TOKEN);
        let debt = u64::try_from(debt).unwrap_or(u64::MAX);
        self.books.highest_output_debt = self.books.highest_output_debt.max(debt);
    }

    /// Charges a call. A refusal before the first output is free.
    fn bill(&mut self, ticket: u64) {
        let Some(call) = self.calls.get(&ticket).filter(|call| !call.is_free) else { return };
        let usage = call.usage();
        let (money, organization) = (self.price(call.model, usage), call.account.0);
        self.spend(organization, money);
        let Some(call) = self.calls.get(&ticket) else { return };
        self.books.bill(call.body, call.user_id.as_deref(), usage, money);
        self.books.billed_and_lost += u64::from(call.is_lost || call.is_spoiled);
    }

    /// Returns the cost of a usage at the prices of a model.
    fn price(&self, model: usize, usage: Usage) -> Money {
        let model = &self.config.models[model];
        let long = model.long_price.filter(|(above, _)| usage.prompt_tokens() > *above).map(|(_, price)| price);
        long.or(model.price).map_or(Money::ZERO, |price| price_of(usage, &price))
    }

    /// Returns what a usage costs in a batch: half the price for tokens, and the full price for web searches.
    pub(super) fn batch_price(&self, model: usize, usage: Usage) -> Money {
        let tokens = self.price(model, Usage { web_searches: 0, ..usage });
        Money(tokens.0 / 2) + SEARCH_PRICE.times(usage.web_searches)
    }

    /// Adds a charge to the organization's spending, which the spend cap limits.
    pub(super) fn spend(&mut self, organization: u64, money: Money) {
        if self.config.spend_cap.is_some() {
            *self.spent.entry(organization).or_insert(Money::ZERO) += money;
        }
    }

    /// Drops a fully charged call if its client has received the response or has left.
    pub(super) fn forget_if_over(&mut self, ticket: u64) {
        if self.calls.get(&ticket).is_some_and(|call| !call.is_open && call.phase == Phase::Over) {
            self.calls.remove(&ticket);
        }
    }
}

/// The price of one web search. Source: Docs, Pricing, 2026-10 ($10 per 1,000).
const SEARCH_PRICE: Money = Money(10_000_000_000);

fn price_of(usage: Usage, price: &SimPrice) -> Money {
    price.input.times(usage.input_tokens)
        + price.output.times(usage.output_tokens)
        + price.cache_write_5m.times(usage.cache_write_5m_tokens)
        + price.cache_write_1h.times(usage.cache_write_1h_tokens)
        + price.cache_read.times(usage.cache_read_tokens)
        + SEARCH_PRICE.times(usage.web_searches)
}
