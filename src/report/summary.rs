//! The summary at the end of a run. The summary says what happened, what the run cost, what slowed the run down, where
//! the answers are, and which command the user should probably type next.
//!
//! The summary is plain text, made from [`Stats`] and from facts that only the caller knows ([`SummaryContext`]). If a
//! row of the summary would say nothing, this row is left out. `json/summary.rs` makes the summary as JSON from the
//! same facts.

use std::collections::BTreeMap;
use std::time::Duration;

use super::advice::advice;
use super::failures;
use super::headline::{FIXED_BLANK, headline};
use super::kinds;
use super::lanes;
use super::next_step::next_step;
use super::plain::rate_words;
use super::planned;
use super::providers::OfProvider;
use super::standing::Ending;
use super::stats::Stats;
use super::summary_context::SummaryContext;
use super::text::{ListRow, by_size, count, escape, latency, list, percent, plural, wrap};
use super::totals;
use super::use_of_limits;
use super::words::doing_words;

/// Returns the summary in lines that are at most `columns` columns wide. Only lines with paths and commands can be
/// longer, because paths and commands are never broken.
pub(crate) fn summary(stats: &Stats, context: &SummaryContext, columns: usize) -> String {
    let mut rows = kinds::rows(stats, context);
    rows.extend(labelled("by", stats.providers.several().iter().map(OfProvider::words).collect()));
    rows.extend(by_all_runs(stats, context).map(|text| ListRow::text("all runs", text)));
    rows.extend(labelled("lanes", lanes::lines(stats)));
    // If no row has finished, the summary leaves out the speed, the limits and the advice.
    let has_done = stats.succeeded_total() + stats.failed_total() > 0;
    if let Some(ending) = stats.ending.as_ref().filter(|_| has_done) {
        rows.extend(pace(stats, ending, context));
        rows.extend(labelled("limits", use_of_limits::lines(&ending.uses, ending.elapsed)));
        let faster = advice(stats, ending, context.concurrency);
        rows.extend(faster.map(|advice| ListRow::text("faster", format!("with {advice}"))));
    }
    rows.extend(totals::spent(stats, context));
    let of_run = if context.earlier.is_some() { "this run: " } else { "" };
    rows.extend(stats.caching().map(|used| ListRow::text("cache", format!("{of_run}{}", used.words()))));
    rows.extend(planned::line(stats).map(|line| ListRow::text("plan", line)));
    rows.extend(repeated(stats, context));
    if context.failed_elsewhere == 0 {
        rows.extend(labelled("change", failures::to_change(&context.failed_in_log, stats)));
    }
    rows.extend(files_and_next(stats, context));
    let first = wrap(&headline(stats, context), columns).join("\n").replace(FIXED_BLANK, " ");
    format!("{first}\n{}", list(&rows, columns))
}

/// Returns a list row for each value. The label is shown only in the first row.
fn labelled(label: &'static str, values: Vec<String>) -> impl Iterator<Item = ListRow> {
    values.into_iter().enumerate().map(move |(at, value)| ListRow::text(if at == 0 { label } else { "" }, value))
}

/// Returns how many answers each provider gave in all runs: `1,204 by openrouter, 96 by anthropic`. Returns `None` if
/// all answers came from the same provider, or if earlier runs have no answers.
fn by_all_runs(stats: &Stats, context: &SummaryContext) -> Option<String> {
    let mut counts: BTreeMap<&str, u64> = context.answers_by.iter().map(|(name, rows)| (&**name, *rows)).collect();
    let has_earlier = counts.values().any(|rows| *rows > 0);
    for own in stats.providers.all().iter().filter(|own| own.answered > 0) {
        *counts.entry(&own.name).or_default() += own.answered;
    }
    let by = |(name, rows): (&str, u64)| (rows, format!("by {}", escape(name)));
    (has_earlier && counts.len() > 1).then(|| by_size(counts.into_iter().map(by)))
}

/// Returns the rows about the speed of the run, the latency of the answers, and what slowed the run down.
fn pace(stats: &Stats, ending: &Ending, context: &SummaryContext) -> Vec<ListRow> {
    let mut rows = Vec::new();
    if let Some(rate) = stats.mean_rows_per_minute() {
        let most = match ending.max_in_flight as u64 {
            // No request was in flight: this run only collected batches of earlier runs.
            0 => String::new(),
            most => format!(", at most {} in flight", count(most)),
        };
        // After a run with batches, there is no chart. All answers of a batch come at once, and a chart of only the
        // other rows would be misleading.
        let chart =
            stats.rate_bins.sparkline(ending.elapsed).filter(|_| context.has_chart && stats.batch_rows.rows == 0);
        let chart = chart.map(|chart| format!(" {chart}")).unwrap_or_default();
        rows.push(ListRow::text("speed", format!("{} rows/min{most}{chart}", rate_words(rate))));
    }
    rows.extend(latencies(stats).map(|text| ListRow::text("latency", text)));
    // After a run of less than a second, no reasons are shown, because there is nothing that the user could improve.
    let bound = ending.reasons.iter().filter(|(_, share)| *share >= 0.01).take(3).collect::<Vec<_>>();
    if !bound.is_empty() && ending.elapsed >= Duration::from_secs(1) {
        let parts = bound.iter().map(|(reason, share)| format!("{} {}", percent(*share), doing_words(*reason)));
        rows.push(ListRow::text("time", parts.collect::<Vec<_>>().join(", ")));
    }
    rows
}

/// Returns the text about the latencies of the answers that came online. Returns `None` if no answer came online.
fn latencies(stats: &Stats) -> Option<String> {
    let slowest = stats.pace.longest;
    // The histogram rounds latencies, but the longest latency is exact. So each percentile is limited to the longest
    // latency.
    let of = |share| stats.latencies.percentile(share).map(|found| latency(found.min(slowest)));
    let slowest = Some(slowest).filter(|slowest| !slowest.is_zero())?;
    let (half, most, slowest) = (of(0.5)?, of(0.95)?, latency(slowest));
    // If there were only a few answers, all three values can be the same.
    Some(if half == slowest { half } else { format!("half within {half}, 95% within {most}, slowest {slowest}") })
}

fn repeated(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    let mut rows = Vec::new();
    if stats.retried_total() > 0 {
        let causes = stats.retried.iter().map(|(cause, attempts)| (*attempts, cause.name()));
        rows.push(ListRow::text("retries", format!("{}: {}", count(stats.retried_total()), by_size(causes))));
    }
    rows.extend(billed_twice(context).map(|text| ListRow::text("billing", text)));
    rows
}

/// Returns the text about answers that were possibly billed twice: `possibly billed twice: 11 answers`.
fn billed_twice(context: &SummaryContext) -> Option<String> {
    let maybe = context.maybe_paid.saturating_add(context.maybe_paid_before);
    let mut text = (maybe > 0).then(|| billed_twice_words(maybe))?;
    if context.maybe_paid_before > 0 {
        text.push_str(&format!(", {} of them because an earlier run was cut short", count(context.maybe_paid_before)));
    }
    if context.maybe_paid_earlier > 0 {
        let all = maybe.saturating_add(context.maybe_paid_earlier);
        text.push_str(&format!("; {} in all runs together", count(all)));
    }
    Some(text)
}

/// Returns, as text, the number of answers that were possibly billed twice.
pub(crate) fn billed_twice_words(answers: u64) -> String {
    format!("possibly billed twice: {}", plural(answers, "answer", "answers"))
}

/// Returns the rows of the summary that show the paths of the files. The last row is the command that the user should
/// probably type next.
fn files_and_next(stats: &Stats, context: &SummaryContext) -> Vec<ListRow> {
    let files = [("results", &context.results), ("errors", &context.errors)];
    let files = files.into_iter().filter_map(|(label, path)| Some(ListRow::verbatim(label, escape(path.as_ref()?))));
    let elsewhere = context.failed_elsewhere;
    let files = files.chain((elsewhere > 0).then(|| ListRow::text("", failures::elsewhere(elsewhere))));
    let next = next_step(stats, context);
    files.chain(next.map(|next| ListRow::verbatim(next.kind.name(), escape(&next.command.text)))).collect()
}

#[cfg(test)]
pub(super) mod tests;
