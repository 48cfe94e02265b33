//! Which models an endpoint has, and whether our key may use them.

use std::collections::BTreeSet;
use std::sync::Arc;

/// After this many forbidden requests with no answer between them, the endpoint is assumed to forbid everything.
const FORBIDDEN: u32 = 3;

/// What is known about the models of an endpoint and about the rights of our key.
#[derive(Debug, Default)]
pub(crate) struct Access {
    answered: BTreeSet<Arc<str>>,
    missing: BTreeSet<Arc<str>>,
    forbidden_in_a_row: u32,
}

/// How much is forbidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forbidden {
    /// Everything is forbidden from the start, so the key is wrong.
    Key,
    /// Everything is forbidden, but something was allowed before.
    All,
    /// Only this request is forbidden.
    Row,
}

impl Access {
    /// Notes that a model has answered.
    pub(crate) fn on_answer(&mut self, model: &Arc<str>) {
        self.forbidden_in_a_row = 0;
        if !self.answered.contains(model) {
            self.answered.insert(model.clone());
        }
    }

    /// Notes that a request was forbidden. Returns what is forbidden.
    pub(crate) fn on_forbidden(&mut self) -> Forbidden {
        self.forbidden_in_a_row += 1;
        match self.forbidden_in_a_row {
            _ if self.answered.is_empty() => Forbidden::Key,
            FORBIDDEN.. => Forbidden::All,
            _ => Forbidden::Row,
        }
    }

    /// Returns whether a model has answered.
    pub(crate) fn has_answered(&self, model: &str) -> bool {
        self.answered.contains(model)
    }

    /// Notes that the endpoint does not have a model. Returns `false` if this was known before.
    pub(crate) fn on_missing(&mut self, model: &Arc<str>) -> bool {
        self.missing.insert(model.clone())
    }

    /// Returns whether the endpoint is known not to have a model.
    pub(crate) fn lacks(&self, model: &str) -> bool {
        self.missing.contains(model)
    }

    /// Returns the models that the endpoint does not have, in the order of their names.
    pub(crate) fn missing(&self) -> impl Iterator<Item = &str> {
        self.missing.iter().map(|model| &**model)
    }
}
