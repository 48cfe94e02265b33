//! The catalogs of a run: one for each provider, because each has its own prices.

use std::sync::Arc;

use anyhow::Result;

use super::config::Config;
use super::config::providers::ProviderConfig;
use super::parts;
use crate::catalog::Catalog;
use crate::domain::PoolId;

/// The catalogs of the providers of a run.
#[derive(Clone, Debug)]
pub(crate) struct Catalogs {
    first: Arc<Catalog>,
    /// Those of the other providers, by name.
    others: Vec<(Arc<str>, Arc<Catalog>)>,
}

impl Catalogs {
    /// Returns the catalogs of all providers. `first` is that of the first provider.
    ///
    /// # Errors
    /// The price file of a provider can't be used.
    pub(crate) fn new(config: &Config, first: Arc<Catalog>) -> Result<Self> {
        let of = |provider: &ProviderConfig| Ok((Arc::clone(&provider.name), parts::catalog_of(config, provider)?));
        let others = config.fallback.chain.iter().map(of).collect::<Result<_>>()?;
        Ok(Self { first, others })
    }

    /// Returns the catalog of the first provider.
    pub(crate) fn first(&self) -> &Arc<Catalog> {
        &self.first
    }

    /// Returns the catalog of the provider that a pool belongs to.
    pub(crate) fn of(&self, pool: &PoolId) -> &Arc<Catalog> {
        self.of_provider(&pool.provider)
    }

    /// Returns the catalog of the provider with this name.
    pub(crate) fn of_provider(&self, name: &str) -> &Arc<Catalog> {
        let other = self.others.iter().find(|(provider, _)| **provider == *name);
        other.map_or(&self.first, |(_, catalog)| catalog)
    }
}
