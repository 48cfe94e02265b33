//! The settings of the batch lane.

use super::demand::Demand;
use crate::clock::Instant;
use crate::domain::LaneChoice;

/// The settings of the batch lane.
#[derive(Clone, Debug)]
pub struct LaneSettings {
    /// Which rows are put into batches (`--lane`).
    pub choice: LaneChoice,
    /// The time before which every row should be answered; `None` without `--deadline`.
    pub deadline: Option<Instant>,
    /// How many requests and tokens of the online limits the rows of the input would use. The value is known only if
    /// the input was read once before the run.
    pub unread: Demand,
    /// The largest number of rows in a batch.
    pub batch_rows: u32,
    /// The largest size of the body of a batch, in bytes.
    pub batch_bytes: u64,
    /// The largest number of rows in all open batches together.
    pub queue: u64,
    /// Whether the run ends as soon as all batches are submitted.
    pub detach: bool,
    /// How many times a row is put into another batch after a server fault or after its batch expired.
    pub max_retries: u32,
    /// A random text of 8 letters and digits, which is part of the id of each row in a batch. This text proves that a
    /// batch belongs to this run.
    pub nonce: String,
    /// The origin of the server, or `simulator`.
    pub origin: String,
}

/// The largest body of a batch in bytes: 256 MB, minus 5 % as a margin.
///
/// Source: API documentation, "Batch processing" (2026-09-20).
pub const BATCH_BYTES: u64 = 243_200_000;
/// The largest number of rows that can wait in all batches of an organization, if its tier is not known.
pub const QUEUE: u64 = 100_000;
