//! What the summary needs in addition to the events.

use std::collections::BTreeMap;

use crate::domain::{ErrorClass, Money, Usage};

/// How the summary at the end of a run is shown (`--summary`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SummaryKind {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object, as the last line.
    Json,
    /// No summary.
    None,
}

/// What the summary needs in addition to the events.
#[derive(Clone, Debug, Default)]
pub(crate) struct SummaryContext {
    /// The results file; `None` if results went to standard output.
    pub results: Option<String>,
    /// The path of the error log, if the log is not empty.
    pub errors: Option<String>,
    /// The path of the output that was made from the results; `None` if the results file is the output.
    pub output: Option<String>,
    /// Rows in the error log, by class. Rows of earlier runs are included.
    pub failed_in_log: BTreeMap<ErrorClass, u64>,
    /// The command that runs failed rows again. It selects the rows that may succeed unchanged. If there are none, it
    /// selects rows whose answers may be better with other settings. `None` if no command helps.
    pub resume_command: Option<PrintedCommand>,
    /// The command that asks again for truncated answers, with room for longer ones.
    pub longer_command: Option<PrintedCommand>,
    /// The command that continues with pending rows.
    pub rerun_command: Option<PrintedCommand>,
    /// The command that shows the answers; `None` if they were written elsewhere.
    pub answers_command: Option<PrintedCommand>,
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
    /// Whether a chart made of block characters can be shown.
    pub has_chart: bool,
}

/// A command that is printed for the user.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PrintedCommand {
    /// The command as it is typed in a shell, with quotation marks where they are needed.
    pub text: String,
    /// The program and its arguments, for scripts. An argument that is not UTF-8 is changed.
    pub argv: Vec<String>,
    /// Whether all arguments are there. A secret argument is replaced by a placeholder, which the program refuses.
    pub is_complete: bool,
}

#[cfg(test)]
impl From<&str> for PrintedCommand {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), argv: text.split(' ').map(str::to_owned).collect(), is_complete: true }
    }
}

/// What earlier runs that wrote to the same results used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EarlierRuns {
    /// The tokens.
    pub usage: Usage,
    /// The cost of the usage whose price was known.
    pub cost: Money,
}
