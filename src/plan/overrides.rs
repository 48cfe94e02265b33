//! Parameters that replace parameters of a row in the request that is sent. The row keeps its own request and its key.
//!
//! `--rerun` and `resume` use these parameters. For example, a row with a truncated answer is sent again with a larger
//! `max_tokens`. The key of the row does not change, because a later run must recognize the row.

use super::RequestDefaults;
use super::defaults::named;
use crate::domain::json::raw_value;
use crate::domain::{Merged, Params};

/// Parameters that replace parameters of a row in the request that is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(Params);

/// The rows whose requests get the overrides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overridden {
    /// All rows.
    All,
    /// Only rows that are sent again because their answer was truncated or was a refusal.
    #[default]
    Reruns,
}

impl Overrides {
    /// Returns the overrides of these flags: `--model`, `--max-tokens` and `--system`.
    pub(crate) fn of(flags: &RequestDefaults) -> Self {
        Self(named(flags))
    }

    /// Returns whether no parameter is replaced.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.0.is_empty()
    }

    /// Returns the parameters of a request after the replacement. A replaced parameter keeps its place. A parameter
    /// that the request does not have is added at the end.
    pub(super) fn over(&self, params: Merged<'_>) -> Params {
        let mut replaced =
            Params(params.iter().map(|(name, value)| (name.into(), raw_value(value.to_owned()))).collect());
        self.0.0.iter().for_each(|(name, value)| replaced.set(name, value.clone()));
        replaced
    }
}
