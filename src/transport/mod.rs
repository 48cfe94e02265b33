//! Transports. A transport sends a request to a server and receives the response.
//!
//! This module manages connections and their time limits. It knows nothing about rows, rate limits or the meaning of a
//! response. Only [`http`] uses the HTTP client. The simulator contains a second transport without sockets, for runs on
//! virtual time.

mod authorization;
mod base_url;
mod credential;
mod destination;
pub mod http;
mod notice_url;
mod proxy;
mod renewing;
pub mod sigv4;
mod timers;
mod tunnel;
mod wire;

pub use authorization::{Asked, Authorization, CredentialSource};
pub(crate) use base_url::BaseUrl;
pub use base_url::{BaseUrlError, parse_base_url};
pub use notice_url::NoticeUrl;
pub(crate) use notice_url::parse_notice_url;
pub use proxy::proxy_for;
pub(crate) use proxy::{PassedOverWhy, Proxy, passed_over};
pub(crate) use renewing::{Issued, Issuer, Life, Renewing};
pub use wire::{Exchange, Transport, WireError};

pub use crate::domain::WireErrorKind;
