//! Failures that still count: for each row, the latest entry in the error log and its offset.
//!
//! An entry no longer counts in these cases:
//! - The row has an answer to the same request, or a later answer to another request.
//! - A later entry of the same row exists.
//! - The row was never sent, and a later run read the whole input without writing an entry for it.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::record::ErrorRecord;
use crate::domain::{ErrorClass, RowId};

/// Why a row has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EntryKind {
    /// The row was sent and has failed.
    Failed,
    /// The row was rejected before it was sent.
    Rejected,
    /// The row could not be read.
    Broken,
}

/// An entry that still counts.
#[derive(Clone, Debug)]
struct Entry {
    key: u64,
    class: ErrorClass,
    /// Offset of its line in the error log.
    offset: u64,
    is_unsent: bool,
    is_row: bool,
    is_of_this_run: bool,
    last_at: Option<jiff::Timestamp>,
    /// Key and time of the row's answer, if the results contain one.
    answer: Option<(u64, Option<jiff::Timestamp>)>,
}

/// The entries that still count, by the label of their row.
#[derive(Clone, Debug, Default)]
pub(crate) struct Unresolved {
    rows: HashMap<u64, Entry>,
}

impl Unresolved {
    /// Adds an entry that was read from the log. It replaces an earlier entry of the same row.
    pub(crate) fn read(&mut self, record: &ErrorRecord, offset: u64) {
        let entry = Entry {
            key: record.row.key,
            class: record.class,
            offset,
            is_unsent: record.is_unsent,
            is_row: record.is_row,
            is_of_this_run: false,
            last_at: record.last_at,
            answer: None,
        };
        self.rows.insert(record.row.label, entry);
    }

    /// Adds an entry that this run is writing at `offset`. It replaces an earlier entry of the same row.
    pub(crate) fn append(&mut self, row: RowId, class: ErrorClass, kind: EntryKind, offset: u64) {
        let entry = Entry {
            key: row.key,
            class,
            offset,
            is_unsent: kind != EntryKind::Failed,
            is_row: kind != EntryKind::Broken,
            is_of_this_run: true,
            last_at: None,
            answer: None,
        };
        self.rows.insert(row.label, entry);
    }

    /// Remembers an answer that was read from the results. Call this function in the order of the lines, because the
    /// last answer of a row counts.
    pub(crate) fn note_answer(&mut self, row: RowId, ended_at: Option<jiff::Timestamp>) {
        if let Some(entry) = self.rows.get_mut(&row.label) {
            entry.answer = Some((row.key, ended_at));
        }
    }

    /// Returns whether there is an entry for the row, or for another row with the same label.
    pub(crate) fn has(&self, row: RowId) -> bool {
        self.rows.contains_key(&row.label)
    }

    /// Removes the entries of rows that have an answer to the same request, or a later answer to another request.
    pub(super) fn remove_answered(&mut self) {
        self.rows.retain(|_, entry| match entry.answer {
            Some((key, _)) if key == entry.key => false,
            Some((_, Some(answered_at))) => entry.last_at.is_none_or(|failed_at| failed_at >= answered_at),
            Some((_, None)) | None => true,
        });
    }

    /// Removes the entry of a row that this run has answered.
    pub(crate) fn remove(&mut self, row: RowId) {
        // In most runs there are no entries.
        if !self.rows.is_empty() {
            self.rows.remove(&row.label);
        }
    }

    /// Removes the entries of rows that were never sent. Entries that this run wrote stay. Call this function only if
    /// the run read the whole input.
    pub(crate) fn remove_stale_unsent(&mut self) {
        self.rows.retain(|_, entry| !entry.is_unsent || entry.is_of_this_run);
    }

    /// Returns the offsets of the lines that still count.
    pub(crate) fn offsets(&self) -> HashSet<u64> {
        self.rows.values().map(|entry| entry.offset).collect()
    }

    /// Sets the new offsets of entries that compaction moved.
    pub(crate) fn move_to(&mut self, offsets: &HashMap<u64, u64>) {
        for entry in self.rows.values_mut() {
            entry.offset = offsets.get(&entry.offset).copied().unwrap_or(entry.offset);
        }
    }

    /// Returns the offsets of the rows that can be run again. If `only` is not empty, rows of other classes are left
    /// out.
    pub(crate) fn row_offsets(&self, only: &[ErrorClass]) -> HashSet<u64> {
        let is_wanted = |entry: &&Entry| entry.is_row && (only.is_empty() || only.contains(&entry.class));
        self.rows.values().filter(is_wanted).map(|entry| entry.offset).collect()
    }

    /// Returns how many entries still count, by class.
    pub(crate) fn by_class(&self) -> BTreeMap<ErrorClass, u64> {
        let mut counts = BTreeMap::new();
        self.rows.values().for_each(|entry| *counts.entry(entry.class).or_default() += 1);
        counts
    }

    /// Returns the key and the class of each entry, by label, for [`super::DoneSet`].
    pub(crate) fn keys_and_classes(&self) -> HashMap<u64, (u64, ErrorClass)> {
        self.rows.iter().map(|(&label, entry)| (label, (entry.key, entry.class))).collect()
    }
}
