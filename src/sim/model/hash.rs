//! A small stable hash: the same content has the same hash on every machine and with every compiler.
//!
//! The hash is not cryptographic. The hash is used only to distinguish request bodies and to make random numbers.

/// A 64-bit hash of the content so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hash(u64);

const FOLD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Hash {
    /// Returns the hash of the seed alone, before any content is added.
    pub(super) fn new(seed: u64) -> Self {
        Self(seed ^ 0xA076_1D64_78BD_642F)
    }

    /// Adds bytes and their length to the hash.
    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            self = self.word(u64::from_le_bytes(word));
        }
        let mut word = [0; 8];
        word[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.word(u64::from_le_bytes(word)).word(bytes.len() as u64)
    }

    /// Adds a number to the hash.
    pub(super) fn word(self, word: u64) -> Self {
        let product = u128::from(self.0 ^ word).wrapping_mul(u128::from(FOLD)) ^ (u128::from(word) << 17);
        Self((product as u64) ^ ((product >> 64) as u64).rotate_left(29))
    }

    /// Returns the hash as a number.
    pub(super) fn end(self) -> u64 {
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Returns a number from 0 to 1 (never 1 itself) that depends on the hash. The numbers that belong to different
    /// hashes are evenly distributed.
    pub(super) fn unit(self) -> f64 {
        (self.end() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_of_the_same_content_never_changes() {
        assert_eq!(Hash::new(7).bytes(b"a body").end(), Hash::new(7).bytes(b"a body").end());
        assert_ne!(Hash::new(7).bytes(b"a body").end(), Hash::new(8).bytes(b"a body").end());
        assert_ne!(Hash::new(7).bytes(b"a\0").end(), Hash::new(7).bytes(b"a").end());
    }

    #[test]
    fn the_numbers_from_hashes_are_evenly_distributed() {
        let below = (0..100_000_u64).filter(|&n| Hash::new(1).word(n).unit() < 0.1).count();

        assert!((9_700..=10_300).contains(&below), "{below} of 100,000 below a tenth");
    }
}
