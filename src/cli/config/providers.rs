//! The providers of a run: the first one, and the chain of the others.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue};

use super::TextFile;
use super::address::BaseUrl;
use super::credential::KeySource;
use crate::domain::{FallbackOn, ProviderFeatures, ProviderKind, RateLimits, RequestRules};

/// A provider that requests are sent to.
#[derive(Clone, Debug)]
pub struct ProviderConfig {
    /// Its name: the name of its table, or of its preset. Records and pools contain this name.
    pub name: Arc<str>,
    /// Its kind.
    pub kind: ProviderKind,
    /// Its address; `None` for the Claude API.
    pub base_url: Option<BaseUrl>,
    /// Where its key comes from.
    pub key: KeySource,
    /// How long a key that a command printed is used, unless the command says how long; `None` for the whole run.
    pub key_ttl: Option<Duration>,
    /// In which header the key is sent; `None` if that depends on where the key comes from.
    pub auth: Option<AuthStyle>,
    /// Further headers.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// What is changed in requests.
    pub rules: Arc<RequestRules>,
    /// What the provider can do.
    pub features: ProviderFeatures,
    /// Limits of its table. The flags replace them for the first provider.
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
            key,
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
}
