//! The events of a run, for reporters. Every report is made only from these events.

use std::time::Duration;

use super::{
    Dimension, ErrorClass, Failure, HaltReason, LimitKind, Money, PoolId, Quality, RateLimits, Reason, Usage, shortened,
};

/// Version of the events' form.
pub(crate) const EVENT_VERSION: u32 = 1;

/// One event, with its time.
#[derive(Clone, Debug)]
pub struct RunEvent {
    /// Wall-clock time.
    pub at: jiff::Timestamp,
    /// Which run.
    pub run: std::sync::Arc<str>,
    /// What happened.
    pub body: EventBody,
}

/// State of one pool, as the progress line shows it.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// Which pool.
    pub pool: PoolId,
    /// The limits in force.
    pub limits: RateLimits,
    /// How full each bucket is, as a share of a minute's limit, 0 to 1, in the order of [`Dimension::ALL`]; `None`
    /// where there is no limit.
    pub level: [Option<f64>; 3],
    /// For how long from now it is held; `None` when it is not held.
    pub held_for: Option<Duration>,
    /// Rows that wait for it to admit them.
    pub ready: usize,
}

/// A row that failed for good, as it is shown to people as an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// Its label. For a row without a label, the place where it was read.
    pub label: String,
    /// The HTTP status that came last, if one did.
    pub status: Option<u16>,
    /// The last message about it. The message and the label are shortened, because many such rows may wait for the
    /// disk.
    pub message: String,
    /// Whether the unchanged row may succeed in another run.
    pub is_retryable: bool,
}

impl FailedRow {
    /// Returns a row with its label and message shortened.
    pub fn new(label: &str, status: Option<u16>, message: &str, is_retryable: bool) -> Self {
        Self { label: shortened(label).into_owned(), status, message: shortened(message).into_owned(), is_retryable }
    }
}

/// Rows that wait for their next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoffs {
    /// How many.
    pub rows: usize,
    /// When the first of them may be sent, from this moment.
    pub first_in: Duration,
    /// When the last of them may be sent, from this moment.
    pub last_in: Duration,
}

/// An endpoint where nothing works at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// Who does not answer.
    pub provider: std::sync::Arc<str>,
    /// What came last.
    pub fault: Failure,
    /// For how long nothing has worked.
    pub lasted: Duration,
    /// How long it takes from this moment until the next request is sent there; `None` while one is in flight.
    pub next_try: Option<Duration>,
}

/// What can happen in a run.
#[derive(Clone, Debug)]
pub enum EventBody {
    /// The run began.
    Started {
        /// Rows in the input; `None` on a pipe.
        total: Option<u64>,
        /// Rows already done by earlier runs.
        already_done: u64,
    },
    /// An earlier run's finished row was met in the input and skipped.
    Skipped,
    /// An attempt was sent.
    Sent,
    /// An attempt ended without an answer and will be tried again.
    Retried {
        /// Why.
        class: ErrorClass,
        /// The kind of limit, if a limit was the reason.
        limit: Option<LimitKind>,
        /// Whether it may have been billed.
        maybe_paid: bool,
    },
    /// A row is done and its line is on disk.
    Succeeded {
        /// How good the answer is.
        quality: Quality,
        /// What all its attempts used.
        usage: Usage,
        /// What that cost; `None` when the model has no price.
        cost: Option<Money>,
        /// From the first send to the answer.
        latency: Duration,
    },
    /// A row finally failed, and its line is on disk.
    Failed {
        /// Why.
        class: ErrorClass,
        /// The row, and the last message about it. In a box for the same reason as in [`EventBody::Ended`].
        row: Box<FailedRow>,
        /// What its attempts used.
        usage: Usage,
        /// What that cost; `None` when the model has no price.
        cost: Option<Money>,
    },
    /// Where the scheduler stands; sent a few times a second.
    Status {
        /// Requests in flight.
        in_flight: usize,
        /// The concurrency window.
        window: usize,
        /// Why no more is being sent.
        reason: Reason,
        /// Rows that wait for their next try.
        backoffs: Backoffs,
        /// Each pool that has work.
        pools: Vec<PoolStatus>,
    },
    /// The state of an outage. It is sent as often as a status while the outage lasts. `None` is sent once, when the
    /// outage is over.
    Outage(Option<Box<Outage>>),
    /// A pool was held.
    Held {
        /// Which.
        pool: PoolId,
        /// For how long.
        wait: Duration,
        /// The kind of limit.
        kind: LimitKind,
        /// The bucket that was empty, where the response says.
        dimension: Option<Dimension>,
    },
    /// A limit changed by what a response said.
    LimitsChanged {
        /// Which pool.
        pool: PoolId,
        /// The limits in force from here on.
        limits: RateLimits,
    },
    /// A model was not found: its rows wait for a later run.
    Parked {
        /// Which.
        model: String,
        /// What the API said.
        message: String,
    },
    /// A message that a person should see once.
    Warned(String),
    /// The answer to something a person asked for, or what a stream of rows was recognized as.
    Noted(String),
    /// Nothing new is started; what is in flight finishes.
    Draining {
        /// How many are in flight.
        in_flight: usize,
        /// Why; `None` when the input has ended normally.
        reason: Option<Box<HaltReason>>,
    },
    /// The run is over.
    Ended {
        /// Rows that were read and are still pending.
        pending: u64,
        /// Why, if it was not the end of the input. In a box, because thousands of small events may wait for the disk,
        /// and each takes as much memory as the largest variant.
        reason: Option<Box<HaltReason>>,
        /// For each reason, the share of the run's time in which it bound the run, largest first.
        reasons: Vec<(Reason, f64)>,
        /// How long it took.
        elapsed: Duration,
        /// The highest number of requests in flight.
        max_in_flight: usize,
    },
}
