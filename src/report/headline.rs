//! The first line of the summary: how the run ended, how long it took, and how many rows of the file are done.

use super::file_rows::{FileRows, left, pending};
use super::stats::Stats;
use super::summary_context::SummaryContext;
use super::text::{count, duration, plural};
use super::words::halt_words;

/// A placeholder for a blank at which no line may be broken. After the summary is broken into lines, the placeholder
/// becomes a blank.
pub(super) const FIXED_BLANK: &str = "\u{a0}";

/// Returns the first line, such as `finished after 14 s: 318 answered` or `stopped (interrupted) after 1 min 32 s: 137
/// of 200 answered (this run: 92), 9 failed, 54 pending`. The blanks between a number and its word are [`FIXED_BLANK`],
/// so a line never ends between them.
pub(super) fn headline(stats: &Stats, context: &SummaryContext) -> String {
    let what = match stats.ending.as_ref().and_then(|ending| ending.halt.as_ref()) {
        Some(halt) => format!("stopped ({})", halt_words(halt)),
        None if pending(stats) > 0 => "ended early".to_owned(),
        None if let Some(open) = left_words(stats) => format!("ended with {open}"),
        None if stats.failed_total() + context.failed_before > 0 => "finished with failures".to_owned(),
        None => "finished".to_owned(),
    };
    let simulated = if context.is_simulated { ", simulated" } else { "" };
    format!("{what} after {}{simulated}: {}", duration(stats.elapsed()), counts(stats, context))
}

/// Returns the numbers of answered, failed and pending rows over all runs on this file. If there were earlier runs, the
/// number of rows that this run answered is added in brackets.
fn counts(stats: &Stats, context: &SummaryContext) -> String {
    let FileRows { total, answered, failed, in_open_batches, pending } = context.rows(stats);
    let own = stats.succeeded_total();
    let before = answered.saturating_sub(own);
    let is_part = before > 0 || pending > 0;
    let of = total.filter(|_| is_part).map(|total| format!(" of {}", count(total))).unwrap_or_default();
    let this_run = if before > 0 { format!(" (this run: {})", count(own)) } else { String::new() };
    let mut parts = vec![format!("{}{of} answered{this_run}", count(answered))];
    parts.extend((failed > 0).then(|| format!("{} failed", count(failed))));
    parts.extend(left_words(stats).map(|open| format!("{} in {open}", count(in_open_batches))));
    parts.extend((pending > 0).then(|| format!("{} pending", count(pending))));
    parts.iter().map(|part| part.replace(' ', FIXED_BLANK)).collect::<Vec<_>>().join(", ")
}

/// Returns how many rows earlier runs answered.
pub(super) fn answered_before(stats: &Stats, context: &SummaryContext) -> u64 {
    context.rows(stats).answered.saturating_sub(stats.succeeded_total())
}

/// Returns a text with the number of batches that are open at the end of the run. Returns `None` if no batch is open.
fn left_words(stats: &Stats) -> Option<String> {
    let (batches, _) = left(stats);
    (batches > 0).then(|| plural(batches, "open batch", "open batches"))
}
