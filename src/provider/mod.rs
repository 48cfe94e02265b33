//! Providers: a provider turns a job into a request, and a response into a reply.
//!
//! This module is pure: bytes go in, and values come out. It owns the wire form of each API and decides what replies
//! mean. It knows nothing of sockets, limits or files. There is one folder for each provider. The provider's header
//! names, error types and error codes appear only in that folder.

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

/// The content of a whole response.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Message(Message),
    /// An error from the API, or from a gateway in front of the API. The status of the response, or an event inside a
    /// stream, shows that it is an error.
    Error {
        /// The error. Its `status` is the status of the head: 200 for an error inside a stream.
        failure: Failure,
        /// Whether it came inside a stream with status 200.
        is_in_stream: bool,
        /// How long to wait, if the body says so (a gateway's `retry_after`).
        retry_after: Option<Duration>,
    },
    /// A response with status 200 that is not a whole answer: it is empty, not JSON, of a wrong shape, cut off, or a
    /// stream without its end.
    Broken {
        /// What is wrong with the response.
        failure: Failure,
    },
    /// A complete response whose answer is not finished: the model has paused. The same request would end in the same
    /// way.
    Unfinished {
        /// The answer so far.
        message: Message,
        /// What the user can do about it.
        failure: Failure,
    },
}

/// Makes a reply from the pieces of a body. Each response has its own decoder.
pub trait Decoder: Send {
    /// Reads the next piece of the body, which may have any length.
    ///
    /// Returns `true` when the reply is complete and nothing more needs to be read.
    fn push(&mut self, chunk: &[u8]) -> bool;

    /// Does the same as [`Decoder::push`]. If possible, the piece is not copied.
    fn push_bytes(&mut self, chunk: Bytes) -> bool {
        self.push(&chunk)
    }

    /// Returns the usage that the reply has reported before its end; `None` if it has not reported any yet. Once the
    /// reply has reported usage, the response has begun. Then other requests can read the prefixes that this request
    /// wrote to the prompt cache.
    fn first_usage(&self) -> Option<Usage> {
        None
    }

    /// Returns about how many bytes of memory the body uses, including the memory that it will need when it is
    /// complete.
    ///
    /// For a stream this is a small part of the bytes received.
    fn held_bytes(&self) -> usize;

    /// Call this when the body has ended. Returns the reply, which is made from head and body. A body that was cut off
    /// becomes a [`Reply::Broken`].
    ///
    /// `asked` is the request. An answer may call only the tools that the request offers. The request is parsed only
    /// when the answer calls a tool.
    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply;
}

/// An API that answers requests with messages.
pub trait Provider: Send + Sync + 'static {
    /// Returns the request in the form in which it is sent over `route`. `marked` has the places of its cache marks.
    /// With `stream`, the request asks for a stream of events.
    fn encode(&self, request: &Request, marked: Option<&Marked>, route: &Arc<PoolId>, stream: bool) -> WireRequest;

    /// Returns the facts in a head. `now` returns wall-clock time, for dates in headers.
    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews;

    /// Returns the decoder for a response with this head. The choice depends on the head and not on the request,
    /// because a server may answer with plain JSON although the request asks for a stream.
    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder>;

    /// Returns what a reply means for its row, its pool and the run. `signals` are the rate signals of its head.
    ///
    /// Every reply has exactly one verdict.
    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict;

    /// Returns the provider's API for batches; `None` if it has none.
    fn batches(&self) -> Option<&dyn BatchApi> {
        None
    }
}
