//! The command that asks again for answers that were not accepted.

use super::failures::FailedInLog;
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::domain::ErrorClass;
use crate::report::{PrintedCommand, Stats, failures};
use crate::runner::input::Survey;

/// A truncated answer should get this many times the tokens that it had.
const MORE: u32 = 4;
/// How many tokens a truncated answer should get if nothing is known about its request. It is [`MORE`] times the
/// default of `max_tokens`.
const USUAL: u32 = 4_096;

impl NewRun<'_> {
    /// Returns the most useful command for the failed rows; `None` if no command helps.
    ///
    /// Rows that may succeed unchanged come first. If there are none, the command asks again for the truncated answers,
    /// with room for longer ones, or for the answers that can't be used. It asks for the kind of which there are more.
    pub(super) fn command_for_failures(
        &self,
        log: &FailedInLog,
        stats: &Stats,
        survey: Option<&Survey>,
        catalog: &Catalog,
    ) -> Option<PrintedCommand> {
        // A row that failed when it was asked again keeps its old answer, so `resume` does not run it.
        let again = failures::worth_asking_again(log).filter(|_| self.config.rerun.is_empty());
        self.resume_command(log, stats).or_else(|| match again? {
            ErrorClass::Truncated => {
                let tokens = self.longer(stats, survey, catalog)?;
                Some(self.commands.resume_longer(&self.paths, tokens))
            }
            class => Some(self.commands.resume(&self.paths, Some(class.name()))),
        })
    }

    /// Returns how many tokens truncated answers should get: four times as many as before, but not more than all models
    /// of the run accept. `None` if that is not more than before.
    fn longer(&self, stats: &Stats, survey: Option<&Survey>, catalog: &Catalog) -> Option<u32> {
        let before = failures::longest_truncated(stats).or(self.config.request.max_tokens);
        let names = survey.into_iter().flat_map(|survey| survey.models.keys().map(|name| &**name));
        let names = names.chain(self.config.request.model.as_deref());
        let accepted = names.filter_map(|name| Some(catalog.model(name)?.max_output_tokens)).min();
        let wanted = before.map_or(USUAL, |before| before.saturating_mul(MORE));
        let tokens = wanted.min(accepted.unwrap_or(u32::MAX));
        (tokens > before.unwrap_or(0)).then_some(tokens)
    }
}
