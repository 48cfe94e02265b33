//! From how many places an input is read, and where they are.
//!
//! The survey keeps the sizes of all rows to be sent, summed in about a thousand blocks, and where each block begins.
//! [`Layout::advise`] decides by [`Sizes::advise`] whether reading from several of those places in turn saves time.
//!
//! Each place gives one row to be sent in its turn; rows that are not sent come before the next that is. A place ends
//! exactly where the next begins. If it does not, the file has changed since the survey, and the reading stops before a
//! row is confused with another.
//!
//! Unnamed rows with the same request are distinguished by how many of them came before, in the order of the file. So
//! an input with such rows is read as it is written.

use crate::domain::{Cost, PoolId, RateLimits};
use crate::plan::Repeats;
use crate::scheduler::order::{ReadingOrder, Sizes};

use super::InputPlan;
use super::reading::{Mark, Reading};

/// Sizes of rows along an input, and where they stand.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    sizes: Sizes,
    /// Where each block of sizes begins.
    marks: Vec<Mark>,
}

impl Layout {
    /// Takes in the next row to be sent.
    pub(super) fn add(&mut self, mark: Mark, pool: &PoolId, cost: Cost) {
        let begins_block = self.sizes.add(pool, cost);
        if begins_block {
            self.marks.push(mark);
        }
        if self.marks.len() > self.sizes.blocks() {
            // Each two blocks have become one, and then one more was begun.
            let begun = self.marks.pop();
            self.marks = self.marks.iter().copied().step_by(2).chain(begun).collect();
        }
    }

    /// Returns the places to read from under these limits, and what it gains; `None` to read from the first row to the
    /// last.
    pub fn advise(&self, repeats: &Repeats, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Option<Places> {
        let (order, gain) = self.sizes.advise(limits_of);
        let is_in_turn = matches!(order, ReadingOrder::Interleaved { .. });
        let starts = order.starts(self.marks.len() as u64);
        (is_in_turn && repeats.is_empty())
            .then(|| Places { starts: starts.into_iter().map(|block| self.marks[block as usize]).collect(), gain })
    }
}

/// Places of an input that are read in turn; at least two, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Places {
    starts: Vec<Mark>,
    gain: f64,
}

impl Places {
    /// Returns how many there are.
    pub fn count(&self) -> usize {
        self.starts.len()
    }

    /// Returns by what share the run is expected to be shorter than in the written order, 0 to 1.
    pub(crate) fn share_saved(&self) -> f64 {
        1.0 - 1.0 / self.gain.max(1.0)
    }

    /// Returns a reading for each place, from its first row to the next place's.
    pub(super) fn readings(&self, plan: &InputPlan) -> Vec<Reading> {
        let starts = self.starts.iter().enumerate().map(|(place, &start)| match place {
            // What stands before the first row to be sent belongs to the first place.
            0 => None,
            _ => Some(start),
        });
        let ends = self.starts.iter().skip(1).copied().map(Some).chain([None]);
        starts.zip(ends).map(|(start, end)| Reading::between(plan, start, end)).collect()
    }
}
