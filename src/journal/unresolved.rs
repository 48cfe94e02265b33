//! Failures that still count: for each row its latest entry in the error log, and where it stands.
//!
//! Owns the rule of what voids an entry: the row's answer, when it is to the same request or came later; a later entry
//! of the same row; and, for rows that never became a request, a later run that read the whole input.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::record::ErrorRecord;
use crate::domain::{ErrorClass, RowId};

/// An entry that counts.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) class: ErrorClass,
    /// Offset of its line in the error log.
    pub(super) offset: u64,
    pub(super) is_unsent: bool,
    pub(super) is_row: bool,
    /// Whether the present run wrote it.
    pub(super) is_of_this_run: bool,
    pub(super) last_at: Option<jiff::Timestamp>,
    /// Key and time of the row's answer, as far as one was read.
    pub(super) answer: Option<(u64, Option<jiff::Timestamp>)>,
}

/// The entries that count, by their row's label.
#[derive(Clone, Debug, Default)]
pub(super) struct Unresolved {
    rows: HashMap<u64, Entry>,
}

impl Unresolved {
    /// Takes an entry read from the log; a later one of the same row takes the place of an earlier one.
    pub(super) fn read(&mut self, record: &ErrorRecord, offset: u64) {
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

    /// Takes an entry that is being written.
    pub(super) fn append(&mut self, row: RowId, entry: Entry) {
        self.rows.insert(row.label, entry);
    }

    /// Notes an answer read from the results file, in the order of its lines; the row's last one is its answer.
    pub(super) fn note_answer(&mut self, row: RowId, ended_at: Option<jiff::Timestamp>) {
        if let Some(entry) = self.rows.get_mut(&row.label) {
            entry.answer = Some((row.key, ended_at));
        }
    }

    /// Returns whether the row, or another of its name, has an entry.
    pub(super) fn has(&self, row: RowId) -> bool {
        self.rows.contains_key(&row.label)
    }

    /// Voids the entries that the answers noted settle: answers to the same request, and later ones to another.
    pub(super) fn settle_noted(&mut self) {
        self.rows.retain(|_, entry| match entry.answer {
            Some((key, _)) if key == entry.key => false,
            Some((_, Some(answered_at))) => entry.last_at.is_none_or(|failed_at| failed_at >= answered_at),
            Some((_, None)) | None => true,
        });
    }

    /// Returns whether no entry counts.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Voids the entry of a row that was answered by the present run.
    pub(super) fn settle(&mut self, row: RowId) {
        // Most runs have no failures to settle.
        if !self.is_empty() {
            self.rows.remove(&row.label);
        }
    }

    /// Voids entries of rows that were never requests and that this run, having read all input, did not meet again.
    pub(super) fn drop_stale_unsent(&mut self) {
        self.rows.retain(|_, entry| !entry.is_unsent || entry.is_of_this_run);
    }

    /// Returns the offsets of the lines that count.
    pub(super) fn offsets(&self) -> HashSet<u64> {
        self.rows.values().map(|entry| entry.offset).collect()
    }

    /// Tells where lines stand after compaction.
    pub(super) fn moved(&mut self, offsets: &HashMap<u64, u64>) {
        for entry in self.rows.values_mut() {
            entry.offset = offsets.get(&entry.offset).copied().unwrap_or(entry.offset);
        }
    }

    /// Returns the entries that count, in the order of the log.
    pub(super) fn in_order(&self) -> Vec<&Entry> {
        let mut entries: Vec<&Entry> = self.rows.values().collect();
        entries.sort_by_key(|entry| entry.offset);
        entries
    }

    /// Returns how many entries count, by class.
    pub(super) fn by_class(&self) -> BTreeMap<ErrorClass, u64> {
        let mut counts = BTreeMap::new();
        self.rows.values().for_each(|entry| *counts.entry(entry.class).or_default() += 1);
        counts
    }

    /// Returns what the done-set needs: key and class by label.
    pub(super) fn for_done_set(&self) -> HashMap<u64, (u64, ErrorClass)> {
        self.rows.iter().map(|(&label, entry)| (label, (entry.key, entry.class))).collect()
    }
}
