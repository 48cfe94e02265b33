//! Rows that wait until the instant of their next try.

use std::collections::BTreeMap;

use crate::clock::Instant;

use super::entry::Entry;

/// The rows, sorted by the instant of their next try. Rows with the same instant are in the order in which they were
/// added.
#[derive(Debug, Default)]
pub(super) struct Later {
    rows: BTreeMap<(Instant, u64), Box<Entry>>,
    added: u64,
}

impl Later {
    /// Adds a row that is tried again at `at`.
    pub(super) fn insert(&mut self, entry: Box<Entry>, at: Instant) {
        self.added += 1;
        self.rows.insert((at, self.added), entry);
    }

    /// If the time for the next try of the first row has come, removes and returns this row.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<Box<Entry>> {
        let first = self.rows.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// Removes and returns the rows for which `is_wanted` returns true.
    pub(super) fn take(&mut self, mut is_wanted: impl FnMut(&Entry) -> bool) -> Vec<Box<Entry>> {
        let rows = std::mem::take(&mut self.rows);
        let (taken, kept): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(_, entry)| is_wanted(entry));
        self.rows = kept.into_iter().collect();
        taken.into_iter().map(|(_, entry)| entry).collect()
    }

    /// Returns the earliest instant at which a waiting row is tried again; `Instant::NEVER` if no row waits.
    pub(super) fn first_at(&self) -> Instant {
        self.rows.first_key_value().map_or(Instant::NEVER, |((at, _), _)| *at)
    }

    /// Returns the latest instant at which a waiting row is tried again; `None` if no row waits.
    pub(super) fn last_at(&self) -> Option<Instant> {
        self.rows.last_key_value().map(|((at, _), _)| *at)
    }

    /// Returns the rows that wait for their next try.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Entry> {
        self.rows.values().map(|entry| &**entry)
    }

    /// Returns the number of rows that wait for their next try.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }
}
