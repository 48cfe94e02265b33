//! Rows that are sent again, because their chunk (the rows of one batch) ended without an answer for them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::chunk::ChunkFiles;

/// The reason why a row is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The API or the server had a fault.
    Fault,
    /// The batch expired before the row was sent to the model.
    Expired,
    /// The batch was canceled before the row was sent to the model.
    Canceled,
    /// The results have no line for the row, or the batch is lost.
    Lost,
    /// The chunk was not submitted, because it is too large.
    Dissolved,
    /// The row alone is too large for a batch.
    TooLarge,
}

/// How a row is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// The row is sent in another batch. The value is the number of earlier batches that contained the row.
    Batch(u32),
    /// The row is sent online.
    Online,
}

/// Rows that are sent again, all from the same chunk.
pub(super) struct Reopened {
    pub(super) files: Arc<ChunkFiles>,
    pub(super) rows: VecDeque<(u32, Why)>,
}

impl Reopened {
    /// Returns how many rows of the chunk still have to be sent again.
    pub(super) fn left(&self) -> u64 {
        self.rows.len() as u64
    }
}
