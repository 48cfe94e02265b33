//! Collects the facts for the summary at the end of a run, and prints the summary.
//!
//! A text summary is printed directly after the run, before the messages about a stop and about the output. A JSON
//! summary is the last line that the program prints, because the exit code and the files are known only then.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;

use super::super::args::values::Concurrency;
use super::super::exit::Exit;
use super::super::projection::Target;
use super::super::{exit_of, say};
use super::failures::FailedInLog;
use super::new_run::NewRun;
use super::send::Known;
use crate::domain::{EventBody, Money, RunEvent, Usage};
use crate::journal::Recovered;
use crate::report::json::{SummaryEnd, summary_line};
use crate::report::progress::terminal_width;
use crate::report::{EarlierRuns, Stats, SummaryContext, SummaryKind, summary};
use crate::runner::Finish;
use crate::runner::input::Survey;

/// The width of the summary in columns, if standard error is not a terminal.
const COLUMNS: usize = 80;

impl NewRun<'_> {
    /// Prints the summary as text, if the user wants text.
    pub(super) fn say_summary(&self, stats: &Stats, context: &SummaryContext) {
        if self.config.summary == SummaryKind::Text {
            self.say(summary(stats, context, terminal_width().unwrap_or(COLUMNS)).trim_end());
        }
    }

    /// Prints the summary as JSON, if the user wants JSON. The summary is also printed with `--quiet`, because scripts
    /// need it.
    pub(super) fn end_with_document(
        &self,
        stats: &Stats,
        context: &SummaryContext,
        exit: &Result<Exit>,
        reason: Option<&str>,
    ) {
        if self.config.summary != SummaryKind::Json {
            return;
        }
        let exit_code = exit.as_ref().map_or_else(|error| exit_of(error).code(), |exit| exit.code());
        let failure = exit.as_ref().err().map(|error| format!("{error:#}"));
        let reason = reason.or(failure.as_deref());
        let end = SummaryEnd { run: &self.name, at: Timestamp::now(), exit_code, reason };
        say::err(&summary_line(stats, context, end));
    }

    /// If the user wants JSON, prints the JSON summary of a run that sent nothing. `survey` is `None` if the input has
    /// no rows.
    pub(super) fn end_idle_with_document(
        &self,
        known: Option<(&Survey, &Recovered)>,
        failed_in_log: FailedInLog,
        exit: &Result<Exit>,
        reason: Option<&str>,
    ) {
        let mut stats = Stats::default();
        let survey = known.map(|(survey, _)| survey);
        let total = Some(survey.map_or(0, |survey| survey.rows));
        let already_done = survey.map_or(0, |survey| survey.done + survey.failed_before);
        let started = EventBody::Started { total, already_done };
        stats.fold(&RunEvent { at: Timestamp::now(), run: self.name.as_str().into(), body: started });
        let context = SummaryContext {
            failed_before: survey.map_or(0, |survey| survey.failed_before),
            ..self.context_of_files(failed_in_log, known.map(|(_, recovered)| recovered))
        };
        self.end_with_document(&stats, &context, exit, reason);
    }

    /// Returns the facts that the summary needs in addition to the statistics of the run. `of_input` contains the rows
    /// of the error log that the run can have read.
    pub(super) fn summary_context(
        &self,
        finish: &Finish,
        failed_in_log: FailedInLog,
        of_input: &FailedInLog,
        stats: &Stats,
        (catalog, recovered, survey): &Known,
    ) -> SummaryContext {
        let models = survey.iter().flat_map(|survey| &survey.models).filter(|(_, sum)| sum.unpriced > 0);
        let unpriced_models = models.map(|(model, _)| model.to_string()).collect();
        let is_pipe = self.paths.results.is_none();
        let has_more = finish.pending > 0 || finish.halted.is_some() || finish.input_error.is_some();
        SummaryContext {
            resume_command: self.command_for_failures(of_input, stats, survey.as_ref(), catalog),
            longer_command: survey.as_ref().and_then(|survey| self.longer_command(survey, catalog)),
            rerun_command: (has_more && !is_pipe && !self.is_collecting)
                .then(|| self.commands.again())
                .or_else(|| self.part.resume.clone().filter(|_| !has_more)),
            price_date: Some(catalog.price_date().to_owned()),
            unpriced_models,
            maybe_paid: finish.maybe_paid,
            failed_before: survey.as_ref().map_or(0, |survey| survey.failed_before),
            ..self.context_of_files(failed_in_log, Some(recovered))
        }
    }

    /// Returns those facts of the summary that do not depend on how this run ended: its files, and what earlier runs
    /// did.
    fn context_of_files(&self, failed_in_log: FailedInLog, recovered: Option<&Recovered>) -> SummaryContext {
        let shown = |path: &Path| path.display().to_string();
        let results = self.paths.results.as_deref();
        let output = self.projection.as_ref().map(|projection| &projection.target);
        let earlier = recovered
            .map(|recovered| EarlierRuns { usage: recovered.totals.usage, cost: recovered.totals.spend })
            .filter(|earlier| earlier.usage != Usage::default() || earlier.cost > Money::ZERO);
        let died = recovered.map_or(0, |recovered| recovered.dead_in_flight);
        SummaryContext {
            results: results.map(shown),
            errors: failed_in_log.values().any(|rows| *rows > 0).then(|| shown(&self.paths.errors)),
            output: match output {
                Some(Target::File(path)) => Some(shown(path)),
                Some(Target::Stdout) | None => None,
            },
            answers_command: results.filter(|_| output.is_none()).map(|results| self.commands.answers(results)),
            failed_in_log,
            maybe_paid_before: died,
            maybe_paid_earlier: recovered.map_or(0, |recovered| recovered.totals.maybe_paid.saturating_sub(died)),
            earlier,
            concurrency: match self.config.concurrency {
                Concurrency::Auto => None,
                Concurrency::Fixed(most) => Some(most.get()),
            },
            outside: self.part.outside,
            is_simulated: self.config.simulate,
            has_chart: self.config.has_blocks,
            answers_by: recovered.map(|recovered| recovered.answers_by.by_size()).unwrap_or_default(),
            ..SummaryContext::default()
        }
    }
}
