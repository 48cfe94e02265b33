//! Sets up the HTTP client.

use std::time::Duration;

use super::config::{HttpConfig, TransportError};
use super::faults::described;
use super::names::Names;
use crate::transport::base_url::BaseUrl;
use crate::transport::proxy::Proxy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the client keeps an unused connection open. Servers and load balancers keep an unused connection open for
/// longer than the client does (mostly 60 s). So a connection that the client uses again is usually still open.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// The settings with which an HTTP client reaches a server.
pub(super) struct Reach<'a> {
    pub(super) base_url: &'a BaseUrl,
    pub(super) proxy: Option<&'a Proxy>,
    pub(super) ca_pem: Option<&'a [u8]>,
    pub(super) http2: bool,
    /// The largest number of unused connections that are kept open.
    pub(super) idle_connections: usize,
}

impl<'a> Reach<'a> {
    /// Returns the client settings for the API.
    pub(super) fn of(config: &'a HttpConfig) -> Self {
        Self {
            base_url: &config.base_url,
            proxy: config.proxy.as_ref(),
            ca_pem: config.ca_pem.as_deref(),
            http2: config.http2,
            idle_connections: config.max_connections.max(1),
        }
    }
}

/// Returns a new HTTP client. Sends nothing.
pub(super) fn client(reach: &Reach<'_>) -> Result<reqwest::Client, TransportError> {
    // This call fails if a TLS provider was already installed, for example by an earlier transport. The failure is
    // ignored, because the program can use the TLS provider that is already installed.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("claude-batch/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Without this setting, the client would keep a copy of each request for a retry.
        .retry(reqwest::retry::never().max_retries_per_request(0))
        .gzip(true)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(POOL_IDLE_TIMEOUT)
        .pool_max_idle_per_host(reach.idle_connections)
        .tcp_keepalive(TCP_KEEPALIVE);
    builder = match (reach.http2, reach.base_url.is_https()) {
        (false, _) => builder.http1_only(),
        (true, true) => builder,
        (true, false) => builder.http2_prior_knowledge(),
    };
    // The client must not read the proxy variables itself, because `proxy.rs` chooses the proxy.
    builder = builder.dns_resolver(Names).no_proxy();
    if let Some(proxy) = reach.proxy {
        let proxy = reqwest::Proxy::all(proxy.url());
        builder = builder.proxy(proxy.map_err(|error| TransportError::Client { reason: described(&error) })?);
    }
    if let Some(pem) = reach.ca_pem {
        builder = builder.tls_certs_merge(authorities(pem)?);
    }
    if !reach.base_url.is_https() && !reach.proxy.is_some_and(Proxy::is_https) {
        // No connection uses TLS, so the system's certificates are not read. Reading the certificates takes some time,
        // and it fails on a machine without certificates.
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
pub(crate) fn check_authorities(pem: &[u8]) -> Result<(), TransportError> {
    authorities(pem).map(drop)
}
