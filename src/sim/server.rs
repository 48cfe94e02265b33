//! The simulated API as an HTTP server.
//!
//! Only this part of the simulator uses the HTTP server library. For some faults, the server breaks a connection with a
//! TCP reset, before the response head (status and headers) or inside the body. Clients can't make the server use more
//! resources than [`Bounds`] allows. Only programs on this machine get answers; `guard` checks this.
//!
//! The server accepts connections in its own loop and uses no web framework. A framework would offer no time limit for
//! receiving the headers of a request. Routing is not needed, because all requests go to one function.

mod body;
mod bounds;
mod connection;
mod guard;
mod played;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::clock::{Instant, RunClock};
use crate::domain::MAX_BODY_BYTES;
use crate::provider::ReplyHead;

use super::config::SimConfig;
use super::model::{Arrival, Model, PART_BYTES, Request, Step, Unread, most_body_bytes};
use super::transport::{OpenCall, SharedModel, lock};

use bounds::Budget;
use connection::{Cuttable, Wire};
use guard::{RESET, Refused};
use played::{Open, Played};

pub use bounds::Bounds;

/// The path of the statistics.
const STATS: &str = "/__sim/stats";
/// The path of the state of all batches.
const BATCHES: &str = "/__sim/batches";

/// How much memory a request in flight uses besides its body and its answer.
const REQUEST_BYTES: usize = 4 << 10;
/// How much memory a piece of an answer uses besides its bytes.
const STEP_BYTES: usize = 64;
/// The pause after a failure to accept a connection, for example because too many files are open.
const ACCEPT_AGAIN: Duration = Duration::from_millis(100);

/// A running HTTP server of the simulated API.
#[derive(Debug)]
pub struct SimServer {
    url: String,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl SimServer {
    /// Starts a server for an API with the settings `config`. The server has its own clock.
    ///
    /// # Errors
    /// Returns the system's error if the address can't be used.
    pub async fn serve(config: SimConfig, address: SocketAddr) -> io::Result<(Self, SharedModel)> {
        let model: SharedModel = Arc::new(Mutex::new(Model::new(config)));
        let server = Self::start(address, model.clone(), RunClock::start()).await?;
        Ok((server, model))
    }

    /// Starts a server for `model` at `address`. If the port is 0, the system chooses a free port. `clock` is the
    /// model's clock.
    ///
    /// # Errors
    /// Returns the system's error if the address can't be used.
    pub async fn start(address: SocketAddr, model: SharedModel, clock: RunClock) -> io::Result<Self> {
        Self::start_within(address, model, clock, Bounds::default()).await
    }

    /// Starts a server like [`SimServer::start`], with `bounds` instead of the default limits.
    ///
    /// # Errors
    /// Returns the system's error if the address can't be used.
    pub async fn start_within(
        address: SocketAddr,
        model: SharedModel,
        clock: RunClock,
        bounds: Bounds,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        lock(&model).set_wall_start(clock.wall(Instant::ZERO));
        let stop = CancellationToken::new();
        let stage = Arc::new(Stage {
            model,
            clock,
            bodies: Budget::new(bounds.body_bytes),
            batches: Budget::new(bounds.batch_bytes),
            answers: Budget::new(bounds.answer_bytes),
            bounds,
        });
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            // After a call of `stop`, the server stops immediately and does not wait for open calls.
            tokio::select! {
                never = accept(listener, stage) => match never {},
                () = stopped => {}
            }
        });
        Ok(Self { url: format!("http://{address}"), address, stop, task })
    }

    /// Returns the base URL of the server, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops the server and waits until it accepts no more connections.
    ///
    /// # Errors
    /// At present, this function returns no error, because a server runs until `stop` is called.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.cancel();
        // If the server's task has panicked, the panic message has already been printed.
        let _ = self.task.await;
        Ok(())
    }
}

/// The state that all connections of a server share.
#[derive(Debug)]
struct Stage {
    model: SharedModel,
    clock: RunClock,
    bounds: Bounds,
    bodies: Budget,
    batches: Budget,
    answers: Budget,
}

/// Accepts connections, up to the maximum number of open connections.
async fn accept(listener: TcpListener, stage: Arc<Stage>) -> Infallible {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().max_buf_size(stage.bounds.head_bytes);
    builder.http2().max_header_list_size(u32::try_from(stage.bounds.head_bytes).unwrap_or(u32::MAX));
    let builder = Arc::new(builder);
    let room = Arc::new(Semaphore::new(stage.bounds.connections));
    loop {
        let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(attend(stream, builder.clone(), stage.clone(), place));
            }
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN).await,
        }
    }
}

/// Serves one connection until it ends. Errors are ignored, because they mean that the client left or that a fault
/// broke the connection.
async fn attend(
    stream: TcpStream,
    builder: Arc<Builder<TokioExecutor>>,
    stage: Arc<Stage>,
    _place: OwnedSemaphorePermit,
) {
    // Small pieces of a stream should be sent without delay. If the socket does not allow this setting, the pieces are
    // sent later, which does no harm.
    let _ = stream.set_nodelay(true);
    let (wire, quiet) = (Wire::new(), stage.bounds.quiet);
    let stream = Cuttable::new(stream, wire.clone());
    let service = service_fn(|request| answer(stage.clone(), wire.clone(), request));
    wire.attend(builder.serve_connection(TokioIo::new(stream), service), quiet).await;
}

async fn answer(
    stage: Arc<Stage>,
    wire: Wire,
    request: http::Request<Incoming>,
) -> Result<Response<Played>, Infallible> {
    let mut open = Open { busy: wire.begin(), share: stage.answers.share() };
    open.share.take(REQUEST_BYTES);
    let (mut parts, body) = request.into_parts();
    if let Err(refused) = guard::check(&parts) {
        return Ok(refuse(&refused, &stage, open));
    }
    let held = match stage.answers.has_room() {
        true => {
            let most = most_body_bytes(&parts.method, parts.uri.path());
            let budget = if most > MAX_BODY_BYTES { &stage.batches } else { &stage.bodies };
            body::read(body, most, stage.bounds.body, budget).await
        }
        false => Err(Unread::NoRoom),
    };
    // Other answers may have used up the memory while the body arrived, so the budget is checked again.
    let held = held.and_then(|held| if stage.answers.has_room() { Ok(held) } else { Err(Unread::NoRoom) });
    let body = held.as_ref().map(|held| &held.bytes).map_err(|why| *why);
    if body.is_ok()
        && let Some(own) = own_answer(&parts, &stage)
    {
        return Ok(json(StatusCode::OK, own, &stage, open));
    }
    name_host(&mut parts);
    let arrival = arrive(&parts, body, &stage);
    drop(held);
    Ok(play(arrival, &stage, open).await)
}

/// Returns the answer to a request about the simulator itself; `None` for every other request.
fn own_answer(parts: &Parts, stage: &Stage) -> Option<Vec<u8>> {
    match (parts.uri.path(), &parts.method) {
        (STATS, &Method::GET) => Some(text(&lock(&stage.model).stats(stage.clock.now()))),
        (BATCHES, &Method::GET) => Some(text(&lock(&stage.model).batches_as_json(stage.clock.now()))),
        (RESET, &Method::POST) => {
            lock(&stage.model).reset(stage.clock.now());
            Some(text(&serde_json::json!({ "reset": true })))
        }
        _ => None,
    }
}

fn text(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec_pretty(value).unwrap_or_default()
}

/// Adds a `Host` header to an HTTP/2 request, because HTTP/2 names the host in `:authority` instead.
fn name_host(parts: &mut Parts) {
    let Some(host) = parts.uri.authority().and_then(|name| HeaderValue::from_str(name.as_str()).ok()) else { return };
    parts.headers.entry(HOST).or_insert(host);
}

fn arrive(parts: &Parts, body: Result<&Bytes, Unread>, stage: &Stage) -> Arrival {
    let request = Request {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body: body.map(|bytes| &**bytes).unwrap_or_default(),
    };
    let now = stage.clock.now();
    match body {
        Ok(_) => lock(&stage.model).arrive(&request, now),
        Err(why) => lock(&stage.model).arrive_unread(&request, why, now),
    }
}

/// Sends the planned response at the times in the plan, or breaks the connection if the plan says so.
async fn play(mut arrival: Arrival, stage: &Stage, mut open: Open) -> Response<Played> {
    let call = OpenCall::new(stage.model.clone(), stage.clock, arrival.ticket);
    open.share.take(arrival.body.iter().map(size).sum());
    wait(&stage.clock, arrival.head_at).await;
    if let Some(Step::Reset { .. }) = arrival.body.first() {
        call.end();
        open.busy.cut();
        return Response::new(Played::whole(Vec::new(), stage.clock, open));
    }
    let head = lock(&stage.model).head(&mut arrival, stage.clock.now());
    let is_sse = head.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    let has_length = !is_sse && arrival.body.iter().all(|step| matches!(step, Step::Bytes { .. }));
    with_head(head, Played::new(arrival.body.into(), has_length, Some(call), stage.clock, open))
}

fn size(step: &Step) -> usize {
    STEP_BYTES
        + match step {
            Step::Bytes { bytes, .. } => bytes.len(),
            Step::Part { .. } => PART_BYTES,
            Step::Reset { .. } | Step::Stall => 0,
        }
}

fn with_head(head: ReplyHead, body: Played) -> Response<Played> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(head.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = head.headers;
    response.headers_mut().insert("x-claude-batch-simulated", HeaderValue::from_static("true"));
    response
}

fn refuse(refused: &Refused, stage: &Stage, open: Open) -> Response<Played> {
    let error = serde_json::json!({ "type": "permission_error", "message": refused.message });
    json(refused.status, text(&serde_json::json!({ "type": "error", "error": error })), stage, open)
}

fn json(status: StatusCode, body: Vec<u8>, stage: &Stage, mut open: Open) -> Response<Played> {
    open.share.take(body.len());
    let mut response = Response::new(Played::whole(body, stage.clock, open));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Waits until `at`; waits forever if `at` is [`Instant::NEVER`].
async fn wait(clock: &RunClock, at: Instant) {
    if at <= clock.now() {
        return;
    }
    match clock.deadline(at) {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
