//! The summary as one JSON object (`--summary json`). With `--progress json`, the summary is the last line of the
//! output.
//!
//! The schema of the summary is `fixtures/schemas/summary.schema.json`, and `EVENTS.md` describes its members.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::batches::BatchesAtEnd;
use super::cache::Cache;
use super::limit_use::PoolUse;
use super::numbers::{dollars, rounded, seconds};
use super::objects::{Bound, Failures};
use super::providers::{ProviderNow, providers};
use super::tokens::Tokens;
use crate::domain::event::EVENT_VERSION;
use crate::domain::{ErrorClass, Interval, Money, Quality};
use crate::report::FileRows;
use crate::report::failures;
use crate::report::harmless;
use crate::report::next_step::{NextStep, next_step};
use crate::report::planned::verdicts;
use crate::report::stats::Stats;
use crate::report::summary_context::SummaryContext;

/// Values of the summary that are known only at the end of the program.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SummaryEnd<'a> {
    /// The id of the run.
    pub(crate) run: &'a str,
    /// The time when the run ended.
    pub(crate) at: Timestamp,
    /// The exit code of the program.
    pub(crate) exit_code: u8,
    /// The reason why the run ended before its rows were done; `None` if all its rows were done.
    pub(crate) reason: Option<&'a str>,
}

/// Returns the summary as a line of JSON, without its line break.
pub(crate) fn summary_line(stats: &Stats, context: &SummaryContext, end: SummaryEnd<'_>) -> String {
    let bytes = harmless::to_vec(&Summary::of(stats, context, end)).unwrap_or_default();
    String::from_utf8(bytes).unwrap_or_default()
}

#[derive(Serialize)]
struct Summary<'a> {
    v: u32,
    at: Timestamp,
    run: &'a str,
    r#type: &'static str,
    exit_code: u8,
    /// The reason why the run ended before its rows were done; null if all its rows were done.
    reason: Option<&'a str>,
    /// Whether the run used the simulator.
    simulated: bool,
    elapsed_s: f64,
    rows: FileRows,
    this_run: RunRows<'a>,
    failures: Vec<Failures<'a>>,
    /// The number of rows in the error log, by error class. Rows of earlier runs are included.
    failed_in_log: BTreeMap<&'static str, u64>,
    tokens: Tokens,
    /// The tokens of all runs that wrote to these results.
    tokens_in_all_runs: Tokens,
    cost: Cost<'a>,
    /// The planned time, in seconds; null if there was no plan.
    planned_s: Option<Interval<f64>>,
    /// The real time compared with the planned time: `below`, `within` or `above`. Null if there was no plan, or if the
    /// run stopped before all rows were finished.
    time_compared: Option<&'static str>,
    /// The mean rate of finished rows over the whole run, in rows per minute; null after a run of less than a second.
    rows_per_minute: Option<f64>,
    rate: Rate,
    max_in_flight: usize,
    latency: Option<Latency>,
    bound_by: Vec<Bound>,
    limit_use: Vec<PoolUse>,
    /// The number of failed attempts that were tried again, by the cause of the failure.
    retried: BTreeMap<&'static str, u64>,
    possibly_billed_twice: BilledTwice,
    cache: Option<Cache>,
    batches: Option<BatchesAtEnd>,
    providers: Vec<ProviderNow>,
    files: Files<'a>,
    next: Option<Next<'a>>,
}

/// The numbers of rows that this run finished.
#[derive(Serialize)]
struct RunRows<'a> {
    answered: u64,
    ok: u64,
    truncated: u64,
    refused: u64,
    unknown: u64,
    failed: u64,
    /// The number of answered rows that copied the answer of an equal row.
    copied: u64,
    /// The number of answered rows that took their answer from earlier results.
    reused: u64,
    /// The numbers of answered rows whose first answer was not accepted. There is one number for each way in which the
    /// accepted answer was made.
    mended: BTreeMap<&'static str, u64>,
    /// The label of the first answered row of each quality.
    examples: BTreeMap<&'static str, &'a str>,
}

#[derive(Serialize)]
struct Cost<'a> {
    /// The money that this run spent, in dollars; null if the run used tokens and no price is known.
    spent_usd: Option<f64>,
    /// The money that all runs on this file spent, in dollars. Tokens without a known price are left out.
    spent_in_all_runs_usd: Option<f64>,
    /// The planned cost of this run, in dollars; null if there was no plan.
    planned_usd: Option<Interval<f64>>,
    /// The real cost compared with the planned cost: `below`, `within` or `above`. Null if there was no plan, or if the
    /// run did not do all its rows.
    compared: Option<&'static str>,
    /// The number of finished rows whose model has no known price.
    unpriced_rows: u64,
    /// The date of the prices.
    prices_of: Option<&'a str>,
}

/// The rate of finished rows in each part of the run. All parts have the same length.
#[derive(Serialize)]
struct Rate {
    part_s: f64,
    rows_per_minute: Vec<f64>,
}

/// The latency of the answers to requests that were not sent in batches. The latency of an answer begins with the first
/// request of its row.
#[derive(Serialize)]
struct Latency {
    answers: u64,
    p50_s: f64,
    p95_s: f64,
    max_s: f64,
}

/// How many answers were possibly billed twice.
#[derive(Serialize)]
struct BilledTwice {
    /// The number of answers that were possibly billed twice in this run.
    this_run: u64,
    /// The number of answers that were possibly billed twice in the previous run. The number is 0 if the previous run
    /// was not cut short.
    run_before: u64,
    /// The number of answers that were possibly billed twice in all runs on this file together.
    all_runs: u64,
}

#[derive(Serialize)]
struct Files<'a> {
    /// The path of the results file; null if the results were written to standard output.
    results: Option<&'a str>,
    /// The path of the error log; null if no row failed.
    errors: Option<&'a str>,
    /// The path of the output file that is made from the results; null if the results file is the output.
    output: Option<&'a str>,
}

/// The command that the user should probably type next.
#[derive(Serialize)]
struct Next<'a> {
    /// The kind of the command: `continue`, `retry`, `rerun` or `answers`.
    kind: &'static str,
    /// The words of the command: the program and its arguments.
    argv: &'a [String],
    /// Whether the command is complete. The value is false if an argument was replaced by `[hidden]`.
    complete: bool,
}

impl<'a> Summary<'a> {
    fn of(stats: &'a Stats, context: &'a SummaryContext, end: SummaryEnd<'a>) -> Self {
        let ending = stats.ending.as_ref();
        let elapsed = stats.elapsed();
        let (cost, time) = verdicts(stats);
        let planned_s = stats.plan().and_then(|plan| plan.time).map(|time| time.map(seconds));
        let mut all_usage = stats.usage;
        all_usage += context.earlier.map(|earlier| earlier.usage).unwrap_or_default();
        let bound = ending.iter().flat_map(|ending| &ending.reasons);
        let uses = ending.iter().flat_map(|ending| &ending.uses);
        Self {
            v: EVENT_VERSION,
            at: end.at,
            run: end.run,
            r#type: "summary",
            exit_code: end.exit_code,
            reason: end.reason,
            simulated: context.is_simulated,
            elapsed_s: seconds(elapsed),
            rows: context.rows(stats),
            this_run: RunRows::of(stats),
            failures: failures::by_size(stats).into_iter().map(Failures::of).collect(),
            failed_in_log: named(&context.failed_in_log),
            tokens: Tokens::of(&stats.usage),
            tokens_in_all_runs: Tokens::of(&all_usage),
            cost: Cost { compared: cost.map(|verdict| verdict.name()), ..Cost::of(stats, context) },
            planned_s,
            time_compared: time.map(|verdict| verdict.name()),
            rows_per_minute: stats.mean_rows_per_minute().map(rounded),
            rate: Rate {
                part_s: seconds(stats.rate_bins.width()),
                rows_per_minute: stats.rate_bins.per_minute(elapsed).into_iter().map(rounded).collect(),
            },
            max_in_flight: ending.map_or(0, |ending| ending.max_in_flight),
            latency: Latency::of(stats),
            bound_by: bound.map(|(reason, share)| Bound::of(*reason, *share)).collect(),
            limit_use: uses.map(|used| PoolUse::of(used, elapsed)).collect(),
            retried: stats.retried.iter().map(|(cause, attempts)| (cause.name(), *attempts)).collect(),
            possibly_billed_twice: BilledTwice {
                this_run: context.maybe_paid,
                run_before: context.maybe_paid_before,
                all_runs: context.maybe_paid + context.maybe_paid_before + context.maybe_paid_earlier,
            },
            cache: stats.caching().map(|used| Cache::of(&used)),
            batches: BatchesAtEnd::of(stats),
            providers: providers(stats),
            files: Files {
                results: context.results.as_deref(),
                errors: context.errors.as_deref(),
                output: context.output.as_deref(),
            },
            next: next_step(stats, context).map(Next::of),
        }
    }
}

impl<'a> RunRows<'a> {
    fn of(stats: &'a Stats) -> Self {
        Self {
            answered: stats.succeeded_total(),
            ok: stats.succeeded_as(Quality::Ok),
            truncated: stats.succeeded_as(Quality::Truncated),
            refused: stats.succeeded_as(Quality::Refused),
            unknown: stats.succeeded_as(Quality::Unknown),
            failed: stats.failed_total(),
            copied: stats.taken.copied,
            reused: stats.taken.reused,
            mended: stats.mended.by_name(),
            examples: stats.examples.iter().map(|(quality, label)| (quality.name(), &**label)).collect(),
        }
    }
}

impl<'a> Cost<'a> {
    fn of(stats: &Stats, context: &'a SummaryContext) -> Self {
        let spent = stats.known_cost();
        let before = context.earlier.map_or(Money::ZERO, |earlier| earlier.cost);
        Self {
            spent_usd: spent.map(dollars),
            spent_in_all_runs_usd: spent.map(|spent| dollars(spent + before)),
            planned_usd: stats.plan().and_then(|plan| plan.cost).map(|cost| cost.map(dollars)),
            compared: None,
            unpriced_rows: stats.unpriced,
            prices_of: context.price_date.as_deref(),
        }
    }
}

impl Latency {
    fn of(stats: &Stats) -> Option<Self> {
        let longest = stats.pace.longest;
        // The histogram rounds latencies, but the longest latency is exact.
        let of = |share| stats.latencies.percentile(share).map(|found| seconds(found.min(longest)));
        Some(Self { answers: stats.latencies.count(), p50_s: of(0.5)?, p95_s: of(0.95)?, max_s: seconds(longest) })
    }
}

impl<'a> Next<'a> {
    fn of(next: NextStep<'a>) -> Self {
        Self { kind: next.kind.name(), argv: &next.command.argv, complete: next.command.is_complete }
    }
}

fn named(log: &BTreeMap<ErrorClass, u64>) -> BTreeMap<&'static str, u64> {
    log.iter().filter(|(_, rows)| **rows > 0).map(|(class, rows)| (class.name(), *rows)).collect()
}
