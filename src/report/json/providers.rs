//! The state and counters of each provider, in the JSON objects of a run.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::Money;
use crate::report::provider_states::State;
use crate::report::providers::OfProvider;
use crate::report::stats::Stats;

/// The state and counters of one provider, in a run with several providers.
#[derive(Debug, Serialize)]
pub(super) struct ProviderNow {
    provider: String,
    /// The number of rows that the provider answered, with an answer of any quality.
    answered: u64,
    /// The number of failed rows whose last request was sent to this provider.
    failed: u64,
    /// The known cost of the answered and failed rows of this provider, in dollars; null if no price is known.
    cost_usd: Option<f64>,
    /// The state of the provider: `sending`, `held`, `failing`, `diverted`, `stopped` or `idle`. A provider is `held`
    /// after a 429, `failing` if all requests to it fail, and `idle` if it has no rows. A provider is `diverted` if its
    /// rows go to another provider for some time, and `stopped` if it gets no requests for the rest of the run.
    state: &'static str,
    /// The name of another provider that gets the rows of this provider; null if this provider gets its own rows.
    to: Option<String>,
    /// The reason why another provider gets the rows, as a name that `--fallback-on` takes; null if this provider gets
    /// its own rows.
    why: Option<&'static str>,
    /// For each reason, how many times the run began to send this provider's rows to another provider.
    left: BTreeMap<&'static str, u64>,
    /// The number of attempts that were tried again after a 429.
    limited: u64,
    /// How many times a pool of this provider had to wait after a 429.
    holds: u64,
}

impl ProviderNow {
    fn of(own: &OfProvider, stats: &Stats) -> Self {
        let state = State::of(own, stats);
        let diverted = state.diverted();
        Self {
            provider: own.name.to_string(),
            answered: own.answered,
            failed: own.failed,
            cost_usd: own.known_cost().map(Money::dollars),
            state: state.name(),
            to: diverted.map(|(to, _)| to.to_owned()),
            why: diverted.map(|(_, why)| why.name()),
            left: own.left.iter().map(|(why, times)| (why.name(), *times)).collect(),
            limited: own.limited,
            holds: own.holds,
        }
    }
}

/// Returns the providers of a run; an empty list if the run has only one provider.
pub(super) fn providers(stats: &Stats) -> Vec<ProviderNow> {
    stats.providers.several().iter().map(|own| ProviderNow::of(own, stats)).collect()
}
