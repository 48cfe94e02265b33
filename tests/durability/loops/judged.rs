//! Plays whole runs on virtual time, with a judge between the run and the simulated API. The judge is a transport that
//! records all refusals and the time of each request.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{EventBody, Planned, RunEvent};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Provider, ReplyHead, WireRequest};
use claude_batch::report::{Reporter, Stats};
use claude_batch::runner::{Finish, Incoming, Parts, Routes, drive};
use claude_batch::scheduler::{Config, Scheduler};
use claude_batch::sim::config::SimConfig;
use claude_batch::sim::model::{Books, Model};
use claude_batch::sim::transport::{SimExchange, SimTransport, lock};
use claude_batch::transport::{Exchange, Transport, WireError};
use tokio::sync::mpsc;

use crate::support::{self, MemLedger};

/// The requests and refusals that a judge has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// The number of requests that were sent in each second of the run.
    pub sent_in: BTreeMap<u64, u64>,
    /// The number of requests.
    pub sent: u64,
    /// The number of refusals that said how long to wait.
    pub told: u64,
    /// The number of requests that were sent too early. A request is too early if a refusal asked for a wait and this
    /// wait is not over.
    pub early: u64,
    hold_from: Instant,
    hold_until: Instant,
}

/// A transport that records all requests and replies. The judge assumes that all requests share one limit, so after a
/// refusal, all requests have to wait.
struct Judge {
    inside: SimTransport,
    provider: Anthropic,
    clock: RunClock,
    seen: Arc<Mutex<Seen>>,
}

struct Judged(SimExchange);

impl Exchange for Judged {
    fn head(&self) -> &ReplyHead {
        self.0.head()
    }
    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        self.0.chunk().await
    }
    async fn drain(&mut self) {
        self.0.drain().await;
    }
}

impl Transport for Judge {
    type Exchange = Judged;

    async fn send(&self, request: WireRequest) -> Result<Judged, WireError> {
        self.on_send(self.clock.now());
        let exchange = self.inside.send(request).await?;
        let now = self.clock.now();
        let head = exchange.head();
        if head.status == 429
            && let Some(wait) = self.provider.read_head(head, &|| self.clock.wall(now)).signals.retry_after
        {
            self.on_told(wait, now);
        }
        Ok(Judged(exchange))
    }
}

impl Judge {
    fn on_send(&self, now: Instant) {
        let mut seen = self.seen.lock().expect("nobody panics");
        seen.sent += 1;
        *seen.sent_in.entry(now.as_secs_f64() as u64).or_default() += 1;
        // If a request was sent at the instant of the refusal, the client had possibly not yet read the refusal.
        seen.early += u64::from(seen.hold_from < now && now < seen.hold_until);
    }

    fn on_told(&self, wait: Duration, now: Instant) {
        let mut seen = self.seen.lock().expect("nobody panics");
        seen.told += 1;
        if seen.hold_until <= now {
            seen.hold_from = now;
        }
        seen.hold_until = seen.hold_until.max(now + wait);
    }
}

/// The result of a run.
pub struct Judgement {
    /// How the run ended, as the run's loop reports it.
    pub finish: Finish,
    /// The statistics of the run.
    pub stats: Stats,
    /// The lines that the run wrote.
    pub ledger: MemLedger,
    /// The duration of the run, in virtual time.
    pub elapsed: Duration,
    /// The longest time without an event. An event is a sent request, an answer, a failure or a retry.
    pub longest_silence: Duration,
    /// The requests and refusals that the judge saw.
    pub seen: Seen,
    /// The records of the simulated API.
    pub books: Books,
}

/// A row. The number of a row makes its request different from all other requests.
fn row(number: u64) -> Planned {
    let mut planned = support::planned(number, "claude-haiku-4-5", 20, 100);
    let messages = format!(r#"[{{"role":"user","content":"row {number}"}}]"#);
    support::ask(&mut planned, "messages", messages);
    planned
}

/// Runs `rows` rows until each has ended or the run halts.
pub fn run(sim: SimConfig, config: impl FnOnce() -> Config, rows: u64) -> Judgement {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(run_inside(sim, config, rows))
}

async fn run_inside(sim: SimConfig, config: impl FnOnce() -> Config, rows: u64) -> Judgement {
    let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
    let model = Arc::new(Mutex::new(Model::new(sim)));
    let inside = SimTransport::new(model.clone(), clock)
        .with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));
    let provider = || Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let (ledger, commits) = MemLedger::new();
    let (feed_in, feed) = mpsc::channel(64);
    tokio::spawn(async move {
        for number in 0..rows {
            if feed_in.send(Incoming::Planned(row(number))).await.is_err() {
                break;
            }
        }
    });
    let (_interrupts_in, interrupts) = mpsc::channel(1);
    let watch = Watch { clock, silence: (Instant::ZERO, Duration::ZERO), stats: Stats::default() };
    let parts = Parts {
        routes: Routes::single(
            Arc::new(Judge { inside, provider: provider(), clock, seen: seen.clone() }),
            Arc::new(provider()),
        ),
        scheduler: Scheduler::new(config()),
        ledger,
        commits,
        feed,
        lane: None,
        unfinished: Default::default(),
        equal: None,
        interrupts,
        reporter: watch,
        clock,
        run: "judged".into(),
        grace: None,
        keep_pending: false,
    };
    let (finish, ledger, watch) = drive(parts).await;
    let seen = std::mem::take(&mut *seen.lock().expect("nobody panics"));
    let books = lock(&model).books().clone();
    let Watch { stats, silence: (_, longest_silence), .. } = watch;
    Judgement { finish, stats, ledger, elapsed: clock.now().since(Instant::ZERO), longest_silence, seen, books }
}

/// A reporter that counts rows, and measures the longest time without events.
struct Watch {
    clock: RunClock,
    silence: (Instant, Duration),
    stats: Stats,
}

impl Reporter for Watch {
    fn on_event(&mut self, event: &RunEvent) {
        self.stats.fold(event);
        let is_step = matches!(
            event.body,
            EventBody::Sent { .. } | EventBody::Succeeded { .. } | EventBody::Failed { .. } | EventBody::Retried { .. }
        );
        if is_step {
            let now = self.clock.now();
            let (last, longest) = self.silence;
            self.silence = (now, longest.max(now.since(last)));
        }
    }
}
