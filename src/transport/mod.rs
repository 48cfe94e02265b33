//! Transports: how a request reaches a server and its response comes back.
//!
//! Owns connections and the time limits on them. Knows nothing of jobs, rate limits or the meaning of a response.
//! [`http`] is the only user of the HTTP client; the simulator has a second transport without sockets, for runs on
//! virtual time.

mod authorization;
mod base_url;
mod credential;
mod destination;
pub mod http;
mod proxy;
mod timers;
mod tunnel;
mod wire;

pub use authorization::{Asked, Authorization, CredentialSource};
pub(crate) use base_url::BaseUrl;
pub use base_url::{BaseUrlError, parse_base_url};
pub use proxy::proxy_for;
pub(crate) use proxy::{PassedOverWhy, Proxy, passed_over};
pub use wire::{Exchange, Transport, WireError};

pub use crate::domain::WireErrorKind;
