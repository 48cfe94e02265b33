//! Shows a plan as text.

use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{Timestamp, ZonedDateTime};

use super::advice::advice;
use super::ladder::{self, AS_OF, step};
use super::phrases::{change_words, moment, rows_within};
use super::{Fit, Plan, batches, caching};
use crate::domain::{Interval, Lane, Money, RunForecast, Tier};
use crate::forecast::{Alternative, Basis, Change};
use crate::report::text::{ListRow, count, escape, list, percent, plural, rough_duration, wrap};
use crate::report::words::doing_words;

/// The plan names a reason for waiting only if the reason takes at least this share of the run's time.
const LEAST_SHARE: f64 = 0.01;
/// The text that replaces the cost if a model has no price.
const UNKNOWN: &str = "unknown: a model has no price (--prices gives one)";
/// The plan shows the price of another tier only if that tier shortens the run to less than this share of the planned
/// time.
const WORTH_PAYING: f64 = 0.95;
/// The highest number of models that get a line of their own.
const MODELS: usize = 10;

/// Returns the plan in lines of at most `columns` columns.
pub(in crate::cli) fn words(plan: &Plan<'_>, columns: usize) -> String {
    if plan.rows.total == 0 {
        return format!("nothing to plan: no rows in {}", plan.inputs);
    }
    let mut lines: Vec<String> = Vec::new();
    let advice = advice(plan);
    for text in advice.iter().take(1) {
        lines.extend(wrap(text, columns));
        lines.push(String::new());
    }
    lines.push(list(&rows(plan), columns).trim_end().to_owned());
    if plan.rows.to_send > 0 && !plan.alternatives.is_empty() {
        lines.push(String::new());
        lines.push("what other settings would change:".to_owned());
        lines.extend(alternatives(plan, columns));
    }
    for text in advice.iter().skip(1) {
        lines.push(String::new());
        lines.extend(wrap(text, columns));
    }
    lines.join("\n")
}

fn rows(plan: &Plan<'_>) -> Vec<ListRow> {
    let forecast = &plan.forecast;
    let mut rows = vec![ListRow::text("rows", rows_words(plan))];
    if plan.rows.repeated > 0 {
        let repeated = count(plan.rows.repeated);
        let text = format!("{repeated} repeat the request of an earlier row: --dedupe sends each request once");
        rows.push(ListRow::text("", text));
    }
    if plan.rows.to_send == 0 {
        return rows;
    }
    let totals = &forecast.totals;
    let tokens = |tokens: Interval<u64>| {
        let [low, likely, high] = [tokens.low, tokens.likely, tokens.high].map(count);
        if low == high { likely } else { format!("{likely} ({low} to {high})") }
    };
    let (input, output) = (tokens(totals.input_tokens), tokens(totals.output_tokens));
    rows.push(ListRow::text("tokens", format!("{input} in, {output} out")));
    let prices = format!("; prices of {}", plan.catalog.price_date());
    rows.push(ListRow::text("cost", format!("{}{prices}", cost_of(totals.cost, totals.at_most, totals.unpriced))));
    rows.extend(plan.follow_ups.as_ref().map(|words| ListRow::text("", words.clone())));
    rows.extend(plan.paid_twice().map(|most| {
        let requests = plural(forecast.time.max_in_flight, "request", "requests");
        ListRow::text(
            "",
            format!("if the run is killed, about {requests} in flight are possibly billed twice: at most {most}"),
        )
    }));
    let spent = plan.purse.spent;
    if spent > Money::ZERO {
        rows.push(ListRow::text("", format!("earlier runs on these results have spent {spent} in addition")));
    }
    rows.extend(plan.max_cost.map(|most| ListRow::text("", max_cost_words(plan, most))));
    rows.extend(plan.max_requests.map(|most| ListRow::text("", max_requests_words(plan, most))));
    let time = forecast.time.time;
    let time_text = match forecast.lane {
        Lane::Online => time_words(time, plan.now.timestamp(), plan.now.time_zone()),
        Lane::Batch => batches::time_words(time),
    };
    rows.push(ListRow::text("time", time_text));
    rows.extend(plan.max_time.map(|most| ListRow::text("", max_time_words(plan, most))));
    rows.extend(plan.deadline.map(|deadline| ListRow::text("", deadline_words(time, deadline, &plan.now))));
    let bound = forecast.time.bound_by.iter().filter(|(_, share)| *share >= LEAST_SHARE).take(3);
    let bound: Vec<_> = bound.map(|(reason, share)| format!("{} {}", percent(*share), doing_words(*reason))).collect();
    if !bound.is_empty() {
        rows.push(ListRow::text("", bound.join(", ")));
    }
    if forecast.by_model.len() > 1 {
        let of_model = |(at, (model, totals)): (usize, &(String, crate::forecast::Totals))| {
            let cost = cost_of(totals.cost, totals.at_most, totals.unpriced);
            let text = format!("{}: {}, {cost}", escape(model), plural(totals.rows, "row", "rows"));
            ListRow::text(if at == 0 { "models" } else { "" }, text)
        };
        rows.extend(forecast.by_model.iter().enumerate().take(MODELS).map(of_model));
    }
    rows.extend(caching::rows(plan));
    rows.extend(batches::rows(plan));
    rows.push(ListRow::text("limits", plan.limits_from.clone()));
    rows.extend(
        basis(plan).into_iter().enumerate().map(|(at, text)| ListRow::text(if at == 0 { "basis" } else { "" }, text)),
    );
    rows
}

fn rows_words(plan: &Plan<'_>) -> String {
    let rows = plan.rows;
    let mut words = format!("{} to send of {}", count(rows.to_send), plan.inputs);
    for (number, what) in [
        (rows.done, "answered by earlier runs"),
        (rows.submitted, "in open batches of earlier runs"),
        (rows.reused, "reused from earlier results"),
        (rows.copied, "copied from equal rows"),
        (rows.failed_before, "failed before and are not sent again"),
        (rows.unusable, "can't be sent"),
    ] {
        if number > 0 {
            words.push_str(&format!(", {} {what}", count(number)));
        }
    }
    words
}

/// Returns the cost in words, such as `about $0.61 ($0.56 to $0.66), at most $5.24`.
pub(in crate::cli) fn cost_words(forecast: &RunForecast, unpriced: u64) -> String {
    if forecast.cost.is_none() {
        return format!("cost {UNKNOWN}");
    }
    cost_of(forecast.cost, forecast.at_most, unpriced)
}

fn cost_of(cost: Option<Interval<Money>>, at_most: Option<Money>, unpriced: u64) -> String {
    let Some(cost) = cost else {
        return UNKNOWN.to_owned();
    };
    let Interval { low, likely, high } = cost.map(|amount| amount.to_string());
    let about = if low == high { format!("about {likely}") } else { format!("about {likely} ({low} to {high})") };
    let known = match at_most.map(|most| most.rounded_up().to_string()) {
        Some(most) if low == high && likely == most => format!("at most {most}"),
        Some(most) => format!("{about}, at most {most}"),
        None => about,
    };
    match unpriced {
        0 => known,
        rows => {
            format!("{known}, without {} whose cost is unknown (--prices gives a price)", plural(rows, "row", "rows"))
        }
    }
}

/// Returns a time in words, such as `about 51 min (47 min to 55 min), until about 14:32`.
pub(in crate::cli) fn time_words(time: Interval<Duration>, now: Timestamp, zone: &TimeZone) -> String {
    let Interval { low, likely, high } = time.map(rough_duration);
    let span = if low == high { format!("about {likely}") } else { format!("about {likely} ({low} to {high})") };
    let end = now.checked_add(time.likely).unwrap_or(Timestamp::MAX);
    format!("{span}, until about {}", moment(end, now, zone))
}

/// Returns a deadline as text, with seconds if it is less than ten minutes away.
fn deadline_moment(at: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    match at.duration_since(now).as_secs() {
        ..600 => zone.to_datetime(at).strftime("%H:%M:%S").to_string(),
        _ => moment(at, now, zone),
    }
}

fn max_cost_words(plan: &Plan<'_>, most: Money) -> String {
    let left = plan.money_left().unwrap_or(most);
    let kept = plan.purse.kept_words();
    let of = if left == most { String::new() } else { format!(", of which {left} is left{kept}") };
    let Some(cost) = plan.forecast.totals.cost else {
        return format!("--max-cost {most}{of}: not known whether it is enough");
    };
    let by = |more: Money, less: Money| more.less(less).rounded_up();
    match Fit::of(cost, left) {
        Fit::Fits if plan.follow_ups.is_some() && plan.forecast.totals.follow_ups == Money::ZERO => {
            format!("--max-cost {most}{of}: enough for one answer per row; the cost of follow-ups is not known")
        }
        Fit::Fits if plan.forecast.totals.at_most.is_some_and(|at_most| at_most <= left) => {
            format!("--max-cost {most}{of}: enough, even if every answer is as long as max_tokens allows")
        }
        Fit::Fits => format!("--max-cost {most}{of}: enough, {} remain", left.less(cost.high)),
        Fit::ProbablyFits => {
            format!("--max-cost {most}{of}: probably enough; with {} more, certainly enough", by(cost.high, left))
        }
        fit @ (Fit::ProbablyNot | Fit::No) => format!(
            "--max-cost {most}{of}: {}; the likely cost is {} more, and the run stops after about {} of {} rows",
            if fit == Fit::No { "not enough" } else { "probably not enough" },
            by(cost.likely, left),
            count(rows_within(plan.rows.to_send, left, cost.likely)),
            count(plan.rows.to_send)
        ),
    }
}

fn max_requests_words(plan: &Plan<'_>, most: u64) -> String {
    let rows = plan.rows.to_send;
    match most >= rows {
        true => format!("--max-requests {}: enough if only few requests must be sent again", count(most)),
        false => format!("--max-requests {0}: the run stops after at most {0} of {1} rows", count(most), count(rows)),
    }
}

fn max_time_words(plan: &Plan<'_>, most: Duration) -> String {
    let time = plan.forecast.time.time;
    let flag = format!("--max-time {}", rough_duration(most));
    match Fit::of(time, most) {
        Fit::Fits => format!("{flag}: enough"),
        Fit::ProbablyFits => format!("{flag}: probably enough"),
        fit @ (Fit::ProbablyNot | Fit::No) => {
            let share = (most.as_secs_f64() / time.likely.as_secs_f64().max(1e-9)).min(1.0);
            format!(
                "{flag}: {}; the run stops after about {} of {} rows",
                if fit == Fit::No { "not enough" } else { "probably not enough" },
                count((plan.rows.to_send as f64 * share) as u64),
                count(plan.rows.to_send)
            )
        }
    }
}

/// Returns, in words, whether a run that begins now and takes `time` meets the deadline.
pub(in crate::cli) fn deadline_words(time: Interval<Duration>, deadline: Timestamp, now: &ZonedDateTime) -> String {
    let ends = time.map(|span| now.timestamp().checked_add(span).unwrap_or(Timestamp::MAX));
    let span = |from: Timestamp, until: Timestamp| rough_duration(until.duration_since(from).unsigned_abs());
    let when = deadline_moment(deadline, now.timestamp(), now.time_zone());
    match Fit::of(ends, deadline) {
        // With --lane auto, the run sends late rows online, and so finishes just before the deadline. For this reason,
        // the plan does not show how much time is left.
        Fit::Fits if deadline.duration_since(ends.high).as_secs() < 2 => format!("deadline {when}: met"),
        Fit::Fits => format!("deadline {when}: met, with at least {} to spare", span(ends.high, deadline)),
        Fit::ProbablyFits => {
            format!("deadline {when}: probably met, with about {} to spare", span(ends.likely, deadline))
        }
        Fit::ProbablyNot => format!("deadline {when}: probably missed by about {}", span(deadline, ends.likely)),
        Fit::No => format!("deadline {when}: missed by at least {}", span(deadline, ends.low)),
    }
}

fn basis(plan: &Plan<'_>) -> Vec<String> {
    let forecast = &plan.forecast;
    let rows = |basis: &std::collections::BTreeMap<Basis, u64>, of: Basis| basis.get(&of).copied().unwrap_or(0);
    let mut texts = Vec::new();
    let mut add = |basis: &std::collections::BTreeMap<Basis, u64>, of: Basis, what: &str| {
        let number = rows(basis, of);
        if number > 0 {
            texts.push(format!("{what} ({})", plural(number, "row", "rows")));
        }
    };
    let counted = format!("input: token counts of {}", plural(plan.counted, "row", "rows"));
    add(&forecast.input_basis, Basis::Counts, &counted);
    add(&forecast.input_basis, Basis::Template, "input: earlier answers to the same template");
    add(&forecast.input_basis, Basis::Model, "input: earlier answers of the same model");
    add(&forecast.input_basis, Basis::Assumption, "input: estimated from the text");
    add(&forecast.output_basis, Basis::Template, "output: earlier answers to the same template");
    add(&forecast.output_basis, Basis::Model, "output: earlier answers of the same model to other templates");
    add(&forecast.output_basis, Basis::Assumption, "output: assumed, from 8 tokens to max_tokens, likely 256");
    let is_used = rows(&forecast.output_basis, Basis::Assumption) < forecast.totals.rows
        || rows(&forecast.input_basis, Basis::Assumption) < forecast.totals.rows;
    let unused = if is_used { "" } else { " (not used: fewer than 5 answers are of these models)" };
    for source in &plan.learned.files {
        let origin = source.origin.as_deref().map(|origin| format!(" from {}", escape(origin))).unwrap_or_default();
        let path = source.path.display().to_string();
        let answers = plural(source.answers, "answer", "answers");
        texts.push(format!("history: {answers}{origin} in {}{unused}", escape(&path)));
    }
    texts
}

/// Returns a line for each possible change: the flags, the time and cost of the changed run, and a remark. If a remark
/// does not fit into the line, the remark gets lines of its own.
fn alternatives(plan: &Plan<'_>, columns: usize) -> Vec<String> {
    let cells = |other: &Alternative| {
        let cost = other.cost.map_or_else(|| "cost unknown".to_owned(), |cost| format!("about {}", cost.likely));
        let cost = if matches!(other.change, Change::Tier(_)) { String::new() } else { cost };
        [change_words(&other.change), format!("about {}", rough_duration(other.time.likely)), cost]
    };
    let rows: Vec<_> = plan.alternatives.iter().map(|other| (cells(other), remark(plan, other))).collect();
    let width = |at: usize| rows.iter().map(|(cells, _)| cells[at].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2].map(width);
    let mut lines = Vec::new();
    for ([change, time, cost], remark) in &rows {
        let [of_change, of_time, of_cost] = widths;
        let cost = if of_cost > 0 { format!("  {cost:of_cost$}") } else { String::new() };
        let line = format!("  {change:of_change$}  {time:of_time$}{cost}");
        let whole = format!("{line}  {remark}");
        if whole.trim_end().chars().count() <= columns {
            lines.push(whole.trim_end().to_owned());
            continue;
        }
        if line.trim_end().chars().count() <= columns {
            lines.push(line.trim_end().to_owned());
        } else {
            lines.push(format!("  {change}"));
            lines.push(format!("      {time}{cost}").trim_end().to_owned());
        }
        lines.extend(wrap(remark, columns.saturating_sub(6)).iter().map(|part| format!("      {part}")));
    }
    lines
}

/// Returns the remark that is shown about a change, besides the time and cost of the change.
fn remark(plan: &Plan<'_>, other: &Alternative) -> String {
    match &other.change {
        Change::Tier(tier) => {
            let is_faster =
                other.time.likely.as_secs_f64() < WORTH_PAYING * plan.forecast.time.time.likely.as_secs_f64();
            ladder_words(plan, *tier, is_faster)
        }
        Change::Lane(Lane::Batch) => batches::remark(plan),
        Change::Lane(Lane::Online) | Change::Model { .. } | Change::NoCache => String::new(),
        Change::MaxTokens { from, .. } => {
            let most = other.at_most.map(|most| format!("at most {}, ", most.rounded_up())).unwrap_or_default();
            format!("{most}instead of {from}")
        }
    }
}

/// Returns the remark about a change to another tier. If `is_faster` is true, the tier saves time, and the remark also
/// says what the tier costs.
fn ladder_words(plan: &Plan<'_>, tier: Tier, is_faster: bool) -> String {
    let Some(step) = plan.step(tier) else {
        return plan.catalog.tier_table(tier).map(|table| format!("limits as of {}", table.date)).unwrap_or_default();
    };
    let ladder::Step { deposit, increase, break_even_a_day } = step;
    let factor = |factor: Option<f64>| {
        let text = factor.map_or("-".to_owned(), |factor| format!("{factor:.2}"));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let [requests, input, output] = increase.map(factor);
    let factors = format!("{requests}, {input} and {output} times the limits on requests, input and output");
    if !is_faster {
        return factors;
    }
    let pays = break_even_a_day.map(|rows| {
        let requests = plural(rows.ceil() as u64, "request", "requests");
        format!("; worth it if {requests} a day would have to wait")
    });
    format!("{factors}; deposit ${:.0}{} (as of {AS_OF})", deposit.dollars(), pays.unwrap_or_default())
}

impl Plan<'_> {
    /// Returns the step to one of the tiers 1 to 4. The step is computed for the pool with the most rows; a pool is a
    /// group of rows that share limits.
    pub(super) fn step(&self, tier: Tier) -> Option<ladder::Step> {
        let mean = self.forecast.totals.cost.map(|cost| Money(cost.likely.0 / u128::from(self.rows.to_send.max(1))));
        step(self.catalog, self.tier, tier, self.main_pool.as_deref()?, mean)
    }
}
