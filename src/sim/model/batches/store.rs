//! Keeps all batches, with a limit on their memory.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

use crate::clock::Instant;
use crate::sim::faults::BatchCall;

use super::super::cache::{Cache, Write};
use super::batch::Batch;

/// The maximum number of batches.
const MAX_BATCHES: usize = 100_000;
/// The maximum number of bytes of all batches together. If there is no room for another batch, the results of
/// downloaded batches are removed, the oldest first.
const MAX_BYTES: usize = 1 << 30;

/// All batches of all organizations.
#[derive(Debug, Default)]
pub(in super::super) struct Batches {
    /// A map from a batch's number to the batch. A newer batch has a higher number.
    pub(super) by_number: BTreeMap<u64, Batch>,
    /// The cache entries that batches have written. Requests outside batches can't read these entries.
    pub(in super::super) cache: Cache,
    /// The cache entries of answers that have not begun, each with the time at which the answer begins. From that time
    /// on, the entries can be read.
    pub(super) fresh: VecDeque<(Instant, Vec<Write>)>,
    numbers: HashMap<String, u64>,
    open: BTreeSet<u64>,
    arrivals: BTreeMap<BatchCall, u64>,
    bytes: usize,
}

impl Batches {
    /// Counts a call to a batch endpoint, and returns how many calls of the same kind have arrived so far.
    pub(super) fn count(&mut self, call: BatchCall) -> u64 {
        let count = self.arrivals.entry(call).or_default();
        *count += 1;
        *count
    }

    /// Returns the number that the next batch will have. The first batch has number 1.
    pub(super) fn next_number(&self) -> u64 {
        self.by_number.last_key_value().map_or(1, |(last, _)| last + 1)
    }

    /// Makes room for another batch of `bytes` bytes, and returns whether there is now enough room.
    pub(super) fn make_room(&mut self, bytes: usize, now: Instant) -> bool {
        for batch in self.by_number.values_mut() {
            if self.bytes + bytes <= MAX_BYTES {
                break;
            }
            if batch.is_read && batch.cleared.is_none() {
                self.bytes -= clear(batch, now);
            }
        }
        self.bytes + bytes <= MAX_BYTES && self.by_number.len() < MAX_BATCHES
    }

    /// Adds an open batch, and returns the number of the batch.
    pub(super) fn add(&mut self, batch: Batch) -> u64 {
        let number = self.next_number();
        self.bytes += batch.rows.memory();
        self.numbers.insert(batch.id.clone(), number);
        self.open.insert(number);
        self.by_number.insert(number, batch);
        number
    }

    /// Removes an open batch from the store, so that the caller can change the batch and the model together. The caller
    /// must put the batch back.
    pub(super) fn take_open(&mut self, number: u64) -> Option<Batch> {
        if self.open.contains(&number) { self.by_number.remove(&number) } else { None }
    }

    /// Puts a batch back into the store.
    pub(super) fn put_back(&mut self, number: u64, batch: Batch) {
        if batch.ended.is_some() {
            self.open.remove(&number);
        }
        self.by_number.insert(number, batch);
    }

    /// Returns the number of the batch with this id. Returns `None` if the organization has no such batch, or if the
    /// batch was deleted.
    pub(super) fn find(&self, id: &str, organization: u64) -> Option<u64> {
        let number = *self.numbers.get(id)?;
        let batch = self.by_number.get(&number)?;
        (batch.organization == organization && !batch.is_deleted).then_some(number)
    }

    /// Returns an organization's batches that are not deleted, the newest first.
    pub(super) fn newest_first(&self, organization: u64) -> Vec<(u64, &Batch)> {
        let own = |batch: &&Batch| batch.organization == organization && !batch.is_deleted;
        self.by_number.iter().rev().map(|(number, batch)| (*number, batch)).filter(|(_, batch)| own(batch)).collect()
    }

    /// Deletes a batch. The record of the batch keeps the ids of its requests.
    pub(super) fn delete(&mut self, number: u64, now: Instant) {
        let Some(batch) = self.by_number.get_mut(&number) else { return };
        batch.is_deleted = true;
        if batch.cleared.is_none() {
            self.bytes -= clear(batch, now);
        }
    }

    /// Writes the cache entries of answers that have begun by `now`.
    pub(super) fn write_fresh(&mut self, now: Instant) {
        while self.fresh.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((at, writes)) = self.fresh.pop_front() {
                self.cache.write(&writes, at);
            }
        }
    }

    /// Returns how many requests of an organization are waiting to be processed.
    pub(super) fn waiting(&self, organization: u64) -> u64 {
        let open = self.open.iter().filter_map(|number| self.by_number.get(number));
        open.filter(|batch| batch.organization == organization).map(Batch::waiting).sum()
    }

    /// Returns whether at least one batch has not ended.
    pub(in super::super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }
}

/// Removes the bodies of the requests of a batch. Returns the number of bytes of memory that were freed.
fn clear(batch: &mut Batch, now: Instant) -> usize {
    let before = batch.rows.memory();
    batch.rows.drop_params();
    batch.cleared = Some(now);
    before.saturating_sub(batch.rows.memory())
}
