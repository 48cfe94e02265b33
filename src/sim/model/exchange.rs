//! A request when it arrives, and what will happen to it.

use http::{HeaderMap, Method};

use crate::clock::Instant;
use crate::provider::ReplyHead;

use super::delivery::Step;

/// A request when it arrives.
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

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the HTTP server receives bodies"))]
pub(crate) enum Unread {
    /// It is longer than the API accepts.
    TooLarge,
    /// It broke off, or its encoding can't be read.
    Broken,
    /// It did not come in time.
    Slow,
    /// There is no memory left for the body.
    NoRoom,
}

/// Identifies a call from its arrival to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// What will happen to a request.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The ticket for `Model::head` and `Model::finish`.
    pub ticket: Ticket,
    /// When the head is sent; [`Instant::NEVER`] if no head is ever sent.
    pub head_at: Instant,
    /// The head of an error response. `None` for a call: the head of a call reports the current limits, so this head is
    /// made only when it is sent.
    pub head: Option<ReplyHead>,
    /// The body, which follows the head. If it begins with a [`Step::Reset`], no head is sent either.
    pub body: Vec<Step>,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything in [`Arrival`] was sent.
    Played,
    /// The client left before everything was sent.
    Left,
}
