//! The content of `status.json`. Its schema is `fixtures/schemas/status.schema.json`.
//!
//! Within a version, members can be added, but the meaning of a member never changes. The file contains no prompts and
//! no answers. The only things it says about single rows are their ids and the messages about their failures.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::domain::{Dimension, Interval, Money, PoolId, RateLimits, Reason};
use crate::report::failures;
use crate::report::json::Progress;
use crate::report::json::rounded;
use crate::report::outlook::Outlook;
use crate::report::plain::rate_words;
use crate::report::stats::Stats;
use crate::report::tracker::RecentUse;
use crate::report::use_of_limits::Level;
use crate::report::words::doing_words;

/// The version of the file's format.
pub(crate) const VERSION: u32 = 1;
/// The file has at most this many kinds of failures.
const MOST_ERRORS: usize = 20;
/// The file has at most this many pools.
const MOST_POOLS: usize = 100;

/// What is known about a run before it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The id of the run.
    pub(crate) run: String,
    /// Where its answers come from: the origin of the base URL, or `simulator`.
    pub(crate) origin: String,
    /// The results file.
    pub(crate) results: String,
    /// What earlier runs with the same results have spent.
    pub(crate) spent_before: Money,
    /// Rows that failed in earlier runs, and that this run does not try again.
    pub(crate) failed_before: u64,
    /// The command that resumes the run.
    pub(crate) resume: String,
    /// The command that runs failed rows again.
    pub(crate) retry_failed: String,
}

/// The state of a run.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    v: u32,
    run: String,
    /// The version of the program.
    tool: &'static str,
    /// The process id of the run.
    pid: u32,
    origin: String,
    results: String,
    started_at: Timestamp,
    /// When this was written.
    pub(super) at: Timestamp,
    /// `running`, `paused`, `draining` (no more requests are sent) or `ended`.
    state: &'static str,
    /// How the run ended; null while it is in progress.
    end: Option<End>,
    progress: Progress,
    pools: Vec<Pool>,
    money: Spending,
    /// The time left; null if it can't be estimated.
    eta: Option<Eta>,
    /// The failures of rows, by class and message, the most frequent first.
    errors: Vec<Failures>,
    #[serde(rename = "continue")]
    how_to_continue: HowToContinue,
}

/// How a run ended.
#[derive(Debug, Default, Serialize)]
struct End {
    /// Why the run was stopped; null if it ended with the last row.
    reason: Option<Cow<'static, str>>,
    /// Rows without a result.
    pending: u64,
    /// Rows that failed, in this run or in earlier runs.
    failed: u64,
    /// Batches that are open or not collected.
    batches: u64,
    elapsed_s: f64,
    bound_by: Vec<Bound>,
}

#[derive(Debug, Serialize)]
struct Bound {
    reason: &'static str,
    share: f64,
}

#[derive(Debug, Serialize)]
struct Pool {
    provider: String,
    pool: String,
    rpm: Option<u32>,
    itpm: Option<u32>,
    otpm: Option<u32>,
    /// How long nothing is sent after a 429, in seconds; null if the pool is not held.
    held_s: Option<f64>,
    /// The use of the limits; null where there is no limit, and in the first seconds.
    requests: Option<Used>,
    /// Uncached input tokens.
    input_tokens: Option<Used>,
    output_tokens: Option<Used>,
}

/// The use of one limit over the last five minutes, as shares of the limit.
#[derive(Debug, Serialize)]
struct Used {
    average: f64,
    /// The minute with the highest use; null in the first minute.
    highest: Option<f64>,
    /// `low`, `moderate` (more than 50 %), `high` (more than 75 %) or `critical` (more than 90 %); null in the first
    /// minute.
    level: Option<&'static str>,
}

/// Amounts in dollars.
#[derive(Debug, Serialize)]
struct Spending {
    /// By this run; null if no price is known.
    spent_usd: Option<f64>,
    /// By earlier runs with the same results.
    spent_before_usd: f64,
    /// What this run was expected to cost before it began; null if that was not known.
    planned_usd: Option<Interval<f64>>,
    /// What this run will cost; null if that can't be estimated.
    projected_usd: Option<Interval<f64>>,
}

/// The time left.
#[derive(Debug, Serialize)]
struct Eta {
    seconds: f64,
    /// The interval in which the run will likely end; null if that is not known.
    interval_s: Option<Interval<f64>>,
    /// What the estimate is based on, in words.
    basis: String,
}

#[derive(Debug, Serialize)]
struct Failures {
    class: &'static str,
    message: String,
    rows: u64,
    /// The id of one of these rows.
    row: String,
    status: Option<u16>,
    retryable: bool,
}

#[derive(Debug, Serialize)]
struct HowToContinue {
    /// The command that resumes the run.
    resume: String,
    /// The command that runs failed rows again. Empty if no failed row may succeed unchanged.
    retry_failed: String,
}

impl Document {
    /// Makes this the state of a run that has ended before its first request.
    pub(super) fn abandon(&mut self) {
        let reason = Some("it ended before its first request".into());
        (self.state, self.eta, self.end) = ("ended", None, Some(End { reason, ..End::default() }));
    }

    /// Returns the state of a run; `None` before its first event.
    pub(super) fn of(about: &About, stats: &Stats) -> Option<Self> {
        let (started_at, at) = stats.times()?;
        let About { run, origin, results, resume, mut retry_failed, .. } = about.clone();
        if !may_retry(about, stats) {
            retry_failed.clear();
        }
        let dollars = |cost: Interval<Money>| cost.map(Money::dollars);
        Some(Self {
            v: VERSION,
            run,
            tool: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
            origin,
            results,
            started_at,
            at,
            state: state(stats),
            end: end(about, stats),
            progress: Progress::of(stats),
            pools: pools(stats),
            money: Spending {
                spent_usd: stats.known_cost().map(Money::dollars),
                spent_before_usd: about.spent_before.dollars(),
                planned_usd: stats.forecast.and_then(|forecast| forecast.cost).map(dollars),
                projected_usd: stats.projected_cost().map(dollars),
            },
            eta: eta(stats),
            errors: errors(stats),
            how_to_continue: HowToContinue { resume, retry_failed },
        })
    }
}

/// Returns whether some failed rows may succeed unchanged. The rows of earlier runs are not known, so they count as such.
fn may_retry(about: &About, stats: &Stats) -> bool {
    about.failed_before > 0 || stats.failed.values().any(|failed| failed.retryable > 0)
}

fn state(stats: &Stats) -> &'static str {
    let is_paused = || stats.standing.as_ref().is_some_and(|standing| standing.reason == Reason::Paused);
    match () {
        () if stats.ending.is_some() => "ended",
        () if stats.is_draining => "draining",
        () if is_paused() => "paused",
        () => "running",
    }
}

fn end(about: &About, stats: &Stats) -> Option<End> {
    let ending = stats.ending.as_ref()?;
    let bound = |(reason, share): &(Reason, f64)| Bound { reason: reason.name(), share: rounded(*share) };
    Some(End {
        reason: stats.end_reason(),
        pending: stats.remaining().unwrap_or(0).max(ending.pending),
        failed: stats.failed_total() + about.failed_before,
        batches: ending.batches.left,
        elapsed_s: rounded(ending.elapsed.as_secs_f64()),
        bound_by: ending.reasons.iter().map(bound).collect(),
    })
}

fn pools(stats: &Stats) -> Vec<Pool> {
    let pool = |(id, limits): (&PoolId, RateLimits)| {
        let used = |dimension| stats.tracker.recent(id, dimension).map(Used::of);
        let standing = stats.standing.iter().flat_map(|standing| &standing.pools);
        let held = standing.filter(|status| status.pool == *id).find_map(|status| status.held_for);
        Pool {
            provider: id.provider.to_string(),
            pool: id.to_string(),
            rpm: limits.rpm,
            itpm: limits.itpm,
            otpm: limits.otpm,
            held_s: held.map(|held| rounded(held.as_secs_f64())),
            requests: used(Dimension::Requests),
            input_tokens: used(Dimension::InputTokens),
            output_tokens: used(Dimension::OutputTokens),
        }
    };
    stats.tracker.pools().take(MOST_POOLS).map(pool).collect()
}

impl Used {
    fn of(recent: RecentUse) -> Self {
        let RecentUse { average, highest, level } = recent;
        Self { average: rounded(average), highest: highest.map(rounded), level: level.map(Level::name) }
    }
}

fn eta(stats: &Stats) -> Option<Eta> {
    let (outlook, interval) = (stats.outlook(), stats.projected_time_left());
    let rounded = |span: Duration| span.as_secs_f64().round();
    let interval_s = interval.map(|interval| interval.map(rounded));
    match (outlook, interval) {
        (Outlook::Left(left), _) => Some(Eta { seconds: rounded(left), interval_s, basis: basis(stats) }),
        (Outlook::Unknown, Some(planned)) => {
            let basis = "the estimate from before the run".to_owned();
            Some(Eta { seconds: rounded(planned.likely), interval_s, basis })
        }
        (Outlook::Unknown | Outlook::Batches(_) | Outlook::Waiting { .. }, _) => None,
    }
}

fn basis(stats: &Stats) -> String {
    let rate = stats.rows_per_minute().map(|rate| format!("the last rows ({} per minute)", rate_words(rate)));
    let bound = stats.standing.as_ref().map(|standing| doing_words(standing.reason));
    rate.into_iter().chain(bound.map(str::to_owned)).collect::<Vec<_>>().join(", ")
}

fn errors(stats: &Stats) -> Vec<Failures> {
    let mut errors: Vec<Failures> = Vec::new();
    for (class, failed) in failures::by_size(stats) {
        errors.extend(failed.faults.by_size().into_iter().map(|group| Failures {
            class: class.name(),
            message: group.first.message.clone(),
            rows: group.rows,
            row: group.first.label.clone(),
            status: group.first.status,
            retryable: group.first.is_retryable,
        }));
    }
    errors.sort_by_key(|own| std::cmp::Reverse(own.rows));
    errors.truncate(MOST_ERRORS);
    errors
}
