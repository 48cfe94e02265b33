//! Answered rows that are to be run again because of the quality of their answer (`--rerun`).
//!
//! Without `--rerun`, this module keeps nothing. With `--rerun`, this module keeps only the rows whose answers have the
//! wanted qualities. So the set of done rows needs no additional memory.

use std::collections::HashMap;
use std::sync::Arc;

use crate::domain::{Quality, RowId};

/// The rows whose latest answer has one of the wanted qualities.
#[derive(Clone, Debug, Default)]
pub struct Reruns {
    rows: Arc<HashMap<RowId, Quality>>,
}

impl Reruns {
    /// If the row is to be run again, returns the quality of its latest answer.
    pub fn quality(&self, row: RowId) -> Option<Quality> {
        self.rows.get(&row).copied()
    }

    /// Returns how many rows are to be run again.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns true if no row is to be run again.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// While the results are read, collects the rows that are to be run again.
#[derive(Debug, Default)]
pub(crate) struct RerunRows {
    wanted: Vec<Quality>,
    rows: HashMap<RowId, Quality>,
}

impl RerunRows {
    /// Returns an empty collection. Only rows whose answer has a `wanted` quality will be added to the collection.
    pub(crate) fn new(wanted: &[Quality]) -> Self {
        Self { wanted: wanted.to_owned(), rows: HashMap::new() }
    }

    /// Returns whether rows of at least one quality are wanted.
    pub(super) fn is_used(&self) -> bool {
        !self.wanted.is_empty()
    }

    /// Notes an answer. Call this function in the order of the lines, because only the latest answer of a row counts.
    pub(super) fn note(&mut self, row: RowId, quality: Quality) {
        if self.wanted.contains(&quality) {
            self.rows.insert(row, quality);
        } else {
            self.rows.remove(&row);
        }
    }

    /// Returns the rows that are to be run again.
    pub(crate) fn finish(self) -> Reruns {
        Reruns { rows: Arc::new(self.rows) }
    }
}
