//! Parameters that replace parameters of a row in its request. The row keeps its own request and its key.
//!
//! `--rerun` and `resume` use them. For example, a row whose answer was truncated is asked for again with a larger
//! `max_tokens`. It must still be recognized as the same row.

use super::RequestDefaults;
use super::defaults::named;
use crate::domain::json::raw_value;
use crate::domain::{Merged, Params};

/// Parameters that replace parameters of a row in its request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides(Params);

/// The rows whose requests get the overrides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Overridden {
    /// All rows.
    All,
    /// Only rows that are run again because their answer was truncated or refused.
    #[default]
    Reruns,
}

impl Overrides {
    /// Returns the overrides of these flags: `--model`, `--max-tokens` and `--system`.
    pub(crate) fn of(flags: &RequestDefaults) -> Self {
        Self(named(flags))
    }

    /// Returns whether nothing is replaced.
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
