//! A request as it arrives, and what will happen to it.

use http::{HeaderMap, Method};

use crate::clock::Instant;
use crate::provider::ReplyHead;

use super::delivery::Step;

/// The most bytes of a body. Source: API documentation, "API overview" (2026-08).
pub(crate) const MAX_BODY_BYTES: usize = 32 << 20;

/// A request as it arrives.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path, without the query.
    pub path: &'a str,
    /// The query, without its question mark.
    pub query: Option<&'a str>,
    /// The headers.
    pub headers: &'a HeaderMap,
    /// The body.
    pub body: &'a [u8],
}

/// Why a body never came whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the HTTP server receives bodies"))]
pub(crate) enum Unread {
    /// It is longer than [`MAX_BODY_BYTES`].
    TooLarge,
    /// It broke off, or was sent in a way that can't be read.
    Broken,
    /// It did not come in time.
    Slow,
    /// There is no room for it beside those of others.
    NoRoom,
}

/// The name of a call between its arrival and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What will come of a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// For `Model::head` and `Model::finish`.
    pub ticket: Ticket,
    /// When the head is sent; [`Instant::NEVER`] when nothing ever comes.
    pub head_at: Instant,
    /// The head of an error answer; that of a call is made when it is sent, since its limits stand in it.
    pub head: Option<ReplyHead>,
    /// The body, after the head. A [`Step::Reset`] at the very start means that there is no head either.
    pub body: Vec<Step>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All that [`Arrival`] says was played.
    Played,
    /// The client left before.
    Left,
}
