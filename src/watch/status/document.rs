//! The content of `status.json`. The schema of this file is `fixtures/schemas/status.schema.json`.
//!
//! Within one version of the format, members can be added, but the meaning of a member never changes. The file contains
//! no prompts and no answers. The file contains no data about single rows except their ids and failure messages.

use std::borrow::Cow;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::input::{InputRows, RowRange, ShownError};
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
use crate::report::{FileRows, Outside, PrintedCommand};

/// The version of the file's format.
pub(crate) const VERSION: u32 = 1;
/// The largest number of kinds of failures in the file.
const MOST_ERRORS: usize = 20;
/// The largest number of pools in the file.
const MOST_POOLS: usize = 100;

/// What is known about a run before it begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct About {
    /// The id of the run.
    pub(crate) run: String,
    /// The source of the answers: the origin of the base URL, or `simulator`.
    pub(crate) origin: String,
    /// The path of the results file.
    pub(crate) results: String,
    /// The money that earlier runs with the same results file have spent.
    pub(crate) spent_before: Money,
    /// The number of rows that failed in earlier runs, and that this run does not try again.
    pub(crate) failed_before: u64,
    /// The command that resumes the run.
    pub(crate) resume: PrintedCommand,
    /// The command that sends the failed rows again.
    pub(crate) retry_failed: String,
    /// How the rows of the run are related to the whole input.
    pub(crate) part: Part,
}

/// How the rows that a run works on are related to the rows of the whole input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Part {
    /// The rows of the input that the run does not work on; `None` if it works on all rows.
    pub(crate) outside: Option<Outside>,
    /// Says that only a part of the rows was run; shown as the reason why other rows are pending.
    pub(crate) reason: &'static str,
    /// The rows that the number of all rows counts; `None` if they are not one range.
    pub(crate) range: Option<RowRange>,
    /// How many rows of the run had no line when the run began, and were in no batch.
    pub(crate) fresh: u64,
    /// How many rows of the run had failed before, and are run again.
    pub(crate) retried: u64,
    /// The command that sends the pending rows outside of the part; `None` if it is not known.
    pub(crate) resume: Option<PrintedCommand>,
    /// The known failures of the rows outside of the part.
    pub(crate) errors: Vec<ShownError>,
    /// Whether failed rows outside of the part may succeed if they are run again without a change.
    pub(crate) may_retry: bool,
}

/// The state of a run, as the content of `status.json`.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    v: u32,
    run: String,
    /// The version of claude-batch that wrote the file.
    tool: &'static str,
    /// The process id of the run.
    pid: u32,
    origin: String,
    results: String,
    started_at: Timestamp,
    /// The time of the last event before the file was written.
    pub(super) at: Timestamp,
    /// The state of the run: `running`, `paused`, `draining` (no more requests are sent) or `ended`.
    state: &'static str,
    /// How the run ended; null while it is in progress.
    end: Option<End>,
    progress: Progress,
    pools: Vec<Pool>,
    money: Spending,
    /// The time left; null if it can't be estimated.
    eta: Option<Eta>,
    /// The failures of rows, by error class and message. The most frequent failure comes first.
    errors: Vec<Failures>,
    #[serde(rename = "continue")]
    how_to_continue: HowToContinue,
    input: InputRows,
}

/// How a run ended: the reason and the final numbers.
#[derive(Debug, Default, Serialize)]
struct End {
    /// The reason why the run was stopped; null if all its rows were done.
    reason: Option<Cow<'static, str>>,
    /// The number of pending rows.
    pending: u64,
    /// The number of rows that failed in this run or in earlier runs.
    failed: u64,
    /// The number of batches that are open or not collected.
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
    /// The remaining time in which the pool sends nothing after a 429, in seconds; null if the pool is not held.
    held_s: Option<f64>,
    /// How much of the limit on requests is used; null if there is no limit, and in the first seconds of the run.
    requests: Option<Used>,
    /// How much of the limit on input tokens is used. Tokens that were read from the prompt cache are not counted.
    input_tokens: Option<Used>,
    output_tokens: Option<Used>,
}

/// How much of one limit was used in the last five minutes, as shares of the limit.
#[derive(Debug, Serialize)]
struct Used {
    average: f64,
    /// The highest share of the limit that was used in one minute; null in the first minute of the run.
    highest: Option<f64>,
    /// The level of `average`: `low`, `moderate` (more than 50 %), `high` (more than 75 %) or `critical` (more than 90
    /// %). Null in the first minute of the run.
    level: Option<&'static str>,
}

/// The cost of a run, as amounts in dollars.
#[derive(Debug, Serialize)]
struct Spending {
    /// The amount that this run has spent; null if no price is known.
    spent_usd: Option<f64>,
    /// The amount that earlier runs with the same results file have spent.
    spent_before_usd: f64,
    /// The planned cost of this run, estimated before it began; null if there was no plan.
    planned_usd: Option<Interval<f64>>,
    /// The expected cost of this run, estimated from its rows so far; null if it can't be estimated.
    projected_usd: Option<Interval<f64>>,
}

/// The estimated time left of a run.
#[derive(Debug, Serialize)]
struct Eta {
    seconds: f64,
    /// The time left as an interval, in seconds; null if it is not known.
    interval_s: Option<Interval<f64>>,
    /// A text that says what the estimate is based on.
    basis: String,
}

#[derive(Debug, Serialize)]
struct Failures {
    class: Cow<'static, str>,
    message: String,
    rows: u64,
    /// The id of one of the failed rows, as an example.
    row: String,
    status: Option<u16>,
    retryable: bool,
}

#[derive(Debug, Serialize)]
struct HowToContinue {
    /// The command that resumes the run.
    resume: String,
    /// The command that runs failed rows again. The text is empty if all failed rows would fail again.
    retry_failed: String,
}

impl Document {
    /// Changes this document to the state of a run that has ended before its first request.
    pub(super) fn abandon(&mut self) {
        let reason = Some("the run ended before its first request".into());
        (self.state, self.eta, self.end) = ("ended", None, Some(End { reason, ..End::default() }));
    }

    /// Returns the document with the state of a run; `None` before the first event of the run.
    pub(super) fn of(about: &About, stats: &Stats) -> Option<Self> {
        let (started_at, at) = stats.times()?;
        let About { run, origin, results, mut retry_failed, .. } = about.clone();
        if !may_retry(about, stats) {
            retry_failed.clear();
        }
        let rows = about.rows(stats);
        let resume = about.resume_at(stats).text.clone();
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
            end: end(about, stats, &rows),
            progress: progress(about, stats, &rows),
            pools: pools(stats),
            money: Spending {
                spent_usd: stats.known_cost().map(Money::dollars),
                spent_before_usd: about.spent_before.dollars(),
                planned_usd: stats.plan().and_then(|plan| plan.cost).map(dollars),
                projected_usd: stats.projected_cost().map(dollars),
            },
            eta: eta(stats),
            errors: errors(about, stats),
            how_to_continue: HowToContinue { resume, retry_failed },
            input: input(about, stats, &rows),
        })
    }
}

impl About {
    /// Returns the numbers of rows of the input, over this run and all earlier runs.
    fn rows(&self, stats: &Stats) -> FileRows {
        FileRows::of(stats, self.failed_before, self.part.outside.as_ref())
    }

    /// Returns the command that resumes the run. If only rows outside of the part are pending, this is the command of
    /// an earlier run.
    fn resume_at(&self, stats: &Stats) -> &PrintedCommand {
        let is_own = stats.ending.is_none() || stats.end_reason().is_some() || own_pending(stats) > 0;
        let of_others = self.part.resume.as_ref().filter(|_| !is_own && self.part.outside.is_some());
        of_others.unwrap_or(&self.resume)
    }

    /// Returns the reason why the run ended before all rows of the input were done.
    pub(super) fn end_reason(&self, stats: &Stats) -> Option<Cow<'static, str>> {
        let others = self.part.outside.as_ref().filter(|outside| stats.ending.is_some() && outside.pending > 0);
        stats.end_reason().or_else(|| others.map(|_| self.part.reason.into()))
    }

    /// Returns the number of rows in the input; `None` if it is not known.
    pub(super) fn total(&self, stats: &Stats) -> Option<u64> {
        self.rows(stats).total
    }
}

/// Returns how many rows of this run are pending or in open batches.
fn own_pending(stats: &Stats) -> u64 {
    let read = stats.ending.as_ref().map_or(0, |ending| ending.pending);
    stats.remaining().unwrap_or(0).max(read)
}

/// Returns the counters of the run. The total and the number of rows that earlier runs finished are those of the whole
/// input.
fn progress(about: &About, stats: &Stats, rows: &FileRows) -> Progress {
    let progress = Progress::of(stats);
    match &about.part.outside {
        Some(outside) => progress.in_file(rows.total, outside.answered + outside.failed),
        None => progress,
    }
}

/// Returns what a later run on a part of the rows has to know about the input.
fn input(about: &About, stats: &Stats, rows: &FileRows) -> InputRows {
    let Part { outside, range, fresh, retried, resume, .. } = &about.part;
    let in_batches = match (&stats.ending, outside) {
        (Some(_), _) => rows.in_open_batches,
        (None, Some(outside)) => outside.in_batches,
        (None, None) => 0,
    };
    // Rows that are run again still have their old lines. Until they are done, they are not pending, but failed or
    // answered.
    let with_line = own_pending(stats).saturating_sub(in_batches).saturating_sub(*fresh);
    InputRows {
        range: *range,
        total: rows.total,
        failed: rows.failed + with_line.min(*retried),
        in_batches,
        pending: rows.pending.saturating_sub(with_line),
        resume: resume.clone().or_else(|| Some(about.resume.clone()).filter(|_| outside.is_none())),
    }
}

/// Returns whether some failed rows may succeed if they are run again without a change. If rows failed in earlier runs,
/// returns true, because nothing is known about these rows.
fn may_retry(about: &About, stats: &Stats) -> bool {
    about.failed_before > 0 || about.part.may_retry || stats.failed.values().any(|failed| failed.retryable > 0)
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

fn end(about: &About, stats: &Stats, rows: &FileRows) -> Option<End> {
    let ending = stats.ending.as_ref()?;
    let bound = |(reason, share): &(Reason, f64)| Bound { reason: reason.name(), share: rounded(*share) };
    Some(End {
        reason: about.end_reason(stats),
        pending: match about.part.outside {
            Some(_) => rows.pending + rows.in_open_batches,
            None => own_pending(stats),
        },
        failed: rows.failed,
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
            let basis = "the estimate that was made before the run".to_owned();
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

fn errors(about: &About, stats: &Stats) -> Vec<Failures> {
    let mut errors: Vec<Failures> = Vec::new();
    for (class, failed) in failures::by_size(stats) {
        errors.extend(failed.faults.by_size().into_iter().map(|group| Failures {
            class: class.name().into(),
            message: group.first.message.clone(),
            rows: group.rows,
            row: group.first.label.clone(),
            status: group.first.status,
            retryable: group.first.is_retryable,
        }));
    }
    errors.extend(about.part.errors.iter().cloned().map(|before| {
        let ShownError { class, message, rows, row, status, retryable } = before;
        Failures { class: class.into(), message, rows, row, status, retryable }
    }));
    errors.sort_by_key(|own| std::cmp::Reverse(own.rows));
    errors.truncate(MOST_ERRORS);
    errors
}
