//! The models that an endpoint has, and the rights of our key.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::domain::Failure;

/// After this many consecutive forbidden requests, an endpoint is assumed to forbid everything.
const FORBIDDEN: u32 = 3;

/// What is known about the models of an endpoint and about the rights of our key.
#[derive(Debug, Default)]
pub(crate) struct Access {
    answered: BTreeSet<Arc<str>>,
    missing: BTreeSet<Arc<str>>,
    forbidden_in_a_row: u32,
    /// The last forbidden request, while it is unclear whether the endpoint forbids everything or only some rows.
    unclear: Option<Failure>,
    /// Whether each forbidden request fails its row, although the endpoint has not answered in this run.
    blames_rows: bool,
}

/// Which requests the endpoint forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// The endpoint has not answered yet, so the cause can be the key or only this row.
    Unclear,
    /// The endpoint now forbids everything, but it allowed requests before.
    All,
    /// The endpoint forbids only this request.
    Row,
}

impl Access {
    /// Records that a model has answered.
    pub(crate) fn on_answer(&mut self, model: &Arc<str>) {
        self.forbidden_in_a_row = 0;
        self.unclear = None;
        if !self.answered.contains(model) {
            self.answered.insert(model.clone());
        }
    }

    /// Records that a request was forbidden (403). Returns which requests the endpoint forbids.
    pub(crate) fn on_forbidden(&mut self, failure: &Failure) -> Forbidden {
        self.forbidden_in_a_row += 1;
        match self.forbidden_in_a_row {
            _ if self.answered.is_empty() && !self.blames_rows => {
                self.unclear = Some(failure.clone());
                Forbidden::Unclear
            }
            FORBIDDEN.. => Forbidden::All,
            _ => Forbidden::Row,
        }
    }

    /// Returns whether it is unclear what the endpoint forbids.
    pub(crate) fn is_unclear(&self) -> bool {
        self.unclear.is_some()
    }

    /// If it is unclear what the endpoint forbids, returns the last forbidden request. Returns `None` if the endpoint
    /// can get a further row first. `is_last` says whether the endpoint gets no further row.
    pub(crate) fn forbids_all(&self, is_last: bool) -> Option<&Failure> {
        self.unclear.as_ref().filter(|_| is_last || self.forbidden_in_a_row >= FORBIDDEN)
    }

    /// Returns whether only a few rows were forbidden.
    pub(crate) fn are_few_forbidden(&self) -> bool {
        self.forbidden_in_a_row < FORBIDDEN
    }

    /// From now on, each forbidden request fails its row, because the key has worked before.
    pub(crate) fn blame_rows(&mut self) {
        (self.unclear, self.forbidden_in_a_row, self.blames_rows) = (None, 0, true);
    }

    /// Returns whether the model has answered a request in this run.
    pub(crate) fn has_answered(&self, model: &str) -> bool {
        self.answered.contains(model)
    }

    /// Records that the endpoint does not have a model. Returns `false` if the model was already known to be missing.
    pub(crate) fn on_missing(&mut self, model: &Arc<str>) -> bool {
        self.missing.insert(model.clone())
    }

    /// Returns whether it is known that the endpoint does not have a model.
    pub(crate) fn lacks(&self, model: &str) -> bool {
        self.missing.contains(model)
    }

    /// Returns the models that the endpoint does not have, sorted by name.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().map(|model| &**model)
    }
}
