//! The places in the input from which rows are read alternately.
//!
//! The survey (the first reading) divides the rows to be sent into about a thousand blocks. For each block, the survey
//! keeps the place where the block begins and the sum of the sizes of its rows. [`Layout::advise`] uses
//! [`Sizes::advise`] to decide whether reading alternately from several places saves time.
//!
//! In each round, each place gives one row to be sent. At each place, reading continues up to and including the next
//! row to be sent. The rows of one place end exactly where the next place begins. If the rows of one place end before
//! or after the beginning of the next place, the file has changed since the survey. The program then stops reading,
//! because it could mistake one row for another.
//!
//! Unnamed rows with the same request are distinguished only by their order in the file. For this reason, an input with
//! equal unnamed rows is read from the first row to the last.

use crate::domain::{Cost, PoolId, RateLimits};
use crate::plan::Repeats;
use crate::scheduler::order::{ReadingOrder, Sizes};

use super::InputPlan;
use super::reading::{Reading, RowPlace};

/// The sizes and places of the rows to be sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layout {
    sizes: Sizes,
    /// The place of the first row of each block.
    begins: Vec<RowPlace>,
}

impl Layout {
    /// Adds the place and the cost of the next row to be sent.
    pub(super) fn add(&mut self, place: RowPlace, pool: &PoolId, cost: Cost) {
        let begins_block = self.sizes.add(pool, cost);
        if begins_block {
            self.begins.push(place);
        }
        if self.begins.len() > self.sizes.blocks() {
            // `Sizes` has merged each pair of blocks into one block and then begun a new block. So for each pair, only
            // the place of the first block is kept.
            let begun = self.begins.pop();
            self.begins = self.begins.iter().copied().step_by(2).chain(begun).collect();
        }
    }

    /// Returns the places from which the input should be read if these limits apply; `None` if the rows should be read
    /// in the order of the input.
    pub(crate) fn advise(&self, repeats: &Repeats, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Option<Places> {
        let (order, gain) = self.sizes.advise(limits_of);
        let is_in_turn = matches!(order, ReadingOrder::Interleaved { .. });
        let starts = order.starts(self.begins.len() as u64);
        (is_in_turn && repeats.is_empty())
            .then(|| Places { starts: starts.into_iter().map(|block| self.begins[block as usize]).collect(), gain })
    }
}

/// The places from which the rows of an input are read alternately: one row from each place in turn. There are at least
/// two places. The places are in the order of the file.
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

    /// Returns how much time the run probably saves if rows are read from these places and not in the order of the
    /// file. The result is a share of the run's time, from 0 to 1.
    pub(crate) fn share_saved(&self) -> f64 {
        1.0 - 1.0 / self.gain.max(1.0)
    }

    /// Returns a `Reading` of the input for each place. Each reading ends before the first row of the next place.
    pub(super) fn readings(&self, plan: &InputPlan) -> Vec<Reading> {
        let starts = self.starts.iter().enumerate().map(|(place, &start)| match place {
            // The first reading begins at the start of the input, so it also includes the rows before the first row to
            // be sent.
            0 => None,
            _ => Some(start),
        });
        let ends = self.starts.iter().skip(1).copied().map(Some).chain([None]);
        starts.zip(ends).map(|(start, end)| Reading::between(plan, start, end)).collect()
    }
}
