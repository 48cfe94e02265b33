//! The loop of a run. An iteration of the loop is called a turn. When every row has ended or the run is halted, the
//! loop waits until every line is on disk, and then ends.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::attempt::Report;
use super::attempts::Attempts;
use super::batch_calls::Reported;
use super::events::Events;
use super::input::Incoming;
use super::ledger::{Commit, Ledger};
use super::parts::{Finish, Parts};
use super::routes::Route;
use super::run::Run;
use super::run_lane::RunLane;
use super::signals::Interrupt;
use super::unsynced::UnsyncedLines;
use crate::clock::Instant;
use crate::domain::EventBody;
use crate::report::Reporter;
use crate::transport::Transport;

/// The time between two reports of the run's state to the reporter.
const STATUS_EVERY: Duration = Duration::from_millis(100);
/// After `REPORTS` reports of attempts, the scheduler is polled again, even if more reports wait.
const REPORTS: usize = 256;

/// The channels on which the loop receives messages.
struct Channels {
    commits: mpsc::UnboundedReceiver<Commit>,
    feed: mpsc::Receiver<Incoming>,
    interrupts: mpsc::Receiver<Interrupt>,
    reports: mpsc::UnboundedReceiver<Report>,
    came: mpsc::UnboundedReceiver<Reported>,
}

/// Runs the loop. The loop ends when every row has ended, or when the run is halted. Returns only after every line is
/// on disk.
pub async fn drive<T: Transport, L: Ledger, R: Reporter>(parts: Parts<T, L, R>) -> (Finish, L, R) {
    let (reports_in, reports) = mpsc::unbounded_channel();
    let (came_in, came) = mpsc::unbounded_channel();
    let Route { transport, provider } = parts.routes.first().clone();
    let lane = parts.lane.map(|lane| RunLane::new(lane, transport.clone(), provider.clone(), parts.clock, came_in));
    let mut run = Run {
        attempts: Attempts::new(parts.routes, parts.clock, reports_in),
        transport,
        provider,
        lane,
        scheduler: parts.scheduler,
        ledger: parts.ledger,
        unfinished: parts.unfinished,
        equal: parts.equal,
        events: Events::new(parts.reporter, parts.clock, parts.run),
        clock: parts.clock,
        keep_pending: parts.keep_pending,
        grace: parts.grace,
        marked: Vec::new(),
        unsynced: UnsyncedLines::default(),
        is_broken: false,
        is_input_open: true,
        is_draining: false,
        has_outage: false,
        interrupts_seen: 0,
        abort_at: None,
        finish: Finish::default(),
    };
    let Parts { commits, feed, interrupts, .. } = parts;
    let mut channels = Channels { commits, feed, interrupts, reports, came };
    run.restore_batches();
    run.take_turns(&mut channels).await;
    run.close(channels).await;
    (run.finish, run.ledger, run.events.into_reporter())
}

impl<T: Transport, L: Ledger, R: Reporter> Run<T, L, R> {
    async fn take_turns(&mut self, channels: &mut Channels) {
        let mut ticks = interval(STATUS_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // Before the first row is sent, the run applies the settings that `--schedule` names for the start of the run.
        while let Ok(interrupt) = channels.interrupts.try_recv() {
            self.on_interrupt(interrupt);
        }
        loop {
            self.take_rows(&mut channels.feed);
            let lane_until = self.serve_lane();
            let until = match (self.dispatch(), lane_until) {
                (Some(online), Some(lane)) => online.min(lane),
                (Some(until), None) | (None, Some(until)) => until,
                // The loop waits for the slow disk: answers are copied to equal rows only when enough lines are on
                // disk.
                (None, None) if self.has_rows_to_copy() => Instant::NEVER,
                (None, None) => return,
            };
            let wants_rows = self.wants_rows();
            tokio::select! {
                biased;
                Some(interrupt) = channels.interrupts.recv() => self.on_interrupt(interrupt),
                Some(commit) = channels.commits.recv() => self.on_commit(commit),
                Some(came) = channels.came.recv() => self.on_came(came),
                Some(report) = channels.reports.recv() => self.take_reports(report, &mut channels.reports),
                item = channels.feed.recv(), if wants_rows => self.on_incoming(item),
                () = sleep_until(self.clock.deadline(until)) => {}
                () = sleep_until(self.abort_at), if self.abort_at.is_some() => self.abort(),
                _ = ticks.tick() => self.show_status(),
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

    /// Waits until the last lines are on disk, and keeps the rows that were read ahead.
    async fn close(&mut self, mut channels: Channels) {
        self.note_halt();
        self.set_aside();
        self.stop_lane();
        self.keep_equal_rows();
        while let Ok(item) = channels.feed.try_recv() {
            match item {
                Incoming::Planned(planned) | Incoming::Rerun(planned) => self.keep(planned),
                item => self.on_incoming(Some(item)),
            }
        }
        drop(channels.feed);
        // If writing fails, the failure is reported as a failed commit. After this call, the run sends no request that
        // needs a mark in the ledger.
        let _ = self.ledger.flush();
        self.ledger.hurry();
        while !self.unsynced.is_empty() && !self.is_broken {
            let Some(commit) = channels.commits.recv().await else { break };
            self.on_commit(commit);
        }
        self.keep_unsynced();
        self.note_batches();
        self.finish.maybe_paid += self.scheduler.unkept();
        self.finish.maybe_billed = self.scheduler.maybe_billed();
        self.finish.canary_spend = self.scheduler.canary_spend();
        self.finish.halted = self.scheduler.halted().cloned();
        self.finish.stopped = self.scheduler.stopped_providers();
        self.finish.learned = self.scheduler.learned();
        let now = self.clock.now();
        self.events.show(EventBody::Ended {
            pending: self.finish.pending,
            reason: self.finish.halted.clone().map(Box::new),
            reasons: self.scheduler.reasons(),
            uses: self.scheduler.limit_uses(now),
            elapsed: now.since(Instant::ZERO),
            max_in_flight: self.scheduler.max_in_flight(),
            batches: self.lane.as_ref().and_then(|lane| lane.lane.end()).map(Box::new),
        });
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
