//! The JSON objects of a run, as `--progress json` writes them.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::batches::{BatchesAtEnd, BatchesNow};
use super::cache::{Cache, saved};
use super::limit_use::PoolUse;
use super::numbers::{dollars, rounded, seconds, whole_second};
use super::providers::{ProviderNow, providers};
use crate::domain::{ErrorClass, EventBody, Interval, Money, Outage, PoolStatus, Quality, RateLimits, Reason};
use crate::report::failures;
use crate::report::notes::limit_name;
use crate::report::outlook::Outlook;
use crate::report::stats::Stats;
use crate::report::tallies::FailedRows;
use crate::report::words::{fault_words, halt_words};

#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub(super) v: u32,
    pub(super) at: Timestamp,
    pub(super) run: &'a str,
    #[serde(flatten)]
    pub(super) body: Body<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Body<'a> {
    Started {
        total: Option<u64>,
        already_done: u64,
    },
    Providers {
        providers: Vec<&'a str>,
    },
    Progress(Box<Progress>),
    Held {
        provider: &'a str,
        pool: String,
        wait_s: f64,
        limit: &'static str,
        dimension: Option<&'static str>,
    },
    Limits {
        provider: &'a str,
        pool: String,
        limits: Limits,
    },
    Parked {
        model: &'a str,
        message: &'a str,
    },
    Diverted {
        from: &'a str,
        to: &'a str,
        why: &'static str,
    },
    ProviderStopped {
        provider: &'a str,
        reason: Cow<'static, str>,
        message: Option<&'a str>,
    },
    Returned {
        to: &'a str,
    },
    Crossed {
        provider: &'a str,
        pool: String,
        dimension: &'static str,
        threshold: f64,
        share: f64,
        above: bool,
    },
    Steered {
        by: &'static str,
        message: &'a str,
    },
    Warning {
        message: &'a str,
    },
    Note {
        message: &'a str,
    },
    Draining {
        in_flight: usize,
        reason: Option<Cow<'static, str>>,
    },
    Ended {
        pending: u64,
        reason: Option<Cow<'static, str>>,
        elapsed_s: f64,
        max_in_flight: usize,
        bound_by: Vec<Bound>,
        limit_use: Vec<PoolUse>,
        cache: Option<Cache>,
        batches: Option<BatchesAtEnd>,
        providers: Vec<ProviderNow>,
        failures: Vec<Failures<'a>>,
    },
}

impl<'a> Body<'a> {
    pub(super) fn of(body: &'a EventBody, stats: &'a Stats) -> Option<Self> {
        Some(match body {
            EventBody::Started { total, already_done } => Self::Started { total: *total, already_done: *already_done },
            EventBody::Held { pool, wait, kind, dimension } => Self::Held {
                provider: &pool.provider,
                pool: pool.to_string(),
                wait_s: seconds(*wait),
                limit: limit_name(*kind),
                dimension: dimension.map(|dimension| dimension.name()),
            },
            EventBody::LimitsChanged { pool, limits } => {
                Self::Limits { provider: &pool.provider, pool: pool.to_string(), limits: Limits::of(limits) }
            }
            EventBody::Providers(names) => Self::Providers { providers: names.iter().map(|name| &**name).collect() },
            EventBody::Diverted { from, to, why } => Self::Diverted { from, to, why: why.name() },
            EventBody::ProviderStopped { provider, reason } => Self::ProviderStopped {
                provider,
                reason: halt_words(reason),
                message: reason.failure().map(|failure| &*failure.message),
            },
            EventBody::Returned { to } => Self::Returned { to },
            EventBody::Parked { model, message } => Self::Parked { model, message },
            EventBody::Warned(message) => Self::Warning { message },
            EventBody::Crossed(crossing) => Self::Crossed {
                provider: &crossing.pool.provider,
                pool: crossing.pool.to_string(),
                dimension: crossing.dimension.name(),
                threshold: f64::from(crossing.threshold) / 100.0,
                share: rounded(crossing.share),
                above: crossing.is_above,
            },
            EventBody::Steered { by, message, .. } => Self::Steered { by: by.name(), message },
            EventBody::Noted(message) => Self::Note { message },
            EventBody::Draining { in_flight, reason } => {
                Self::Draining { in_flight: *in_flight, reason: reason.as_deref().map(halt_words) }
            }
            EventBody::Ended { pending, reason, reasons, uses, elapsed, max_in_flight, batches: _ } => Self::Ended {
                pending: *pending,
                reason: reason.as_deref().map(halt_words),
                elapsed_s: seconds(*elapsed),
                max_in_flight: *max_in_flight,
                bound_by: reasons.iter().map(|(reason, share)| Bound::of(*reason, *share)).collect(),
                limit_use: uses.iter().map(|used| PoolUse::of(used, *elapsed)).collect(),
                cache: stats.caching().map(|used| Cache::of(&used)),
                batches: BatchesAtEnd::of(stats),
                providers: providers(stats),
                failures: failures::by_size(stats).into_iter().map(Failures::of).collect(),
            },
            EventBody::Forecast(_)
            | EventBody::Models(_)
            | EventBody::Skipped
            | EventBody::Sent { .. }
            | EventBody::Retried { .. }
            | EventBody::Mending { .. }
            | EventBody::Succeeded { .. }
            | EventBody::Taken { .. }
            | EventBody::Failed { .. }
            | EventBody::InputBroke
            | EventBody::Outage(_)
            | EventBody::Batches(_)
            | EventBody::Status { .. } => return None,
        })
    }
}

#[derive(Serialize)]
pub(super) struct Bound {
    reason: &'static str,
    share: f64,
}

impl Bound {
    pub(super) fn of(reason: Reason, share: f64) -> Self {
        Self { reason: reason.name(), share: rounded(share) }
    }
}

/// The failed rows of this run in one error class. The object `ended` lists the largest class first.
#[derive(Debug, Serialize)]
pub(crate) struct Failures<'a> {
    /// The class.
    class: &'static str,
    /// The number of failed rows in this class.
    rows: u64,
    /// Whether at least one failed row of this class could succeed unchanged in another run.
    retryable: bool,
    /// The first failed row of this class; null if it is not known.
    example: Option<Example<'a>>,
}

#[derive(Debug, Serialize)]
struct Example<'a> {
    /// The label of the row, or its place in the input.
    row: &'a str,
    /// The HTTP status of the response; null if there was no response.
    status: Option<u16>,
    message: &'a str,
}

impl<'a> Failures<'a> {
    pub(super) fn of((class, failed): (ErrorClass, &'a FailedRows)) -> Self {
        let example = failed.example();
        Self {
            class: class.name(),
            rows: failed.rows,
            retryable: failed.retryable > 0,
            example: example.map(|row| Example { row: &row.label, status: row.status, message: &row.message }),
        }
    }
}

#[derive(Serialize)]
pub(super) struct Limits {
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
}

impl Limits {
    fn of(limits: &RateLimits) -> Self {
        Self { rpm: limits.rpm, itpm: limits.itpm, otpm: limits.otpm }
    }
}

/// The state of a run, in a `progress` object.
#[derive(Debug, Serialize)]
pub(crate) struct Progress {
    /// The number of rows in the input; null if the input is a pipe.
    total: Option<u64>,
    /// The number of rows that earlier runs finished.
    already_done: u64,
    /// The number of rows whose answer ended normally.
    ok: u64,
    /// The number of rows with a truncated answer that was kept. A truncated answer ended at `max_tokens` or at the end
    /// of the context window. Rows with a truncated answer that was not kept are in `failed_by_class`.
    truncated: u64,
    /// The number of rows that the model refused to answer, if the refusal was kept. If a refusal was not kept, its row
    /// is in `failed_by_class`.
    refused: u64,
    /// The number of rows whose answer ended for a reason that this program does not know.
    unknown: u64,
    /// The number of answered rows that copied the answer of an equal row. These rows are also counted by the quality
    /// of their answer, for example in `ok`.
    copied: u64,
    /// The number of answered rows that took their answer from earlier results. These rows are also counted in `ok`.
    reused: u64,
    /// The dollars that copied and reused answers saved: what these answers cost when they were paid for. Answers with
    /// an unknown cost are left out.
    saved_usd: f64,
    /// The number of answered rows whose first answer was not accepted. These rows are counted separately for each way
    /// that led to the accepted answer. The keys are `repaired`, `retried` (asked again), `grown` (with a larger
    /// `max_tokens`), `continued`, `unpaused` (continued after a pause) and `another_model`. These rows are also
    /// counted by the quality of their answer, for example in `ok`.
    mended: BTreeMap<&'static str, u64>,
    /// The number of rows that failed and are not tried again in this run.
    failed: u64,
    /// The number of rows that failed because their answer can't be used (class `invalid_output`). These rows are also
    /// counted in `failed`.
    invalid: u64,
    /// The number of failed rows in each error class.
    failed_by_class: BTreeMap<&'static str, u64>,
    /// The number of failed attempts that were tried again, by the cause of the failure.
    retried: BTreeMap<&'static str, u64>,
    /// The number of failed attempts that were tried again although they were possibly billed.
    maybe_paid: u64,
    /// How many rows per minute have finished recently. Only rows that were sent online are counted. The value is null
    /// at the start of the run, and while the run waits only for batches.
    rows_per_minute: Option<f64>,
    /// The estimated time left, in seconds. Null in four cases: the input is a pipe, the run has just started, the run
    /// waits, or batches are open.
    eta_s: Option<f64>,
    /// What the run waits for, as a name for scripts; null if the time left can be estimated.
    waiting_for: Option<&'static str>,
    /// The input tokens that were not read from the prompt cache. Tokens written to the cache are included.
    input_tokens: u64,
    /// Input tokens read from the prompt cache.
    cache_read_tokens: u64,
    /// Input tokens written to the prompt cache, for five minutes or for an hour. These tokens are also part of
    /// `input_tokens`.
    cache_write_tokens: u64,
    /// The dollars that the cache saved, compared with the same run without a cache. The number is negative if the
    /// writes to the cache cost more than the reads saved. Null if no token was written or read, or if no price is
    /// known.
    cache_saved_usd: Option<f64>,
    /// Output tokens.
    output_tokens: u64,
    /// The cost of all tokens with a known price, in dollars. Null if the run used tokens and no price is known.
    cost_usd: Option<f64>,
    /// The expected cost of all rows of this run in dollars, including the finished rows. Null in these cases: the
    /// input is a pipe, a price is unknown, the run stops early, or the run waits for its last answers. Also null at
    /// the start of a run, until there is an estimate.
    projected_cost_usd: Option<Interval<f64>>,
    /// The expected time of the end of this run, as RFC 3339. Null in four cases: the input is a pipe, the run has
    /// ended, the run stops early, or the run waits.
    projected_end: Option<Interval<Timestamp>>,
    /// The number of finished rows whose model has no known price.
    unpriced: u64,
    /// The number of requests in flight.
    in_flight: Option<usize>,
    /// How many requests are currently allowed in flight.
    window: Option<usize>,
    /// The reason why the run is not sending more requests.
    reason: Option<&'static str>,
    /// The current outage of the provider; null while the provider works.
    outage: Option<OutageNow>,
    /// The batches that are not fully collected; null if there are no such batches.
    batches: Option<BatchesNow>,
    /// The number of rows that were answered in a batch. These rows are also counted by the quality of their answer,
    /// for example in `ok`.
    answered_in_batches: u64,
    /// The rate-limit pools that have rows to send or requests in flight.
    pools: Vec<Pool>,
    /// The providers of the run; empty if the run has only one.
    providers: Vec<ProviderNow>,
}

#[derive(Debug, Serialize)]
struct OutageNow {
    /// The name of the provider that does not work.
    provider: String,
    /// A short text about the fault of the provider.
    fault: Cow<'static, str>,
    /// The HTTP status of the last failure; null if there was no response.
    status: Option<u16>,
    /// The message of the last failure.
    message: String,
    /// How long the outage has lasted so far, in seconds.
    lasted_s: f64,
    /// The time until the next request to this provider, in seconds; null while a request is in flight.
    next_try_s: Option<f64>,
}

impl OutageNow {
    fn of(outage: &Outage) -> Self {
        Self {
            provider: outage.provider.to_string(),
            fault: fault_words(&outage.fault),
            status: outage.fault.status,
            message: outage.fault.message.clone(),
            lasted_s: seconds(outage.lasted),
            next_try_s: outage.next_try.map(seconds),
        }
    }
}

#[derive(Debug, Serialize)]
struct Pool {
    provider: String,
    pool: String,
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
    /// The fill levels of the buckets for requests, input tokens and output tokens. Each level is a share of the
    /// bucket's limit per minute. A level is null if the pool has no such limit.
    level: [Option<f64>; 3],
    held_s: Option<f64>,
}

impl Progress {
    /// Returns the current state of a run as a `progress` object.
    pub(crate) fn of(stats: &Stats) -> Self {
        let standing = stats.standing.as_ref();
        Self {
            total: stats.total,
            already_done: stats.already_done(),
            ok: stats.succeeded_as(Quality::Ok),
            truncated: stats.succeeded_as(Quality::Truncated),
            refused: stats.succeeded_as(Quality::Refused),
            unknown: stats.succeeded_as(Quality::Unknown),
            copied: stats.taken.copied,
            reused: stats.taken.reused,
            saved_usd: stats.taken.saved.dollars(),
            mended: stats.mended.by_name(),
            failed: stats.failed_total(),
            invalid: stats.failed_as(ErrorClass::InvalidOutput),
            failed_by_class: stats.failed.iter().map(|(class, failed)| (class.name(), failed.rows)).collect(),
            retried: stats.retried.iter().map(|(cause, attempts)| (cause.name(), *attempts)).collect(),
            maybe_paid: stats.maybe_paid,
            rows_per_minute: stats.rows_per_minute().map(rounded),
            eta_s: stats.eta().map(seconds),
            waiting_for: match stats.outlook() {
                Outlook::Waiting { reason, .. } => Some(reason.name()),
                Outlook::Batches(_) => Some(Reason::Batches.name()),
                Outlook::Unknown | Outlook::Left(_) => None,
            },
            input_tokens: stats.usage.limited_input_tokens(),
            cache_read_tokens: stats.usage.cache_read_tokens,
            cache_write_tokens: stats.usage.cache_write_tokens(),
            cache_saved_usd: stats.caching().and_then(|used| saved(&used)),
            output_tokens: stats.usage.output_tokens,
            cost_usd: stats.known_cost().map(Money::dollars),
            projected_cost_usd: stats.projected_cost().map(|cost| cost.map(dollars)),
            projected_end: stats.projected_end().map(|end| end.map(whole_second)),
            unpriced: stats.unpriced,
            in_flight: standing.map(|standing| standing.in_flight),
            window: standing.map(|standing| standing.window),
            reason: standing.map(|standing| standing.reason.name()),
            outage: stats.outage.as_ref().map(OutageNow::of),
            batches: stats.batches.as_ref().map(BatchesNow::of),
            answered_in_batches: stats.batch_rows.rows,
            pools: standing.map(|standing| standing.pools.iter().map(Pool::of).collect()).unwrap_or_default(),
            providers: providers(stats),
        }
    }
}

impl Progress {
    /// Changes the number of rows, and adds rows to those that earlier runs finished. So the numbers are about the
    /// whole input of a run that works on a part of its rows.
    pub(crate) fn in_file(self, total: Option<u64>, before: u64) -> Self {
        Self { total, already_done: self.already_done + before, ..self }
    }
}

impl Pool {
    fn of(status: &PoolStatus) -> Self {
        Self {
            provider: status.pool.provider.to_string(),
            pool: status.pool.to_string(),
            rpm: status.limits.rpm,
            itpm: status.limits.itpm,
            otpm: status.limits.otpm,
            level: status.level.map(|level| level.map(rounded)),
            held_s: status.held_for.map(seconds),
        }
    }
}
