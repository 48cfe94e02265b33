//! Plays runs over a chain of two simulated APIs, on virtual time. A run uses the real loop, scheduler and provider
//! adapter.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    Ask, Cost, Dimension, EventBody, FallbackCase, FallbackOn, Job, Planned, PoolId, Purpose, RateLimits, RunEvent,
    Secrets, WireErrorKind,
};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Provider, ReplyHead, WireRequest};
use claude_batch::report::Reporter;
use claude_batch::runner::{Finish, Incoming, Parts, Route, Routes, drive};
use claude_batch::scheduler::{Config, EndpointId, Fallback, Scheduler, Window};
use claude_batch::sim::config::{Burst, Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::{Books, Model};
use claude_batch::sim::presets;
use claude_batch::sim::transport::{SharedModel, SimTransport, lock};
use claude_batch::transport::{Exchange, Transport, WireError};
use tokio::sync::mpsc;

use crate::support::{self, MemLedger};

/// Most rows use the first model. In some tests, the first API does not have the second model.
pub const MODELS: [&str; 2] = ["claude-haiku-4-5", "claude-sonnet-5"];
/// The names of the two providers.
pub const NAMES: [&str; 2] = ["first", "second"];
/// The time in which a limit of a server refills its whole bucket.
pub const BURST: Duration = Duration::from_secs(5);

/// How many tokens of a prompt are not words: the tokens of the row number, and the tokens that the API adds.
const NOT_WORDS: usize = 6;
/// Each row takes this many tokens from the token limit that is used up first. Each row takes `FEW_TOKENS` from every
/// token limit that is used up later. In response headers, numbers of tokens are rounded to thousands. So the token
/// limits must be as high as real limits.
const MANY_TOKENS: u32 = 500;
const FEW_TOKENS: u32 = 20;

/// The conditions of a run.
#[derive(Clone)]
pub struct Setting {
    pub seed: u64,
    /// The number of rows per minute that each API allows for each model.
    pub rpm: [u32; 2],
    /// The limit that is used up first.
    pub binding: Dimension,
    /// The fault file of the first API.
    pub faults: String,
    /// The moment from which the first API can't be reached. The requests in flight at the first API fail at this
    /// moment.
    pub dies_at: Option<Instant>,
    /// For each row, the index of its model in `MODELS`.
    pub rows: Vec<usize>,
}

/// The result of a run.
pub struct Played {
    pub finish: Finish,
    pub ledger: MemLedger,
    pub elapsed: Duration,
    pub books: [Books; 2],
    /// How often each row was charged, by both APIs together.
    pub charged: BTreeMap<String, u64>,
    /// The reported changes of provider, in order: rows go to another provider, or rows come back to their own
    /// provider.
    pub told: Vec<String>,
    pub warnings: Vec<String>,
}

/// Plays a run.
pub fn play(setting: &Setting) -> Played {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(played(setting))
}

async fn played(setting: &Setting) -> Played {
    let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
    let faults = ["{}".to_owned(), setting.faults.clone()];
    let [first, second]: [SharedModel; 2] =
        [0, 1].map(|at: usize| Arc::new(Mutex::new(Model::new(api(setting, at, &faults[1 - at])))));
    let route = |model: &SharedModel, dies_at| Route {
        transport: Arc::new(FailingTransport {
            inner: SimTransport::new(model.clone(), clock)
                .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60))),
            clock,
            dies_at,
        }),
        provider: Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header"))
            as Arc<dyn Provider>,
    };
    let (ledger, commits) = MemLedger::new();
    let (feed_in, feed) = mpsc::channel(64);
    let (_interrupts_in, interrupts) = mpsc::channel(8);
    let rows: Vec<_> =
        setting.rows.iter().enumerate().map(|(row, model)| planned(row as u64, *model, setting.row())).collect();
    tokio::spawn(async move {
        for row in rows {
            if feed_in.send(Incoming::Planned(row)).await.is_err() {
                break;
            }
        }
    });
    let log = Log::default();
    let parts = Parts {
        routes: Routes::new(route(&first, setting.dies_at), vec![(NAMES[1].into(), route(&second, None))]),
        scheduler: Scheduler::new(config(setting)),
        ledger,
        commits,
        feed,
        lane: None,
        unfinished: Default::default(),
        equal: None,
        interrupts,
        reporter: Box::new(log.clone()),
        clock,
        run: "chain".into(),
        grace: None,
        keep_pending: true,
    };
    let (finish, ledger, _) = drive(parts).await;
    // The APIs finish the requests that they are still processing.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    let books = [&first, &second].map(|model| {
        let mut model = lock(model);
        model.stats(clock.now());
        model.books().clone()
    });
    let mut charged = BTreeMap::new();
    for (id, own) in books.iter().flat_map(|books| &books.by_id) {
        *charged.entry(id.clone()).or_default() += own.calls;
    }
    let seen = std::mem::take(&mut *log.0.lock().expect("nobody panics"));
    Played { finish, ledger, elapsed: seen.elapsed, books, charged, told: seen.told, warnings: seen.warnings }
}

fn api(setting: &Setting, at: usize, faults: &str) -> SimConfig {
    let faults = if faults == "{}" { r#"{"rules":[]}"# } else { faults };
    SimConfig::new(presets::models())
        .with_limits(setting.limits(at))
        .with_burst(Burst::Time(BURST))
        .with_seed(setting.seed * 2 + at as u64)
        .with_latency(Latency { first_token: Duration::from_millis(1_500), jitter: 0.4, ..Latency::ZERO })
        .with_lengths(OutputLengths::fixed(setting.row().output_tokens))
        .with_faults(FaultPlan::parse(faults, "faults.json").unwrap_or_else(|error| panic!("{error}")))
}

impl Setting {
    /// Returns how much of each limit a row uses.
    pub fn row(&self) -> Cost {
        let tokens = |dimension| if self.binding == dimension { MANY_TOKENS } else { FEW_TOKENS };
        let [input_tokens, output_tokens] = [Dimension::InputTokens, Dimension::OutputTokens].map(tokens);
        Cost { requests: 1, input_tokens, output_tokens }
    }

    /// Returns the limits of an API. All limits except `binding` are so high that they are never used up.
    pub fn limits(&self, at: usize) -> RateLimits {
        let limit = |dimension| match self.binding == dimension {
            true => self.rpm[at] * self.row().of(dimension),
            false => self.rpm[at] * 1_000,
        };
        let [rpm, itpm, otpm] = Dimension::ALL.map(limit);
        RateLimits::new(rpm, itpm, otpm)
    }
}

fn config(setting: &Setting) -> Config {
    let limits = [0, 1].map(|at| setting.limits(at));
    let limits_of = move |pool: &PoolId| limits[usize::from(&*pool.provider != NAMES[0])];
    let row = setting.row();
    let ask_for = move |job: &Job, id: &EndpointId| {
        let model = MODELS.iter().position(|model| job.custom_id.ends_with(model)).expect("the label names the model");
        let Planned { ask, .. } = planned(job.id.0, model, row);
        let pool = PoolId { provider: id.provider.clone(), ..PoolId::clone(&ask.pool) };
        Ok(Ask { pool: pool.into(), purpose: Purpose::Fallback, ..ask })
    };
    Config {
        limits_of: Box::new(limits_of),
        endpoints: NAMES.map(|name| EndpointId { provider: name.into(), account: "".into() }).to_vec(),
        fallback: Some(Fallback { on: FallbackOn::default(), ask_for: Box::new(ask_for) }),
        ..support::config(RateLimits::NONE, Window::auto(1_000), setting.seed)
    }
}

fn planned(row: u64, model: usize, cost: Cost) -> Planned {
    let model = MODELS[model];
    let mut planned = support::planned(row, model, cost.input_tokens, cost.output_tokens + 44);
    let words = " word".repeat(cost.input_tokens as usize - NOT_WORDS);
    planned.job.custom_id = format!("row-{row}@{model}");
    support::ask(&mut planned, "model", format!("{model:?}"));
    support::ask(&mut planned, "messages", format!(r#"[{{"role":"user","content":"{row:06}{words}"}}]"#));
    support::ask(&mut planned, "metadata", format!(r#"{{"user_id":"row-{row}"}}"#));
    planned.ask.pool = PoolId { provider: NAMES[0].into(), ..support::pool_id(model) }.into();
    planned
}

/// A reporter that keeps what the tests need of the events.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    elapsed: Duration,
    told: Vec<String>,
    warnings: Vec<String>,
}

impl Reporter for Log {
    fn on_event(&mut self, event: &RunEvent) {
        let mut seen = self.0.lock().expect("nobody panics");
        match &event.body {
            EventBody::Ended { elapsed, .. } => seen.elapsed = *elapsed,
            EventBody::Diverted { from, to, why } => seen.told.push(format!("{from} > {to}: {}", name(*why))),
            EventBody::ProviderStopped { .. } => {}
            EventBody::Returned { to } => seen.told.push(format!("back to {to}")),
            EventBody::Warned(text) => seen.warnings.push(text.clone()),
            _ => {}
        }
    }
}

fn name(case: FallbackCase) -> &'static str {
    case.name()
}

/// A transport to a simulated API. From a given moment on, the API can't be reached.
struct FailingTransport {
    inner: SimTransport,
    clock: RunClock,
    dies_at: Option<Instant>,
}

struct FailingExchange<E> {
    inner: E,
    deadline: Option<tokio::time::Instant>,
}

impl Transport for FailingTransport {
    type Exchange = FailingExchange<<SimTransport as Transport>::Exchange>;

    async fn send(&self, request: WireRequest) -> Result<Self::Exchange, WireError> {
        if self.dies_at.is_some_and(|at| self.clock.now() >= at) {
            return Err(broken(WireErrorKind::Connect));
        }
        let deadline = self.dies_at.and_then(|at| self.clock.deadline(at));
        let inner = until(deadline, self.inner.send(request)).await?;
        Ok(FailingExchange { inner, deadline })
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.inner.secrets()
    }
}

impl<E: Exchange> Exchange for FailingExchange<E> {
    fn head(&self) -> &ReplyHead {
        self.inner.head()
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        until(self.deadline, self.inner.chunk()).await
    }
}

async fn until<T>(
    deadline: Option<tokio::time::Instant>,
    work: impl Future<Output = Result<T, WireError>>,
) -> Result<T, WireError> {
    match deadline {
        Some(deadline) => {
            tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| Err(broken(WireErrorKind::Broken)))
        }
        None => work.await,
    }
}

fn broken(kind: WireErrorKind) -> WireError {
    WireError { kind, maybe_sent: kind == WireErrorKind::Broken, message: "connection refused".to_owned() }
}
