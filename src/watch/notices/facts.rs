//! Facts about a run that notices contain and events do not contain.

use super::decide::Purse;
use crate::domain::Money;
use crate::report::Stats;

/// Facts about a run that notices contain and events do not contain.
#[derive(Clone, Debug, Default)]
pub(crate) struct RunFacts {
    /// The name of the run: the name of its results file without the folder, or of its input.
    pub(crate) name: String,
    /// The path of the results file; `None` if the results go to standard output.
    pub(crate) results: Option<String>,
    /// What earlier runs with the same results have spent.
    pub(crate) before: Money,
    /// `--max-cost` at the start of the run.
    pub(crate) max_cost: Option<Money>,
}

impl RunFacts {
    /// Returns `--max-cost` at this moment.
    pub(super) fn max_cost_at(&self, stats: &Stats) -> Option<Money> {
        self.purse().most_at(stats)
    }

    /// Returns the money that the decider knows.
    pub(super) fn purse(&self) -> Purse {
        Purse { before: self.before, most: self.max_cost }
    }
}
