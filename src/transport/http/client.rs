//! Sets up the HTTP client.

use std::time::Duration;

use super::config::{HttpConfig, TransportError};
use super::faults::described;
use super::names::Names;
use crate::transport::proxy::Proxy;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an unused connection is kept. Servers and load balancers keep a connection longer (mostly 60 s). So when
/// the client uses a connection again, the other side has usually not closed it yet.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// Builds a client. Nothing is sent.
pub(super) fn client(config: &HttpConfig) -> Result<reqwest::Client, TransportError> {
    // This fails if an earlier transport or the program has already installed a provider. The failure does no harm.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("claude-batch/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        // Without this line, the client would keep a copy of each request for a retry.
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
    // The client must not read proxy variables itself.
    builder = builder.dns_resolver(Names).no_proxy();
    if let Some(proxy) = &config.proxy {
        let proxy = reqwest::Proxy::all(proxy.url());
        builder = builder.proxy(proxy.map_err(|error| TransportError::Client { reason: described(&error) })?);
    }
    if let Some(pem) = &config.ca_pem {
        builder = builder.tls_certs_merge(authorities(pem)?);
    }
    if !config.base_url.is_https() && !config.proxy.as_ref().is_some_and(Proxy::is_https) {
        // No connection uses TLS, so the system's certificates are not needed. Reading them takes a while, and a
        // machine may have none.
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
