//! What came of a job: verdicts on attempts, the outcome, and why a run stops.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Dimension, Job, Lane, Money, Purpose, Usage, WireErrorKind, WriteFault};
use crate::clock::Instant;

/// Classes of failure, as written in the error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The row itself can't be sent: it is no JSON, has no prompt, repeats a label.
    InvalidInput,
    /// A rate limit outlasted `--retry-for`.
    RateLimit,
    /// The service was overloaded for longer than `--retry-for`.
    Overloaded,
    /// The server failed.
    Server,
    /// No answer in time.
    Timeout,
    /// The connection failed.
    Network,
    /// The API refused the request.
    InvalidRequest,
    /// The request is too large.
    TooLarge,
    /// The key may not do this.
    Auth,
    /// Money.
    Billing,
    /// The model refused.
    Refused,
    /// The answer ended at `max_tokens` or at the window's end.
    Truncated,
    /// A 200 whose body is no whole answer.
    InvalidOutput,
    /// The run ended first.
    Canceled,
    /// A batch expired first.
    Expired,
}

impl ErrorClass {
    /// Every class.
    pub const ALL: [Self; 15] = [
        Self::InvalidInput,
        Self::RateLimit,
        Self::Overloaded,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::Auth,
        Self::Billing,
        Self::Refused,
        Self::Truncated,
        Self::InvalidOutput,
        Self::Canceled,
        Self::Expired,
    ];

    /// Returns the name in files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::Refused => "refused",
            Self::Truncated => "truncated",
            Self::InvalidOutput => "invalid_output",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    /// Reads a name back.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == text)
    }

    /// Returns whether a row that failed so may succeed in another run as it is, where only its class is known.
    pub fn may_pass(self) -> bool {
        match self {
            Self::RateLimit
            | Self::Overloaded
            | Self::Server
            | Self::Timeout
            | Self::Network
            | Self::Billing
            | Self::InvalidOutput
            | Self::Canceled
            | Self::Expired => true,
            Self::InvalidInput
            | Self::InvalidRequest
            | Self::TooLarge
            | Self::Auth
            | Self::Refused
            | Self::Truncated => false,
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How good an answer is. All are kept; they are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Quality {
    /// Ended by itself.
    Ok,
    /// Ended at `max_tokens` or at the model's window.
    Truncated,
    /// The model refused.
    Refused,
    /// Ended for a reason that this program does not know.
    Unknown,
}

impl Quality {
    /// Every quality.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Truncated, Self::Refused, Self::Unknown];

    /// Returns the name in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Truncated => "truncated",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }
}

/// An answer: the API's own bytes and what was read from them.
#[derive(Clone, Debug)]
pub struct Message {
    /// One JSON object on one line, as the API sent it (or as its stream folds together).
    pub json: Bytes,
    /// What it used.
    pub usage: Usage,
    /// How good it is.
    pub quality: Quality,
    /// Where its content stands in [`Message::json`]: what the model said, which is kept to the byte.
    pub content: Range<usize>,
}

impl Message {
    /// Returns why it ended, as the API says it. Parses the message: meant for the few of which that is told.
    pub fn stop_reason(&self) -> Option<String> {
        #[derive(serde::Deserialize)]
        struct Ended {
            stop_reason: Option<String>,
        }
        serde_json::from_slice::<Ended>(&self.json).ok()?.stop_reason
    }
}

/// How a 200 stream of events was no whole stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// It has another form than the API's streams: events are missing, out of order or unreadable. What sends it always
    /// sends such streams.
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
    /// What it used as far as the response told (a stream that broke off after its first event); else nothing.
    pub usage: Usage,
    /// What was wrong with the stream it came as, if that was the trouble.
    pub stream: Option<StreamFault>,
}

/// Kinds of 429.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitKind {
    /// A bucket is empty: hold the pool.
    Rate,
    /// The rate rose too fast: hold, then ramp.
    Acceleration,
    /// Too many requests at once: shrink the window.
    Concurrency,
}

/// Why a whole run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// The key is wrong or may not do anything (401, or 403 before any success).
    Key(Failure),
    /// Several rows in a row were forbidden (403).
    Forbidden(Failure),
    /// Billing, credit, spend cap or an organization on hold.
    Account(Failure),
    /// No model of the run is to be had (404 on each).
    Models(Failure),
    /// The server asks to wait longer than the user allows.
    RetryAfter {
        /// How long.
        wait: Duration,
        /// The longest the user allows: `--retry-for`.
        allowed: Duration,
    },
    /// Certificates or TLS do not hold.
    Tls(Failure),
    /// The proxy on the way refuses to pass requests on (407).
    Proxy(Failure),
    /// The server says that the API is elsewhere (3xx).
    Redirect {
        /// Where, without user name, password, query and fragment; `None` when it does not say.
        to: Option<String>,
        /// What came.
        failure: Failure,
    },
    /// The endpoint can't be reached or answers nothing but faults.
    Endpoint(Failure),
    /// As many rows failed as the user's rule allows: the first ten alike, a number, or a share.
    AllFail {
        /// How many.
        rows: u64,
        /// Of how many finished ones.
        finished: u64,
        /// The class of the last.
        class: ErrorClass,
        /// The last of them.
        failure: Failure,
    },
    /// Results could not be written.
    Disk(WriteFault),
    /// Interrupted: INT, TERM or HUP, by its number.
    Signal(i32),
    /// A limit the user set: requests, tokens, time or cost.
    Budget(String),
}

impl HaltReason {
    /// Returns whether it is about the place that was asked, so that others may go on.
    pub fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Key(_)
            | Self::Forbidden(_)
            | Self::Account(_)
            | Self::Models(_)
            | Self::RetryAfter { .. }
            | Self::Tls(_)
            | Self::Proxy(_)
            | Self::Redirect { .. }
            | Self::Endpoint(_) => true,
            Self::AllFail { .. } | Self::Disk(_) | Self::Signal(_) | Self::Budget(_) => false,
        }
    }
}

/// What one attempt meant.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// An answer.
    Answered(Message),
    /// A limit: uses up no attempt.
    Limited {
        /// Which kind.
        kind: LimitKind,
        /// How long to hold; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// What came.
        failure: Failure,
    },
    /// 529, or its like inside a stream: uses up no attempt.
    Overloaded {
        /// How long to wait; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// Whether it may have been billed (it came after a 200 head).
        maybe_paid: bool,
        /// What came.
        failure: Failure,
    },
    /// Worth another try: uses up an attempt.
    Transient {
        /// Class of the row if no try is left.
        class: ErrorClass,
        /// How long to wait; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// Whether the request may have run and been billed.
        maybe_paid: bool,
        /// What came.
        failure: Failure,
    },
    /// This row can never work as it is.
    Rejected {
        /// Its class.
        class: ErrorClass,
        /// What came.
        failure: Failure,
    },
    /// Not allowed (403): the row's fault after a success, the key's before one.
    Forbidden(Failure),
    /// The model is unknown or retired (404): park it.
    NoModel(Failure),
    /// Nothing can work any more.
    Halt(HaltReason),
    /// The attempt was cut off by us, on a second interrupt: its row stays pending.
    Aborted,
}

impl Verdict {
    /// Returns whether the attempt may have been billed without an answer that is kept.
    ///
    /// A rejection may have been when it came after a 200 head, or as an answer too large to keep.
    pub fn is_maybe_paid(&self) -> bool {
        match self {
            Self::Overloaded { maybe_paid, .. } | Self::Transient { maybe_paid, .. } => *maybe_paid,
            Self::Rejected { class, failure } => *class == ErrorClass::InvalidOutput || failure.status == Some(200),
            Self::Aborted => true,
            Self::Answered(_) | Self::Limited { .. } | Self::Forbidden(_) | Self::NoModel(_) | Self::Halt(_) => false,
        }
    }

    /// Returns what the attempt used, as far as its response told.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Answered(message) => message.usage,
            Self::Limited { failure, .. }
            | Self::Overloaded { failure, .. }
            | Self::Transient { failure, .. }
            | Self::Rejected { failure, .. }
            | Self::Forbidden(failure)
            | Self::NoModel(failure) => failure.usage,
            Self::Halt(_) | Self::Aborted => Usage::default(),
        }
    }
}

/// One try of a job, as its outcome keeps it.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// When it was sent.
    pub started_at: Instant,
    /// When it ended.
    pub ended_at: Instant,
    /// Why it failed, in one class; `None` for the answer.
    pub failed: Option<ErrorClass>,
    /// Whether it may have been billed without an answer that is kept.
    pub maybe_paid: bool,
    /// What it used, as far as known.
    pub usage: Usage,
    /// What that cost; `None` for a model without a price.
    pub cost: Option<Money>,
    /// `request-id`.
    pub request_id: Option<String>,
    /// Why it was sent.
    pub purpose: Purpose,
    /// How it travelled.
    pub lane: Lane,
    /// Who was asked.
    pub provider: Arc<str>,
    /// Which model.
    pub model: Arc<str>,
}

/// How a job ended.
#[derive(Clone, Debug)]
pub enum Ended {
    /// With an answer.
    Succeeded(Message),
    /// Without one.
    Failed {
        /// The class.
        class: ErrorClass,
        /// The last failure.
        failure: Failure,
        /// Whether another run may succeed as it is.
        is_retryable: bool,
    },
}

/// A finished job, with all that was tried.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The job.
    pub job: Box<Job>,
    /// Its tries, oldest first. Empty for a row that was never sent.
    pub attempts: Vec<AttemptRecord>,
    /// How it ended.
    pub ended: Ended,
}

impl Outcome {
    /// Returns how many attempts may have been billed without a kept answer.
    pub fn maybe_paid(&self) -> u32 {
        self.attempts.iter().map(|attempt| u32::from(attempt.maybe_paid)).sum()
    }

    /// Returns what all attempts used together, as far as known.
    pub fn usage(&self) -> Usage {
        let mut sum = Usage::default();
        self.attempts.iter().for_each(|attempt| sum += attempt.usage);
        sum
    }

    /// Returns what that cost, each attempt at the price of its own prompt; `None` for a model without a price.
    pub fn cost(&self) -> Option<Money> {
        self.attempts.iter().try_fold(Money::ZERO, |sum, attempt| Some(sum + attempt.cost?))
    }
}

/// Why nothing more is being sent at this moment: the binding reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A limit of the pool.
    Limit(Dimension),
    /// The concurrency window is full.
    Window,
    /// A pool is held after a 429.
    Hold,
    /// The rate is being raised step by step.
    Ramp,
    /// A failing endpoint is being probed.
    Probe,
    /// All that is left waits for another row to begin to be answered.
    Gate,
    /// All that is left waits for its next try.
    Backoff,
    /// The budget has no room until something in flight settles.
    Budget,
    /// The input has no next row ready.
    Input,
    /// The rows in flight take all the memory that there is for rows.
    Memory,
    /// Results wait for the disk.
    Disk,
    /// Nothing is left to start; what is in flight finishes.
    Draining,
}

impl Reason {
    /// Returns the name shown to people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit(Dimension::Requests) => "requests per minute",
            Self::Limit(Dimension::InputTokens) => "input tokens per minute",
            Self::Limit(Dimension::OutputTokens) => "output tokens per minute",
            Self::Window => "concurrency",
            Self::Hold => "holds after 429",
            Self::Ramp => "ramp-up",
            Self::Probe => "failing endpoint",
            Self::Gate => "rows that lead others",
            Self::Backoff => "retry backoff",
            Self::Budget => "budget",
            Self::Input => "input",
            Self::Memory => "memory for rows",
            Self::Disk => "disk",
            Self::Draining => "last answers",
        }
    }
}
