//! Adds rows to chunks. A chunk is a group of rows that is submitted as one batch.

use std::time::Duration;

use super::super::chunk::{ChunkRow, ChunkWriter};
use super::super::demand::Demand;
use super::super::log::Record;
use super::super::shape::Trial;
use super::chunk_state::{Chunk, State};
use super::state::{Building, Lane, Waiting};
use crate::clock::Instant;
use crate::domain::{Ask, JobId, LaneChoice, Money, Planned};
use crate::journal::DiskFailure;
use crate::scheduler::{Room, Scheduler};

/// How many rows can wait to be added to a chunk, and how many bytes these rows can have together.
const MOST_WAITING: (usize, usize) = (512, 16 << 20);
/// How long the first row of a chunk can wait. After this time, the chunk is submitted even if it is not full, for
/// example because rows come slowly through a pipe.
const LONGEST_FILL: Duration = Duration::from_secs(300);
/// The number of different sizes that a full chunk can have. Because the sizes differ, a batch can be recognized by its
/// number of rows.
const VARIATION: u32 = 16;

impl Lane {
    /// Accepts a row for a batch, or returns the row if it must be sent online. `refused` is the row's parameter that
    /// batches do not accept, if there is one.
    pub(crate) fn offer(&mut self, planned: Planned, refused: Option<&str>) -> Option<Planned> {
        self.deadline.on_read(&planned.ask);
        if !self.is_used() || self.is_stopped || self.deadline.is_online_only() {
            return Some(planned);
        }
        if let Some(name) = refused {
            *self.unfit.entry(name.to_owned()).or_default() += 1;
            return Some(planned);
        }
        match self.trials.admit(planned) {
            Trial::First(planned) => Some(self.as_test(planned)),
            Trial::Waits => None,
            Trial::Proven(planned) if self.deadline.takes_row() => Some(planned),
            Trial::Proven(planned) => {
                self.push(planned, 0);
                None
            }
        }
    }

    /// Returns the first row of a shape, as it is sent online. Batches do not read what an online request writes to the
    /// prompt cache. So the row gets no cache marks, unless rows after it are sent online too.
    fn as_test(&self, mut planned: Planned) -> Planned {
        if !self.deadline.is_moving {
            planned.ask.leave_unmarked();
        }
        planned
    }

    /// Records that a row is sent online although batches would accept the row.
    pub(crate) fn pass_by(&mut self, ask: &Ask) {
        self.deadline.on_read(ask);
    }

    /// Accepts a row again, to put it into a new batch. `tries` is the number of earlier batches that contained the
    /// row.
    pub(crate) fn offer_again(&mut self, planned: Planned, tries: u32) {
        self.push(planned, tries);
    }

    fn push(&mut self, planned: Planned, tries: u32) {
        self.rows_bytes += planned.bytes();
        self.rows.push_back(Waiting { planned, tries });
    }

    /// Notes the end of a row that was sent online. If the row's answer shows that the API accepts requests of this
    /// shape (with these parameters), the shape is recorded.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn on_online_end(&mut self, job: JobId, is_answered: bool) -> Result<(), DiskFailure> {
        match self.trials.on_end(job, is_answered) {
            Some(shape) => self.record(Record::Proven { shape }),
            None => Ok(()),
        }
    }

    /// Records that no more rows will be read. The count of unread rows is set to zero. Before this call, the count of
    /// unread rows includes rows that copy an answer and are never sent.
    pub(crate) fn on_input_end(&mut self) {
        self.deadline.unread = Demand::default();
    }

    /// Returns whether the batch lane can take more rows of the input.
    pub(crate) fn wants_rows(&self) -> bool {
        let is_full = self.rows.len() >= MOST_WAITING.0 || self.rows_bytes >= MOST_WAITING.1;
        !is_full && !self.trials.is_full() && self.used_up.is_none()
    }

    /// Adds the waiting rows to chunks. Returns the rows that must be sent online, because each of them is the first of
    /// its shape (its set of parameters). If `is_at_end` is true, no more rows will come, except rows that the lane
    /// itself sends again.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn fill(
        &mut self,
        scheduler: &mut Scheduler,
        is_at_end: bool,
        now: Instant,
    ) -> Result<Vec<Planned>, DiskFailure> {
        let mut online = Vec::new();
        while let Some(planned) = self.trials.next_freed() {
            match self.trials.admit(planned) {
                Trial::First(planned) => online.push(self.as_test(planned)),
                Trial::Waits => {}
                Trial::Proven(planned) => self.push(planned, 0),
            }
        }
        if self.is_stopped {
            return Ok(online);
        }
        self.is_blocked = false;
        while let Some(waiting) = self.rows.front() {
            let bytes = waiting.planned.ask.request.json().len();
            let most = waiting.planned.ask.expense.map_or(Money::ZERO, |expense| expense.most_in_batch);
            if let Some(building) = &self.building
                && building.writer.bytes_with(bytes) > self.settings.batch_bytes
            {
                self.seal(now)?;
            }
            if self.queued() >= self.settings.queue || self.sealed() > 1 {
                self.is_blocked = true;
                break;
            }
            match scheduler.reserve_in_batch(most) {
                Room::Yes => self.add(most, now)?,
                Room::Later => {
                    self.is_blocked = true;
                    self.tell_budget();
                    break;
                }
                Room::Never(why) => {
                    self.used_up = Some(why);
                    self.is_blocked = true;
                    break;
                }
            }
        }
        self.seal_if_due(is_at_end, scheduler.waits_for_money_of_batches(), now)?;
        Ok(online)
    }

    /// Tells the user that the budget has no room for more rows until a batch ends. A run shows this message at most
    /// once.
    fn tell_budget(&mut self) {
        if !std::mem::replace(&mut self.is_budget_told, true) {
            self.note(
                "--max-cost has no room for more rows: the highest cost of each row is kept back until its batch has ended, \
                 and then the next batch is submitted. A lower --max-tokens or a higher --max-cost makes batches larger"
                    .to_owned(),
            );
        }
    }

    /// Adds the first waiting row to the chunk. The cost of the row is already reserved.
    fn add(&mut self, most: Money, now: Instant) -> Result<(), DiskFailure> {
        let Some(Waiting { planned, tries }) = self.rows.pop_front() else { return Ok(()) };
        self.rows_bytes -= planned.bytes();
        let building = match &mut self.building {
            Some(building) => building,
            None => {
                if self.log.is_none() {
                    let (log, _) = super::super::open::created(&*self.disk, &self.folder)?;
                    self.log = Some(log);
                }
                let number = self.next_chunk;
                let writer = ChunkWriter::create(&*self.disk, &self.folder, number, &self.settings.nonce)?;
                self.next_chunk = number.saturating_add(1);
                self.building.insert(Building { writer, since: now, demand: Demand::default() })
            }
        };
        building.writer.push(&planned, tries, most)?;
        building.demand.add(&planned.ask);
        if building.writer.count() >= self.rows_of_chunk() {
            self.seal(now)?;
        }
        Ok(())
    }

    /// Returns the largest number of rows for the chunk that is being filled.
    fn rows_of_chunk(&self) -> u32 {
        let most = self.most_rows.min(self.deadline.most_rows.unwrap_or(u32::MAX));
        let varies = most >= 100 * VARIATION;
        most - if varies { self.next_chunk % VARIATION } else { 0 }
    }

    /// Completes the chunk that is being filled, if it must be submitted now. With `is_money_awaited`, online rows wait
    /// for money that is reserved for batches. The chunk then waits for nothing, because its own rows keep this money
    /// back until their batch has ended.
    fn seal_if_due(&mut self, is_at_end: bool, is_money_awaited: bool, now: Instant) -> Result<(), DiskFailure> {
        let Some(building) = &self.building else { return Ok(()) };
        let is_quiet = is_at_end && !self.trials.is_busy() && self.reopened.is_empty() && !self.is_merging();
        let is_late = now.since(building.since) >= LONGEST_FILL;
        let is_due = is_late || self.is_blocked || is_money_awaited || (is_quiet && self.rows.is_empty());
        if is_due { self.seal(now) } else { Ok(()) }
    }

    /// Completes the chunk that is being filled.
    fn seal(&mut self, now: Instant) -> Result<(), DiskFailure> {
        let Some(Building { writer, demand, .. }) = self.building.take() else { return Ok(()) };
        let reserved = writer.at_most();
        let files = writer.finish(&self.disk, &self.folder)?;
        let chunk = Chunk { reserved, demand, ..Chunk::new(files, State::Sealed, self.clock.wall(now)) };
        self.chunks.insert(chunk.number, chunk);
        Ok(())
    }

    /// Returns the time by which the chunk that is being filled must be submitted.
    pub(super) fn seal_at(&self) -> Instant {
        self.building.as_ref().map_or(Instant::NEVER, |building| building.since + LONGEST_FILL)
    }

    /// Returns how many rows are in the queue of the API, or will be in it soon.
    fn queued(&self) -> u64 {
        let building = self.building.as_ref().map_or(0, |building| u64::from(building.writer.count()));
        let chunks = self.chunks.values().filter(|chunk| chunk.is_queued());
        building + chunks.map(|chunk| u64::from(chunk.files.count)).sum::<u64>()
    }

    fn sealed(&self) -> usize {
        self.chunks.values().filter(|chunk| chunk.state == State::Sealed).count()
    }

    /// Stops the batch lane, so no more batches are submitted. Returns the rows that are in memory, and the number of
    /// rows in chunks that were not submitted. The money that was reserved for these rows is released.
    pub(crate) fn stop(&mut self, scheduler: &mut Scheduler) -> (Vec<Planned>, u64) {
        self.is_stopped = true;
        let waiting = self.rows.drain(..).map(|waiting| waiting.planned);
        let kept: Vec<Planned> = waiting.chain(self.trials.take_waiting()).collect();
        self.rows_bytes = 0;
        let mut rows: u64 = self.reopened.drain(..).map(|reopened| reopened.left()).sum();
        if let Some(Building { writer, .. }) = self.building.take() {
            scheduler.settle_in_batch(writer.at_most(), Money::ZERO);
            rows += u64::from(writer.count());
            let number = writer.number();
            drop(writer);
            self.remove_files(number);
        }
        let unsent: Vec<u32> =
            self.chunks.values().filter(|chunk| chunk.state == State::Sealed).map(|chunk| chunk.number).collect();
        for number in unsent {
            let Some(chunk) = self.chunks.remove(&number) else { continue };
            scheduler.settle_in_batch(chunk.reserved, Money::ZERO);
            rows += u64::from(chunk.files.count);
            self.remove_files(number);
        }
        (kept, rows)
    }

    /// Leaves the batches to a later run, because this run continues without their server. Returns the rows that are
    /// not in a batch: first the rows in memory, then the rows in chunks. The caller sends these rows to another
    /// server, or leaves them to a later run.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn leave(
        &mut self,
        scheduler: &mut Scheduler,
        now: Instant,
    ) -> Result<(Vec<Planned>, Vec<ChunkRow>), DiskFailure> {
        self.seal(now)?;
        let sealed = self.chunks.values().filter(|chunk| chunk.state == State::Sealed);
        let sealed: Vec<u32> = sealed.map(|chunk| chunk.number).collect();
        for number in sealed {
            self.dissolve(number, self.most_rows, scheduler);
        }
        let mut rows = Vec::new();
        while let Some((row, _)) = self.next_reopened()? {
            rows.push(row);
        }
        let (kept, _) = self.stop(scheduler);
        Ok((kept, rows))
    }

    /// Returns whether the user wants batches for all rows that batches accept (`--lane batch`).
    pub(super) fn is_strict(&self) -> bool {
        self.settings.choice == LaneChoice::Batch
    }
}
