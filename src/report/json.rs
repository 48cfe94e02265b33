//! `--progress json`: one JSON object per line, for scripts.
//!
//! `EVENTS.md` describes the objects, and `fixtures/schemas/event.schema.json` is their schema.
//!
//! Characters that could control a terminal are written as `\uXXXX`, because people look at these lines too.
//!
//! There are no events about single rows, because the results file and the error log contain the rows. Within one
//! version of the format, members can be added, but the meaning of a member never changes.

mod batches;
mod cache;
mod limit_use;
mod numbers;
mod objects;
mod providers;
mod summary;
mod tokens;

use std::io::Write;

use jiff::{SignedDuration, Timestamp};

use self::objects::{Body, Line};
use super::harmless;
use super::stats::Stats;
use super::view::View;
use crate::domain::event::EVENT_VERSION;
use crate::domain::{EventBody, RunEvent};

pub(crate) use self::numbers::rounded;
pub(crate) use self::objects::Progress;
pub(crate) use self::summary::{SummaryEnd, summary_line};
pub(crate) use self::tokens::Tokens;

/// A view that writes one JSON object per line.
pub(crate) struct Json {
    writer: Box<dyn Write + Send>,
    due_at: Option<Timestamp>,
}

impl Json {
    const EVERY: SignedDuration = SignedDuration::from_secs(1);

    /// Returns a view that writes JSON lines to `writer`.
    pub(crate) fn new(writer: Box<dyn Write + Send>) -> Self {
        Self { writer, due_at: None }
    }

    fn write(&mut self, event: &RunEvent, body: Body<'_>) {
        let line = Line { v: EVENT_VERSION, at: event.at, run: &event.run, body };
        if let Ok(mut bytes) = harmless::to_vec(&line) {
            bytes.push(b'\n');
            let _ = self.writer.write_all(&bytes);
        }
    }
}

impl View for Json {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        let due_at = *self.due_at.get_or_insert(event.at.saturating_add(Self::EVERY).unwrap_or(Timestamp::MAX));
        let is_end = matches!(event.body, EventBody::Ended { .. });
        if event.at >= due_at || is_end {
            self.write(event, Body::Progress(Box::new(Progress::of(stats))));
            self.due_at = event.at.saturating_add(Self::EVERY).ok();
        }
        if let Some(body) = Body::of(&event.body, stats) {
            self.write(event, body);
        }
    }

    /// Writes nothing, because the next event comes within a tenth of a second, and the line of that event shows the
    /// progress.
    fn answer(&mut self, _stats: &Stats) {
        self.due_at = Some(Timestamp::MIN);
    }
}

/// Returns the JSON line about an event, without its line break. Returns `None` for an event that has no JSON line.
pub(crate) fn event_line(event: &RunEvent, stats: &Stats) -> Option<Vec<u8>> {
    let body = Body::of(&event.body, stats)?;
    harmless::to_vec(&Line { v: EVENT_VERSION, at: event.at, run: &event.run, body }).ok()
}

/// Returns the JSON line about the state of a run, without its line break.
pub(crate) fn progress_line(event: &RunEvent, stats: &Stats) -> Option<Vec<u8>> {
    let body = Body::Progress(Box::new(Progress::of(stats)));
    harmless::to_vec(&Line { v: EVENT_VERSION, at: event.at, run: &event.run, body }).ok()
}

/// Returns a JSON line for a message that is not an event of the run. The line has no line break.
pub(crate) fn note(run: &str, message: &str, at: Timestamp) -> String {
    let line = Line { v: EVENT_VERSION, at, run, body: Body::Note { message } };
    harmless::to_vec(&line).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}

#[cfg(test)]
mod schemas;

#[cfg(test)]
mod tests {
    use super::super::provider_states::tests::chain;
    use super::super::stats::tests::{at, pool};
    use super::*;
    use std::time::Duration;

    use crate::domain::{Failure, LimitKind, Outage};

    #[test]
    fn every_object_about_a_pool_names_its_provider() {
        let stats = chain();
        let id = pool("haiku-4.5", [None; 3]).pool;
        let held = EventBody::Held { pool: id, wait: Duration::from_secs(1), kind: LimitKind::Rate, dimension: None };

        let progress = serde_json::to_value(Progress::of(&stats)).expect("it is JSON");
        let held = event_line(&at(1, held), &stats).expect("it has a line");
        let held: serde_json::Value = serde_json::from_slice(&held).expect("it is JSON");

        assert_eq!((&held["provider"], &held["pool"]), (&"anthropic".into(), &"haiku-4.5".into()));
        let pools = progress["pools"].as_array().expect("it is a list");
        assert_eq!(pools.iter().map(|pool| &pool["provider"]).collect::<Vec<_>>(), ["bedrock", "openrouter"]);
        let stopped = serde_json::json!({"provider": "anthropic", "answered": 840, "failed": 0, "cost_usd": 8.4,
            "state": "stopped", "to": "openrouter", "why": "account", "left": {"limit": 2, "account": 1}, "limited": 0,
            "holds": 0});
        assert_eq!(progress["providers"][0], stopped);
        let one = serde_json::to_value(Progress::of(&Stats::default())).expect("it is JSON");
        assert_eq!(one["providers"], serde_json::json!([]));
    }

    #[test]
    fn an_outage_is_part_of_the_progress_while_it_lasts() {
        let fault = Failure { status: Some(529), message: "Overloaded".to_owned(), ..Failure::default() };
        let (lasted, next_try) = (Duration::from_secs(42), Some(Duration::from_millis(2_500)));
        let outage = Outage { provider: "anthropic".into(), fault, lasted, next_try };
        let mut stats = Stats::default();
        let mut shown = |outage: Option<Outage>| {
            stats.fold(&at(1, EventBody::Outage(outage.map(Box::new))));
            serde_json::to_value(Progress::of(&stats)).expect("it is JSON")["outage"].clone()
        };

        let (during, after) = (shown(Some(outage)), shown(None));

        let expected = serde_json::json!({"provider": "anthropic", "fault": "the endpoint is overloaded (529)",
            "status": 529, "message": "Overloaded", "lasted_s": 42.0, "next_try_s": 2.5});
        assert_eq!((during, after), (expected, serde_json::Value::Null));
    }
}
