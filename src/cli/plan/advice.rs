//! The advice in a plan: what slows the run down, and which change helps most.

use crate::domain::{Interval, Reason};
use crate::forecast::{Alternative, Change};
use crate::report::text::{count, escape, percent, plural, rough_duration};

use super::phrases::{change_words, rows_within};
use super::{Fit, Plan};

/// A reason for waiting is mentioned only if it takes at least this share of the run's time.
const WORTH_A_WORD: f64 = 0.3;
/// A change is recommended only if it saves at least this share of the time or cost.
const WORTH_IT: f64 = 0.25;
/// Runs that take less than this number of seconds need no advice about their time.
const SHORT: u64 = 60;

/// Returns advice about a plan, the most important first. If there are rows to send, the list is never empty.
pub(super) fn advice(plan: &Plan<'_>) -> Vec<String> {
    if plan.rows.to_send == 0 {
        return Vec::new();
    }
    let mut advice: Vec<String> =
        [models(plan), budget(plan), deadline(plan), faster(plan), cheaper(plan), truncated(plan)]
            .into_iter()
            .flatten()
            .collect();
    if advice.is_empty() {
        advice.push("Nothing was found that could prevent this run.".to_owned());
    }
    advice
}

/// Returns a line about rows that ask for retired models, or about rows whose cost is not known.
fn models(plan: &Plan<'_>) -> Option<String> {
    if plan.retired > 0 {
        let rows = plural(plan.retired, "row asks for a model that has", "rows ask for models that have");
        return Some(format!("{rows} retired: without another model (--map-model), they will fail."));
    }
    let unpriced = plan.forecast.totals.unpriced;
    (unpriced > 0).then(|| {
        let rows = plural(unpriced, "row has a model", "rows have models");
        format!("{rows} without a known price: their cost is not known (--prices gives a price).")
    })
}

fn budget(plan: &Plan<'_>) -> Option<String> {
    let (left, cost) = (plan.money_left()?, plan.forecast.totals.cost?);
    let most = plan.max_cost?;
    match Fit::of(cost, left) {
        Fit::Fits | Fit::ProbablyFits => None,
        Fit::ProbablyNot | Fit::No => {
            let rows = rows_within(plan.rows.to_send, left, cost.likely);
            let enough = plan.purse.used() + cost.high;
            Some(format!(
                "With --max-cost {most}, the run probably stops after about {} of {} rows; about {} is enough for all of them.",
                count(rows),
                count(plan.rows.to_send),
                enough.rounded_up()
            ))
        }
    }
}

fn deadline(plan: &Plan<'_>) -> Option<String> {
    let deadline = plan.deadline?;
    let ends = plan.forecast.time.time.map(|span| plan.end_after(span));
    let fit = Fit::of(ends, deadline);
    if matches!(fit, Fit::Fits | Fit::ProbablyFits) {
        return None;
    }
    let in_time = |other: &&Alternative| plan.end_after(other.time.high) <= deadline;
    let helps = plan.alternatives.iter().filter(in_time).min_by_key(|other| other.cost.map(|cost| cost.likely));
    Some(match helps {
        Some(other) => format!("The run {} the deadline; {} would meet it.", misses(fit), change_words(&other.change)),
        None => {
            format!(
                "The run {} the deadline, and no other tier or model of the same family would meet it.",
                misses(fit)
            )
        }
    })
}

fn misses(fit: Fit) -> &'static str {
    if fit == Fit::No { "misses" } else { "probably misses" }
}

fn faster(plan: &Plan<'_>) -> Option<String> {
    let time = plan.forecast.time.time.likely;
    let (reason, share) = plan.forecast.time.bound_by.iter().find(|(reason, _)| *reason != Reason::Draining)?;
    if time.as_secs() < SHORT || *share < WORTH_A_WORD {
        return None;
    }
    let what = match reason {
        Reason::Limit(dimension) => format!("the limit on {}", dimension.name()),
        Reason::Window => "the limit on requests in flight".to_owned(),
        other => other.name().to_owned(),
    };
    let saves = |other: &&Alternative| {
        let is_cheap = other.cost.map(|cost| cost.likely) <= plan.forecast.totals.cost.map(|cost| cost.likely);
        is_cheap && other.time.likely.as_secs_f64() <= (1.0 - WORTH_IT) * time.as_secs_f64()
    };
    // The smallest change that helps is better advice than the largest change. Batches are left out, because their time
    // does not depend on what this run waits for.
    let is_online = |other: &&Alternative| !matches!(other.change, Change::Lane(_));
    let helps = plan.alternatives.iter().filter(is_online).filter(saves).max_by_key(|other| other.time.likely);
    let mut text = format!("The run waits for {what} {} of the time", percent(*share));
    if let Some(other) = helps {
        let spans = [other.time.likely, time].map(rough_duration);
        text.push_str(&format!("; {} would take {} instead of {}", change_words(&other.change), spans[0], spans[1]));
    }
    Some(text + ".")
}

fn cheaper(plan: &Plan<'_>) -> Option<String> {
    let Interval { likely, .. } = plan.forecast.totals.cost?;
    let cost = |other: &Alternative| other.cost.map(|cost| cost.likely);
    let saves =
        |other: &&Alternative| cost(other).is_some_and(|cost| cost.dollars() <= (1.0 - WORTH_IT) * likely.dollars());
    let is_lane = |other: &&Alternative| matches!(other.change, Change::Lane(_));
    let best =
        plan.alternatives.iter().filter(|other| !is_lane(other)).filter(saves).min_by_key(|other| cost(other))?;
    let Change::Model { from, to } = &best.change else { return None };
    let only = match plan.forecast.by_model.len() {
        1 => String::new(),
        _ => format!(" instead of {}", escape(from)),
    };
    Some(format!("With {to}{only}, the run would cost about {} instead of {likely}.", cost(best)?))
}

fn truncated(plan: &Plan<'_>) -> Option<String> {
    let share = plan.forecast.truncated_share.filter(|share| *share > 0.02)?;
    Some(format!(
        "max_tokens truncated {} of the earlier answers; a higher max_tokens would avoid this.",
        percent(share)
    ))
}
