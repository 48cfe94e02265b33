//! The state of each provider of a run: its counters, and the provider that currently gets its rows.
//!
//! A row and its cost are counted for the provider of the row's last request. If another provider billed an earlier
//! attempt, the small cost of that attempt is counted for the wrong provider.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{count, escape, plural};
use super::words::{case_words, halt_words, is_about_provider};
use crate::domain::{ErrorClass, FallbackCase, HaltReason, Money, PoolId, Usage};

/// The counters of one provider in this run, and the state of its rows.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfProvider {
    /// The name of the provider.
    pub(crate) name: Arc<str>,
    /// The number of rows that the provider answered, with an answer of any quality.
    pub(crate) answered: u64,
    /// The number of failed rows whose last request was sent to this provider.
    pub(crate) failed: u64,
    /// The known cost of the answered and failed rows of this provider.
    pub(crate) cost: Money,
    /// The number of finished rows whose model has no known price.
    pub(crate) unpriced: u64,
    /// The number of attempts that were tried again after a 429.
    pub(crate) limited: u64,
    /// How many times a pool of this provider had to wait after a 429.
    pub(crate) holds: u64,
    /// For each reason, how many times the run began to send this provider's rows to another provider.
    pub(crate) left: BTreeMap<FallbackCase, u64>,
    /// The other provider to which the rows of this provider are now sent, and the reason. `None` if this provider gets
    /// its own rows.
    pub(crate) diverted: Option<(Arc<str>, FallbackCase)>,
    /// The reason why the run sends no more requests to this provider. `None` as long as the run sends requests to this
    /// provider.
    pub(crate) stopped: Option<Cow<'static, str>>,
}

/// The counters of all providers of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers {
    /// The providers in the order in which they are tried, and then the providers that were not announced and occur
    /// only in events.
    own: Vec<OfProvider>,
    /// The index of the provider that the last event was about. The next event is usually about this provider too.
    last: usize,
}

impl Providers {
    /// Sets the order of the providers.
    pub(super) fn announce(&mut self, names: &[Arc<str>]) {
        for name in names {
            self.of(name);
        }
    }

    /// Counts an answered row for the provider of this pool.
    #[inline]
    pub(super) fn answered(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        let own = self.of(&pool.provider);
        own.answered += 1;
        own.spend(usage, cost);
    }

    /// Counts the cost of all requests of a row except the last request.
    pub(super) fn used(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        self.of(&pool.provider).spend(usage, cost);
    }

    /// Counts a failed row for the provider of this pool.
    pub(super) fn failed(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        let own = self.of(&pool.provider);
        own.failed += 1;
        own.spend(usage, cost);
    }

    /// Counts an attempt that is tried again, if the cause was a 429.
    pub(super) fn retried(&mut self, pool: &PoolId, class: ErrorClass) {
        self.of(&pool.provider).limited += u64::from(class == ErrorClass::RateLimit);
    }

    /// Counts a hold: a wait of this pool after a 429.
    pub(super) fn held(&mut self, pool: &PoolId) {
        self.of(&pool.provider).holds += 1;
    }

    /// Records that rows of the provider `from` are sent to the provider `to`.
    pub(super) fn divert(&mut self, from: &Arc<str>, to: &Arc<str>, why: FallbackCase) {
        self.of(to);
        let own = self.of(from);
        *own.left.entry(why).or_default() += 1;
        // If a provider was stopped because of its account, it stays stopped. A later event about the provider's rows
        // does not change this state.
        let is_stopped = own.diverted.as_ref().is_some_and(|(_, why)| *why == FallbackCase::Account);
        if is_about_provider(why) && !is_stopped {
            own.diverted = Some((Arc::clone(to), why));
        }
    }

    /// Records that a provider gets no more requests in this run, and why.
    pub(super) fn stop(&mut self, name: &Arc<str>, reason: &HaltReason) {
        self.of(name).stopped = Some(halt_words(reason));
    }

    /// Records that the rows of a provider are sent to this provider again.
    pub(super) fn return_to(&mut self, name: &Arc<str>) {
        self.of(name).diverted = None;
    }

    /// Returns all providers of this run.
    pub(super) fn all(&self) -> &[OfProvider] {
        &self.own
    }

    /// Returns the providers of the run. Returns an empty slice if the run has only one provider.
    pub(crate) fn several(&self) -> &[OfProvider] {
        if self.are_several() { &self.own } else { &[] }
    }

    /// Returns whether the run has more than one provider.
    pub(crate) fn are_several(&self) -> bool {
        self.own.len() > 1
    }

    #[inline]
    fn of(&mut self, name: &Arc<str>) -> &mut OfProvider {
        // Two equal names of providers are usually clones of the same `Arc`. If two names are clones of the same `Arc`,
        // it is enough to compare the pointers.
        let is = |own: &OfProvider| Arc::ptr_eq(&own.name, name) || own.name == *name;
        if !self.own.get(self.last).is_some_and(is) {
            self.last = self.own.iter().position(is).unwrap_or_else(|| {
                self.own.push(OfProvider { name: Arc::clone(name), ..OfProvider::default() });
                self.own.len() - 1
            });
        }
        &mut self.own[self.last]
    }
}

impl OfProvider {
    fn spend(&mut self, usage: Usage, cost: Option<Money>) {
        match cost {
            Some(cost) => self.cost += cost,
            None => self.unpriced += u64::from(usage != Usage::default()),
        }
    }

    /// Returns the known cost of this provider's rows; `None` if they used tokens and no price is known.
    pub(crate) fn known_cost(&self) -> Option<Money> {
        (self.cost > Money::ZERO || self.unpriced == 0).then_some(self.cost)
    }

    /// Returns the line about this provider in the summary: `bedrock: 96 answered, 2 failed, $0.31, 1 wait after status
    /// 429; …`.
    pub(super) fn words(&self) -> String {
        let mut parts = vec![format!("{} answered", count(self.answered))];
        if self.failed > 0 {
            parts.push(format!("{} failed", count(self.failed)));
        }
        parts.push(match self.known_cost() {
            None => "cost unknown".to_owned(),
            Some(cost) if self.unpriced == 0 => cost.to_string(),
            Some(cost) => format!("{cost} and the unknown cost of {}", plural(self.unpriced, "row", "rows")),
        });
        if self.holds > 0 {
            parts.push(format!("{} after status 429", plural(self.holds, "wait", "waits")));
        }
        let left = self.left_words().map(|words| format!("; {words}")).unwrap_or_default();
        format!("{}: {}{left}", escape(&self.name), parts.join(", "))
    }

    /// Returns the reasons why rows of this provider were sent to other providers. Returns `None` if all rows stayed
    /// with this provider.
    fn left_words(&self) -> Option<String> {
        let times = |(why, times): (&FallbackCase, &u64)| match times {
            1 => case_words(*why).to_owned(),
            times => format!("{} ({} times)", case_words(*why), count(*times)),
        };
        let passing = self.left.iter().filter(|(why, _)| **why != FallbackCase::Account);
        let reasons: Vec<String> = passing.map(times).collect();
        let name = if reasons.len() == 1 { "reason" } else { "reasons" };
        let passing =
            (!reasons.is_empty()).then(|| format!("rows went to other providers, {name}: {}", reasons.join(", ")));
        let stopped = match &self.diverted {
            Some((to, why @ FallbackCase::Account)) => {
                let words = self.stopped.as_deref().unwrap_or(case_words(*why));
                Some(format!("stopped ({words}), so its rows went to {}", escape(to)))
            }
            Some(_) | None => None,
        };
        let words: Vec<String> = passing.into_iter().chain(stopped).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}
