//! Handles batches that have ended, batches that are missing, and batches whose results were downloaded.

use std::time::Duration;

use super::super::log::Record;
use super::call::{Call, CallFault};
use super::chunk_state::State;
use super::state::Lane;
use super::trouble::words;
use crate::clock::Instant;
use crate::domain::HaltReason;
use crate::journal::DiskFailure;
use crate::provider::{Batch, BatchStatus};
use crate::scheduler::Scheduler;

/// The API sometimes does not know a batch that exists. A batch is treated as deleted only after it has been missing
/// for this long.
///
/// Source: anthropic-sdk-python#1432 (2026-04-21): the API answered 404 during the first second of a new batch's life,
/// and also between successful calls.
const MAY_BE_MISSING: Duration = Duration::from_secs(600);

impl Lane {
    pub(super) fn on_listed(
        &mut self,
        listed: Result<Vec<Batch>, CallFault>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        self.is_looking = false;
        let batches = match listed {
            Ok(batches) => batches,
            Err(fault) => {
                let failing = self.checks.on_failed(fault.retry_after, now);
                if failing.is_zero() && fault.halt.is_none() {
                    self.warn(format!(
                        "the state of the batches can't be read ({}); the run keeps trying",
                        words(&fault.failure)
                    ));
                }
                if failing > scheduler.retry_for() && fault.halt.is_none() {
                    scheduler.halt_batches(HaltReason::Endpoint(*fault.failure), now);
                } else {
                    self.halt_with(fault, scheduler, now);
                }
                return Ok(());
            }
        };
        self.checks.on_look(now);
        self.resolve(&batches, scheduler, now)?;
        let open: Vec<u32> =
            self.chunks.values().filter(|chunk| chunk.state == State::Open).map(|chunk| chunk.number).collect();
        for number in open {
            let Some(id) = self.id_of(number) else { continue };
            match batches.iter().find(|batch| batch.id == id) {
                Some(batch) => self.on_state(number, batch, scheduler, now)?,
                None => self.on_missing(number, now),
            }
        }
        self.tell_missing(now);
        Ok(())
    }

    /// Handles the state of one of this run's batches.
    fn on_state(
        &mut self,
        number: u32,
        batch: &Batch,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
        (chunk.missing_since, chunk.failing_since) = (None, None);
        chunk.counts = Some(batch.counts);
        // The log alone does not prove that the batch is being canceled: the earlier run may have died before it sent
        // the cancellation.
        chunk.is_canceling = batch.status == BatchStatus::Canceling || chunk.canceled_at.is_some();
        if batch.archived_at.is_some() {
            return self.lose(number, "its results were removed (archived_at is set)", scheduler);
        }
        if batch.status == BatchStatus::Ended {
            chunk.results_url.clone_from(&batch.results_url);
            (chunk.state, chunk.not_before, chunk.ended) = (State::Ended, now, now);
            if let Some(at) = chunk.canceled_at {
                self.deadline.on_cancel(now.since(at));
            }
            self.on_room_in_queue(now);
        } else {
            chunk.state = State::Open;
        }
        Ok(())
    }

    /// Handles a batch of this run that is not in the list of batches. If the batch has been missing from the list for
    /// ten minutes, the program asks the API for this single batch.
    fn on_missing(&mut self, number: u32, now: Instant) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        let since = *chunk.missing_since.get_or_insert(now);
        if now.since(since) >= MAY_BE_MISSING {
            (chunk.state, chunk.not_before) = (State::Doubtful, now);
        }
    }

    pub(super) fn on_retrieved(
        &mut self,
        number: u32,
        retrieved: Result<Batch, CallFault>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        match retrieved {
            Ok(batch) => self.on_state(number, &batch, scheduler, now),
            Err(fault) if fault.failure.status == Some(404) => self.on_gone(number, scheduler),
            Err(fault) => {
                let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
                chunk.not_before = now + fault.retry_after.unwrap_or(Duration::from_secs(30));
                let failing = now.since(*chunk.failing_since.get_or_insert(now));
                if failing > scheduler.retry_for() && fault.halt.is_none() {
                    scheduler.halt_batches(HaltReason::Endpoint(*fault.failure), now);
                } else {
                    self.halt_with(fault, scheduler, now);
                }
                Ok(())
            }
        }
    }

    /// Handles a batch of this run that the API no longer knows.
    fn on_gone(&mut self, number: u32, scheduler: &mut Scheduler) -> Result<(), DiskFailure> {
        self.lose(number, "the API does not know the batch any more; somebody may have deleted it", scheduler)
    }

    pub(super) fn on_downloaded(
        &mut self,
        number: u32,
        downloaded: Result<(), CallFault>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
        let fault = match downloaded {
            Ok(()) => {
                (chunk.state, chunk.missing_since, chunk.is_stuck) = (State::Saved, None, false);
                return Ok(());
            }
            Err(fault) => fault,
        };
        if let Some(failure) = fault.disk {
            return Err(*failure);
        }
        if fault.failure.status == Some(404) {
            let since = *chunk.missing_since.get_or_insert(now);
            if now.since(since) >= MAY_BE_MISSING {
                return self.on_gone(number, scheduler);
            }
        }
        self.on_unread(number, fault, scheduler, now);
        Ok(())
    }

    fn halt_with(&mut self, fault: CallFault, scheduler: &mut Scheduler, now: Instant) {
        if let Some(reason) = fault.halt {
            scheduler.halt_batches(*reason, now);
        }
    }

    pub(super) fn id_of(&self, number: u32) -> Option<String> {
        Some(self.chunks.get(&number)?.batch.as_ref()?.id.clone())
    }

    /// Returns the call that cancels the next batch, if a batch must be canceled now.
    pub(super) fn cancellation(&mut self, now: Instant) -> Result<Option<Call>, DiskFailure> {
        let due = self
            .chunks
            .values()
            .find(|chunk| chunk.is_cancel_due && chunk.state == State::Open && chunk.not_before <= now);
        let Some(chunk) = due else { return Ok(None) };
        let number = chunk.number;
        let Some(id) = self.id_of(number) else { return Ok(None) };
        self.record(Record::Canceling { chunk: number })?;
        if let Some(chunk) = self.chunks.get_mut(&number) {
            (chunk.is_cancel_due, chunk.is_canceling, chunk.canceled_at) = (false, true, Some(now));
        }
        Ok(Some(Call::Cancel { chunk: number, id }))
    }

    /// Returns when the next cancellation of a batch is due.
    pub(super) fn cancel_at(&self) -> Instant {
        let due = self.chunks.values().filter(|chunk| chunk.is_cancel_due && chunk.state == State::Open);
        due.map(|chunk| chunk.not_before).min().unwrap_or(Instant::NEVER)
    }

    pub(super) fn on_canceled(
        &mut self,
        number: u32,
        canceled: Result<Batch, CallFault>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) {
        match canceled {
            // The canceled batch ends soon. Then the results of the batch are read, and its rows without an answer are
            // sent again.
            Ok(_) => self.checks.begin_again(now),
            Err(fault) => {
                if let Some(chunk) = self.chunks.get_mut(&number) {
                    // A batch that has ended can't be canceled. The next check shows whether the batch has ended.
                    chunk.is_cancel_due = chunk.state == State::Open;
                    chunk.not_before = now + fault.retry_after.unwrap_or(Duration::from_secs(10));
                }
                self.checks.hurry(now);
                self.halt_with(fault, scheduler, now);
            }
        }
    }
}
