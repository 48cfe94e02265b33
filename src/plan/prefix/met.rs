//! A set of hashes of prefixes that needs little memory, and may rarely take one hash for another.
//!
//! Of each hash, 44 bits count: 12 of them choose a small set, and 32 are kept in it. So a hash takes six to twelve bytes.
//! Among ten million hashes, about three are taken for others. A prefix that only one row has is then marked, which
//! costs a quarter more for this prefix.

use std::collections::HashSet;
use std::hash::{BuildHasherDefault, Hasher};

const SHARDS: usize = 1 << 12;

/// The prefixes that rows have had.
#[derive(Debug, Default)]
pub(super) struct Met {
    /// Empty until the first hash is added.
    shards: Vec<HashSet<u32, BuildHasherDefault<Spread>>>,
    count: usize,
}

impl Met {
    /// Adds a hash; returns whether it is new to the set.
    pub(super) fn insert(&mut self, hash: u64) -> bool {
        if self.shards.is_empty() {
            self.shards.resize_with(SHARDS, HashSet::default);
        }
        // The product of different hashes is different, and its high bits depend on all bits of the hash.
        let mixed = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let is_new = self.shards[(mixed >> 52) as usize].insert((mixed >> 20) as u32);
        self.count += usize::from(is_new);
        is_new
    }

    /// Returns how many hashes there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }
}

/// Spreads 32 bits of a hash over the 64 bits that a table uses.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used: hashes are written by `write_u32`.
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
    fn a_hash_is_new_only_once_and_different_hashes_are_hardly_ever_mistaken() {
        let mut met = Met::default();
        let hash = |n: u64| (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);

        let first = (0..200_000).filter(|n| met.insert(hash(*n))).count();
        let second = (0..200_000).filter(|n| met.insert(hash(*n))).count();

        assert!(first >= 199_999, "{first}");
        assert_eq!((second, met.len()), (0, first));
    }
}
