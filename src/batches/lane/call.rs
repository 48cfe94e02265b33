//! The calls that the lane wants to be made, and their ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::chunk::ChunkFiles;
use crate::domain::{Failure, HaltReason};
use crate::journal::DiskFailure;
use crate::provider::Batch;

/// A call of the API for batches.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Submits a chunk.
    Create(Arc<ChunkFiles>),
    /// Lists the batches of the workspace, the newest first. The list may end at batches that were created before
    /// `since`, or when all `wanted` batches are found.
    List {
        /// The ids of batches whose state is wanted.
        wanted: Vec<String>,
        /// Batches that were created later are wanted too, whatever their ids.
        since: Option<jiff::Timestamp>,
    },
    /// Asks for one batch.
    Retrieve { chunk: u32, id: String },
    /// Downloads the results of a batch into a file.
    Download { chunk: u32, id: String, url: Option<String>, path: PathBuf },
    /// Cancels a batch.
    Cancel { chunk: u32, id: String },
}

/// How a call ended.
#[derive(Debug)]
pub(crate) enum Came {
    /// The end of [`Call::Create`], with the number of the chunk.
    Created(u32, CreateEnd),
    /// The end of [`Call::List`].
    Listed(Result<Vec<Batch>, CallFault>),
    /// The end of [`Call::Retrieve`].
    Retrieved(u32, Result<Batch, CallFault>),
    /// The end of [`Call::Download`].
    Downloaded(u32, Result<(), CallFault>),
    /// The end of [`Call::Cancel`].
    Canceled(u32, Result<Batch, CallFault>),
}

/// How a submission ended.
#[derive(Debug)]
pub(crate) enum CreateEnd {
    /// The batch exists.
    Exists(Box<Batch>),
    /// It is certain that no batch exists.
    Refused(CallFault),
    /// Nobody knows whether a batch exists.
    Unclear(CallFault),
}

/// A call that did not work.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallFault {
    /// The failure.
    pub(crate) failure: Box<Failure>,
    /// How long to wait before the next call.
    pub(crate) retry_after: Option<Duration>,
    /// Why the run has to stop.
    pub(crate) halt: Option<Box<HaltReason>>,
    /// Whether writing to the disk failed.
    pub(crate) disk: Option<Box<DiskFailure>>,
}
