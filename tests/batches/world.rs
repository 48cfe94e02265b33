//! A test world that outlives its runs: the simulated API with its batches, a disk in memory, and virtual time.
//!
//! A run in this world consists of the real loop, batch lane, scheduler and journal, connected as in the program. The
//! tests can let a run die at any change of the disk, at any call of the batch endpoints, or after any time. The next
//! run starts on the disk that the dead run left.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use claude_batch::batches::{Demand, Lane, LaneSettings, Opened};
use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    EventBody, Expense, Identity, Job, JobKey, LaneChoice, ModelClass, Money, Planned, PoolId, RateLimits, Reason,
    RowId, RunEvent, Speed, SteeredBy,
};
use claude_batch::journal::{InputRead, Journal, JournalOptions, MemDisk, Recovered, RowState, Start, StoredAnswers};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::report::Reporter;
use claude_batch::runner::{
    Applied, EqualRows, Finish, Incoming, Interrupt, JournalLedger, LaneParts, Order, Parts, Routes, Steer, commits,
    drive,
};
use claude_batch::scheduler::{Budget, Config, HaltRule, Scheduler, Window};
use claude_batch::sim::config::{BatchConfig, BatchTime, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::{Ending, Model, Request, Step};
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SharedModel, SimTransport, lock};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::seen::{Call, Kill, Traffic, Watched};
use crate::support::{self, RESULTS, journal_options};

/// The model of all rows. A million input tokens of this model cost one dollar, and a million output tokens cost five
/// dollars.
pub const MODEL: &str = "claude-haiku-4-5";
/// The number of tokens of each answer.
const ANSWER_TOKENS: u32 = 30;
/// The highest number of tokens that the budget assumes for a prompt or an answer.
const MOST_TOKENS: u128 = 100;

/// A run that takes longer than this, in virtual time, counts as a run that never ends.
const LONGEST_RUN: Duration = Duration::from_secs(3 * 3600);
/// A run that is polled more often than this at the same virtual time counts as an endless loop.
const MOST_POLLS: u64 = 20_000;

/// The settings of a run.
#[derive(Clone, Debug)]
pub struct Run {
    pub start: Start,
    pub lane: LaneChoice,
    /// The numbers of the rows of the input.
    pub rows: Vec<u64>,
    pub batch_rows: u32,
    pub batch_bytes: u64,
    pub queue: u64,
    pub detach: bool,
    pub max_retries: u32,
    pub max_cost: Option<Money>,
    pub max_requests: Option<u64>,
    pub max_time: Option<Duration>,
    pub halt: HaltRule,
    /// How long the run waits for an endpoint that does not work.
    pub retry_for: Duration,
    /// Whether the run sends only one of several rows with equal requests.
    pub dedupes: bool,
    /// The moment when the run dies.
    pub kill: Kill,
    /// The times when Ctrl-C is pressed, counted from the start of the run.
    pub interrupts: Vec<Duration>,
    /// The time when the run is paused and the time when it is resumed, both counted from the start of the run.
    pub pause: Option<(Duration, Duration)>,
    /// The time from the start of the run to its deadline.
    pub deadline: Option<Duration>,
    /// The result of the survey of the input. This result is used only if there is a deadline.
    pub unread: Demand,
    /// The rate limits of online requests.
    pub limits: RateLimits,
    /// The largest number of requests that can be in flight online.
    pub window: usize,
}

impl Run {
    /// Returns a run of these rows in batches of 20 rows.
    pub fn of(rows: impl IntoIterator<Item = u64>) -> Self {
        Self {
            start: Start::Continue,
            lane: LaneChoice::Batch,
            rows: rows.into_iter().collect(),
            batch_rows: 20,
            batch_bytes: 1 << 20,
            queue: 100_000,
            detach: false,
            max_retries: 8,
            max_cost: None,
            max_requests: None,
            max_time: None,
            halt: HaltRule::AllAlike,
            retry_for: Duration::from_secs(1800),
            dedupes: false,
            kill: Kill::Never,
            interrupts: Vec::new(),
            pause: None,
            deadline: None,
            unread: Demand::default(),
            limits: RateLimits::NONE,
            window: 16,
        }
    }
}

/// How a run ended, and what it reported.
#[derive(Debug, Default)]
pub struct Ended {
    /// How the run ended, according to its loop; `None` if the run died.
    pub finish: Option<Finish>,
    /// The warnings and notes of the run.
    pub said: Vec<String>,
    /// The error classes of the failed rows, as the run reported them.
    pub failed: Vec<claude_batch::domain::ErrorClass>,
    /// The reasons why the run was not faster, each with its share of the run's time.
    pub reasons: Vec<(Reason, f64)>,
    /// How many rows were in flight online when the previous run died. These rows were possibly billed twice.
    pub dead_in_flight: u64,
    /// The number of calls of the batch endpoints that the run made.
    pub calls: u64,
    /// The number of changes that the run made to the disk.
    pub changes: u64,
}

impl Ended {
    /// Returns the result of the run's loop, which says how the run ended. Panics if the run died.
    pub fn finish(&self) -> &Finish {
        self.finish.as_ref().expect("the run did not die")
    }

    /// Returns whether one of the warnings and notes contains this text.
    pub fn says(&self, text: &str) -> bool {
        self.said.iter().any(|said| said.contains(text))
    }
}

/// The world.
pub struct World {
    pub model: SharedModel,
    /// The clock of the API.
    pub clock: RunClock,
    pub disk: MemDisk,
    pub traffic: Arc<Mutex<Traffic>>,
    /// The random generator that decides which unsynced writes are lost; `None` if no writes are lost when the process
    /// dies.
    pub power: Option<fastrand::Rng>,
    runs: u32,
    /// The function that makes a row from its number.
    pub row: fn(u64) -> Planned,
}

/// Runs a test in a test world on virtual time.
pub fn play<T>(faults: &str, batches: BatchConfig, test: impl AsyncFnOnce(&mut World) -> T) -> T {
    play_under(faults, batches, RateLimits::NONE, test)
}

/// Runs a test in a test world that limits the rate of online requests.
pub fn play_under<T>(
    faults: &str,
    batches: BatchConfig,
    limits: RateLimits,
    test: impl AsyncFnOnce(&mut World) -> T,
) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(async {
        let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");
        let config = SimConfig::new(presets::models())
            .with_limits(limits)
            .with_lengths(OutputLengths::fixed(ANSWER_TOKENS))
            .with_batches(batches)
            .with_faults(faults);
        let start = "2026-10-01T00:00:00Z".parse().expect("it is a time");
        let mut world = World {
            model: Arc::new(Mutex::new(Model::new(config))),
            clock: RunClock::start_at(start),
            disk: MemDisk::new(),
            traffic: Arc::default(),
            power: None,
            runs: 0,
            row,
        };
        test(&mut world).await
    })
}

/// Returns the settings of batches that take 10 to 40 seconds and expire after two minutes. A run shows its state ten
/// times a second, so simulating hours of virtual time would take long.
pub fn quick() -> BatchConfig {
    let time = BatchTime::Between(Duration::from_secs(10), Duration::from_secs(40));
    BatchConfig { time, expiry: Duration::from_secs(120), ..BatchConfig::default() }
}

/// A fault file without faults.
pub const NO_FAULTS: &str = r#"{"rules":[]}"#;

impl World {
    /// Returns the present moment by the clock of the API.
    pub fn now(&self) -> Instant {
        self.clock.now()
    }

    /// Locks the simulated API.
    pub fn api(&self) -> MutexGuard<'_, Model> {
        lock(&self.model)
    }

    /// Locks the record of the traffic.
    pub fn traffic(&self) -> MutexGuard<'_, Traffic> {
        self.traffic.lock().expect("nobody panics while it counts")
    }

    /// Lets virtual time pass while no run is in progress.
    pub async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
    }

    /// Starts a run, and waits until it ends or dies.
    pub async fn run(&mut self, run: &Run) -> Ended {
        self.runs += 1;
        let name = format!("r{}", self.runs);
        let before = self.disk.changes();
        match run.kill {
            Kill::Change { at, cut } => self.disk.die_at(before + at, cut),
            Kill::Fault => {}
            _ => self.disk.die_at(u64::MAX, 0),
        }
        self.traffic().begin(run.kill);
        let mut ended = Ended::default();
        let is_dead = {
            let disk = self.disk.clone();
            let traffic = self.traffic.clone();
            let dies_at = match run.kill {
                Kill::Change { at, .. } => before + at,
                _ => u64::MAX,
            };
            let dies_after = match run.kill {
                Kill::After(time) => time,
                _ => Duration::from_secs(1 << 40),
            };
            let is_dead = || disk.changes() > dies_at || traffic.lock().expect("nobody panics").is_dead;
            let mut living = pin!(self.live(run, &name, &mut ended));
            let mut end = pin!(tokio::time::sleep(dies_after));
            let (begun, mut last, mut polls) = (self.clock.now(), self.clock.now(), 0);
            // After the death of the process, its tasks are not polled any more.
            std::future::poll_fn(|context| {
                if is_dead() || end.as_mut().poll(context).is_ready() {
                    return Poll::Ready(true);
                }
                let now = self.clock.now();
                polls = if now == last { polls + 1 } else { 0 };
                last = now;
                assert!(polls < MOST_POLLS, "the run does something again and again at {} s", now.as_secs_f64());
                assert!(now.since(begun) < LONGEST_RUN, "the run does not end");
                let polled = living.as_mut().poll(context);
                if is_dead() { Poll::Ready(true) } else { polled.map(|()| false) }
            })
            .await
        };
        self.traffic().end();
        // The tasks of the dead process run once more, notice the death, and end.
        tokio::task::yield_now().await;
        tokio::task::yield_now().await;
        ended.calls = self.traffic().calls_of_run();
        ended.changes = self.disk.changes() - before;
        if !is_dead && ended.finish.as_ref().is_some_and(|finish| finish.maybe_billed + finish.maybe_paid > 0) {
            self.note_death();
        }
        if is_dead {
            ended.finish = None;
            self.disk = match &mut self.power {
                Some(random) => self.disk.after_power_loss(random),
                None => self.disk.after_death(),
            };
            self.note_death();
        }
        ended
    }

    /// Notes which rows have no answer although a run sent them online. The run died, or it aborted these rows. The
    /// next run is allowed to send these rows again.
    fn note_death(&mut self) {
        // A failed row can have an error line from an earlier run, so only result lines count.
        let written: BTreeSet<String> = labels(&self.disk, RESULTS).into_iter().collect();
        let mut traffic = self.traffic.lock().expect("nobody panics");
        let sent = std::mem::take(&mut traffic.online_in_run);
        traffic.died_online.extend(sent.into_iter().filter(|label| !written.contains(label)));
    }

    async fn live(&self, run: &Run, name: &str, ended: &mut Ended) {
        let clock = RunClock::start_at(self.clock.wall(self.clock.now()));
        let (on_commit, commits) = commits();
        let options = JournalOptions { start: run.start, clock, ..journal_options(&self.disk, name) };
        let (journal, mut recovered) = match Journal::open(options, Box::new(on_commit)) {
            Ok(opened) => opened,
            Err(error) => return self.assert_dead(run, &error),
        };
        ended.dead_in_flight = recovered.dead_in_flight;
        if run.start == Start::Resume
            && let Err(error) = journal.write_resume_input(&[])
        {
            return self.assert_dead(run, &error);
        }
        let opened = match Opened::new(Arc::new(self.disk.clone()), Path::new(RESULTS)) {
            Ok(opened) => opened,
            Err(error) => return self.assert_dead(run, &error),
        };
        let (lost_rows, lost_money) = opened.lost();
        recovered.totals.maybe_paid += lost_rows;
        recovered.totals.maybe_spend += lost_money;
        let (interrupts_in, interrupts) = mpsc::channel(1);
        for at in run.interrupts.clone() {
            let interrupts_in = interrupts_in.clone();
            tokio::spawn(async move {
                tokio::time::sleep(at).await;
                // If the run has already ended, the send fails, and the failure is ignored.
                let _ = interrupts_in.send(Interrupt::End(2)).await;
            });
        }
        if let Some((pause, resume)) = run.pause {
            tokio::spawn(async move {
                for (at, order) in [(pause, Order::Pause), (resume - pause, Order::Resume)] {
                    tokio::time::sleep(at).await;
                    let applied = Applied::tell(drop);
                    let steer = Steer { order, by: SteeredBy::Ctl, message: String::new(), applied };
                    let _ = interrupts_in.send(Interrupt::Steer(steer)).await;
                }
            });
        }
        let feed = self.feed(run, &recovered, &opened);
        let equal = run.dedupes.then(|| {
            let of_own = || StoredAnswers::of_own_results(Path::new(RESULTS), None, &self.disk);
            let earlier = (!recovered.done.is_empty()).then(|| of_own().expect("it was just recovered"));
            EqualRows::new(None, earlier)
        });
        let inside = SimTransport::new(self.model.clone(), self.clock)
            .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
        let said: Arc<Mutex<Said>> = Arc::default();
        let parts = Parts {
            routes: Routes::single(
                Arc::new(Watched::new(inside, self.traffic.clone(), self.clock)),
                Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header")),
            ),
            scheduler: Scheduler::new(config(run, &recovered)),
            ledger: JournalLedger::new(journal, clock),
            commits,
            feed,
            lane: self.lane(run, opened, &recovered, clock),
            unfinished: Default::default(),
            equal,
            interrupts,
            reporter: Listener(said.clone()),
            clock,
            run: name.into(),
            grace: None,
            keep_pending: false,
        };
        let (finish, ledger, _) = drive(parts).await;
        let is_whole = finish.halted.is_none() && run.start != Start::Resume;
        let input = if is_whole { InputRead::Whole } else { InputRead::Part };
        if let Err(error) = ledger.close(input, finish.maybe_billed > 0)
            && !matches!(finish.halted, Some(claude_batch::domain::HaltReason::Disk(_)))
        {
            return self.assert_dead(run, &error);
        }
        let said = std::mem::take(&mut *said.lock().expect("nobody panics"));
        (ended.said, ended.failed, ended.finish) = (said.texts, said.failed, Some(finish));
        ended.reasons = said.reasons;
    }

    /// The start of a run fails only if the process dies.
    fn assert_dead(&self, run: &Run, error: &dyn std::fmt::Debug) {
        assert!(matches!(run.kill, Kill::Change { .. } | Kill::Fault), "the run can't use its files: {error:?}");
        self.traffic().is_dead = true;
    }

    /// Gives the run all rows that are not done. The program also gives each run all rows that are not done.
    fn feed(&self, run: &Run, recovered: &Recovered, opened: &Opened) -> mpsc::Receiver<Incoming> {
        let submitted = opened.rows().expect("the files of open batches can be read");
        let known = |job: &Job| match recovered.done.state(job.row, &job.identity) {
            RowState::Done => RowState::Done,
            _ if submitted.contains(&job.row) => RowState::Submitted,
            state => state,
        };
        let decide = |planned: Planned| match (known(&planned.job), run.start) {
            (RowState::New, Start::Continue | Start::Fresh) => Some(Incoming::Planned(planned)),
            (RowState::Failed(_), Start::Resume) => Some(Incoming::Planned(planned)),
            (RowState::Submitted, _) => Some(Incoming::Submitted(planned.job.key)),
            (RowState::Rerun(_), _) => unreachable!("no row is run again because of its answer"),
            (RowState::New | RowState::Failed(_) | RowState::Done | RowState::Changed { .. }, _) => None,
        };
        let rows: Vec<Incoming> = run.rows.iter().map(|&number| (self.row)(number)).filter_map(decide).collect();
        let (feed_in, feed) = mpsc::channel(64);
        tokio::spawn(async move {
            for incoming in rows {
                if feed_in.send(incoming).await.is_err() {
                    break;
                }
            }
        });
        feed
    }

    fn lane(&self, run: &Run, opened: Opened, recovered: &Recovered, clock: RunClock) -> Option<LaneParts> {
        if run.lane == LaneChoice::Online && opened.open_batches() == 0 {
            return None;
        }
        let settings = LaneSettings {
            choice: run.lane,
            deadline: run.deadline.map(|after| clock.now() + after),
            unread: run.unread.clone(),
            batch_rows: run.batch_rows,
            batch_bytes: run.batch_bytes,
            queue: run.queue,
            detach: run.detach,
            max_retries: run.max_retries,
            origin: "https://api.example.invalid".to_owned(),
            nonce: format!("nonce{:03}", self.runs),
        };
        let class = ModelClass("batches".into());
        let route = PoolId { provider: "anthropic".into(), account: "".into(), class, speed: Speed::Standard };
        let row = self.row;
        Some(LaneParts {
            lane: Lane::new(settings, opened, recovered.done.clone(), clock),
            replan: Box::new(move |job| {
                let mut planned = row(job.index);
                assert_eq!(planned.job.request.json(), job.request.json(), "a row is read back as it was");
                *planned.job = job;
                Ok(planned)
            }),
            route: route.into(),
            leaves_rows: false,
        })
    }

    /// Calls the API like another client that has the same key.
    pub fn call(&self, method: http::Method, path: &str, body: &str) -> Value {
        call(&self.model, self.clock, method, path, body)
    }

    /// Lets another client create several batches of `rows` requests. Each duration in `after` is the time from now
    /// until one of these batches is created.
    pub fn foreign(&self, rows: usize, after: &[Duration]) {
        for after in after.iter().copied() {
            let (model, clock) = (self.model.clone(), self.clock);
            tokio::spawn(async move {
                tokio::time::sleep(after).await;
                // If the API rejects the batch, only the other client is affected.
                let _ = call(&model, clock, http::Method::POST, "", &foreign_body(rows));
            });
        }
    }

    /// Lets another client create a batch of `rows` requests. Returns the id of the batch.
    pub fn create_foreign(&self, rows: usize) -> String {
        let created = self.call(http::Method::POST, "", &foreign_body(rows));
        created["id"].as_str().expect("it was created").to_owned()
    }

    /// Returns the number of calls of this kind that runs have sent.
    pub fn calls(&self, call: Call) -> u64 {
        self.traffic().calls.get(&call).copied().unwrap_or_default()
    }
}

fn call(model: &SharedModel, clock: RunClock, method: http::Method, path: &str, body: &str) -> Value {
    let mut headers = http::HeaderMap::new();
    headers.insert("anthropic-version", http::HeaderValue::from_static("2023-06-01"));
    headers.insert("x-api-key", http::HeaderValue::from_static("sk-ant-simulated"));
    let (path, body) = (&*format!("/v1/messages/batches{path}"), body.as_bytes());
    let request = Request { method: &method, path, query: None, headers: &headers, body };
    let arrival = lock(model).arrive(&request, clock.now());
    let mut text = Vec::new();
    for step in &arrival.body {
        if let Step::Bytes { bytes, .. } = step {
            text.extend_from_slice(bytes);
        }
    }
    lock(model).finish(arrival.ticket, Ending::Played, clock.now());
    serde_json::from_slice(&text).unwrap_or_default()
}

fn foreign_body(rows: usize) -> String {
    let request = |row: usize| {
        format!(
            r#"{{"custom_id":"theirs-{row}","params":{{"model":"{MODEL}","max_tokens":50,"messages":[{{"role":"user","content":"their row {row}"}}],"metadata":{{"user_id":"theirs"}}}}}}"#
        )
    };
    let requests: Vec<String> = (0..rows).map(request).collect();
    format!(r#"{{"requests":[{}]}}"#, requests.join(","))
}

fn config(run: &Run, recovered: &Recovered) -> Config {
    let totals = &recovered.totals;
    let budget =
        Budget::new(run.max_cost, run.max_requests, run.max_time, totals.spend).with_unsure(totals.maybe_spend);
    Config {
        real_cost: Box::new(|ask, usage| {
            let tokens = u128::from(usage.input_tokens) + 5 * u128::from(usage.output_tokens);
            Some(match ask.terms.lane {
                claude_batch::domain::Lane::Online => Money(tokens * 1_000_000),
                claude_batch::domain::Lane::Batch => Money(tokens * 500_000),
            })
        }),
        budget,
        halt: run.halt,
        retry_for: run.retry_for,
        max_retries: run.max_retries,
        ..support::config(run.limits, Window::fixed(run.window), 1)
    }
}

/// The highest possible cost of a row in a batch.
pub const MOST_IN_BATCH: Money = Money(MOST_TOKENS * 6 * 500_000);

/// Returns the row with this number. Every second row has an id of its own. The words in a prompt decide which faults
/// its row meets. One prompt in ten contains "tenth", and each prompt contains the row's number between two colons.
pub fn row(number: u64) -> Planned {
    let word = if number % 10 == 7 { "tenth" } else { "plain" };
    shaped(number, &format!("{word} row :{number}:"))
}

/// Returns the row with this number and prompt.
pub fn shaped(number: u64, prompt: &str) -> Planned {
    let mut planned = support::planned(number, MODEL, 20, 100);
    let label = label(number);
    support::ask(&mut planned, "messages", format!(r#"[{{"role":"user","content":"{prompt}"}}]"#));
    support::ask(&mut planned, "metadata", format!(r#"{{"user_id":{label:?}}}"#));
    let most = Money(MOST_TOKENS * 6_000_000);
    planned.ask.expense = Some(Expense { most, most_in_batch: MOST_IN_BATCH, ..Expense::default() });
    planned.job.custom_id = label;
    // The digest of a real row uses all 128 bits, so the number is spread over 128 bits too.
    let digest = u128::from(number + 1).wrapping_mul(0x0123_4567_89ab_cdef_0f1e_2d3c_4b5a_6979);
    planned.job.key = JobKey(digest.to_be_bytes());
    planned.job.identity = if number.is_multiple_of(2) { Identity::Named } else { Identity::Nth(0) };
    let Job { custom_id, key, identity, .. } = &*planned.job;
    planned.job.row = RowId::of(custom_id, *key, identity);
    planned
}

/// The label of a row.
pub fn label(number: u64) -> String {
    if number.is_multiple_of(2) { format!("row-{number}") } else { format!("in.jsonl:{}", number + 1) }
}

/// Returns the labels of the complete lines of a file.
pub fn labels(disk: &MemDisk, path: &str) -> Vec<String> {
    lines(disk, path).iter().filter_map(|line| line["custom_id"].as_str().map(str::to_owned)).collect()
}

/// Returns the complete lines of a file.
pub fn lines(disk: &MemDisk, path: &str) -> Vec<Value> {
    let content = disk.content(path).unwrap_or_default();
    content.split(|&byte| byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect()
}

#[derive(Default)]
struct Said {
    texts: Vec<String>,
    failed: Vec<claude_batch::domain::ErrorClass>,
    reasons: Vec<(Reason, f64)>,
}

/// A reporter that keeps the messages of a run.
struct Listener(Arc<Mutex<Said>>);

impl Reporter for Listener {
    fn on_event(&mut self, event: &RunEvent) {
        let mut said = self.0.lock().expect("nobody panics");
        match &event.body {
            EventBody::Warned(text) | EventBody::Noted(text) => said.texts.push(text.clone()),
            EventBody::Failed { class, .. } => said.failed.push(*class),
            EventBody::Ended { reasons, .. } => said.reasons.clone_from(reasons),
            _ => {}
        }
    }
}

/// A map from the label of a row to a count.
pub type ByLabel = BTreeMap<String, u64>;
