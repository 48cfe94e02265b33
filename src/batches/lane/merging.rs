//! Reads the downloaded results of a batch, and returns how each of its rows ended.

use std::time::Duration;

use super::super::chunk::{ChunkRow, results_path};
use super::super::ids::ItemId;
use super::again::Why;
use super::call::CallFault;
use super::chunk_state::{DOWNLOADS, State};
use super::results::Results;
use super::state::Lane;
use crate::clock::Instant;
use crate::domain::{Failure, JobId, Money};
use crate::journal::{DiskFailure, OpenMode, RowState};
use crate::provider::{BatchApi, BatchEnd};
use crate::scheduler::Scheduler;

/// How long the run tries to download the missing rows of incomplete results. After this time, the missing rows are
/// sent again.
const MAY_BE_INCOMPLETE: Duration = Duration::from_secs(600);

/// A row of a batch, with the outcome that the results contain for it.
#[derive(Debug)]
pub(crate) struct MergedRow {
    /// The number of the chunk (the rows of one batch).
    pub(crate) chunk: u32,
    /// The number of the row in the chunk.
    pub(crate) item: u32,
    /// The row.
    pub(crate) row: ChunkRow,
    /// The outcome of the row, from the results of the batch.
    pub(crate) end: BatchEnd,
    /// The time at which the row's chunk was submitted.
    pub(crate) opened: Instant,
    /// The time at which the run saw that the batch had ended.
    pub(crate) ended: Instant,
}

impl Lane {
    /// Returns whether there is an ended batch whose results are not completely read.
    pub(crate) fn is_merging(&self) -> bool {
        self.chunks.values().any(|chunk| matches!(chunk.state, State::Saved | State::Downloading | State::Ended))
    }

    /// Returns whether there are results that can be read now.
    pub(crate) fn has_results(&self) -> bool {
        !self.is_stopped && self.chunks.values().any(|chunk| chunk.state == State::Saved)
    }

    /// Returns the next row of the downloaded results. Rows that already have a line are left out. `last_seq` is the
    /// number of the last line that was written.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn next_merged(
        &mut self,
        api: &dyn BatchApi,
        scheduler: &mut Scheduler,
        last_seq: u64,
        now: Instant,
    ) -> Result<Option<MergedRow>, DiskFailure> {
        while let Some(number) =
            self.chunks.values().find(|chunk| chunk.state == State::Saved).map(|chunk| chunk.number)
        {
            let path = results_path(&self.folder, number);
            let job = self.next_job();
            let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(None) };
            let merge = match &mut chunk.merge {
                Some(merge) => merge,
                None => chunk.merge.insert(Results::open(
                    self.disk.open(&path, OpenMode::Read).map_err(DiskFailure::of("open", &path))?,
                )),
            };
            let Some(line) = merge.next_line().map_err(DiskFailure::of("read", &path))? else {
                self.on_end_of_results(number, scheduler, last_seq, now)?;
                continue;
            };
            let Ok(read) = api.read_line(&line) else {
                chunk.has_unreadable_lines = true;
                continue;
            };
            let is_own = |id: &ItemId<'_>| id.nonce == chunk.files.nonce && id.chunk == number;
            let Some(id) = ItemId::parse(&read.custom_id).filter(is_own) else {
                chunk.has_foreign_lines = true;
                continue;
            };
            chunk.is_proven = true;
            if id.item >= chunk.files.count || !chunk.see(id.item) {
                continue;
            }
            let row = chunk.files.row(id.item, job)?;
            let state = match chunk.is_restored {
                true => self.done.state(row.job.row, &row.job.identity),
                false => RowState::New,
            };
            if state == RowState::Done {
                chunk.reserved = chunk.reserved.less(row.at_most);
                scheduler.settle_in_batch(row.at_most, Money::ZERO);
                continue;
            }
            let (opened, ended) = (chunk.opened, chunk.ended);
            return Ok(Some(MergedRow { chunk: number, item: id.item, row, end: read.end, opened, ended }));
        }
        Ok(None)
    }

    /// Notes that a row has ended. From now on, the budget counts the real cost of the row, not the money that was
    /// reserved for the row.
    pub(crate) fn settle(&mut self, number: u32, reserved: Money, cost: Money, scheduler: &mut Scheduler) {
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.reserved = chunk.reserved.less(reserved);
        }
        scheduler.settle_in_batch(reserved, cost);
    }

    /// Notes that a row of a chunk must be sent again.
    pub(crate) fn note_again(&mut self, number: u32, item: u32, why: Why) {
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.reopen.push((item, why));
        }
    }

    /// Handles the end of the results of a chunk. If no line of the results belongs to the chunk, the batch may belong
    /// to somebody else.
    fn on_end_of_results(
        &mut self,
        number: u32,
        scheduler: &mut Scheduler,
        last_seq: u64,
        now: Instant,
    ) -> Result<(), DiskFailure> {
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
        chunk.merge = None;
        chunk.files.close();
        let has_foreign_lines = std::mem::take(&mut chunk.has_foreign_lines);
        let has_unreadable_lines = std::mem::take(&mut chunk.has_unreadable_lines);
        let is_found = chunk.batch.as_ref().is_some_and(|batch| batch.is_found);
        match chunk.is_proven {
            true => {}
            // If the reply to the submission named the batch, the batch certainly belongs to this chunk. The batch then
            // belongs to this chunk even if its results have only lines of other programs.
            false if has_foreign_lines && is_found => return self.disown(number, now),
            false if has_unreadable_lines => {
                self.on_bad_results(number, scheduler, now);
                return Ok(());
            }
            false => {}
        }
        if chunk.unseen_count() == 0 {
            chunk.state = State::Merged(last_seq);
            self.note_progress(number);
            return Ok(());
        }
        chunk.incomplete += 1;
        let since = *chunk.incomplete_since.get_or_insert(now);
        if chunk.incomplete < DOWNLOADS || now.since(since) < MAY_BE_INCOMPLETE {
            let wait = Duration::from_secs(5 << (2 * chunk.incomplete.min(3)));
            (chunk.state, chunk.not_before) = (State::Ended, now + wait);
            return Ok(());
        }
        self.note_lacking(number, scheduler)?;
        if let Some(chunk) = self.chunks.get_mut(&number) {
            chunk.state = State::Merged(last_seq);
        }
        Ok(())
    }

    /// Handles a downloaded file that does not contain the results of the batch. A gateway may have answered with a
    /// page of its own. The download is tried again, and no row is given up.
    fn on_bad_results(&mut self, number: u32, scheduler: &mut Scheduler, now: Instant) {
        let message = "the results contain no line of this batch".to_owned();
        let failure = Failure { status: Some(200), message, ..Failure::default() };
        self.on_unread(number, CallFault { failure: failure.into(), ..CallFault::default() }, scheduler, now);
    }

    /// Notes that some rows of a chunk are missing from the results. The missing rows are sent again.
    fn note_lacking(&mut self, number: u32, scheduler: &mut Scheduler) -> Result<(), DiskFailure> {
        let lacking = self.unanswered(number, scheduler)?;
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(()) };
        let name = chunk.batch.as_ref().map(|batch| batch.id.clone()).unwrap_or_default();
        let (rows, money) = (lacking.len() as u32, chunk.reserved);
        for item in lacking {
            chunk.see(item);
            chunk.reopen.push((item, Why::Lost));
        }
        (chunk.reserved, chunk.lacking) = (Money::ZERO, (rows, money));
        if rows == 0 {
            return Ok(());
        }
        scheduler.settle_lost_in_batch(money);
        self.lost_rows += u64::from(rows);
        self.warn(format!(
            "the results of {name} lack {rows} of its rows: these rows are sent again, and may be billed twice ({money} \
             is kept back for them)"
        ));
        Ok(())
    }

    /// Returns the rows of a chunk that have no answer. A row can already have an answer if an earlier run died before
    /// it had collected the whole chunk.
    pub(super) fn unanswered(&mut self, number: u32, scheduler: &mut Scheduler) -> Result<Vec<u32>, DiskFailure> {
        let Some(chunk) = self.chunks.get_mut(&number) else { return Ok(Vec::new()) };
        let mut unanswered: Vec<u32> = chunk.unseen().collect();
        if !chunk.is_restored {
            return Ok(unanswered);
        }
        let mut answered = Vec::new();
        for &item in &unanswered {
            let row = chunk.files.row(item, JobId(0))?;
            if self.done.state(row.job.row, &row.job.identity) == RowState::Done {
                answered.push((item, row.at_most));
            }
        }
        for (item, at_most) in answered {
            chunk.see(item);
            chunk.reserved = chunk.reserved.less(at_most);
            scheduler.settle_in_batch(at_most, Money::ZERO);
        }
        unanswered.retain(|item| !chunk.has_seen(*item));
        Ok(unanswered)
    }
}
