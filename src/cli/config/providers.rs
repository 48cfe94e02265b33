//! The providers of a run: the first provider, and the fallback providers after it.
//!
//! A provider is a preset (`catalog/providers.toml`), a table `[providers.NAME]` of the user's configuration, or a
//! preset that a table changes. A setting in a table has priority over a variable of the platform, because the table is
//! about this one provider. `--base-url`, `--header` and the flags for the key apply to the first provider. In a file,
//! `base-url`, `header` and the key settings apply to the provider `anthropic`. `ANTHROPIC_BASE_URL` and the key
//! variables also apply to the provider `anthropic`.
//!
//! `table.rs` reads the tables, and `values.rs` reads the values in the tables. `known.rs` finds a provider by its
//! name. `resolve.rs` makes the settings of a provider, and uses `places.rs` (regions and projects) and `key.rs` for
//! this. `chain.rs` puts the first provider and its fallbacks together and checks that the other settings fit these
//! providers.
//!
//! In this module, a place (such as the region) can be missing, because commands that send nothing do not need it.
//! Before anything is sent, `ProviderConfig::check_complete` reports each place that is missing.

mod chain;
mod key;
mod known;
mod listed;
mod places;
mod resolve;
pub(super) mod table;
mod values;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use http::{HeaderName, HeaderValue};

pub(super) use self::chain::Providers;
pub(crate) use self::listed::{Listed, ListedProvider};
use super::TextFile;
use super::address::BaseUrl;
use super::credential::KeySource;
use crate::domain::{FallbackOn, ProviderFeatures, ProviderKind, RateLimits, RequestRules};

/// The ways to give a key to the Claude API.
const WAYS_OF_API: &str = "set ANTHROPIC_API_KEY (or use --api-key-file or --api-key-cmd)";

/// The settings of a provider.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// The name of the provider: the name of its table, or of its preset. Result lines and pools (groups of rows that
    /// share limits) contain the name of the provider.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: ProviderKind,
    /// The address of the provider; `None` for the Claude API, or if the address is not known.
    pub base_url: Option<BaseUrl>,
    /// The settings that are missing, in words: "a region: set AWS_REGION, or …". Requests can be sent only if no
    /// setting is missing.
    pub missing: Vec<String>,
    /// The source of the provider's key.
    pub key: KeySource,
    /// The ways to give a key to the provider, in words: "set ANTHROPIC_API_KEY (or use …)".
    pub key_ways: String,
    /// The variables with the keys of all providers. A command that prints a key does not get the variables with keys.
    pub key_variables: Arc<[String]>,
    /// How long a key is used if its command does not say when the key expires; `None` if the key is used for the whole
    /// run.
    pub key_ttl: Option<Duration>,
    /// The header in which the key is sent; `None` if the source of the key decides.
    pub auth: Option<AuthStyle>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// The rules that say what is changed in requests for this provider.
    pub rules: Arc<RequestRules>,
    /// What the provider can do.
    pub features: ProviderFeatures,
    /// The limits in the provider's table. For the first provider, flags replace the limits in the table.
    pub limits: RateLimits,
    /// The prices in the provider's table, which replace the built-in prices.
    pub prices: Option<TextFile>,
    /// The factor for the built-in prices.
    pub price_factor: f64,
    /// The model that all rows get at this provider; `None` if rows keep their own models.
    pub model: Option<String>,
}

/// The header in which a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// `x-api-key`.
    ApiKey,
    /// `authorization: Bearer`.
    Bearer,
}

/// The providers after the first, which get the rows that the first provider can't answer.
#[derive(Clone, Debug, Default)]
pub struct FallbackConfig {
    /// The providers, in the order in which they are tried.
    pub chain: Vec<ProviderConfig>,
    /// The cases in which a row is sent to the next provider.
    pub on: FallbackOn,
}

impl FallbackConfig {
    /// Returns the chain as a value of `--fallback`.
    pub(crate) fn typed(&self) -> String {
        let one = |provider: &ProviderConfig| match &provider.model {
            Some(model) => format!("{}:{model}", provider.name),
            None => provider.name.to_string(),
        };
        match &self.chain[..] {
            [] => "off".to_owned(),
            chain => chain.iter().map(one).collect::<Vec<_>>().join(","),
        }
    }
}

impl ProviderConfig {
    /// Returns the Claude API, or a gateway that behaves as the API does.
    pub(crate) fn api(
        base_url: Option<BaseUrl>,
        key: KeySource,
        key_ttl: Option<Duration>,
        headers: Vec<(HeaderName, HeaderValue)>,
    ) -> Self {
        Self {
            name: ProviderKind::Anthropic.name().into(),
            kind: ProviderKind::Anthropic,
            base_url,
            missing: Vec::new(),
            key,
            key_ways: WAYS_OF_API.to_owned(),
            key_variables: Arc::default(),
            key_ttl,
            auth: None,
            headers,
            rules: Arc::default(),
            features: ProviderFeatures::ALL,
            limits: RateLimits::NONE,
            prices: None,
            price_factor: 1.0,
            model: None,
        }
    }

    /// Returns whether requests need a key. Servers of the kind `messages` can run without a key.
    pub(crate) fn needs_key(&self) -> bool {
        self.kind != ProviderKind::Messages
    }

    /// Checks that every setting that a request needs is set. `check_complete` does not check the key.
    ///
    /// # Errors
    /// Fails if a setting is missing. The message names the setting, the variables for it, and its key in the
    /// provider's table.
    pub(crate) fn check_complete(&self) -> Result<()> {
        match &self.missing[..] {
            [] => Ok(()),
            [one] => bail!("the provider {} needs {}", self.name, one.replacen(": ", "; ", 1)),
            several => bail!("the provider {} is not complete; it needs {}", self.name, several.join("; and ")),
        }
    }
}

#[cfg(test)]
mod tests;
