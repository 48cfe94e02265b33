//! Sending a request and receiving its response: the traits, and the failures.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{Secrets, WireErrorKind};
use crate::provider::{ReplyHead, WireRequest};

/// A failure while a request is sent or its response is read.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// The kind of the failure.
    pub kind: WireErrorKind,
    /// Whether the request may have reached the server (and been billed). `false` means that it certainly has not
    /// reached the server.
    pub maybe_sent: bool,
    /// A message for people. It may contain text from a server or a proxy.
    pub message: String,
}

/// A response whose head has arrived.
pub trait Exchange: Send {
    /// Returns the head.
    fn head(&self) -> &ReplyHead;

    /// Returns the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// Any [`WireError`]; `maybe_sent` is always true here.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, WireError>> + Send;

    /// Waits until `room` is ready, and reads nothing in this time. This wait does not count as silence of the server,
    /// but the time limit of the whole request includes it.
    ///
    /// # Errors
    /// [`WireErrorKind::Timeout`].
    fn pause(&mut self, room: impl Future<Output = ()> + Send) -> impl Future<Output = Result<(), WireError>> + Send {
        async {
            room.await;
            Ok(())
        }
    }

    /// Reads the rest of a body, so that the connection can be used again. The content of the body is already complete.
    ///
    /// Call this function when a decoder has what it needs. More bytes can follow: the last event of a stream is not
    /// the end of its body. If the rest does not come soon, the function stops reading, and the connection is closed.
    /// The function returns no error.
    fn drain(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A way to send requests.
pub trait Transport: Send + Sync + 'static {
    /// The response, after its head has arrived.
    type Exchange: Exchange;

    /// Sends a request and waits for the head of its response.
    ///
    /// # Errors
    /// Any [`WireError`] except `TooLarge`.
    fn send(&self, request: WireRequest) -> impl Future<Output = Result<Self::Exchange, WireError>> + Send;

    /// Returns the root of the API's paths, in its usual form and without a slash at the end; empty if there is none.
    fn base_url(&self) -> &str {
        ""
    }

    /// Returns the secrets that were sent so far. If a server sends them back, they must not be shown.
    fn secrets(&self) -> Arc<Secrets> {
        Secrets::none().clone()
    }
}
