//! What the summary needs in addition to the events.

use std::collections::BTreeMap;

use crate::domain::{ErrorClass, Money, Usage};

/// What the summary needs in addition to the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct SummaryContext {
    /// The results file; `None` if results went to standard output.
    pub results: Option<String>,
    /// The path of the error log, if the log is not empty.
    pub errors: Option<String>,
    /// Rows in the error log, by class. Rows of earlier runs are included.
    pub failed_in_log: BTreeMap<ErrorClass, u64>,
    /// The command that runs failed rows again. It selects the rows that may succeed unchanged. If there are none, it
    /// selects rows whose answers may be better with other settings. `None` if no command helps.
    pub resume_command: Option<String>,
    /// The command that asks again for truncated answers, with room for longer ones.
    pub longer_command: Option<String>,
    /// The command that continues with pending rows.
    pub rerun_command: Option<String>,
    /// The date of the prices, from the catalog.
    pub price_date: Option<String>,
    /// Models of the run that have no price.
    pub unpriced_models: Vec<String>,
    /// Attempts of this run that may have been billed and whose answer was not kept.
    pub maybe_paid: u64,
    /// The same number for the run before this one, if that run was cut short.
    pub maybe_paid_before: u64,
    /// The same number for all earlier runs, without the attempts in `maybe_paid_before`. Only attempts that are known
    /// from lines or counts are included.
    pub maybe_paid_earlier: u64,
    /// The number of rows that failed in earlier runs.
    pub failed_before: u64,
    /// What earlier runs used; `None` if they used nothing.
    pub earlier: Option<EarlierRuns>,
    /// How many answers earlier runs got from each provider, the largest number first.
    pub answers_by: Vec<(String, u64)>,
    /// How many requests may be in flight at the same time, if the user set this number.
    pub concurrency: Option<usize>,
    /// Whether the run used the simulator.
    pub is_simulated: bool,
}

/// What earlier runs that wrote to the same results used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EarlierRuns {
    /// The tokens.
    pub usage: Usage,
    /// The cost of the usage whose price was known.
    pub cost: Money,
}
