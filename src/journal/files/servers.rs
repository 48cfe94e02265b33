//! Says which servers the answers of a run come from, and which results must not be mixed.
//!
//! The results of a run can have answers of several providers. Real answers and answers of the simulator are never
//! mixed. A provider is identified by its name. If the address of a provider has changed, somebody may have confused
//! two servers, for example a test server and the API. So a run does not start if the address of one of its providers
//! has changed.

use std::collections::BTreeMap;

use crate::domain::ProviderKind;

/// The origin of runs with the simulator.
const SIMULATOR: &str = "simulator";

/// The servers that the answers of a run come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Servers {
    /// The origin of the first provider, or `simulator`. The text is empty if the origin is not known.
    pub(crate) origin: String,
    /// A map from the name of each provider to its origin.
    pub(crate) providers: BTreeMap<String, String>,
}

/// The reason why the answers of two runs must not be mixed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conflict {
    /// The provider whose address has changed; `None` if only one of the two runs uses the simulator.
    pub(crate) provider: Option<String>,
    /// The origin of the earlier run's server.
    pub(crate) theirs: String,
    /// The origin of this run's server.
    pub(crate) ours: String,
}

impl Servers {
    /// Returns the servers of a run. A run of one of the first versions has only one origin, which belongs to the
    /// provider `anthropic`.
    pub(crate) fn new(origin: &str, providers: &BTreeMap<String, String>) -> Self {
        let mut providers = providers.clone();
        if providers.is_empty() && !origin.is_empty() {
            providers.insert(ProviderKind::Anthropic.name().to_owned(), origin.to_owned());
        }
        Self { origin: origin.to_owned(), providers }
    }

    /// Returns the reason why answers of these servers and of `ours` must not be mixed. Returns `None` if the answers
    /// can be mixed.
    pub(crate) fn conflict(&self, ours: &Self) -> Option<Conflict> {
        let conflict = |provider: Option<&String>, theirs: &str, ours: &str| Conflict {
            provider: provider.cloned(),
            theirs: theirs.to_owned(),
            ours: ours.to_owned(),
        };
        if self.origin.is_empty() {
            return None;
        }
        if (self.origin == SIMULATOR) != (ours.origin == SIMULATOR) {
            return Some(conflict(None, &self.origin, &ours.origin));
        }
        ours.providers.iter().find_map(|(name, origin)| {
            let before = self.providers.get(name).filter(|before| *before != origin)?;
            Some(conflict(Some(name), before, origin))
        })
    }

    /// Returns the providers of both runs.
    pub(crate) fn with(self, later: &Self) -> BTreeMap<String, String> {
        let mut providers = self.providers;
        providers.extend(later.providers.clone());
        providers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://api.example.invalid";
    const ROUTER: &str = "https://router.example.invalid";

    #[test]
    fn answers_of_another_provider_may_be_added() {
        let (old, api) = (Servers::new(API, &BTreeMap::new()), of(&[("anthropic", API)]));
        let (router, both) = (of(&[("router", ROUTER)]), of(&[("router", ROUTER), ("anthropic", API)]));

        for (theirs, ours) in [(&old, &router), (&old, &both), (&api, &router), (&both, &api), (&router, &both)] {
            assert_eq!(theirs.conflict(ours), None, "{theirs:?} {ours:?}");
        }
        assert_eq!(old, api);
        assert_eq!(router.clone().with(&api).len(), 2);
        assert_eq!(Servers::default().conflict(&router), None, "nothing is known");
    }

    #[test]
    fn a_provider_whose_address_has_changed_is_refused() {
        let (api, moved) = (of(&[("anthropic", API)]), of(&[("anthropic", ROUTER)]));
        let chain = of(&[("router", ROUTER), ("anthropic", ROUTER)]);

        for ours in [&moved, &chain] {
            let conflict = api.conflict(ours).expect("the address has changed");
            let (provider, theirs, ours) = (Some("anthropic".to_owned()), API.to_owned(), ROUTER.to_owned());
            assert_eq!(conflict, Conflict { provider, theirs, ours });
        }
    }

    #[test]
    fn the_simulator_is_never_mixed_with_a_server() {
        let simulated = [of(&[("anthropic", SIMULATOR)]), of(&[("router", SIMULATOR)])];
        let api = of(&[("anthropic", API)]);

        for simulator in &simulated {
            assert!(simulator.conflict(&api).is_some() && api.conflict(simulator).is_some(), "{simulator:?}");
        }
        assert_eq!(simulated[0].conflict(&simulated[1]), None);
    }

    /// Returns the servers of a run with these providers. The order of the list is the order of the run's providers.
    fn of(providers: &[(&str, &str)]) -> Servers {
        let named = providers.iter().map(|(name, origin)| ((*name).to_owned(), (*origin).to_owned())).collect();
        Servers::new(providers[0].1, &named)
    }
}
