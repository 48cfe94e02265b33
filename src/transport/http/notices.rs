//! Sends notices about a run to an address that the user has given.
//!
//! The server that receives a notice is not the API. So notices have an HTTP client of their own, and this module can't
//! access the keys and headers of the API. The proxy and the certificates are chosen in the same way as for requests to
//! the API. Redirects are not followed, because the address and the content of a notice are secret. The body of the
//! response is not read, so its length does not matter.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use tokio::runtime::{Builder, Runtime};

use super::client::{Reach, client};
use super::config::TransportError;
use crate::transport::notice_url::NoticeUrl;
use crate::transport::proxy::Proxy;

/// Sends notices to one address. Each call blocks its thread, so the main loop of a run must not call it.
pub(crate) struct NoticePoster {
    client: reqwest::Client,
    url: NoticeUrl,
    /// The asynchronous runtime of the client; `None` only while this poster is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for NoticePoster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoticePoster").field("url", &self.url).finish_non_exhaustive()
    }
}

/// The reason why a notice could not be sent. The messages do not contain the address.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PostFault {
    /// The server answered with this error status.
    #[error("the server answered with status {0}{more}", more = if is_redirect(.0) { ", and redirects are not \
        followed" } else { "" })]
    Status(u16),
    /// There was no response within the time limit.
    #[error("the server did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// No connection could be opened.
    #[error("the server can't be reached")]
    Connect,
    /// The connection broke, or the response is not HTTP.
    #[error("the response can't be read")]
    Broken,
}

fn is_redirect(status: &u16) -> bool {
    (300..400).contains(status)
}

impl PostFault {
    /// Returns whether another attempt is useless. The waits between attempts are short, so a server that refuses a
    /// notice would most likely refuse it again.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Status(408 | 429) => false,
            Self::Status(status) => (300..500).contains(status),
            Self::Timeout(_) | Self::Connect | Self::Broken => false,
        }
    }
}

impl NoticePoster {
    /// Returns a poster that sends notices to this address. Sends nothing yet.
    ///
    /// # Errors
    /// Returns an error if the file with certificates can't be used, or if the HTTP client can't be made.
    pub(crate) fn new(url: NoticeUrl, proxy: Option<&Proxy>, ca_pem: Option<&[u8]>) -> Result<Self, TransportError> {
        let reach = Reach { base_url: url.base(), proxy, ca_pem, http2: false, idle_connections: 1 };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| TransportError::Client { reason: error.to_string() })?;
        Ok(Self { client: client(&reach)?, url, runtime: Some(runtime) })
    }

    /// Returns the scheme and host of the address, as they are shown to people.
    pub(crate) fn shown(&self) -> String {
        self.url.shown()
    }

    /// Makes one attempt to send a notice as JSON. The attempt takes at most `timeout`.
    ///
    /// # Errors
    /// Any [`PostFault`].
    pub(crate) fn post(
        &self,
        body: Bytes,
        signature: Option<(HeaderName, HeaderValue)>,
        timeout: Duration,
    ) -> Result<(), PostFault> {
        let Some(runtime) = &self.runtime else { return Err(PostFault::Broken) };
        let mut request = self.client.post(self.url.whole()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some((name, value)) = signature {
            request = request.header(name, value);
        }
        let answer = runtime.block_on(async { tokio::time::timeout(timeout, request.send()).await });
        match answer {
            Err(_) => Err(PostFault::Timeout(timeout)),
            Ok(Err(error)) if error.is_connect() => Err(PostFault::Connect),
            Ok(Err(_)) => Err(PostFault::Broken),
            Ok(Ok(response)) if response.status().is_success() => Ok(()),
            Ok(Ok(response)) => Err(PostFault::Status(response.status().as_u16())),
        }
    }
}

impl Drop for NoticePoster {
    /// Ends the runtime without waiting. If a host name is being resolved, dropping the runtime would wait for the
    /// result, which can take a long time.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
