//! Handles the reply to the submission of a batch, and finds out what an unclear reply means.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::super::chunk::pico;
use super::super::log::{Known, Record};
use super::again::Why;
use super::call::{CallFault, CallResult, CreateEnd};
use super::chunk_state::{Chunk, State};
use super::state::{Lane, Submitting};
use crate::clock::Instant;
use crate::domain::{HaltReason, Money};
use crate::journal::DiskFailure;
use crate::provider::Batch;
use crate::scheduler::Scheduler;

/// How long the list of batches is searched for a submitted batch. If the search finds no matching batch in this time,
/// the run assumes that the submission created no batch.
const LOOKED_FOR: Duration = Duration::from_secs(120);
/// If the API rejects a chunk because of a limit, the chunk waits at most this long before it is submitted again.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

impl Lane {
    /// Handles the result of an API call of the batch lane.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn on_came(
        &mut self,
        came: CallResult,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        match came {
            CallResult::Created(chunk, end) => self.on_created(chunk, end, scheduler, now),
            CallResult::Listed(listed) => self.on_listed(listed, scheduler, now),
            CallResult::Retrieved(chunk, retrieved) => self.on_retrieved(chunk, retrieved, scheduler, now),
            CallResult::Downloaded(chunk, downloaded) => self.on_downloaded(chunk, downloaded, scheduler, now),
            CallResult::Canceled(chunk, canceled) => {
                self.on_canceled(chunk, canceled, scheduler, now);
                Ok(())
            }
        }
    }

    /// Compares the workspace of a reply with the workspace of the batches. With the key of another workspace, all
    /// batches would seem to be missing, and their rows would be paid for again.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn on_workspace(&mut self, name: String, scheduler: &mut Scheduler) -> Result<(), DiskFailure> {
        match &self.workspace {
            Some(ours) if *ours == name => Ok(()),
            Some(_) if self.chunks.values().any(|chunk| chunk.state != State::Sealed) => {
                scheduler.halt(HaltReason::OtherWorkspace);
                Ok(())
            }
            Some(_) | None => {
                self.record(Record::Workspace { name: name.clone() })?;
                self.workspace = Some(name);
                Ok(())
            }
        }
    }

    fn on_created(
        &mut self,
        number: u32,
        end: CreateEnd,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        match end {
            CreateEnd::Exists(batch) => {
                self.submit = Submitting { not_before: now, ..Default::default() };
                // The submission worked, so the queue of the API has room again, and the next batches can be larger.
                self.most_rows = self.most_rows.saturating_mul(2).min(self.settings.batch_rows);
                self.adopt(number, &batch, false, now)?;
                self.checks.begin_again(now);
                Ok(())
            }
            CreateEnd::Unclear(fault) => {
                if let Some(chunk) = self.chunks.get_mut(&number) {
                    chunk.state = State::Unclear(None);
                }
                self.warn(format!(
                    "the reply to a submitted batch did not come ({}); the run looks for the batch in the list of \
                     batches, and submits nothing until it knows whether the batch exists",
                    fault.failure.message
                ));
                self.checks.begin_again(now);
                Ok(())
            }
            CreateEnd::Refused(fault) => self.on_refused(number, fault, scheduler, now),
        }
    }

    /// Records the batch of a chunk of rows. If `is_found` is true, the batch was found in the list of batches.
    fn adopt(&mut self, number: u32, batch: &Batch, is_found: bool, now: Instant) -> Result<(), DiskFailure> {
        let Batch { id, created_at, expires_at, .. } = batch.clone();
        self.own_ids.insert(id.clone());
        self.record(Record::Created { chunk: number, id: id.clone(), created_at, expires_at, is_found })?;
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.state = State::Open;
            chunk.files.close();
            chunk.counts = Some(batch.counts);
            chunk.batch = Some(Known { id, created_at, expires_at, is_found });
            chunk.missing_since = None;
            if chunk.opened == Instant::ZERO && !chunk.is_restored {
                chunk.opened = now;
            }
        }
        Ok(())
    }

    /// Handles a submission that certainly created no batch.
    fn on_refused(
        &mut self,
        number: u32,
        fault: CallFault,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        self.record(Record::Refused { chunk: number })?;
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
        chunk.state = State::Sealed;
        let rows = chunk.files.count;
        if let Some(reason) = fault.halt {
            scheduler.halt_batches(*reason, now);
            return Ok(());
        }
        match fault.failure.status {
            Some(413) => {
                // A later body of this size would also be too large, so the next batches get fewer rows.
                self.settings.batch_rows = (rows / 2).clamp(1, self.settings.batch_rows);
                self.dissolve(number, rows / 2, scheduler);
            }
            Some(429) => self.on_full_queue(number, rows, fault.retry_after, scheduler, now),
            Some(404 | 405 | 501) if !self.is_strict() => {
                self.warn(format!(
                    "the endpoint does not support batches ({}): all rows are sent online",
                    fault.failure.message
                ));
                self.deadline.go_online();
                self.dissolve(number, rows, scheduler);
            }
            Some(404 | 405 | 501) => scheduler.halt(HaltReason::Batches(*fault.failure)),
            Some(status) if (400..500).contains(&status) && status != 408 => {
                scheduler.halt(HaltReason::Batches(*fault.failure));
            }
            _ => self.on_no_connection(fault, scheduler, now),
        }
        Ok(())
    }

    /// Handles a submission that did not reach the API.
    fn on_no_connection(&mut self, fault: CallFault, scheduler: &mut Scheduler, now: Instant) {
        let since = *self.submit.failing_since.get_or_insert(now);
        if now.since(since) > scheduler.retry_for() {
            return scheduler.halt_batches(HaltReason::Endpoint(*fault.failure), now);
        }
        self.submit.failures += 1;
        let wait = Duration::from_secs(1 << self.submit.failures.min(6));
        self.submit.not_before = now + wait.max(fault.retry_after.unwrap_or_default());
    }

    /// Handles a submission that the API rejected because of a limit. If the API asks for a short wait, the limit on
    /// calls per minute is the reason. If the API does not ask for a short wait, the queue of the API is full. The run
    /// then waits until one of its batches ends. If the run has no open batch, the queue is full of batches from other
    /// clients. Then the chunk is divided into smaller chunks, which may fit.
    fn on_full_queue(
        &mut self,
        number: u32,
        rows: u32,
        retry_after: Option<Duration>,
        scheduler: &mut Scheduler,
        now: Instant,
    ) {
        self.submit.refusals += 1;
        let backoff = Duration::from_secs(15 << self.submit.refusals.min(6)).min(LONGEST_WAIT);
        let is_first = self.submit.refusals == 1 && retry_after.is_some_and(|wait| wait <= Duration::from_secs(60));
        let wait = if is_first { retry_after.unwrap_or(backoff) } else { backoff.max(retry_after.unwrap_or_default()) };
        self.submit.not_before = now + wait;
        let has_open = self.chunks.values().any(|chunk| matches!(chunk.state, State::Open | State::Doubtful));
        if !is_first && !has_open && rows > 1 {
            self.dissolve(number, rows.div_ceil(2), scheduler);
        }
    }

    /// Allows the next submission immediately, because a batch has ended and the queue of the API has room again.
    pub(super) fn on_room_in_queue(&mut self, now: Instant) {
        if self.submit.refusals > 0 {
            self.submit.not_before = now;
        }
    }

    /// Dissolves a chunk of rows for which no batch exists. The rows of the chunk are sent again, in chunks of at most
    /// `most` rows.
    pub(super) fn dissolve(&mut self, number: u32, most: u32, scheduler: &mut Scheduler) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        scheduler.release_in_batch(chunk.reserved, chunk.files.count.into());
        chunk.reserved = Money::ZERO;
        let is_alone = chunk.files.count == 1;
        let why = if is_alone { Why::TooLarge } else { Why::Dissolved };
        chunk.reopen = (0..chunk.files.count).map(|item| (item, why)).collect();
        self.most_rows = most.clamp(1, self.most_rows);
        self.reopen(number);
    }

    /// Looks for the batch of each unclear chunk in the list of batches. A chunk is unclear if it is not known whether
    /// its batch exists.
    pub(super) fn resolve(
        &mut self,
        listed: &[Batch],
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        let unclear: Vec<u32> = self
            .chunks
            .values()
            .filter(|chunk| matches!(chunk.state, State::Unclear(_)))
            .map(|chunk| chunk.number)
            .collect();
        let found = self.likely_batches(&unclear, listed);
        for number in unclear {
            if let Some(found) = found.get(&number) {
                self.adopt(number, found, true, now)?;
                self.note(format!(
                    "batch {} was found in the list of batches; the reply to its submission had been lost",
                    found.id
                ));
                continue;
            }
            let Some(chunk) = self.chunks.get(&number) else { continue };
            let State::Unclear(since) = chunk.state else { continue };
            let first = since.unwrap_or(now);
            if let Some(chunk) = self.chunks.get_mut(&number) {
                chunk.state = State::Unclear(Some(first));
            }
            if now.since(first) < LOOKED_FOR {
                continue;
            }
            if let Some(chunk) = self.chunks.get_mut(&number).filter(|chunk| !chunk.is_wide) {
                chunk.is_wide = true;
                self.checks.hurry(now);
            } else {
                self.lose(number, "no batch of that size appeared in the list of batches", scheduler)?;
            }
        }
        Ok(())
    }

    /// For each unclear chunk, returns the best candidate for its batch. A candidate is a batch that has as many rows
    /// as the chunk and was created at about the time of the submission. If a chunk has several candidates, the batch
    /// that was created closest to the time of the submission is chosen. Later, the results of this batch show whether
    /// the batch really belongs to the chunk.
    fn likely_batches(&self, unclear: &[u32], listed: &[Batch]) -> BTreeMap<u32, Batch> {
        let chunks = || unclear.iter().filter_map(|number| self.chunks.get(number));
        let may_be = |chunk: &Chunk, batch: &Batch| {
            !self.own_ids.contains(&batch.id)
                && !chunk.foreign.contains(&batch.id)
                && batch.archived_at.is_none()
                && batch.counts.total() == u64::from(chunk.files.count)
                && batch.created_at >= chunk.earliest()
        };
        let mut pairs: Vec<_> = chunks()
            .flat_map(|chunk| listed.iter().map(move |batch| (chunk, batch)))
            .filter(|(chunk, batch)| may_be(chunk, batch))
            .collect();
        pairs.sort_by_key(|(chunk, batch)| batch.created_at.duration_since(chunk.submitted_at).abs());
        let (mut found, mut taken) = (BTreeMap::new(), HashSet::new());
        for (chunk, batch) in pairs {
            if !found.contains_key(&chunk.number) && taken.insert(&batch.id) {
                found.insert(chunk.number, batch.clone());
            }
        }
        found
    }

    /// Separates a chunk from its batch, because the results show that the batch belongs to somebody else.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn disown(&mut self, number: u32, now: Instant) -> Result<(), DiskFailure> {
        let Some(id) = self.chunks.get(&number).and_then(|chunk| Some(chunk.batch.as_ref()?.id.clone())) else {
            return Ok(());
        };
        self.record(Record::Foreign { chunk: number, id: id.clone() })?;
        self.own_ids.remove(&id);
        if let Some(chunk) = self.chunks.get_mut(&number) {
            (chunk.batch, chunk.merge, chunk.state) = (None, None, State::Unclear(None));
            (chunk.counts, chunk.results_url, chunk.downloads) = (None, None, 0);
            chunk.foreign.push(id);
        }
        self.checks.begin_again(now);
        Ok(())
    }

    /// Gives up the answers of a chunk. If a row of the chunk has no answer, the row is sent again, and is possibly
    /// billed twice.
    pub(super) fn lose(&mut self, number: u32, why: &str, scheduler: &mut Scheduler) -> Result<(), DiskFailure> {
        let lost = self.unanswered(number, scheduler)?;
        let Some(chunk) = self.chunks.get(&number) else { return Ok(()) };
        let (rows, money) = (lost.len() as u32, chunk.reserved);
        if rows == 0 {
            self.record(Record::Collected { chunk: number })?;
            self.reopen(number);
            return Ok(());
        }
        let name = chunk.batch.as_ref().map_or_else(|| format!("chunk {number}"), |batch| batch.id.clone());
        self.lost_rows += u64::from(rows);
        self.warn(format!(
            "the answers of {name} can't be collected: {why}; its rows are sent again, and up to {rows} may be billed \
             twice ({money} is kept back for them)"
        ));
        self.record(Record::Lost { chunk: number, rows, at_most: pico(money) })?;
        scheduler.settle_lost_in_batch(money);
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.reserved = Money::ZERO;
            chunk.reopen.extend(lost.into_iter().map(|item| (item, Why::Lost)));
        }
        self.reopen(number);
        Ok(())
    }
}
