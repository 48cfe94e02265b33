//! Passes events to the reporter, with the time of each event.

use std::sync::Arc;

use crate::clock::{Instant, RunClock};
use crate::domain::{EventBody, RunEvent};
use crate::report::Reporter;

/// Passes events to the reporter of a run.
pub(super) struct Events<R> {
    reporter: R,
    clock: RunClock,
    run: Arc<str>,
    /// The instant and the wall time of the last event. Both times are kept, because dozens of events often have the
    /// same instant.
    last: (Instant, jiff::Timestamp),
}

impl<R: Reporter> Events<R> {
    pub(super) fn new(reporter: R, clock: RunClock, run: Arc<str>) -> Self {
        Self { reporter, clock, run, last: (Instant::ZERO, clock.wall(Instant::ZERO)) }
    }

    /// Reports an event that happens now.
    pub(super) fn show(&mut self, body: EventBody) {
        self.show_at(body, self.clock.now());
    }

    /// Reports an event that happened at `now`.
    pub(super) fn show_at(&mut self, body: EventBody, now: Instant) {
        if self.last.0 != now {
            self.last = (now, self.clock.wall(now));
        }
        let (_, at) = self.last;
        self.reporter.on_event(&RunEvent { at, run: self.run.clone(), body });
    }

    /// Tells the reporter that the user asked for the status.
    pub(super) fn on_asked(&mut self) {
        self.reporter.on_asked();
    }

    /// Returns the reporter that received the events.
    pub(super) fn into_reporter(self) -> R {
        self.reporter
    }
}
