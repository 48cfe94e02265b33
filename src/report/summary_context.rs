//! What the summary needs in addition to the events of the run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::file_rows::{FileRows, Outside};
use super::stats::Stats;
use crate::domain::{ErrorClass, Money, Usage};

/// The format of the summary at the end of a run (`--summary`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SummaryKind {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object, as the last line that the program prints.
    Json,
    /// No summary.
    None,
}

/// What the summary needs in addition to the events of the run.
#[derive(Clone, Debug, Default)]
pub(crate) struct SummaryContext {
    /// The path of the results file; `None` if the results were written to standard output.
    pub results: Option<String>,
    /// The path of the error log, if the log is not empty.
    pub errors: Option<String>,
    /// The path of the output that was made from the results; `None` if the results file is the output.
    pub output: Option<String>,
    /// The number of rows in the error log, by error class. Rows of earlier runs are included.
    pub failed_in_log: BTreeMap<ErrorClass, u64>,
    /// The number of rows in the error log that the run did not read. This number is only known if every row that the
    /// run read is answered; otherwise, it is 0.
    pub failed_elsewhere: u64,
    /// The command that runs failed rows again. The command selects the rows that may succeed if they are sent again
    /// unchanged. If there are no such rows, the command selects the rows whose answers may be better with other
    /// settings. `None` if there is nothing to run again.
    pub resume_command: Option<PrintedCommand>,
    /// The command that asks again for truncated answers, with a larger `max_tokens`.
    pub longer_command: Option<PrintedCommand>,
    /// The command that resumes the run for its pending rows.
    pub rerun_command: Option<PrintedCommand>,
    /// The command that shows the answers. `None` if the answers were written to standard output or to another output
    /// file.
    pub answers_command: Option<PrintedCommand>,
    /// The date of the prices, from the catalog.
    pub price_date: Option<String>,
    /// The run's models that have no known price.
    pub unpriced_models: Vec<String>,
    /// How many attempts of this run were possibly billed although no answer was kept.
    pub maybe_paid: u64,
    /// How many attempts of the previous run were possibly billed although no answer was kept. The number is 0 if the
    /// previous run was not cut short.
    pub maybe_paid_before: u64,
    /// How many attempts of all earlier runs were possibly billed although no answer was kept. The number is taken from
    /// the files of these runs. Attempts in `maybe_paid_before` are left out.
    pub maybe_paid_earlier: u64,
    /// The number of rows that failed in earlier runs.
    pub failed_before: u64,
    /// The rows of the file that this run does not work on; `None` if it works on the whole file.
    pub outside: Option<Outside>,
    /// The tokens and the cost of earlier runs; `None` if they used no tokens.
    pub earlier: Option<EarlierRuns>,
    /// The number of answers that earlier runs got from each provider. The largest number comes first.
    pub answers_by: Vec<(String, u64)>,
    /// The largest number of requests in flight, if the user set it; otherwise `None`.
    pub concurrency: Option<usize>,
    /// Whether the run used the simulator.
    pub is_simulated: bool,
    /// Whether the terminal can show a chart made of block characters.
    pub has_chart: bool,
}

impl SummaryContext {
    /// Returns the numbers of rows of the file, over this run and all earlier runs.
    pub(super) fn rows(&self, stats: &Stats) -> FileRows {
        FileRows::of(stats, self.failed_before, self.outside.as_ref())
    }
}

/// A command that is printed for the user. The run folder also contains such commands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct PrintedCommand {
    /// The command as text for a shell, with quotation marks where a shell needs them.
    pub text: String,
    /// The program and its arguments, for scripts. In an argument that is not valid UTF-8, the invalid bytes are
    /// replaced.
    pub argv: Vec<String>,
    /// Whether the command contains all its arguments. The value is false if a placeholder replaces a secret argument.
    /// The program does not accept this placeholder.
    pub is_complete: bool,
}

#[cfg(test)]
impl From<&str> for PrintedCommand {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned(), argv: text.split(' ').map(str::to_owned).collect(), is_complete: true }
    }
}

/// The tokens and the cost of earlier runs with the same results file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EarlierRuns {
    /// The tokens.
    pub usage: Usage,
    /// The cost of all usage with a known price.
    pub cost: Money,
}
