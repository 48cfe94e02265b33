//! The run: steps of the scheduler become requests, their ends become lines, lines on disk become events.
//!
//! [`drive`] is the one loop. It owns the scheduler, so there is no lock anywhere; attempts are tasks that answer over
//! one channel. It knows no format, no socket and no file: rows come over a channel ([`Fed`]), requests go through a
//! [`Transport`], lines go to a [`Ledger`]. So whole runs are tested on virtual time with all three in memory.
//!
//! Invariants:
//! - durable before visible: a row is shown as done when its line is on disk, not before;
//! - a row is marked in the ledger before its request is sent, so a death can be told from a row that never was sent
//!   (rows of one turn of the loop together, in one write);
//! - what has come is handed to the system before anything else is sent, so a death takes no more answers than requests
//!   were in flight;
//! - while lines wait for a slow disk, or for a slow reader of standard output, nothing new is sent and no row is taken.

mod attempt;
mod early;
pub mod input;
mod ledger;
mod room;
mod senders;
pub mod signals;
mod thread;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

pub use early::{Early, Heard, Progress};
pub use input::Fed;
pub use ledger::{Commit, JournalLedger, Ledger, commits};
pub use signals::Interrupt;
pub use thread::LoopThread;

use crate::clock::{Instant, RunClock};
use crate::domain::{
    Ended, ErrorClass, EventBody, FailedRow, HaltReason, Job, Money, Outcome, Planned, Reason, RunEvent, Usage,
    Verdict, WriteFault,
};
use crate::provider::Provider;
use crate::report::Reporter;
use crate::scheduler::{Next, Scheduler, Step, Ticket};
use crate::transport::Transport;

use attempt::{End, Head, Report};
use room::Held;
use senders::Senders;

/// Bytes of lines that may wait for the disk before sending stops: a fifth of a second's worth at forty thousand rows a
/// second, hours' worth at the limits of an account. A loss of power can take them; for standard output they lie in memory.
const BACKLOG_BYTES: usize = 8 << 20;
/// Bytes of rows that are kept until their lines are on disk before sending stops: an answer may be a thousandth of its row.
const UNSYNCED_BYTES: usize = 8 << 20;
/// Bytes of lines that may lie in memory before a large answer keeps its room until its line is written.
const UNWRITTEN_BYTES: usize = 4 << 20;
/// How often watchers are told where things stand.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// Ends of attempts that are taken in before the scheduler is asked again.
const REPORTS: usize = 256;

/// What a run is made of.
pub struct Parts<T, L, R> {
    /// How requests reach the server.
    pub transport: Arc<T>,
    /// How rows become requests and responses replies.
    pub provider: Arc<dyn Provider>,
    /// The scheduler, with nothing offered yet.
    pub scheduler: Scheduler,
    /// Where lines go.
    pub ledger: L,
    /// What the ledger says of lines on disk.
    pub commits: mpsc::UnboundedReceiver<Commit>,
    /// Where rows come from; its end is the end of the input.
    pub feed: mpsc::Receiver<Fed>,
    /// Interrupts.
    pub interrupts: mpsc::Receiver<Interrupt>,
    /// Who watches.
    pub reporter: R,
    /// The run's time.
    pub clock: RunClock,
    /// The run's name.
    pub run: Arc<str>,
    /// How long requests in flight may go on after an interrupt that asks for an end; `None` as long as they take.
    pub grace: Option<Duration>,
    /// Whether rows that this run does not answer are kept for the caller (else only counted).
    pub keep_pending: bool,
}

/// How a run ended. Who counts its rows is the reporter.
#[derive(Debug, Default)]
pub struct Finish {
    /// Why it stopped before the end of its input.
    pub halted: Option<HaltReason>,
    /// Rows that were read and neither answered nor failed.
    pub pending: u64,
    /// The pending rows themselves, where they are kept; those whose lines could not be written are among them.
    pub kept: Vec<Job>,
    /// Requests that were cut off in flight and may have been billed.
    pub aborted: u64,
    /// Attempts of this run that may have been billed without a kept answer, the aborted ones included.
    pub maybe_paid: u64,
    /// A fault of the input itself, after which no more rows were read.
    pub input_error: Option<String>,
}

/// Runs until every row has ended or the run is halted, and every line is on disk.
pub async fn drive<T: Transport, L: Ledger, R: Reporter>(parts: Parts<T, L, R>) -> (Finish, L, R) {
    let (reports_in, reports) = mpsc::unbounded_channel();
    let mut run = Run {
        senders: Senders::new(parts.transport, parts.provider, parts.clock, reports_in),
        scheduler: parts.scheduler,
        ledger: parts.ledger,
        reporter: parts.reporter,
        clock: parts.clock,
        name: parts.run,
        keep_pending: parts.keep_pending,
        grace: parts.grace,
        marked: Vec::new(),
        last_shown: (Instant::ZERO, parts.clock.wall(Instant::ZERO)),
        unsynced: VecDeque::new(),
        unsynced_bytes: 0,
        is_broken: false,
        next_seq: 0,
        is_input_open: true,
        is_draining: false,
        has_outage: false,
        interrupts_seen: 0,
        abort_at: None,
        finish: Finish::default(),
    };
    run.go(Channels { commits: parts.commits, feed: parts.feed, interrupts: parts.interrupts, reports }).await;
    (run.finish, run.ledger, run.reporter)
}

struct Channels {
    commits: mpsc::UnboundedReceiver<Commit>,
    feed: mpsc::Receiver<Fed>,
    interrupts: mpsc::Receiver<Interrupt>,
    reports: mpsc::UnboundedReceiver<Report>,
}

struct Run<T, L, R> {
    senders: Senders<T>,
    scheduler: Scheduler,
    ledger: L,
    reporter: R,
    clock: RunClock,
    name: Arc<str>,
    keep_pending: bool,
    grace: Option<Duration>,
    /// Attempts of this turn that wait for their marks, and whether each asks for a stream.
    marked: Vec<(Ticket, bool)>,
    /// The moment of the last event, also in wall time: events come by the dozen.
    last_shown: (Instant, jiff::Timestamp),
    /// Events that wait for their lines to be on disk.
    unsynced: VecDeque<Unsynced>,
    /// Bytes of the rows that are kept there.
    unsynced_bytes: usize,
    /// Whether lines can't be written any more.
    is_broken: bool,
    next_seq: u64,
    is_input_open: bool,
    is_draining: bool,
    /// Whether an outage was told whose end was not.
    has_outage: bool,
    interrupts_seen: u32,
    abort_at: Option<tokio::time::Instant>,
    finish: Finish,
}

/// What becomes known once a line is on disk.
struct Unsynced {
    seq: u64,
    event: EventBody,
    /// The row, where pending rows are kept: it is one of them when its line can't be written.
    job: Option<Box<Job>>,
    /// What a large answer holds of the room for all, where its line still lies in memory.
    held: Option<Box<Held>>,
}

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    async fn go(&mut self, mut channels: Channels) {
        let mut ticks = tokio::time::interval(STATUS_EVERY);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            self.take_rows(&mut channels.feed);
            let Some(until) = self.dispatch() else { break };
            let wants_rows = self.wants_rows();
            tokio::select! {
                biased;
                Some(interrupt) = channels.interrupts.recv() => self.on_interrupt(interrupt),
                Some(commit) = channels.commits.recv() => self.on_commit(commit),
                Some(report) = channels.reports.recv() => {
                    self.take_reports(report, &mut channels.reports);
                }
                fed = channels.feed.recv(), if wants_rows => self.on_fed(fed),
                () = sleep_until(self.clock.deadline(until)) => {}
                () = sleep_until(self.abort_at), if self.abort_at.is_some() => self.abort(),
                _ = ticks.tick() => self.show_status(),
            }
        }
        self.close(channels).await;
    }

    fn wants_rows(&self) -> bool {
        self.is_input_open && self.scheduler.wants() > 0 && !self.is_backed_up()
    }

    /// Returns whether more waits for the disk, or for who reads standard output, than may.
    fn is_backed_up(&self) -> bool {
        self.ledger.backlog_bytes() > BACKLOG_BYTES || self.unsynced_bytes > UNSYNCED_BYTES
    }

    fn take_rows(&mut self, feed: &mut mpsc::Receiver<Fed>) {
        while self.wants_rows() {
            match feed.try_recv() {
                Ok(fed) => self.on_fed(Some(fed)),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => self.on_fed(None),
            }
        }
    }

    fn take_reports(&mut self, first: Report, reports: &mut mpsc::UnboundedReceiver<Report>) {
        let now = self.clock.now();
        self.on_report(first, now);
        for _ in 0..REPORTS {
            let Ok(report) = reports.try_recv() else { break };
            self.on_report(report, now);
        }
    }

    /// Sends what may be sent; returns until when to wait, or `None` when everything has ended.
    fn dispatch(&mut self) -> Option<Instant> {
        let now = self.clock.now();
        let until = loop {
            let until = self.mark_what_may_go(now);
            if self.send_marked(now) {
                break until;
            }
        };
        self.show_scheduler_events();
        self.note_halt();
        self.set_aside();
        until
    }

    fn mark_what_may_go(&mut self, now: Instant) -> Option<Instant> {
        loop {
            if self.is_backed_up() && self.scheduler.holds_rows() {
                self.scheduler.bind(Reason::Disk, now);
                return Some(Instant::NEVER);
            }
            match self.scheduler.poll(now) {
                Step::Dispatch { ticket, stream } => match self.ledger.mark(ticket, &self.scheduler.sent(ticket).job) {
                    Ok(()) => self.marked.push((ticket, stream)),
                    Err(fault) => self.refuse(ticket, fault, now),
                },
                // It is no row: no mark tells of it.
                Step::Canary { ticket, ask } => self.senders.send(ticket, &ask, false),
                Step::Wait { until, .. } => return Some(until),
                Step::Drained => return None,
            }
        }
    }

    /// Sends what was marked; `false` when the marks can't be written and the scheduler must be asked again.
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

    /// Ends an attempt that can't be marked: nobody would know of the request after a death, so it is not sent.
    fn refuse(&mut self, ticket: Ticket, fault: WriteFault, now: Instant) {
        self.on_end(ticket, Verdict::Halt(HaltReason::Disk(fault)), None, now);
    }

    fn send(&mut self, ticket: Ticket, stream: bool, now: Instant) {
        self.senders.send(ticket, &self.scheduler.sent(ticket).ask, stream);
        self.show_at(EventBody::Sent, now);
    }

    fn on_report(&mut self, report: Report, now: Instant) {
        match report {
            Report::Head { ticket, head } => self.on_head(ticket, *head, now),
            Report::End(end) => {
                let End { ticket, head, verdict, held } = *end;
                if let Some(head) = head {
                    self.on_head(ticket, head, now);
                }
                self.senders.ended(ticket);
                self.on_end(ticket, verdict, held.is_counted().then(|| Box::new(held)), now);
            }
        }
    }

    fn on_head(&mut self, ticket: Ticket, head: Head, now: Instant) {
        let Head { status, signals, request_id } = head;
        self.scheduler.on_head(ticket, status, &signals, request_id, now);
    }

    fn on_end(&mut self, ticket: Ticket, verdict: Verdict, held: Option<Box<Held>>, now: Instant) {
        let is_abort = matches!(verdict, Verdict::Aborted);
        match self.scheduler.on_end(ticket, verdict, now) {
            Next::Finished(outcome) => {
                self.write(ticket, &outcome);
                if let Some(last) = self.unsynced.back_mut() {
                    // A line that the system has takes no memory here.
                    last.held = held.filter(|_| self.ledger.unwritten_bytes() > UNWRITTEN_BYTES);
                    last.job = self.keep_pending.then_some(outcome.job);
                    self.unsynced_bytes += last.job.as_ref().map_or(0, |job| job.bytes());
                }
            }
            Next::Again { class, limit, maybe_paid } => {
                self.ledger.clear(ticket);
                self.finish.maybe_paid += u64::from(maybe_paid);
                self.show(EventBody::Retried { class, limit, maybe_paid });
            }
            Next::NoRow => {}
            // What came was paid for, and no line keeps it: the mark stays, so that a death now is counted.
            Next::More { job } => self.ledger.keep(ticket, job),
            Next::Pending(planned) => {
                self.finish.aborted += u64::from(is_abort);
                self.finish.maybe_paid += u64::from(is_abort);
                // The mark of a request that was cut off stays until the ledger is closed with a count of them.
                if !is_abort {
                    self.ledger.clear(ticket);
                }
                self.keep(*planned);
            }
        }
    }

    fn write(&mut self, ticket: Ticket, outcome: &Outcome) {
        let (usage, cost) = (outcome.usage(), outcome.cost());
        let event = match &outcome.ended {
            Ended::Succeeded(message) => {
                let first = outcome.attempts.first().map_or(Instant::ZERO, |attempt| attempt.started_at);
                let last = outcome.attempts.last().map_or(first, |attempt| attempt.ended_at);
                EventBody::Succeeded { quality: message.quality, usage, cost, latency: last.since(first) }
            }
            Ended::Failed { class, failure, is_retryable } => {
                let label = &outcome.job.custom_id;
                let row = FailedRow::new(label, failure.status, &failure.message, *is_retryable);
                EventBody::Failed { class: *class, row: Box::new(row), usage, cost }
            }
        };
        if matches!(outcome.ended, Ended::Failed { .. }) {
            let last_was_ambiguous = outcome.attempts.last().is_some_and(|attempt| attempt.maybe_paid);
            self.finish.maybe_paid += u64::from(last_was_ambiguous);
        }
        let seq = self.take_seq(event);
        self.ledger.write_outcome(seq, ticket, outcome);
    }

    fn take_seq(&mut self, event: EventBody) -> u64 {
        self.next_seq += 1;
        self.unsynced.push_back(Unsynced { seq: self.next_seq, event, job: None, held: None });
        self.next_seq
    }

    fn on_fed(&mut self, fed: Option<Fed>) {
        match fed {
            Some(Fed::Planned(planned)) => self.scheduler.offer(planned, self.clock.now()),
            Some(Fed::Rejected(rejected)) => {
                let seq = self.take_seq(unsent(rejected.class, &rejected.custom_id, &rejected.message));
                self.ledger.write_rejected(seq, &rejected);
            }
            Some(Fed::Broken(broken)) => {
                let place = || format!("{}:{}", broken.origin.source, broken.origin.line);
                let label = broken.custom_id.clone().unwrap_or_else(place);
                let seq = self.take_seq(unsent(ErrorClass::InvalidInput, &label, &broken.message));
                self.ledger.write_broken(seq, &broken);
            }
            Some(Fed::Skipped(rows)) => (0..rows).for_each(|_| self.show(EventBody::Skipped)),
            Some(Fed::Warning(text)) => self.show(EventBody::Warned(text)),
            Some(Fed::Failed(message)) => {
                // Why is said once, at the end: also to those who see no warnings.
                self.show(EventBody::Warned("the input broke off: what was read of it is finished first".to_owned()));
                self.finish.input_error = Some(message);
                self.end_input();
            }
            None => self.end_input(),
        }
    }

    fn end_input(&mut self) {
        self.is_input_open = false;
        self.scheduler.close_input();
    }

    fn on_commit(&mut self, commit: Commit) {
        match commit {
            Commit::UpTo(seq) => {
                self.ledger.on_committed(seq);
                let now = self.clock.now();
                while self.unsynced.front().is_some_and(|unsynced| unsynced.seq <= seq) {
                    let Some(Unsynced { event, job, .. }) = self.unsynced.pop_front() else { break };
                    self.unsynced_bytes -= job.map_or(0, |job| job.bytes());
                    self.show_at(event, now);
                }
            }
            Commit::Failed(fault) => {
                self.is_broken = true;
                self.scheduler.halt(HaltReason::Disk(fault));
                self.abort();
            }
        }
    }

    fn on_interrupt(&mut self, interrupt: Interrupt) {
        match interrupt {
            Interrupt::Status => {
                self.show_status();
                self.reporter.on_asked();
            }
            Interrupt::Steer(Ok((steering, message))) => {
                self.scheduler.steer(*steering, self.clock.now());
                self.show(EventBody::Noted(message));
            }
            Interrupt::Steer(Err(message)) => self.show(EventBody::Warned(message)),
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

    /// Cuts off what is in flight; each attempt still reports its end.
    fn abort(&mut self) {
        self.abort_at = None;
        self.senders.cut_off();
    }

    fn note_halt(&mut self) {
        if self.is_draining || self.scheduler.halted().is_none() {
            return;
        }
        self.is_draining = true;
        self.is_input_open = false;
        let reason = self.scheduler.halted().cloned().map(Box::new);
        self.show(EventBody::Draining { in_flight: self.scheduler.in_flight(), reason });
    }

    fn set_aside(&mut self) {
        for planned in self.scheduler.take_set_aside() {
            self.keep(planned);
        }
    }

    fn keep(&mut self, planned: Planned) {
        self.finish.pending += 1;
        if self.keep_pending {
            self.finish.kept.push(*planned.job);
        }
    }

    /// Takes rows whose lines could not be written back among the pending ones.
    fn keep_unsynced(&mut self) {
        self.finish.pending += self.unsynced.len() as u64;
        // Their answers were paid for, and no line keeps them.
        let is_answer = |unsynced: &&Unsynced| matches!(unsynced.event, EventBody::Succeeded { .. });
        self.finish.maybe_paid += self.unsynced.iter().filter(is_answer).count() as u64;
        self.unsynced_bytes = 0;
        self.finish.kept.extend(self.unsynced.drain(..).filter_map(|unsynced| unsynced.job).map(|job| *job));
    }

    fn show_scheduler_events(&mut self) {
        for event in self.scheduler.take_events() {
            self.show(event);
        }
    }

    fn show_status(&mut self) {
        let now = self.clock.now();
        let outage = self.scheduler.outage(now).map(Box::new);
        if outage.is_some() || self.has_outage {
            self.has_outage = outage.is_some();
            self.show_at(EventBody::Outage(outage), now);
        }
        let status = self.scheduler.status(now);
        self.show_at(status, now);
    }

    fn show(&mut self, body: EventBody) {
        self.show_at(body, self.clock.now());
    }

    fn show_at(&mut self, body: EventBody, now: Instant) {
        if self.last_shown.0 != now {
            self.last_shown = (now, self.clock.wall(now));
        }
        let (_, at) = self.last_shown;
        self.reporter.on_event(&RunEvent { at, run: self.name.clone(), body });
    }

    /// Waits for the last lines and takes the rows that were read ahead.
    async fn close(&mut self, mut channels: Channels) {
        self.note_halt();
        self.set_aside();
        while let Ok(fed) = channels.feed.try_recv() {
            match fed {
                Fed::Planned(planned) => self.keep(planned),
                fed => self.on_fed(Some(fed)),
            }
        }
        drop(channels.feed);
        // A failure is reported as a failed commit, and nothing is sent any more that would need a mark.
        let _ = self.ledger.flush();
        self.ledger.hurry();
        while !self.unsynced.is_empty() && !self.is_broken {
            let Some(commit) = channels.commits.recv().await else { break };
            self.on_commit(commit);
        }
        self.keep_unsynced();
        let unkept = self.scheduler.unkept();
        self.finish.aborted += unkept;
        self.finish.maybe_paid += unkept;
        self.finish.halted = self.scheduler.halted().cloned();
        self.show(EventBody::Ended {
            pending: self.finish.pending,
            reason: self.finish.halted.clone().map(Box::new),
            reasons: self.scheduler.reasons(),
            elapsed: self.clock.now().since(Instant::ZERO),
            max_in_flight: self.scheduler.max_in_flight(),
        });
    }
}

/// Returns the event of a row that failed without being sent.
fn unsent(class: ErrorClass, label: &str, message: &str) -> EventBody {
    let row = Box::new(FailedRow::new(label, None, message, false));
    EventBody::Failed { class, row, usage: Usage::default(), cost: Some(Money::ZERO) }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests;
