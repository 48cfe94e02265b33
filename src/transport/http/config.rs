//! The settings for reaching a server, and the errors for settings that can't be used.

use std::time::Duration;

use secrecy::SecretString;

use crate::transport::authorization::Authorization;
use crate::transport::base_url::BaseUrl;
use crate::transport::credential::UnusableKey;
use crate::transport::proxy::Proxy;

/// The default size limit of a response body, in bytes after decompression.
pub(crate) const DEFAULT_MAX_RESPONSE_BYTES: usize = 32 * 1024 * 1024;

/// The settings for reaching the API.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The server.
    pub base_url: BaseUrl,
    /// The proxy; `None` to connect directly. The password of the proxy is treated as a secret, like the key.
    pub proxy: Option<Proxy>,
    /// The key, or a source of keys that expire.
    pub authorization: Authorization,
    /// Further secrets that are sent to servers. These secrets, the key and the proxy's password are removed from texts
    /// that servers send.
    pub also_secret: Vec<SecretString>,
    /// The time limit of a request, from its start to the last byte of the answer.
    pub timeout: Duration,
    /// The time limit of the wait between two pieces of a body.
    pub idle_timeout: Duration,
    /// The highest number of requests in flight. This is also the highest number of unused connections that are kept
    /// open.
    pub max_connections: usize,
    /// The size limit of a response body, in bytes after decompression.
    pub max_response_bytes: usize,
    /// Certificates of further certificate authorities, as PEM. The program trusts these authorities in addition to the
    /// certificate authorities of the system.
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

/// The reason why a transport can't be made from its settings.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The key can't be sent in a header.
    #[error(transparent)]
    Credential(#[from] UnusableKey),
    /// The file with certificates can't be used.
    #[error("the file of --ca-file holds no usable PEM certificate: {reason}")]
    CaFile {
        /// The reason.
        reason: String,
    },
    /// The HTTP client can't be made.
    #[error("the HTTP client can't be set up: {reason}")]
    Client {
        /// The reason.
        reason: String,
    },
}
