//! Gates: a gate holds back rows until the prefix that they share is in the prompt cache.
//!
//! The first row with a prefix *leads* the prefix: its request is sent first and writes the prefix to the cache. The
//! other rows with this prefix wait behind the *gate* of the prefix. Rows behind a gate are not in the ready queues, so
//! they delay no other row.

use std::collections::{BTreeMap, VecDeque};

use super::entry::Entry;
use super::warmth::Key;

/// The closed gates, with the rows that wait behind them. Behind each gate, the rows are in the order in which they
/// came.
#[derive(Debug, Default)]
pub(super) struct Gates {
    closed: BTreeMap<Key, VecDeque<Box<Entry>>>,
    waiting: usize,
}

impl Gates {
    /// Returns the number of rows that wait behind gates until a prefix is in the prompt cache.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Returns the number of rows that wait behind the gates of one endpoint.
    pub(super) fn waiting_at(&self, endpoint: usize) -> usize {
        self.closed.iter().filter(|((at, _), _)| *at == endpoint).map(|(_, behind)| behind.len()).sum()
    }

    /// Puts a row behind the gate of a prefix.
    pub(super) fn put_behind(&mut self, entry: Box<Entry>, gate: Key) {
        self.closed.entry(gate).or_default().push_back(entry);
        self.waiting += 1;
    }

    /// Opens the gate of a prefix; returns the rows that waited behind it.
    pub(super) fn open(&mut self, gate: Key) -> VecDeque<Box<Entry>> {
        let behind = self.closed.remove(&gate).unwrap_or_default();
        self.waiting -= behind.len();
        behind
    }

    /// Removes and returns the first row behind the gate of a prefix.
    pub(super) fn pop_first(&mut self, gate: Key) -> Option<Box<Entry>> {
        let behind = self.closed.get_mut(&gate)?;
        let first = behind.pop_front();
        self.waiting -= usize::from(first.is_some());
        if behind.is_empty() {
            self.closed.remove(&gate);
        }
        first
    }

    /// Returns the prefixes of all gates that have waiting rows.
    #[cfg(test)]
    pub(super) fn closed(&self) -> impl Iterator<Item = Key> {
        self.closed.keys().copied()
    }

    /// Returns all rows that wait behind gates.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Entry> {
        self.closed.values().flatten().map(|entry| &**entry)
    }

    /// Removes the waiting rows that `is_wanted` accepts from their gates, and returns these rows. A gate stays closed
    /// if rows still wait behind it.
    pub(super) fn take(&mut self, mut is_wanted: impl FnMut(&Entry) -> bool) -> Vec<Box<Entry>> {
        let mut taken = Vec::new();
        for behind in self.closed.values_mut() {
            let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(behind).into_iter().partition(|entry| is_wanted(entry));
            *behind = kept.into();
            taken.extend(out);
        }
        self.closed.retain(|_, behind| !behind.is_empty());
        self.waiting -= taken.len();
        taken
    }
}
