//! Plays whole runs on virtual time. The real code surveys, plans, reads and schedules the rows. The API is simulated.
//!
//! The reader is a thread. Virtual time stands still while the loop waits for the reader, as if reading took no time.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::catalog::Catalog;
use claude_batch::clock::RunClock;
use claude_batch::domain::{Money, PromptCache, RateLimits, Usage};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::input::{Earlier, InputOrder, InputPlan, feed, survey};
use claude_batch::runner::{Commit, Finish, Incoming, Ledger, Parts, Progress, Routes, drive};
use claude_batch::scheduler::{Config, Scheduler, Window};
use claude_batch::sim::model::{Books, Model};
use claude_batch::sim::transport::{SharedModel, SimTransport, lock};
use claude_batch::source::{Input, Options, Template};
use tokio::sync::mpsc;

use super::case::{Case, MODEL};
use super::support::{self, Counts, MemLedger};

/// The largest number of rows in the channel between the reader and the loop, as in the program.
const FEED: usize = 256;
/// The largest number of requests in flight, as in the program.
const WIDEST: usize = 1_000;

/// The result of a run, according to the simulated API.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    /// The number of rows with an answer.
    pub answered: u64,
    /// The number of rows that failed.
    pub failed: u64,
    /// The duration of the run, in seconds of virtual time.
    pub seconds: f64,
    /// The money that the server billed.
    pub cost: Money,
    /// The number of billed tokens of each kind.
    pub usage: Usage,
    /// The number of cache entries that were written.
    pub writes: u64,
    /// The number of calls that read a cache entry.
    pub reads: u64,
    /// The number of requests that were refused with 429.
    pub refused: u64,
}

/// A server, an input and a clock. Several runs can use the same server, input and clock, one after the other.
pub struct Session<'c> {
    case: &'c Case,
    input: PathBuf,
    _folder: tempfile::TempDir,
    runtime: tokio::runtime::Runtime,
    /// The clock of the runs.
    pub clock: RunClock,
    /// The simulated API.
    pub model: SharedModel,
}

impl<'c> Session<'c> {
    /// Writes the input of a workload and starts its server.
    pub fn new(case: &'c Case) -> Self {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let input = case.write(folder.path());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let runtime = runtime.expect("a runtime can be built");
        let clock = runtime.block_on(async { RunClock::start_at(jiff::Timestamp::UNIX_EPOCH) });
        let model = Arc::new(Mutex::new(Model::new(case.sim())));
        Self { case, input, _folder: folder, runtime, clock, model }
    }

    /// Copies the cache entries from the server of another session to this server. The copied entries never expire.
    pub fn warm_like(self, other: &Self) -> Self {
        let other = lock(&other.model);
        lock(&self.model).warm_like(&other);
        drop(other);
        self
    }

    /// Replaces the input with the rows of another workload. The server and its cache stay as they are.
    pub fn with_rows_of(mut self, case: &'c Case) -> Self {
        self.input = case.write(self._folder.path());
        self.case = case;
        self
    }

    /// Runs all rows of the input.
    pub fn run(&self, cache: PromptCache) -> Played {
        let (ledger, commits) = MemLedger::new();
        let (played, ledger) = self.run_with(cache, Earlier::none(), (ledger, commits), None);
        let ledger = ledger.expect("the run is not killed");
        Played { answered: ledger.1.answered.len() as u64, failed: ledger.1.failed.len() as u64, ..played }
    }

    /// Runs the rows that earlier runs have not finished. If the run has not ended after `killed_after`, it is dropped.
    /// Returns what the run did. If the run was not dropped, also returns how the run ended, and its ledger (the lines
    /// that the run wrote).
    pub fn run_with<L: Ledger>(
        &self,
        cache: PromptCache,
        earlier: Earlier,
        (ledger, commits): (L, mpsc::UnboundedReceiver<Commit>),
        killed_after: Option<Duration>,
    ) -> (Played, Option<(Finish, L)>) {
        // Outside of the runtime, the clock would show the real time.
        let before = self.runtime.block_on(async { self.books() });
        let rows = self.read(cache, earlier);
        self.runtime.block_on(async {
            let begun = self.clock.now();
            let ended = self.drive(rows, ledger, commits, killed_after).await;
            let seconds = self.clock.now().since(begun).as_secs_f64();
            (Played { seconds, ..difference(&before, &self.books()) }, ended)
        })
    }

    /// Lets virtual time pass without a run.
    pub fn wait(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    fn books(&self) -> Books {
        lock(&self.model).stats(self.clock.now()).books
    }

    /// Surveys the input and starts the thread that reads it.
    fn read(&self, cache: PromptCache, earlier: Earlier) -> mpsc::Receiver<Incoming> {
        let template = self.case.template.as_ref().map(|text| Template::parse(text).expect("the template is valid"));
        let plan = InputPlan {
            inputs: vec![Input::File(self.input.clone())],
            options: Options { template, ..Options::default() },
            skip: 0,
            limit: None,
            requests: 0,
            is_copy_of_log: false,
        };
        let catalog = Arc::new(Catalog::builtin());
        let limits = self.case.limits;
        let mut planners = [self.planner(&catalog), self.planner(&catalog)];
        let (mut is_by_group, mut places, mut count) = (false, None, 0);
        let is_stream = self.case.is_pipe && cache != PromptCache::Off;
        if is_stream {
            planners = planners.map(|planner| planner.finding_prefixes(&plan.options.fixed_starts()));
        } else if !self.case.is_pipe {
            let mut planner = self.planner(&catalog);
            if cache != PromptCache::Off {
                planner = planner.finding_prefixes(&plan.options.fixed_starts());
            }
            let mut survey = survey(&plan, &mut planner, &earlier, 0, &Progress::default()).expect("the file is good");
            survey.decide_caching(cache, &catalog, &|_| limits);
            count = survey.rows;
            is_by_group = survey.caching.is_ordered;
            places = survey.places(&|_| limits);
            planners = planners.map(|planner| {
                planner
                    .with_repeats(survey.repeats.clone())
                    .with_caching(survey.caching.clone(), &plan.options.fixed_starts())
            });
        }
        let (rows_in, rows) = mpsc::channel(FEED);
        std::thread::spawn(move || {
            let [planner, finder] = &mut planners;
            let order = match &places {
                _ if is_by_group => InputOrder::ByGroup { finder, rows: count },
                Some(places) => InputOrder::Places(places),
                None if is_stream => InputOrder::AsItComes(cache),
                None => InputOrder::AsWritten,
            };
            feed(&plan, order, planner, &earlier, &rows_in);
        });
        rows
    }

    fn planner(&self, catalog: &Arc<Catalog>) -> Planner {
        let defaults = match self.case.template {
            Some(_) => {
                RequestDefaults { model: Some(MODEL.to_owned()), max_tokens: Some(512), ..RequestDefaults::default() }
            }
            None => RequestDefaults::default(),
        };
        let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
        Planner::new(defaults, dialect, catalog.clone(), "anthropic".into(), "".into())
    }

    async fn drive<L: Ledger>(
        &self,
        rows: mpsc::Receiver<Incoming>,
        ledger: L,
        commits: mpsc::UnboundedReceiver<Commit>,
        killed_after: Option<Duration>,
    ) -> Option<(Finish, L)> {
        let transport = SimTransport::new(self.model.clone(), self.clock)
            .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
        let (rows_in, feed) = mpsc::channel(FEED);
        let pump = tokio::spawn(pass_on(rows, rows_in));
        let (_interrupts_in, interrupts) = mpsc::channel(1);
        let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the version is a header");
        let parts = Parts {
            routes: Routes::single(Arc::new(transport), Arc::new(provider)),
            scheduler: Scheduler::new(self.config()),
            ledger,
            commits,
            feed,
            interrupts,
            reporter: Box::new(Counts::default()),
            clock: self.clock,
            run: "caching".into(),
            grace: None,
            keep_pending: true,
            lane: None,
            unfinished: Default::default(),
            equal: None,
        };
        let run = drive(parts);
        let ended = match killed_after {
            Some(time) => tokio::time::timeout(time, run).await.ok(),
            None => Some(run.await),
        };
        pump.abort();
        // Aborted tasks end only when the runtime runs them once more.
        tokio::task::yield_now().await;
        ended.map(|(finish, ledger, _)| (finish, ledger))
    }

    fn config(&self) -> Config {
        let window = self.case.at_once.map_or(Window::auto(WIDEST), Window::fixed);
        let limits: RateLimits = self.case.limits;
        support::config(limits, window, self.case.seed)
    }
}

/// Passes rows on to the loop. While this function waits for the reader, it blocks the only thread of the runtime, so
/// virtual time stands still.
async fn pass_on(mut rows: mpsc::Receiver<Incoming>, out: mpsc::Sender<Incoming>) {
    loop {
        match rows.try_recv() {
            Ok(item) => {
                if out.send(item).await.is_err() {
                    return;
                }
            }
            Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_micros(20)),
            Err(mpsc::error::TryRecvError::Disconnected) => return,
        }
    }
}

fn difference(before: &Books, after: &Books) -> Played {
    let (old, new) = (before.billed, after.billed);
    Played {
        cost: after.billed_money.less(before.billed_money),
        usage: Usage {
            input_tokens: new.input_tokens - old.input_tokens,
            cache_write_5m_tokens: new.cache_write_5m_tokens - old.cache_write_5m_tokens,
            cache_write_1h_tokens: new.cache_write_1h_tokens - old.cache_write_1h_tokens,
            cache_read_tokens: new.cache_read_tokens - old.cache_read_tokens,
            output_tokens: new.output_tokens - old.output_tokens,
            web_searches: new.web_searches - old.web_searches,
            is_unknown: false,
        },
        writes: after.cache_writes - before.cache_writes,
        reads: after.cache_reads - before.cache_reads,
        refused: after.refused_total() - before.refused_total(),
        ..Played::default()
    }
}
