//! Makes messages about the failed rows in the error log.

use std::collections::BTreeMap;

use super::new_run::NewRun;
use crate::domain::ErrorClass;
use crate::journal::Start;
use crate::report::{PrintedCommand, Stats, Verbosity, failures};

/// The number of failed rows of each error class in the error log.
pub(super) type FailedInLog = BTreeMap<ErrorClass, u64>;

impl NewRun<'_> {
    /// Returns the rows of the error log that this run can have read, and the number of the other rows. If every row
    /// that the run read is answered, the log has only other rows: the old form of rows without an id that the user has
    /// corrected, for example, or rows that `--limit` left out. A run of `resume` reads the whole log.
    pub(super) fn split_log(&self, log: &FailedInLog, is_all_answered: bool) -> (FailedInLog, u64) {
        match is_all_answered && self.start != Start::Resume {
            true => (FailedInLog::new(), log.values().sum()),
            false => (log.clone(), 0),
        }
    }

    /// Returns the command that runs failed rows again. The command selects only rows that can succeed without a
    /// change. Returns `None` if no row can succeed without a change.
    pub(super) fn resume_command(&self, log: &FailedInLog, stats: &Stats) -> Option<PrintedCommand> {
        let classes = failures::worth_retrying(log, stats);
        let is_all = log.iter().filter(|(_, rows)| **rows > 0).count() == classes.len();
        let only = classes.iter().map(|class| class.name()).collect::<Vec<_>>().join(",");
        let only = (!is_all).then_some(only.as_str());
        (!classes.is_empty()).then(|| match self.config.rerun.is_empty() {
            true => self.commands.resume(&self.paths, only),
            // In a run with --rerun, a failed row keeps its old answer, so `resume` does not run this row. To ask for a
            // new answer again, the user repeats the command of this run and adds --retry-failed.
            false => self.commands.again_with_failed(),
        })
    }

    /// With `--quiet`, prints one line about the failed rows, because the exit code alone would not explain the
    /// failure.
    pub(super) fn say_failures_if_quiet(&self, log: &FailedInLog, stats: &Stats) {
        let errors = self.paths.errors.display().to_string();
        if let Some(said) =
            failures::in_one_line(log, stats, &errors).filter(|_| self.config.verbosity == Verbosity::Quiet)
        {
            self.tell_whole(&format!("claude-batch: {said}"));
        }
    }
}
