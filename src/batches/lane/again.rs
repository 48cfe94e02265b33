//! Rows that are sent again, because their chunk ended without an answer for them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::super::chunk::ChunkFiles;

/// Why a row is sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The API or the server had a fault.
    Fault,
    /// The batch expired before the row was sent to the model.
    Expired,
    /// The batch was cancelled before the row was sent to the model.
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
    /// In a batch. The number says how many times it was in a batch before.
    Batch(u32),
    /// Online.
    Online,
}

/// Rows of a chunk that are sent again.
pub(super) struct Reopened {
    pub(super) files: Arc<ChunkFiles>,
    pub(super) rows: VecDeque<(u32, Why)>,
}

impl Reopened {
    /// Returns how many rows are left.
    pub(super) fn left(&self) -> u64 {
        self.rows.len() as u64
    }
}
