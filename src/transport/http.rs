//! Requests over HTTP.
//!
//! The only user of reqwest. Owns connections, time limits and the limit on a body's size.
//!
//! - One [`Transport::send`] is one request: redirects are not followed (the key would go along) and nothing is tried
//!   again here, so that every attempt is one that the scheduler knows of.
//! - Two time limits: `timeout` runs from the call to the end of the body. `idle_timeout` runs between pieces of the
//!   body only, after the head: a call without streaming is silent for as long as the model works, and its head comes
//!   when the whole answer is there. A stream's head comes at once, and its pings keep it alive.
//! - Only a failure to connect surely sent nothing. Everything later may have reached the server and been paid for.
//! - Where a connection goes is settled outside: the proxy by [`super::proxy_for`], and names by `names.rs`, which looks
//!   at each address that it hands out. Neither is left to the client's own ways.
//! - What a server sends is passed on as it came; [`Transport::secrets`] is what the caller takes out of it.
//!
//! Rejected: reqwest's own `read_timeout`, which runs from the send and would kill long silent calls.

mod names;
mod pieces;

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use secrecy::SecretString;
use tokio::time::Instant;

use self::names::{Names, NoServerThere};
use super::authorization::Authorizer;
use super::timers::Timers;
use super::tunnel::{TunnelFault, is_wrapping, tunnel_fault};
use super::{Authorization, BaseUrl, Exchange, Proxy, Transport, UnusableKey, WireError, WireErrorKind};
use crate::domain::{Secrets, causes};
use crate::provider::{ReplyHead, WireRequest};

pub use super::credential::Credential;
pub(super) use reqwest::Url;

/// The largest body that is read by default, after decompression.
pub const DEFAULT_MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Shorter than the idle limits of servers and load balancers (mostly 60 s), so that a pooled connection is seldom one
/// that the other side has closed.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);
/// Servers allow 100 streams or more on one HTTP/2 connection; above its limit calls would queue, unseen, while their
/// time runs.
const STREAMS_PER_CONNECTION: usize = 64;
/// Of an error body no more than this is read: no error needs it.
const MAX_ERROR_BYTES: usize = 128 * 1024;
/// What follows the last event of a stream is a few bytes that are on their way already; a new connection costs two or
/// three round trips, so waiting much longer than those would gain nothing.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Where.
    pub base_url: BaseUrl,
    /// Through which proxy; `None` for directly. Its password is a secret as the key is.
    pub proxy: Option<Proxy>,
    /// With which key.
    pub authorization: Authorization,
    /// What else is sent that must be shown nowhere: it is taken out of what servers say, as key and password are.
    pub also_secret: Vec<SecretString>,
    /// The longest a request may take, from its start to the last byte of the answer.
    pub timeout: Duration,
    /// The longest silence between two pieces of a body.
    pub idle_timeout: Duration,
    /// How many requests are in flight at most: so many connections are kept.
    pub max_connections: usize,
    /// The largest body, in bytes after decompression.
    pub max_response_bytes: usize,
    /// Certificates of authorities to trust beside the system's, as PEM.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether to share connections over HTTP/2.
    pub http2: bool,
}

impl HttpConfig {
    /// Returns the defaults: 600 s in all, 60 s between pieces, 32 MiB, HTTP/1.1.
    pub fn new(base_url: BaseUrl, authorization: impl Into<Authorization>) -> Self {
        Self {
            base_url,
            proxy: None,
            authorization: authorization.into(),
            also_secret: Vec::new(),
            timeout: Duration::from_secs(600),
            idle_timeout: Duration::from_secs(60),
            max_connections: 16,
            max_response_bytes: DEFAULT_MAX_RESPONSE_BYTES,
            ca_pem: None,
            http2: false,
        }
    }
}

/// Why a transport can't be built.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The key can't stand in a header.
    #[error(transparent)]
    Credential(#[from] UnusableKey),
    /// The file of certificates is unusable.
    #[error("the file of --ca-file holds no usable PEM certificate: {reason}")]
    CaFile {
        /// What is wrong.
        reason: String,
    },
    /// The client can't be built.
    #[error("the HTTP client can't be set up: {reason}")]
    Client {
        /// What is wrong.
        reason: String,
    },
}

/// Sends requests over HTTP.
pub struct HttpTransport {
    clients: Vec<reqwest::Client>,
    next_client: AtomicUsize,
    base_url: BaseUrl,
    way: Way,
    /// The path asked for first and its URL: reading a URL costs more than all else that is done here for a request.
    first_url: OnceLock<(Cow<'static, str>, Url)>,
    authorizer: Authorizer,
    timers: Timers,
    timeout: Duration,
    idle_timeout: Duration,
    max_response_bytes: usize,
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpTransport").field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

impl HttpTransport {
    /// Builds the client or clients. Nothing is sent.
    ///
    /// # Errors
    /// Any [`TransportError`].
    pub fn new(config: HttpConfig) -> Result<Self, TransportError> {
        let password = config.proxy.as_ref().and_then(Proxy::password);
        let also_secret = config.also_secret.iter().chain(password).cloned().collect();
        let authorizer = Authorizer::new(config.authorization.clone(), also_secret)?;
        let count = if config.http2 { config.max_connections.div_ceil(STREAMS_PER_CONNECTION).max(1) } else { 1 };
        let clients = (0..count).map(|_| client(&config)).collect::<Result<_, _>>()?;
        Ok(Self {
            clients,
            next_client: AtomicUsize::new(0),
            way: Way::of(&config.base_url, config.proxy.as_ref()),
            base_url: config.base_url,
            first_url: OnceLock::new(),
            authorizer,
            timers: Timers::default(),
            timeout: config.timeout,
            idle_timeout: config.idle_timeout,
            max_response_bytes: config.max_response_bytes,
        })
    }

    fn client(&self) -> &reqwest::Client {
        let turn = self.next_client.fetch_add(1, Ordering::Relaxed);
        &self.clients[turn % self.clients.len()]
    }

    fn url(&self, path: Cow<'static, str>) -> Result<Url, WireError> {
        if let Some((first, url)) = self.first_url.get()
            && *first == path
        {
            return Ok(url.clone());
        }
        let url = Url::parse(&self.base_url.join(&path)).map_err(|error| not_a_url(&path, &error.to_string()))?;
        // Another path came first: this one is read each time.
        let _ = self.first_url.set((path, url.clone()));
        Ok(url)
    }

    /// Returns the request with what authorizes it, which is asked for until `deadline`.
    async fn request(&self, request: WireRequest, deadline: Instant) -> Result<reqwest::Request, WireError> {
        let mut sent = reqwest::Request::new(request.method, self.url(request.path)?);
        *sent.headers_mut() = request.headers;
        let header = tokio::time::timeout_at(deadline, self.authorizer.header()).await;
        let header = header.unwrap_or_else(|_| Err(format!("there was none within {:?} (--timeout)", self.timeout)));
        if let Some((name, value)) = header.map_err(|reason| not_authorized(&reason))? {
            sent.headers_mut().insert(name, value);
        }
        if !request.body.is_empty() {
            *sent.body_mut() = Some(pieces::sent(request.body));
        }
        Ok(sent)
    }
}

impl Transport for HttpTransport {
    type Exchange = HttpExchange;

    async fn send(&self, request: WireRequest) -> Result<HttpExchange, WireError> {
        let deadline = after(Instant::now(), self.timeout);
        let request = self.request(request, deadline).await?;
        let mut timer = self.timers.until(deadline);
        let mut sent = pin!(self.client().execute(request));
        let answer = poll_fn(|context| match sent.as_mut().poll(context) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            Poll::Pending => timer.poll(context).map(|()| None),
        });
        let mut response = match answer.await {
            Some(Ok(response)) if self.way.is_refused_by_proxy(&response) => return Err(self.way.unauthorized()),
            Some(Ok(response)) => response,
            Some(Err(error)) => return Err(self.way.before_head(&error)),
            None => return Err(timed_out(self.timeout, "no answer began")),
        };
        let status = response.status().as_u16();
        let head = ReplyHead { status, headers: std::mem::take(response.headers_mut()) };
        let error_bytes = self.max_response_bytes.min(MAX_ERROR_BYTES);
        let max_bytes = if response.status().is_success() { self.max_response_bytes } else { error_bytes };
        Ok(HttpExchange {
            head,
            response,
            deadline,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout,
            received_bytes: 0,
            max_bytes,
        })
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.authorizer.secrets()
    }
}

fn client(config: &HttpConfig) -> Result<reqwest::Client, TransportError> {
    // Fails when a provider is installed already, by an earlier transport or by the program: both are what is wanted.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("claude-batch/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Without the number a copy of each request is made and kept, in case it were to be retried.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(config.max_connections.max(1))
        .tcp_keepalive(TCP_KEEPALIVE);
    builder = match (config.http2, config.base_url.is_https()) {
        (false, _) => builder.http1_only(),
        (true, true) => builder,
        (true, false) => builder.http2_prior_knowledge(),
    };
    // The client reads no variable of its own.
    builder = builder.dns_resolver(Names).no_proxy();
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy.url());
        builder = builder.proxy(proxy.map_err(|error| TransportError::Client { reason: described(&error) })?);
    }
    if let Some(pem) = &config.ca_pem {
        builder = builder.tls_certs_merge(authorities(pem)?);
    }
    if !config.base_url.is_https() && !config.proxy.as_ref().is_some_and(Proxy::is_https) {
        // The system's certificates take a while to read, and a machine may have none.
        builder = builder.tls_certs_only([]);
    }
    builder.build().map_err(|error| TransportError::Client { reason: described(&error) })
}

fn authorities(pem: &[u8]) -> Result<Vec<reqwest::Certificate>, TransportError> {
    let certificates = reqwest::Certificate::from_pem_bundle(pem)
        .map_err(|error| TransportError::CaFile { reason: described(&error) })?;
    if certificates.is_empty() {
        return Err(TransportError::CaFile { reason: "it has no BEGIN CERTIFICATE".to_owned() });
    }
    Ok(certificates)
}

/// Checks that a file of certificates can be used.
///
/// # Errors
/// [`TransportError::CaFile`].
pub fn check_authorities(pem: &[u8]) -> Result<(), TransportError> {
    authorities(pem).map(drop)
}

/// Returns the moment `duration` after `now`; a century after it for one that the clock can't hold.
fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}

/// A response whose head has come.
pub struct HttpExchange {
    head: ReplyHead,
    response: reqwest::Response,
    deadline: Instant,
    timeout: Duration,
    idle_timeout: Duration,
    received_bytes: usize,
    max_bytes: usize,
}

impl fmt::Debug for HttpExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpExchange").field("status", &self.head.status).finish_non_exhaustive()
    }
}

impl Exchange for HttpExchange {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        let mut chunk = pin!(self.response.chunk());
        // Nearly always it is there already: no clock is read for it, and no timer set.
        let at_once = poll_fn(|context| Poll::Ready(chunk.as_mut().poll(context))).await;
        let chunk = match at_once {
            Poll::Ready(chunk) => chunk,
            Poll::Pending => {
                let idle_deadline = after(Instant::now(), self.idle_timeout);
                match tokio::time::timeout_at(idle_deadline.min(self.deadline), chunk).await {
                    Ok(chunk) => chunk,
                    Err(_) if idle_deadline < self.deadline => return Err(went_silent(self.idle_timeout)),
                    Err(_) => return Err(timed_out(self.timeout, "the answer did not end")),
                }
            }
        };
        let chunk = chunk.map_err(|error| in_body(&error))?;
        self.received_bytes += chunk.as_ref().map_or(0, Bytes::len);
        if self.received_bytes <= self.max_bytes {
            return Ok(chunk);
        }
        // What an error says stands at its beginning.
        if (200..300).contains(&self.head.status) { Err(too_large(self.max_bytes)) } else { Ok(None) }
    }

    async fn pause(&mut self, room: impl Future<Output = ()> + Send) -> Result<(), WireError> {
        let waited = tokio::time::timeout_at(self.deadline, room).await;
        waited.map_err(|_| timed_out(self.timeout, "there was no room for the rest of the answer"))
    }

    async fn drain(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        // Late or not, the answer is whole: what comes of this does not matter.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    }
}

/// Where requests go and what is between, for messages.
struct Way {
    /// The origin of the server.
    server: String,
    /// The address of the proxy.
    proxy: Option<String>,
    /// Whether the proxy hears requests itself, instead of opening a tunnel for them.
    is_read_by_proxy: bool,
    /// Whether the proxy is given a password.
    has_password: bool,
}

impl Way {
    fn of(base_url: &BaseUrl, proxy: Option<&Proxy>) -> Self {
        Self {
            server: base_url.origin().to_owned(),
            proxy: proxy.map(|proxy| proxy.address().to_owned()),
            is_read_by_proxy: proxy.is_some() && !base_url.is_https(),
            has_password: proxy.is_some_and(|proxy| proxy.password().is_some()),
        }
    }

    /// Returns whether an answer is the proxy's own: that it wants to know who asks.
    fn is_refused_by_proxy(&self, response: &reqwest::Response) -> bool {
        self.is_read_by_proxy && response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED
    }

    fn unauthorized(&self) -> WireError {
        let proxy = self.proxy.as_deref().unwrap_or("on the way");
        let what = match self.has_password {
            true => "refused the user name and password that it was given",
            false => "wants a user name and a password",
        };
        let message = format!("the proxy {proxy} {what}");
        WireError { kind: WireErrorKind::ProxyAuth, maybe_sent: false, message }
    }

    fn before_head(&self, error: &reqwest::Error) -> WireError {
        let what = described(error);
        if !error.is_connect() {
            let message = format!("the connection to {self} broke before an answer began: {what}");
            return WireError { kind: WireErrorKind::Broken, maybe_sent: true, message };
        }
        let tunnel = chain(error).find_map(tunnel_fault);
        let is_unsafe = chain(error).any(is_unsafe);
        let kind = match (tunnel, is_unsafe) {
            (Some(TunnelFault::Unauthorized), _) => return self.unauthorized(),
            (_, true) => WireErrorKind::Tls,
            (Some(TunnelFault::Refused | TunnelFault::Unreachable), false) => WireErrorKind::Proxy,
            (None, false) if self.is_read_by_proxy => WireErrorKind::Proxy,
            (None, false) => WireErrorKind::Connect,
        };
        let is_of_proxy = tunnel.is_some() || self.is_read_by_proxy;
        let message = match self.proxy.as_ref().filter(|_| is_of_proxy) {
            Some(proxy) if tunnel == Some(TunnelFault::Refused) => {
                format!("the proxy {proxy} opened no way to {}: {what}", self.server)
            }
            Some(proxy) => format!("could not connect to the proxy {proxy} on the way to {}: {what}", self.server),
            None => format!("could not connect to {self}: {what}"),
        };
        WireError { kind, maybe_sent: false, message }
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server)?;
        self.proxy.iter().try_for_each(|proxy| write!(f, " through proxy {proxy}"))
    }
}

fn in_body(error: &reqwest::Error) -> WireError {
    let message = format!("the connection broke within the answer: {}", described(error));
    WireError { kind: WireErrorKind::Broken, maybe_sent: true, message }
}

fn not_authorized(reason: &str) -> WireError {
    let message = format!("no credential for the request: {reason}");
    WireError { kind: WireErrorKind::Authorization, maybe_sent: false, message }
}

fn not_a_url(path: &str, reason: &str) -> WireError {
    let message = format!("the base URL and {path} make no URL: {reason}");
    WireError { kind: WireErrorKind::Connect, maybe_sent: false, message }
}

fn timed_out(timeout: Duration, what: &str) -> WireError {
    let message = format!("{what} within {timeout:?} (--timeout)");
    WireError { kind: WireErrorKind::Timeout, maybe_sent: true, message }
}

fn went_silent(idle_timeout: Duration) -> WireError {
    let message = format!("nothing came for {idle_timeout:?} in the middle of the answer (--idle-timeout)");
    WireError { kind: WireErrorKind::Idle, maybe_sent: true, message }
}

fn too_large(max_bytes: usize) -> WireError {
    let message = format!("the answer is larger than {max_bytes} bytes, the most that is read");
    WireError { kind: WireErrorKind::TooLarge, maybe_sent: true, message }
}

/// Returns the innermost causes of a failure. Leaves out reqwest's own words: they hold the URL.
fn described(error: &reqwest::Error) -> String {
    let first = chain(error).find(|cause| !is_wrapping(*cause));
    first.map_or_else(|| "the client gave no reason".to_owned(), causes)
}

/// Returns the causes of a failure, the outermost first.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// Returns whether a cause is one that trying again does not mend: the way is not safe.
fn is_unsafe(cause: &(dyn StdError + 'static)) -> bool {
    cause.is::<NoServerThere>() || is_tls_cause(cause)
}

/// An I/O error keeps what it wraps out of its chain of sources.
fn is_tls_cause(cause: &(dyn StdError + 'static)) -> bool {
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls_cause(inner))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_base_url;

    fn base() -> BaseUrl {
        parse_base_url("http://127.0.0.1:1", false).expect("a loopback URL")
    }

    #[test]
    fn a_key_that_fits_in_no_header_is_refused_unsaid() {
        for key in ["", "  ", "sk-canary\nx"] {
            let error =
                HttpTransport::new(HttpConfig::new(base(), Credential::ApiKey(key.into()))).expect_err("a bad key");

            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn no_form_of_debug_shows_the_key() {
        let config = HttpConfig::new(base(), Credential::Bearer("sk-canary-1".into()));

        let shown = format!("{config:?}");
        let transport = HttpTransport::new(config).expect("a plain client");

        assert!(!shown.contains("canary"));
        assert!(!format!("{transport:?}").contains("canary"));
    }

    #[test]
    fn a_file_without_certificates_is_refused() {
        let mut config = HttpConfig::new(base(), Credential::None);
        config.ca_pem = Some(b"hello".to_vec());

        let error = HttpTransport::new(config).expect_err("no certificate in it");

        assert!(matches!(error, TransportError::CaFile { .. }));
    }

    #[test]
    fn shared_connections_are_as_many_as_the_window_needs() {
        let mut config = HttpConfig::new(base(), Credential::None);
        config.http2 = true;
        config.max_connections = 200;

        let transport = HttpTransport::new(config).expect("a plain client");

        assert_eq!(transport.clients.len(), 4);
    }
}
