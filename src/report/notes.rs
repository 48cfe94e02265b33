//! Notes: lines about single events, above the progress of the run.
//!
//! A hold is a wait of a pool after a 429. If a limit is set far too high, pools often have to wait after a 429. So,
//! for each pool, the notes show a hold at most once every ten seconds. The counters also include the holds that the
//! notes do not show.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::text::{count, duration, escape, plural, shorten};
use super::words::{diverted_words, fault_words, halt_words, returned_words, stopped_words};
use crate::domain::{
    ErrorClass, EventBody, FailedRow, HaltReason, LimitKind, Outage, PoolId, RateLimits, RetriedRow, RunEvent,
};

/// How many messages are printed (`-q`, `-v`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only errors.
    Quiet,
    /// Prints everything that the user should know.
    #[default]
    Normal,
    /// Also prints each retry and each failure.
    Verbose,
}

/// The largest width of a row's label, in columns of the terminal.
const LONGEST_LABEL: usize = 40;

/// Turns events into notes.
#[derive(Debug)]
pub(crate) struct Notes {
    verbosity: Verbosity,
    /// Whether the run has several providers. If the run has several providers, the notes name the provider.
    has_several: bool,
    told_at: BTreeMap<PoolId, Timestamp>,
    /// The last note about an outage: its text, its time, and how long the outage had lasted at that time.
    outage: Option<(String, Timestamp, Duration)>,
    /// The beginning of a note about this outage: the name of the provider. In a run with one provider, this text is
    /// empty.
    failing: String,
}

impl Notes {
    const PAUSE: Duration = Duration::from_secs(10);

    /// Returns a `Notes` with this level of messages.
    pub(crate) fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, has_several: false, told_at: BTreeMap::new(), outage: None, failing: String::new() }
    }

    /// Returns the note for an event. The note is one line, without a line break at its end. The text of the note is
    /// already escaped for a terminal.
    pub(crate) fn of(&mut self, event: &RunEvent) -> Option<String> {
        if let Some(warning) = warning(event) {
            return (self.verbosity > Verbosity::Quiet).then_some(warning);
        }
        match &event.body {
            EventBody::Providers(names) => {
                self.has_several = names.len() > 1;
                None
            }
            EventBody::Diverted { from, to, why } if self.verbosity > Verbosity::Quiet => {
                self.has_several = true;
                Some(diverted_words(&escape(from), &escape(to), *why))
            }
            EventBody::ProviderStopped { provider, reason } if self.verbosity > Verbosity::Quiet => {
                Some(escape(&stopped_words(provider, reason)).into_owned())
            }
            EventBody::Returned { to } if self.verbosity > Verbosity::Quiet => Some(returned_words(&escape(to))),
            EventBody::Held { pool, wait, kind, dimension } if self.may_tell(pool, event.at) => {
                let bucket = dimension.map(|dimension| format!(" on {}", dimension.name())).unwrap_or_default();
                let pool = pool.named(self.has_several);
                Some(format!("{} must wait {}: {}{bucket}", escape(&pool), duration(*wait), limit_name(*kind)))
            }
            EventBody::Outage(outage) if self.verbosity > Verbosity::Quiet => self.outage(outage.as_deref(), event.at),
            EventBody::LimitsChanged { pool, limits } if self.verbosity > Verbosity::Quiet => {
                let pool = pool.named(self.has_several);
                Some(format!("{}: the limits are now {}", escape(&pool), limits_words(limits)))
            }
            EventBody::Draining { in_flight, reason: Some(reason) } if self.verbosity > Verbosity::Quiet => {
                Some(draining(*in_flight, reason))
            }
            EventBody::Retried { row, class, .. } if self.verbosity == Verbosity::Verbose => Some(retry(row, *class)),
            EventBody::Failed { class, row, .. } if self.verbosity == Verbosity::Verbose => Some(failure(row, *class)),
            EventBody::Steered { message, .. } => Some(format!("note: {}", escape(message))),
            EventBody::Noted(text) => Some(format!("note: {}", escape(text))),
            EventBody::Started { .. }
            | EventBody::Forecast(_)
            | EventBody::Models(_)
            | EventBody::Skipped
            | EventBody::Sent { .. }
            | EventBody::Retried { .. }
            | EventBody::Mending { .. }
            | EventBody::Succeeded { .. }
            | EventBody::Taken { .. }
            | EventBody::Failed { .. }
            | EventBody::Status { .. }
            | EventBody::Outage(_)
            | EventBody::Batches(_)
            | EventBody::Held { .. }
            | EventBody::LimitsChanged { .. }
            | EventBody::Parked { .. }
            | EventBody::Diverted { .. }
            | EventBody::ProviderStopped { .. }
            | EventBody::Returned { .. }
            | EventBody::Crossed(_)
            | EventBody::InputBroke
            | EventBody::Warned(_)
            | EventBody::Draining { .. }
            | EventBody::Ended { .. } => None,
        }
    }

    /// Returns a note in three cases: an outage begins, the fault of the outage changes, or the outage ends. The
    /// progress line shows how long the outage has lasted and when the next try is.
    fn outage(&mut self, outage: Option<&Outage>, now: Timestamp) -> Option<String> {
        let Some(outage) = outage else {
            let (_, told, lasted) = self.outage.take()?;
            let since = now.duration_since(told).try_into().unwrap_or(Duration::ZERO);
            let works = format!("the endpoint works again after {}", duration(lasted + since));
            return Some(format!("{}{works}", self.failing));
        };
        let failing = if self.has_several { format!("{}: ", escape(&outage.provider)) } else { String::new() };
        let fault = format!("{failing}{}", fault_words(&outage.fault));
        let is_due = |told: &Timestamp| now.duration_since(*told) >= signed(Self::PAUSE);
        match &self.outage {
            Some((words, told, _)) if *words == fault || !is_due(told) => return None,
            Some(_) | None => {}
        }
        self.failing = failing;
        self.outage = Some((fault.clone(), now, outage.lasted));
        let lasted = match outage.lasted < Duration::from_secs(1) {
            true => String::new(),
            false => format!(", {} so far", duration(outage.lasted)),
        };
        let message = match outage.fault.message.is_empty() {
            true => String::new(),
            false => format!(" (\"{}\")", escape(&outage.fault.message)),
        };
        let wait = if self.has_several { "rows wait or go to another provider" } else { "rows wait" };
        Some(format!("{fault}{lasted}{message}; {wait}, and single requests are sent until one is answered"))
    }

    fn may_tell(&mut self, pool: &PoolId, now: Timestamp) -> bool {
        if self.verbosity != Verbosity::Normal {
            return self.verbosity == Verbosity::Verbose;
        }
        let is_due = self.told_at.get(pool).is_none_or(|told| now.duration_since(*told) >= signed(Self::PAUSE));
        if is_due {
            self.told_at.insert(pool.clone(), now);
        }
        is_due
    }
}

/// Returns the text of a warning event. A warning is something that the user can or must act on.
pub(crate) fn warning(event: &RunEvent) -> Option<String> {
    if let EventBody::Warned(text) = &event.body {
        return Some(format!("warning: {}", escape(text)));
    }
    let EventBody::Parked { model, message } = &event.body else { return None };
    Some(format!("warning: model {} was not found, its rows stay pending ({})", escape(model), escape(message)))
}

/// Returns the name of this kind of limit, such as `rate limit`.
pub(crate) fn limit_name(kind: LimitKind) -> &'static str {
    match kind {
        LimitKind::Rate => "rate limit",
        LimitKind::Acceleration => "acceleration limit",
        LimitKind::Concurrency => "concurrency limit",
    }
}

/// Returns the note for a retry: `retry: row r17: 529 overloaded, try 2 in 4 s`.
fn retry(row: &RetriedRow, class: ErrorClass) -> String {
    let wait = match row.wait.is_zero() {
        true => "at once".to_owned(),
        false => format!("in {}", duration(row.wait)),
    };
    format!("retry: row {}: {}, try {} {wait}", name(&row.label), fault(row.status, class), row.next_try)
}

/// Returns the note for a failure: `failed: row r17: 400 invalid_request: max_tokens is too large`.
fn failure(row: &FailedRow, class: ErrorClass) -> String {
    let message = match row.message.is_empty() {
        true => String::new(),
        false => format!(": {}", escape(&row.message)),
    };
    format!("failed: row {}: {}{message}", name(&row.label), fault(row.status, class))
}

fn fault(status: Option<u16>, class: ErrorClass) -> String {
    status.map_or_else(|| class.to_string(), |status| format!("{status} {class}"))
}

/// Returns the label of a row, shortened so that the whole note fits on one line of a terminal.
fn name(label: &str) -> String {
    shorten(&escape(label), LONGEST_LABEL).into_owned()
}

fn draining(in_flight: usize, reason: &HaltReason) -> String {
    match (reason, in_flight as u64) {
        (HaltReason::Signal(_), some @ 1..) => {
            let requests = plural(some, "request", "requests");
            format!("interrupted: waiting for {requests} in flight; interrupt again to stop at once")
        }
        (_, 0) => format!("{}: stopping, nothing is in flight", halt_words(reason)),
        (_, some) => {
            let requests = plural(some, "request is", "requests are");
            format!("{}: stopping, {requests} in flight", halt_words(reason))
        }
    }
}

/// Returns rate limits as text, such as `1,000 requests, 90,000 output tokens per minute`.
pub(super) fn limits_words(limits: &RateLimits) -> String {
    let shown = [(limits.rpm, "requests"), (limits.itpm, "input tokens"), (limits.otpm, "output tokens")]
        .into_iter()
        .filter_map(|(limit, name)| limit.map(|limit| format!("{} {name}", count(limit.into()))))
        .collect::<Vec<_>>();
    if shown.is_empty() { "there is no limit".to_owned() } else { format!("{} per minute", shown.join(", ")) }
}

fn signed(span: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(span).unwrap_or(jiff::SignedDuration::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::stats::tests::{at, pool, retried};
    use super::*;
    use crate::domain::{Dimension, Failure, Usage};

    #[test]
    fn a_pool_that_is_held_again_soon_gets_one_note() {
        let mut notes = Notes::new(Verbosity::Normal);

        let told = [0, 1, 9, 10].map(|second| notes.of(&held(second)).is_some());

        assert_eq!(told, [true, false, false, true]);
    }

    #[test]
    fn a_hold_names_pool_time_and_bucket() {
        let note = Notes::new(Verbosity::Normal).of(&held(0));

        assert_eq!(note.as_deref(), Some("haiku-4.5 must wait 12 s: rate limit on output tokens"));
    }

    #[test]
    fn messages_of_a_server_cannot_control_the_terminal() {
        let parked = EventBody::Parked { model: "m\x1b[2J".to_owned(), message: "gone\nERROR".to_owned() };

        let note = Notes::new(Verbosity::Normal).of(&at(0, parked));

        assert_eq!(
            note.as_deref(),
            Some(r"warning: model m\u{1b}[2J was not found, its rows stay pending (gone\nERROR)")
        );
    }

    #[test]
    fn an_interrupt_is_noted_and_the_end_of_the_input_is_not() {
        let mut notes = Notes::new(Verbosity::Normal);

        let end = notes.of(&at(0, EventBody::Draining { in_flight: 3, reason: None }));
        let interrupt =
            notes.of(&at(0, EventBody::Draining { in_flight: 3, reason: Some(Box::new(HaltReason::Signal(2))) }));

        assert_eq!(end, None);
        assert_eq!(
            interrupt.as_deref(),
            Some("interrupted: waiting for 3 requests in flight; interrupt again to stop at once")
        );
    }

    #[test]
    fn an_outage_is_noted_when_it_begins_when_it_changes_and_when_it_ends() {
        let mut notes = Notes::new(Verbosity::Normal);
        let mut of = |second, status, lasted| {
            let fault = Failure { status: Some(status), message: "Over\u{1b}".to_owned(), ..Failure::default() };
            let next_try = Some(Duration::from_secs(3));
            let lasted = Duration::from_secs(lasted);
            let outage = Outage { provider: "anthropic".into(), fault, lasted, next_try };
            notes.of(&at(second, EventBody::Outage(Some(Box::new(outage)))))
        };

        let told = [of(2, 529, 2), of(3, 529, 3), of(60, 529, 60), of(61, 500, 61), of(62, 529, 62)];
        let over = [70, 71].map(|second| notes.of(&at(second, EventBody::Outage(None))));

        let told = told.map(Option::unwrap_or_default);
        let words = r#"the endpoint is overloaded (529), 2 s so far ("Over\u{1b}"); rows wait, and single requests are sent until one is answered"#;
        assert_eq!(told[0], words);
        assert!(told[3].starts_with("the endpoint fails (500), 1 min 01 s so far"), "{told:?}");
        assert!([1, 2, 4].iter().all(|at| told[*at].is_empty()), "{told:?}");
        assert_eq!(over, [Some("the endpoint works again after 1 min 10 s".to_owned()), None]);
    }

    #[test]
    fn a_retry_and_a_failure_name_the_row_and_its_fault() {
        let mut notes = Notes::new(Verbosity::Verbose);
        let mut retry = |label: &str, status, wait| {
            let row = RetriedRow { label: label.to_owned(), status, wait: Duration::from_secs(wait), ..*retried() };
            let row = Box::new(row);
            let body = EventBody::Retried { row, class: ErrorClass::Overloaded, limit: None, maybe_paid: false };
            notes.of(&at(0, body)).unwrap_or_default()
        };

        assert_eq!(retry("r17", Some(529), 4), "retry: row r17: 529 overloaded, try 2 in 4 s");
        assert_eq!(retry("r17", None, 0), "retry: row r17: overloaded, try 2 at once");
        let long = retry(&format!("a\u{1b}{}", "x".repeat(200)), Some(529), 4);
        assert_eq!(long, format!("retry: row a\\u{{1b}}{}…: 529 overloaded, try 2 in 4 s", "x".repeat(32)));
        let failed = |message: &str| {
            let row = Box::new(FailedRow::new("r9", Some(400), message, false));
            let class = ErrorClass::InvalidRequest;
            let body = EventBody::Failed { class, row, usage: Usage::default(), cost: None, without_cache: None };
            Notes::new(Verbosity::Verbose).of(&at(0, body)).unwrap_or_default()
        };
        assert_eq!(failed("too\nlong"), r"failed: row r9: 400 invalid_request: too\nlong");
        assert_eq!(failed(""), "failed: row r9: 400 invalid_request");
        assert_eq!(
            Notes::new(Verbosity::Normal).of(&at(0, super::super::stats::tests::failed(ErrorClass::Server))),
            None
        );
    }

    #[test]
    fn quiet_says_nothing() {
        let mut notes = Notes::new(Verbosity::Quiet);

        assert_eq!(notes.of(&held(0)), None);
        assert_eq!(notes.of(&at(0, EventBody::Warned("x".to_owned()))), None);
    }

    fn held(second: i64) -> RunEvent {
        let pool = pool("haiku-4.5", [None; 3]).pool;
        let wait = Duration::from_secs(12);
        at(second, EventBody::Held { pool, wait, kind: LimitKind::Rate, dimension: Some(Dimension::OutputTokens) })
    }
}
