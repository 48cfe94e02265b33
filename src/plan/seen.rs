//! A set of hashes that needs little memory, for inputs that are read once.
//!
//! The set consists of many small sets. Some bits of each hash decide which small set contains the hash. A growing set
//! needs memory for both its old and its new table. But at any time, at most one of the small sets grows. With ten
//! million rows, a single large set would need 227 MB while it grows. The small sets together need at most 152 MB. The
//! values are used as hashes without further hashing, so an attacker must not be able to choose them.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

const SHARDS: usize = 64;

/// A set of 64-bit hashes.
#[derive(Debug)]
pub struct Seen(Vec<HashSet<u64, BuildHasherDefault<AsItIs>>>);

impl Default for Seen {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| HashSet::default()).collect())
    }
}

impl Seen {
    /// Adds a hash; returns whether it is new to the set.
    pub fn insert(&mut self, hash: u64) -> bool {
        // The middle bits choose the set, because the tables in the sets use the lowest and the highest bits.
        self.0[(hash >> 32) as usize % SHARDS].insert(hash)
    }

    /// Returns the number of hashes in the set.
    pub fn len(&self) -> usize {
        self.0.iter().map(HashSet::len).sum()
    }

    /// Returns whether the set is empty.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(HashSet::is_empty)
    }
}

/// A map from 64-bit hashes to numbers. Like [`Seen`], the map consists of many small maps, so it needs little extra
/// memory when it grows.
#[derive(Debug)]
pub(crate) struct NumberOf(Vec<HashMap<u64, u64, BuildHasherDefault<AsItIs>>>);

impl Default for NumberOf {
    fn default() -> Self {
        Self((0..SHARDS).map(|_| HashMap::default()).collect())
    }
}

impl NumberOf {
    /// Stores a number for a hash.
    pub(crate) fn set(&mut self, hash: u64, number: u64) {
        self.0[(hash >> 32) as usize % SHARDS].insert(hash, number);
    }

    /// Returns the number that is stored for a hash; `None` if the hash is not in the map.
    pub(crate) fn get(&self, hash: u64) -> Option<u64> {
        self.0[(hash >> 32) as usize % SHARDS].get(&hash).copied()
    }
}

/// A hasher for values that are already hashes.
#[derive(Debug, Default)]
pub(super) struct AsItIs(u64);

impl Hasher for AsItIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // This method is not used, because hashes are written with `write_u64`.
        self.0 = bytes.iter().fold(self.0, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_new_only_once() {
        let mut seen = Seen::default();
        let hashes: Vec<u64> = (0..10_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).collect();

        let first = hashes.iter().filter(|&&hash| seen.insert(hash)).count();
        let second = hashes.iter().filter(|&&hash| seen.insert(hash)).count();

        assert_eq!((first, second, seen.len()), (10_000, 0, 10_000));
    }

    #[test]
    fn a_hash_has_the_number_that_was_set_last() {
        let mut numbers = NumberOf::default();
        let hash = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);

        (0..1_000).for_each(|n| numbers.set(hash(n), n));
        numbers.set(hash(7), 70);

        assert_eq!([7, 8, 1_000].map(|n| numbers.get(hash(n))), [Some(70), Some(8), None]);
    }
}
