//! What is known of a failed attempt.

use super::{Usage, WireErrorKind};

/// What was wrong with a stream that came after a 200 head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// It has another form than the API's streams: events are missing, out of order or unreadable. Whatever sends it will
    /// send such streams again.
    Foreign,
    /// It ended in order, but before its last event.
    Cut,
}

/// A failed attempt, or a failed job: what is known about the cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status, if one came.
    pub status: Option<u16>,
    /// What went wrong on the wire, where that is what failed.
    pub wire: Option<WireErrorKind>,
    /// `error.type` as the API says it.
    pub kind: Option<String>,
    /// `error.details.error_code`.
    pub code: Option<String>,
    /// A message for people, at most 4 KiB.
    pub message: String,
    /// `request-id`, which support asks for.
    pub request_id: Option<String>,
    /// What it used, as far as the response said (a stream that broke off after its first event); else nothing.
    pub usage: Usage,
    /// What was wrong with the stream, if that was the failure.
    pub stream: Option<StreamFault>,
}

/// Kinds of 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A bucket of the server is empty: hold the pool.
    Rate,
    /// The rate rose too fast: hold, then ramp.
    Acceleration,
    /// Too many requests at once: shrink the window.
    Concurrency,
}
