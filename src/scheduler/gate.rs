//! Gates: rows that wait for another row.
//!
//! Some rows are better sent once another has begun to be answered: the first of a shared prefix writes the cache that the
//! others read; of several equal rows only one is paid. Such rows stand behind a gate, outside the ready queues, so they
//! hold back nobody. The row that they wait for leads: the gate opens with the head of its answer, or when it has ended
//! without one, whatever became of it. So a gate never outlives its leader, and no row waits for ever.

use std::collections::BTreeMap;

use crate::clock::Instant;
use crate::domain::Planned;

use super::Scheduler;
use super::entry::Entry;

/// A gate of a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GateId(u32);

/// The gates that are closed, with the rows behind each in the order they came.
#[derive(Debug, Default)]
pub(super) struct Gates {
    closed: BTreeMap<GateId, Vec<Entry>>,
    made: u32,
    waiting: usize,
}

impl Gates {
    /// Returns how many rows wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[cfg(test)]
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.closed.values().flatten()
    }

    /// Takes out the rows behind all gates, which stay closed, that `is_wanted` says yes to.
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

impl Scheduler {
    /// Takes a row that others will wait for, and returns the gate to put them behind.
    pub fn offer_leader(&mut self, planned: Planned, now: Instant) -> GateId {
        let gate = GateId(self.gates.made);
        self.gates.made += 1;
        self.gates.closed.insert(gate, Vec::new());
        let entry = Entry { leads: Some(gate), ..self.count_in(planned) };
        self.take_in(entry, now);
        gate
    }

    /// Takes a row that waits behind a gate; behind one that has opened it waits no more.
    pub fn offer_behind(&mut self, planned: Planned, gate: GateId, now: Instant) {
        let entry = self.count_in(planned);
        match self.gates.closed.get_mut(&gate) {
            Some(behind) if self.halted.is_none() => {
                behind.push(entry);
                self.gates.waiting += 1;
            }
            Some(_) | None => self.take_in(entry, now),
        }
    }

    /// Opens a gate: the rows behind it are queued, in their order and before those that came later.
    pub(super) fn open_gate(&mut self, gate: GateId, now: Instant) {
        let Some(behind) = self.gates.closed.remove(&gate) else { return };
        self.gates.waiting -= behind.len();
        behind.into_iter().rev().for_each(|entry| self.queue_first(entry, now));
    }
}
