//! The view that keeps the files `status.json` and `timeline.json` up to date.

use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;

use jiff::{SignedDuration, Timestamp};

use super::document::{About, Document};
use super::writer::{Update, Warning, Writer};
use crate::domain::{EventBody, Money, RunEvent};
use crate::journal::Disk;
use crate::report::{Stats, View};
use crate::watch::collect::{Collector, Tick};
use crate::watch::timeline::RunSpan;

/// A view that collects the events of a run, and passes the state of the run to the thread that writes the files.
pub(crate) struct Recorder {
    about: About,
    collector: Collector,
    /// The collected events that the thread could not receive yet.
    waiting: Option<Tick>,
    /// The highest number of requests in flight so far.
    max_in_flight: u64,
    due_at: Option<Timestamp>,
    warning: Warning,
    sender: Option<SyncSender<Update>>,
    thread: Option<JoinHandle<()>>,
    has_ended: bool,
}

impl Recorder {
    const EVERY: SignedDuration = SignedDuration::from_secs(1);

    /// Starts the thread that writes the files in `folder`. The run folder must exist, and this run must have locked
    /// it.
    ///
    /// # Errors
    /// Returns an error if the operating system can't start a thread.
    pub(crate) fn start(about: About, disk: Arc<dyn Disk>, folder: PathBuf) -> std::io::Result<Self> {
        // One update can wait while another update is written.
        let (sender, updates) = sync_channel(1);
        let warning = Warning::default();
        let writer = Writer::new(disk, folder, warning.clone());
        let thread = std::thread::Builder::new().name("status".to_owned()).spawn(move || writer.run(&updates))?;
        Ok(Self {
            about,
            collector: Collector::default(),
            waiting: None,
            max_in_flight: 0,
            due_at: None,
            warning,
            sender: Some(sender),
            thread: Some(thread),
            has_ended: false,
        })
    }

    /// Passes the state of the run to the thread. If the update is the last one, this function waits until the thread
    /// can receive the update. If the update is not the last one, this function does not wait.
    fn pass(&mut self, now: Timestamp, stats: &Stats) {
        let Some(document) = Document::of(&self.about, stats) else { return };
        let mut tick = self.collector.take(now);
        if let Some(mut waiting) = self.waiting.take() {
            waiting.absorb(tick);
            tick = waiting;
        }
        let (span, is_last) = (self.span(stats), stats.ending.is_some());
        let update = Update::State { document: Box::new(document), tick: Box::new(tick), span, is_last };
        let Some(sender) = &self.sender else { return };
        if is_last {
            // Sending fails only if the thread has panicked. In this case, the panic was already printed.
            let _ = sender.send(update);
        } else if let Err(TrySendError::Full(Update::State { tick, .. })) = sender.try_send(update) {
            self.waiting = Some(*tick);
        }
    }

    fn span(&self, stats: &Stats) -> RunSpan {
        let (started_at, ended_at) = stats.times().unwrap_or_default();
        let ending = stats.ending.as_ref();
        let three = |low, likely, high| [low, likely, high];
        let forecast = stats.plan();
        let cost = forecast.and_then(|forecast| forecast.cost).map(|cost| cost.map(Money::dollars));
        let time = forecast.and_then(|forecast| forecast.time).map(|time| time.map(|time| time.as_secs_f64()));
        RunSpan {
            run: self.about.run.clone(),
            started_at,
            ended_at,
            has_ended: ending.is_some(),
            reason: self.about.end_reason(stats).map(Into::into),
            total: self.about.total(stats),
            planned_usd: cost.map(|cost| three(cost.low, cost.likely, cost.high)),
            planned_s: time.map(|time| three(time.low, time.likely, time.high)),
            max_in_flight: ending.map_or(self.max_in_flight, |end| end.max_in_flight as u64),
        }
    }

    fn end(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        if !self.has_ended && !std::thread::panicking() {
            let _ = sender.send(Update::Abandoned);
        }
        drop(sender);
        if let Some(thread) = self.thread.take() {
            // If the thread has panicked, its panic was already printed.
            let _ = thread.join();
        }
    }
}

impl View for Recorder {
    fn show(&mut self, event: &RunEvent, stats: &Stats) {
        let Some((_, now)) = stats.times() else { return };
        self.collector.on_event(event, now);
        match &event.body {
            EventBody::Started { .. } => self.pass(now, stats),
            EventBody::Status { in_flight, .. } => {
                self.max_in_flight = self.max_in_flight.max(*in_flight as u64);
                if self.due_at.is_none_or(|due| now >= due) {
                    self.due_at = now.checked_add(Self::EVERY).ok();
                    self.pass(now, stats);
                }
            }
            EventBody::Ended { .. } => {
                self.has_ended = true;
                self.pass(now, stats);
            }
            _ => {}
        }
    }

    /// This method does nothing, because the state is written every second.
    fn answer(&mut self, _stats: &Stats) {}

    fn take_warnings(&mut self) -> Vec<String> {
        self.warning.lock().unwrap_or_else(PoisonError::into_inner).take().into_iter().collect()
    }

    fn close(&mut self) {
        self.end();
    }
}

impl Drop for Recorder {
    /// Ends the thread. If the run has not ended normally, records that the run ended before its first request.
    fn drop(&mut self) {
        self.end();
    }
}
