//! The set of done rows: which rows have an answer and which have failed. The set needs 16 bytes for each answered row.
//!
//! Only the latest line of a row counts. If a row was changed and run again, only its latest answer is used.
//!
//! The set of done rows is divided into parts. Labels are hashes, and the first bits of a label choose the part. Each
//! part grows separately and is sorted separately. So extra memory is needed only for a few parts at a time, and
//! several threads can sort parts in parallel.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::blocks::threads;
use crate::domain::{ErrorClass, Identity, KeyPart, Quality, RowId};

/// The state of a row after the earlier runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Nothing. The row must be run.
    New,
    /// The row has an answer.
    Done,
    /// The row has an answer, and is run again because the answer has this quality. The answer stays until there is a
    /// newer answer.
    Rerun(Quality),
    /// The row is in a batch that is not collected yet.
    Submitted,
    /// The row has failed, with an error of this class. A failed row is run again only if the user asks for this.
    Failed(ErrorClass),
    /// Another request with this label has an answer.
    Changed {
        /// The beginning of the key of the answered request.
        old_key: KeyPart,
    },
}

/// How many parts the rows are divided into.
const PARTS: usize = 256;
/// If there are at least this many rows, sorting with several threads is faster.
const ROWS_FOR_THREADS: usize = 50_000;

/// A list of answered rows. A `DoneSet` is made from this list.
pub(crate) struct AnsweredRows {
    parts: Vec<Vec<RowId>>,
    /// Estimated number of rows.
    expected: u64,
}

impl Default for AnsweredRows {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Vec::new()).collect(), expected: 0 }
    }
}

impl AnsweredRows {
    /// Sets the estimated number of rows. Memory for this many rows is reserved in advance, so that the list does not
    /// have to grow in many steps.
    pub(crate) fn expect(&mut self, rows: u64) {
        self.expected = rows;
    }

    /// Adds a row. Rows must be added in the order of their lines.
    pub(crate) fn push(&mut self, row: RowId) {
        let part = &mut self.parts[part_of(row.label)];
        if part.len() == part.capacity() {
            // Hashes are evenly distributed, so only a few parts exceed the average number of rows by more than 2 %.
            let share = usize::try_from(self.expected).unwrap_or(usize::MAX) / PARTS;
            let wanted = (share + share / 50 + 8).max(part.len() + part.len() / 16 + 8);
            part.reserve_exact(wanted - part.len());
        }
        part.push(row);
    }

    /// Sorts the rows. If several rows have the same label, only the last is kept. Also returns the labels that
    /// occurred more than once.
    fn sorted(mut self) -> (Vec<Vec<RowId>>, Vec<u64>) {
        let rows: usize = self.parts.iter().map(Vec::len).sum();
        let parts = Mutex::new(self.parts.iter_mut());
        let repeated = Mutex::new(Vec::new());
        let work = || {
            while let Some(part) = { parts.lock().unwrap_or_else(PoisonError::into_inner).next() } {
                let labels = sort(part);
                repeated.lock().unwrap_or_else(PoisonError::into_inner).extend(labels);
            }
        };
        let others = if rows < ROWS_FOR_THREADS { 0 } else { threads() - 1 };
        std::thread::scope(|scope| {
            for _ in 0..others {
                // If no thread can be started, the calling thread does all the work.
                let _ = std::thread::Builder::new().name("recovery".to_owned()).spawn_scoped(scope, work);
            }
            work();
        });
        (self.parts, repeated.into_inner().unwrap_or_else(PoisonError::into_inner))
    }
}

fn part_of(label: u64) -> usize {
    (label >> (64 - PARTS.trailing_zeros())) as usize
}

/// Sorts a part, and keeps only the last row of each label. Returns the labels that occurred more than once.
fn sort(part: &mut Vec<RowId>) -> Vec<u64> {
    let mut repeated = Vec::new();
    // The sort is stable, so rows with the same label stay in the order of their lines.
    part.sort_by_key(|row| row.label);
    part.dedup_by(|later, kept| {
        let is_same = later.label == kept.label;
        if is_same {
            *kept = *later;
            repeated.push(later.label);
        }
        is_same
    });
    part.shrink_to_fit();
    repeated
}

/// The state of each row after the earlier runs.
#[derive(Clone, Debug, Default)]
pub struct DoneSet {
    /// The answered rows, divided into parts. The rows are sorted by label, and each label has only one row. An empty
    /// set has no parts. Ten million rows need 160 MB, so copies of the set share the parts.
    answered: Arc<[Vec<RowId>]>,
    len: usize,
    failed: Arc<HashMap<u64, (u64, ErrorClass)>>,
}

impl DoneSet {
    /// Makes the set from the answered rows, and from those failures that still count. Also returns the labels that
    /// have several answers.
    pub(crate) fn new(answered: AnsweredRows, failed: HashMap<u64, (u64, ErrorClass)>) -> (Self, Vec<u64>) {
        let (parts, repeated) = answered.sorted();
        let len = parts.iter().map(Vec::len).sum();
        (Self { answered: parts.into(), len, failed: Arc::new(failed) }, repeated)
    }

    /// Returns the state of a row after the earlier runs. An answered row is always [`RowState::Done`], even if its
    /// answer is truncated or refused.
    pub fn state(&self, row: RowId, identity: &Identity) -> RowState {
        let old = self.find(row.label);
        if old == Some(row) {
            return RowState::Done;
        }
        match self.failed.get(&row.label) {
            Some((key, class)) if *key == row.key && *class != ErrorClass::Canceled => return RowState::Failed(*class),
            Some(_) | None => {}
        }
        match (old, identity) {
            (Some(old), Identity::Named) => RowState::Changed { old_key: old.key_part() },
            (Some(_), Identity::Nth(_)) | (None, _) => RowState::New,
        }
    }

    /// Returns whether any request with this label has an answer.
    pub(crate) fn has_answer(&self, label: u64) -> bool {
        self.find(label).is_some()
    }

    /// Returns the answered row of a label.
    ///
    /// This is an interpolation search. Labels are hashes, so they are evenly distributed, and the position of a label
    /// can be estimated from its value. The search makes three estimates. Each estimate reduces `n` possible rows to a
    /// small multiple of `√n` rows. With ten million rows, a plain binary search would wait for memory about twenty
    /// times. A wrong estimate only costs time.
    pub(crate) fn find(&self, label: u64) -> Option<RowId> {
        const ESTIMATES: usize = 3;
        let mut piece = &self.answered.get(part_of(label))?[..];
        for _ in 0..ESTIMATES {
            let (first, last) = (piece.first()?.label, piece.last()?.label);
            if !(first..=last).contains(&label) {
                return None;
            }
            let share = u128::from(label - first) * (piece.len() as u128 - 1) / u128::from(last - first).max(1);
            let (at, margin) = (share as usize, 2 * piece.len().isqrt() + 2);
            let (from, to) = (at.saturating_sub(margin), piece.len().min(at + margin + 1));
            // If the estimate is wrong by more than the margin, a binary search continues in all rows that are left.
            if piece[from].label > label || piece[to - 1].label < label {
                break;
            }
            piece = &piece[from..to];
        }
        piece.binary_search_by_key(&label, |row| row.label).ok().map(|at| piece[at])
    }

    /// Returns how many rows have an answer.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether no row has an answer.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_is_found_even_when_labels_are_not_spread_evenly() {
        let even = (0..5_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let crowded = (0..3_000_u64).chain([u64::MAX - 1, u64::MAX]);
        let squares = (0..3_000_u64).map(|n| n.pow(5));
        for labels in [even.collect(), crowded.collect(), squares.collect(), vec![], vec![7]] as [Vec<u64>; 5] {
            let rows = labels.iter().map(|&label| RowId { label, key: label / 3 });

            let (set, _) = DoneSet::new(answered(rows, 0), HashMap::new());

            assert!(labels.iter().all(|&label| set.find(label) == Some(RowId { label, key: label / 3 })));
            let missing = labels.iter().map(|label| label.wrapping_add(1)).filter(|next| !labels.contains(next));
            assert!(missing.into_iter().all(|label| set.find(label).is_none()));
        }
    }

    #[test]
    fn only_the_last_row_of_a_label_is_kept() {
        let rows: u64 = 3 * ROWS_FOR_THREADS as u64;
        let label = |row: u64| (row % (rows / 3)).wrapping_mul(0x9e37_79b9_7f4a_7c15);

        let (set, mut repeated) =
            DoneSet::new(answered((0..rows).map(|row| RowId { label: label(row), key: row }), rows), HashMap::new());

        repeated.sort_unstable();
        repeated.dedup();
        assert_eq!((set.len() as u64, repeated.len() as u64), (rows / 3, rows / 3));
        assert!((2 * rows / 3..rows).all(|row| set.find(label(row)) == Some(RowId { label: label(row), key: row })));
    }

    #[test]
    fn a_set_takes_about_16_bytes_per_row() {
        let rows = 1_000_000;
        let mut answered = AnsweredRows::default();
        answered.expect(rows);

        (0..rows).for_each(|n| answered.push(RowId { label: n.wrapping_mul(0x9e37_79b9_7f4a_7c15), key: n }));

        let reserved: usize = answered.parts.iter().map(Vec::capacity).sum();
        assert!((reserved as u64) < rows + rows / 20, "{reserved}");
    }

    fn answered(rows: impl Iterator<Item = RowId>, expected: u64) -> AnsweredRows {
        let mut answered = AnsweredRows::default();
        answered.expect(expected);
        rows.for_each(|row| answered.push(row));
        answered
    }
}
