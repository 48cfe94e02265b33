//! Planning: a row becomes a job with a key, a pool and an estimated cost, or is rejected before anything is sent.
//!
//! Pure. This module merges rows with the flags, identifies rows, estimates their cost, and computes upper bounds for
//! the cost. This module does not use the clock, files or the limits of the run.
//!
//! Invariants:
//! - A row's own parameters override flags, and keep their bytes and order. Parameters that come only from flags or
//!   defaults are put before the row's own parameters. First come `model`, `max_tokens` and `system`, then the
//!   parameters of `--param` in their order. The parameters never contain `stream`, because the runner decides whether
//!   an answer is streamed.
//! - A key never changes between versions of this program ([`key()`]).
//! - Only requests that are certain to fail are rejected. All other requests are sent. For a request that will probably
//!   fail, the user gets a `Notice`.
//!
//! Rejected:
//! - Parsing each row into a tree of values: compared with reading the raw text, this would take three times as much
//!   memory and ten times as much time.
//! - A list of allowed parameters would soon be incomplete, because the API gets new parameters faster than this
//!   program.

mod bound;
mod census;
mod checks;
mod defaults;
mod estimate;
mod image;
mod key;
mod lengths;
mod load;
mod marks;
mod media;
mod model_map;
mod models;
mod notice;
mod overrides;
mod planner;
mod prefix;
mod pricing;
mod provider_rules;
mod seen;
mod template;
mod unknown;
mod walk;
mod weights;

pub use census::{DuplicateLabel, Repeats, is_suspect};
pub(crate) use census::{LabelCensus, RequestCensus, first_duplicate, half};
pub(crate) use defaults::DEFAULT_MAX_TOKENS;
pub use estimate::{Estimate, estimate};
pub use key::{Dialect, key};
#[cfg(test)]
pub(crate) use load::tests as load_tests;
pub use load::{Group, Load, Sampled};
pub use model_map::ModelMap;
pub(crate) use overrides::{Overridden, Overrides};
pub use planner::{Identified, Planner, Shaped, Shaping};
pub(crate) use prefix::{Before, StreamCensus};
pub use prefix::{CachePlan, GroupCaching, PrefixCensus, Unmarked, UnmarkedReason};
pub(crate) use prefix::{CacheRates, CacheSetting};
pub(crate) use seen::NumberOf;
pub use seen::Seen;
pub use unknown::UnknownModel;
#[cfg(test)]
pub(crate) use walk::walks;

use crate::domain::{ErrorClass, Identity, JobKey, Origin, Params, Request};

/// The request parameters that the user set with flags. The parameters of a row override the parameters from the flags,
/// but do not override [`RequestDefaults::model_map`].
#[derive(Clone, Debug, Default)]
pub struct RequestDefaults {
    /// `--model`. Without this flag, the default model of the catalog is used.
    pub model: Option<String>,
    /// `--system`, if its value is a plain text. If the system prompt is a list of blocks, it is in `params` instead.
    pub system: Option<String>,
    /// `--max-tokens`.
    pub max_tokens: Option<u32>,
    /// The parameters of `--param`, in the order in which they were given.
    pub params: Params,
    /// `--map-model`. If a row names its own model, only this flag changes the model.
    pub model_map: ModelMap,
}

impl RequestDefaults {
    /// Returns the system prompt: its text, or its list of blocks as JSON.
    pub(crate) fn system_text(&self) -> Option<&str> {
        self.system.as_deref().or_else(|| self.params.get("system"))
    }
}

/// A row that is not sent.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// The label of the row: the label that the user gave, or `<source>:<line>`.
    pub custom_id: String,
    /// The file and line from which the row was read.
    pub origin: Origin,
    /// The position of the row in its input, counted from 0.
    pub index: u64,
    /// The key of the row, a hash of its request.
    pub key: JobKey,
    /// The identity by which a later run recognizes the row.
    pub identity: Identity,
    /// The row's request. The entry in the error log contains this request, so that the entry is a valid row.
    pub request: Request,
    /// The fields that are kept with the row but not sent. The entry in the error log contains these fields, so that
    /// the entry contains the whole row.
    pub extra: Params,
    /// The class of the failure: `InvalidInput` or `TooLarge`.
    pub class: ErrorClass,
    /// A message that says what is wrong (for example, which number is too large) and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::json::{Cursor, DEEPEST};

    /// Reads the members of an object as parameters, in their order.
    pub(super) fn params(json: &str) -> Params {
        let mut params = Params::default();
        let walk = Cursor::new(json.as_bytes()).object(|cursor, name| {
            let name = serde_json::from_slice(&[b"\"", name, b"\""].concat()).ok()?;
            let value = std::str::from_utf8(cursor.value(DEEPEST)?).ok()?;
            params.0.push((name, RawValue::from_string(value.to_owned()).ok()?));
            Some(())
        });
        walk.expect("the test writes valid JSON");
        params
    }
}
