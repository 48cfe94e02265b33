//! Providers: how a job becomes a request and a response becomes a reply.
//!
//! Pure: bytes in, values out. Owns the wire form of each API and what its replies mean; knows nothing of sockets, limits
//! or files. One folder per provider: only there do its names of headers and its types and codes of errors appear.

pub mod anthropic;
mod wire;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::domain::{Failure, Message, PoolId, RateSignals, Request, Verdict};

pub use wire::{Body, ReplyHead, Splice, WireRequest};

/// What a head says apart from its status.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeadNews {
    /// About limits.
    pub signals: RateSignals,
    /// The provider's id of the request, for questions to its support.
    pub request_id: Option<String>,
}

/// A whole response, read by its form.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A whole answer.
    Message(Message),
    /// An error the API (or something before it) reports: by status, or as an event inside a stream.
    Error {
        /// What it says. `status` is that of the head: 200 for an error inside a stream.
        failure: Failure,
        /// Whether it came inside a 200 stream.
        is_in_stream: bool,
        /// How long to wait, where the body itself says so (a gateway's `retry_after`).
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

    /// Returns about how many bytes of memory the body takes, and will take at its end.
    ///
    /// For a stream this is a small part of what was received.
    fn held_bytes(&self) -> usize;

    /// Ends the body and returns the reply to it under its head. A body that was cut is a [`Reply::Broken`].
    ///
    /// `asked` is the request. An answer may call only the tools that the request offers. The request is parsed only
    /// when the answer calls a tool.
    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply;
}

/// An API that answers messages.
pub trait Provider: Send + Sync + 'static {
    /// Returns the request as it goes out over `route`; `stream` asks for events.
    fn encode(&self, request: &Request, route: &Arc<PoolId>, stream: bool) -> WireRequest;

    /// Returns what a head says. `now` tells wall-clock time, for dates in headers.
    fn read_head(&self, head: &ReplyHead, now: &dyn Fn() -> jiff::Timestamp) -> HeadNews;

    /// Returns the decoder for a response with this head. The request does not matter: a server may answer a stream request
    /// with plain JSON.
    fn decoder(&self, head: &ReplyHead) -> Box<dyn Decoder>;

    /// Returns what a reply means for its row, its pool and the run. `signals` are the rate signals of its head.
    ///
    /// Total: every reply has one verdict.
    fn judge(&self, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict;
}
