//! The providers of a run: the first one, and the chain of the others.
//!
//! A provider is a preset (`catalog/providers.toml`), a table `[providers.NAME]` of the user's configuration, or a preset
//! that a table changes. A setting in a table has priority over a variable of the platform, because the table is about
//! this one provider. `--base-url`, `--header` and the flags about the key are for the first provider. The settings of
//! the same names in a file, `ANTHROPIC_BASE_URL` and the variables of the key keep their meaning for the provider
//! `anthropic`.
//!
//! `table.rs` reads the tables (`values.rs` their values), `known.rs` finds a provider by its name, `resolve.rs` makes its settings, with its
//! address and places (`places.rs`) and its key (`key.rs`). `chain.rs` puts the first provider and its fallbacks together
//! and checks that the other settings fit.
//!
//! A place that is not set, such as a region, is not an error here: commands that send nothing do not need it. It is an
//! error when something is to be sent (`ProviderConfig::check_complete`).

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

/// A provider that requests are sent to.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name: the name of its table, or of its preset. Records and pools contain this name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: ProviderKind,
    /// Its address; `None` for the Claude API, and if the address is not known.
    pub base_url: Option<BaseUrl>,
    /// What must be set before requests can be sent, in words: "a region: set AWS_REGION, or …".
    pub missing: Vec<String>,
    /// Where its key comes from.
    pub key: KeySource,
    /// The ways to give it a key, in words: "set ANTHROPIC_API_KEY (or use …)".
    pub key_ways: String,
    /// The variables with the keys of all providers. A command that prints a key does not get them.
    pub key_variables: Arc<[String]>,
    /// How long to use a key if the command that printed it did not say when it expires; `None` for the whole run.
    pub key_ttl: Option<Duration>,
    /// In which header the key is sent; `None` if that depends on where the key comes from.
    pub auth: Option<AuthStyle>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is changed in requests.
    pub rules: Arc<RequestRules>,
    /// What the provider can do.
    pub features: ProviderFeatures,
    /// The limits in its table. For the first provider, flags replace them.
    pub limits: RateLimits,
    /// Its prices, which replace the built-in ones.
    pub prices: Option<TextFile>,
    /// What its built-in prices are multiplied by.
    pub price_factor: f64,
    /// The model that all rows get there; `None` if rows keep their own.
    pub model: Option<String>,
}

/// In which header a key is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthStyle {
    /// `x-api-key`.
    ApiKey,
    /// `authorization: Bearer`.
    Bearer,
}

/// The providers after the first.
#[derive(Clone, Debug, Default)]
pub struct FallbackConfig {
    /// The providers, in the order in which they are tried.
    pub chain: Vec<ProviderConfig>,
    /// When a row is sent to the next provider.
    pub on: FallbackOn,
}

impl FallbackConfig {
    /// Returns the chain in the form in which it is typed.
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

    /// Returns whether requests need a key. Servers of the kind `messages` may run without one.
    pub(crate) fn needs_key(&self) -> bool {
        self.kind != ProviderKind::Messages
    }

    /// Checks that every setting that a request needs is set. The key is not checked.
    ///
    /// # Errors
    /// The message names what is missing, with the variables and the key of the table.
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
