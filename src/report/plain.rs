//! Plain lines, for logs and other output that can't be redrawn: one line after a second, then one every ten seconds.
//! While a run only waits for batches, which may take a day, there is a line every minute, and after an hour one every
//! five minutes.

use std::io::Write;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::answers::Answers;
use super::notes::{Notes, Verbosity};
use super::outlook::Outlook;
use super::provider_states::State;
use super::ranges::{rough_money_range, time_range};
use super::stats::Stats;
use super::text::{count, duration, escape, plural};
use super::view::View;
use super::words::outage_words;
use crate::domain::{EventBody, Reason, RunEvent};

const HOUR: Duration = Duration::from_secs(3_600);

/// Writes a line every ten seconds, and each note immediately.
pub(crate) struct Plain {
    writer: Box<dyn Write + Send>,
    notes: Notes,
    /// When the last line was written; before the first line, the time of the first event.
    shown_at: Option<Timestamp>,
    is_begun: bool,
}

impl Plain {
    const FIRST: SignedDuration = SignedDuration::from_secs(1);
    const EVERY: SignedDuration = SignedDuration::from_secs(10);
    const EVERY_MINUTE: SignedDuration = SignedDuration::from_mins(1);
    const EVERY_FIVE_MINUTES: SignedDuration = SignedDuration::from_mins(5);

    /// Returns the time between the last line and the next one.
    fn pause(&self, stats: &Stats) -> SignedDuration {
        match stats.waits_for_batches() {
            _ if !self.is_begun => Self::FIRST,
            None => Self::EVERY,
            Some(batches) if batches.oldest < HOUR => Self::EVERY_MINUTE,
            Some(_) => Self::EVERY_FIVE_MINUTES,
        }
    }

    /// Returns a view that writes to `writer`.
    pub(crate) fn new(verbosity: Verbosity, writer: Box<dyn Write + Send>) -> Self {
        Self { writer, notes: Notes::new(verbosity), shown_at: None, is_begun: false }
    }
}

impl View for Plain {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        if let Some(note) = self.notes.of(event) {
            let _ = writeln!(self.writer, "{note}");
        }
        let shown_at = *self.shown_at.get_or_insert(event.at);
        let is_due = event.at >= later(shown_at, self.pause(stats));
        // After the end, the summary is printed immediately and contains these numbers.
        if is_due && !matches!(event.body, EventBody::Ended { .. }) {
            let _ = writeln!(self.writer, "{}", line(stats));
            (self.shown_at, self.is_begun) = (Some(event.at), true);
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
    let answers = Answers::of(stats);
    parts.extend(answers.ok_words(&stats.mended));
    parts.extend(answers.not_ok_words());
    if answers.failed > 0 {
        parts.push(format!("{} failed", count(answers.failed)));
    }
    if stats.taken.rows() > 0 {
        parts.push(format!("{} of them without a request", count(stats.taken.rows())));
    }
    let several = stats.providers.several().iter();
    parts.extend(several.map(|own| {
        let state = State::of(own, stats).words();
        format!("{} by {} ({state})", count(own.answered), escape(&own.name))
    }));
    if let Some(rate) = stats.rows_per_minute() {
        parts.push(format!("{} rows/min", rate_words(rate)));
    }
    let outlook = stats.outlook();
    let words = outlook.words().map(|words| match time_left_range(stats) {
        Some(range) => format!("{words} ({range})"),
        None => words,
    });
    // These are several sentences, so they come last.
    let is_last = matches!(outlook, Outlook::Batches(_));
    parts.extend(words.clone().filter(|_| !is_last));
    if let Some(standing) = stats.standing.as_ref().filter(|_| stats.waits_for_batches().is_none()) {
        parts.extend(match (&stats.outage, standing.reason) {
            (Some(outage), _) if !stats.providers.are_several() => Some(outage_words(outage)),
            // The outlook says what the run waits for.
            (_, Reason::Draining | Reason::Batches) => None,
            (_, reason) => Some(format!("bound by {}", reason.name())),
        });
        parts.push(format!("{} of {} in flight", count(standing.in_flight as u64), count(standing.window as u64)));
    }
    let projected = projected_cost(stats).map(|range| format!(" of {range}")).unwrap_or_default();
    parts.push(match stats.known_cost() {
        None => "cost unknown".to_owned(),
        Some(cost) if stats.unpriced == 0 => format!("{cost}{projected}"),
        Some(cost) => format!("{cost} and the unknown cost of {}", plural(stats.unpriced, "row", "rows")),
    });
    parts.extend(words.filter(|_| is_last));
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
