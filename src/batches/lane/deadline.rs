//! Decides which rows must be sent online so that every row is answered before the deadline.
//!
//! Batches cost half as much as online requests, so rows stay in batches as long as possible. Rows are moved at the
//! last possible moment. This moment is the deadline, minus the time that the online limits need for all remaining
//! rows, minus a margin. From this moment on, rows are moved only when the online lane (the rows that are sent one by
//! one) needs more rows:
//! - Rows that were not yet submitted are moved to the online lane first.
//! - When no unsubmitted rows are left, the newest batch is canceled. The newest batch is the least likely to end in
//!   time by itself. The answers that this batch has already finished are kept, and they cost half the price. The other
//!   rows of this batch are sent online.
//! - If batches end by themselves in the meantime, fewer rows are left. As soon as the online lane can answer all
//!   remaining rows in time, no more rows are moved.
//!
//! If the online lane can't answer all rows in time, rows are moved to it as soon as the run starts. Both lanes then
//! work in parallel, because this is the fastest way.

use std::time::Duration;

use super::super::chunk::ChunkRow;
use super::super::demand::Demand;
use super::again::Why;
use super::chunk_state::{Chunk, State};
use super::state::Lane;
use crate::clock::Instant;
use crate::domain::{Ask, JobId, LaneChoice, PoolId, Usage};
use crate::scheduler::Scheduler;

/// The expected duration of a run, divided by the time that its limits alone would require. A run takes longer than its
/// limits require, because of headroom, retries, and few requests in flight at the start.
const SLOWER: f64 = 1.05;
/// The longest time that the online lane may need for the rows of one chunk: a share of the time until the deadline,
/// but at most ten minutes. The size of chunks is computed from this time. With a deadline, chunks are small, because a
/// chunk is moved only as a whole, even if fewer rows would be enough.
const CHUNK_TIME: (f64, Duration) = (0.04, Duration::from_secs(600));
/// The smallest number of rows in a chunk when there is a deadline.
const FEWEST_ROWS: f64 = 20.0;

impl Lane {
    /// Updates the expected lengths of prompts and answers. `usage` is the usage of an answer, which came online or in
    /// a batch.
    pub(crate) fn learn(&mut self, estimated_input: u32, usage: &Usage) {
        self.deadline.lengths.learn(estimated_input, usage);
    }

    /// Checks the deadline, and moves rows from batches to the online lane if this is necessary.
    pub(crate) fn mind_deadline(&mut self, scheduler: &mut Scheduler, now: Instant) {
        let Some(deadline) = self.deadline.deadline else { return };
        if self.settings.choice != LaneChoice::Auto || self.is_stopped || self.deadline.next_at() > now {
            return;
        }
        self.deadline.checked_at = Some(now);
        let limits = |pool: &PoolId| scheduler.expected_limits(pool);
        let time = |demand: &Demand| demand.time(&self.deadline.lengths, &limits).mul_f64(SLOWER);
        let mut online = Demand::default();
        scheduler.asks().for_each(|ask| online.add(ask));
        let (open, unsent) = (self.demand_of_batches(false, now), self.demand_of_unsent());
        let mut soon = online.clone();
        soon.add_share(&self.demand_of_batches(true, now), 1.0);
        let mut all = soon.clone();
        all.add_share(&open, 1.0);
        all.add_share(&unsent, 1.0);
        let (need, busy_for, lead) = (time(&all), time(&soon), self.deadline.lead());
        let left = deadline.since(now);
        // The number of rows that the online lane answers per second. The size of chunks is computed from this number.
        let per_second = all.rows() / need.as_secs_f64().max(1e-3);
        let (share, most) = CHUNK_TIME;
        let chunk_time = self.deadline.whole_time.mul_f64(share).min(most);
        let rows_of_chunk = (per_second * chunk_time.as_secs_f64()).max(FEWEST_ROWS).min(f64::from(u32::MAX)) as u32;
        self.deadline.most_rows = Some(rows_of_chunk);
        let was_moving = std::mem::replace(&mut self.deadline.is_moving, need + lead >= left && all.rows() > 0.5);
        if !self.deadline.is_moving {
            self.deadline.quota = 0;
            return;
        }
        if !was_moving {
            self.tell_moving(need > left, all.rows(), left);
        }
        let wanted = (per_second * lead.saturating_sub(busy_for).as_secs_f64()).ceil().max(0.0);
        self.deadline.quota = if busy_for < lead { wanted.max(1.0) as u64 } else { 0 };
        if busy_for < lead && unsent.rows() < 0.5 {
            self.cancel_newest();
        } else if busy_for < lead {
            self.dissolve_sealed(scheduler);
        }
    }

    fn tell_moving(&mut self, is_late: bool, rows: f64, left: Duration) {
        let minutes = left.as_secs().div_ceil(60);
        if is_late && !std::mem::replace(&mut self.deadline.is_told, true) {
            return self.warn(format!(
                "the deadline in {minutes} min can't be met online alone: {rows:.0} rows are left; the run now sends \
                 rows online and in batches at once, as fast as it can"
            ));
        }
        if !std::mem::replace(&mut self.deadline.is_told, true) {
            self.note(format!(
                "the deadline is in {minutes} min, so the run sends some rows online instead of in batches, as few as \
                 possible"
            ));
        }
    }

    /// Cancels the newest open batch that certainly belongs to this run.
    fn cancel_newest(&mut self) {
        let is_due = |chunk: &&mut Chunk| {
            let is_ours = chunk.batch.as_ref().is_some_and(|batch| !batch.is_found);
            chunk.state == State::Open && is_ours && !chunk.is_canceling && !chunk.is_cancel_due
        };
        if let Some(chunk) = self.chunks.values_mut().rev().find(is_due) {
            chunk.is_cancel_due = true;
        }
    }

    /// Dissolves the newest unsubmitted chunk, so that its rows can be sent online.
    fn dissolve_sealed(&mut self, scheduler: &mut Scheduler) {
        let sealed = self.chunks.values().rev().find(|chunk| chunk.state == State::Sealed);
        if let Some(number) = sealed.map(|chunk| chunk.number) {
            let most = self.most_rows;
            self.dissolve(number, most, scheduler);
        }
    }

    /// Notes which share of the rows in a canceled batch was finished.
    pub(super) fn note_progress(&mut self, number: u32) {
        let Some(chunk) = self.chunks.get(&number) else { return };
        let Some(at) = chunk.canceled_at else { return };
        let canceled = chunk.reopen.iter().filter(|(_, why)| *why == Why::Canceled).count() as f64;
        let share = 1.0 - canceled / f64::from(chunk.files.count.max(1));
        self.deadline.on_progress(share, at.since(chunk.opened));
    }

    /// Returns the demand of the rows that are in open batches and are probably not finished yet. With `leaving`, only
    /// batches that are being canceled are included. Without `leaving`, batches that are being canceled are left out.
    fn demand_of_batches(&self, leaving: bool, now: Instant) -> Demand {
        let mut sum = Demand::default();
        for chunk in self.chunks.values() {
            let leaves = chunk.is_canceling || chunk.is_cancel_due;
            let is_open = matches!(chunk.state, State::Posting | State::Unclear(_) | State::Open | State::Doubtful);
            if is_open && leaves == leaving {
                let age = chunk.canceled_at.unwrap_or(now).since(chunk.opened);
                sum.add_share(&chunk.demand, self.deadline.left_of(age));
            }
        }
        sum
    }

    /// Returns the demand of two kinds of rows: rows that were not submitted, and rows that must be sent again.
    fn demand_of_unsent(&self) -> Demand {
        let mut sum = self.deadline.unread.clone();
        self.rows.iter().for_each(|waiting| sum.add(&waiting.planned.ask));
        if let Some(building) = &self.building {
            sum.add_share(&building.demand, 1.0);
        }
        let sealed = self.chunks.values().filter(|chunk| chunk.state == State::Sealed);
        sealed.for_each(|chunk| sum.add_share(&chunk.demand, 1.0));
        for reopened in &self.reopened {
            if let Some(chunk) = self.chunks.get(&reopened.files.number) {
                sum.add_share(&chunk.demand, reopened.left() as f64 / f64::from(chunk.files.count.max(1)));
            }
        }
        sum
    }

    /// Notes how much of the online limits would be used if the rows of an earlier run's batch were sent online. `ask`
    /// is the request of one row of this batch.
    pub(crate) fn note_demand(&mut self, number: u32, ask: &Ask) {
        if let Some(chunk) = self.chunks.get_mut(&number) {
            let rows = f64::from(chunk.files.count);
            let (input, max_tokens) = (f64::from(ask.cost.input_tokens), f64::from(ask.max_tokens));
            chunk.demand.add_rows(&ask.pool, rows, rows * input, rows * max_tokens);
        }
    }

    /// Returns the first row of a chunk; `None` if this row can't be read.
    pub(crate) fn first_row(&self, number: u32) -> Option<ChunkRow> {
        self.chunks.get(&number)?.files.row(0, JobId(0)).ok()
    }

    /// If there is a deadline, returns the numbers of the chunks from earlier runs. It is not known yet how much of the
    /// online limits the rows of these chunks would use.
    pub(crate) fn without_demand(&self) -> Vec<u32> {
        let unknown = self.chunks.values().filter(|chunk| chunk.is_restored && self.deadline.deadline.is_some());
        unknown.map(|chunk| chunk.number).collect()
    }
}
