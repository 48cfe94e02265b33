//! Checks `--max-cost` against the charges of the simulated API, on virtual time. In each trial, one to three runs
//! write to the same results, one run after another. The rows (of several models), the budgets, the faults and the
//! kills are random.
//!
//! The real loop, scheduler, planner and journal are used. Two promises are checked after each run:
//!
//! - **The budget is never exceeded.** The money that the API charged in all runs so far is at most the budget. The
//!   charged money includes answers that were charged and then lost. An answer is lost in five cases: its connection
//!   broke, it came too late, its stream contained an error, it was aborted, or the process died before the line was
//!   written.
//! - **The budget is used.** If the budget stops a run, then *what is left* is less than the highest cost of the next
//!   row, or less than 3 % of the budget. *What is left* means the budget minus the cost that the program counts. The
//!   program counts the cost of each answer that it has. If an answer is lost and was possibly charged, the program
//!   counts the highest possible cost of the attempt. The next row can be any unfinished row, so the test uses the most
//!   expensive unfinished row.
//!
//! `RUNS=20000 cargo test --test budget` tries more runs. The variable `FIRST` sets the first seed.

mod support;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use claude_batch::catalog::Catalog;
use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{HaltReason, JobId, Money, Origin, Params, Planned, RateLimits};
use claude_batch::journal::{InputRead, Journal, JournalOptions, MemDisk, Recovered, RowState};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::runner::{Finish, Incoming, Interrupt, JournalLedger, Parts, Routes, commits, drive};
use claude_batch::scheduler::{Budget, Config, HaltRule, Scheduler, StreamMode, Window};
use claude_batch::sim::config::{Endings, Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::Model;
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SharedModel, SimTransport, lock};
use claude_batch::source::Row;
use fastrand::Rng;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tokio::sync::mpsc;

const MODELS: [&str; 5] =
    ["claude-haiku-4-5", "claude-haiku-5-5", "claude-sonnet-5-5", "claude-opus-5", "claude-fable-5-1"];
/// The highest price of a request that belongs to no row: 20 input tokens and one output token of the most expensive
/// model. If the process dies, a later run does not know of requests that belong to no row.
const DEAREST_CANARY: Money = Money(250_000_000);

#[test]
fn no_run_spends_more_than_its_budget_or_stops_before_the_budget_is_used() {
    let number = |name: &str, usual| std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(usual);
    let (runs, first): (u64, u64) = (number("RUNS", 1_000), number("FIRST", 0));
    let (mut seen, mut wrong) = (Seen::default(), Vec::new());
    for seed in first..first + runs {
        let case = Case::new(seed);
        if let Err(what) = case.check(&mut seen) {
            wrong.push(format!("seed {seed}: {what}\n  {}", case.shown()));
        }
    }

    println!("{seen:?} in {runs}");
    assert!(wrong.is_empty(), "{} of {runs} runs:\n{}", wrong.len(), wrong.join("\n"));
    // The test is useful only if its runs lose answers, stop and resume.
    let Seen { lost, stopped, finished, killed, resumed, canaries } = seen;
    assert!(
        lost > runs && stopped.min(finished).min(killed).min(resumed) > runs / 20 && canaries > runs / 100,
        "{seen:?} in {runs}"
    );
}

/// How often certain things happened, as sums over all cases.
#[derive(Debug, Default)]
struct Seen {
    /// The number of answers that were charged but did not reach the client completely.
    lost: u64,
    /// The number of runs that the budget stopped.
    stopped: u64,
    /// The number of runs that finished all rows.
    finished: u64,
    /// The number of runs that were killed or aborted.
    killed: u64,
    /// The number of runs that resumed an earlier run.
    resumed: u64,
    /// The number of charged requests that belong to no row.
    canaries: u64,
}

/// One results file, and the runs that write to it.
struct Case {
    seed: u64,
    rows: Vec<Planned>,
    budget: Money,
    runs: Vec<How>,
    sim: SimConfig,
    faults: Value,
    window: usize,
    retry_ambiguous: bool,
    stream: StreamMode,
    timeout_s: f64,
    retry_for_s: u64,
}

/// The event that ends a run, unless the run ends earlier.
#[derive(Clone, Copy, Debug, PartialEq)]
enum How {
    ByItself,
    /// After this time in seconds, the run is interrupted and its requests are aborted.
    AbortedAfter(f64),
    /// The process dies after this time in seconds.
    DiesAfter(f64),
    /// The process dies after the given number of changes to the disk.
    DiesAtChange(u64),
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rows = rows(&mut rng);
        let total = rows.iter().fold(Money::ZERO, |sum, row| sum + most(row));
        // The budget is enough for less than one row, for some of the rows, or for more than all rows.
        let share = [0.02, 0.1, 0.3, 0.6, 1.2, 3.0][rng.usize(..6)] * (0.5 + rng.f64());
        let budget = Money::from_dollars(total.dollars() * share);
        let faults = faults(&mut rng, seed);
        let again = [0, 0, 1, 2][rng.usize(..4)];
        let runs = (0..=again).map(|_| how(&mut rng)).collect();
        let lengths = OutputLengths { per_max_token: rng.f64(), ..OutputLengths::default() };
        let mut sim = SimConfig::new(presets::models())
            .with_limits(limits(&mut rng))
            .with_seed(seed)
            .with_lengths(lengths)
            .with_faults(FaultPlan::parse(&faults.to_string(), "faults").unwrap_or_else(|error| panic!("{error}")));
        sim.endings = Endings { refusal: 0.1 * rng.f64(), ..Endings::default() };
        sim.latency = Latency { jitter: 0.3, tokens_per_second: [50.0, 1e6][rng.usize(..2)], ..Latency::ZERO };
        sim.latency.first_token = Duration::from_secs_f64([0.01, 0.6][rng.usize(..2)]);
        Self {
            seed,
            rows,
            budget,
            runs,
            sim,
            faults,
            window: [1, 2, 4, 16, 64][rng.usize(..5)],
            retry_ambiguous: rng.u8(..4) > 0,
            stream: [StreamMode::Auto, StreamMode::On, StreamMode::Off][rng.usize(..3)],
            timeout_s: [2.0, 20.0][rng.usize(..2)],
            retry_for_s: [3, 20][rng.usize(..2)],
        }
    }

    fn shown(&self) -> String {
        let Self {
            seed: _,
            rows,
            budget,
            runs,
            sim: _,
            faults,
            window,
            retry_ambiguous,
            stream,
            timeout_s,
            retry_for_s,
        } = self;
        format!(
            "{} rows, budget {} of {}, {runs:?}; window {window}, retry ambiguous {retry_ambiguous}, stream {stream:?}, timeout {timeout_s} s, retry for {retry_for_s} s; {faults}",
            rows.len(),
            budget.dollars(),
            rows.iter().fold(Money::ZERO, |sum, row| sum + most(row)).dollars(),
        )
    }

    /// Plays all runs, one after the other, and checks both promises after each run.
    fn check(&self, seen: &mut Seen) -> Result<(), String> {
        let mut disk = MemDisk::new();
        let (mut billed, mut slack) = (Money::ZERO, Money::ZERO);
        for (number, how) in self.runs.iter().enumerate() {
            let ended = self.run(*how, &format!("run-{number}"), &disk);
            disk = disk.after_death();
            billed += ended.billed;
            let is_killed = ended.finish.is_none();
            slack += if is_killed { DEAREST_CANARY.times(ended.canaries) } else { Money::ZERO };
            let recovered = self.recovered(&disk);
            let counted = recovered.totals.spend + recovered.totals.maybe_spend;
            let dollars = |money: Money| money.dollars();
            if billed > self.budget + slack {
                return Err(format!("run {number}: {} charged, {} allowed", dollars(billed), dollars(self.budget)));
            }
            if billed > counted + slack {
                return Err(format!("run {number}: {} charged, {} counted", dollars(billed), dollars(counted)));
            }
            let carried = ended.finish.as_ref().map_or(f64::INFINITY, |finish| finish.canary_spend.dollars());
            if ended.canary_usd > carried + 1e-9 {
                return Err(format!("run {number}: canaries cost {}, {carried} counted", ended.canary_usd));
            }
            let halted = ended.finish.as_ref().and_then(|finish| finish.halted.as_ref());
            if matches!(halted, Some(HaltReason::Budget(_))) {
                seen.stopped += 1;
                self.check_used(counted, &recovered).map_err(|what| format!("run {number}: {what}"))?;
            }
            seen.finished += u64::from(!is_killed && halted.is_none());
            seen.killed += u64::from(is_killed || matches!(halted, Some(HaltReason::Signal(_))));
            seen.resumed += u64::from(number > 0);
            seen.lost += ended.lost;
            seen.canaries += ended.canaries;
        }
        Ok(())
    }

    fn check_used(&self, counted: Money, recovered: &Recovered) -> Result<(), String> {
        let left = self.budget.less(counted);
        let is_open = |row: &&Planned| recovered.done.state(row.job.row, &row.job.identity) == RowState::New;
        let Some(next) = self.rows.iter().filter(is_open).map(most).max() else {
            return Err("it stopped although all rows are finished".to_owned());
        };
        if left >= next && left.times(100) >= self.budget.times(3) {
            return Err(format!("{} is left, and the next row costs at most {}", left.dollars(), next.dollars()));
        }
        Ok(())
    }

    /// Returns what the next run will read from the files of the earlier runs.
    fn recovered(&self, disk: &MemDisk) -> Recovered {
        // Opening a journal changes the disk, so a copy is opened.
        let opened = Journal::open(support::journal_options(&disk.after_death(), "look"), Box::new(|_| ()));
        opened.expect("the disk works").1
    }

    fn run(&self, how: How, name: &str, disk: &MemDisk) -> RunEnded {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let model = Arc::new(Mutex::new(Model::new(self.sim.clone())));
        let runtime = runtime.expect("a runtime can be built");
        let finish = runtime.block_on(self.run_inside(how, name, disk, model.clone()));
        // Ends the request tasks, as if the clients had disconnected.
        drop(runtime);
        let mut model = lock(&model);
        // When the API is asked for statistics, it finishes the requests that it is still processing.
        model.stats(Instant::from_secs(1_000_000));
        let books = model.books();
        let (calls, usd) = books.by_id.values().fold((0, 0.0), |(calls, usd), own| (calls + own.calls, usd + own.usd));
        RunEnded {
            finish,
            billed: books.billed_money,
            lost: books.billed_and_lost,
            canaries: books.billed_calls - calls,
            canary_usd: books.billed_usd - usd,
        }
    }

    /// Plays one run. Returns `None` if the process dies.
    async fn run_inside(&self, how: How, name: &str, disk: &MemDisk, model: SharedModel) -> Option<Finish> {
        let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
        if let How::DiesAtChange(change) = how {
            disk.die_at(disk.changes() + change, 0);
        }
        let (on_commit, commits) = commits();
        let opened = Journal::open(JournalOptions { clock, ..support::journal_options(disk, name) }, on_commit);
        let (journal, Recovered { done, totals, .. }) = opened.ok()?;
        let is_open = |row: &&Planned| done.state(row.job.row, &row.job.identity) == RowState::New;
        let rows: Vec<Planned> = self.rows.iter().filter(is_open).cloned().collect();
        let (feed_in, feed) = mpsc::channel(16);
        tokio::spawn(async move {
            for row in rows {
                if feed_in.send(Incoming::Planned(row)).await.is_err() {
                    break;
                }
            }
        });
        let (interrupts_in, interrupts) = mpsc::channel(2);
        if let How::AbortedAfter(seconds) = how {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
                // The first interrupt stops sending. The second interrupt aborts the requests in flight.
                let _ = interrupts_in.send(Interrupt::End(2)).await;
                let _ = interrupts_in.send(Interrupt::End(2)).await;
                std::future::pending::<()>().await;
            });
        }
        let prices = catalog();
        let config = Config {
            halt: HaltRule::Never,
            stream: self.stream,
            retry_ambiguous: self.retry_ambiguous,
            retry_for: Duration::from_secs(self.retry_for_s),
            budget: Budget::new(Some(self.budget), None, None, totals.spend).with_unsure(totals.maybe_spend),
            real_cost: Box::new(move |ask, usage| prices.cost_on(ask.terms, &ask.model, usage)),
            ..support::config(RateLimits::NONE, Window::fixed(self.window), self.seed)
        };
        let transport = SimTransport::new(model, clock)
            .with_timeouts(Some(Duration::from_secs_f64(self.timeout_s)), Some(Duration::from_secs(5)));
        let parts = Parts {
            routes: Routes::single(
                Arc::new(transport),
                Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header")),
            ),
            scheduler: Scheduler::new(config),
            ledger: JournalLedger::new(journal, clock),
            commits,
            feed,
            lane: None,
            unfinished: Default::default(),
            equal: None,
            interrupts,
            reporter: Box::new(support::Counts::default()),
            clock,
            run: name.into(),
            grace: None,
            keep_pending: false,
        };
        let death = match how {
            How::DiesAfter(seconds) => Duration::from_secs_f64(seconds),
            How::ByItself | How::AbortedAfter(_) | How::DiesAtChange(_) => Duration::MAX,
        };
        let (mut finish, mut ledger, _) = tokio::time::timeout(death, drive(parts)).await.ok()?;
        let input = if finish.halted.is_none() { InputRead::Whole } else { InputRead::Part };
        let closed = ledger.carry(finish.canary_spend).and_then(|()| ledger.close(input, finish.maybe_billed > 0));
        closed.ok()?;
        finish.kept.clear();
        Some(finish)
    }
}

/// The result of one run, according to the API.
struct RunEnded {
    /// The end of the run; `None` if the process died.
    finish: Option<Finish>,
    billed: Money,
    lost: u64,
    /// The number of charged requests that belong to no row, and their cost.
    canaries: u64,
    canary_usd: f64,
}

// ---- random cases ---------------------------------------------------------------------------------------------------

/// Returns up to 20 rows of one to three models, with the plans that the program makes for them.
fn rows(rng: &mut Rng) -> Vec<Planned> {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let mut planner = Planner::new(RequestDefaults::default(), dialect, catalog(), "anthropic".into(), "".into());
    let models: Vec<&str> = (0..rng.usize(1..4)).map(|_| MODELS[rng.usize(..MODELS.len())]).collect();
    let count = rng.u64(1..20);
    let longest = [5, 50, 400][rng.usize(..3)];
    (0..count)
        .map(|number| {
            let label = format!("row-{number}");
            let text =
                format!("{number} {}", ["word ", "12 ", "日本語", "{};"][rng.usize(..4)].repeat(rng.usize(..longest)));
            let body = json!({
                "model": models[rng.usize(..models.len())],
                "max_tokens": rng.u32(1..600),
                "messages": [{"role": "user", "content": text}],
                "metadata": {"user_id": label},
            });
            let members: BTreeMap<Box<str>, Box<RawValue>> =
                serde_json::from_str(&body.to_string()).expect("a request is an object");
            let origin = Origin { source: "in.jsonl".into(), line: number + 1 };
            let params = Params(members.into_iter().collect());
            let row =
                Row { origin, custom_id: Some(label), params, extra: Params::default(), error: None, input: None };
            planner.plan(row, JobId(number)).unwrap_or_else(|rejected| panic!("{}", rejected.message))
        })
        .collect()
}

fn catalog() -> Arc<Catalog> {
    static CATALOG: OnceLock<Arc<Catalog>> = OnceLock::new();
    CATALOG.get_or_init(|| Arc::new(Catalog::builtin())).clone()
}

fn most(row: &Planned) -> Money {
    row.ask.expense.expect("every model of these has a price").most
}

/// Returns up to four kinds of faults. Each kind of fault affects some of the attempts, during the whole run or a part
/// of it.
fn faults(rng: &mut Rng, seed: u64) -> Value {
    let rules: Vec<Value> = (0..rng.usize(..5))
        .map(|_| {
            let mut rule = match rng.u8(..14) {
                0 => json!({"status": 500}),
                1 => json!({"status": 529}),
                2 => json!({"status": 429, "retry_after": "2"}),
                3 => json!({"status": 400}),
                4 => json!({"kind": "html", "status": if rng.bool() { 502 } else { 504 }}),
                5 => json!({"kind": "reset_before", "billed": rng.bool()}),
                6 => json!({"kind": "reset_mid", "at": rng.f64()}),
                7 => json!({"kind": "stall", "at": rng.f64()}),
                8 => json!({"kind": "stall", "before_head": true}),
                9 => json!({"kind": "truncated_json", "at": rng.f64()}),
                10 => json!({"kind": "no_message_stop"}),
                11 => json!({"kind": "no_message_start"}),
                12 => json!({"kind": "slow_drip", "bytes": 64, "every": "1s"}),
                _ => {
                    const TYPES: [&str; 7] = [
                        "overloaded_error",
                        "api_error",
                        "rate_limit_error",
                        "invalid_request_error",
                        "permission_error",
                        "not_found_error",
                        "billing_error",
                    ];
                    let kind = TYPES[rng.usize(..TYPES.len())];
                    json!({"kind": "error_event", "type": kind, "at": rng.f64()})
                }
            };
            rule["share"] = [0.1, 0.3, 0.9][rng.usize(..3)].into();
            rule["draw"] = ["attempt", "row"][rng.usize(..2)].into();
            if rng.bool() {
                rule["until"] = format!("{}s", [1, 10][rng.usize(..2)]).into();
            }
            rule
        })
        .collect();
    json!({"seed": seed, "rules": rules})
}

fn how(rng: &mut Rng) -> How {
    let seconds = [0.05, 1.0, 10.0][rng.usize(..3)] * rng.f64();
    match rng.u8(..6) {
        0 => How::AbortedAfter(seconds),
        1 => How::DiesAfter(seconds),
        2 => How::DiesAtChange(rng.u64(1..60)),
        _ => How::ByItself,
    }
}

fn limits(rng: &mut Rng) -> RateLimits {
    [RateLimits::NONE, RateLimits::new(30, 20_000, 4_000), RateLimits::new(1_000, 450_000, 90_000)][rng.usize(..3)]
}
