//! The settings of the batch lane.

use super::demand::Demand;
use crate::clock::Instant;
use crate::domain::LaneChoice;

/// The settings of the batch lane.
#[derive(Clone, Debug)]
pub struct LaneSettings {
    /// Which rows go into batches.
    pub choice: LaneChoice,
    /// The moment by which every row should be answered; `None` without `--deadline`.
    pub deadline: Option<Instant>,
    /// How much of the online limits the rows of the input would use. This is known only if a survey has read the input
    /// before the run.
    pub unread: Demand,
    /// How many rows one batch may have.
    pub batch_rows: u32,
    /// How many bytes the body of one batch may have.
    pub batch_bytes: u64,
    /// How many rows all open batches may have together.
    pub queue: u64,
    /// Whether the run ends as soon as everything is submitted.
    pub detach: bool,
    /// How many times a row is put into a batch again after a fault of the server, or after its batch expired.
    pub max_retries: u32,
    /// Random text that is part of the id of each row in a batch: 8 letters and digits. It proves that a batch belongs
    /// to this run.
    pub nonce: String,
    /// The server's origin, or `simulator`.
    pub origin: String,
}

/// The largest body of a batch in bytes: 256 MB, minus 5 % as a margin.
///
/// Source: API documentation, "Batch processing" (2026-09-20).
pub const BATCH_BYTES: u64 = 243_200_000;
/// The number of rows that wait in all batches of an organization, if its tier is not known.
pub const QUEUE: u64 = 100_000;
