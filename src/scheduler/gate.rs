//! Gates: rows that wait for another row.
//!
//! Some rows should not be sent before the answer to another row has begun. For example, the first row with a prefix
//! writes the prompt cache that the other rows read. Another example: if several rows are equal, only one of them has
//! to be paid for. Such rows wait behind a gate. They are not in the ready queues, so they delay no other row. The row
//! that they wait for is their leader. The gate opens when the head of the leader's answer comes, or when the leader
//! ends without an answer. So no row waits behind a gate after its leader has ended.

use std::collections::BTreeMap;

use super::entry::Entry;
use super::step::GateId;

/// The closed gates. The rows behind each gate are in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Gates {
    closed: BTreeMap<GateId, Vec<Entry>>,
    made: u32,
    waiting: usize,
}

impl Gates {
    /// Returns how many rows wait behind gates.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    /// Makes a closed gate.
    pub(super) fn make(&mut self) -> GateId {
        let gate = GateId(self.made);
        self.made += 1;
        self.closed.insert(gate, Vec::new());
        gate
    }

    /// Puts a row behind a gate. Returns the row if the gate is already open.
    pub(super) fn put_behind(&mut self, entry: Entry, gate: GateId) -> Option<Entry> {
        let Some(behind) = self.closed.get_mut(&gate) else { return Some(entry) };
        behind.push(entry);
        self.waiting += 1;
        None
    }

    /// Opens a gate; returns the rows that waited behind it.
    pub(super) fn open(&mut self, gate: GateId) -> Vec<Entry> {
        let behind = self.closed.remove(&gate).unwrap_or_default();
        self.waiting -= behind.len();
        behind
    }

    /// Returns the rows behind all gates.
    pub(super) fn rows(&self) -> impl Iterator<Item = &Entry> {
        self.closed.values().flatten()
    }

    /// From the rows behind all gates, removes and returns the rows for which `is_wanted` returns true. The gates stay
    /// closed.
    pub(super) fn take(&mut self, mut is_wanted: impl FnMut(&Entry) -> bool) -> Vec<Entry> {
        let mut taken = Vec::new();
        for behind in self.closed.values_mut() {
            let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(behind).into_iter().partition(&mut is_wanted);
            *behind = kept;
            taken.extend(out);
        }
        self.waiting -= taken.len();
        taken
    }
}
