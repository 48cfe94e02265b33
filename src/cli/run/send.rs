//! Sends the rows: makes the parts of the run and passes them to the loop.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::super::catalogs::Catalogs;
use super::super::simulator::Simulator;
use super::super::{answers, parts, say, simulator};
use super::chain::Keys;
use super::new_run::NewRun;
use super::providers;
use crate::catalog::Catalog;
use crate::clock::RunClock;
use crate::domain::{EventBody, PromptCache, RunEvent, RunForecast};
use crate::journal::{Journal, RealDisk, Recovered};
use crate::plan::{Planner, Repeats};
use crate::report::{self, Report, Reporter, ViewOptions};
use crate::runner::input::{Earlier, InputOrder, Survey, feed};
use crate::runner::signals::channel;
use crate::runner::{Commit, Finish, Incoming, JournalLedger, LaneParts, Parts, drive};
use crate::scheduler::{Config, Scheduler};
use crate::transport::http::HttpTransport;
use crate::transport::{Authorization, Transport};
use crate::watch::files::Found;
use crate::watch::status::{About, Recorder, Shown, read_status};

/// The highest number of rows that wait in the channel between the reader and the loop.
const FEED: usize = 256;

/// The values that only the loop needs.
pub(super) struct Ready {
    pub(super) key: Option<Keys>,
    pub(super) clock: RunClock,
    pub(super) journal: Journal,
    pub(super) commits: mpsc::UnboundedReceiver<Commit>,
    pub(super) earlier: Earlier,
    pub(super) forecast: Option<RunForecast>,
    pub(super) lane: Option<LaneParts>,
}

/// The values that are needed both by the loop and after it: the catalog, the state that earlier runs have left, and
/// the survey of the input.
pub(super) type Known = (Arc<Catalog>, Recovered, Option<Survey>);

/// The result of the loop: how the run ended, its open files, and its report.
pub(super) type Ended = (Finish, JournalLedger, Report);

impl NewRun<'_> {
    /// Runs the loop until every row is done or the run is stopped.
    pub(super) fn send_rows(&mut self, ready: Ready, known: &Known) -> Result<Ended> {
        let Ready { key, clock, journal, commits, earlier, forecast, lane } = ready;
        let (catalog, recovered, survey) = known;
        let window = parts::window(&self.config, self.files_of_request())?;
        let catalogs = Catalogs::new(&self.config, catalog.clone())?;
        let simulators = self.start_simulators(&catalogs, clock)?;
        let routes = self.routes(&simulators, key, window.most())?;
        let first = self.marking_planner(catalog, survey.as_ref());
        let planners = std::iter::once((self.config.provider.name.clone(), first))
            .chain(self.other_planners(&catalogs, survey.as_ref()))
            .collect();
        let policy =
            answers::policy_of(&self.config.answers, catalog, planners, self.common_features(), !self.is_collecting);
        let scheduler = Scheduler::new(Config {
            policy: Some(policy),
            endpoints: self.endpoints(),
            fallback: self.fallback(&catalogs, survey.as_ref(), recovered),
            ..parts::scheduler(&self.config, &catalogs, window, recovered)
        });
        let reporter = self.open_report(clock, known, forecast)?;
        let mut ledger = JournalLedger::new(journal, clock);
        let equal = self.equal_rows(&mut ledger, known)?;
        let rows = self.start_reader(catalog, earlier, survey.as_ref())?;
        let Some(early) = self.early.take() else { bail!("signals are heard from the start") };
        let (thread, signals) = early.release();
        self.check_interrupted()?;
        let (interrupts_in, interrupts) = channel();
        let (steering, on_reread) = self.start_steering(known, interrupts_in.clone())?;
        {
            let _entered = thread.enter();
            signals.send_to(interrupts_in, on_reread);
        }
        let (finish, ledger, mut report) = thread.run(drive(Parts {
            routes,
            scheduler,
            ledger,
            commits,
            feed: rows,
            lane,
            unfinished: recovered.unfinished.clone(),
            equal,
            interrupts,
            reporter,
            clock,
            run: self.name.as_str().into(),
            grace: self.config.grace,
            keep_pending: self.paths.results.is_none(),
        }));
        steering.end();
        report.finish();
        thread.shut_down();
        Ok((finish, ledger, report))
    }

    pub(super) fn start_simulator(&self, catalog: &Catalog, clock: RunClock) -> Result<Option<Simulator>> {
        if !self.config.simulate {
            return Ok(None);
        }
        let config = simulator::config(catalog, &self.config, &self.config.provider)?;
        Simulator::start(config, clock).map(Some)
    }

    /// Connects to the first provider or its simulator. After this call, panic messages are printed without the secrets
    /// of the requests.
    pub(super) fn transport(
        &self,
        simulator: Option<&Simulator>,
        key: Option<Authorization>,
        connections: usize,
    ) -> Result<Arc<HttpTransport>> {
        let transport = self.transport_to(&self.config.provider, &self.connection, simulator, key, connections)?;
        let sent = transport.clone();
        say::panics(move || vec![sent.secrets()]);
        Ok(transport)
    }

    /// Opens all reports of the run, and sends them the first events.
    fn open_report(
        &mut self,
        clock: RunClock,
        (_, recovered, survey): &Known,
        forecast: Option<RunForecast>,
    ) -> Result<Report> {
        let survey = survey.as_ref();
        let mut report = report::open(ViewOptions {
            kind: self.config.progress,
            verbosity: self.config.verbosity,
            is_terminal: self.config.is_terminal,
            is_colored: self.config.is_colored,
            columns: say::log_columns(),
            writer: say::progress(),
        });
        if let Some(recorder) = self.recorder(recovered, survey)? {
            report.add(Box::new(recorder));
        }
        if let Some(notices) = self.open_notices(recovered.totals.spend)? {
            report.add(Box::new(notices));
        }
        if let Some(log) = self.open_log()? {
            report.add(Box::new(log));
        }
        let body = EventBody::Started {
            total: survey.map(|survey| survey.rows),
            already_done: survey.map_or(0, |survey| survey.done + survey.failed_before),
        };
        let models = survey.map(|survey| EventBody::Models(survey.load.rows_of_models().into_iter().collect()));
        let providers = providers::several(&self.config).map(EventBody::Providers);
        for body in [Some(body), providers, forecast.map(EventBody::Forecast), models].into_iter().flatten() {
            report.on_event(&RunEvent { at: clock.wall(clock.now()), run: self.name.as_str().into(), body });
        }
        Ok(report)
    }

    /// Starts the recorder that writes the state of the run into its run folder. Returns `None` if results go to
    /// standard output.
    fn recorder(&self, recovered: &Recovered, survey: Option<&Survey>) -> Result<Option<Recorder>> {
        let (Some(folder), Some(results)) = (self.paths.folder(), &self.paths.results) else { return Ok(None) };
        let commands = self.commands.for_file();
        let about = About {
            run: self.name.clone(),
            origin: self.origin.clone(),
            results: results.display().to_string(),
            spent_before: recovered.totals.spend,
            failed_before: survey.map_or(0, |survey| survey.failed_before),
            resume: commands.again(),
            retry_failed: commands.resume(&self.paths, None).text,
            part: self.part.clone(),
        };
        let disk = Arc::new(RealDisk::new(self.config.owners));
        Ok(Some(Recorder::start(about, disk, folder)?))
    }

    /// Records in the run folder that the run has nothing to send. If the status in the run folder already has these
    /// numbers of rows, records nothing. An earlier run may have been killed after its last row, may have worked on a
    /// part of the rows, or an older version may have written the status.
    pub(super) fn record_nothing_to_send(&self, recovered: &Recovered, survey: &Survey) -> Result<()> {
        let Some(folder) = self.paths.folder() else { return Ok(()) };
        let disk = RealDisk::new(self.config.owners);
        if let Found::Good((_, Shown { progress, end: Some(end), .. })) = read_status(&disk, &folder)
            && (self.part.outside.is_some()
                || (progress.total == Some(survey.rows) && end.is_complete() && end.failed == survey.failed_before))
        {
            return Ok(());
        }
        let Some(recorder) = self.recorder(recovered, Some(survey))? else { return Ok(()) };
        let mut report = Report::new(Box::new(recorder));
        let done = survey.done + survey.failed_before;
        let ended = EventBody::Ended {
            pending: 0,
            reason: None,
            reasons: Vec::new(),
            uses: Vec::new(),
            elapsed: Duration::ZERO,
            max_in_flight: 0,
            batches: None,
        };
        for body in [EventBody::Started { total: Some(survey.rows), already_done: done }, ended] {
            report.on_event(&RunEvent { at: Timestamp::now(), run: self.name.as_str().into(), body });
        }
        report.finish();
        Ok(())
    }

    /// Returns a planner that finds the prefixes for the prompt cache.
    fn marking_planner(&self, catalog: &Arc<Catalog>, survey: Option<&Survey>) -> Planner {
        let fixed_starts = self.plan.options.fixed_starts();
        match survey {
            Some(survey) => self.planner(catalog).with_caching(survey.caching.clone(), &fixed_starts),
            None if self.prompt_cache() == PromptCache::Off => self.planner(catalog),
            None => self.planner(catalog).finding_prefixes(&fixed_starts),
        }
    }

    /// Starts the thread that reads rows for the loop.
    fn start_reader(
        &self,
        catalog: &Arc<Catalog>,
        earlier: Earlier,
        survey: Option<&Survey>,
    ) -> Result<mpsc::Receiver<Incoming>> {
        let (rows_in, rows) = mpsc::channel(FEED);
        let cache = self.prompt_cache();
        let planner = || {
            let planner = self.marking_planner(catalog, survey);
            match survey {
                Some(survey) => planner.with_repeats(Repeats::clone(&survey.repeats)),
                None => planner,
            }
        };
        let is_stream = survey.is_none();
        let count = survey.map_or(0, |survey| survey.rows);
        let is_by_group = survey.is_some_and(|survey| survey.caching.is_ordered);
        let places = survey.and_then(|survey| self.places(survey, catalog));
        let (mut finder, mut planner) = (is_by_group.then(&planner), planner());
        let plan = self.plan.clone();
        let reader = move || {
            let order = match (&mut finder, &places) {
                (Some(finder), _) => InputOrder::ByGroup { finder, rows: count },
                (None, Some(places)) => InputOrder::Places(places),
                (None, None) if is_stream && cache != PromptCache::Off => InputOrder::AsItComes(cache),
                (None, None) => InputOrder::AsWritten,
            };
            feed(&plan, order, &mut planner, &earlier, &rows_in);
        };
        std::thread::Builder::new().name("reader".to_owned()).spawn(reader)?;
        Ok(rows)
    }
}
