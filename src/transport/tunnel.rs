//! Finds out why a tunnel through a proxy failed. The HTTP client wraps the tunnel's error, and exports no name for the
//! type of this error. So this module gets the type through a trait.

use std::error::Error as StdError;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use tower_service::Service;

/// The error of a tunnel. All connectors of the HTTP client have the same error type.
type TunnelError = <Tunnel<HttpConnector> as Service<Uri>>::Error;

/// The reason why there is no tunnel through the proxy to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TunnelFault {
    /// The proxy asks for a user name and a password, or refuses the given name and password (407).
    Unauthorized,
    /// The proxy answered, but did not open the tunnel.
    Refused,
    /// The proxy could not be reached, or the connection to the proxy broke.
    Unreachable,
}

/// Returns whether a cause of a failure only wraps another cause and adds no information.
pub(super) fn is_wrapping(cause: &(dyn StdError + 'static)) -> bool {
    let is_failed_tunnel = matches!(cause.downcast_ref(), Some(TunnelError::ConnectFailed(_) | TunnelError::Io(_)));
    cause.source().is_some() && (is_failed_tunnel || cause.is::<hyper_util::client::legacy::Error>())
}

/// Returns the tunnel fault that this cause describes; `None` if the cause is not about a tunnel.
pub(super) fn tunnel_fault(cause: &(dyn StdError + 'static)) -> Option<TunnelFault> {
    Some(match cause.downcast_ref::<TunnelError>()? {
        TunnelError::ProxyAuthRequired => TunnelFault::Unauthorized,
        TunnelError::TunnelUnsuccessful | TunnelError::ProxyHeadersTooLong | TunnelError::MissingHost => {
            TunnelFault::Refused
        }
        TunnelError::ConnectFailed(_) | TunnelError::Io(_) | TunnelError::TunnelUnexpectedEof => {
            TunnelFault::Unreachable
        }
    })
}
