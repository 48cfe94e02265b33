//! The catalogs of a run (models and prices): one for each provider, because each provider has its own prices.

use std::sync::Arc;

use anyhow::{Context, Result};

use super::config::providers::ProviderConfig;
use super::config::{Config, TextFile};
use crate::catalog::Catalog;
use crate::domain::PoolId;
use crate::report::text::escape;

/// The catalogs of the providers of a run.
#[derive(Clone, Debug)]
pub(crate) struct Catalogs {
    first: Arc<Catalog>,
    /// The catalogs of the other providers, by name.
    others: Vec<(Arc<str>, Arc<Catalog>)>,
}

impl Catalogs {
    /// Returns the catalogs of all providers. `first` is the catalog of the first provider.
    ///
    /// # Errors
    /// Fails if the price file of a provider can't be used.
    pub(crate) fn new(config: &Config, first: Arc<Catalog>) -> Result<Self> {
        let of = |provider: &ProviderConfig| Ok((Arc::clone(&provider.name), catalog_of(config, provider)?));
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

    /// Returns the catalog of the provider with the name `provider`.
    pub(crate) fn of_provider(&self, name: &str) -> &Arc<Catalog> {
        let other = self.others.iter().find(|(provider, _)| **provider == *name);
        other.map_or(&self.first, |(_, catalog)| catalog)
    }
}

/// Returns the catalog of the first provider. The user's prices replace the built-in prices.
pub(crate) fn catalog(config: &Config) -> Result<Arc<Catalog>> {
    let file = config.prices.as_ref().map(|file| (file, "--prices".to_owned()));
    catalog_with(&config.provider, file.or_else(|| own_prices(&config.provider)))
}

/// Returns the catalog of any provider except the first one. The prices in the provider's table have priority over the
/// prices of `--prices`.
pub(crate) fn catalog_of(config: &Config, provider: &ProviderConfig) -> Result<Arc<Catalog>> {
    let file = config.prices.as_ref().map(|file| (file, "--prices".to_owned()));
    catalog_with(provider, own_prices(provider).or(file))
}

fn own_prices(provider: &ProviderConfig) -> Option<(&TextFile, String)> {
    provider.prices.as_ref().map(|file| (file, format!("prices of [providers.{}]", provider.name)))
}

fn catalog_with(provider: &ProviderConfig, prices: Option<(&TextFile, String)>) -> Result<Arc<Catalog>> {
    let catalog = Catalog::builtin().with_price_factor(provider.price_factor);
    Ok(Arc::new(match prices {
        Some((file, from)) => {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let priced = catalog.with_price_file(&file.text, &escape(&name));
            priced.with_context(|| format!("{from} {}", file.path.display()))?
        }
        None => catalog,
    }))
}
