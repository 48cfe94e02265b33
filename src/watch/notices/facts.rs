//! The facts about a run that notices need, and that no event of the run contains.

use super::decide::Purse;
use crate::domain::Money;
use crate::report::{FileRows, Outside, Stats};

/// The facts about a run that notices need, and that no event of the run contains.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunFacts {
    /// The name of the run: the name of its results file (without the folder) or the name of its input.
    pub(crate) name: String,
    /// The path of the results file; `None` if the results go to standard output.
    pub(crate) results: Option<String>,
    /// The money that earlier runs with the same results file have spent.
    pub(crate) before: Money,
    /// `--max-cost` at the start of the run.
    pub(crate) max_cost: Option<Money>,
    /// The rows of the file that the run does not work on; `None` if it works on the whole file.
    pub(crate) outside: Option<Outside>,
}

impl RunFacts {
    /// Returns the number of rows of the file and how many of them are done, over this run and all earlier runs. The
    /// first number is `None` if it is not known.
    pub(super) fn rows(&self, stats: &Stats) -> (Option<u64>, u64) {
        let rows = FileRows::of(stats, 0, self.outside.as_ref());
        (rows.total, rows.done())
    }

    /// Returns the current value of `--max-cost`, which can be changed during the run.
    pub(super) fn max_cost_at(&self, stats: &Stats) -> Option<Money> {
        self.purse().most_at(stats)
    }

    /// Returns the amounts of money that are needed to decide about notices.
    pub(super) fn purse(&self) -> Purse {
        Purse { before: self.before, most: self.max_cost }
    }
}
