//! The simulated API over HTTP: the same model, played on sockets.
//!
//! The only user of the HTTP server. Owns connections, and the ways to break them that a fault orders: a reset before
//! the head and one inside the body both end the connection with a TCP reset.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request as HttpRequest, State};
use axum::response::Response;
use axum::serve::IncomingStream;
use bytes::{Bytes, BytesMut};
use http::header::HeaderValue;
use http_body::{Body as _, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::clock::{Instant, RunClock};
use crate::provider::ReplyHead;

use super::config::SimConfig;
use super::model::{Arrival, MAX_BODY_BYTES, Model, Request, Step, Unread};
use super::transport::{OpenCall, SharedModel, lock};

/// Time that bytes before a reset have to reach the wire.
const FLUSH: Duration = Duration::from_millis(2);

/// A running server.
#[derive(Debug)]
pub struct SimServer {
    url: String,
    address: SocketAddr,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<io::Result<()>>,
}

impl SimServer {
    /// Starts a server for an API like `config` says, with a clock of its own.
    ///
    /// # Errors
    /// What the system says when the address can't be had.
    pub async fn serve(config: SimConfig, address: SocketAddr) -> io::Result<(Self, SharedModel)> {
        let model: SharedModel = Arc::new(Mutex::new(Model::new(config)));
        let server = Self::start(address, model.clone(), RunClock::start()).await?;
        Ok((server, model))
    }

    /// Starts a server for `model` at `address`; port 0 takes a free one. The model's time is that of `clock`.
    ///
    /// # Errors
    /// What the system says when the address can't be had.
    pub async fn start(address: SocketAddr, model: SharedModel, clock: RunClock) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        lock(&model).set_wall_start(clock.wall(Instant::ZERO));
        let stop = CancellationToken::new();
        let app = Router::new().fallback(answer).with_state(Stage { model, clock });
        let service = app.into_make_service_with_connect_info::<Cut>();
        let stopped = stop.clone().cancelled_owned();
        let task = tokio::spawn(async move {
            let serving = axum::serve(CuttableListener(listener), service);
            // Open calls are not waited for: a simulator that is told to stop, stops.
            tokio::select! {
                ended = serving => ended,
                () = stopped => Ok(()),
            }
        });
        Ok(Self { url: format!("http://{address}"), address, stop, task })
    }

    /// Returns its base URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it: nothing new is accepted.
    ///
    /// # Errors
    /// What ended the server before it was told to.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.cancel();
        self.task.await.unwrap_or(Ok(()))
    }
}

/// What answers are made with.
#[derive(Clone)]
struct Stage {
    model: SharedModel,
    clock: RunClock,
}

async fn answer(State(stage): State<Stage>, ConnectInfo(cut): ConnectInfo<Cut>, request: HttpRequest) -> Response {
    let (parts, body) = request.into_parts();
    let body = collect(body).await.unwrap_or(Err(Unread::Broken));
    let now = stage.clock.now();
    match (parts.uri.path(), &parts.method) {
        ("/__sim/stats", &http::Method::GET) => return json(&lock(&stage.model).stats(now)),
        ("/__sim/reset", &http::Method::POST) => {
            lock(&stage.model).reset(now);
            return json(&serde_json::json!({ "reset": true }));
        }
        _ => {}
    }
    let request = Request {
        method: &parts.method,
        path: parts.uri.path(),
        query: parts.uri.query(),
        headers: &parts.headers,
        body: body.as_deref().unwrap_or_default(),
    };
    let mut arrival = match body {
        Ok(_) => lock(&stage.model).arrive(&request, now),
        Err(why) => lock(&stage.model).arrive_unread(&request, why, now),
    };
    let call = OpenCall::new(stage.model.clone(), stage.clock, arrival.ticket);
    wait(&stage.clock, arrival.head_at).await;
    if let Some(Step::Reset { .. }) = arrival.body.first() {
        call.end();
        cut.cut();
        return Response::new(Body::empty());
    }
    let head = lock(&stage.model).head(&mut arrival, stage.clock.now());
    response(head, arrival, call, &stage, cut)
}

fn json(value: &impl serde::Serialize) -> Response {
    let body = serde_json::to_vec_pretty(value).unwrap_or_default();
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn response(head: ReplyHead, arrival: Arrival, call: OpenCall, stage: &Stage, cut: Cut) -> Response {
    let is_sse =
        head.headers.get(http::header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/event"));
    let played = Played {
        has_length: !is_sse && arrival.body.iter().all(|step| matches!(step, Step::Bytes { .. })),
        steps: arrival.body.into(),
        call: Some(call),
        clock: stage.clock,
        sleep: None,
        cut,
    };
    let mut response = Response::new(Body::new(played));
    *response.status_mut() = http::StatusCode::from_u16(head.status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    *response.headers_mut() = head.headers;
    response.headers_mut().insert("x-claude-batch-simulated", HeaderValue::from_static("true"));
    response
}

/// Waits for a moment; one that never comes is waited for without end.
async fn wait(clock: &RunClock, at: Instant) {
    if at <= clock.now() {
        return;
    }
    match clock.deadline(at) {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Reads a body. Of one that is too large the rest is read and dropped, so that the client gets to read the answer.
async fn collect(mut body: Body) -> Result<Result<Bytes, Unread>, axum::Error> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    let mut total = 0;
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let Ok(bytes) = frame?.into_data() else { continue };
        total += bytes.len();
        if total > MAX_BODY_BYTES {
            (first, all) = (Bytes::new(), BytesMut::new());
        } else if total == bytes.len() {
            first = bytes;
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&bytes);
        }
    }
    if total > MAX_BODY_BYTES {
        return Ok(Err(Unread::TooLarge));
    }
    Ok(Ok(if all.is_empty() { first } else { all.freeze() }))
}

/// A body that comes as the model says.
struct Played {
    steps: VecDeque<Step>,
    call: Option<OpenCall>,
    clock: RunClock,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
    cut: Cut,
    has_length: bool,
}

impl http_body::Body for Played {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let this = &mut *self;
        let due = match this.steps.front() {
            Some(Step::Bytes { at, .. }) => *at,
            // Counted from here, since a machine under load comes late: without a pause the bytes never leave.
            Some(Step::Reset { at }) if this.sleep.is_none() => (*at).max(this.clock.now()) + FLUSH,
            Some(Step::Reset { at }) => *at,
            Some(Step::Stall) => return Poll::Pending,
            None => {
                this.end();
                return Poll::Ready(None);
            }
        };
        if this.sleep.is_some() || due > this.clock.now() {
            let Some(deadline) = this.clock.deadline(due) else { return Poll::Pending };
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
        }
        match this.steps.pop_front() {
            Some(Step::Bytes { bytes, .. }) => {
                if this.steps.is_empty() {
                    this.end();
                }
                Poll::Ready(Some(Ok(Frame::data(bytes))))
            }
            Some(Step::Reset { .. } | Step::Stall) | None => {
                this.end();
                this.cut.cut();
                Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::ConnectionReset))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if !self.has_length {
            return SizeHint::default();
        }
        let length = |step: &Step| if let Step::Bytes { bytes, .. } = step { bytes.len() as u64 } else { 0 };
        SizeHint::with_exact(self.steps.iter().map(length).sum())
    }
}

impl Played {
    fn end(&mut self) {
        if let Some(call) = self.call.take() {
            call.end();
        }
    }
}

/// The switch that breaks a connection.
#[derive(Clone, Debug, Default)]
struct Cut(Arc<AtomicBool>);

impl Cut {
    fn cut(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

impl Connected<IncomingStream<'_, CuttableListener>> for Cut {
    fn connect_info(stream: IncomingStream<'_, CuttableListener>) -> Self {
        stream.io().cut.clone()
    }
}

struct CuttableListener(TcpListener);

impl axum::serve::Listener for CuttableListener {
    type Io = Cuttable;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Cuttable, SocketAddr) {
        let (stream, address) = axum::serve::Listener::accept(&mut self.0).await;
        // Small pieces of a stream must not wait for each other; without it they only come later.
        let _ = stream.set_nodelay(true);
        (Cuttable { stream, cut: Cut::default() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// A connection that can be broken from outside.
struct Cuttable {
    stream: TcpStream,
    cut: Cut,
}

impl Cuttable {
    fn check(&self) -> io::Result<()> {
        if !self.cut.is_cut() {
            return Ok(());
        }
        // Dropped with this set, the connection ends with a reset instead of a proper end.
        let _ = self.stream.set_zero_linger();
        Err(io::ErrorKind::ConnectionReset.into())
    }
}

impl AsyncRead for Cuttable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Cuttable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
