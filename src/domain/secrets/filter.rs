//! A quick filter that finds out whether a text can contain a secret.
//!
//! In this file, a run is a sequence of five bytes. The filter checks only every n-th position of a text; n is the
//! stride. The filter finds a part of a secret only if this part has at least a certain length. Because the stride is
//! small, every part of this length contains a run (five bytes) that begins at a checked position. At each checked
//! position, the filter looks up the run (the next five bytes) in a table. If the table contains these five bytes, the
//! filter also looks for them in a list. This list contains every sequence of five bytes that occurs in a secret. A
//! typical answer has only about fifty positions to check, so the filter looks up four positions before it branches.

use zeroize::Zeroizing;

/// The length, in bytes, of a run (a sequence of bytes).
const RUN: usize = 5;
const RUN_MASK: u64 = (1 << (8 * RUN)) - 1;
/// The number of bytes that are loaded in one step. The stride has the same value if `shortest` is twelve bytes.
const PIECE: usize = 8;
/// The number of entries of the table. All forms of a key together contain about a thousand runs (pieces of `RUN`
/// bytes), so about one table entry in sixty is 1. So in a text without secrets, about one position in sixty makes the
/// filter search the list.
const ENTRIES: usize = 1 << 16;

/// The runs of secrets.
pub(super) struct Filter {
    /// The table: an entry is 1 if a run (five bytes) of a secret has the index of this entry, and 0 otherwise.
    table: Box<Zeroizing<[u8; ENTRIES]>>,
    /// All sequences of five bytes in the secrets (the runs), sorted.
    runs: Zeroizing<Vec<u64>>,
    stride: usize,
}

impl Default for Filter {
    fn default() -> Self {
        Self::new([].into_iter(), RUN)
    }
}

impl Filter {
    /// Returns the filter that finds parts of `forms` with at least `shortest` bytes.
    pub(super) fn new<'a>(forms: impl Iterator<Item = &'a [u8]>, shortest: usize) -> Self {
        let mut table = Box::new(Zeroizing::new([0; ENTRIES]));
        let runs = forms.flat_map(|form| form.windows(RUN).map(run));
        let mut runs: Zeroizing<Vec<u64>> = Zeroizing::new(runs.collect());
        runs.sort_unstable();
        runs.dedup();
        runs.iter().for_each(|&run| table[index_of(run)] = 1);
        Self { table, runs, stride: shortest + 1 - RUN }
    }

    /// Returns whether `text` possibly contains a part of a secret. If the result is `false`, the text certainly
    /// contains no part of a secret. If the result is `true`, the caller must search the text.
    pub(super) fn may_contain(&self, text: &[u8]) -> bool {
        if self.stride != PIECE {
            return text.windows(RUN).step_by(self.stride).any(|bytes| self.has(run(bytes)));
        }
        let (pieces, last) = text.as_chunks::<PIECE>();
        let (fours, others) = pieces.as_chunks::<4>();
        let in_table = |piece: &[u8; PIECE]| self.table[index_of(u64::from_le_bytes(*piece))];
        let has = |piece: &[u8; PIECE]| self.has(u64::from_le_bytes(*piece) & RUN_MASK);
        fours.iter().any(|four| four.iter().fold(0, |any, piece| any | in_table(piece)) != 0 && four.iter().any(has))
            || others.iter().any(has)
            || last.get(..RUN).is_some_and(|bytes| self.has(run(bytes)))
    }

    fn has(&self, run: u64) -> bool {
        self.table[index_of(run)] != 0 && self.runs.binary_search(&run).is_ok()
    }
}

fn run(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |run, &byte| run << 8 | u64::from(byte))
}

/// Returns the position in the table for a run (a sequence of `RUN` bytes). If `run` contains more than `RUN` bytes,
/// the additional bytes are ignored.
fn index_of(run: u64) -> usize {
    let run = run << (64 - 8 * RUN);
    (run.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - ENTRIES.ilog2())) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_of_a_secret_is_seen_at_every_position() {
        let secret = b"0123456789abcdefghij";
        for shortest in 8..=12 {
            let filter = Filter::new([&secret[..]].into_iter(), shortest);
            for (at, part) in secret.windows(shortest).enumerate() {
                for before in 0..20 {
                    for behind in 0..20 {
                        let text = [&b"-".repeat(before)[..], part, &b"-".repeat(behind)].concat();

                        assert!(filter.may_contain(&text), "{shortest} {at} {before} {behind}");
                    }
                }
            }
            assert!(!filter.may_contain(&b"-".repeat(1000)) && !filter.may_contain(b""));
        }
    }
}
