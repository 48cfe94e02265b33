//! Sends requests to the API over HTTP.
//!
//! Only this module uses reqwest. This module manages connections, time limits and the limit on the size of a body.
//!
//! - One call of [`Transport::send`] sends one request, so the scheduler knows of every attempt. This module retries a
//!   request only if a server refuses a token that can be renewed (401, 403). Then the token is renewed, and the
//!   request is sent one more time. A refused request is not billed. Redirects are not followed, because the key would
//!   then also be sent to the new address.
//! - There are two time limits. `timeout` is the limit for the whole request, from the call to the end of the response
//!   body. `idle_timeout` is the limit for the wait between two pieces of the response body. `idle_timeout` starts when
//!   the status line and headers of the response have arrived, because the wait for them can be long. Without
//!   streaming, the server sends nothing until the whole answer is ready. With streaming, the headers come early, and
//!   the server sends pings while the model works. Large transfers have other time limits: see `upload.rs` for a body
//!   that is read while it is sent, and [`Transfer::Bulk`] for a large response.
//! - If no connection could be opened, nothing was sent. After any later failure, the server may have received the
//!   request and billed it. There is one exception: if the last piece of an upload was not sent, the server can't have
//!   the whole request.
//! - The HTTP client does not choose the address of a connection: [`super::proxy_for`] chooses the proxy, and
//!   `names.rs` resolves names and checks each address.
//! - The response of a server is passed on unchanged. The caller must remove [`Transport::secrets`] from texts that the
//!   server sends.
//!
//! reqwest's own `read_timeout` is not used. This timeout begins at the start of the request, so it would abort long
//! requests without streaming.

mod client;
mod config;
mod exchange;
mod faults;
mod metadata;
mod names;
mod notices;
mod pieces;
mod upload;
pub(super) mod url;

use std::borrow::Cow;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::Poll;
use std::time::Duration;

use tokio::time::Instant;

use self::client::{Reach, client};
use self::exchange::after;
use self::faults::{Route, not_a_url, not_authorized};
use self::upload::{Patience, Upload};
use self::url::Url;
use super::authorization::Authorizer;
use super::base_url::BaseUrl;
use super::proxy::Proxy;
use super::timers::Timers;
use super::wire::{Transport, WireError};
use crate::domain::Secrets;
use crate::provider::{ReplyHead, Transfer, WireRequest};

pub(crate) use self::client::check_authorities;
pub use self::config::HttpConfig;
pub(crate) use self::config::TransportError;
pub(crate) use self::exchange::HttpExchange;
pub(crate) use self::metadata::google_token;
pub(crate) use self::notices::NoticePoster;
pub use super::credential::Credential;

/// The highest number of requests on one HTTP/2 connection. Servers allow 100 or more requests on a connection.
/// Requests above the server's limit would wait in a queue, and this wait would count towards their time limits.
const STREAMS_PER_CONNECTION: usize = 64;
/// How many bytes of the body of an error response are read. Error responses of real servers are shorter than this.
const MAX_ERROR_BYTES: usize = 128 * 1024;

/// The transport that sends requests over HTTP.
pub struct HttpTransport {
    clients: Vec<reqwest::Client>,
    next_client: AtomicUsize,
    base_url: BaseUrl,
    way: Route,
    /// The path and the URL of the first request. The URL is kept, because parsing it takes longer than all other work
    /// for a request.
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
    /// Returns a transport. The transport has one HTTP client. If HTTP/2 is used, the transport has several HTTP
    /// clients. Sends nothing.
    ///
    /// # Errors
    /// Any `TransportError`.
    pub fn new(config: HttpConfig) -> Result<Self, TransportError> {
        let password = config.proxy.as_ref().and_then(Proxy::password);
        let also_secret = config.also_secret.iter().chain(password).cloned().collect();
        let authorizer = Authorizer::new(config.authorization.clone(), also_secret)?;
        let count = if config.http2 { config.max_connections.div_ceil(STREAMS_PER_CONNECTION).max(1) } else { 1 };
        let clients = (0..count).map(|_| client(&Reach::of(&config))).collect::<Result<_, _>>()?;
        Ok(Self {
            clients,
            next_client: AtomicUsize::new(0),
            way: Route::of(&config.base_url, config.proxy.as_ref()),
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
        // With a path such as `@other.example`, the URL would be the address of another server, and the key would be
        // sent to it.
        if url.origin().ascii_serialization() != self.base_url.origin() {
            return Err(not_a_url(&path, "it leads to another server"));
        }
        // Only the URL of the first path is kept. The URLs of other paths are parsed for each request.
        let _ = self.first_url.set((path, url.clone()));
        Ok(url)
    }

    /// Returns the credential for a request. Returns an error if the source returns no credential before `deadline`.
    async fn credential(&self, deadline: Instant) -> Result<Arc<Credential>, WireError> {
        let credential = tokio::time::timeout_at(deadline, self.authorizer.credential()).await;
        let none = || Err(format!("there was none within {:?} (--timeout)", self.timeout));
        credential.unwrap_or_else(|_| none()).map_err(|reason| not_authorized(&reason))
    }

    /// Returns the request of the HTTP client, with the headers that authorize it.
    fn request(
        &self,
        request: WireRequest,
        upload: Option<Arc<Upload>>,
        credential: &Arc<Credential>,
    ) -> Result<reqwest::Request, WireError> {
        let mut sent = reqwest::Request::new(request.method, self.url(request.path)?);
        *sent.headers_mut() = request.headers;
        if let Some((name, value)) = self.authorizer.header(credential).map_err(|reason| not_authorized(&reason))? {
            if let Some(again) = credential.also_as() {
                sent.headers_mut().insert(again, value.clone());
            }
            sent.headers_mut().insert(name, value);
        }
        if !request.body.is_empty() {
            *sent.body_mut() = Some(pieces::sent(request.body, upload));
        }
        Ok(sent)
    }
}

impl HttpTransport {
    /// Sends a request, and waits for the status line and headers of the response.
    async fn response(
        &self,
        request: reqwest::Request,
        patience: &Patience<'_>,
    ) -> Result<reqwest::Response, WireError> {
        let mut sent = pin!(self.client().execute(request));
        loop {
            let mut timer = self.timers.until(patience.next_look());
            let answer = poll_fn(|context| match sent.as_mut().poll(context) {
                Poll::Ready(answer) => Poll::Ready(Some(answer)),
                Poll::Pending => timer.poll(context).map(|()| None),
            });
            match answer.await {
                Some(Ok(response)) if self.way.is_refused_by_proxy(&response) => return Err(self.way.unauthorized()),
                Some(Ok(response)) => return Ok(response),
                Some(Err(error)) => return Err(self.way.before_head(&error)),
                None => patience.fault().map_or(Ok(()), Err)?,
            }
        }
    }

    /// Sends a request with this credential, and waits for the status line and headers of the response.
    async fn send_with(
        &self,
        request: WireRequest,
        credential: &Arc<Credential>,
        deadline: Instant,
    ) -> Result<HttpExchange, WireError> {
        let is_bulk = request.transfer == Transfer::Bulk;
        let upload = request.body.source().filter(|source| !source.is_empty()).map(|_| Arc::<Upload>::default());
        let request = self.request(request, upload.clone(), credential)?;
        let (timeout, idle_timeout) = (self.timeout, self.idle_timeout);
        let patience = Patience { deadline, upload: upload.as_deref(), timeout, idle_timeout };
        let response = self.response(request, &patience).await;
        let mut response = response.map_err(|error| match &upload {
            Some(upload) => upload.failed(error),
            None => error,
        })?;
        let is_success = response.status().is_success();
        let status = response.status().as_u16();
        let head = ReplyHead { status, headers: std::mem::take(response.headers_mut()) };
        let error_bytes = self.max_response_bytes.min(MAX_ERROR_BYTES);
        let max_bytes = match is_success {
            true if is_bulk => usize::MAX,
            true => self.max_response_bytes,
            false => error_bytes,
        };
        let deadline = match upload {
            _ if is_success && is_bulk => after(Instant::now(), Duration::MAX),
            Some(_) => after(Instant::now(), self.timeout),
            None => deadline,
        };
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

    /// Sends a request again with another credential, after the server refused the first credential. If there is no
    /// other credential, returns the server's first response.
    async fn send_renewed(
        &self,
        request: WireRequest,
        refusal: HttpExchange,
        refused: &Arc<Credential>,
        deadline: Instant,
    ) -> Result<HttpExchange, WireError> {
        let deadline = match request.body.source() {
            // The first upload possibly took longer than the usual time limit of a request, so this time limit starts
            // again.
            Some(_) => after(Instant::now(), self.timeout),
            None => deadline,
        };
        match tokio::time::timeout_at(deadline, self.authorizer.renewed(refused)).await {
            Ok(Some(other)) => {
                drop(refusal);
                self.send_with(request, &other, deadline).await
            }
            Ok(None) | Err(_) => Ok(refusal),
        }
    }
}

impl Transport for HttpTransport {
    type Exchange = HttpExchange;

    async fn send(&self, request: WireRequest) -> Result<HttpExchange, WireError> {
        let deadline = after(Instant::now(), self.timeout);
        // The request is copied only if its credential can be renewed. The copy is boxed, because this future is moved
        // and should be small.
        let again = self.authorizer.can_renew().then(|| Box::new(request.clone()));
        let credential = self.credential(deadline).await?;
        let exchange = self.send_with(request, &credential, deadline).await?;
        match again {
            Some(again) if matches!(exchange.head.status, 401 | 403) => {
                Box::pin(self.send_renewed(*again, exchange, &credential, deadline)).await
            }
            Some(_) | None => Ok(exchange),
        }
    }

    fn base_url(&self) -> &str {
        self.base_url.root()
    }

    fn secrets(&self) -> Arc<Secrets> {
        self.authorizer.secrets()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::parse_base_url;

    fn base() -> BaseUrl {
        parse_base_url("http://127.0.0.1:1", false).expect("a loopback URL")
    }

    #[test]
    fn a_key_that_fits_in_no_header_is_refused_and_not_shown() {
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
    fn there_are_as_many_shared_connections_as_the_window_needs() {
        let mut config = HttpConfig::new(base(), Credential::None);
        config.http2 = true;
        config.max_connections = 200;

        let transport = HttpTransport::new(config).expect("a plain client");

        assert_eq!(transport.clients.len(), 4);
    }
}
