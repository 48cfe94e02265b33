//! Finds the command that is most useful for the failed rows of a run.

use super::failures::FailedInLog;
use super::new_run::NewRun;
use super::rerun::raised;
use crate::catalog::Catalog;
use crate::domain::ErrorClass;
use crate::plan::DEFAULT_MAX_TOKENS;
use crate::report::{PrintedCommand, Stats, failures};
use crate::runner::input::Survey;

impl NewRun<'_> {
    /// Returns the most useful command for the failed rows in the error log; `None` if no command helps.
    ///
    /// If some rows can succeed unchanged, the command runs these rows again. If no row can succeed unchanged, the
    /// command sends one of two kinds of rows again. The rows of the first kind have truncated answers, and get a
    /// higher `max_tokens`. The rows of the second kind have answers that break the rules. If there are rows of both
    /// kinds, the command sends the more frequent kind.
    pub(super) fn command_for_failures(
        &self,
        log: &FailedInLog,
        stats: &Stats,
        survey: Option<&Survey>,
        catalog: &Catalog,
    ) -> Option<PrintedCommand> {
        // In a run with --rerun, a failed row keeps its old answer, so `resume` does not run the row again.
        let again = failures::worth_asking_again(log).filter(|_| self.config.rerun.is_empty());
        self.resume_command(log, stats).or_else(|| match again? {
            ErrorClass::Truncated => {
                let tokens = self.longer(stats, survey, catalog)?;
                Some(self.commands.resume_longer(&self.paths, tokens))
            }
            class => Some(self.commands.resume(&self.paths, Some(class.name()))),
        })
    }

    /// Returns the new `max_tokens` for truncated answers. The new value is the lower of two values: four times the old
    /// value, and the highest value that all models of the run accept. Returns `None` if the new value would not be
    /// higher than the old value.
    fn longer(&self, stats: &Stats, survey: Option<&Survey>, catalog: &Catalog) -> Option<u32> {
        let before = failures::longest_truncated(stats).or(self.config.request.max_tokens);
        let names = survey.into_iter().flat_map(|survey| survey.models.keys().map(|name| &**name));
        let names = names.chain(self.config.request.model.as_deref());
        let tokens = raised(before.unwrap_or(DEFAULT_MAX_TOKENS), names, catalog);
        (tokens > before.unwrap_or(0)).then_some(tokens)
    }
}
