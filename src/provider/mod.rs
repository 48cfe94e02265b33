//! Providers: how a job becomes a request and a response becomes a reply.
//!
//! Pure: bytes in, values out. Owns the wire form of each API and what its replies mean; knows nothing of sockets,
//! limits or files. There is one folder per provider. Its header names, error types and error codes appear only in this
//! folder.

pub mod anthropic;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Failure, Message, PoolId, RateSignals, Request, Verdict};

pub use wire::{Body, ReplyHead, Splice, WireRequest};

/// The facts in a response head, apart from its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadNews {
    /// About limits.
    pub signals: RateSignals,
    /// The provider's id of the request, for questions to its support.
    pub request_id: Option<String>,
}

/// What a whole response turned out to be.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Message(Message),
    /// An error that the API (or a gateway before it) reports: by status, or as an event inside a stream.
    Error {
        /// The error. Its `status` is the status of the head: 200 for an error inside a stream.
        failure: Failure,
        /// Whether it came inside a 200 stream.
        is_in_stream: bool,
        /// How long to wait, if the body says so (a gateway's `retry_after`).
        retry_after: Option<Duration>,
    },
    /// A 200 that is not a whole answer: empty, not JSON, of the wrong shape, cut off, or a stream without its end.
    Broken {
        /// What is wrong with it.
        failure: Failure,
    },
    /// A whole answer that is not finished: the model has paused. The same request would end the same way.
    Unfinished {
        /// What to do about it.
        failure: Failure,
    },
}

/// Turns body chunks into a reply. One per response.
pub trait Decoder: Send {
    /// Takes the next piece of the body, of any length.
    ///
    /// Returns `true` when the reply is complete and nothing more needs to be read.
    fn push(&mut self, chunk: &[u8]) -> bool;

    /// Takes the next piece, as [`Decoder::push`] does, without copying it if possible.
    fn push_bytes(&mut self, chunk: Bytes) -> bool {
        self.push(&chunk)
    }

    /// Returns about how many bytes of memory the body takes, including what it will need at its end.
    ///
    /// For a stream this is a small part of the bytes received.
    fn held_bytes(&self) -> usize;

    /// Ends the body and returns the reply that head and body make together. A body that was cut off is a
    /// [`Reply::Broken`].
    ///
    /// `asked` is the request. An answer may call only the tools that the request offers. The request is parsed only
    /// when the answer calls a tool.
    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply;
}

/// An API that answers messages.
pub trait Provider: Send + Sync + 'static {
    /// Returns the request as it is sent over `route`; `stream` asks for a stream of events.
    fn encode(&self, request: &Request, route: &Arc<PoolId>, stream: bool) -> WireRequest;

    /// Returns the facts in a head. `now` returns wall-clock time, for dates in headers.
    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews;

    /// Returns the decoder for a response with this head. The request does not matter: a server may answer a stream
    /// request with plain JSON.
    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder>;

    /// Returns what a reply means for its row, its pool and the run. `signals` are the rate signals of its head.
    ///
    /// Total: every reply has one verdict.
    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict;
}
