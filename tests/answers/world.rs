//! A test world that outlives its runs: the simulated API with scripted answers, a disk in memory, and virtual time.
//!
//! A run in this world uses the real loop, scheduler, policy, planner and journal. These parts are connected as in the
//! program.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use claude_batch::answer::schema::Schema;
use claude_batch::answer::{Form, OnInvalid, OnRefusal, OnTruncate, Rules, policy, shaped};
use claude_batch::batches::{Demand, Lane, LaneSettings, Opened};
use claude_batch::catalog::Catalog;
use claude_batch::clock::RunClock;
use claude_batch::domain::{LaneChoice, ModelClass, Money, Planned, PoolId, ProviderFeatures, RateLimits, Speed};
use claude_batch::journal::{InputRead, Journal, JournalOptions, MemDisk, Recovered, RowState, StoredAnswers};
use claude_batch::plan::{Dialect, Planner, RequestDefaults, Shaped};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{
    EqualRows, Finish, Incoming, Interrupt, JournalLedger, LaneParts, Parts, Routes, commits, drive,
};
use claude_batch::scheduler::{Budget, Config, HaltRule, Scheduler, Window};
use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::{BatchConfig, BatchTime, Latency, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::{Books, Model};
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SharedModel, SimTransport, lock};
use tokio::sync::mpsc;

use crate::script::{OTHER, SCHEMA, answers};
use crate::support::{self, RESULTS, journal_options};

/// The rules for answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Every answer is kept.
    Lax,
    /// If an answer breaks a rule, its row fails.
    Strict,
    /// If an answer breaks a rule, the run sends a follow-up request that has a higher `max_tokens`, asks for a repair,
    /// or uses another model.
    Mending,
}

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Run {
    pub manner: Manner,
    pub lane: LaneChoice,
    pub dedupes: bool,
    pub max_cost: Option<Money>,
    pub max_requests: Option<u64>,
    /// The time from the start of the run until Ctrl-C is pressed.
    pub interrupted_after: Option<Duration>,
    /// The time from the start of the run until the process dies.
    pub dies_after: Option<Duration>,
    pub window: usize,
}

impl Run {
    pub fn new(manner: Manner) -> Self {
        Self {
            manner,
            lane: LaneChoice::Online,
            dedupes: false,
            max_cost: None,
            max_requests: None,
            interrupted_after: None,
            dies_after: None,
            window: 64,
        }
    }
}

/// The world.
pub struct World {
    model: SharedModel,
    clock: RunClock,
    pub disk: MemDisk,
    runs: u32,
}

/// Runs a test in a world on virtual time. `faults` is a fault file.
pub fn play<T>(seed: u64, faults: &str, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async {
        let mut config = SimConfig::new(presets::models())
            .with_limits(RateLimits::NONE)
            .with_seed(seed)
            .with_latency(Latency { jitter: 0.3, first_token: Duration::from_millis(500), ..Latency::ZERO })
            .with_batches(BatchConfig {
                time: BatchTime::Between(Duration::from_secs(10), Duration::from_secs(40)),
                ..BatchConfig::default()
            })
            .with_faults(FaultPlan::parse(faults, "faults.json").unwrap_or_else(|error| panic!("{error}")));
        config.answers = AnswerPlan::parse(&answers(), "answers.json").unwrap_or_else(|error| panic!("{error}"));
        let start = "2026-10-01T00:00:00Z".parse().expect("it is a time");
        let mut world = World {
            model: Arc::new(Mutex::new(Model::new(config))),
            clock: RunClock::start_at(start),
            disk: MemDisk::new(),
            runs: 0,
        };
        test(&mut world).await
    })
}

/// Returns a planner that adds the schema to each request.
pub fn planner() -> Planner {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let shape = move |params: claude_batch::domain::Merged<'_>| {
        let (params, schema_method) = shaped(&schema(), &catalog(), ProviderFeatures::ALL, params);
        Shaped { params, schema_method: Some(schema_method) }
    };
    Planner::new(RequestDefaults::default(), dialect, catalog(), "anthropic".into(), "".into())
        .with_shaping(Some(Arc::new(shape)))
}

fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| Arc::new(Catalog::builtin())).clone()
}

fn schema() -> Schema {
    static PARSED: OnceLock<Schema> = OnceLock::new();
    PARSED.get_or_init(|| Schema::parse(SCHEMA).expect("the schema is right")).clone()
}

fn rules(manner: Manner) -> Rules {
    let (on_invalid, on_truncate, on_refusal) = match manner {
        Manner::Lax => (OnInvalid::Keep, OnTruncate::Keep, OnRefusal::Keep),
        Manner::Strict => (OnInvalid::Fail, OnTruncate::Fail, OnRefusal::Fail),
        Manner::Mending => {
            (OnInvalid::Repair, OnTruncate::Grow { max_tokens: None }, OnRefusal::Model(OTHER.to_owned()))
        }
    };
    let form = Form::Schema(schema());
    Rules {
        form,
        conditions: Vec::new(),
        on_invalid,
        on_truncate,
        on_refusal,
        max_follow_ups: 2,
        features: ProviderFeatures::ALL,
    }
}

impl World {
    /// Runs these rows. Returns `None` if the process dies.
    pub async fn run(&mut self, run: &Run, rows: &[Planned]) -> Option<Finish> {
        self.runs += 1;
        let name = format!("run-{}", self.runs);
        let death = run.dies_after.unwrap_or(Duration::from_secs(1 << 30));
        let finish = tokio::time::timeout(death, self.live(run, rows, &name)).await.ok();
        // When a process dies, its request tasks end.
        tokio::task::yield_now().await;
        self.disk = self.disk.after_death();
        finish
    }

    async fn live(&self, run: &Run, rows: &[Planned], name: &str) -> Finish {
        let clock = RunClock::start_at(self.clock.wall(self.clock.now()));
        let (on_commit, commits) = commits();
        let options = JournalOptions { clock, ..journal_options(&self.disk, name) };
        let (journal, recovered) = Journal::open(options, on_commit).expect("the disk works");
        let opened = Opened::new(Arc::new(self.disk.clone()), Path::new(RESULTS)).expect("the disk works");
        let feed = feed(rows, &recovered, &opened);
        let lane = self.lane(run, opened, &recovered, clock);
        let equal = run.dedupes.then(|| {
            let earlier = || StoredAnswers::of_own_results(Path::new(RESULTS), None, &self.disk);
            EqualRows::new(None, (!recovered.done.is_empty()).then(|| earlier().expect("it was just recovered")))
        });
        let (interrupts_in, interrupts) = mpsc::channel(1);
        if let Some(after) = run.interrupted_after {
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                // If the run has already ended, the send fails, and the failure is ignored.
                let _ = interrupts_in.send(Interrupt::End(2)).await;
            });
        }
        let transport = SimTransport::new(self.model.clone(), self.clock)
            .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
        let parts = Parts {
            routes: Routes::single(
                Arc::new(transport),
                Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header")),
            ),
            scheduler: Scheduler::new(config(run, &recovered)),
            ledger: JournalLedger::new(journal, clock),
            commits,
            feed,
            lane,
            unfinished: recovered.unfinished.clone(),
            equal,
            interrupts,
            reporter: Box::new(support::Counts::default()),
            clock,
            run: name.into(),
            grace: None,
            keep_pending: false,
        };
        let (finish, mut ledger, _) = drive(parts).await;
        let input = if finish.halted.is_none() { InputRead::Whole } else { InputRead::Part };
        let closed = ledger.carry(finish.canary_spend).and_then(|()| ledger.close(input, finish.maybe_billed > 0));
        closed.expect("the disk works");
        finish
    }

    fn lane(&self, run: &Run, opened: Opened, recovered: &Recovered, clock: RunClock) -> Option<LaneParts> {
        if run.lane == LaneChoice::Online && opened.open_batches() == 0 {
            return None;
        }
        let settings = LaneSettings {
            choice: run.lane,
            deadline: None,
            unread: Demand::default(),
            batch_rows: 100,
            batch_bytes: 1 << 20,
            queue: 100_000,
            detach: false,
            max_retries: 8,
            origin: "https://api.example.invalid".to_owned(),
            nonce: format!("nonce{:03}", self.runs),
        };
        let class = ModelClass("batches".into());
        let route = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        Some(LaneParts {
            lane: Lane::new(settings, opened, recovered.done.clone(), clock),
            replan: Box::new(|_| panic!("no batch expires")),
            route: route.into(),
            leaves_rows: false,
        })
    }

    /// Returns what the next run will read from the files of the earlier runs.
    pub fn recovered(&self) -> Recovered {
        // Opening a journal changes its disk, so the journal is opened on a copy of the disk.
        Journal::open(journal_options(&self.disk.after_death(), "look"), Box::new(|_| ())).expect("the disk works").1
    }

    /// Returns whether a run has left batches open.
    pub fn has_batches(&self) -> bool {
        let opened = Opened::new(Arc::new(self.disk.after_death()), Path::new(RESULTS)).expect("the disk works");
        opened.open_batches() > 0
    }

    /// Returns the records of the API about its requests and charges. Requests that the API is still processing are
    /// finished first.
    pub async fn books(&self) -> Books {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        let mut model = lock(&self.model);
        model.stats(self.clock.now());
        model.books().clone()
    }
}

/// Passes all rows to the run, except rows that are done.
fn feed(rows: &[Planned], recovered: &Recovered, opened: &Opened) -> mpsc::Receiver<Incoming> {
    let submitted = opened.rows().expect("the files of open batches can be read");
    let item = |planned: &Planned| match recovered.done.state(planned.job.row, &planned.job.identity) {
        RowState::New if submitted.contains(&planned.job.row) => Some(Incoming::Submitted(planned.job.key)),
        RowState::New => Some(Incoming::Planned(planned.clone())),
        RowState::Done | RowState::Failed(_) => None,
        state => panic!("{}: {state:?}", planned.job.custom_id),
    };
    let items: Vec<Incoming> = rows.iter().filter_map(item).collect();
    let (feed_in, feed) = mpsc::channel(64);
    tokio::spawn(async move {
        for item in items {
            if feed_in.send(item).await.is_err() {
                break;
            }
        }
    });
    feed
}

fn config(run: &Run, recovered: &Recovered) -> Config {
    let totals = &recovered.totals;
    let prices = catalog();
    let mut planner = planner();
    let measure = move |params: &_, schema_method, purpose, _: &PoolId| planner.ask_for(params, schema_method, purpose);
    Config {
        halt: HaltRule::Never,
        budget: Budget::new(run.max_cost, run.max_requests, None, totals.spend).with_unsure(totals.maybe_spend),
        real_cost: Box::new(move |ask, usage| prices.cost_on(ask.terms, &ask.model, usage)),
        policy: Some(policy(rules(run.manner), catalog(), Box::new(measure))),
        ..support::config(RateLimits::NONE, Window::fixed(run.window), 1)
    }
}
