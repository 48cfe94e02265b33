//! The part of a plan about batches: their cost and time, which rows can't be in batches, and whether the prompt cache
//! is cheaper.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use super::phrases::moment;
use super::{Fit, Plan, caching};
use crate::domain::{Interval, Lane, LaneChoice, Money};
use crate::forecast::InBatches;
use crate::report::text::{ListRow, count, percent, plural, rough_duration};

/// How many days the API keeps a batch. Source: API documentation, "Batch processing" (2026-09-20).
const STORED_DAYS: u32 = 29;

/// The member `batches` of a plan in JSON.
#[derive(Serialize)]
pub(super) struct Batches {
    /// The number of rows that can be sent in batches. `online_rows` is the number of rows that can't be sent in
    /// batches.
    rows: u64,
    online_rows: u64,
    /// The number of batches. `rounds` is how many times the batches fill the API's queue for batches.
    batches: u64,
    rounds: u64,
    /// The number of rows that fit into the API's queue for batches; `null` if it is not known.
    queue: Option<u32>,
    /// The likely cost of the run in batches, without the prompt cache; `null` if no row has a price.
    cost_usd: Option<f64>,
    /// The likely cost of the run online, with the planned use of the prompt cache.
    online_cost_usd: Option<f64>,
    time_s: Interval<f64>,
    /// The lowest hit rates at which the prompt cache saves money in batches; `null` if they are not known.
    break_even_hit_rate: Option<BreakEven>,
    stored_days: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<OnlineUntil>,
}

#[derive(Serialize)]
struct BreakEven {
    #[serde(rename = "5m")]
    minutes: f64,
    #[serde(rename = "1h")]
    hour: f64,
}

/// For `--lane auto`: whether the run meets the deadline if all rows are sent online.
#[derive(Serialize)]
struct OnlineUntil {
    online_alone: &'static str,
    /// The time until which all rows can stay in batches; `null` if there is too little time to send all rows online.
    all_until: Option<Timestamp>,
    /// The share of the rows that can be answered online before the deadline.
    online_share: f64,
}

/// Returns the member `batches` of a plan in JSON; `None` if no row can be sent in a batch.
pub(super) fn of(plan: &Plan<'_>) -> Option<Batches> {
    let batches = plan.batches.as_ref()?;
    let round = |rate: f64| (rate * 1e4).round() / 1e4;
    let dollars = |cost: Option<Interval<Money>>| cost.map(|cost| cost.likely.dollars());
    Some(Batches {
        rows: batches.rows,
        online_rows: batches.online_rows,
        batches: number_of_batches(plan, batches),
        rounds: batches.rounds,
        queue: plan.batch_queue,
        cost_usd: dollars(batches.totals.cost),
        online_cost_usd: dollars(plan.online.totals.cost),
        time_s: batches.time.map(|span| span.as_secs_f64()),
        break_even_hit_rate: batches
            .break_even
            .map(|[minutes, hour]| BreakEven { minutes: round(minutes), hour: round(hour) }),
        stored_days: STORED_DAYS,
        deadline: deadline(plan).map(|found| OnlineUntil {
            online_alone: found.fit.name(),
            all_until: found.all_until,
            online_share: round(found.online_share),
        }),
    })
}

/// Returns the lines of the plan about batches.
pub(super) fn rows(plan: &Plan<'_>) -> Vec<ListRow> {
    let is_chosen = plan.lane.uses_batches();
    let texts = match &plan.batches {
        Some(batches) => {
            let chosen = [sizes_words(plan, batches), stored_words()].into_iter().filter(|_| is_chosen);
            let mut texts: Vec<String> = chosen.collect();
            texts.extend(deadline_words(plan));
            texts.extend(tests_words(batches.online_tests).filter(|_| is_chosen));
            texts.extend(refused_words(batches.online_rows, plan.rows.asked_again));
            texts.extend(cache_words(plan, batches));
            texts
        }
        None if is_chosen && plan.load.online_tests() > 0 => {
            let tests = plan.load.online_tests();
            let refused = refused_words(plan.rows.to_send.saturating_sub(tests), plan.rows.asked_again);
            ["none: all rows are sent online".to_owned()].into_iter().chain(tests_words(tests)).chain(refused).collect()
        }
        None if is_chosen && plan.rows.to_send > 0 => match plan.rows.asked_again {
            0 => vec![format!("none: {REFUSED} in every row, so all rows are sent online")],
            again => refused_words(plan.rows.to_send, again),
        },
        None => Vec::new(),
    };
    let label = |at: usize| if at == 0 { "batches" } else { "" };
    texts.into_iter().enumerate().map(|(at, text)| ListRow::text(label(at), text)).collect()
}

const REFUSED: &str = "batches refuse a parameter (speed, fallbacks or max_tokens 0)";

/// Returns the remark about an alternative that the plan shows: sending the rows in batches.
pub(super) fn remark(plan: &Plan<'_>) -> String {
    let longest = plan.batches.as_ref().map(|batches| hours(batches.time.high)).unwrap_or_default();
    format!("at most {longest}; {}", stored_words())
}

/// Returns how long a run in batches takes, in words.
pub(in crate::cli) fn time_words(time: Interval<Duration>) -> String {
    let [likely, high] = [time.likely, time.high].map(hours);
    format!("probably within {likely}, at most {high}")
}

/// Returns a time in words. Whole hours, up to 96, are shown without minutes and days.
fn hours(span: Duration) -> String {
    match (span.as_secs() / 3_600, span.as_secs() % 3_600) {
        (hours @ 1..=96, 0) => format!("{hours} h"),
        _ => rough_duration(span),
    }
}

fn number_of_batches(plan: &Plan<'_>, batches: &InBatches) -> u64 {
    batches.rows.div_ceil(u64::from(plan.batch_rows.get()))
}

fn sizes_words(plan: &Plan<'_>, batches: &InBatches) -> String {
    let number = plural(number_of_batches(plan, batches), "batch", "batches");
    let rows = plural(batches.rows, "row", "rows");
    match (batches.rounds, plan.batch_queue) {
        (2.., Some(queue)) => format!(
            "{rows} at half price, in {number}; the queue of the tier holds {} rows, so they are sent in {} rounds",
            count(queue.into()),
            count(batches.rounds)
        ),
        _ => format!("{rows} at half price, in {number}; most batches end within 1 h, all within 24 h"),
    }
}

fn stored_words() -> String {
    format!("the API stores batches for {STORED_DAYS} days (no zero data retention)")
}

/// Returns a line about the rows that are sent online because each is the first of its kind.
fn tests_words(tests: u64) -> Option<String> {
    (tests > 0)
        .then(|| format!("{} online at the full price: the first row of each kind", plural(tests, "row", "rows")))
}

/// Returns lines that say why this many rows (`online`) are sent online: their earlier answers must be replaced, or the
/// API does not accept these rows in batches.
fn refused_words(online: u64, asked_again: u64) -> Vec<String> {
    let again = asked_again.min(online);
    let reasons = [(again, "rows whose answers are asked for again are sent online"), (online - again, REFUSED)];
    let reasons = reasons.into_iter().filter(|(rows, _)| *rows > 0);
    reasons.map(|(rows, why)| format!("{} online at the full price: {why}", plural(rows, "row", "rows"))).collect()
}

/// Returns lines that compare two costs: in batches without the prompt cache, and online with the prompt cache. The
/// lines also say how high the hit rate must be so that the cache saves money in batches. Returns no lines if the rows
/// share no prefix that is worth caching.
fn cache_words(plan: &Plan<'_>, batches: &InBatches) -> Vec<String> {
    if !caching::is_planned(plan) {
        return Vec::new();
    }
    let mut texts = Vec::new();
    if let (Some(half), Some(online)) = (batches.totals.cost, plan.online.totals.cost) {
        let [half, online] = [half.likely, online.likely];
        let cheaper = if online < half { "online with the cache" } else { "batches without a cache" };
        texts.push(format!("cheaper here: {cheaper} (online about {online}, in batches about {half})"));
    }
    texts.extend(batches.break_even.map(|[minutes, hour]| {
        format!(
            "in batches, the cache saves money from a hit rate of {} (5 min) or {} (1 h); the API promises no hit \
             rate, and batches share no cache with online requests",
            percent(minutes),
            percent(hour)
        )
    }));
    texts
}

/// How well the run meets the deadline if all rows are sent online.
struct Deadline {
    fit: Fit,
    at: Timestamp,
    all_until: Option<Timestamp>,
    online_share: f64,
}

fn deadline(plan: &Plan<'_>) -> Option<Deadline> {
    let at = plan.deadline.filter(|_| plan.lane == LaneChoice::Auto && plan.forecast.lane == Lane::Batch)?;
    let left = at.duration_since(plan.now.timestamp()).unsigned_abs();
    let time = plan.online.time.time;
    let all_until = at.checked_sub(time.high).ok().filter(|until| *until > plan.now.timestamp());
    let online_share = (left.as_secs_f64() / time.likely.as_secs_f64().max(1e-9)).min(1.0);
    Some(Deadline { fit: Fit::of(time, left), at, all_until, online_share })
}

fn deadline_words(plan: &Plan<'_>) -> Option<String> {
    let found = deadline(plan)?;
    let shown = |at| moment(at, plan.now.timestamp(), plan.now.time_zone());
    Some(match found.all_until {
        Some(until) => {
            let half = found.at.checked_sub(plan.online.time.time.high / 2).unwrap_or(until);
            format!(
                "sending rows online can meet the deadline: all rows can wait in batches until {}, half of the rows \
                 until {}",
                shown(until),
                shown(half)
            )
        }
        None => {
            let rest = 1.0 - found.online_share;
            let [online, rest] = [found.online_share, rest].map(percent);
            let fit = if found.fit == Fit::No { "misses" } else { "may miss" };
            format!(
                "sending all rows online {fit} the deadline: about {online} of the rows can be sent online in time, \
                 and about {rest} depend on batches that end in time"
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_is_asked_for_again_is_no_fault_of_a_parameter() {
        let again = "rows whose answers are asked for again are sent online";

        assert_eq!(refused_words(49, 49), [format!("49 rows online at the full price: {again}")]);
        assert_eq!(refused_words(2, 0), [format!("2 rows online at the full price: {REFUSED}")]);
        assert_eq!(refused_words(0, 0), Vec::<String>::new());
        assert_eq!(refused_words(3, 1)[0], format!("1 row online at the full price: {again}"));
    }
}
