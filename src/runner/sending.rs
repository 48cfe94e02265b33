//! Sends requests. Sends the requests that the scheduler allows. Before a request is sent, the ledger marks it as in
//! flight.

use super::ledger::Ledger;
use super::run::Run;
use crate::clock::Instant;
use crate::domain::{EventBody, HaltReason, Reason, Verdict, WriteFault};
use crate::report::Reporter;
use crate::scheduler::{Step, Ticket};
use crate::transport::Transport;

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    /// Sends all requests that the scheduler allows now. Returns the time at which this function must be called again,
    /// even if nothing happens until then; `None` when all rows have ended.
    pub(super) fn dispatch(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        let until = loop {
            let until = self.mark_allowed_requests(now);
            if self.send_marked(now) {
                break until;
            }
        };
        self.show_scheduler_events();
        self.note_halt();
        self.set_aside();
        until
    }

    fn mark_allowed_requests(&mut self, now: Instant) -> Option<Instant> {
        loop {
            if self.is_backed_up() && self.scheduler.holds_rows() {
                self.scheduler.bind(Reason::Disk, now);
                return Some(Instant::NEVER);
            }
            match self.scheduler.poll(now) {
                Step::Dispatch { ticket, stream } => match self.mark(ticket) {
                    Ok(()) => self.marked.push((ticket, stream)),
                    Err(fault) => self.refuse(ticket, fault, now),
                },
                // A canary (a test request) belongs to no row, so it has no mark.
                Step::Canary { ticket } => self.attempts.start(ticket, self.scheduler.ask(ticket), None, false, false),
                Step::Wait { until, reason } => {
                    if reason == Reason::Draining {
                        self.bind_to_batches(now);
                    }
                    return Some(until);
                }
                Step::Drained => {
                    self.bind_to_batches(now);
                    return None;
                }
            }
        }
    }

    fn mark(&mut self, ticket: Ticket) -> Result<(), WriteFault> {
        let (row, at_most) = (self.scheduler.sent(ticket), self.scheduler.at_most(ticket));
        self.ledger.mark(ticket, &row.job, at_most)
    }

    /// Sends the requests that were marked. Returns `false` if the marks can't be written. If the result is `false`,
    /// the scheduler must be polled again.
    fn send_marked(&mut self, now: Instant) -> bool {
        let marks = self.ledger.flush();
        let mut marked = std::mem::take(&mut self.marked);
        let is_sent = marks.is_ok() || marked.is_empty();
        for (ticket, stream) in marked.drain(..) {
            match &marks {
                Ok(()) => self.send(ticket, stream, now),
                Err(fault) => self.refuse(ticket, fault.clone(), now),
            }
        }
        self.marked = marked;
        is_sent
    }

    fn send(&mut self, ticket: Ticket, stream: bool, now: Instant) {
        let scheduler = &self.scheduler;
        let (marked, is_awaited) = (scheduler.marked(ticket), scheduler.is_awaited(ticket));
        let (row, ask) = (scheduler.sent(ticket).job.custom_id.as_str().into(), scheduler.ask(ticket));
        let pool = ask.pool.clone();
        self.attempts.start(ticket, ask, marked, is_awaited, stream);
        self.events.show_at(EventBody::Sent { row, pool }, now);
    }

    /// Ends an attempt that can't be marked in the ledger. The request of the attempt is not sent. Without a mark, the
    /// next run after a crash would not know that the request was possibly billed.
    fn refuse(&mut self, ticket: Ticket, fault: WriteFault, now: Instant) {
        self.on_end(ticket, Verdict::Halt(HaltReason::Disk(fault)), None, now);
    }

    fn show_scheduler_events(&mut self) {
        for event in self.scheduler.take_events() {
            self.events.show(event);
        }
    }
}
