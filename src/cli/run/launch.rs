//! From a run that nothing speaks against to its end: the parts are made, the loop runs, the journal is closed.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Result, bail};
use tokio::sync::mpsc;

use super::super::args::values::Concurrency;
use super::super::config::InputArg;
use super::super::exit::Exit;
use super::super::explain::{Next, Place, explain};
use super::super::lockdown;
use super::super::parts;
use super::super::say;
use super::NewRun;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::{ErrorClass, EventBody, HaltReason, RunEvent};
use crate::journal::{Journal, Recovered};
use crate::plan::{Dialect, Repeats};
use crate::report::text::{escape, plural};
use crate::report::{self, Report, Reporter, Stats, SummaryContext, ViewOptions};
use crate::runner::input::{Earlier, Survey, feed};
use crate::runner::{Commit, Fed, Finish, JournalLedger, Parts, drive};
use crate::scheduler::Scheduler;
use crate::transport::http::{Credential, HttpConfig, HttpTransport};
use crate::transport::{Transport, parse_base_url};

/// Rows between the reader and the loop.
const FEED: usize = 256;

/// Everything a run needs once nothing can be refused any more.
pub(super) struct Ready {
    pub(super) catalog: Arc<Catalog>,
    pub(super) dialect: Dialect,
    pub(super) key: Option<Credential>,
    pub(super) clock: RunClock,
    pub(super) journal: Journal,
    pub(super) recovered: Recovered,
    pub(super) commits: mpsc::UnboundedReceiver<Commit>,
    pub(super) earlier: Earlier,
    pub(super) looked: Option<Survey>,
}

impl NewRun<'_> {
    pub(super) fn start_run(mut self, ready: Ready) -> Result<Exit> {
        let Ready { catalog, dialect, key, clock, journal, recovered, commits, earlier, looked } = ready;
        let simulator = self.simulator(&catalog, clock)?;
        let files_of_call = self.files_of_call();
        let window = parts::window(&self.config, files_of_call)?;
        let base_url = match &simulator {
            Some(url) => parse_base_url(url.url(), false)?,
            None => parts::base_url(&self.config)?,
        };
        let credential = match key {
            Some(key) => key,
            // Too short for a secret: the simulator may well say what it is.
            None => Credential::ApiKey("sim".to_owned().into()),
        };
        let proxy = self.way.proxy.clone();
        let also_secret = lockdown::also_secret(&self.config);
        let http = parts::http(&self.config, base_url, credential, window.most());
        let http = HttpConfig { proxy, also_secret, ..http };
        let transport = Arc::new(HttpTransport::new(http)?);
        let sent = transport.clone();
        say::panics(move || sent.secrets());
        let scheduler = Scheduler::new(parts::scheduler(&self.config, &catalog, window, &recovered));
        let mut report = report::open(ViewOptions {
            kind: self.config.progress,
            verbosity: self.config.verbosity,
            is_terminal: self.config.is_terminal,
            is_colored: self.config.is_colored,
            writer: say::progress(),
        });
        let total = looked.as_ref().map(|survey| survey.rows);
        let already_done = looked.as_ref().map_or(0, |survey| survey.done + survey.failed_before);
        let body = EventBody::Started { total, already_done };
        report.on_event(&RunEvent { at: clock.wall(clock.now()), run: self.name.as_str().into(), body });
        let reread = self.reread_settings(&catalog, looked.as_ref(), files_of_call);
        let rows = self.start_reader(&catalog, &dialect, earlier, looked.as_ref())?;
        let (thread, signals) = match self.early.take() {
            Some(early) => early.release(),
            None => bail!("signals are heard from the start"),
        };
        self.check_interrupted()?;
        let interrupts = {
            let _entered = thread.enter();
            signals.interrupts(Some(reread))
        };
        let (finish, ledger, mut report) = thread.run(drive(Parts {
            transport,
            provider: Arc::new(parts::provider(&self.config, &dialect)?),
            scheduler,
            ledger: JournalLedger::new(journal, clock),
            commits,
            feed: rows,
            interrupts,
            reporter: report,
            clock,
            run: self.name.as_str().into(),
            grace: self.config.grace,
            keep_pending: self.paths.results.is_none(),
        }));
        report.finish();
        thread.shut_down();
        self.finish(finish, ledger, &report, &catalog, &recovered, looked)
    }

    #[cfg(feature = "sim")]
    fn simulator(&self, catalog: &Catalog, clock: RunClock) -> Result<Option<super::super::simulator::Simulator>> {
        if !self.config.simulate {
            return Ok(None);
        }
        let faults = self.config.simulate_faults.as_ref();
        let config = super::super::simulator::config(catalog, self.config.tier, faults)?;
        super::super::simulator::Simulator::start(config, clock).map(Some)
    }

    #[cfg(not(feature = "sim"))]
    fn simulator(&self, _catalog: &Catalog, _clock: RunClock) -> Result<Option<NoSimulator>> {
        match self.config.simulate {
            true => anyhow::bail!("--simulate: this program was built without the simulator (feature sim)"),
            false => Ok(None),
        }
    }

    fn start_reader(
        &self,
        catalog: &Arc<Catalog>,
        dialect: &Dialect,
        earlier: Earlier,
        looked: Option<&Survey>,
    ) -> Result<mpsc::Receiver<Fed>> {
        let (rows_in, rows) = mpsc::channel(FEED);
        let mut planner = self.planner(catalog, dialect);
        if let Some(survey) = looked {
            planner = planner.with_repeats(Repeats::clone(&survey.repeats));
        }
        let places = looked.and_then(|survey| self.places(survey, catalog));
        let plan = self.plan.clone();
        let reader = move || feed(&plan, places.as_ref(), &mut planner, &earlier, &rows_in);
        std::thread::Builder::new().name("reader".to_owned()).spawn(reader)?;
        Ok(rows)
    }

    /// Closes the journal, says what came of the run, and returns how it ends.
    fn finish(
        &self,
        mut finish: Finish,
        mut ledger: JournalLedger,
        report: &Report,
        catalog: &Catalog,
        recovered: &Recovered,
        looked: Option<Survey>,
    ) -> Result<Exit> {
        let kept = std::mem::take(&mut finish.kept);
        let kept_rows = kept.len() as u64;
        if !kept.is_empty() {
            ledger.write_canceled(kept);
        }
        let missing = report.stats().remaining().map_or(0, |rows| rows.saturating_sub(finish.pending));
        if looked.is_some() && missing > 0 && finish.halted.is_none() && finish.input_error.is_none() {
            finish.input_error = Some(format!(
                "{} changed while it was read: {} of those counted at the start did not come",
                self.input_names(),
                plural(missing, "row", "rows")
            ));
        }
        let input = self.input_read(finish.halted.is_none() && finish.input_error.is_none());
        let closed = ledger.close(input, finish.aborted > 0);
        let log = match &closed {
            Ok(closed) => closed.failed.clone(),
            Err(_) => failed_by_class(report.stats(), kept_rows),
        };
        let failed_in_log: u64 = log.values().sum();
        if let Err(error) = &closed {
            finish.halted.get_or_insert(HaltReason::Disk(error.into()));
        }
        let is_idle = finish.halted.is_none() && finish.input_error.is_none() && report.stats().finished() == 0;
        if is_idle && looked.is_none() {
            self.say(&format!("nothing to do: no rows in {}", self.input_names()));
            return Ok(Exit::Done);
        }
        let context = self.summary_context(&finish, log, report.stats(), catalog, recovered, looked.as_ref());
        // What was tried again is in the statistics; the rest was cut off, or was the last try of a failed row.
        let maybe_paid_at_end = finish.maybe_paid.saturating_sub(report.stats().maybe_paid);
        let context = SummaryContext { maybe_paid_at_end, ..context };
        let columns = report::progress::terminal_width().unwrap_or(80);
        self.say(report::summary(report.stats(), &context, columns).trim_end());
        if self.config.inputs.contains(&InputArg::Stdin) && context.rerun_command.is_some() {
            self.say("the rows came from standard input: the command that goes on needs the same ones there");
        }
        self.say_failures_if_quiet(&context.failed_in_log, report.stats());
        if let Some(reason) = &finish.halted {
            let place = self.place(context.resume_command);
            let explained = explain(reason, &place);
            // A line break within a command would change what is pasted.
            if matches!(place.next, Next::Resume(_)) { self.tell_whole(&explained) } else { self.tell(&explained) }
        }
        if let Some(message) = &finish.input_error {
            let again = if self.config.fresh { " without --fresh" } else { "" };
            self.tell(&format!(
                "claude-batch: {}; put it right and run the same command{again} to go on",
                escape(message)
            ));
        }
        Ok(match (&finish.halted, &finish.input_error) {
            (None, Some(_)) => Exit::Usage,
            (halted, _) => Exit::of_run(halted.as_ref(), failed_in_log),
        })
    }

    /// Returns what the run's stop is explained with.
    fn place(&self, resume: Option<String>) -> Place {
        let server = parts::base_url(&self.config).ok().filter(|_| !self.config.simulate);
        Place {
            server: server.map_or_else(|| "the simulator".to_owned(), |url| url.join("")),
            proxy: self.way.proxy.as_ref().map(|proxy| (proxy.address().to_owned(), proxy.source())),
            next: match resume.filter(|_| self.paths.results.is_none()) {
                Some(resume) => Next::Resume(resume),
                None if self.config.fresh => Next::WithoutFresh,
                None => Next::Same,
            },
        }
    }

    fn summary_context(
        &self,
        finish: &Finish,
        failed_in_log: BTreeMap<ErrorClass, u64>,
        stats: &Stats,
        catalog: &Catalog,
        recovered: &Recovered,
        looked: Option<&Survey>,
    ) -> SummaryContext {
        let shown = |path: &Path| path.display().to_string();
        let errors = (failed_in_log.values().any(|rows| *rows > 0)).then(|| shown(&self.paths.errors));
        let unpriced = |survey: &Survey| {
            let models = survey.models.iter().filter(|(_, sum)| sum.unpriced > 0);
            models.map(|(model, _)| model.to_string()).collect()
        };
        let models = looked.map(unpriced);
        let is_pipe = self.paths.results.is_none();
        let has_more = finish.pending > 0 || finish.halted.is_some() || finish.input_error.is_some();
        SummaryContext {
            results: self.paths.results.as_deref().map(shown),
            resume_command: self.resume_command(&failed_in_log, stats),
            failed_in_log,
            rerun_command: (has_more && !is_pipe).then(|| self.commands.again()),
            errors,
            price_date: Some(catalog.price_date().to_owned()),
            unpriced_models: models.unwrap_or_default(),
            maybe_paid_before: recovered.dead_in_flight,
            maybe_paid_earlier: recovered.totals.maybe_paid.saturating_sub(recovered.dead_in_flight),
            maybe_paid_at_end: finish.aborted,
            failed_before: looked.map_or(0, |survey| survey.failed_before),
            concurrency: match self.config.concurrency {
                Concurrency::Auto => None,
                Concurrency::Fixed(most) => Some(most.get()),
            },
            is_simulated: self.config.simulate,
        }
    }
}

/// Returns how many rows of this run failed in each class, those that it ended before included.
fn failed_by_class(stats: &Stats, canceled: u64) -> BTreeMap<ErrorClass, u64> {
    let mut classes: BTreeMap<_, _> = stats.failed.iter().map(|(class, failed)| (*class, failed.rows)).collect();
    *classes.entry(ErrorClass::Canceled).or_default() += canceled;
    classes
}

#[cfg(not(feature = "sim"))]
struct NoSimulator;

#[cfg(not(feature = "sim"))]
impl NoSimulator {
    fn url(&self) -> &str {
        ""
    }
}
