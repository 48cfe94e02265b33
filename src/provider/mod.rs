//! Providers: a provider writes the HTTP request for a row, and reads the response.
//!
//! This module is pure: it turns bytes into values and values into bytes. The module knows the form of the requests and
//! responses of each API, and decides what replies mean. The module uses no sockets, limits or files. There is one
//! folder for each provider. The header names, error types and error codes of a provider appear only in its folder.

pub mod anthropic;
mod batches;
mod clock_skew;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Failure, Marked, Message, PoolId, RateSignals, Request, Usage, Verdict};

pub use batches::{Batch, BatchApi, BatchCall, BatchCounts, BatchEnd, BatchLine, BatchPage, BatchStatus};
pub(crate) use clock_skew::explain_refusal;
pub(crate) use wire::read_piece;
pub use wire::{Body, BodySource, HeadNews, ReplyHead, Splice, Transfer, WireRequest};

/// A reply: the content of a whole response.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Message(Message),
    /// An error from the API, or from a gateway in front of the API. The status of the response, or an event inside a
    /// stream, shows that the reply is an error.
    Error {
        /// The error. The field `status` of the error is the status of the response, which is 200 for an error inside a
        /// stream.
        failure: Failure,
        /// Whether the error came inside a stream with status 200.
        is_in_stream: bool,
        /// The time to wait before another attempt, if the body names one (a gateway's `retry_after`).
        retry_after: Option<Duration>,
    },
    /// A response with status 200 that is not a whole answer. A broken response is empty, not JSON, cut off, a stream
    /// without its end, or JSON without the parts of an answer.
    Broken {
        /// The failure, with a message that says what is wrong with the response.
        failure: Failure,
    },
    /// The response is complete, but its answer is not finished, because the model has paused. Sending the same request
    /// again would not help, because the model would pause again.
    Unfinished {
        /// The unfinished answer.
        message: Message,
        /// The failure, with a message that says what the user can do.
        failure: Failure,
    },
}

/// Makes a reply from the pieces of a body. Each response has its own decoder.
pub trait Decoder: Send {
    /// Reads the next piece of the body. A piece can have any length.
    ///
    /// Returns `true` when the reply is complete and nothing more needs to be read.
    fn push(&mut self, chunk: &[u8]) -> bool;

    /// Does the same as [`Decoder::push`]. If possible, the piece is not copied.
    fn push_bytes(&mut self, chunk: Bytes) -> bool {
        self.push(&chunk)
    }

    /// Returns the usage that the response has reported before its end; `None` if it has not reported a usage. If a
    /// response has reported a usage, the response has begun. As soon as a response has begun, other requests can read
    /// the prefixes that its request wrote to the prompt cache.
    fn first_usage(&self) -> Option<Usage> {
        None
    }

    /// Returns the approximate number of bytes of memory that the body uses. The number includes the memory that will
    /// be needed to join the received parts.
    ///
    /// A stream uses much less memory than its received bytes would need.
    fn held_bytes(&self) -> usize;

    /// Returns the reply, which is made from the head (status and headers) and the body. Callers call this function
    /// when the body has ended. A body that was cut off becomes a [`Reply::Broken`].
    ///
    /// `asked` is the request. An answer is allowed to call only the tools that the request offers. The request is
    /// parsed only when the answer calls a tool.
    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply;
}

/// A provider: an API that answers requests with messages.
pub trait Provider: Send + Sync + 'static {
    /// Returns the HTTP request that is sent to the provider and account of `route`. `marked` has the positions of the
    /// cache marks in the request. If `stream` is true, the request asks for a stream of events.
    fn encode(&self, request: &Request, marked: Option<&Marked>, route: &Arc<PoolId>, stream: bool) -> WireRequest;

    /// Returns the facts in a response head (status and headers). `now` returns wall-clock time, for dates in headers.
    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews;

    /// Returns the decoder for a response with this head. The decoder depends only on the response head, because a
    /// server can send plain JSON even if the request asks for a stream.
    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder>;

    /// Returns the verdict on a reply: what it means for its row, for its pool (the requests that share its limits),
    /// and for the run. `signals` are the rate signals in the headers of the reply.
    ///
    /// Every reply has exactly one verdict.
    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict;

    /// Returns the batch API of the provider; `None` if the provider does not support batches.
    fn batches(&self) -> Option<&dyn BatchApi> {
        None
    }
}
