//! Plain lines of progress, for logs and other output that can't be redrawn. A line is printed after 1, 10, 30 and 60
//! seconds, then every minute, and after an hour every five minutes. So the user soon sees that a run works, and the
//! log of a long run stays short.
//!
//! A line is never wrapped: it is fitted to the width of the log, and the least important parts are left out.

use std::io::Write;
use std::time::Duration;

use super::answers::Answers;
use super::notes::{Notes, Verbosity};
use super::now::Now;
use super::open_batches;
use super::outlook::Outlook;
use super::parts::{Part, fit};
use super::provider_states::State;
use super::ranges::{rough_money_range, time_range};
use super::stats::Stats;
use super::text::{count, duration, escape, plural, rough_duration, short_count};
use super::view::View;
use crate::domain::{EventBody, Reason, RunEvent};

/// The width of lines, in columns, if the width of the log is not known.
const USUAL_WIDTH: usize = 120;
/// The smallest width of lines, in columns.
const LEAST_WIDTH: usize = 20;

/// A view that writes a line of progress from time to time, and each note immediately.
pub(crate) struct Plain {
    writer: Box<dyn Write + Send>,
    notes: Notes,
    columns: usize,
    /// The time of the next line, counted from the start of the run.
    due: Duration,
}

impl Plain {
    /// Returns a view that writes plain lines to `writer`. `columns` is the width of the log; `None` if it is not
    /// known.
    pub(crate) fn new(verbosity: Verbosity, columns: Option<usize>, writer: Box<dyn Write + Send>) -> Self {
        let columns = columns.unwrap_or(USUAL_WIDTH).max(LEAST_WIDTH);
        Self { writer, notes: Notes::new(verbosity), columns, due: due_after(Duration::ZERO) }
    }
}

/// If the last line was printed at the time `elapsed`, returns the time of the next line. Both times are counted from
/// the start of the run.
fn due_after(elapsed: Duration) -> Duration {
    const FIRST: [u64; 3] = [1, 10, 30];
    const MINUTE: u64 = 60;
    const HOUR: u64 = 3_600;
    let secs = elapsed.as_secs();
    let step = if secs < HOUR { MINUTE } else { 5 * MINUTE };
    let next = FIRST.into_iter().find(|mark| *mark > secs).unwrap_or((secs / step + 1) * step);
    Duration::from_secs(next)
}

impl View for Plain {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if let Some(note) = self.notes.of(event) {
            let _ = writeln!(self.writer, "{note}");
        }
        let elapsed = stats.elapsed();
        // There is no line at the end of the run, because the summary follows immediately and contains the same
        // numbers.
        if elapsed >= self.due && !matches!(event.body, EventBody::Ended { .. }) {
            let _ = writeln!(self.writer, "{}", line_within(stats, self.columns));
            self.due = due_after(elapsed);
        }
    }

    fn answer(&mut self, stats: &Stats) {
        let _ = writeln!(self.writer, "{}", line(stats));
    }
}

/// Returns the state of a run as one line of text with all its parts.
pub(crate) fn line(stats: &Stats) -> String {
    line_within(stats, usize::MAX)
}

/// Returns the state of a run as one line of text, at most `columns` wide.
fn line_within(stats: &Stats, columns: usize) -> String {
    let mut parts = vec![Part::fixed(10, duration(stats.elapsed()))];
    parts.extend(
        rows_parts(stats).into_iter().enumerate().map(|(at, part)| if at == 0 { part.after(": ") } else { part }),
    );
    parts.extend(provider_parts(stats));
    if let Some(rate) = stats.rows_per_minute() {
        let rate = format!("{} rows/min", rate_words(rate));
        parts.push(part(5, rate.clone(), rate));
    }
    parts.extend(left_parts(stats));
    parts.extend(now_parts(stats));
    parts.extend(retries_part(stats));
    parts.extend(cost_parts(stats));
    fit(&mut parts, columns);
    parts
        .iter()
        .enumerate()
        .map(|(at, part)| format!("{}{}", if at == 0 { "" } else { part.joint }, part.text))
        .collect()
}

fn part(rank: u8, long: impl Into<String>, short: impl Into<String>) -> Part {
    Part::new(rank, long, short).after(", ")
}

fn rows_parts(stats: &Stats) -> Vec<Part> {
    let finished = stats.finished();
    let mut parts = vec![match stats.total {
        Some(total) => part(
            9,
            format!("{} of {} done", count(finished), plural(total, "row", "rows")),
            format!("{}/{} done", count(finished), count(total)),
        ),
        None => part(9, format!("{} done", plural(finished, "row", "rows")), format!("{} done", count(finished))),
    }];
    let answers = Answers::of(stats);
    parts.extend(answers.ok_words(&stats.mended).map(|words| part(1, words, "")));
    let not_ok = format!("{} not ok", short_count(answers.not_ok()));
    parts.extend(answers.not_ok_words().map(|words| part(7, words, not_ok)));
    if answers.failed > 0 {
        let failed = format!("{} failed", count(answers.failed));
        parts.push(part(8, failed.clone(), failed));
    }
    if stats.taken.rows() > 0 {
        parts.push(part(1, format!("{} of them without a request", count(stats.taken.rows())), ""));
    }
    parts
}

fn provider_parts(stats: &Stats) -> Vec<Part> {
    let several = stats.providers.several().iter();
    several
        .map(|own| {
            let answered = format!("{} by {}", count(own.answered), escape(&own.name));
            part(6, format!("{answered} ({})", State::of(own, stats).words()), answered)
        })
        .collect()
}

fn left_parts(stats: &Stats) -> Vec<Part> {
    match stats.outlook() {
        Outlook::Left(left) => {
            let left = format!("about {} left", rough_duration(left));
            let range = time_left_range(stats).map(|range| Part::optional(2, format!("({range})")).after(" "));
            [part(7, left.clone(), left)].into_iter().chain(range).collect()
        }
        Outlook::Unknown => left_by_plan(stats).map(|left| part(2, left, "")).into_iter().collect(),
        // The time left is not known, and another part of the line shows what the run waits for.
        Outlook::Batches(_) | Outlook::Waiting { .. } => Vec::new(),
    }
}

fn now_parts(stats: &Stats) -> Vec<Part> {
    let (Some(now), Some(standing)) = (Now::of(stats), &stats.standing) else { return Vec::new() };
    if let Some(batches) = stats.waits_for_batches() {
        let words = open_batches::words(batches);
        // The short form is the text before the semicolon. The text before the semicolon says how many batches there
        // are and how old they are.
        let first = words.split(';').next().unwrap_or_default();
        return vec![part(8, format!("waiting for {words}"), format!("waiting for {first}"))];
    }
    let mut parts = vec![part(8, now.long, now.short)];
    if standing.reason != Reason::Draining && !stats.is_stopping {
        let (in_flight, window) = (count(standing.in_flight as u64), count(standing.window as u64));
        parts.push(part(3, format!("{in_flight} of {window} in flight"), ""));
    }
    parts
}

fn retries_part(stats: &Stats) -> Option<Part> {
    let retries = stats.retried_total();
    (retries > 0).then(|| part(3, plural(retries, "retry", "retries"), ""))
}

fn cost_parts(stats: &Stats) -> Vec<Part> {
    let spent = match stats.known_cost() {
        None => part(9, "cost unknown", "$?"),
        Some(cost) if stats.unpriced == 0 => part(9, format!("{cost} spent"), cost.to_string()),
        Some(cost) => {
            let unknown = plural(stats.unpriced, "row", "rows");
            part(9, format!("{cost} spent and the unknown cost of {unknown}"), format!("{cost} + unknown"))
        }
    };
    let projected = projected_cost(stats).filter(|_| stats.unpriced == 0);
    let projected = projected.map(|range| part(4, format!("{range} expected in total"), format!("{range} expected")));
    [spent].into_iter().chain(projected).collect()
}

/// Returns the time left according to the plan, such as `10–14 min left (planned)`. Returns `None` if there is no
/// plan, or if the time left can already be estimated from the finished rows.
pub(super) fn left_by_plan(stats: &Stats) -> Option<String> {
    let range = stats.projected_time_left().filter(|_| stats.outlook() == Outlook::Unknown)?;
    Some(format!("{} left (planned)", time_range(range)))
}

/// Returns the interval of the time left, such as `10–15 min`. Returns `None` if the remaining time is not shown, or if
/// both ends of the interval look the same.
pub(crate) fn time_left_range(stats: &Stats) -> Option<String> {
    matches!(stats.outlook(), Outlook::Left(_)).then_some(())?;
    let range = stats.projected_time_left()?;
    Some(time_range(range)).filter(|range| range.contains('–') || range.contains(" to "))
}

/// Returns the expected cost of all rows of the run, such as `$8.40–9.10`. Returns `None` if this cost is not known, or
/// if all rows are done.
pub(crate) fn projected_cost(stats: &Stats) -> Option<String> {
    let range = stats.projected_cost().filter(|_| stats.remaining() != Some(0))?;
    let shown = rough_money_range(range);
    Some(if shown.contains('–') || shown.starts_with("up to") { shown } else { format!("about {shown}") })
}

/// Returns a rate as text, with one decimal place if it is below ten.
pub(crate) fn rate_words(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

#[cfg(test)]
mod tests {
    use super::super::line::tests::busy;
    use super::super::provider_states::tests::chain;
    use super::super::text::width;
    use super::*;

    #[test]
    fn the_time_between_lines_grows() {
        let mut due = vec![due_after(Duration::ZERO)];
        while due.len() < 64 {
            due.push(due_after(due[due.len() - 1]));
        }

        let seconds: Vec<_> = due.iter().map(Duration::as_secs).collect();
        assert_eq!(seconds[..6], [1, 10, 30, 60, 120, 180]);
        assert_eq!(seconds[61..], [3_540, 3_600, 3_900]);
    }

    #[test]
    fn a_line_is_never_wider_than_the_log_and_keeps_what_matters_most() {
        for columns in LEAST_WIDTH..250 {
            for stats in [busy(), chain()] {
                assert!(width(&line_within(&stats, columns)) <= columns, "{columns}: {}", line_within(&stats, columns));
            }
        }

        insta::assert_snapshot!([200, 120, 80, 40].map(|columns| line_within(&busy(), columns)).join("\n"), @"
        2 min 00 s: 1,201 of 20,000 rows done, 1 failed, 601 rows/min, about 31 min left (26–37 min), limited by output tokens per minute, 32 of 64 in flight, $12.00 spent, $195–206 expected in total
        2 min 00 s: 1,201/20,000 done, 1 failed, 601 rows/min, about 31 min left, limited by output tokens, $12.00
        2 min 00 s: 1,201/20,000 done, 1 failed, limited by output tokens, $12.00
        2 min 00 s: 1,201/20,000 done, $12.00
        ");
    }
}
