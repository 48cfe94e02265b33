//! Handles interrupts, and ends a run that halts before the end of its input.

use super::ledger::Ledger;
use super::run::Run;
use super::signals::{self, Interrupt};
use crate::domain::{EventBody, HaltReason};
use crate::report::Reporter;
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Handles an interrupt from outside the run, such as a signal.
    pub(super) fn on_interrupt(&mut self, interrupt: Interrupt) {
        match interrupt {
            Interrupt::Status => {
                self.show_status();
                self.events.on_asked();
            }
            Interrupt::Steer(steer) => self.on_steer(steer),
            Interrupt::Refused(message) => self.events.show(EventBody::Warned(message)),
            Interrupt::End(signal) => {
                self.interrupts_seen += 1;
                if self.interrupts_seen > 1 {
                    return self.abort();
                }
                self.scheduler.halt(HaltReason::Signal(signal));
                let grace = self.grace.or((signal != signals::INT).then_some(signals::GRACE));
                self.abort_at = grace.map(|grace| tokio::time::Instant::now() + grace);
            }
        }
    }

    /// Aborts all requests in flight. Each aborted attempt reports its end.
    pub(super) fn abort(&mut self) {
        self.abort_at = None;
        self.attempts.abort();
        self.lane.iter().for_each(|lane| lane.calls.abort());
    }

    /// If the run has halted, reports the halt (the first time only) and accepts no more rows.
    pub(super) fn note_halt(&mut self) {
        if self.is_draining {
            return;
        }
        let Some(reason) = self.scheduler.halted().cloned() else { return };
        self.is_draining = true;
        self.is_input_open = false;
        let in_flight = self.scheduler.in_flight();
        self.events.show(EventBody::Draining { in_flight, reason: Some(Box::new(reason)) });
    }

    /// Keeps the rows that were set aside: the scheduler will not send these rows in this run.
    pub(super) fn set_aside(&mut self) {
        for planned in self.scheduler.take_set_aside() {
            self.keep(planned);
        }
    }

    /// Reports the state of the run to the reporter.
    pub(super) fn show_status(&mut self) {
        let now = self.clock.now();
        let outage = self.scheduler.outage(now).map(Box::new);
        if outage.is_some() || self.has_outage {
            self.has_outage = outage.is_some();
            self.events.show_at(EventBody::Outage(outage), now);
        }
        self.show_batches(now);
        let status = self.scheduler.status(now);
        self.events.show_at(status, now);
    }
}
