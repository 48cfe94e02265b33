//! The models that an endpoint has, and the rights of our key.

use std::collections::BTreeSet;
use std::sync::Arc;

/// After this many consecutive forbidden requests, an endpoint is assumed to forbid everything.
const FORBIDDEN: u32 = 3;

/// What is known about the models of an endpoint and about the rights of our key.
#[derive(Debug, Default)]
pub(crate) struct Access {
    answered: BTreeSet<Arc<str>>,
    missing: BTreeSet<Arc<str>>,
    forbidden_in_a_row: u32,
}

/// Which requests the endpoint forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// The endpoint has forbidden everything from the start, so the key is wrong.
    Key,
    /// The endpoint now forbids everything, but it allowed requests before.
    All,
    /// The endpoint forbids only this request.
    Row,
}

impl Access {
    /// Records that a model has answered.
    pub(crate) fn on_answer(&mut self, model: &Arc<str>) {
        self.forbidden_in_a_row = 0;
        if !self.answered.contains(model) {
            self.answered.insert(model.clone());
        }
    }

    /// Records that a request was forbidden (403). Returns which requests the endpoint forbids.
    pub(crate) fn on_forbidden(&mut self) -> Forbidden {
        self.forbidden_in_a_row += 1;
        match self.forbidden_in_a_row {
            _ if self.answered.is_empty() => Forbidden::Key,
            FORBIDDEN.. => Forbidden::All,
            _ => Forbidden::Row,
        }
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
