//! A chunk that is complete, and what is happening to it.

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

/// The clocks of this machine and of the API should differ by at most this.
const SKEW: Duration = Duration::from_secs(600);
/// If the batch is not found, a clock may be wrong by more. Then the batch is searched among all batches that were
/// created within this time.
const A_DAY: Duration = Duration::from_secs(26 * 3_600);

/// If rows are missing in the results, the results are downloaded this many times.
pub(super) const DOWNLOADS: u32 = 3;

/// A chunk that is complete.
pub(super) struct Chunk {
    pub(super) number: u32,
    pub(super) files: Arc<ChunkFiles>,
    pub(super) state: State,
    /// The money that is reserved for rows that have not ended.
    pub(super) reserved: Money,
    pub(super) batch: Option<Known>,
    pub(super) counts: Option<BatchCounts>,
    /// Where the API says that the results are.
    pub(super) results_url: Option<String>,
    /// Batches that were mistaken for the batch of this chunk.
    pub(super) foreign: Vec<String>,
    /// When it was submitted, by this machine's clock.
    pub(super) submitted_at: jiff::Timestamp,
    /// When it was submitted; [`Instant::ZERO`] if an earlier run did it.
    pub(super) opened: Instant,
    pub(super) ended: Instant,
    /// Whether an earlier run submitted it. Some of its rows may have lines.
    pub(super) is_restored: bool,
    pub(super) is_canceling: bool,
    pub(super) is_cancel_due: bool,
    /// When the API began to say that it does not know the batch; `None` if it knows the batch.
    pub(super) missing_since: Option<Instant>,
    /// The chunk's next call is not made before this moment.
    pub(super) not_before: Instant,
    /// How many downloads have failed.
    pub(super) downloads: u32,
    /// When the downloads began to fail; `None` if the last download worked.
    pub(super) failing_since: Option<Instant>,
    /// How many complete downloads lacked rows, and when the first of them ended.
    pub(super) incomplete: u32,
    pub(super) incomplete_since: Option<Instant>,
    pub(super) merge: Option<Results>,
    /// Whether all batches of the last day are searched for its batch. Usually, only batches from about the time of the
    /// submission are searched. If none of them fits, a clock may be wrong.
    pub(super) is_wide: bool,
    /// Whether a line of the results has proven that the batch belongs to this chunk.
    pub(super) is_proven: bool,
    /// Whether the results have lines that belong to other chunks or programs.
    pub(super) has_foreign_lines: bool,
    /// Whether the results have lines that can't be read.
    pub(super) has_unreadable_lines: bool,
    /// How many rows are missing in the results, and the highest possible cost of their answers.
    pub(super) lacking: (u32, Money),
    /// Which rows have ended, with one bit for each row.
    pub(super) seen: Vec<u64>,
    /// What its rows need online.
    pub(super) demand: Demand,
    pub(super) cancelled_at: Option<Instant>,
    /// Rows that must be sent again.
    pub(super) reopen: Vec<(u32, Why)>,
}

/// What is happening to a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// It is complete and was not submitted.
    Sealed,
    /// It is being submitted.
    Posting,
    /// It was submitted, and it is not known whether a batch exists. The value is the time of the first check after the
    /// submission.
    Unclear(Option<Instant>),
    /// The batch is being processed.
    Open,
    /// The API must be asked whether the batch still exists.
    Doubtful,
    /// The batch has ended.
    Ended,
    /// Its results are being downloaded.
    Downloading,
    /// Its results are on disk.
    Saved,
    /// All lines were written, up to this number. They may not be on disk yet.
    Merged(u64),
    /// Only its files are needed, to send rows again.
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
            incomplete: 0,
            incomplete_since: None,
            merge: None,
            demand: Demand::default(),
            cancelled_at: None,
            is_wide: false,
            is_proven: false,
            has_foreign_lines: false,
            has_unreadable_lines: false,
            lacking: (0, Money::ZERO),
            reopen: Vec::new(),
        }
    }

    /// Returns the moment before which the chunk's batch can't have been created, by the clock of the API.
    pub(super) fn earliest(&self) -> jiff::Timestamp {
        let skew = if self.is_wide { A_DAY } else { SKEW };
        self.submitted_at.saturating_sub(skew).unwrap_or(self.submitted_at)
    }

    /// Returns whether rows of the chunk wait in the queue of the API.
    pub(super) fn is_queued(&self) -> bool {
        matches!(self.state, State::Sealed | State::Posting | State::Unclear(_) | State::Open | State::Doubtful)
    }

    pub(super) fn has_seen(&self, item: u32) -> bool {
        self.seen[item as usize / 64] >> (item % 64) & 1 == 1
    }

    /// Notes that a row has ended. Returns whether it had not ended before.
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
