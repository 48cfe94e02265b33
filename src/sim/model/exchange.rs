//! The types for an arriving request and its planned response.

use http::{HeaderMap, Method};

use crate::clock::Instant;
use crate::provider::ReplyHead;

use super::delivery::Step;

/// A request that arrives at the simulated API.
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

/// Why the body of a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the HTTP server receives bodies"))]
pub(crate) enum Unread {
    /// The body is longer than the API accepts.
    TooLarge,
    /// The body ended too early, or its transfer encoding can't be read.
    Broken,
    /// The body did not arrive in time.
    Slow,
    /// There is no memory left for the body.
    NoRoom,
}

/// Identifies a call from its arrival to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub(super) u64);

/// The planned response to a request that has arrived.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The ticket for `Model::head` and `Model::finish`.
    pub ticket: Ticket,
    /// The time at which the response head (status and headers) is sent; [`Instant::NEVER`] if it is never sent.
    pub head_at: Instant,
    /// The response head; `None` for an admitted call. The head of a call reports the current limits, so the head is
    /// made only when it is sent.
    pub head: Option<ReplyHead>,
    /// The steps that send the response body after the response head. If the first step is a [`Step::Reset`], the head
    /// is not sent.
    pub body: Vec<Step>,
}

/// How an exchange (a request and its response) ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The whole response in [`Arrival`] was sent.
    Played,
    /// The client left before the whole response was sent.
    Left,
}
