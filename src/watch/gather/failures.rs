//! Sums up the lines of the error log, and finds the failed rows that no later request has answered.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::{ErrorClass, RowId};
use crate::journal::{Disk, JournalError, Unresolved, read_failure_texts, read_failures};
use crate::watch::facts::{Ended, Failures, Rate};

/// How many rows of the error log are remembered until the results have been read. Together, these rows take less than
/// 100 MB of memory. Any further row counts as failed, even if it was answered later.
const MOST_ROWS: usize = 200_000;
/// The largest number of failures that are shown.
const MOST_EXAMPLES: usize = 50;

/// The content of the error log. It is not known yet which rows of the log were answered later.
#[derive(Default)]
pub(super) struct ReadFailures {
    unresolved: Unresolved,
    /// For each error class, the number of entries whose rows are not remembered.
    beyond: BTreeMap<ErrorClass, u64>,
    failures: Failures,
    /// How many rows failed in each time interval.
    pub(super) rate: Rate,
}

impl ReadFailures {
    /// Reads an error log.
    ///
    /// # Errors
    /// Returns the errors of [`read_failures`].
    pub(super) fn read(path: &Path, disk: &dyn Disk) -> Result<Self, JournalError> {
        let mut read = Self::default();
        read_failures(path, disk, |offset, record| {
            if read.unresolved.len() < MOST_ROWS || read.unresolved.has(record.row) {
                let charges = read.unresolved.read(record, offset);
                read.failures.totals.add(charges);
            } else if !record.is_unfinished {
                *read.beyond.entry(record.class).or_default() += 1;
                read.failures.totals.add(record.charges);
            }
            if let Some(at) = record.last_at.filter(|_| !record.is_unfinished) {
                read.rate.add(at.as_second(), Ended { failed: 1, ..Ended::default() });
            }
        })?;
        Ok(read)
    }

    /// Returns whether the error log has an entry for this row.
    pub(super) fn has(&self, row: RowId) -> bool {
        self.unresolved.has(row)
    }

    /// Records that a row with an entry in the error log was answered.
    pub(super) fn note_answer(&mut self, row: RowId, ended_at: Option<Timestamp>) {
        self.unresolved.note_answer(row, ended_at);
    }

    /// Returns the failures of the rows that were not answered later, with examples from the log at `path`. Call this
    /// function after all calls of `note_answer`.
    ///
    /// # Errors
    /// Returns an error if the log can't be read again.
    pub(super) fn end(mut self, path: Option<&Path>, disk: &dyn Disk) -> Result<Failures, JournalError> {
        let charges = self.unresolved.remove_answered();
        self.failures.totals.add(charges);
        self.failures.is_rough = !self.beyond.is_empty();
        let mut offsets: BTreeMap<ErrorClass, Vec<u64>> = BTreeMap::new();
        let mut counts = self.beyond;
        for (class, offset, is_unfinished) in self.unresolved.entries() {
            if is_unfinished {
                self.failures.unfinished += 1;
            } else {
                *counts.entry(class).or_default() += 1;
                offsets.entry(class).or_default().push(offset);
            }
        }
        self.failures.by_class = counts.into_iter().collect();
        self.failures.by_class.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
        if let Some(path) = path {
            self.failures.examples = read_failure_texts(path, disk, &examples(offsets))?;
        }
        Ok(self.failures)
    }
}

/// Chooses the lines of the log that are shown as examples. The first line of each error class is chosen, then the
/// second line of each class, and so on. So every error class has examples.
fn examples(mut offsets: BTreeMap<ErrorClass, Vec<u64>>) -> Vec<u64> {
    offsets.values_mut().for_each(|of_class| of_class.sort_unstable());
    let longest = offsets.values().map(Vec::len).max().unwrap_or_default().min(MOST_EXAMPLES);
    let in_turn =
        (0..longest).flat_map(|turn| offsets.values().filter_map(move |of_class| of_class.get(turn).copied()));
    in_turn.take(MOST_EXAMPLES).collect()
}
