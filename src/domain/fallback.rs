//! When a row is sent to the next provider of a chain.

use std::time::Duration;

/// A case in which rows are sent to the next provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FallbackCase {
    /// The rows would wait too long because of limits.
    Limit,
    /// The provider is overloaded.
    Overload,
    /// The provider does not work.
    Endpoint,
    /// The model refused to answer.
    Refusal,
    /// The provider does not have the model, or does not allow it.
    Model,
    /// The key, the credit or the spend limit of the provider stops all requests.
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
    /// The row would wait longer than this because of limits; `None` if rows wait as long as they must.
    pub limit: Option<Duration>,
    /// The provider was overloaded at two attempts of the row, or nothing is sent to the provider because it fails.
    pub overload: bool,
    /// The provider does not work, or the row has used up its tries there.
    pub endpoint: bool,
    /// The model refused to answer.
    pub refusal: bool,
    /// The provider does not have the model, or does not allow it.
    pub model: bool,
    /// The key, the credit or the spend limit of the provider stops all requests.
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
    /// Returns every case except refusals. Limits count if a row would wait for more than five minutes.
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
