//! Records what happens between a run and the API. The transport records each request, and can kill the run at any
//! request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::clock::{Instant, RunClock};
use claude_batch::provider::{ReplyHead, WireRequest};
use claude_batch::sim::transport::{SimExchange, SimTransport};
use claude_batch::transport::{Exchange, Transport, WireError};
use serde_json::Value;

/// The moment when a run dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kill {
    /// Never.
    Never,
    /// The run never dies, but its disk can fail.
    Fault,
    /// The run dies at the disk change with the number `at`, counted from the start of the run. If the change is a
    /// write, only its first `cut` bytes are written.
    Change { at: u64, cut: usize },
    /// The number of a call to the batch endpoints. The run dies before it sends this call.
    Before(u64),
    /// The run dies after the API has carried out this call, but before the reply arrives.
    Unanswered(u64),
    /// The run dies when half of the reply to this call has arrived.
    Inside(u64),
    /// The run dies after this time.
    After(Duration),
}

/// A kind of call to the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    Message,
    Create,
    List,
    Retrieve,
    Results,
    Cancel,
}

/// The calls and rows that runs have sent.
#[derive(Debug, Default)]
pub struct Traffic {
    pub calls: BTreeMap<Call, u64>,
    /// The rows that were sent online, each with the time when it was sent.
    pub online: Vec<(Instant, String)>,
    /// The rows that the last run sent online.
    pub online_in_run: BTreeSet<String>,
    /// The rows that a run sent online and that had no line yet when the run died.
    pub died_online: Vec<String>,
    /// Whether the run is dead.
    pub is_dead: bool,
    /// Replies that a test has prepared: the kind of call, the status, the text, and how many calls get this reply. A
    /// call with a prepared reply never reaches the API.
    pub refusals: Vec<(Call, u16, &'static str, u64)>,
    /// The number of future calls that will get no connection. This number is only about calls that create batches.
    pub unconnected: u64,
    /// The texts that are replaced in the results of batches, each with its new text.
    pub spoilt_results: Vec<(&'static str, &'static str)>,
    kill: Option<Kill>,
    run: u64,
    of_run: u64,
}

impl Traffic {
    /// Notes that a run begins.
    pub fn begin(&mut self, kill: Kill) {
        (self.kill, self.is_dead, self.of_run) = (Some(kill), false, 0);
        self.run += 1;
        self.online_in_run.clear();
    }

    /// Notes that the run has ended or died. From this moment on, the tasks of the run do nothing.
    pub fn end(&mut self) {
        self.is_dead = true;
    }

    /// Returns how many calls of batch endpoints this run made.
    pub fn calls_of_run(&self) -> u64 {
        self.of_run
    }
}

/// A transport to the simulated API.
pub struct Watched {
    inside: SimTransport,
    traffic: Arc<Mutex<Traffic>>,
    clock: RunClock,
    /// The number of the run.
    run: u64,
}

/// A reply of the simulated API.
pub struct WatchedReply {
    inside: Option<SimExchange>,
    head: ReplyHead,
    traffic: Arc<Mutex<Traffic>>,
    run: u64,
    dies_inside: bool,
    /// A reply that the test has made instead of the API.
    made_up: Option<Bytes>,
    is_of_results: bool,
    rest: Option<Bytes>,
}

impl Watched {
    pub fn new(inside: SimTransport, traffic: Arc<Mutex<Traffic>>, clock: RunClock) -> Self {
        let run = traffic.lock().expect("nobody panics").run;
        Self { inside, traffic, clock, run }
    }

    /// Counts a call. Returns whether the run is already dead. Also returns whether this call kills the run, and when:
    /// before, during or after the reply to the call.
    fn count(&self, call: Call, body: &WireRequest) -> (bool, Option<Kill>) {
        let mut traffic = self.traffic.lock().expect("nobody panics");
        if traffic.is_dead || traffic.run != self.run {
            return (true, None);
        }
        *traffic.calls.entry(call).or_default() += 1;
        if call == Call::Message {
            let json: Value = serde_json::from_slice(&body.body.clone().into_bytes()).unwrap_or_default();
            let label = json["metadata"]["user_id"].as_str().unwrap_or_default().to_owned();
            traffic.online_in_run.insert(label.clone());
            traffic.online.push((self.clock.now(), label));
            return (false, None);
        }
        traffic.of_run += 1;
        let number = traffic.of_run - 1;
        let kill = traffic.kill.filter(|kill| match kill {
            Kill::Before(at) | Kill::Unanswered(at) | Kill::Inside(at) => *at == number,
            Kill::Never | Kill::Fault | Kill::Change { .. } | Kill::After(_) => false,
        });
        (false, kill)
    }

    fn refusal(&self, call: Call) -> Option<Result<(u16, &'static str), WireError>> {
        let mut traffic = self.traffic.lock().expect("nobody panics");
        if call == Call::Create && traffic.unconnected > 0 {
            traffic.unconnected -= 1;
            let kind = claude_batch::transport::WireErrorKind::Connect;
            let message = "connection refused".to_owned();
            return Some(Err(WireError { kind, maybe_sent: false, message }));
        }
        let refusal = traffic.refusals.iter_mut().find(|(of, _, _, left)| *of == call && *left > 0)?;
        refusal.3 -= 1;
        Some(Ok((refusal.1, refusal.2)))
    }

    async fn die(&self) -> WireError {
        self.traffic.lock().expect("nobody panics").is_dead = true;
        std::future::pending().await
    }
}

fn call_of(request: &WireRequest) -> Call {
    let path = request.path.split('?').next().unwrap_or_default();
    let Some(rest) = path.strip_prefix("/v1/messages/batches") else { return Call::Message };
    match (request.method == http::Method::POST, rest.rsplit('/').next().unwrap_or_default()) {
        (true, "cancel") => Call::Cancel,
        (true, _) => Call::Create,
        (false, "results") => Call::Results,
        (false, "") => Call::List,
        (false, _) => Call::Retrieve,
    }
}

impl Transport for Watched {
    type Exchange = WatchedReply;

    async fn send(&self, request: WireRequest) -> Result<WatchedReply, WireError> {
        let call = call_of(&request);
        let (is_dead, kill) = self.count(call, &request);
        if is_dead {
            std::future::pending::<()>().await;
        }
        if let Some(Kill::Before(_)) = kill {
            return Err(self.die().await);
        }
        let reply = |inside: Option<SimExchange>, head, made_up| WatchedReply {
            inside,
            head,
            traffic: self.traffic.clone(),
            run: self.run,
            dies_inside: matches!(kill, Some(Kill::Inside(_))),
            made_up,
            is_of_results: call == Call::Results,
            rest: None,
        };
        if let Some(refusal) = self.refusal(call) {
            let (status, text) = refusal?;
            let body = Bytes::from_static(text.as_bytes());
            return Ok(reply(None, ReplyHead { status, headers: http::HeaderMap::new() }, Some(body)));
        }
        let sent = self.inside.send(request).await;
        if let Some(Kill::Unanswered(_)) = kill {
            return Err(self.die().await);
        }
        let sent = sent?;
        let head = ReplyHead { status: sent.head().status, headers: sent.head().headers.clone() };
        Ok(reply(Some(sent), head, None))
    }
}

impl WatchedReply {
    fn is_dead(&self) -> bool {
        let traffic = self.traffic.lock().expect("nobody panics");
        traffic.is_dead || traffic.run != self.run
    }

    fn spoil(&self, bytes: Bytes) -> Bytes {
        let traffic = self.traffic.lock().expect("nobody panics");
        if !self.is_of_results || traffic.spoilt_results.is_empty() {
            return bytes;
        }
        let mut text = String::from_utf8_lossy(&bytes).into_owned();
        for (from, to) in &traffic.spoilt_results {
            text = text.replacen(from, to, 1);
        }
        text.into()
    }
}

impl Exchange for WatchedReply {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        if self.is_dead() {
            // The server sees that its client has disconnected.
            self.inside = None;
            std::future::pending::<()>().await;
        }
        if let Some(rest) = self.rest.take() {
            if self.dies_inside {
                self.traffic.lock().expect("nobody panics").is_dead = true;
                self.inside = None;
                std::future::pending::<()>().await;
            }
            return Ok(Some(rest));
        }
        let Some(inside) = &mut self.inside else { return Ok(self.made_up.take()) };
        let chunk = inside.chunk().await?;
        let Some(bytes) = chunk.map(|bytes| self.spoil(bytes)) else { return Ok(None) };
        if self.dies_inside && bytes.len() > 1 {
            self.rest = Some(bytes.slice(bytes.len() / 2..));
            return Ok(Some(bytes.slice(..bytes.len() / 2)));
        }
        Ok(Some(bytes))
    }

    async fn drain(&mut self) {
        if let Some(inside) = &mut self.inside {
            inside.drain().await;
        }
    }
}
