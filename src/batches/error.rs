//! Errors in the files of the batch lane.

use std::path::PathBuf;

use crate::journal::DiskFailure;

/// The reason why the files of the batch lane can't be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BatchesError {
    /// A file can't be read or written.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// A line of a file can't be read.
    #[error(
        "{}:{line}: this record of batches is damaged ({why}); batches that are paid for may be in it, so nothing is \
         sent: restore the file, or list the batches of the workspace and collect them by hand",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: u64,
        /// The reason why the line can't be read.
        why: String,
    },
    /// A later version of this program wrote the file.
    #[error("{} was written by a later version (format {version}); use that version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of the file's format.
        version: u32,
    },
}
