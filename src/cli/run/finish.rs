//! Ends a run: closes its files, prints the summary, and returns the exit code.

use std::path::Path;

use anyhow::Result;

use super::super::config::InputArg;
use super::super::exit::Exit;
use super::super::explain::{Next, Place, explain};
use super::super::report::{LONG_RUN, report_at_end};
use super::super::{message, parts};
use super::failures::FailedInLog;
use super::new_run::NewRun;
use super::send::{Ended, Known};
use crate::domain::{ErrorClass, HaltReason, ProviderKind};
use crate::journal::RealDisk;
use crate::report::text::{escape, plural};
use crate::report::words::{halt_words, stopped_words};
use crate::report::{Stats, SummaryContext, SummaryKind, Verbosity};
use crate::runner::{Finish, JournalLedger};

/// The facts about a run whose files are closed.
struct Closed {
    /// The exit code of the program, or the error at the end of the run.
    exit: Result<Exit>,
    context: SummaryContext,
    /// The reason why the run ended before its rows were done; `None` if all rows are done.
    reason: Option<String>,
}

impl NewRun<'_> {
    /// Closes the files, prints the summary, waits for the last notices, and returns the exit code.
    pub(super) fn finish(&self, (finish, ledger, mut report): Ended, known: &Known) -> Result<Exit> {
        let closed = self.close(finish, ledger, report.stats(), known);
        self.end_notices(&mut report);
        let Some(Closed { exit, context, reason }) = closed else { return self.end_without_rows() };
        self.end_with_document(report.stats(), &context, &exit, reason.as_deref());
        exit
    }

    /// Closes the files, and prints all final messages for people. Returns `None` if there were no rows.
    fn close(&self, mut finish: Finish, ledger: JournalLedger, stats: &Stats, known: &Known) -> Option<Closed> {
        let was_counted = known.2.is_some();
        if was_counted {
            self.note_missing_rows(&mut finish, stats);
        }
        let log = self.close_files(&mut finish, ledger, stats);
        let is_idle = finish.halted.is_none() && finish.input_error.is_none() && stats.finished() == 0;
        let has_left = finish.batches.0 > 0;
        if is_idle && !was_counted && !has_left {
            return None;
        }
        let failed_before = known.2.as_ref().map_or(0, |survey| survey.failed_before);
        let (of_input, failed_elsewhere) = self.split_log(&log, stats.is_all_answered(failed_before));
        let context = self.summary_context(&finish, log, &of_input, stats, known);
        let context = SummaryContext { failed_elsewhere, ..context };
        let failed: u64 = of_input.values().sum();
        let resume = self.resume_command(&of_input, stats).map(|command| command.text);
        self.say_summary(stats, &context);
        if self.config.inputs.contains(&InputArg::Stdin) && context.rerun_command.is_some() {
            self.say("the rows came from standard input: to resume the run, pipe the same rows into this command");
        }
        self.say_failures_if_quiet(&of_input, stats);
        if !self.is_stop_explained(&finish, &context) {
            self.explain_stop(&finish, resume);
        }
        let exit = self.after_summary(&finish, stats, known).map(|()| match (&finish.halted, &finish.input_error) {
            (None, Some(_)) => Exit::Usage,
            (halted, _) => Exit::of_run(halted.as_ref(), finish.batches.0, failed),
        });
        let reason = finish.halted.as_ref().map(|halted| halt_words(halted).into_owned()).or(finish.input_error);
        Some(Closed { exit, context, reason })
    }

    /// Makes the output and the report, and prints what will happen to open batches.
    fn after_summary(&self, finish: &Finish, stats: &Stats, (catalog, _, survey): &Known) -> Result<()> {
        if !matches!(finish.halted, Some(HaltReason::Disk(_))) {
            self.make_output(catalog, survey.as_ref().map(|survey| &survey.repeats))?;
        }
        self.say_left_batches(finish);
        if stats.elapsed() >= LONG_RUN {
            self.make_report();
        }
        Ok(())
    }

    /// Makes the report, and prints its path. If the report can't be made, prints a warning instead of returning an
    /// error.
    fn make_report(&self) {
        let shown = |path: &Path| escape(&path.display().to_string()).into_owned();
        match report_at_end(&self.paths, &RealDisk::new(self.config.owners)) {
            Ok(Some(path)) => self.say_whole(&format!("report: {}", shown(&path))),
            Ok(None) => {}
            Err(error) => self.warn(&[format!("the report was not written: {error:#}")]),
        }
    }

    /// Reports an input error if the run read fewer rows than the program counted before the run. Rows in open batches
    /// do not count as missing, because this run or an earlier run has read these rows.
    fn note_missing_rows(&self, finish: &mut Finish, stats: &Stats) {
        let (_, in_batches) = finish.batches;
        let missing = stats.remaining().map_or(0, |rows| rows.saturating_sub(finish.pending + in_batches));
        if missing > 0 && finish.halted.is_none() && finish.input_error.is_none() {
            finish.input_error = Some(format!(
                "{} changed while it was read: {} fewer than were counted at the start",
                self.input_names(),
                plural(missing, "row", "rows")
            ));
        }
    }

    /// Writes the pending rows from memory to the error log, and closes the files. Returns the number of rows in the
    /// error log, by class. If the files can't be closed and nothing else has stopped the run, this error is the reason
    /// for the stop.
    fn close_files(&self, finish: &mut Finish, mut ledger: JournalLedger, stats: &Stats) -> FailedInLog {
        let kept = std::mem::take(&mut finish.kept);
        let kept_rows = kept.len() as u64;
        if !kept.is_empty() {
            ledger.write_canceled(kept);
        }
        ledger.note_learned(jiff::Timestamp::now(), std::mem::take(&mut finish.learned));
        let input = self.input_read(finish.halted.is_none() && finish.input_error.is_none());
        let carried = ledger.carry(finish.canary_spend);
        match carried.and_then(|()| ledger.close(input, finish.maybe_billed > 0)) {
            Ok(closed) => closed.failed,
            Err(error) => {
                finish.halted.get_or_insert(HaltReason::Disk((&error).into()));
                failed_by_class(stats, kept_rows)
            }
        }
    }

    /// Returns whether the summary says everything about the stop. The summary is enough if the user stopped the run
    /// and the summary has the command that continues the run.
    fn is_stop_explained(&self, finish: &Finish, context: &SummaryContext) -> bool {
        let is_wanted = matches!(finish.halted, Some(HaltReason::Signal(_) | HaltReason::Ctl { .. }));
        let has_summary = self.config.summary == SummaryKind::Text && self.config.verbosity != Verbosity::Quiet;
        is_wanted && has_summary && finish.pending > 0 && context.rerun_command.is_some()
    }

    /// If the run stopped, prints why it stopped and how to resume it.
    fn explain_stop(&self, finish: &Finish, resume_command: Option<String>) {
        if let Some(reason) = &finish.halted {
            let last = finish.stopped.iter().rfind(|(_, why)| why == reason).map(|(name, _)| &**name);
            let place = self.place(last, resume_command);
            let others = finish.stopped.iter().filter(|(name, _)| last != Some(&**name));
            others.for_each(|(name, why)| self.tell(&escape(&stopped_words(name, why))));
            let explained = explain(reason, &place);
            // A text with a command is not wrapped, because a pasted command with a line break in it does not work.
            if matches!(place.next, Next::Resume(_)) { self.tell_whole(&explained) } else { self.tell(&explained) }
        }
        if let Some(message) = &finish.input_error {
            self.say_input_error(message);
        }
    }

    /// Prints why the input could not be read to its end, and what to do.
    pub(super) fn say_input_error(&self, message: &str) {
        let again = if self.config.fresh { " without --fresh" } else { "" };
        self.tell_whole(&message::lines(&format!("{message}; correct it and run the same command{again} to resume")));
    }

    /// Returns the facts for the message that explains why the run stopped. `stopped` is the provider that stopped
    /// last.
    fn place(&self, stopped: Option<&str>, resume: Option<String>) -> Place {
        let at = self.config.providers().position(|provider| Some(&*provider.name) == stopped).unwrap_or_default();
        let provider = self.config.providers().nth(at).unwrap_or(&self.config.provider);
        let connection = at.checked_sub(1).and_then(|at| self.chain_connections.get(at)).unwrap_or(&self.connection);
        let server = parts::base_url_of(provider).ok().filter(|_| !self.config.simulate);
        let is_usual = *provider.name == *ProviderKind::Anthropic.name();
        Place {
            provider: (!is_usual).then(|| (provider.name.to_string(), provider.key_ways.clone())),
            server: server.map_or_else(|| "the simulator".to_owned(), |url| url.join("")),
            proxy: connection.proxy.as_ref().map(|proxy| (proxy.address().to_owned(), proxy.source())),
            next: match resume.filter(|_| self.paths.results.is_none()) {
                Some(resume) => Next::Resume(resume),
                None if self.config.fresh => Next::WithoutFresh,
                None => Next::Same,
            },
        }
    }
}

/// Returns how many rows of this run failed, by class. `kept` is the number of pending rows: it is added to the number
/// of canceled rows.
fn failed_by_class(stats: &Stats, kept: u64) -> FailedInLog {
    let mut classes: FailedInLog = stats.failed.iter().map(|(class, failed)| (*class, failed.rows)).collect();
    *classes.entry(ErrorClass::Canceled).or_default() += kept;
    classes
}
