//! Reads a response: its status line and headers, and then the pieces of its body.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::faults::{in_body, timed_out, too_large, went_silent};
use crate::provider::ReplyHead;
use crate::transport::wire::{Exchange, WireError};

/// How long to wait for the bytes after the last event of a stream. When these bytes have arrived, the connection can
/// be used again. Opening a new connection takes only two or three round trips, so a longer wait would save no time.
const DRAIN_TIMEOUT: Duration = Duration::from_millis(250);

/// A response whose status line and headers have arrived.
pub struct HttpExchange {
    pub(super) head: ReplyHead,
    pub(super) response: reqwest::Response,
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) received_bytes: usize,
    pub(super) max_bytes: usize,
}

impl fmt::Debug for HttpExchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpExchange").field("status", &self.head.status).finish_non_exhaustive()
    }
}

impl Exchange for HttpExchange {
    fn head(&self) -> &ReplyHead {
        &self.head
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        let mut chunk = pin!(self.response.chunk());
        // The next part of the body has usually already arrived. In this case, no clock is read and no timer is set,
        // which saves time.
        let at_once = poll_fn(|context| Poll::Ready(chunk.as_mut().poll(context))).await;
        let chunk = match at_once {
            Poll::Ready(chunk) => chunk,
            Poll::Pending => {
                let idle_deadline = after(Instant::now(), self.idle_timeout);
                match tokio::time::timeout_at(idle_deadline.min(self.deadline), chunk).await {
                    Ok(chunk) => chunk,
                    Err(_) if idle_deadline < self.deadline => return Err(went_silent(self.idle_timeout)),
                    Err(_) => return Err(timed_out(self.timeout, "the answer did not end")),
                }
            }
        };
        let chunk = chunk.map_err(|error| in_body(&error))?;
        self.received_bytes += chunk.as_ref().map_or(0, Bytes::len);
        if self.received_bytes <= self.max_bytes {
            return Ok(chunk);
        }
        // The body of an error response is cut off here, because its beginning is enough.
        if (200..300).contains(&self.head.status) { Err(too_large(self.max_bytes)) } else { Ok(None) }
    }

    async fn pause(&mut self, room: impl Future<Output = ()> + Send) -> Result<(), WireError> {
        let waited = tokio::time::timeout_at(self.deadline, room).await;
        waited.map_err(|_| timed_out(self.timeout, "there was no memory for the rest of the answer"))
    }

    async fn drain(&mut self) {
        let rest = async { while let Ok(Some(_)) = self.response.chunk().await {} };
        // The answer is already complete, so it does not matter if reading the rest of the response fails or takes too
        // long.
        let _ = tokio::time::timeout(DRAIN_TIMEOUT, rest).await;
    }
}

/// Returns the moment that is `duration` later than `now`. If the clock can't represent that moment, returns a moment
/// about a century after `now`.
pub(super) fn after(now: Instant, duration: Duration) -> Instant {
    now.checked_add(duration).unwrap_or_else(|| now + Duration::from_secs(100 * 365 * 86_400))
}
