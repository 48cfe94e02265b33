//! The providers of a run: what each of them did, and where its rows go.
//!
//! A row and its cost count for the provider to which its last request was sent. If another provider billed an earlier
//! attempt, this small part of the cost counts for the wrong provider.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::text::{count, escape, plural};
use super::words::{case_words, halt_words, is_about_provider};
use crate::domain::{ErrorClass, FallbackCase, HaltReason, Money, PoolId, Usage};

/// What the rows of one provider did in this run.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfProvider {
    /// The name of the provider.
    pub(crate) name: Arc<str>,
    /// Rows that it answered, of any quality.
    pub(crate) answered: u64,
    /// Rows that failed and whose last request was sent to this provider.
    pub(crate) failed: u64,
    /// The known cost of these rows.
    pub(crate) cost: Money,
    /// Finished rows whose model has no price.
    pub(crate) unpriced: u64,
    /// Attempts that were tried again after a 429.
    pub(crate) limited: u64,
    /// How many times one of its pools was held after a 429.
    pub(crate) holds: u64,
    /// How many times its rows began to be sent to another provider, by the reason.
    pub(crate) left: BTreeMap<FallbackCase, u64>,
    /// Where its rows go at this moment, and why; `None` if it gets its own rows.
    pub(crate) diverted: Option<(Arc<str>, FallbackCase)>,
    /// Why nothing more is sent to it; `None` while it has not stopped.
    pub(crate) stopped: Option<Cow<'static, str>>,
}

/// The providers of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers {
    /// The providers in the order in which they are tried. Providers that were only seen in events come last.
    own: Vec<OfProvider>,
    /// The provider of the last event. Usually, the next event is about the same provider.
    last: usize,
}

impl Providers {
    /// Sets the order of the providers.
    pub(super) fn announce(&mut self, names: &[Arc<str>]) {
        for name in names {
            self.of(name);
        }
    }

    /// Counts an answered row.
    #[inline]
    pub(super) fn answered(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        let own = self.of(&pool.provider);
        own.answered += 1;
        own.spend(usage, cost);
    }

    /// Counts what a row used before its last request.
    pub(super) fn used(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        self.of(&pool.provider).spend(usage, cost);
    }

    /// Counts a row that failed for good.
    pub(super) fn failed(&mut self, pool: Option<&PoolId>, usage: Usage, cost: Option<Money>) {
        let Some(pool) = pool else { return };
        let own = self.of(&pool.provider);
        own.failed += 1;
        own.spend(usage, cost);
    }

    /// Counts an attempt that is tried again.
    pub(super) fn retried(&mut self, pool: &PoolId, class: ErrorClass) {
        self.of(&pool.provider).limited += u64::from(class == ErrorClass::RateLimit);
    }

    /// Counts a hold.
    pub(super) fn held(&mut self, pool: &PoolId) {
        self.of(&pool.provider).holds += 1;
    }

    /// Notes that rows of a provider are sent to another.
    pub(super) fn divert(&mut self, from: &Arc<str>, to: &Arc<str>, why: FallbackCase) {
        self.of(to);
        let own = self.of(from);
        *own.left.entry(why).or_default() += 1;
        // An account that is stopped stays so, whatever else happens to the provider's rows.
        let is_stopped = own.diverted.as_ref().is_some_and(|(_, why)| *why == FallbackCase::Account);
        if is_about_provider(why) && !is_stopped {
            own.diverted = Some((Arc::clone(to), why));
        }
    }

    /// Notes that nothing more is sent to a provider.
    pub(super) fn stop(&mut self, name: &Arc<str>, reason: &HaltReason) {
        self.of(name).stopped = Some(halt_words(reason));
    }

    /// Notes that a provider gets its own rows again.
    pub(super) fn return_to(&mut self, name: &Arc<str>) {
        self.of(name).diverted = None;
    }

    /// Returns the providers that did something in this run.
    pub(super) fn all(&self) -> &[OfProvider] {
        &self.own
    }

    /// Returns the providers; nothing if the run has only one.
    pub(crate) fn several(&self) -> &[OfProvider] {
        if self.are_several() { &self.own } else { &[] }
    }

    /// Returns whether the run has more than one provider.
    pub(crate) fn are_several(&self) -> bool {
        self.own.len() > 1
    }

    #[inline]
    fn of(&mut self, name: &Arc<str>) -> &mut OfProvider {
        // The names of a run's pools share their text, so the comparison of pointers is usually enough.
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

    /// Returns the known cost; `None` if tokens were used and no price is known for any of them.
    pub(crate) fn known_cost(&self) -> Option<Money> {
        (self.cost > Money::ZERO || self.unpriced == 0).then_some(self.cost)
    }

    /// Returns the line of the summary: `bedrock: 96 answered, 2 failed, $0.31; its rows went to …`.
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
            parts.push(format!("{} after 429", plural(self.holds, "hold", "holds")));
        }
        let left = self.left_words().map(|words| format!("; {words}")).unwrap_or_default();
        format!("{}: {}{left}", escape(&self.name), parts.join(", "))
    }

    /// Returns why its rows were sent to other providers; `None` if they were not.
    fn left_words(&self) -> Option<String> {
        let times = |(why, times): (&FallbackCase, &u64)| match times {
            1 => case_words(*why).to_owned(),
            times => format!("{} ({} times)", case_words(*why), count(*times)),
        };
        let passing = self.left.iter().filter(|(why, _)| **why != FallbackCase::Account);
        let reasons: Vec<String> = passing.map(times).collect();
        let passing = (!reasons.is_empty()).then(|| format!("rows went to other providers: {}", reasons.join(", ")));
        let stopped = match &self.diverted {
            Some((to, why @ FallbackCase::Account)) => {
                let words = self.stopped.as_deref().unwrap_or(case_words(*why));
                Some(format!("stopped: {words}; its rows went to {}", escape(to)))
            }
            Some(_) | None => None,
        };
        let words: Vec<String> = passing.into_iter().chain(stopped).collect();
        (!words.is_empty()).then(|| words.join("; "))
    }
}
