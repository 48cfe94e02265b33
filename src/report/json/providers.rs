//! The providers of a run in its JSON objects.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::Money;
use crate::report::provider_states::State;
use crate::report::providers::OfProvider;
use crate::report::stats::Stats;

/// One provider of several.
#[derive(Debug, Serialize)]
pub(super) struct ProviderNow {
    provider: String,
    /// Rows that it answered, of any quality.
    answered: u64,
    /// Rows that failed for good, and whose last request was sent to it.
    failed: u64,
    /// The known cost of these rows, in dollars; null if no price is known.
    cost_usd: Option<f64>,
    /// `sending`, `held` (after a 429), `failing` (all requests fail), `diverted` (its rows go to another provider for
    /// some time), `stopped` (it gets no requests for the rest of the run) or `idle` (it has no rows).
    state: &'static str,
    /// The provider that gets its rows; null if it gets its own rows.
    to: Option<String>,
    /// Why, by the names of `--fallback-on`; null if it gets its own rows.
    why: Option<&'static str>,
    /// How many times its rows began to be sent to another provider, by the reason.
    left: BTreeMap<&'static str, u64>,
    /// Attempts that were tried again after a 429.
    limited: u64,
    /// How many times one of its pools was held after a 429.
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

/// Returns the providers of a run; nothing if it has only one.
pub(super) fn providers(stats: &Stats) -> Vec<ProviderNow> {
    stats.providers.several().iter().map(|own| ProviderNow::of(own, stats)).collect()
}
