//! The cases in which a row is sent to the next provider of a chain.

use std::time::Duration;

/// A case in which rows are sent to the next provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FallbackCase {
    /// The rows would wait too long, because the limits of the provider are used up.
    Limit,
    /// The provider is overloaded.
    Overload,
    /// The provider does not work.
    Endpoint,
    /// The model refused to answer.
    Refusal,
    /// The provider does not have the model, or does not allow its use.
    Model,
    /// The provider rejects all requests because of the key, the credit or a spend limit.
    Account,
}

impl FallbackCase {
    /// Returns the name that the flag `--fallback-on` and files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit => "limit",
            Self::Overload => "overload",
            Self::Endpoint => "endpoint",
            Self::Refusal => "refusal",
            Self::Model => "model",
            Self::Account => "account",
        }
    }
}

/// The cases in which the request of a row is sent to the next provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FallbackOn {
    /// The longest time that a row waits while the limits of its provider are used up. If a row would wait for longer
    /// than this time, the row is sent to the next provider. The value is `None` if rows wait without a time limit.
    pub limit: Option<Duration>,
    /// Two attempts of the row met an overload of the provider, or the run sends nothing to the provider because all
    /// requests fail there.
    pub overload: bool,
    /// The provider does not work, or the row has used up its tries at this provider.
    pub endpoint: bool,
    /// The model refused to answer.
    pub refusal: bool,
    /// The provider does not have the model, or does not allow its use.
    pub model: bool,
    /// The provider rejects all requests because of the key, the credit or a spend limit.
    pub account: bool,
}

impl FallbackOn {
    /// Returns whether rows are sent to the next provider in this case.
    pub(crate) fn has(&self, case: FallbackCase) -> bool {
        match case {
            FallbackCase::Limit => self.limit.is_some(),
            FallbackCase::Overload => self.overload,
            FallbackCase::Endpoint => self.endpoint,
            FallbackCase::Refusal => self.refusal,
            FallbackCase::Model => self.model,
            FallbackCase::Account => self.account,
        }
    }
}

impl Default for FallbackOn {
    /// Returns every case except refusals. If the limits are used up, a row is sent to the next provider only if it
    /// would wait for more than five minutes.
    fn default() -> Self {
        Self {
            limit: Some(Duration::from_secs(5 * 60)),
            overload: true,
            endpoint: true,
            refusal: false,
            model: true,
            account: true,
        }
    }
}
