//! The traits for sending a request and receiving its response, and the error type for failures.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::{Secrets, WireErrorKind};
use crate::provider::{ReplyHead, WireRequest};

/// A failure to send a request or to read its response.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct WireError {
    /// The kind of the failure.
    pub kind: WireErrorKind,
    /// Whether the server may have received the request and billed it. `false` means that the server certainly has not
    /// received the request.
    pub maybe_sent: bool,
    /// A message for people. The message can contain text from a server or a proxy.
    pub message: String,
}

/// A response whose status line and headers have arrived.
pub trait Exchange: Send {
    /// Returns the status and the headers of the response.
    fn head(&self) -> &ReplyHead;

    /// Returns the next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// Returns any [`WireError`]. The `maybe_sent` of this error is always true.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, WireError>> + Send;

    /// Waits until `room` is ready, and reads nothing in the meantime. The wait counts against the time limit of the
    /// whole request, but not against the limit on how long the server can be silent.
    ///
    /// # Errors
    /// [`WireErrorKind::Timeout`].
    fn pause(&mut self, room: impl Future<Output = ()> + Send) -> impl Future<Output = Result<(), WireError>> + Send {
        async {
            room.await;
            Ok(())
        }
    }

    /// Reads the rest of a body, so that the connection can be used again. The caller does not need this part of the
    /// body.
    ///
    /// Call this function when a decoder has read all content that it needs. More bytes can follow, because the last
    /// event of a stream is not the end of its body. If the rest does not come soon, the function stops reading, and
    /// the connection is closed. The function does not report failures, because the rest is not needed.
    fn drain(&mut self) -> impl Future<Output = ()> + Send {
        async {}
    }
}

/// A transport: sends requests to a server and receives the responses.
pub trait Transport: Send + Sync + 'static {
    /// The type of a response whose status line and headers have arrived.
    type Exchange: Exchange;

    /// Sends a request and waits for the status line and headers of its response.
    ///
    /// # Errors
    /// Returns any [`WireError`] except `TooLarge`.
    fn send(&self, request: WireRequest) -> impl Future<Output = Result<Self::Exchange, WireError>> + Send;

    /// Returns the root URL of the API in its normalized form, without a slash at the end. The text is empty for a
    /// transport without a URL.
    fn base_url(&self) -> &str {
        ""
    }

    /// Returns the secrets that were sent so far. These secrets must not be shown, even if a server sends them back.
    fn secrets(&self) -> Arc<Secrets> {
        Secrets::none().clone()
    }
}
