//! Sends again the rows that had no answer when their chunk (the rows of one batch) ended. These rows are sent in
//! another batch or online.

use std::collections::VecDeque;

use super::super::chunk::{ChunkRow, pico, remove_files};
use super::super::log::Record;
use super::again::{Reopened, Route, Why};
use super::chunk_state::State;
use super::state::Lane;
use crate::domain::LaneChoice;
use crate::journal::DiskFailure;

impl Lane {
    /// Begins to send the noted rows of a chunk: rows that must be sent again. If no rows were noted, the chunk is
    /// done, and its files are removed.
    pub(super) fn reopen(&mut self, number: u32) {
        let Some(chunk) = self.chunks.get_mut(&number) else { return };
        let rows: VecDeque<_> = std::mem::take(&mut chunk.reopen).into();
        chunk.state = State::Draining;
        chunk.merge = None;
        self.reopened.push_back(Reopened { files: chunk.files.clone(), rows });
        self.remove_drained();
    }

    /// Removes the files of chunks that have no more rows to send again.
    fn remove_drained(&mut self) {
        while let Some(first) = self.reopened.front()
            && first.rows.is_empty()
        {
            let number = first.files.number;
            self.reopened.pop_front();
            self.chunks.remove(&number);
            self.remove_files(number);
        }
    }

    /// Removes the files of a chunk that is no longer open in the log of batches. If the files can't be removed now,
    /// the next run removes them.
    pub(super) fn remove_files(&self, number: u32) {
        if !self.is_broken {
            let _ = remove_files(&*self.disk, &self.folder, number);
        }
    }

    /// Returns how many rows still have to be sent again.
    pub(crate) fn rows_to_send_again(&self) -> u64 {
        self.reopened.iter().map(Reopened::left).sum()
    }

    /// Returns the next row that must be sent again, with the reason; `None` if there is no such row.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn next_reopened(&mut self) -> Result<Option<(ChunkRow, Why)>, DiskFailure> {
        self.remove_drained();
        if self.is_stopped {
            return Ok(None);
        }
        let id = self.next_job();
        let Some(first) = self.reopened.front_mut() else { return Ok(None) };
        let Some((item, why)) = first.rows.pop_front() else { return Ok(None) };
        let row = first.files.row(item, id)?;
        Ok(Some((row, why)))
    }

    /// Decides how a row is sent again. Returns `None` if the row has used up its tries.
    pub(crate) fn route_of(&mut self, row: &ChunkRow, why: Why) -> Option<Route> {
        let tries = match why {
            Why::Dissolved => row.tries,
            Why::Fault | Why::Expired | Why::Canceled | Why::Lost | Why::TooLarge => row.tries + 1,
        };
        match self.settings.choice {
            _ if why == Why::TooLarge || self.deadline.is_online_only() => Some(Route::Online),
            LaneChoice::Online => Some(Route::Online),
            LaneChoice::Auto if why == Why::Canceled || self.deadline.takes_row() => Some(Route::Online),
            LaneChoice::Auto if tries >= 2 => Some(Route::Online),
            LaneChoice::Batch if tries > self.settings.max_retries => None,
            LaneChoice::Auto | LaneChoice::Batch => Some(Route::Batch(tries)),
        }
    }

    /// Notes that all lines up to the number `seq` are on the disk. A chunk is collected when all its lines are on the
    /// disk.
    ///
    /// # Errors
    /// Returns an error if the disk fails.
    pub(crate) fn on_synced(&mut self, seq: u64) -> Result<(), DiskFailure> {
        let is_synced = |state: State| matches!(state, State::Merged(last) if last <= seq);
        let synced: Vec<u32> =
            self.chunks.values().filter(|chunk| is_synced(chunk.state)).map(|chunk| chunk.number).collect();
        for number in synced {
            let (rows, money) = self.chunks[&number].lacking;
            self.record(match rows {
                0 => Record::Collected { chunk: number },
                rows => Record::Lost { chunk: number, rows, at_most: pico(money) },
            })?;
            self.reopen(number);
        }
        Ok(())
    }
}
