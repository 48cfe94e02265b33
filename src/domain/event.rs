//! The events of a run, for reporters. Every report is made only from these events.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Dimension, ErrorClass, Failure, FallbackCase, HaltReason, LimitKind, LimitUse, Money, PoolId, Purpose, Quality,
    RateLimits, Reason, RunForecast, TakenFrom, Usage, shortened,
};

/// Version of the format of events.
pub(crate) const EVENT_VERSION: u32 = 1;

/// One event, with its time.
#[derive(Clone, Debug)]
pub struct RunEvent {
    /// When it happened, by the wall clock.
    pub at: jiff::Timestamp,
    /// The id of the run.
    pub run: Arc<str>,
    /// What happened.
    pub body: EventBody,
}

/// State of one pool, as the progress line shows it.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// The pool.
    pub pool: PoolId,
    /// The limits that apply at this moment.
    pub limits: RateLimits,
    /// How full each bucket is: its level divided by the limit per minute, from 0 to 1. `None` if there is no limit.
    /// The buckets are in the order of [`Dimension::ALL`].
    pub level: [Option<f64>; 3],
    /// After a 429, the pool is held: nothing is sent through it for some time. This is the time that is left; `None`
    /// when the pool is not held.
    pub held_for: Option<Duration>,
    /// The number of rows that wait to be admitted by the pool.
    pub ready: usize,
    /// What has counted against each limit since the start of the run: see [`LimitUse::counted`].
    pub counted: [u64; 3],
    /// What each limit has allowed since the start of the run: see [`LimitUse::allowed`].
    pub allowed: [Option<u64>; 3],
}

/// A row whose attempt ended without an answer and will be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetriedRow {
    /// The label of the row, shortened.
    pub label: String,
    /// The pool of the row.
    pub pool: Arc<PoolId>,
    /// The HTTP status of the attempt; `None` if there was no HTTP response.
    pub status: Option<u16>,
    /// The time until the row can be sent again.
    pub wait: Duration,
    /// The number of the next try: 2 after the first attempt.
    pub next_try: u32,
}

/// The use of one limit of a pool has risen above a threshold, or has fallen clearly below it again.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The pool.
    pub pool: PoolId,
    /// The limit.
    pub dimension: Dimension,
    /// The threshold, in percent of the limit.
    pub threshold: u8,
    /// The mean use of the last five minutes, divided by what the limit allowed in this time.
    pub share: f64,
    /// Whether the use has risen above the threshold.
    pub is_above: bool,
}

/// Who changed the settings of a run while it was in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteeredBy {
    /// The command `ctl`.
    Ctl,
    /// The signal USR2: the configuration files were read again.
    Signal,
    /// `--schedule`.
    Schedule,
}

impl SteeredBy {
    /// Returns the name shown to people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ctl => "ctl",
            Self::Signal => "signal",
            Self::Schedule => "schedule",
        }
    }
}

/// A row that failed and is not tried again. It is shown to people as an example.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// The label of the row. If the row has no label, this is the file and the line from which the row was read.
    pub label: String,
    /// The last HTTP status; `None` if there was no HTTP response.
    pub status: Option<u16>,
    /// The last message about the failure. The message and the label are shortened, because many such rows can be in
    /// memory at once, until their lines are on disk.
    pub message: String,
    /// Whether the unchanged row can succeed in another run.
    pub is_retryable: bool,
    /// How many output tokens the answer to its last request could have at most; 0 if the row was not sent.
    pub max_tokens: u32,
    /// The pool of its last request; `None` if the row was not sent by this run.
    pub pool: Option<Arc<PoolId>>,
}

impl FailedRow {
    /// Returns a row that was not sent, with its label and message shortened.
    pub fn new(label: &str, status: Option<u16>, message: &str, is_retryable: bool) -> Self {
        let (label, message) = (shortened(label).into_owned(), shortened(message).into_owned());
        Self { label, status, message, is_retryable, max_tokens: 0, pool: None }
    }
}

/// Rows that wait for their next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoffs {
    /// The number of these rows.
    pub rows: usize,
    /// The time from this moment until the first of these rows can be sent.
    pub first_in: Duration,
    /// The time from this moment until all of these rows can be sent.
    pub last_in: Duration,
}

/// An endpoint at which all requests fail at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The provider of the endpoint.
    pub provider: Arc<str>,
    /// The latest failure.
    pub fault: Failure,
    /// How long all requests have failed.
    pub lasted: Duration,
    /// The time from this moment until the next request is sent to the endpoint; `None` while a request is in flight.
    pub next_try: Option<Duration>,
}

/// The batches of a run that are open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchesStatus {
    /// How many batches are being processed.
    pub open: usize,
    /// How many rows they have.
    pub rows: u64,
    /// The age of the oldest batch.
    pub oldest: Duration,
    /// The time until the first of them expires; `None` if that is not known yet.
    pub expires_in: Option<Duration>,
    /// Whether one of them is being cancelled.
    pub is_canceling: bool,
    /// Whether the reply to a submission was lost, so that the run looks for the batch in the list.
    pub is_unclear: bool,
    /// How many batches have ended and are being collected.
    pub collecting: usize,
    /// The time until the run looks at them again.
    pub next_look: Option<Duration>,
    /// Whether rows wait for the first answer to a request like theirs. This request is sent online.
    pub is_trying: bool,
}

/// The state of the batches at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchesEnd {
    /// How many batches are open or not collected.
    pub left: u64,
    /// How many rows of these batches have no line yet.
    pub left_rows: u64,
    /// How many rows were sent online because batches do not accept them, by the parameter that batches refuse.
    pub refused: Vec<(String, u64)>,
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
    /// The providers of the run, in the order in which they are tried. Only a run with several providers has this event.
    Providers(Arc<[Arc<str>]>),
    /// What the run is expected to cost, and how long it is expected to take.
    Forecast(RunForecast),
    /// The number of rows that the run sends to each model.
    Models(Arc<[(Arc<str>, u64)]>),
    /// A row of the input was skipped, because an earlier run has finished it.
    Skipped,
    /// An attempt was sent.
    Sent {
        /// The label of the row.
        row: Box<str>,
        /// The pool.
        pool: Arc<PoolId>,
    },
    /// An attempt ended without an answer and will be tried again.
    Retried {
        /// The row and its next try. It is in a `Box`, so that events stay small: see [`EventBody::Ended`].
        row: Box<RetriedRow>,
        /// The class of the failure.
        class: ErrorClass,
        /// The kind of limit, if a limit was the reason.
        limit: Option<LimitKind>,
        /// Whether the attempt may have been billed.
        maybe_paid: bool,
    },
    /// A row is done and its line is on disk.
    Succeeded {
        /// The label of the row.
        row: Box<str>,
        /// The pool of the last request; `None` if the last request was sent by an earlier run.
        pool: Option<Arc<PoolId>>,
        /// The model that answered.
        model: Arc<str>,
        /// How good the answer is.
        quality: Quality,
        /// What all its attempts used since the last [`EventBody::Mending`].
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
        /// What the row would have cost without a prompt cache; `None` if it wrote and read no cached tokens, or if the
        /// model has no price.
        without_cache: Option<Money>,
        /// The time from the first send to the answer; `None` if the answer came in a batch.
        latency: Option<Duration>,
        /// The time from the last send to the head of its response; `None` if the answer came in a batch or from an earlier
        /// run.
        first_byte: Option<Duration>,
        /// The purpose of the last request, if the first answer was not accepted; `None` for all other rows.
        mended: Option<Purpose>,
    },
    /// The answer to a row was not accepted. The answer is on disk, and another request is sent for the row.
    Mending {
        /// The label of the row.
        row: Box<str>,
        /// The pool of the last request; `None` if it was sent by an earlier run.
        pool: Option<Arc<PoolId>>,
        /// The purpose of that request.
        purpose: Purpose,
        /// What the row has used since its last event.
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
    },
    /// A row took its answer from another line, and nothing was sent for the row. Its own line is on disk.
    Taken {
        /// The label of the row.
        row: Box<str>,
        /// Where the answer was found.
        from: TakenFrom,
        /// How good the answer is.
        quality: Quality,
        /// What the answer cost when it was paid for; zero if that is not known.
        saved: Money,
    },
    /// A row failed and is not tried again. Its line is on disk.
    Failed {
        /// The class of the failure.
        class: ErrorClass,
        /// The row, and the last message about it. Both are in a `Box`, so that events stay small: see
        /// [`EventBody::Ended`].
        row: Box<FailedRow>,
        /// What its attempts used.
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
    },
    /// The state of the scheduler. It is sent a few times per second.
    Status {
        /// Requests in flight.
        in_flight: usize,
        /// The concurrency window.
        window: usize,
        /// Why nothing more is sent at this moment.
        reason: Reason,
        /// Rows that wait for their next try.
        backoffs: Backoffs,
        /// The state of each pool that has work.
        pools: Vec<PoolStatus>,
    },
    /// The state of the batches. It is sent at the same interval as `Status`. `None` is sent once, when no batch is open
    /// any more.
    Batches(Option<BatchesStatus>),
    /// The state of an outage. While the outage lasts, this event is sent at the same interval as `Status`. `None` is
    /// sent once, when the outage is over.
    Outage(Option<Box<Outage>>),
    /// A pool was held: after a 429, nothing is sent through the pool for some time.
    Held {
        /// The pool.
        pool: PoolId,
        /// How long the pool is held.
        wait: Duration,
        /// The kind of limit.
        kind: LimitKind,
        /// The bucket that was empty; `None` if the response does not say which.
        dimension: Option<Dimension>,
    },
    /// A response reported a limit that differs from the current limit. So the current limit was changed.
    LimitsChanged {
        /// The pool.
        pool: PoolId,
        /// The limits that apply from this event on.
        limits: RateLimits,
    },
    /// A model was not found: its rows wait for a later run.
    Parked {
        /// The name of the model.
        model: String,
        /// The message of the API.
        message: String,
    },
    /// Rows of a provider begin to be sent to the next provider of the chain. There is one event for each episode, not
    /// one for each row.
    Diverted {
        /// The provider that the rows leave.
        from: Arc<str>,
        /// The provider to which they are sent.
        to: Arc<str>,
        /// Why they are sent there.
        why: FallbackCase,
    },
    /// One of several providers has stopped. The run continues with the other providers.
    ProviderStopped {
        /// The provider.
        provider: Arc<str>,
        /// Why nothing more is sent to it.
        reason: Box<HaltReason>,
    },
    /// A provider works again, and gets its own rows again.
    Returned {
        /// The provider.
        to: Arc<str>,
    },
    /// The use of a limit has crossed a threshold.
    Crossed(Box<Crossing>),
    /// The settings of the run were changed, or the run was paused or continued.
    Steered {
        /// Who changed them.
        by: SteeredBy,
        /// What was changed, as a sentence for people.
        message: String,
        /// `--max-cost` from this event on.
        max_cost: Option<Money>,
    },
    /// The input could not be read to its end. The run finishes the rows that were read before.
    InputBroke,
    /// A message for the user, which is shown once.
    Warned(String),
    /// A message that answers a signal of the user, or says which format a stream of rows has.
    Noted(String),
    /// From now on, no requests are sent. The run only waits for the requests in flight.
    Draining {
        /// How many requests are in flight.
        in_flight: usize,
        /// Why the run drains; `None` when the input has ended normally.
        reason: Option<Box<HaltReason>>,
    },
    /// The run is over.
    Ended {
        /// Rows that were read and have no result yet.
        pending: u64,
        /// Why the run was stopped; `None` if it ended with the last row. The reason is in a `Box`, so that events stay
        /// small. Thousands of events may wait for the disk, and each of them needs as much memory as the largest
        /// variant.
        reason: Option<Box<HaltReason>>,
        /// Why the run had to wait: each reason, with the share of the run's time that it took. The largest share comes
        /// first.
        reasons: Vec<(Reason, f64)>,
        /// How much of its limits each pool has used over the run.
        uses: Vec<LimitUse>,
        /// How long the run took.
        elapsed: Duration,
        /// The highest number of requests in flight.
        max_in_flight: usize,
        /// The state of the batches at the end of the run; `None` in a run without batches.
        batches: Option<Box<BatchesEnd>>,
    },
}
