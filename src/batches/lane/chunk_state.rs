//! A complete chunk (a group of rows with one batch), and its state.

use std::sync::Arc;
use std::time::Duration;

use super::super::chunk::ChunkFiles;
use super::super::demand::Demand;
use super::super::log::Known;
use super::again::Why;
use super::results::Results;
use crate::clock::Instant;
use crate::domain::Money;
use crate::provider::BatchCounts;

/// The largest expected difference between the clock of this machine and the clock of the API.
const SKEW: Duration = Duration::from_secs(600);
/// How far back in time the wide search for a batch looks. If the narrow search does not find the batch, a clock may be
/// wrong by more than `SKEW`. So the wide search looks at all batches that were created within about a day before the
/// submission.
const A_DAY: Duration = Duration::from_secs(26 * 3_600);

/// How many times results with missing rows are downloaded.
pub(super) const DOWNLOADS: u32 = 3;

/// A chunk of rows that is complete, so no rows are added to it.
pub(super) struct Chunk {
    pub(super) number: u32,
    pub(super) files: Arc<ChunkFiles>,
    pub(super) state: State,
    /// The money that is reserved for rows that have not ended.
    pub(super) reserved: Money,
    pub(super) batch: Option<Known>,
    pub(super) counts: Option<BatchCounts>,
    /// The URL of the results, as the API gave it.
    pub(super) results_url: Option<String>,
    /// The ids of batches that were mistaken for the batch of this chunk.
    pub(super) foreign: Vec<String>,
    /// The time of the submission on this machine's clock.
    pub(super) submitted_at: jiff::Timestamp,
    /// The instant of the submission; [`Instant::ZERO`] if an earlier run submitted the chunk.
    pub(super) opened: Instant,
    pub(super) ended: Instant,
    /// Whether an earlier run submitted the chunk. If an earlier run submitted the chunk, some of its rows can already
    /// have lines.
    pub(super) is_restored: bool,
    pub(super) is_canceling: bool,
    pub(super) is_cancel_due: bool,
    /// The time at which the API first said that it does not know the batch; `None` if the API knows the batch.
    pub(super) missing_since: Option<Instant>,
    /// The earliest time of the next call for this chunk.
    pub(super) not_before: Instant,
    /// The number of downloads that have failed.
    pub(super) downloads: u32,
    /// The time at which the downloads began to fail; `None` if the last download worked.
    pub(super) failing_since: Option<Instant>,
    /// Whether the last download failed, and a run that does not wait for its batches can leave this batch.
    pub(super) is_stuck: bool,
    /// Whether the API refuses to send the results.
    pub(super) is_refused: bool,
    /// Whether the user was told why the results can't be read.
    pub(super) is_told: bool,
    /// Whether the user was told that the API does not list the batch.
    pub(super) is_told_missing: bool,
    /// The number of downloads that finished without an error, but whose results lacked rows. `incomplete_since` says
    /// when the first of these downloads ended.
    pub(super) incomplete: u32,
    pub(super) incomplete_since: Option<Instant>,
    pub(super) merge: Option<Results>,
    /// Whether the search for this chunk's batch looks at all batches of the last day. Usually, the search looks only
    /// at batches that were created at about the time of the submission. If none of the searched batches fits the
    /// chunk, a clock may be wrong.
    pub(super) is_wide: bool,
    /// Whether a line of the results has proven that the batch belongs to this chunk.
    pub(super) is_proven: bool,
    /// Whether the results have lines that belong to other chunks or programs.
    pub(super) has_foreign_lines: bool,
    /// Whether the results have lines that can't be read.
    pub(super) has_unreadable_lines: bool,
    /// The number of rows that are missing in the results, and the highest possible cost of their answers.
    pub(super) lacking: (u32, Money),
    /// One bit per row of the chunk. The bit is set when the row has ended.
    pub(super) seen: Vec<u64>,
    /// The part of the online limits that the rows of the chunk would use.
    pub(super) demand: Demand,
    pub(super) canceled_at: Option<Instant>,
    /// The rows of the chunk that must be sent again, with the reason for each row.
    pub(super) reopen: Vec<(u32, Why)>,
}

/// The state of a chunk (a group of rows with one batch).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// The chunk is complete, but was not submitted.
    Sealed,
    /// The chunk is being submitted.
    Posting,
    /// The chunk was submitted, but it is not known whether its batch exists. The value is the time of the first check
    /// after the submission.
    Unclear(Option<Instant>),
    /// The API is processing the batch of the chunk.
    Open,
    /// The API must be asked whether the batch of the chunk still exists.
    Doubtful,
    /// The batch of the chunk has ended.
    Ended,
    /// The results of the batch are being downloaded.
    Downloading,
    /// The results of the batch are on the disk.
    Saved,
    /// All lines of the chunk were written. The value is the sequence number of the last line. Some of the lines are
    /// possibly not synced yet.
    Merged(u64),
    /// The batch is done. The files of the chunk are still needed, because some of its rows are sent again.
    Draining,
}

impl Chunk {
    pub(super) fn new(files: Arc<ChunkFiles>, state: State, at: jiff::Timestamp) -> Self {
        Self {
            number: files.number,
            seen: vec![0; (files.count as usize).div_ceil(64)],
            files,
            state,
            reserved: Money::ZERO,
            batch: None,
            counts: None,
            results_url: None,
            foreign: Vec::new(),
            submitted_at: at,
            opened: Instant::ZERO,
            ended: Instant::ZERO,
            is_restored: false,
            is_canceling: false,
            is_cancel_due: false,
            missing_since: None,
            not_before: Instant::ZERO,
            downloads: 0,
            failing_since: None,
            is_stuck: false,
            is_refused: false,
            is_told: false,
            is_told_missing: false,
            incomplete: 0,
            incomplete_since: None,
            merge: None,
            demand: Demand::default(),
            canceled_at: None,
            is_wide: false,
            is_proven: false,
            has_foreign_lines: false,
            has_unreadable_lines: false,
            lacking: (0, Money::ZERO),
            reopen: Vec::new(),
        }
    }

    /// Returns the earliest time at which the API can have created the chunk's batch. The time is on the clock of the
    /// API.
    pub(super) fn earliest(&self) -> jiff::Timestamp {
        let skew = if self.is_wide { A_DAY } else { SKEW };
        self.submitted_at.saturating_sub(skew).unwrap_or(self.submitted_at)
    }

    /// Returns whether rows of the chunk are in the queue of the API, or will be in it soon.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.state, State::Sealed | State::Posting | State::Unclear(_) | State::Open | State::Doubtful)
    }

    pub(super) fn has_seen(&self, item: u32) -> bool {
        self.seen[item as usize / 64] >> (item % 64) & 1 == 1
    }

    /// Notes that a row has ended. Returns false if the end of the row was already noted.
    pub(super) fn see(&mut self, item: u32) -> bool {
        let is_new = !self.has_seen(item);
        self.seen[item as usize / 64] |= 1 << (item % 64);
        is_new
    }

    pub(super) fn unseen(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.files.count).filter(|item| !self.has_seen(*item))
    }

    pub(super) fn unseen_count(&self) -> u32 {
        self.files.count - self.seen.iter().map(|bits| bits.count_ones()).sum::<u32>()
    }
}
