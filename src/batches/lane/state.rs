//! The state of the batch lane.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use super::super::check_times::CheckTimes;
use super::super::chunk::ChunkWriter;
use super::super::demand::Demand;
use super::super::log::{BatchLog, Record};
use super::super::open::{Opened, created};
use super::super::settings::LaneSettings;
use super::super::shape::Trials;
use super::again::Reopened;
use super::chunk_state::{Chunk, DOWNLOADS, State};
use super::outlook::Outlook;
use crate::clock::{Instant, RunClock};
use crate::domain::{EventBody, JobId, LaneChoice, Money, Planned};
use crate::journal::{Disk, DiskFailure, DoneSet};

/// The first job number for rows that are read from the files of a chunk. Rows of the input have job numbers below this
/// constant.
const RESTORED_JOBS: u64 = 1 << 62;

/// The batch lane of a run.
pub struct Lane {
    pub(super) settings: LaneSettings,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) folder: PathBuf,
    pub(super) clock: RunClock,
    pub(super) log: Option<BatchLog>,
    /// The organization and workspace of the batches; `None` if the API has not named them.
    pub(super) workspace: Option<String>,
    /// The state of each row after the earlier runs.
    pub(super) done: DoneSet,
    pub(super) trials: Trials,
    /// Rows that wait to be added to a chunk.
    pub(super) rows: VecDeque<Waiting>,
    pub(super) rows_bytes: usize,
    pub(super) building: Option<Building>,
    /// The largest number of rows in each of the next chunks. The number is lowered when the queue of the API has no
    /// room for a whole chunk.
    pub(super) most_rows: u32,
    /// Whether no rows can be added to chunks, because the budget or the API's queue has no room.
    pub(super) is_blocked: bool,
    /// The reason why no more rows will be added to chunks. When all batches have ended, the run halts with this
    /// reason.
    pub(super) used_up: Option<String>,
    pub(super) next_chunk: u32,
    pub(super) chunks: BTreeMap<u32, Chunk>,
    /// The ids of the batches of this run, including collected batches.
    pub(super) own_ids: HashSet<String>,
    pub(super) reopened: VecDeque<Reopened>,
    pub(super) next_job: u64,
    pub(super) checks: CheckTimes,
    pub(super) is_looking: bool,
    pub(super) submit: Submitting,
    /// For each parameter: the number of rows that are sent online because they have this parameter. Batches do not
    /// accept these parameters.
    pub(super) unfit: BTreeMap<String, u64>,
    /// The number of rows that may have been billed although their answers are lost.
    pub(super) lost_rows: u64,
    pub(super) deadline: Outlook,
    pub(super) events: Vec<EventBody>,
    /// Whether the user was told that the budget limits the size of batches.
    pub(super) is_budget_told: bool,
    /// Whether a record could not be written to the log of batches.
    pub(super) is_broken: bool,
    /// Whether the run has halted, so that no more batches are submitted.
    pub(super) is_stopped: bool,
    /// Whether the run is paused, so that no batch is submitted at this moment.
    pub(super) is_paused: bool,
}

/// A row that waits to be added to a chunk.
pub(super) struct Waiting {
    pub(super) planned: Planned,
    /// The number of batches that have contained the row.
    pub(super) tries: u32,
}

/// A chunk to which rows are still added.
pub(super) struct Building {
    pub(super) writer: ChunkWriter,
    pub(super) since: Instant,
    pub(super) demand: Demand,
}

/// The facts that decide when the next chunk can be submitted.
#[derive(Debug, Default)]
pub(super) struct Submitting {
    /// The earliest time of the next submission.
    pub(super) not_before: Instant,
    /// The time at which the submissions began to fail; `None` if the last submission worked.
    pub(super) failing_since: Option<Instant>,
    pub(super) failures: u32,
    /// The number of successive submissions that the API rejected because of a limit.
    pub(super) refusals: u32,
}

impl Lane {
    /// Returns a lane that continues where earlier runs stopped. `done` contains the state of each row after these
    /// runs.
    pub fn new(settings: LaneSettings, opened: Opened, done: DoneSet, clock: RunClock) -> Self {
        let now = clock.now();
        let Opened { disk, folder, replayed, files, log } = opened;
        let mut lane = Self {
            most_rows: settings.batch_rows,
            deadline: Outlook::new(
                settings.deadline.filter(|_| settings.choice == LaneChoice::Auto),
                settings.unread.clone(),
                now,
            ),
            settings,
            disk,
            folder,
            clock,
            log,
            workspace: replayed.workspace,
            done,
            trials: Trials::new(replayed.proven),
            rows: VecDeque::new(),
            rows_bytes: 0,
            building: None,
            is_blocked: false,
            used_up: None,
            next_chunk: replayed.next_chunk,
            chunks: BTreeMap::new(),
            own_ids: HashSet::new(),
            reopened: VecDeque::new(),
            next_job: RESTORED_JOBS,
            checks: CheckTimes::new(now),
            is_looking: false,
            submit: Submitting::default(),
            unfit: BTreeMap::new(),
            lost_rows: 0,
            events: Vec::new(),
            is_budget_told: false,
            is_broken: false,
            is_stopped: false,
            is_paused: false,
        };
        for (submitted, files) in replayed.open.into_values().zip(files) {
            lane.own_ids.extend(submitted.batch.iter().map(|batch| batch.id.clone()));
            let state = match submitted.batch {
                Some(_) if submitted.is_adopted => State::Saved,
                Some(_) => State::Open,
                None => State::Unclear(None),
            };
            let chunk = Chunk {
                reserved: submitted.at_most,
                batch: submitted.batch,
                foreign: submitted.foreign,
                submitted_at: submitted.at,
                is_restored: true,
                is_canceling: submitted.is_canceling,
                // The results of an adopted batch can't be downloaded again, because the API does not know the new ids
                // in the file on the disk.
                downloads: if submitted.is_adopted { DOWNLOADS } else { 0 },
                opened: Instant::ZERO,
                ..Chunk::new(files, state, submitted.at)
            };
            lane.chunks.insert(chunk.number, chunk);
        }
        lane
    }

    /// Returns the money that is reserved for the batches of earlier runs.
    pub(crate) fn restored_money(&self) -> Money {
        self.chunks.values().fold(Money::ZERO, |sum, chunk| sum + chunk.reserved)
    }

    /// Returns whether this run puts rows into batches.
    pub(super) fn is_used(&self) -> bool {
        self.settings.choice != LaneChoice::Online
    }

    /// Appends a record to the log of batches. The log is created with the first record.
    pub(super) fn record(&mut self, record: Record) -> Result<(), DiskFailure> {
        let log = match &mut self.log {
            Some(log) => log,
            None => self.log.insert(created(&*self.disk, &self.folder)?.0),
        };
        let appended = log.append(record);
        // After a failure, it is not known whether the line is in the file. So from now on, the files of chunks must
        // not be removed.
        self.is_broken |= appended.is_err();
        appended
    }

    /// Returns the next job number for a row that is read from the files of a chunk.
    pub(super) fn next_job(&mut self) -> JobId {
        self.next_job += 1;
        JobId(self.next_job)
    }

    pub(super) fn warn(&mut self, text: String) {
        self.events.push(EventBody::Warned(text));
    }

    pub(super) fn note(&mut self, text: String) {
        self.events.push(EventBody::Noted(text));
    }

    /// Returns the events that were collected, and removes them from the lane.
    pub(crate) fn take_events(&mut self) -> Vec<EventBody> {
        std::mem::take(&mut self.events)
    }

    /// Returns the disk on which the batch lane writes its files.
    pub(crate) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }
}
