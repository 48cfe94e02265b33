//! Makes one JSON object from a plan (`--json`). The schema of this object is `fixtures/schemas/plan.schema.json`.
//!
//! In this object, amounts are in dollars, times are in seconds, and shares are numbers from 0 to 1. As long as the
//! version `v` stays the same, members can be added, but the meaning of a member never changes.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::advice::advice;
use super::batches::Batches;
use super::caching::Cache;
use super::ladder::AS_OF;
use super::phrases::change_words;
use super::{Fit, Plan, batches, caching};
use crate::domain::{Interval, Money};
use crate::forecast::{Alternative, Basis, Change, Totals};

/// The version of the JSON form of a plan.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Document {
    v: u32,
    rows: Rows,
    tokens: Tokens,
    /// The cost of the run; `null` if no row has a price.
    cost_usd: Option<Cost>,
    spent_usd: f64,
    /// The highest cost of the answers in flight; `null` if the cost is not known. If the run is killed, these answers
    /// are paid for twice.
    paid_twice_usd: Option<f64>,
    time_s: Interval<f64>,
    ends_at: Interval<Timestamp>,
    bound_by: Vec<Bound>,
    cache: Cache,
    /// The value of `--lane`.
    lane: &'static str,
    /// The run in batches; `null` if no row can be sent in a batch.
    batches: Option<Batches>,
    by_model: Vec<OfModel>,
    basis: BasisOf,
    options: Vec<OptionOf>,
    advice: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_cost: Option<MaxCost>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_requests: Option<MaxRequests>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_time: Option<MaxTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<DeadlineOf>,
}

#[derive(Serialize)]
struct Rows {
    total: u64,
    to_send: u64,
    done: u64,
    /// The number of rows in the open batches of earlier runs.
    submitted: u64,
    reused: u64,
    copied: u64,
    repeated: u64,
    failed_before: u64,
    unusable: u64,
    /// The number of rows whose model has no price. Only rows that are to be sent are counted. The costs in the plan do
    /// not include these rows.
    unpriced: u64,
}

#[derive(Serialize)]
struct Tokens {
    input: Interval<u64>,
    output: Interval<u64>,
}

#[derive(Serialize)]
struct Cost {
    low: f64,
    likely: f64,
    high: f64,
    /// The upper bound of the cost; `null` if it is not known.
    at_most: Option<f64>,
}

#[derive(Serialize)]
struct Bound {
    reason: &'static str,
    share: f64,
}

#[derive(Serialize)]
struct OfModel {
    model: String,
    rows: u64,
    tokens: Tokens,
    cost_usd: Option<Cost>,
}

#[derive(Serialize)]
struct BasisOf {
    history: HistoryOf,
    sample: SampleOf,
    prior: PriorOf,
    limits: LimitsFrom,
    prices: String,
    /// The number of rows that were run on virtual time to estimate the time of the run.
    played_rows: u64,
}

#[derive(Serialize)]
struct HistoryOf {
    answers: u64,
    /// The number of rows whose output is estimated from earlier answers to the same template.
    rows: u64,
    /// The number of rows whose output is estimated from earlier answers that the same model gave to other templates.
    rows_of_model: u64,
    results: Vec<Source>,
}

#[derive(Serialize)]
struct Source {
    path: String,
    answers: u64,
    origin: Option<String>,
}

#[derive(Serialize)]
struct SampleOf {
    /// The number of rows whose tokens the API counted.
    counted: u64,
    /// The number of rows whose input is estimated from the counts of the API.
    rows: u64,
}

#[derive(Serialize)]
struct PriorOf {
    /// The number of rows whose output is assumed, because no earlier answers are known.
    rows: u64,
    /// The number of rows whose input is estimated only from their text.
    input_rows: u64,
}

#[derive(Serialize)]
struct LimitsFrom {
    tier: &'static str,
    source: String,
}

#[derive(Serialize)]
struct OptionOf {
    change: String,
    kind: &'static str,
    cost_usd: Option<Cost>,
    time_s: Interval<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ladder: Option<Ladder>,
}

#[derive(Serialize)]
struct Ladder {
    as_of: &'static str,
    deposit_usd: f64,
    increase: Increase,
    break_even_blocked_requests_a_day: Option<f64>,
}

#[derive(Serialize)]
struct Increase {
    requests: Option<f64>,
    input_tokens: Option<f64>,
    output_tokens: Option<f64>,
}

#[derive(Serialize)]
struct MaxCost {
    max_cost_usd: f64,
    left_usd: f64,
    /// Whether the cost stays within the budget, in words; `null` if the cost is not known.
    verdict: Option<&'static str>,
    /// The part of the budget that remains after the likely cost; negative if the budget is too low.
    spare_usd: Option<f64>,
}

#[derive(Serialize)]
struct MaxRequests {
    max_requests: u64,
    /// The highest number of rows that the run can send.
    rows: u64,
}

#[derive(Serialize)]
struct MaxTime {
    max_time_s: f64,
    verdict: &'static str,
}

#[derive(Serialize)]
struct DeadlineOf {
    at: Timestamp,
    verdict: &'static str,
    /// The seconds from the likely end of the run to the deadline; negative if the run ends too late.
    spare_s: f64,
}

/// Returns the plan as one line of JSON.
pub(in crate::cli) fn document(plan: &Plan<'_>) -> serde_json::Result<String> {
    let forecast = &plan.forecast;
    let totals = &forecast.totals;
    let rows_on = |basis: &std::collections::BTreeMap<Basis, u64>, of: Basis| basis.get(&of).copied().unwrap_or(0);
    serde_json::to_string(&Document {
        v: VERSION,
        rows: Rows {
            total: plan.rows.total,
            to_send: plan.rows.to_send,
            done: plan.rows.done,
            submitted: plan.rows.submitted,
            reused: plan.rows.reused,
            copied: plan.rows.copied,
            repeated: plan.rows.repeated,
            failed_before: plan.rows.failed_before,
            unusable: plan.rows.unusable,
            unpriced: totals.unpriced,
        },
        tokens: tokens(totals),
        cost_usd: cost(totals.cost, totals.at_most),
        spent_usd: plan.purse.spent.dollars(),
        paid_twice_usd: plan.paid_twice().map(Money::dollars),
        time_s: forecast.time.time.map(seconds),
        ends_at: forecast.time.time.map(|span| plan.end_after(span)),
        bound_by: forecast
            .time
            .bound_by
            .iter()
            .map(|(reason, share)| Bound { reason: reason.name(), share: *share })
            .collect(),
        cache: caching::of(plan),
        lane: plan.lane.name(),
        batches: batches::of(plan),
        by_model: forecast.by_model.iter().map(of_model).collect(),
        basis: BasisOf {
            history: HistoryOf {
                answers: plan.learned.history.count(),
                rows: rows_on(&forecast.output_basis, Basis::Template),
                rows_of_model: rows_on(&forecast.output_basis, Basis::Model),
                results: plan.learned.files.iter().map(source).collect(),
            },
            sample: SampleOf { counted: plan.counted, rows: rows_on(&forecast.input_basis, Basis::Counts) },
            prior: PriorOf {
                rows: rows_on(&forecast.output_basis, Basis::Assumption),
                input_rows: rows_on(&forecast.input_basis, Basis::Assumption),
            },
            limits: LimitsFrom { tier: plan.tier.name(), source: plan.limits_from.clone() },
            prices: plan.catalog.price_date().to_owned(),
            played_rows: forecast.time.played_rows,
        },
        options: plan.alternatives.iter().map(|other| option(plan, other)).collect(),
        advice: advice(plan),
        max_cost: plan.max_cost.map(|most| max_cost(plan, most)),
        max_requests: plan
            .max_requests
            .map(|most| MaxRequests { max_requests: most, rows: most.min(plan.rows.to_send) }),
        max_time: plan
            .max_time
            .map(|most| MaxTime { max_time_s: seconds(most), verdict: Fit::of(forecast.time.time, most).name() }),
        deadline: plan.deadline.map(|deadline| of_deadline(plan, deadline)),
    })
}

fn tokens(totals: &Totals) -> Tokens {
    Tokens { input: totals.input_tokens, output: totals.output_tokens }
}

fn cost(cost: Option<Interval<Money>>, at_most: Option<Money>) -> Option<Cost> {
    let Interval { low, likely, high } = cost?.map(Money::dollars);
    Some(Cost { low, likely, high, at_most: at_most.map(Money::dollars) })
}

fn seconds(span: Duration) -> f64 {
    (span.as_secs_f64() * 1e3).round() / 1e3
}

fn of_model((model, totals): &(String, Totals)) -> OfModel {
    OfModel {
        model: model.clone(),
        rows: totals.rows,
        tokens: tokens(totals),
        cost_usd: cost(totals.cost, totals.at_most),
    }
}

fn source(source: &super::history::Source) -> Source {
    Source { path: source.path.display().to_string(), answers: source.answers, origin: source.origin.clone() }
}

fn option(plan: &Plan<'_>, other: &Alternative) -> OptionOf {
    let (kind, instead_of, step) = match &other.change {
        Change::Tier(tier) => ("tier", None, plan.step(*tier)),
        Change::Lane(_) => ("lane", None, None),
        Change::NoCache => ("prompt_cache", None, None),
        Change::Model { from, .. } => ("model", Some(from.clone()), None),
        Change::MaxTokens { from, .. } => ("max_tokens", Some(from.to_string()), None),
    };
    let ladder = step.map(|step| {
        let [requests, input_tokens, output_tokens] = step.increase;
        Ladder {
            as_of: AS_OF,
            deposit_usd: step.deposit.dollars(),
            increase: Increase { requests, input_tokens, output_tokens },
            break_even_blocked_requests_a_day: step.break_even_a_day,
        }
    });
    OptionOf {
        change: change_words(&other.change),
        kind,
        cost_usd: cost(other.cost, other.at_most),
        time_s: other.time.map(seconds),
        instead_of,
        ladder,
    }
}

fn max_cost(plan: &Plan<'_>, most: Money) -> MaxCost {
    let left = plan.money_left().unwrap_or(most);
    let cost = plan.forecast.totals.cost;
    MaxCost {
        max_cost_usd: most.dollars(),
        left_usd: left.dollars(),
        verdict: cost.map(|cost| Fit::of(cost, left).name()),
        spare_usd: cost.map(|cost| left.dollars() - cost.likely.dollars()),
    }
}

fn of_deadline(plan: &Plan<'_>, deadline: Timestamp) -> DeadlineOf {
    let ends = plan.forecast.time.time.map(|span| plan.end_after(span));
    let spare = deadline.duration_since(ends.likely).as_secs_f64();
    DeadlineOf { at: deadline, verdict: Fit::of(ends, deadline).name(), spare_s: (spare * 1e3).round() / 1e3 }
}
