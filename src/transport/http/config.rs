//! The settings for reaching a server, and the errors of settings that can't be used.

use std::time::Duration;

use secrecy::SecretString;

use crate::transport::authorization::Authorization;
use crate::transport::base_url::BaseUrl;
use crate::transport::credential::UnusableKey;
use crate::transport::proxy::Proxy;

/// The largest body that is read by default, after decompression.
pub(crate) const DEFAULT_MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// How to reach the API.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The server.
    pub base_url: BaseUrl,
    /// The proxy; `None` to connect directly. Its password is as secret as the key.
    pub proxy: Option<Proxy>,
    /// The key, or where it comes from.
    pub authorization: Authorization,
    /// Other secrets that are sent. They are removed from the texts of servers, just as the key and the password are.
    pub also_secret: Vec<SecretString>,
    /// The longest time that a request may take, from its start to the last byte of the answer.
    pub timeout: Duration,
    /// The longest silence between two pieces of a body.
    pub idle_timeout: Duration,
    /// The highest number of requests in flight at the same time. This is also the highest number of unused connections
    /// that are kept open.
    pub max_connections: usize,
    /// The largest body, in bytes after decompression.
    pub max_response_bytes: usize,
    /// Certificates of more authorities, as PEM. They are trusted in addition to the system's authorities.
    pub ca_pem: Option<Vec<u8>>,
    /// Whether requests share connections over HTTP/2.
    pub http2: bool,
}

impl HttpConfig {
    /// Returns the default settings: 600 s for a request, 60 s between pieces, 32 MiB for a body, and HTTP/1.1.
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
    /// The key can't be sent in a header.
    #[error(transparent)]
    Credential(#[from] UnusableKey),
    /// The file of certificates is unusable.
    #[error("the file of --ca-file holds no usable PEM certificate: {reason}")]
    CaFile {
        /// The reason.
        reason: String,
    },
    /// The client can't be built.
    #[error("the HTTP client can't be set up: {reason}")]
    Client {
        /// The reason.
        reason: String,
    },
}
