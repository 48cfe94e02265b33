//! Ends runs before anything is sent, and prints messages instead of a summary.

use std::sync::Arc;

use anyhow::Result;

use super::super::exit::Exit;
use super::super::purse::Purse;
use super::failures::FailedInLog;
use super::files::Opened;
use super::new_run::NewRun;
use crate::catalog::Catalog;
use crate::forecast::Forecast;
use crate::journal::{Recovered, Start};
use crate::report::text::{count, escape, plural};
use crate::report::{Stats, billed_twice_words, failures};
use crate::runner::input::Survey;

impl NewRun<'_> {
    /// Prints that the input has no rows, and returns the exit code.
    pub(super) fn end_without_rows(&self) -> Result<Exit> {
        let inputs = self.input_names();
        self.say(&match self.config.source.skip {
            0 => format!("nothing to do: no rows in {inputs}"),
            skip => format!("nothing to do: no rows in {inputs} after the first {} (--skip)", count(skip)),
        });
        let exit = Ok(Exit::Done);
        self.end_idle_with_document(None, FailedInLog::new(), &exit, None);
        exit
    }

    /// Ends a `resume` whose error log has no rows.
    pub(super) fn end_without_failures(&self, why: &str) -> Result<Exit> {
        self.say(&format!("nothing to do: {why}"));
        let exit = Ok(Exit::Done);
        self.end_idle_with_document(None, FailedInLog::new(), &exit, None);
        exit
    }

    /// Ends a dry run: prints what a run would send.
    pub(super) fn end_dry_run(
        &self,
        survey: Option<&Survey>,
        forecast: Option<&Forecast>,
        catalog: &Catalog,
        purse: Purse,
    ) -> Result<Exit> {
        self.announce(survey, forecast, catalog, purse);
        self.say("dry run: nothing was sent");
        Ok(if survey.is_some_and(|survey| survey.damage.is_some()) { Exit::Usage } else { Exit::Done })
    }

    /// Ends a run whose rows are all finished: prints what its files contain, and makes its output.
    pub(super) fn end_with_nothing_to_send(
        &self,
        survey: &Survey,
        opened: Opened,
        recovered: &Recovered,
        catalog: &Arc<Catalog>,
    ) -> Result<Exit> {
        if matches!(opened, Opened::Run(_)) && survey.damage.is_none() {
            self.record_nothing_to_send(recovered, survey)?;
        }
        let log = match opened {
            Opened::Run(journal) => journal.close(self.input_read(survey.damage.is_none()), false)?.failed,
            Opened::DryRun(looked) => looked.failed(),
        };
        let (of_input, elsewhere) = self.split_log(&log, survey.rows > 0 && survey.done == survey.rows);
        let failed: u64 = of_input.values().sum();
        let errors = escape(&self.paths.errors.display().to_string()).into_owned();
        let results = self.paths.results.as_deref().map(|path| escape(&path.display().to_string()).into_owned());
        let mut said = match (self.start, failed) {
            (Start::Resume, 0) => format!("nothing to do: no rows in {errors}"),
            (Start::Resume, _) => format!("nothing to do: no row in {errors} needs to be run again"),
            _ if let Some(said) = self.nothing_to_rerun() => said,
            (_, 0) if survey.done > 0 => {
                format!("nothing to do: all {} are answered", plural(survey.done, "row", "rows"))
            }
            _ => {
                // The error log also has the failed rows that --skip and --limit leave out.
                let own = if self.part.outside.is_some() { survey.failed_before } else { failed };
                format!("nothing to do: {} answered, {} failed", count(survey.done), count(own))
            }
        };
        if let Some(results) = results {
            said.push_str(&format!("; the answers are in {results}"));
        }
        self.say(&said);
        if recovered.dead_in_flight > 0 {
            let answers = billed_twice_words(recovered.dead_in_flight);
            self.say(&format!("{answers}, because an earlier run was cut short"));
        }
        match self.start {
            Start::Resume if self.unreadable > 0 => self.say(&format!(
                "{} in {errors} could not be read and can't be run again: correct the input and run it again",
                plural(self.unreadable, "row", "rows")
            )),
            Start::Continue | Start::Fresh if failed > 0 => {
                let again = self.command_for_failures(&of_input, &Stats::default(), Some(survey), catalog);
                self.say_what_to_do(&of_input, &errors, again.map(|again| again.text));
            }
            _ if elsewhere > 0 => {
                self.say(&format!("there is an error log {errors} {}", failures::elsewhere(elsewhere)))
            }
            _ => {}
        }
        self.say_failures_if_quiet(&of_input, &Stats::default());
        let made = self.make_output(catalog, Some(&survey.repeats));
        let damage = survey.damage.as_deref().filter(|_| made.is_ok());
        damage.iter().for_each(|damage| self.say_input_error(damage));
        let exit = made.map(|()| if damage.is_some() { Exit::Usage } else { Exit::of_run(None, 0, failed) });
        if !self.config.dry_run {
            self.end_idle_with_document(Some((survey, recovered)), log, &exit, damage);
        }
        exit
    }

    /// Prints where the failed rows are, and how the user can run them again. This function is for a run that does not
    /// send the failed rows.
    fn say_what_to_do(&self, log: &FailedInLog, errors: &str, again: Option<String>) {
        match again {
            Some(again) => self.say_whole(&format!("the failures are in {errors}; to try them again: {again}")),
            None => self.say(&format!("the failures are in {errors}")),
        }
        failures::to_change(log, &Stats::default()).iter().for_each(|text| self.say(text));
    }
}
