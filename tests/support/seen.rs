//! The log of a measured run: each request, each row and each status, with its time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use claude_batch::clock::RunClock;
use claude_batch::domain::{
    Dimension, EventBody, HaltReason, Job, JobId, Marked, Outcome, PoolId, RateSignals, Reason, RunEvent, Usage,
    Verdict,
};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Decoder, HeadNews, Provider, Reply, ReplyHead, WireRequest};
use claude_batch::report::Reporter;
use claude_batch::report::stats::Stats;
use claude_batch::runner::Ledger;
use claude_batch::scheduler::Ticket;
use claude_batch::sim::transport::SimExchange;
use claude_batch::transport::{Exchange, Transport, WireError};

use super::MemLedger;
use super::gateway::{Gateway, HandedOn};

/// One request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// The time when the request was sent, in seconds.
    pub sent_at: f64,
    /// The time when the headers of the response arrived, in seconds.
    pub head_at: f64,
    /// The status of the response; 0 if no response came.
    pub status: u16,
}

/// One answered row.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// The number of the row.
    pub row: u64,
    /// The time when the line of the row was written, in seconds.
    pub at: f64,
    /// The time from the last request for the row until its line was written, in seconds.
    pub latency: f64,
    /// The number of tokens that the answer used.
    pub usage: Usage,
}

/// The content of the log.
#[derive(Default)]
pub struct Seen {
    /// The requests, in the order in which their responses arrived.
    pub requests: Vec<Request>,
    /// The answers, in the order in which they were written.
    pub answers: Vec<Answer>,
    /// The time when each row was read from the input, in seconds.
    pub offered: BTreeMap<u64, f64>,
    /// The time when each row was sent for the first time, in seconds.
    pub sent: BTreeMap<u64, f64>,
    /// For each report of the run's state: its time, and the reason for waiting that the run showed.
    pub reasons: Vec<(f64, Reason)>,
    /// The counters that a report of the run keeps.
    pub stats: Stats,
    /// The time when a twentieth of the rows was done, and the remaining time that the run showed then.
    pub eta: Option<(f64, f64)>,
    /// For each second: the time, and the remaining time that the run showed.
    pub etas: Vec<(f64, f64)>,
    /// The time when the last accepted request was sent, and the amounts that other clients had used in bursts until
    /// that time.
    pub last_admitted: (f64, [f64; 3]),
    /// The reason why the run stopped before its end.
    pub halted: Option<HaltReason>,
    /// The time when the scheduler last reported its state, and the levels of the limits that it assumed then.
    pub levels: Option<(f64, [f64; 3])>,
    /// The duration of the run, in seconds.
    pub elapsed: f64,
    /// The total number of attempts for all finished rows.
    pub attempts: usize,
    /// The number of lines that have not reached the operating system.
    pub unwritten: usize,
    /// The largest value of `unwritten` at the moments when requests were sent.
    pub most_unwritten: usize,
}

/// A log that several parts of a run write to.
#[derive(Clone)]
pub struct Log {
    seen: Arc<Mutex<Seen>>,
    clock: RunClock,
}

impl Log {
    /// Returns an empty log.
    pub fn new(clock: RunClock) -> Self {
        Self { seen: Arc::default(), clock }
    }

    /// Locks the log.
    pub fn lock(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since the start of the run, in seconds.
    pub fn now(&self) -> f64 {
        self.clock.now().as_secs_f64()
    }
}

/// A transport that logs its requests.
pub struct Watched {
    /// The transport that sends the requests.
    pub inner: Gateway,
    /// The log to which the transport writes.
    pub log: Log,
    /// The function that returns how much other clients have used in their bursts so far.
    pub taken_by_others: Box<dyn Fn() -> [f64; 3] + Send + Sync>,
    /// Whether the transport acts as a proxy that sends each request two or three times.
    pub repeats: bool,
}

impl Transport for Watched {
    type Exchange = HandedOn<SimExchange>;

    async fn send(&self, request: WireRequest) -> Result<HandedOn<SimExchange>, WireError> {
        let sent_at = self.log.now();
        let taken = (self.taken_by_others)();
        {
            let mut seen = self.log.lock();
            seen.most_unwritten = seen.most_unwritten.max(seen.unwritten);
        }
        if self.repeats {
            // The proxy sends the request again, like a proxy that retries after a fault. Nobody reads the earlier
            // answers, but the API bills them.
            let further = 1 + self.log.lock().requests.len() % 2;
            for _ in 0..further {
                drop(self.inner.send(request.clone()).await);
            }
        }
        let exchange = self.inner.send(request).await;
        let status = exchange.as_ref().map_or(0, |exchange| exchange.head().status);
        let head_at = self.log.now();
        let mut seen = self.log.lock();
        seen.requests.push(Request { sent_at, head_at, status });
        if status == 200 && sent_at >= seen.last_admitted.0 {
            seen.last_admitted = (sent_at, taken);
        }
        exchange
    }
}

/// The provider behind a proxy. The proxy hides the response headers about limits, except `retry-after`.
pub struct Hidden(pub Anthropic);

impl Provider for Hidden {
    fn encode(
        &self,
        request: &claude_batch::domain::Request,
        marked: Option<&Marked>,
        route: &Arc<PoolId>,
        stream: bool,
    ) -> WireRequest {
        self.0.encode(request, marked, route, stream)
    }

    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews {
        let HeadNews { signals, request_id } = self.0.read_head(head, now);
        let RateSignals { retry_after, should_retry, .. } = signals;
        HeadNews { signals: RateSignals { retry_after, should_retry, ..RateSignals::default() }, request_id }
    }

    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder> {
        self.0.decoder(head)
    }

    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict {
        self.0.judge(head, reply, signals)
    }
}

/// A ledger (the part of a run that writes lines) that logs when rows are sent and answered.
pub struct WatchedLedger(pub MemLedger, pub Log);

impl Ledger for WatchedLedger {
    fn mark(
        &mut self,
        ticket: Ticket,
        job: &Job,
        at_most: claude_batch::domain::Money,
    ) -> Result<(), claude_batch::domain::WriteFault> {
        let now = self.1.now();
        self.1.lock().sent.entry(job.id.0).or_insert(now);
        self.0.mark(ticket, job, at_most)
    }

    fn clear(&mut self, ticket: Ticket) {
        self.0.clear(ticket);
    }

    fn keep(&mut self, ticket: Ticket, job: JobId) {
        self.0.keep(ticket, job);
    }

    fn write_outcome(&mut self, line: u64, ticket: Ticket, outcome: &Outcome) {
        let at = self.1.now();
        {
            let mut seen = self.1.lock();
            seen.attempts += outcome.attempts.len();
            seen.unwritten += 1;
            let last = outcome.attempts.last().expect("a finished row was tried");
            let latency = last.ended_at.since(last.started_at).as_secs_f64();
            seen.answers.push(Answer { row: outcome.job.id.0, at, latency, usage: outcome.usage() });
        }
        self.0.write_outcome(line, ticket, outcome);
    }

    fn write_unsent(&mut self, line: u64, outcome: &Outcome) {
        self.0.write_unsent(line, outcome);
    }

    fn write_step(
        &mut self,
        line: u64,
        ticket: Option<Ticket>,
        step: &Outcome,
        purpose: claude_batch::domain::Purpose,
    ) {
        self.0.write_step(line, ticket, step, purpose);
    }

    fn write_rejected(&mut self, line: u64, rejected: &claude_batch::plan::Rejected) {
        self.0.write_rejected(line, rejected);
    }

    fn write_broken(&mut self, line: u64, broken: &claude_batch::source::BrokenRow) {
        self.0.write_broken(line, broken);
    }

    fn write_taken(&mut self, line: u64, taken: &claude_batch::domain::Taken) {
        self.0.write_taken(line, taken);
    }

    fn on_committed(&mut self, line: u64) {
        self.0.on_committed(line);
    }

    fn backlog_bytes(&self) -> usize {
        0
    }

    fn flush(&mut self) -> Result<(), claude_batch::domain::WriteFault> {
        self.1.lock().unwritten = 0;
        self.0.flush()
    }
}

/// A reporter that logs the events of a run.
pub struct Watcher(pub Log, pub u64);

impl Reporter for Watcher {
    fn on_event(&mut self, event: &RunEvent) {
        let now = self.0.now();
        let rows = self.1;
        let mut seen = self.0.lock();
        seen.stats.fold(event);
        match &event.body {
            EventBody::Status { reason, pools, .. } => {
                seen.reasons.push((now, *reason));
                if let Some(pool) = pools.first() {
                    let limits = Dimension::ALL.map(|dimension| pool.limits.of(dimension).map_or(0.0, f64::from));
                    let level = |at: usize| pool.level[at].unwrap_or(0.0) * limits[at];
                    seen.levels = Some((now, [level(0), level(1), level(2)]));
                }
                if seen.etas.last().is_none_or(|(at, _)| now >= at + 1.0)
                    && let Some(left) = seen.stats.eta()
                {
                    seen.etas.push((now, left.as_secs_f64()));
                }
                if seen.eta.is_none() && seen.stats.succeeded_total() * 20 >= rows {
                    seen.eta = seen.stats.eta().map(|left| (now, left.as_secs_f64()));
                }
            }
            EventBody::Ended { elapsed, reason, .. } => {
                seen.elapsed = elapsed.as_secs_f64();
                seen.halted = reason.as_deref().cloned();
            }
            _ => {}
        }
    }
}
