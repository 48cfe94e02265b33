//! The known facts about a failed attempt.

use bytes::Bytes;

use super::{Usage, WireErrorKind};

/// The ways in which a stream can fail after the headers of a 200 response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The stream does not look like a stream of the API: events are missing, out of order or unreadable. The server is
    /// probably not the Claude API, so its next streams will fail as well.
    Foreign,
    /// The stream ended without an error, but before its last event.
    Cut,
}

/// The known facts about the cause of a failed attempt or a failed job.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failure {
    /// The HTTP status; `None` if no response came.
    pub status: Option<u16>,
    /// The fault of the connection; `None` unless the connection caused the failure.
    pub wire: Option<WireErrorKind>,
    /// `error.type` as the API sent it.
    pub kind: Option<String>,
    /// `error.details.error_code`.
    pub code: Option<String>,
    /// A message of at most 4 KiB, for people.
    pub message: String,
    /// The header `request-id`. The API's support team asks for this id.
    pub request_id: Option<String>,
    /// The usage that the failed response reported. For example, a stream can report usage and then end too early. The
    /// value is zero if the response reported no usage.
    pub usage: Usage,
    /// The fault of the stream; `None` unless the stream caused the failure.
    pub stream: Option<StreamFault>,
    /// The answer that the run did not accept; `None` if no answer came. The answer is the API's message, as in
    /// [`super::Message::json`].
    pub answer: Option<Bytes>,
}

/// The kinds of limits that can cause a 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A limit per minute is used up, because a bucket of the server is empty. The run holds the pool: it sends nothing
    /// through the pool for some time.
    Rate,
    /// The rate of requests rose too fast. The run holds the pool: it sends nothing through the pool for some time, and
    /// then raises the rate slowly.
    Acceleration,
    /// Too many requests were in flight at once. The run now keeps fewer requests in flight.
    Concurrency,
}
