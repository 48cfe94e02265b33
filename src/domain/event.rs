//! The events of a run. All reports of a run (progress line, log, JSON) are made only from these events.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Dimension, ErrorClass, Failure, FallbackCase, HaltReason, LimitKind, LimitUse, Money, PoolId, Purpose, Quality,
    RateLimits, Reason, RunForecast, TakenFrom, Usage, shortened,
};

/// The version of the format of events.
pub(crate) const EVENT_VERSION: u32 = 1;

/// One event, with its time.
#[derive(Clone, Debug)]
pub struct RunEvent {
    /// The time of the event, by the wall clock.
    pub at: jiff::Timestamp,
    /// The id of the run.
    pub run: Arc<str>,
    /// What happened.
    pub body: EventBody,
}

/// The state of one pool (a set of limits), for the progress line.
#[derive(Clone, Debug)]
pub struct PoolStatus {
    /// The pool.
    pub pool: PoolId,
    /// The limits that apply at this moment.
    pub limits: RateLimits,
    /// The level of each bucket, divided by the limit per minute, from 0 to 1; `None` if there is no limit. The buckets
    /// are in the order of [`Dimension::ALL`].
    pub level: [Option<f64>; 3],
    /// How long the pool will still be held; `None` if the pool is not held. After a 429 response, a pool is held:
    /// nothing is sent through the pool for some time.
    pub held_for: Option<Duration>,
    /// The number of rows that wait because of the limits of the pool.
    pub ready: usize,
    /// The amount that has counted against each limit since the start of the run: see [`LimitUse::counted`].
    pub counted: [u64; 3],
    /// The amount that each limit has allowed since the start of the run: see [`LimitUse::allowed`].
    pub allowed: [Option<u64>; 3],
}

/// A row that will be tried again, because its attempt ended without an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetriedRow {
    /// The label of the row, shortened.
    pub label: String,
    /// The pool of the row.
    pub pool: Arc<PoolId>,
    /// The HTTP status of the attempt; `None` if there was no HTTP response.
    pub status: Option<u16>,
    /// The time from now until the row can be sent again.
    pub wait: Duration,
    /// The number of the next try. After the first attempt, this number is 2.
    pub next_try: u32,
}

/// A change in how much of one limit of a pool is used. The used share has risen above a threshold, or has fallen
/// clearly below the threshold again.
#[derive(Clone, Debug, PartialEq)]
pub struct Crossing {
    /// The pool.
    pub pool: PoolId,
    /// The limit.
    pub dimension: Dimension,
    /// The threshold, in percent of the limit.
    pub threshold: u8,
    /// The amount that was used in the last five minutes, divided by the amount that the limit allowed in that time.
    pub share: f64,
    /// True if `share` has risen above the threshold, and false if `share` has fallen below the threshold.
    pub is_above: bool,
}

/// The command or the signal that changed the settings of a run in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SteeredBy {
    /// The command `ctl` changed the settings.
    Ctl,
    /// The signal USR2 changed the settings: the configuration files were read again.
    Signal,
    /// `--schedule`.
    Schedule,
}

impl SteeredBy {
    /// Returns the name of this command or signal for people and scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ctl => "ctl",
            Self::Signal => "signal",
            Self::Schedule => "schedule",
        }
    }
}

/// A row that failed and is not tried again. Reports show failed rows as examples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedRow {
    /// The label of the row. If the row has no label, this is its file and line.
    pub label: String,
    /// The HTTP status of the last attempt; `None` if there was no HTTP response.
    pub status: Option<u16>,
    /// The last message about the failure. The message and the label are shortened, because many failed rows can wait
    /// in memory until their lines are on disk.
    pub message: String,
    /// Whether the unchanged row can succeed in another run.
    pub is_retryable: bool,
    /// The highest number of output tokens that the row's last request allowed; 0 if the row was not sent.
    pub max_tokens: u32,
    /// The pool of the row's last request; `None` if this run did not send the row.
    pub pool: Option<Arc<PoolId>>,
}

impl FailedRow {
    /// Returns a failed row that was not sent. The label and the message are shortened.
    pub fn new(label: &str, status: Option<u16>, message: &str, is_retryable: bool) -> Self {
        let (label, message) = (shortened(label).into_owned(), shortened(message).into_owned());
        Self { label, status, message, is_retryable, max_tokens: 0, pool: None }
    }
}

/// Rows that wait for their next try.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backoffs {
    /// The number of rows that wait for their next try.
    pub rows: usize,
    /// The time from now until the first waiting row can be sent.
    pub first_in: Duration,
    /// The time from now until all waiting rows can be sent.
    pub last_in: Duration,
}

/// An outage: all requests to an endpoint fail at this moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outage {
    /// The provider of the endpoint.
    pub provider: Arc<str>,
    /// The latest failure.
    pub fault: Failure,
    /// The duration of the outage so far.
    pub lasted: Duration,
    /// The time from now until the next request is sent to the endpoint; `None` if a request to the endpoint is in
    /// flight.
    pub next_try: Option<Duration>,
}

/// The state of the open batches of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchesStatus {
    /// The number of batches that the API is processing.
    pub open: usize,
    /// The number of rows in these batches.
    pub rows: u64,
    /// The age of the oldest open batch.
    pub oldest: Duration,
    /// The time until the first open batch expires; `None` if the API has not reported a time.
    pub expires_in: Option<Duration>,
    /// Whether the API is canceling at least one of the batches.
    pub is_canceling: bool,
    /// Whether the reply to the submission of a batch was lost. The run then looks for the batch in the API's list of
    /// batches.
    pub is_unclear: bool,
    /// The number of ended batches whose results the run has not read.
    pub collecting: usize,
    /// The time until the run asks for the state of the batches again.
    pub next_look: Option<Duration>,
    /// Whether rows are waiting for the answer to a trial request before they are put into batches. The first request
    /// of each kind is sent online, as a trial. Similar rows are put into a batch only after the trial request was
    /// answered.
    pub is_trying: bool,
}

/// The state of the batches at the end of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BatchesEnd {
    /// The number of open batches, plus the number of ended batches whose results the run has not read.
    pub left: u64,
    /// The number of rows in these batches that have no line in the results.
    pub left_rows: u64,
    /// The parameters that batches do not accept. For each parameter, the number says how many rows were sent online
    /// because of this parameter.
    pub refused: Vec<(String, u64)>,
}

/// The kinds of events: everything that can happen in a run.
#[derive(Clone, Debug)]
pub enum EventBody {
    /// The run began.
    Started {
        /// The number of rows in the input; `None` if the input is a pipe.
        total: Option<u64>,
        /// The number of rows that earlier runs have finished.
        already_done: u64,
    },
    /// The providers of the run, in the order in which they are tried. This event is sent only in a run with several
    /// providers.
    Providers(Arc<[Arc<str>]>),
    /// The expected cost and the expected duration of the run.
    Forecast(RunForecast),
    /// For each model, the number of rows that the run sends to it.
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
    /// An attempt ended without an answer, and its row will be tried again.
    Retried {
        /// The row and its next try. The `Box` keeps events small: see [`EventBody::Ended`].
        row: Box<RetriedRow>,
        /// The class of the failure.
        class: ErrorClass,
        /// The kind of limit that the attempt met; `None` if the attempt met no limit.
        limit: Option<LimitKind>,
        /// Whether the API has possibly billed the attempt.
        maybe_paid: bool,
    },
    /// A row has an answer, and the line of the row is on disk.
    Succeeded {
        /// The label of the row.
        row: Box<str>,
        /// The pool of the last request; `None` if the last request was sent by an earlier run.
        pool: Option<Arc<PoolId>>,
        /// The model that answered.
        model: Arc<str>,
        /// The quality of the answer.
        quality: Quality,
        /// The usage of all attempts of the row since its last [`EventBody::Mending`] event.
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
        /// The cost that the row would have had without a prompt cache. The value is `None` if the row used no cached
        /// tokens, or if the model has no price.
        without_cache: Option<Money>,
        /// The time from the first send to the answer; `None` if the answer came in a batch.
        latency: Option<Duration>,
        /// The time from the last send to the headers of the response. The value is `None` if the answer came in a
        /// batch or from an earlier run.
        first_byte: Option<Duration>,
        /// The purpose of the last request, if the run did not accept the first answer; `None` for all other rows.
        mended: Option<Purpose>,
    },
    /// The run did not accept the answer to a row. The answer is on disk, and another request is sent for the row.
    Mending {
        /// The label of the row.
        row: Box<str>,
        /// The pool of the last request; `None` if an earlier run sent this request.
        pool: Option<Arc<PoolId>>,
        /// The purpose of the last request.
        purpose: Purpose,
        /// The usage of the row since its previous event.
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
        /// The cost that this usage would have had without a prompt cache: see [`EventBody::Succeeded`].
        without_cache: Option<Money>,
    },
    /// A row took its answer from another line, and nothing was sent for the row. The row's own line is on disk.
    Taken {
        /// The label of the row.
        row: Box<str>,
        /// The place where the answer was found.
        from: TakenFrom,
        /// The quality of the answer.
        quality: Quality,
        /// The original cost of the answer; zero if this cost is not known.
        saved: Money,
    },
    /// A row failed and is not tried again. The row's line is on disk.
    Failed {
        /// The class of the failure.
        class: ErrorClass,
        /// The row and the last message about the row, in a `Box` that keeps events small: see [`EventBody::Ended`].
        row: Box<FailedRow>,
        /// The usage of the row's attempts.
        usage: Usage,
        /// The cost of this usage; `None` when the model has no price.
        cost: Option<Money>,
        /// The cost that this usage would have had without a prompt cache: see [`EventBody::Succeeded`].
        without_cache: Option<Money>,
    },
    /// The state of the scheduler. This event is sent a few times per second.
    Status {
        /// The number of requests in flight.
        in_flight: usize,
        /// The concurrency window: the highest number of requests in flight.
        window: usize,
        /// The reason why no further request is sent at this moment.
        reason: Reason,
        /// Rows that wait for their next try.
        backoffs: Backoffs,
        /// The state of each pool that has rows to send.
        pools: Vec<PoolStatus>,
    },
    /// The state of the batches. This event is sent as often as `Status`. When the last open batch has ended, one event
    /// with `None` is sent.
    Batches(Option<BatchesStatus>),
    /// The state of an outage. During the outage, this event is sent as often as `Status`. When the outage is over, one
    /// event with `None` is sent.
    Outage(Option<Box<Outage>>),
    /// A pool was held: after a 429, nothing is sent through the pool for some time.
    Held {
        /// The pool.
        pool: PoolId,
        /// The duration of the hold. During a hold, nothing is sent through the pool.
        wait: Duration,
        /// The kind of limit that caused the 429.
        kind: LimitKind,
        /// The bucket that was empty; `None` if the response does not name the bucket.
        dimension: Option<Dimension>,
    },
    /// The run changed its own limit, because a response reported a different limit.
    LimitsChanged {
        /// The pool.
        pool: PoolId,
        /// The new limits, which apply after this event.
        limits: RateLimits,
    },
    /// A model was not found: its rows wait for a later run.
    Parked {
        /// The name of the model.
        model: String,
        /// The message of the API.
        message: String,
    },
    /// The run begins to send rows of one provider to the next provider of the chain. One event is sent for this
    /// change, not one event for each row.
    Diverted {
        /// The provider that the rows come from.
        from: Arc<str>,
        /// The provider that the rows are sent to.
        to: Arc<str>,
        /// The reason why the rows are sent to the next provider.
        why: FallbackCase,
    },
    /// The run sends nothing more to one of its providers. The run continues with the other providers.
    ProviderStopped {
        /// The provider.
        provider: Arc<str>,
        /// The reason why nothing more is sent to this provider.
        reason: Box<HaltReason>,
    },
    /// A provider works again, and the run sends this provider's rows to it again.
    Returned {
        /// The provider.
        to: Arc<str>,
    },
    /// The used share of a limit has crossed a threshold.
    Crossed(Box<Crossing>),
    /// The settings of the run were changed, or the run was paused or continued.
    Steered {
        /// The command or the signal that changed the settings.
        by: SteeredBy,
        /// A sentence for people that says what was changed.
        message: String,
        /// The new value of `--max-cost`, which applies after this event.
        max_cost: Option<Money>,
    },
    /// The input could not be read to its end. The run finishes the rows that were already read.
    InputBroke,
    /// A message for the user. The run shows each message only one time.
    Warned(String),
    /// A message for the user: the reply to a signal, or the format of a stream of rows.
    Noted(String),
    /// The run sends no more requests and only waits for the requests in flight (it drains).
    Draining {
        /// The number of requests in flight.
        in_flight: usize,
        /// The reason why the run drains; `None` if the run drains because the input has ended.
        reason: Option<Box<HaltReason>>,
    },
    /// The run is over.
    Ended {
        /// The number of rows that were read and have no result yet.
        pending: u64,
        /// The reason why the run was stopped; `None` if the run ended with the last row. The reason is in a `Box`,
        /// which keeps events small. Thousands of events can wait for the disk, and each event takes as much memory as
        /// the largest variant.
        reason: Option<Box<HaltReason>>,
        /// The reasons why the run had to wait, each with its share of the run's time. The largest share comes first.
        reasons: Vec<(Reason, f64)>,
        /// For each pool, how much of its limits was used during the whole run.
        uses: Vec<LimitUse>,
        /// The duration of the run.
        elapsed: Duration,
        /// The highest number of requests in flight.
        max_in_flight: usize,
        /// The state of the batches at the end of the run; `None` in a run without batches.
        batches: Option<Box<BatchesEnd>>,
    },
}
