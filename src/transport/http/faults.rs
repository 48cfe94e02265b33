//! Describes why a request failed, where it failed, and whether the server may have received it.

use std::error::Error as StdError;
use std::fmt;
use std::time::Duration;

use super::names::NoServerThere;
use crate::domain::{WireErrorKind, causes};
use crate::transport::base_url::BaseUrl;
use crate::transport::proxy::Proxy;
use crate::transport::tunnel::{TunnelFault, is_wrapping, tunnel_fault};
use crate::transport::wire::WireError;

/// The addresses of the server and of the proxy, as shown in error messages.
pub(super) struct Route {
    /// The origin of the server.
    server: String,
    /// The address of the proxy; `None` for a direct connection.
    proxy: Option<String>,
    /// Whether the proxy can read the requests. If the proxy can't read the requests, the proxy only opens an encrypted
    /// tunnel to the server.
    is_read_by_proxy: bool,
    /// Whether a password is sent to the proxy.
    has_password: bool,
}

impl Route {
    pub(super) fn of(base_url: &BaseUrl, proxy: Option<&Proxy>) -> Self {
        Self {
            server: base_url.origin().to_owned(),
            proxy: proxy.map(|proxy| proxy.address().to_owned()),
            is_read_by_proxy: proxy.is_some() && !base_url.is_https(),
            has_password: proxy.is_some_and(|proxy| proxy.password().is_some()),
        }
    }

    /// Returns whether the proxy itself sent this response to ask for a user name and a password.
    pub(super) fn is_refused_by_proxy(&self, response: &reqwest::Response) -> bool {
        self.is_read_by_proxy && response.status() == http::StatusCode::PROXY_AUTHENTICATION_REQUIRED
    }

    pub(super) fn unauthorized(&self) -> WireError {
        let proxy = self.proxy.as_deref().unwrap_or("on the way");
        let what = match self.has_password {
            true => "refused the user name and password that it was given",
            false => "wants a user name and a password",
        };
        let message = format!("the proxy {proxy} {what}");
        WireError { kind: WireErrorKind::ProxyAuth, maybe_sent: false, message }
    }

    pub(super) fn before_head(&self, error: &reqwest::Error) -> WireError {
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
                format!("the proxy {proxy} did not connect to {}: {what}", self.server)
            }
            Some(proxy) => format!("could not connect to the proxy {proxy} on the way to {}: {what}", self.server),
            None => format!("could not connect to {self}: {what}"),
        };
        WireError { kind, maybe_sent: false, message }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server)?;
        self.proxy.iter().try_for_each(|proxy| write!(f, " through proxy {proxy}"))
    }
}

pub(super) fn in_body(error: &reqwest::Error) -> WireError {
    let message = format!("the connection broke during the answer: {}", described(error));
    WireError { kind: WireErrorKind::Broken, maybe_sent: true, message }
}

pub(super) fn not_authorized(reason: &str) -> WireError {
    let message = format!("no credential for the request: {reason}");
    WireError { kind: WireErrorKind::Authorization, maybe_sent: false, message }
}

pub(super) fn not_a_url(path: &str, reason: &str) -> WireError {
    let message = format!("the base URL and {path} do not form a URL: {reason}");
    WireError { kind: WireErrorKind::Connect, maybe_sent: false, message }
}

pub(super) fn timed_out(timeout: Duration, what: &str) -> WireError {
    let message = format!("{what} within {timeout:?} (--timeout)");
    WireError { kind: WireErrorKind::Timeout, maybe_sent: true, message }
}

pub(super) fn unreadable(cause: &str) -> WireError {
    let message = format!("the body of the request could not be read while it was sent: {cause}");
    WireError { kind: WireErrorKind::Broken, maybe_sent: false, message }
}

pub(super) fn stalled(idle_timeout: Duration) -> WireError {
    let message =
        format!("the request was not complete, and no part of it could be sent for {idle_timeout:?} (--idle-timeout)");
    WireError { kind: WireErrorKind::Idle, maybe_sent: false, message }
}

pub(super) fn went_silent(idle_timeout: Duration) -> WireError {
    let message = format!("nothing came for {idle_timeout:?} in the middle of the answer (--idle-timeout)");
    WireError { kind: WireErrorKind::Idle, maybe_sent: true, message }
}

pub(super) fn too_large(max_bytes: usize) -> WireError {
    let message = format!("the answer is larger than {max_bytes} bytes, which is the limit");
    WireError { kind: WireErrorKind::TooLarge, maybe_sent: true, message }
}

/// Returns the innermost causes of a failure. The messages of reqwest itself are left out, because they contain the
/// URL.
pub(super) fn described(error: &reqwest::Error) -> String {
    let first = chain(error).find(|cause| !is_wrapping(*cause));
    with_advice(first.map_or_else(|| "the HTTP client gave no reason".to_owned(), causes))
}

/// Adds what to do if the server's own certificate is a CA certificate. Certificates that `openssl req -x509` makes by
/// default are CA certificates, and `--ca-file` can't help with them.
fn with_advice(cause: String) -> String {
    if !cause.contains("CaUsedAsEndEntity") {
        return cause;
    }
    format!(
        "{cause}. The server's own certificate is a CA certificate, so it is not accepted as a server's certificate, \
         even if --ca-file has it. Create the certificate again with `-addext basicConstraints=critical,CA:FALSE`"
    )
}

/// Returns the chain of causes of a failure. The outermost cause comes first.
fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn StdError + 'static)> {
    std::iter::successors(error.source(), |cause| (*cause).source())
}

/// Returns whether a cause of a failure shows that the connection is not safe. If the connection is not safe, a retry
/// does not help.
fn is_unsafe(cause: &(dyn StdError + 'static)) -> bool {
    cause.is::<NoServerThere>() || is_tls_cause(cause)
}

/// Returns whether a cause is a TLS error. An I/O error can wrap another error. The wrapped error is checked too,
/// because `source` does not return the wrapped error.
fn is_tls_cause(cause: &(dyn StdError + 'static)) -> bool {
    let inner = cause.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls_cause(inner))
}
