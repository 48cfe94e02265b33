//! What can be wrong with the files of the batch lane.

use std::path::PathBuf;

use crate::journal::DiskFailure;

/// Why the files of the batch lane can't be used.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BatchesError {
    /// A file can't be read or written.
    #[error(transparent)]
    Disk(#[from] DiskFailure),
    /// A line can't be read.
    #[error(
        "{}:{line}: this record of batches is damaged ({why}); batches that are paid for may be in it, so nothing is \
         sent: restore the file, or list the batches of the workspace and collect them by hand",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The number of the line, from 1.
        line: u64,
        /// Why it can't be read.
        why: String,
    },
    /// A later version of this program wrote the file.
    #[error("{} was written by a later version (format {version}); use that version", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        version: u32,
    },
}
