//! The done-set: which rows have an answer, which have failed, in 16 bytes for each answered row.
//!
//! A row's latest line counts: when a changed row was run again, only its latest answer is its answer.

use std::collections::HashMap;
use std::sync::Arc;

use super::row::{KeyPart, RowId};
use crate::domain::{ErrorClass, Identity, Job};

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

/// Rows of earlier runs.
#[derive(Clone, Debug, Default)]
pub struct DoneSet {
    /// Sorted by label, one for each. Shared, since ten million are 160 MB.
    answered: Arc<Vec<RowId>>,
    failed: Arc<HashMap<u64, (u64, ErrorClass)>>,
}

impl DoneSet {
    /// Makes the set from answered rows in the order of their lines, and the failures that still count.
    pub(super) fn new(mut answered: Vec<RowId>, failed: HashMap<u64, (u64, ErrorClass)>) -> Self {
        answered.sort_by_key(|row| row.label);
        answered.dedup_by(|later, kept| {
            let is_same = later.label == kept.label;
            if is_same {
                *kept = *later;
            }
            is_same
        });
        answered.shrink_to_fit();
        Self { answered: Arc::new(answered), failed: Arc::new(failed) }
    }

    /// Returns what is known of a job's row.
    pub fn state(&self, job: &Job) -> RowState {
        let row = RowId::of(job);
        let old = self.find(row.label);
        if old == Some(row) {
            return RowState::Done;
        }
        match self.failed.get(&row.label) {
            Some((key, class)) if *key == row.key && *class != ErrorClass::Canceled => return RowState::Failed(*class),
            Some(_) | None => {}
        }
        match (old, &job.identity) {
            (Some(old), Identity::Named) => RowState::Changed { old_key: old.key_part() },
            (Some(_), Identity::Nth(_)) | (None, _) => RowState::New,
        }
    }

    /// Returns the answered row of a label.
    ///
    /// Labels are hashes, so they lie evenly: where one stands among its neighbours is guessed from its value, three
    /// times, each in a piece about as long as the root of the one before. Halving from the start would wait for memory
    /// twenty times among ten million rows. A guess that is off costs time and nothing else.
    fn find(&self, label: u64) -> Option<RowId> {
        const GUESSES: usize = 3;
        let mut piece = &self.answered[..];
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
        self.answered.len()
    }

    /// Returns whether no row has an answer.
    pub fn is_empty(&self) -> bool {
        self.answered.is_empty()
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
            let rows = labels.iter().map(|&label| RowId { label, key: label / 3 }).collect();

            let set = DoneSet::new(rows, HashMap::new());

            assert!(labels.iter().all(|&label| set.find(label) == Some(RowId { label, key: label / 3 })));
            let missing = labels.iter().map(|label| label.wrapping_add(1)).filter(|next| !labels.contains(next));
            assert!(missing.into_iter().all(|label| set.find(label).is_none()));
        }
    }
}
