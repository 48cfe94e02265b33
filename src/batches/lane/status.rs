//! Tells reporters the state of the batch lane, and decides when the lane is done.

use super::chunk_state::{Chunk, State};
use super::state::Lane;
use crate::clock::Instant;
use crate::domain::{BatchesEnd, BatchesStatus};

impl Lane {
    /// Returns the state of the batch lane for reporters; `None` if there are no batches.
    pub(crate) fn status(&self, now: Instant) -> Option<BatchesStatus> {
        let wall = self.clock.wall(now);
        let open = || self.chunks.values().filter(|chunk| chunk.is_queued() && chunk.state != State::Sealed);
        let (count, is_trying) = (open().count(), self.trials.is_awaited());
        let collecting = self.chunks.values().filter(|chunk| is_collecting(chunk.state)).count();
        if count == 0 && collecting == 0 && !is_trying {
            return None;
        }
        let age = |chunk: &Chunk| wall.duration_since(chunk.submitted_at).unsigned_abs();
        let expiries = open().filter_map(|chunk| Some(chunk.batch.as_ref()?.expires_at));
        Some(BatchesStatus {
            open: count,
            rows: open().map(|chunk| u64::from(chunk.files.count)).sum(),
            oldest: open().map(age).max().unwrap_or_default(),
            expires_in: expiries.min().map(|at| at.duration_since(wall).unsigned_abs()),
            is_canceling: open().any(|chunk| chunk.is_canceling),
            is_unclear: open().any(|chunk| matches!(chunk.state, State::Unclear(_))),
            collecting,
            next_look: self.watches().then(|| self.checks.next().since(now)),
            is_trying,
        })
    }

    /// Returns the number of batches that are not collected, and the number of their rows that have not ended or must
    /// be sent again.
    pub(crate) fn left_open(&self) -> (u64, u64) {
        let left = self.chunks.values().filter(|chunk| !matches!(chunk.state, State::Sealed | State::Draining));
        left.fold((0, 0), |(batches, rows), chunk| {
            (batches + 1, rows + u64::from(chunk.unseen_count()) + chunk.reopen.len() as u64)
        })
    }

    /// Of the batches in [`Lane::left_open`], returns those that have ended, and those that the API does not list.
    pub(crate) fn left_at_rest(&self) -> [(u64, u64); 2] {
        let is_missing = |chunk: &Chunk| chunk.is_told_missing && chunk.missing_since.is_some();
        let sum = |is_wanted: &dyn Fn(&Chunk) -> bool| {
            let left = self.chunks.values().filter(|chunk| is_wanted(chunk));
            left.fold((0, 0), |(batches, rows), chunk| {
                (batches + 1, rows + u64::from(chunk.unseen_count()) + chunk.reopen.len() as u64)
            })
        };
        [
            sum(&|chunk| is_collecting(chunk.state)),
            sum(&|chunk| matches!(chunk.state, State::Open | State::Doubtful) && is_missing(chunk)),
        ]
    }

    /// Returns the state of the batches at the end of the run. Returns `None` if no batch is left and batches accepted
    /// every row.
    pub(crate) fn end(&self) -> Option<BatchesEnd> {
        let (left, left_rows) = self.left_open();
        let refused = self.unfit().map(|(name, rows)| (name.to_owned(), rows)).collect();
        Some(BatchesEnd { left, left_rows, refused }).filter(|end| *end != BatchesEnd::default())
    }

    /// Returns true if the run must continue because the batch lane still has work.
    pub(crate) fn has_work(&self) -> bool {
        if self.is_stopped {
            // After the lane was stopped, the run waits only for the replies to submissions.
            return self.chunks.values().any(|chunk| chunk.state == State::Posting);
        }
        let is_submitting = self.building.is_some()
            || !self.rows.is_empty()
            || self.trials.is_busy()
            || !self.reopened.is_empty()
            || self
                .chunks
                .values()
                .any(|chunk| matches!(chunk.state, State::Sealed | State::Posting | State::Unclear(_)));
        let is_left = |chunk: &Chunk| self.settings.detach && chunk.state == State::Ended && chunk.is_stuck;
        let is_collecting = self.chunks.values().any(|chunk| is_collecting(chunk.state) && !is_left(chunk));
        let is_waiting = self.chunks.values().any(|chunk| matches!(chunk.state, State::Open | State::Doubtful));
        let leaves = self.settings.detach && self.was_looked_at();
        is_submitting || is_collecting || (is_waiting && !leaves)
    }

    /// Returns whether this run has already checked the state of every open batch.
    fn was_looked_at(&self) -> bool {
        self.chunks
            .values()
            .all(|chunk| chunk.state != State::Open || chunk.counts.is_some() || chunk.missing_since.is_some())
    }

    /// Returns the user's limit that ends the run, if there is one. If rows within this limit are still to be submitted
    /// or collected, returns `None`.
    pub(crate) fn used_up(&self) -> Option<&str> {
        let is_idle = self.chunks.values().all(|chunk| chunk.state == State::Draining) && self.building.is_none();
        self.used_up.as_deref().filter(|_| is_idle && !self.is_stopped)
    }

    /// Returns the number of rows that may have been billed although their answers are lost.
    pub(crate) fn lost_rows(&self) -> u64 {
        self.lost_rows
    }

    /// Returns the parameters that kept rows out of batches, each with the number of these rows.
    pub(crate) fn unfit(&self) -> impl Iterator<Item = (&str, u64)> {
        self.unfit.iter().map(|(name, rows)| (name.as_str(), *rows))
    }

    /// Stops the batch lane because the disk has failed, so the lane reads and writes no more files.
    pub(crate) fn give_up(&mut self) {
        self.is_stopped = true;
        self.chunks.values_mut().filter(|chunk| chunk.state == State::Posting).for_each(|chunk| {
            chunk.state = State::Unclear(None);
        });
    }
}

fn is_collecting(state: State) -> bool {
    matches!(state, State::Ended | State::Downloading | State::Saved | State::Merged(_))
}
