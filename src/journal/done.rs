//! The done-set: which rows have an answer, which have failed, in 16 bytes for each answered row.
//!
//! A row's latest line counts: when a changed row was run again, only its latest answer is its answer.
//!
//! The rows lie in parts, told apart by the first bits of their labels, which are hashes. Each part grows and is sorted
//! by itself, so that neither takes the memory of the whole set twice for a moment, and the parts are sorted side by side.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::blocks::threads;
use crate::domain::{ErrorClass, Identity, KeyPart, RowId};

/// What earlier runs know of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowState {
    /// Nothing that matters: to be run.
    New,
    /// It has an answer.
    Done,
    /// It failed for good, in this class; run again only when asked.
    Failed(ErrorClass),
    /// A row of this name has an answer, to another request.
    Changed {
        /// The beginning of that request's key.
        old_key: KeyPart,
    },
}

/// Parts of the set.
const PARTS: usize = 256;
/// Rows from which on a second thread is worth its start.
const ROWS_FOR_THREADS: usize = 50_000;

/// Answered rows on their way into a set.
pub(super) struct Answered {
    parts: Vec<Vec<RowId>>,
    /// How many rows are expected in the end.
    expected: u64,
}

impl Default for Answered {
    fn default() -> Self {
        Self { parts: (0..PARTS).map(|_| Vec::new()).collect(), expected: 0 }
    }
}

impl Answered {
    /// Tells how many rows there will be in the end, as far as one can know: memory is asked for by that, not by
    /// doubling.
    pub(super) fn expect(&mut self, rows: u64) {
        self.expected = rows;
    }

    /// Adds a row, in the order of lines.
    pub(super) fn push(&mut self, row: RowId) {
        let part = &mut self.parts[part_of(row.label)];
        if part.len() == part.capacity() {
            // Hashes lie evenly: few parts hold a fiftieth more than their share.
            let share = usize::try_from(self.expected).unwrap_or(usize::MAX) / PARTS;
            let wanted = (share + share / 50 + 8).max(part.len() + part.len() / 16 + 8);
            part.reserve_exact(wanted - part.len());
        }
        part.push(row);
    }

    /// Sorts the rows; of several with one label, the last that was added stays. Returns the labels of those, too.
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
                // Where no thread can be started, this one does all the work.
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

/// Sorts a part; returns the labels that more than one row had.
fn sort(part: &mut Vec<RowId>) -> Vec<u64> {
    let mut repeated = Vec::new();
    // Stable, so that of equal labels the last stays behind.
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

/// Rows of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct DoneSet {
    /// Sorted by label, one for each, in parts; no parts when there are none. Shared, since ten million are 160 MB.
    answered: Arc<[Vec<RowId>]>,
    len: usize,
    failed: Arc<HashMap<u64, (u64, ErrorClass)>>,
}

impl DoneSet {
    /// Makes the set from answered rows and the failures that still count. Returns the labels of the rows that were answered
    /// more than once, too.
    pub(super) fn new(answered: Answered, failed: HashMap<u64, (u64, ErrorClass)>) -> (Self, Vec<u64>) {
        let (parts, repeated) = answered.sorted();
        let len = parts.iter().map(Vec::len).sum();
        (Self { answered: parts.into(), len, failed: Arc::new(failed) }, repeated)
    }

    /// Returns what is known of a row.
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

    /// Returns whether a row of this label has an answer, to whatever request.
    pub(super) fn has_answer(&self, label: u64) -> bool {
        self.find(label).is_some()
    }

    /// Returns the answered row of a label.
    ///
    /// Labels are hashes, so they lie evenly: where one stands among its neighbours is guessed from its value, three
    /// times, each in a piece about as long as the root of the one before. Halving from the start would wait for memory
    /// twenty times among ten million rows. A guess that is off costs time and nothing else.
    fn find(&self, label: u64) -> Option<RowId> {
        const GUESSES: usize = 3;
        let mut piece = &self.answered.get(part_of(label))?[..];
        for _ in 0..GUESSES {
            let (first, last) = (piece.first()?.label, piece.last()?.label);
            if !(first..=last).contains(&label) {
                return None;
            }
            let share = u128::from(label - first) * (piece.len() as u128 - 1) / u128::from(last - first).max(1);
            let (at, margin) = (share as usize, 2 * piece.len().isqrt() + 2);
            let (from, to) = (at.saturating_sub(margin), piece.len().min(at + margin + 1));
            // Where the guess is off by more than the margin, the whole piece is searched.
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
    fn every_label_is_found_however_they_lie() {
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
    fn of_equal_labels_the_last_stays_and_the_others_are_gone() {
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
    fn a_set_takes_hardly_more_than_16_bytes_a_row() {
        let rows = 1_000_000;
        let mut answered = Answered::default();
        answered.expect(rows);

        (0..rows).for_each(|n| answered.push(RowId { label: n.wrapping_mul(0x9e37_79b9_7f4a_7c15), key: n }));

        let reserved: usize = answered.parts.iter().map(Vec::capacity).sum();
        assert!((reserved as u64) < rows + rows / 20, "{reserved}");
    }

    fn answered(rows: impl Iterator<Item = RowId>, expected: u64) -> Answered {
        let mut answered = Answered::default();
        answered.expect(expected);
        rows.for_each(|row| answered.push(row));
        answered
    }
}
