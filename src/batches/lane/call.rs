//! The API calls that the batch lane asks for, and the results of these calls.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::chunk::ChunkFiles;
use crate::domain::{Failure, HaltReason};
use crate::journal::DiskFailure;
use crate::provider::Batch;

/// A call to the API for batches.
#[derive(Clone, Debug)]
pub(crate) enum Call {
    /// Submits a chunk of rows as one batch.
    Create(Arc<ChunkFiles>),
    /// Lists the batches of the workspace, the newest first. The listing can stop when all `wanted` batches are found
    /// and the listed batches are older than `since`.
    List {
        /// The ids of the batches to look for.
        wanted: Vec<String>,
        /// All batches that were created after this time are also wanted.
        since: Option<jiff::Timestamp>,
    },
    /// Asks for the state of one batch.
    Retrieve { chunk: u32, id: String },
    /// Downloads the results of a batch into a file.
    Download { chunk: u32, id: String, url: Option<String>, path: PathBuf },
    /// Cancels a batch.
    Cancel { chunk: u32, id: String },
}

/// The result of an API call of the batch lane.
#[derive(Debug)]
pub(crate) enum CallResult {
    /// The result of [`Call::Create`], with the number of the chunk.
    Created(u32, CreateEnd),
    /// The result of [`Call::List`].
    Listed(Result<Vec<Batch>, CallFault>),
    /// The result of [`Call::Retrieve`].
    Retrieved(u32, Result<Batch, CallFault>),
    /// The result of [`Call::Download`].
    Downloaded(u32, Result<(), CallFault>),
    /// The result of [`Call::Cancel`].
    Canceled(u32, Result<Batch, CallFault>),
}

/// The result of a submission.
#[derive(Debug)]
pub(crate) enum CreateEnd {
    /// The batch exists at the API.
    Exists(Box<Batch>),
    /// The submission certainly created no batch.
    Refused(CallFault),
    /// It is not known whether the submission created a batch.
    Unclear(CallFault),
}

/// What is known about an API call that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallFault {
    /// The failure.
    pub(crate) failure: Box<Failure>,
    /// The time to wait before the next call.
    pub(crate) retry_after: Option<Duration>,
    /// The reason why the run must stop; `None` if it can continue.
    pub(crate) halt: Option<Box<HaltReason>>,
    /// Whether the server rejected the call itself, so that the same call will be rejected again.
    pub(crate) is_rejected: bool,
    /// The disk failure, if writing to the disk failed.
    pub(crate) disk: Option<Box<DiskFailure>>,
}
