//! The providers of a run: what each of them did, and where its rows go at this moment.
//!
//! A row counts for the provider that its last request was sent to. So does its cost: if another provider billed an
//! attempt before, that small part of the cost counts for the wrong one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::stats::Stats;
use super::text::{count, duration, escape, plural};
use super::words::{outage_words, short_outage};
use crate::domain::{ErrorClass, FallbackCase, Money, Outage, PoolId, PoolStatus, Usage};

/// What the rows of one provider did in this run.
#[derive(Clone, Debug, Default)]
pub(crate) struct OfProvider {
    /// The name of the provider.
    pub(crate) name: Arc<str>,
    /// Rows that it answered, of any quality.
    pub(crate) answered: u64,
    /// Rows that failed for good, and whose last request was sent to it.
    pub(crate) failed: u64,
    /// The known cost of these rows.
    pub(crate) cost: Money,
    /// Finished rows whose model has no price.
    pub(crate) unpriced: u64,
    /// Attempts that were tried again after a 429.
    pub(crate) limited: u64,
    /// How often one of its pools was held after a 429.
    pub(crate) holds: u64,
    /// How often its rows began to be sent to another provider, by the reason.
    pub(crate) left: BTreeMap<FallbackCase, u64>,
    /// Where its rows go at this moment, and why; `None` if it gets its own rows.
    pub(crate) diverted: Option<(Arc<str>, FallbackCase)>,
}

/// The providers of a run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Providers {
    /// In the order in which they are tried; those that were only seen in events come last.
    own: Vec<OfProvider>,
    /// The provider of the last event. Usually, the next event is about the same one.
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
        if lasts(why) && !is_stopped {
            own.diverted = Some((Arc::clone(to), why));
        }
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

/// Returns whether a case is a state of the provider. The other cases are about single rows.
fn lasts(why: FallbackCase) -> bool {
    match why {
        FallbackCase::Limit | FallbackCase::Overload | FallbackCase::Endpoint | FallbackCase::Account => true,
        FallbackCase::Refusal | FallbackCase::Model => false,
    }
}

impl OfProvider {
    /// Returns its pools that have work.
    pub(super) fn pools<'a>(&'a self, stats: &'a Stats) -> impl Iterator<Item = &'a PoolStatus> {
        let standing = stats.standing.iter().flat_map(|standing| &standing.pools);
        standing.filter(|status| status.pool.provider == self.name)
    }

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
            parts.push(format!("held {} after 429", plural(self.holds, "time", "times")));
        }
        let left = self.left_words().map(|words| format!("; {words}")).unwrap_or_default();
        format!("{}: {}{left}", escape(&self.name), parts.join(", "))
    }

    /// Returns why its rows were sent to other providers; `None` if they were not.
    fn left_words(&self) -> Option<String> {
        if let Some((to, why @ FallbackCase::Account)) = &self.diverted {
            return Some(format!("stopped: {}; its rows went to {}", case_words(*why), escape(to)));
        }
        let times = |(why, times): (&FallbackCase, &u64)| match times {
            1 => case_words(*why).to_owned(),
            times => format!("{} ({} times)", case_words(*why), count(*times)),
        };
        let reasons: Vec<String> = self.left.iter().map(times).collect();
        (!reasons.is_empty()).then(|| format!("rows went to other providers: {}", reasons.join(", ")))
    }
}

/// What a provider does at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It gets no requests for the rest of the run, and its rows go to this provider.
    Stopped(Arc<str>, FallbackCase),
    /// Its requests fail.
    Failing(Box<Outage>),
    /// Its rows go to this provider for some time.
    Diverted(Arc<str>, FallbackCase),
    /// All its pools that have work are held after a 429, the first of them until this time has passed.
    Held(Duration),
    /// It has rows.
    Sending,
    /// It has no rows.
    Idle,
}

impl State {
    /// Returns the state of a provider of this run.
    pub(crate) fn of(own: &OfProvider, stats: &Stats) -> Self {
        let outage = stats.outage.as_ref().filter(|outage| outage.provider == own.name);
        let pools = || own.pools(stats).map(|pool| pool.held_for);
        match (&own.diverted, outage) {
            (Some((to, why @ FallbackCase::Account)), _) => Self::Stopped(to.clone(), *why),
            (_, Some(outage)) => Self::Failing(Box::new(outage.clone())),
            (Some((to, why)), None) => Self::Diverted(to.clone(), *why),
            (None, None) => match pools().collect::<Option<Vec<_>>>() {
                None => Self::Sending,
                Some(held) => held.into_iter().min().map_or(Self::Idle, Self::Held),
            },
        }
    }

    /// Returns the name for scripts.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Stopped(..) => "stopped",
            Self::Failing(_) => "failing",
            Self::Diverted(..) => "diverted",
            Self::Held(_) => "held",
            Self::Sending => "sending",
            Self::Idle => "idle",
        }
    }

    /// Returns the state in words, such as `stopped: key, credit or spend limit, rows go to bedrock`.
    pub(crate) fn words(&self) -> String {
        match self {
            Self::Stopped(to, why) => format!("stopped: {}, rows go to {}", case_words(*why), escape(to)),
            Self::Failing(outage) => outage_words(outage),
            Self::Diverted(to, why) => format!("{}: rows go to {}", case_words(*why), escape(to)),
            Self::Held(wait) => format!("held {}", duration(*wait)),
            Self::Sending | Self::Idle => self.name().to_owned(),
        }
    }

    /// Returns the state in few words.
    pub(super) fn short_words(&self) -> String {
        match self {
            Self::Failing(outage) => short_outage(outage),
            Self::Diverted(_, why) => why.name().to_owned(),
            Self::Held(wait) => format!("held {}", duration(*wait)),
            Self::Stopped(..) | Self::Sending | Self::Idle => self.name().to_owned(),
        }
    }

    /// Returns the provider that gets its rows, and why; `None` if it gets its own rows.
    pub(crate) fn diverted(&self) -> Option<(&str, FallbackCase)> {
        match self {
            Self::Stopped(to, why) | Self::Diverted(to, why) => Some((to, *why)),
            Self::Failing(_) | Self::Held(_) | Self::Sending | Self::Idle => None,
        }
    }
}

/// Returns a short text that says why rows go to another provider.
pub(crate) fn case_words(why: FallbackCase) -> &'static str {
    match why {
        FallbackCase::Limit => "limits",
        FallbackCase::Overload => "overload",
        FallbackCase::Endpoint => "the endpoint fails",
        FallbackCase::Refusal => "refusals of the model",
        FallbackCase::Model => "the model is not available",
        FallbackCase::Account => "key, credit or spend limit",
    }
}

/// Returns the text about rows that leave a provider: `anthropic: overload; its rows go to bedrock`.
pub(crate) fn diverted_words(from: &str, to: &str, why: FallbackCase) -> String {
    let stopped = if why == FallbackCase::Account { "stopped: " } else { "" };
    let rows = if lasts(why) { "its rows" } else { "such rows" };
    format!("{from}: {stopped}{}; {rows} go to {to}", case_words(why))
}

/// Returns the text about a provider that works again.
pub(crate) fn returned_words(to: &str) -> String {
    format!("{to} gets its own rows again")
}
