//! The two sides of the comparison. One side of the comparison is a run of the library with real sockets and files. The
//! other side is a bare loop that only sends requests over the same HTTP client.
//!
//! Each side runs in a process of its own, so its CPU time and peak memory can be measured separately.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use claude_batch::catalog::Catalog;
use claude_batch::clock::RunClock;
use claude_batch::domain::{EventBody, Money, RateLimits, RunEvent, Tier};
use claude_batch::journal::{
    Fsync, InputRead, Journal, JournalOptions, Manifest, OnCommit, RealDisk, Recovered, RequestShape, RunPaths, Start,
    Threading,
};
use claude_batch::limiter::Headroom;
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::report::quiet::Silent;
use claude_batch::report::{Report, Reporter};
use claude_batch::runner::input::{Earlier, InputOrder, InputPlan, feed, is_seekable, survey};
use claude_batch::runner::{JournalLedger, LoopThread, Parts, Progress, Routes, commits, drive};
use claude_batch::scheduler::{Budget, Config, HaltRule, Scheduler, StreamMode, Window};
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::Model;
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::source::{Input, Options};
use claude_batch::transport::http::{Credential, HttpConfig, HttpTransport};
use claude_batch::transport::{Transport, parse_base_url};
use tokio::sync::mpsc;

use super::files::{self, prompt_of};
use super::in_process::InProcess;
use super::measure::Seen;

/// How many rows can wait between the reader and the loop. This number is the same as in the program.
pub const FEED: usize = 256;
/// One million.
const MILLION: u64 = 1_000_000;

/// The HTTP client alone, without the library.
#[derive(Clone)]
pub struct Plain {
    client: reqwest::Client,
    url: reqwest::Url,
}

impl Plain {
    /// Returns a client that keeps up to `at_once` connections.
    pub fn new(url: &str, at_once: usize) -> io::Result<Self> {
        // The client uses the same cryptography provider as the library's transport. The result is ignored, because an
        // error only means that a provider is already installed.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().http1_only().no_proxy().pool_max_idle_per_host(at_once).build();
        let url = format!("{url}/v1/messages").parse().map_err(io::Error::other)?;
        Ok(Self { client: client.map_err(io::Error::other)?, url })
    }

    /// Sends a body and returns the body of the answer.
    pub async fn answer(&self, body: Bytes) -> Bytes {
        let request = self
            .client
            .post(self.url.clone())
            .header("content-type", "application/json")
            .header("accept", "application/json")
            .header("anthropic-version", "2023-06-01")
            .header("x-api-key", "bench")
            .body(body);
        let response = request.send().await.expect("the server answers");
        response.bytes().await.expect("the answer is whole")
    }
}

/// Sends `requests` requests over a plain client, with up to `at_once` requests in flight.
pub fn bare(url: &str, requests: usize, at_once: usize) -> io::Result<Seen> {
    let client = Plain::new(url, at_once)?;
    let bodies: Arc<[Bytes]> = (0..1024).map(|row| Bytes::from(files::body(&prompt_of(row, 200)))).collect();
    let left = Arc::new(AtomicUsize::new(requests));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let started = Instant::now();
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for at in 0..at_once {
            let (client, bodies, left) = (client.clone(), bodies.clone(), left.clone());
            tasks.spawn(async move {
                let mut row = at;
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    row += 1;
                    assert!(client.answer(bodies[row % bodies.len()].clone()).await.len() > 100);
                }
            });
        }
        tasks.join_all().await;
    });
    Ok(Seen::here(requests as u64, started.elapsed()))
}

/// Runs `input` through the library against a server.
pub fn runner(url: &str, input: &Path, folder: &Path, at_once: usize) -> io::Result<Seen> {
    let run = Run { window: Window::fixed(at_once), ..Run::over(input, folder, url) };
    let transport = http(url, at_once)?;
    let answered = |report: &Report| report.stats().succeeded_total();
    run.go(transport, Report::new(Box::new(Silent)), answered).map(|(seen, _)| seen)
}

/// Runs `input` through the library against the simulator. The simulator runs in the same process, on a separate
/// thread.
pub fn beside_simulator(input: &Path, folder: &Path, at_once: usize) -> io::Result<Seen> {
    let (url_in, url) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let models = presets::models_with(|_, _| Some(RateLimits::NONE));
        let config = SimConfig::new(models).with_latency(Latency::ZERO).with_lengths(OutputLengths::fixed(24));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be built").block_on(async {
            let model = Arc::new(std::sync::Mutex::new(Model::new(config)));
            let server = SimServer::start(([127, 0, 0, 1], 0).into(), model, RunClock::start()).await;
            let server = server.expect("a port is free");
            url_in.send(server.url().to_owned()).expect("the measurement waits for it");
            std::future::pending::<()>().await;
        });
    });
    let url = url.recv().map_err(io::Error::other)?;
    runner(&url, input, folder, at_once)
}

/// Runs `input` through the library, with answers that are made in this process. Returns the measurements, and the
/// speed during each million rows, in rows per second.
///
/// If `input` is `None`, the rows are read from standard input.
pub fn in_process(input: Option<&Path>, folder: &Path, at_once: usize) -> io::Result<(Seen, Vec<f64>)> {
    let given = input.unwrap_or(Path::new("-"));
    let run = Run {
        window: Window::fixed(at_once),
        input: input.map_or(Input::Stdin, |path| Input::File(path.to_owned())),
        is_kept: input.is_some(),
        ..Run::over(given, folder, files::NOBODY)
    };
    let (seen, pace) = run.go(InProcess, Pace::default(), |pace| pace.rows)?;
    Ok((seen, pace.rates))
}

fn http(url: &str, at_once: usize) -> io::Result<HttpTransport> {
    let base_url = parse_base_url(url, false).map_err(io::Error::other)?;
    let config = HttpConfig {
        max_connections: at_once,
        ..HttpConfig::new(base_url, Credential::ApiKey("bench".to_owned().into()))
    };
    HttpTransport::new(config).map_err(io::Error::other)
}

/// Returns the planner that the program makes if the user gives no flags.
pub fn planner(catalog: &Arc<Catalog>) -> Planner {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    Planner::new(RequestDefaults::default(), dialect, catalog.clone(), "anthropic".into(), "".into())
}

/// Returns a plan for reading one input from start to end, with default options.
pub fn input_plan(input: Input) -> InputPlan {
    InputPlan {
        inputs: vec![input],
        options: Options::default(),
        skip: 0,
        limit: None,
        requests: 0,
        is_copy_of_log: false,
    }
}

/// A run over one input.
struct Run<'a> {
    input: Input,
    folder: &'a Path,
    origin: &'a str,
    window: Window,
    /// Whether results are written to a file. If this is false, the result lines are made and then dropped.
    is_kept: bool,
}

impl<'a> Run<'a> {
    fn over(input: &Path, folder: &'a Path, origin: &'a str) -> Self {
        Self { input: Input::File(input.to_owned()), folder, origin, window: Window::fixed(256), is_kept: true }
    }

    /// Runs all rows of the input. `answered` returns how many answered rows the reporter has counted.
    fn go<T: Transport, R: Reporter + Send + 'static>(
        self,
        transport: T,
        reporter: R,
        answered: impl FnOnce(&R) -> u64,
    ) -> io::Result<(Seen, R)> {
        let catalog = Arc::new(Catalog::builtin());
        let clock = RunClock::start();
        let plan = input_plan(self.input.clone());
        let started = Instant::now();
        let mut reading = planner(&catalog);
        if is_seekable(&plan) && self.origin == files::NOBODY {
            let looked = survey(&plan, &mut planner(&catalog), &Earlier::none(), 1, &Progress::default())
                .map_err(io::Error::other)?;
            assert!(looked.duplicate.is_none());
            reading = reading.with_repeats(looked.repeats);
        }
        let (on_commit, commits) = commits();
        let (journal, _) = self.journal(&catalog, clock, on_commit)?;
        let (rows_in, rows) = mpsc::channel(FEED);
        let reader =
            std::thread::spawn(move || feed(&plan, InputOrder::AsWritten, &mut reading, &Earlier::none(), &rows_in));
        let (_stay_open, interrupts) = mpsc::channel(1);
        let parts = Parts {
            routes: Routes::single(
                Arc::new(transport),
                Arc::new(Anthropic::new("2023-06-01", &[], Default::default()).map_err(io::Error::other)?),
            ),
            scheduler: Scheduler::new(scheduling(&catalog, self.window)),
            ledger: JournalLedger::new(journal, clock),
            commits,
            feed: rows,
            lane: None,
            unfinished: Default::default(),
            equal: None,
            interrupts,
            reporter,
            clock,
            run: "bench".into(),
            grace: None,
            keep_pending: false,
        };
        let (finish, ledger, reporter) = LoopThread::new()?.run(drive(parts));
        let closed = ledger.close(InputRead::Whole, false).map_err(io::Error::other)?;
        let seen = Seen::here(answered(&reporter), started.elapsed());
        reader.join().expect("the reader does not panic");
        assert_eq!((closed.failed.values().sum::<u64>(), finish.halted), (0, None));
        Ok((seen, reporter))
    }

    fn journal(&self, catalog: &Catalog, clock: RunClock, on_commit: OnCommit) -> io::Result<(Journal, Recovered)> {
        let dialect = planner_shape();
        let options = JournalOptions {
            disk: Arc::new(RealDisk::default()),
            paths: RunPaths {
                results: self.is_kept.then(|| self.folder.join("out.jsonl")),
                errors: self.folder.join("out.errors.jsonl"),
            },
            inputs: Vec::new(),
            run: "bench".into(),
            clock,
            price_date: Some(catalog.price_date().into()),
            manifest: Manifest { origin: self.origin.to_owned(), shape: dialect, ..Manifest::default() },
            start: Start::Fresh,
            rerun: Vec::new(),
            fsync: Fsync::Group,
            threading: Threading::Thread,
            stdout: (!self.is_kept).then(|| Box::new(io::sink()) as Box<dyn io::Write + Send>),
        };
        Journal::open(options, on_commit).map_err(io::Error::other)
    }
}

fn planner_shape() -> RequestShape {
    RequestShape { api_version: "2023-06-01".to_owned(), ..RequestShape::default() }
}

fn scheduling(catalog: &Arc<Catalog>, window: Window) -> Config {
    let (limits, costs) = (catalog.clone(), catalog.clone());
    Config {
        limits_of: Box::new(move |pool| limits.limits(Tier::None, &pool.class).limits),
        by_hand: RateLimits::NONE,
        headroom: Headroom::Auto,
        endpoints: Vec::new(),
        window,
        max_retries: 8,
        retry_for: Duration::from_secs(1800),
        has_worked_before: false,
        retry_ambiguous: true,
        stream: StreamMode::Auto,
        halt: HaltRule::AllAlike,
        budget: Budget::new(None, None, None, Money::ZERO),
        real_cost: Box::new(move |ask, usage| costs.cost_on(ask.terms, &ask.model, usage)),
        policy: None,
        fallback: None,
        seed: 1,
    }
}

/// For each million rows, records how fast these rows were answered.
#[derive(Default)]
struct Pace {
    rows: u64,
    since: Option<Instant>,
    rates: Vec<f64>,
}

impl Reporter for Pace {
    fn on_event(&mut self, event: &RunEvent) {
        if !matches!(event.body, EventBody::Succeeded { .. }) {
            return;
        }
        let since = *self.since.get_or_insert_with(Instant::now);
        self.rows += 1;
        if self.rows.is_multiple_of(MILLION) {
            self.rates.push(MILLION as f64 / since.elapsed().as_secs_f64());
            self.since = Some(Instant::now());
        }
    }
}
