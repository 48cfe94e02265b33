//! The simulated API without sockets: a transport to a model in the same process, which uses the clock of the run.
//!
//! Responses arrive at the times that the simulated API (`Model`) has planned. If tokio's clock is paused, a whole run
//! takes place in virtual time. Dropping an exchange, or the future of [`Transport::send`], tells the model that the
//! client has left.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;

use crate::clock::{Instant, RunClock};
use crate::provider::{ReplyHead, WireRequest};
use crate::transport::{Exchange, Transport, WireError, WireErrorKind};

#[cfg(feature = "sim")]
use super::model::ResultsPart;
use super::model::platform::reads_x_api_key;
use super::model::{Arrival, Ending, Model, Request, Step, Ticket};

/// A model that several tasks share.
pub type SharedModel = Arc<Mutex<Model>>;

/// Locks the model. If a task panicked while the task had the lock, the model can still be used, because each call
/// leaves the model in a valid state.
pub fn lock(model: &SharedModel) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A transport to a simulated API in this process.
#[derive(Clone, Debug)]
pub struct SimTransport {
    model: SharedModel,
    clock: RunClock,
    network: Duration,
    timeout: Option<Duration>,
    idle_timeout: Option<Duration>,
}

impl SimTransport {
    /// Returns a transport to `model`. The model and the transport use the time of `clock`. The transport sends the key
    /// `sk-ant-simulated`.
    pub fn new(model: SharedModel, clock: RunClock) -> Self {
        let network = lock(&model).config().network;
        lock(&model).set_wall_start(clock.wall(Instant::ZERO));
        Self { model, clock, network, timeout: None, idle_timeout: None }
    }

    /// Sets the longest time for a whole request, and the longest time without data.
    #[must_use]
    pub fn with_timeouts(mut self, timeout: Option<Duration>, idle_timeout: Option<Duration>) -> Self {
        self.timeout = timeout;
        self.idle_timeout = idle_timeout;
        self
    }

    fn arrive(&self, request: &WireRequest) -> Arrival {
        let mut headers = request.headers.clone();
        if !headers.contains_key("x-api-key") && !headers.contains_key("authorization") {
            match reads_x_api_key(lock(&self.model).config().kind) {
                true => headers.insert("x-api-key", HeaderValue::from_static("sk-ant-simulated")),
                false => headers.insert("authorization", HeaderValue::from_static("Bearer sk-ant-simulated")),
            };
        }
        let body = request.body.clone().into_bytes();
        let (path, query) = match request.path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (&*request.path, None),
        };
        let request = Request { method: &request.method, path, query, headers: &headers, body: &body };
        lock(&self.model).arrive(&request, self.clock.now())
    }

    /// Waits until the data that is sent at `at` has reached the client. If the client stops waiting before the data
    /// arrives, returns an error.
    async fn wait(&self, at: Instant, patience: Patience) -> Result<(), WireError> {
        let at = if at == Instant::NEVER { at } else { at + self.network };
        let (limit, error) = patience.ends(self.clock.now());
        let is_in_time = at <= limit;
        match self.clock.deadline(at.min(limit)) {
            Some(deadline) => tokio::time::sleep_until(deadline).await,
            None => std::future::pending().await,
        }
        if is_in_time { Ok(()) } else { Err(error) }
    }
}

impl Transport for SimTransport {
    type Exchange = SimExchange;

    async fn send(&self, request: WireRequest) -> Result<SimExchange, WireError> {
        let sent_at = self.clock.now();
        if !self.network.is_zero() {
            tokio::time::sleep(self.network).await;
        }
        let mut arrival = self.arrive(&request);
        let call = OpenCall::new(self.model.clone(), self.clock, arrival.ticket);
        let patience =
            Patience { end: self.timeout.map_or(Instant::NEVER, |timeout| sent_at + timeout), idle: self.idle_timeout };
        self.wait(arrival.head_at, patience).await?;
        if let Some(Step::Reset { .. }) = arrival.body.first() {
            call.end();
            return Err(reset("before an answer came"));
        }
        let head = lock(&self.model).head(&mut arrival, self.clock.now());
        Ok(SimExchange { transport: self.clone(), head, steps: arrival.body.into(), call: Some(call), patience })
    }
}

/// A response of the simulated API.
#[derive(Debug)]
pub struct SimExchange {
    transport: SimTransport,
    head: ReplyHead,
    steps: VecDeque<Step>,
    call: Option<OpenCall>,
    patience: Patience,
}

impl Exchange for SimExchange {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        let at = match self.steps.front() {
            Some(Step::Bytes { at, .. } | Step::Part { at, .. } | Step::Reset { at }) => *at,
            Some(Step::Stall) => Instant::NEVER,
            None => {
                self.end();
                return Ok(None);
            }
        };
        self.transport.wait(at, self.patience).await?;
        match self.steps.pop_front() {
            Some(Step::Bytes { bytes, .. }) => {
                if self.steps.is_empty() {
                    self.end();
                }
                Ok(Some(bytes))
            }
            Some(Step::Part { at, part }) => {
                let (bytes, next) = lock(&self.transport.model).write_part(part);
                self.steps.extend(next.map(|part| Step::Part { at, part }));
                if self.steps.is_empty() {
                    self.end();
                }
                Ok(Some(bytes))
            }
            Some(Step::Reset { .. }) => {
                self.end();
                Err(reset("inside the answer"))
            }
            Some(Step::Stall) | None => Ok(None),
        }
    }
}

impl SimExchange {
    fn end(&mut self) {
        if let Some(call) = self.call.take() {
            call.end();
        }
    }
}

/// How long a client waits.
#[derive(Clone, Copy, Debug)]
struct Patience {
    end: Instant,
    idle: Option<Duration>,
}

impl Patience {
    /// Returns the time at which the client stops waiting, and the error that the client then gets.
    fn ends(self, now: Instant) -> (Instant, WireError) {
        let idle = self.idle.map_or(Instant::NEVER, |idle| now + idle);
        let (kind, message) = if idle < self.end {
            (WireErrorKind::Idle, "no data came for too long")
        } else {
            (WireErrorKind::Timeout, "the request took too long")
        };
        (idle.min(self.end), WireError { kind, maybe_sent: true, message: message.to_owned() })
    }
}

fn reset(place: &str) -> WireError {
    let message = format!("the connection broke {place}");
    WireError { kind: WireErrorKind::Broken, maybe_sent: true, message }
}

/// A call that is in progress. Dropping this value tells the model that the call has ended.
#[derive(Debug)]
pub(super) struct OpenCall {
    model: SharedModel,
    clock: RunClock,
    ticket: Ticket,
    is_over: bool,
}

impl OpenCall {
    /// Returns a call in progress. If this value is dropped before `end` is called, the client has left.
    pub(super) fn new(model: SharedModel, clock: RunClock, ticket: Ticket) -> Self {
        Self { model, clock, ticket, is_over: false }
    }

    /// Writes a part of the results of a batch.
    #[cfg(feature = "sim")]
    pub(super) fn write_part(&self, part: ResultsPart) -> (Bytes, Option<ResultsPart>) {
        lock(&self.model).write_part(part)
    }

    /// Ends the call after the whole response was sent.
    pub(super) fn end(mut self) {
        self.is_over = true;
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let ending = if self.is_over { Ending::Played } else { Ending::Left };
        lock(&self.model).finish(self.ticket, ending, self.clock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::RateLimits;
    use crate::provider::{Body, Transfer};
    use crate::sim::config::{Latency, OutputLengths, SimConfig};
    use crate::sim::faults::{Fault, FaultPlan, FaultRule};
    use crate::sim::presets;

    #[tokio::test(start_paused = true)]
    async fn a_plain_answer_is_sent_when_all_of_it_is_ready() {
        let (transport, clock) = transport(config());

        let mut exchange = transport.send(request(false)).await.expect("an answer");
        let body = exchange.chunk().await.expect("bytes").expect("a body");

        assert_eq!(exchange.head().status, 200);
        assert_eq!(
            clock.now(),
            Instant::from_millis(2_000),
            "one second to the first token, and one second for 100 tokens"
        );
        assert!(body.starts_with(b"{\"id\":\"msg_01"));
        assert!(exchange.chunk().await.expect("the end").is_none());
        assert_eq!(lock(&transport.model).books().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_head_of_a_stream_comes_at_the_first_token_and_its_end_at_the_last_token() {
        let (transport, clock) = transport(config());

        let mut exchange = transport.send(request(true)).await.expect("an answer");
        let head_at = clock.now();
        let mut body = Vec::new();
        while let Some(bytes) = exchange.chunk().await.expect("bytes") {
            body.extend_from_slice(&bytes);
        }

        assert_eq!((head_at, clock.now()), (Instant::from_secs(1), Instant::from_secs(2)));
        assert!(body.ends_with(b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_a_stream_stops_its_output() {
        let (transport, _) = transport(config());

        let exchange = transport.send(request(true)).await.expect("an answer");
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(exchange);

        let model = lock(&transport.model);
        assert_eq!((model.books().in_flight, model.books().billed.output_tokens), (0, 50));
        assert_eq!(model.books().billed_and_lost, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_call_whose_client_leaves_runs_to_its_end_and_is_billed() {
        let (transport, clock) = transport(config());

        let sending = transport.send(request(false));
        let left = tokio::time::timeout(Duration::from_millis(500), sending).await;
        let running = lock(&transport.model).is_idle();
        tokio::time::sleep(Duration::from_secs(60)).await;

        let mut model = lock(&transport.model);
        assert!(left.is_err() && !running);
        assert_eq!((model.stats(clock.now()).books.billed_calls, model.is_idle()), (1, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stall_ends_at_the_clients_time_limit() {
        let (transport, clock) = transport(config().with_faults(only(Fault::Stall { at: None })));
        let transport = transport.with_timeouts(Some(Duration::from_secs(600)), Some(Duration::from_secs(60)));

        let error = transport.send(request(true)).await.expect_err("nothing comes");

        assert_eq!((error.kind, clock.now()), (WireErrorKind::Idle, Instant::from_secs(60)));
        assert_eq!(lock(&transport.model).books().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_reset_breaks_the_connection() {
        let (before, _) = transport(config().with_faults(only(Fault::ResetBefore { is_billed: false })));
        let (inside, _) = transport(config().with_faults(only(Fault::ResetMid { at: 0.5 })));

        let error = before.send(request(false)).await.expect_err("no head");
        let mut exchange = inside.send(request(false)).await.expect("a head");
        let first = exchange.chunk().await.expect("the first half of the body comes");
        let second = exchange.chunk().await.expect_err("the connection breaks before the second half");

        assert_eq!((error.kind, second.kind), (WireErrorKind::Broken, WireErrorKind::Broken));
        assert!(first.is_some_and(|bytes| !bytes.is_empty()));
    }

    fn config() -> SimConfig {
        SimConfig::new(presets::models())
            .with_limits(RateLimits::new(1000, 450_000, 90_000))
            .with_lengths(OutputLengths::fixed(100))
            .with_latency(Latency {
                first_token: Duration::from_secs(1),
                jitter: 0.0,
                tokens_per_second: 100.0,
                error: Duration::ZERO,
            })
    }

    fn only(fault: Fault) -> FaultPlan {
        FaultPlan { seed: None, rules: vec![FaultRule::new(fault)] }
    }

    fn transport(config: SimConfig) -> (SimTransport, RunClock) {
        let clock = RunClock::start();
        (SimTransport::new(Arc::new(Mutex::new(Model::new(config))), clock), clock)
    }

    fn request(is_stream: bool) -> WireRequest {
        let mut headers = http::HeaderMap::new();
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let body = format!(
            r#"{{"model":"claude-haiku-4-5","max_tokens":256,"messages":[{{"role":"user","content":"Capital of France?"}}],"stream":{is_stream}}}"#
        );
        let route = crate::scheduler::tests::planned("a", 1, 1).ask.pool;
        let (method, path, body) = (http::Method::POST, "/v1/messages".into(), Body::plain(body.into()));
        WireRequest { route, method, path, headers, body, is_stream, transfer: Transfer::Usual }
    }
}
