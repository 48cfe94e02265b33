//! Plain lines, for logs and other output that can't be redrawn: one line after a second, then one every ten seconds.

use std::io::Write;

use jiff::{SignedDuration, Timestamp};

use super::notes::{Notes, Verbosity};
use super::outlook::Outlook;
use super::ranges::{rough_money_range, time_range};
use super::stats::Stats;
use super::text::{count, duration, plural};
use super::view::View;
use super::words::outage_words;
use crate::domain::{EventBody, Reason, RunEvent};

/// Writes a line every ten seconds, and each note immediately.
pub(crate) struct Plain {
    writer: Box<dyn Write + Send>,
    notes: Notes,
    due_at: Option<Timestamp>,
}

impl Plain {
    const FIRST: SignedDuration = SignedDuration::from_secs(1);
    const EVERY: SignedDuration = SignedDuration::from_secs(10);

    /// Returns a view that writes to `writer`.
    pub(crate) fn new(verbosity: Verbosity, writer: Box<dyn Write + Send>) -> Self {
        Self { writer, notes: Notes::new(verbosity), due_at: None }
    }
}

impl View for Plain {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if let Some(note) = self.notes.of(event) {
            let _ = writeln!(self.writer, "{note}");
        }
        let due_at = *self.due_at.get_or_insert_with(|| later(event.at, Self::FIRST));
        // After the end, the summary is printed immediately and contains these numbers.
        if event.at >= due_at && !matches!(event.body, EventBody::Ended { .. }) {
            let _ = writeln!(self.writer, "{}", line(stats));
            self.due_at = Some(later(event.at, Self::EVERY));
        }
    }

    fn answer(&mut self, stats: &Stats) {
        let _ = writeln!(self.writer, "{}", line(stats));
    }
}

/// Returns the state of a run as one line of text.
pub(crate) fn line(stats: &Stats) -> String {
    let mut parts = vec![match stats.total {
        Some(total) => format!("{} of {} done", count(stats.finished()), plural(total, "row", "rows")),
        None => format!("{} done", plural(stats.finished(), "row", "rows")),
    }];
    if stats.failed_total() > 0 {
        parts.push(format!("{} failed", count(stats.failed_total())));
    }
    if stats.taken.rows() > 0 {
        parts.push(format!("{} of them without a request", count(stats.taken.rows())));
    }
    if let Some(rate) = stats.rows_per_minute() {
        parts.push(format!("{} rows/min", rate_words(rate)));
    }
    parts.extend(stats.outlook().words().map(|words| match time_left_range(stats) {
        Some(range) => format!("{words} ({range})"),
        None => words,
    }));
    if let Some(standing) = &stats.standing {
        parts.extend(match (&stats.outage, standing.reason) {
            (Some(outage), _) => Some(outage_words(outage)),
            // The outlook says that the run waits for the last answers.
            (None, Reason::Draining) => None,
            (None, reason) => Some(format!("bound by {}", reason.name())),
        });
        parts.push(format!("{} of {} in flight", count(standing.in_flight as u64), count(standing.window as u64)));
    }
    let projected = projected_cost(stats).map(|range| format!(" of {range}")).unwrap_or_default();
    parts.push(match stats.known_cost() {
        None => "cost unknown".to_owned(),
        Some(cost) if stats.unpriced == 0 => format!("{cost}{projected}"),
        Some(cost) => format!("{cost} and the unknown cost of {}", plural(stats.unpriced, "row", "rows")),
    });
    format!("{}: {}", duration(stats.elapsed()), parts.join(", "))
}

/// Returns the interval of the time left, such as `10–15 min`; `None` if no time left is shown, or if its interval looks
/// like a single value.
pub(crate) fn time_left_range(stats: &Stats) -> Option<String> {
    matches!(stats.outlook(), Outlook::Left(_)).then_some(())?;
    let range = stats.projected_time_left()?;
    Some(time_range(range)).filter(|range| range.contains('–') || range.contains(" to "))
}

/// Returns what all rows of the run will cost, such as `$8.40–9.10`; `None` if that is not known, and when all rows are
/// done.
pub(crate) fn projected_cost(stats: &Stats) -> Option<String> {
    let range = stats.projected_cost().filter(|_| stats.remaining() != Some(0))?;
    let shown = rough_money_range(range);
    Some(if shown.contains('–') || shown.starts_with("up to") { shown } else { format!("about {shown}") })
}

/// Returns a rate as text, with one decimal place if it is below ten.
pub(crate) fn rate_words(rate: f64) -> String {
    if rate < 10.0 { format!("{rate:.1}") } else { count(rate.round() as u64) }
}

fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}
