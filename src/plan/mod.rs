//! Planning: a row becomes a job with a key, a pool and an estimated cost, or is rejected before anything is sent.
//!
//! Pure. Owns the merging of a row with the flags, the identity of rows, estimates, and bounds on the cost of a row.
//! Knows nothing of time, of the limits in force, or of files.
//!
//! Invariants:
//! - A row's own parameters win over flags and keep their bytes and order. Parameters that only flags or defaults give
//!   come first: `model`, `max_tokens`, `system`, then `--param` in order. `stream` is never among them: the runner
//!   decides whether an answer is streamed.
//! - A key never changes between versions of this program ([`key()`]).
//! - Only requests that surely can't work are rejected. All others are sent, with a `Notice` if they will probably
//!   fail.
//!
//! Rejected alternatives: a parsed tree of each row (three times the memory and a tenth of the speed of reading the raw
//! text); a list of allowed parameters (the API grows faster than this program).

mod bound;
mod census;
mod checks;
mod defaults;
mod estimate;
mod image;
mod key;
mod media;
mod model_map;
mod models;
mod notice;
mod planner;
mod seen;
mod template;
mod unknown;
mod walk;
mod weights;

pub use census::{DuplicateLabel, Repeats, is_suspect};
pub(crate) use census::{KeyCensus, LabelCensus, first_duplicate};
pub use estimate::{Estimate, estimate};
pub use key::{Dialect, key};
pub use model_map::ModelMap;
pub use planner::{Identified, Planner};
pub use seen::Seen;
pub use unknown::UnknownModel;
#[cfg(test)]
pub(crate) use walk::walks;

use crate::domain::{ErrorClass, Identity, JobKey, Origin, Params, Request};

/// Parameters from the flags; a row's own parameters override them, except for [`RequestDefaults::model_map`].
#[derive(Clone, Debug, Default)]
pub struct RequestDefaults {
    /// `--model`; the catalog's default when absent.
    pub model: Option<String>,
    /// `--system`.
    pub system: Option<String>,
    /// `--max-tokens`.
    pub max_tokens: Option<u32>,
    /// `--param`, in order.
    pub params: Params,
    /// `--map-model`. It changes rows as well, not only what they leave out.
    pub model_map: ModelMap,
}

/// A row that is not sent.
#[derive(Clone, Debug)]
pub struct Rejected {
    /// Its label: the user's, or `<source>:<line>`.
    pub custom_id: String,
    /// Where it was read.
    pub origin: Origin,
    /// Its position in the input that it came from, from 0.
    pub index: u64,
    /// What it asks.
    pub key: JobKey,
    /// How a later run recognizes it.
    pub identity: Identity,
    /// Its request, so that the error entry is a valid row.
    pub request: Request,
    /// Fields that are kept with the row, so that the error entry loses nothing.
    pub extra: Params,
    /// `InvalidInput` or `TooLarge`.
    pub class: ErrorClass,
    /// What is wrong, with the numbers, and what to do.
    pub message: String,
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::json::{Cursor, DEEPEST};

    /// Reads an object into parameters, in its order.
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
