//! The chain of providers of a run: how the run connects to each provider, and how a row is sent to the next one.

use std::cell::RefCell;
use std::sync::Arc;

use anyhow::{Context, Result};

use super::super::catalogs::{self, Catalogs};
use super::super::config::authorization::authorization;
use super::super::config::providers::ProviderConfig;
use super::super::simulator::Simulator;
use super::super::{answers, lockdown, parts, say, simulator};
use super::connection::Connection;
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::{Failure, Job, PromptCache, ProviderFeatures};
use crate::journal::Recovered;
use crate::plan::Planner;
use crate::runner::input::Survey;
use crate::runner::{Route, Routes};
use crate::scheduler::{EndpointId, Fallback};
use crate::transport::http::{HttpConfig, HttpTransport};
use crate::transport::{Authorization, Transport, parse_base_url};

/// The keys of all providers of a run.
pub(super) struct Keys {
    first: Authorization,
    others: Vec<Authorization>,
}

/// The simulated APIs of a run: one for each provider, or none.
pub(super) type Simulators = Vec<Simulator>;

impl NewRun<'_> {
    /// Returns the features that all providers of the run have.
    pub(super) fn common_features(&self) -> ProviderFeatures {
        let others = self.config.fallback.chain.iter();
        others.fold(self.config.provider.features, |common, provider| common.and(provider.features))
    }

    /// Checks the settings of every provider after the first one. Returns the proxy and the certificates for each
    /// fallback provider.
    pub(super) fn check_chain(&self) -> Result<Vec<Connection>> {
        let check = |provider: &ProviderConfig| {
            catalogs::catalog_of(&self.config, provider)?;
            parts::adapter(&self.config, provider)?;
            Connection::find_to(provider, &self.config, self.world)
        };
        let named = |provider: &ProviderConfig| check(provider).with_context(|| format!("provider {}", provider.name));
        self.config.fallback.chain.iter().map(named).collect()
    }

    /// Returns the keys of all providers. Returns `None` for a dry run and for a run with the simulator, because these
    /// runs need no key.
    pub(super) fn keys(&self) -> Result<Option<Keys>> {
        let Some(first) = self.key()? else { return Ok(None) };
        let of = |provider| self.said_key(authorization(provider, self.world));
        let others = self.config.fallback.chain.iter().map(of).collect::<Result<_>>()?;
        Ok(Some(Keys { first, others }))
    }

    /// Starts a simulated API for each provider, if the run uses simulated APIs.
    pub(super) fn start_simulators(&self, catalogs: &Catalogs, clock: RunClock) -> Result<Simulators> {
        if !self.config.simulate {
            return Ok(Vec::new());
        }
        let start = |provider: &ProviderConfig| {
            let config = simulator::config(catalogs.of_provider(&provider.name), &self.config, provider)?;
            Simulator::start(config, clock)
        };
        self.config.providers().map(start).collect()
    }

    /// Connects to all providers.
    pub(super) fn routes(
        &self,
        simulators: &Simulators,
        keys: Option<Keys>,
        connections: usize,
    ) -> Result<Routes<HttpTransport>> {
        let (first, others) = keys.map_or((None, Vec::new()), |keys| (Some(keys.first), keys.others));
        let mut keys = others.into_iter();
        let provider = Arc::new(parts::provider(&self.config)?);
        let first = Route { transport: self.transport(simulators.first(), first, connections)?, provider };
        let mut transports = vec![first.transport.clone()];
        let mut others = Vec::new();
        for (at, provider) in self.config.fallback.chain.iter().enumerate() {
            let (connection, simulator) = (&self.chain_connections[at], simulators.get(at + 1));
            let transport = self.transport_to(provider, connection, simulator, keys.next(), connections)?;
            transports.push(transport.clone());
            let route = Route { transport, provider: Arc::new(parts::adapter(&self.config, provider)?) };
            others.push((provider.name.clone(), route));
        }
        say::panics(move || transports.iter().map(|transport| transport.secrets()).collect());
        Ok(Routes::new(first, others))
    }

    /// Connects to a provider or its simulator.
    pub(super) fn transport_to(
        &self,
        provider: &ProviderConfig,
        connection: &Connection,
        simulator: Option<&Simulator>,
        key: Option<Authorization>,
        connections: usize,
    ) -> Result<Arc<HttpTransport>> {
        let base_url = match simulator {
            Some(simulator) => parse_base_url(simulator.url(), false)?,
            None => parts::base_url_of(provider)?,
        };
        let key = key.unwrap_or_else(|| parts::key_of_simulator(provider));
        Ok(Arc::new(HttpTransport::new(HttpConfig {
            proxy: connection.proxy.clone(),
            also_secret: lockdown::also_secret(&self.config),
            ..parts::http(&self.config, base_url, key, connections)
        })?))
    }

    /// Returns the endpoints of the run, in the order of the chain.
    pub(super) fn endpoints(&self) -> Vec<EndpointId> {
        let id = |provider: &ProviderConfig| EndpointId { provider: provider.name.clone(), account: "".into() };
        self.config.providers().map(id).collect()
    }

    /// Returns the rules and the function for sending a row to the next provider; `None` if there is only one provider.
    pub(super) fn fallback(
        &self,
        catalogs: &Catalogs,
        survey: Option<&Survey>,
        recovered: &Recovered,
    ) -> Option<Fallback> {
        let chain = &self.config.fallback.chain;
        if chain.is_empty() {
            return None;
        }
        let models = chain.iter().map(|provider| provider.model.clone());
        let planners = self.other_planners(catalogs, survey).zip(models);
        let planners: Vec<_> = planners.map(|((name, planner), model)| (name, model, RefCell::new(planner))).collect();
        let reruns = recovered.reruns.clone();
        let ask_for = Box::new(move |job: &Job, endpoint: &EndpointId| {
            let found = planners.iter().find(|(name, ..)| *name == endpoint.provider);
            let (_, model, planner) = found.ok_or_else(Box::default)?;
            let ask = planner.borrow_mut().ask_elsewhere(job, model.as_deref(), reruns.quality(job.row).is_some());
            ask.map_err(|message| Box::new(Failure { message, ..Failure::default() }))
        });
        Some(Fallback { on: self.config.fallback.on, ask_for })
    }

    /// Returns the name and the planner of each provider after the first.
    pub(super) fn other_planners(
        &self,
        catalogs: &Catalogs,
        survey: Option<&Survey>,
    ) -> impl Iterator<Item = (Arc<str>, Planner)> {
        self.config.fallback.chain.iter().map(move |provider| {
            let planner = self.planner_of(provider, catalogs.of_provider(&provider.name));
            (provider.name.clone(), self.with_marks(planner, provider, survey))
        })
    }

    /// Returns a planner that turns rows into requests for a provider.
    pub(super) fn planner_of(&self, provider: &ProviderConfig, catalog: &Arc<Catalog>) -> Planner {
        let planner = parts::planner(&provider.name, &self.config.request, &self.config.dialect, catalog)
            .with_shaping(answers::shaping(&self.config.answers, catalog, provider.features))
            .with_conditions(self.config.answers.require.clone());
        let planner = planner.with_rules(provider.name.clone(), provider.rules.clone());
        self.with_overrides(planner)
    }

    /// Returns the planner with the prefixes for the prompt cache of a provider. If the cache is off, the planner is
    /// not changed.
    fn with_marks(&self, planner: Planner, provider: &ProviderConfig, survey: Option<&Survey>) -> Planner {
        let is_off = self.prompt_cache() == PromptCache::Off || !provider.features.prompt_cache;
        match survey {
            Some(survey) if !is_off => planner.with_caching(survey.caching.clone(), &self.plan.options.fixed_starts()),
            None if !is_off => planner.finding_prefixes(&self.plan.options.fixed_starts()),
            Some(_) | None => planner,
        }
    }
}
