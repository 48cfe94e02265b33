//! The places in the input that are read alternately.
//!
//! The survey divides the rows to be sent into about a thousand blocks. For each block, it keeps the place where the
//! block begins and the sum of the sizes of its rows. [`Layout::advise`] uses [`Sizes::advise`] to decide whether
//! reading alternately from several of these places saves time.
//!
//! The places take turns. In its turn, the rows of a place are read up to and including the next row to be sent. The
//! rows of a place end exactly where the next place begins. If they do not, the file has changed since the survey. In
//! that case reading stops, because one row could be mistaken for another.
//!
//! Unnamed rows with the same request are distinguished only by their order in the file. So an input with such rows is
//! read from the first row to the last.

use crate::domain::{Cost, PoolId, RateLimits};
use crate::plan::Repeats;
use crate::scheduler::order::{ReadingOrder, Sizes};

use super::InputPlan;
use super::reading::{Reading, RowPlace};

/// Sizes and places of the rows of an input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    sizes: Sizes,
    /// The first row of each block.
    begins: Vec<RowPlace>,
}

impl Layout {
    /// Adds the next row to be sent.
    pub(super) fn add(&mut self, place: RowPlace, pool: &PoolId, cost: Cost) {
        let begins_block = self.sizes.add(pool, cost);
        if begins_block {
            self.begins.push(place);
        }
        if self.begins.len() > self.sizes.blocks() {
            // `Sizes` has merged its blocks in pairs and then begun a new block. This code does the same with the
            // places.
            let begun = self.begins.pop();
            self.begins = self.begins.iter().copied().step_by(2).chain(begun).collect();
        }
    }

    /// Returns the places to read from under these limits; `None` if the input should be read from the first row to the
    /// last.
    pub(crate) fn advise(&self, repeats: &Repeats, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Option<Places> {
        let (order, gain) = self.sizes.advise(limits_of);
        let is_in_turn = matches!(order, ReadingOrder::Interleaved { .. });
        let starts = order.starts(self.begins.len() as u64);
        (is_in_turn && repeats.is_empty())
            .then(|| Places { starts: starts.into_iter().map(|block| self.begins[block as usize]).collect(), gain })
    }
}

/// The places at which an input is read alternately: a part at one place, then a part at the next place. There are at
/// least two places. They are in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    starts: Vec<RowPlace>,
    gain: f64,
}

impl Places {
    /// Returns the number of places.
    pub(crate) fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns the share of the time that the run is expected to save compared with reading from the first row to the
    /// last. The share is from 0 to 1.
    pub(crate) fn share_saved(&self) -> f64 {
        1.0 - 1.0 / self.gain.max(1.0)
    }

    /// Returns a reading for each place. A reading ends at the first row of the next place.
    pub(super) fn readings(&self, plan: &InputPlan) -> Vec<Reading> {
        let starts = self.starts.iter().enumerate().map(|(place, &start)| match place {
            // Rows before the first row to be sent also belong to the first place.
            0 => None,
            _ => Some(start),
        });
        let ends = self.starts.iter().skip(1).copied().map(Some).chain([None]);
        starts.zip(ends).map(|(start, end)| Reading::between(plan, start, end)).collect()
    }
}
