//! A set of prefix hashes that needs little memory. In rare cases, the set mistakes one hash for another.
//!
//! The set consists of many small sets, and uses 44 bits of each hash. Of these bits, 12 choose a small set, and this
//! small set stores the other 32 bits. So a hash takes six to twelve bytes. Among ten million hashes, about three are
//! mistaken for another hash. After such a mistake, a prefix that only one row has gets a mark. The row then pays a
//! quarter more for this prefix.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

const SHARDS: usize = 1 << 12;

/// The prefixes of the rows that were added so far.
#[derive(Debug, Default)]
pub(super) struct SeenPrefixes {
    /// The list of the small sets that together contain all hashes. The list is empty until the first hash is added.
    shards: Vec<HashSet<u32, BuildHasherDefault<Spread>>>,
    count: usize,
}

impl SeenPrefixes {
    /// Adds a hash; returns whether it is new to the set.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, HashSet::default);
        }
        // Different hashes have different products, and the high bits of a product depend on all bits of the hash.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let is_new = self.shards[(mixed >> 52) as usize].insert((mixed >> 20) as u32);
        self.count += usize::from(is_new);
        is_new
    }

    /// Returns the number of hashes in the set.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

/// A hasher that spreads 32 bits of a hash over the 64 bits that a hash table uses.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // This method is not used, because the set writes its hashes with `write_u32`.
        self.0 = bytes.iter().fold(self.0, |sum, &byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    }

    fn write_u32(&mut self, hash: u32) {
        self.0 = u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_new_only_once_and_is_hardly_ever_taken_for_another() {
        let mut seen = SeenPrefixes::default();
        let hash = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);

        let first = (0..200_000).filter(|n| seen.insert(hash(*n))).count();
        let second = (0..200_000).filter(|n| seen.insert(hash(*n))).count();

        assert!(first >= 199_999, "{first}");
        assert_eq!((second, seen.len()), (0, first));
    }
}
