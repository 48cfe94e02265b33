//! The facts about a run that notices need, and that no event of the run contains.

use super::decide::Purse;
use crate::domain::Money;
use crate::report::Stats;

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
}

impl RunFacts {
    /// Returns the current value of `--max-cost`, which can be changed during the run.
    pub(super) fn max_cost_at(&self, stats: &Stats) -> Option<Money> {
        self.purse().most_at(stats)
    }

    /// Returns the amounts of money that are needed to decide about notices.
    pub(super) fn purse(&self) -> Purse {
        Purse { before: self.before, most: self.max_cost }
    }
}
