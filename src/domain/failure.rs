//! What is known about a failed attempt.

use bytes::Bytes;

use super::{Usage, WireErrorKind};

/// What was wrong with a stream that came after a 200 head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The stream does not look like a stream of the API: events are missing, out of order or unreadable. The same
    /// server will send such streams again.
    Foreign,
    /// The stream ended without an error, but before its last event.
    Cut,
}

/// A failed attempt, or a failed job: what is known about the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong on the wire, if the wire failed.
    pub wire: Option<WireErrorKind>,
    /// `error.type` as the API sent it.
    pub kind: Option<String>,
    /// `error.details.error_code`.
    pub code: Option<String>,
    /// A message for people, at most 4 KiB.
    pub message: String,
    /// `request-id`, which support asks for.
    pub request_id: Option<String>,
    /// The usage of the attempt that the response reported; zero if it reported no usage. For example, a stream can
    /// report usage and then break off.
    pub usage: Usage,
    /// What was wrong with the stream, if the stream caused the failure.
    pub stream: Option<StreamFault>,
    /// The answer, if one came and was not accepted: the API's message, as in [`super::Message::json`].
    pub answer: Option<Bytes>,
}

/// Kinds of 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A bucket of the server is empty. The pool is held, which means that nothing is sent through it for some time.
    Rate,
    /// The rate rose too fast. The pool is held, and its rate rises slowly afterwards.
    Acceleration,
    /// Too many requests were open at the same time. The window shrinks.
    Concurrency,
}
