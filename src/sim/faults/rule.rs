//! The types for the rules of injected faults.

use std::time::Duration;

use crate::sim::rules::Selection;

/// The injected faults: a list of rules and a seed.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// If a rule applies to only a share of the requests, this seed chooses these requests. With `None`, the
    /// simulator's seed is used.
    pub seed: Option<u64>,
    /// The rules. The first rule that matches a request is applied.
    pub rules: Vec<FaultRule>,
}

/// One rule for injected faults.
#[derive(Clone, Debug)]
pub struct FaultRule {
    /// What happens to the selected requests.
    pub fault: Fault,
    /// The requests to which the rule applies.
    pub selection: Selection,
    /// The calls to the batch endpoints to which the rule applies. If the list is empty, the rule is about messages or
    /// about the requests in a batch.
    pub calls: Vec<BatchCall>,
    /// If set, the rule applies only to batches that are younger than this time.
    pub within: Option<Duration>,
    /// Whether a call to a batch endpoint takes effect although the call fails. A call fails if the client gets an
    /// error response, or if the connection breaks before the response.
    pub takes_effect: bool,
}

impl FaultRule {
    /// Returns a rule that applies to every request.
    pub fn new(fault: Fault) -> Self {
        let selection = Selection::default();
        Self { fault, selection, calls: Vec::new(), within: None, takes_effect: false }
    }

    /// Returns whether the rule can apply to `target`.
    pub(crate) fn is_about(&self, target: Target) -> bool {
        match self.fault {
            Fault::Unlisted => target == Target::Listed,
            Fault::RequestErrored { .. } | Fault::RequestExpired | Fault::ResultMissing | Fault::ResultExtra { .. } => {
                target == Target::Batched
            }
            _ if self.calls.is_empty() => target == Target::Message,
            _ => matches!(target, Target::Call(call) if self.calls.contains(&call)),
        }
    }
}

/// What a fault rule can apply to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// A request to the messages endpoint.
    Message,
    /// A call to a batch endpoint.
    Call(BatchCall),
    /// A batch in a list of batches.
    Listed,
    /// A request inside a batch.
    Batched,
}

/// A call to a batch endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BatchCall {
    /// Creates a batch.
    Create,
    /// Lists batches.
    List,
    /// Retrieves the state of a batch.
    Retrieve,
    /// Downloads the results of a batch.
    Results,
    /// Cancels a batch.
    Cancel,
    /// Deletes a batch.
    Delete,
}

impl BatchCall {
    /// All calls.
    pub(crate) const ALL: [Self; 6] =
        [Self::Create, Self::List, Self::Retrieve, Self::Results, Self::Cancel, Self::Delete];

    /// Returns the name of the call in fault files and statistics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::List => "list",
            Self::Retrieve => "retrieve",
            Self::Results => "results",
            Self::Cancel => "cancel",
            Self::Delete => "delete",
        }
    }
}

/// A fault: what goes wrong with a request or a batch.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The client gets an error response instead of an answer.
    Status(StatusFault),
    /// The connection breaks before the first byte of the response.
    ResetBefore {
        /// Whether the call still runs and is billed, although the client gets no answer.
        is_billed: bool,
    },
    /// The connection breaks after a part of the body.
    ResetMid {
        /// The share of the body that is sent, from 0 to 1.
        at: f64,
    },
    /// The connection breaks after some bytes of the body.
    ResetAfter {
        /// How many bytes of the body are sent.
        bytes: usize,
    },
    /// The response stops after a part of the body, or before the head (status and headers). The connection stays open.
    Stall {
        /// The share of the body that is sent, from 0 to 1; `None` if not even the head is sent.
        at: Option<f64>,
    },
    /// The body is sent slowly, in small pieces.
    SlowDrip {
        /// The size of each piece in bytes.
        bytes: usize,
        /// The time between two pieces.
        every: Duration,
    },
    /// The body ends too early. The connection ends without an error, so the body looks complete.
    Truncated {
        /// The share of the body that is sent, from 0 to 1.
        at: f64,
    },
    /// The stream contains an error event.
    ErrorEvent {
        /// The share of the answer that comes before the event, from 0 to 1.
        at: f64,
        /// `error.type`.
        kind: String,
    },
    /// The first event of a stream is missing.
    NoStart,
    /// The last event of a stream is missing. In a response that is not a stream, the closing brace is missing.
    NoEnd,
    /// A request with cache breakpoints gets a 400, like the response of a gateway that does not know cache
    /// breakpoints.
    CacheRefused,
    /// Cache breakpoints have no effect: nothing is written to the cache, and nothing is read from it.
    CacheIgnored,
    /// The cache entries that the request could read are removed before the request is handled.
    CacheEvicted {
        /// Entries that were used within this time are kept.
        after: Duration,
    },
    /// A batch is missing from the list of batches.
    Unlisted,
    /// A request in a batch ends with an error.
    RequestErrored {
        /// `error.type`.
        kind: String,
        /// The text in `error.message`; `None` for the usual message of the error type.
        message: Option<String>,
    },
    /// The API never processes this request of a batch, so the batch ends only when the batch expires.
    RequestExpired,
    /// The line of a request is missing from the results of its batch.
    ResultMissing,
    /// The results of a batch contain the line of a request twice.
    ResultExtra {
        /// The `custom_id` of the second line; `None` if the second line has the `custom_id` of the request.
        custom_id: Option<String>,
    },
}

impl Fault {
    /// Returns whether this fault concerns only requests with cache breakpoints.
    pub(crate) fn is_of_cache(&self) -> bool {
        matches!(self, Self::CacheRefused | Self::CacheIgnored | Self::CacheEvicted { .. })
    }
}

/// An injected error response.
#[derive(Clone, Debug, PartialEq)]
pub struct StatusFault {
    /// The HTTP status.
    pub status: u16,
    /// The kind of body.
    pub body: FaultBody,
    /// The value of `error.type`; `None` for the usual type of the status.
    pub kind: Option<String>,
    /// The text in `error.message`; `None` for the usual message of the status.
    pub message: Option<String>,
    /// `error.details.error_code`.
    pub error_code: Option<String>,
    /// `retry-after`.
    pub retry_after: RetryAfter,
    /// `retry-after-ms`.
    pub retry_after_ms: Option<f64>,
    /// `x-should-retry`.
    pub should_retry: Option<bool>,
}

impl StatusFault {
    /// Returns the usual error response for a status.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            body: FaultBody::Json,
            kind: None,
            message: None,
            error_code: None,
            retry_after: RetryAfter::Usual,
            retry_after_ms: None,
            should_retry: None,
        }
    }
}

/// The body of an error response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultBody {
    /// The API's error object.
    Json,
    /// An HTML page like that of a gateway in front of the API.
    Html,
    /// No bytes.
    Empty,
}

/// The `retry-after` header of an error response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RetryAfter {
    /// The usual header: `1` for a 429, and no header for other statuses.
    Usual,
    /// No header.
    Absent,
    /// This text.
    Text(String),
    /// A date in the future. The value is the time until this date.
    Date(Duration),
}
