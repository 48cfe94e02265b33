//! The done-set: which rows have an answer, which have failed, in 16 bytes for each answered row.
//!
//! A row's latest line counts: when a changed row was run again, only its latest answer is its answer.

use std::collections::HashMap;

use super::row::{KeyPart, RowId};
use crate::domain::{ErrorClass, Identity, Job};

/// What earlier runs know of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Nothing that matters: to be run.
    New,
    /// It has an answer.
    Done,
    /// It failed for good, in this class; run again only when asked.
    Failed(ErrorClass),
    /// A row of this name has an answer, to another request.
    Changed {
        /// The beginning of that request's key.
        old_key: KeyPart,
    },
}

/// Rows of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct DoneSet {
    /// Sorted by label, one for each.
    answered: Vec<RowId>,
    failed: HashMap<u64, (u64, ErrorClass)>,
}

impl DoneSet {
    /// Makes the set from answered rows in the order of their lines, and the failures that still count.
    pub(super) fn new(mut answered: Vec<RowId>, failed: HashMap<u64, (u64, ErrorClass)>) -> Self {
        answered.sort_by_key(|row| row.label);
        answered.dedup_by(|later, kept| {
            let is_same = later.label == kept.label;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        answered.shrink_to_fit();
        Self { answered, failed }
    }

    /// Returns what is known of a job's row.
    pub fn state(&self, job: &Job) -> RowState {
        let row = RowId::of(job);
        let old = self.answered.binary_search_by_key(&row.label, |row| row.label).ok().map(|at| self.answered[at]);
        if old == Some(row) {
            return RowState::Done;
        }
        match self.failed.get(&row.label) {
            Some((key, class)) if *key == row.key && *class != ErrorClass::Canceled => return RowState::Failed(*class),
            Some(_) | None => {}
        }
        match (old, &job.identity) {
            (Some(old), Identity::Named) => RowState::Changed { old_key: old.key_part() },
            (Some(_), Identity::Nth(_)) | (None, _) => RowState::New,
        }
    }

    /// Returns how many rows have an answer.
    pub fn len(&self) -> usize {
        self.answered.len()
    }

    /// Returns whether no row has an answer.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty()
    }
}
