//! A failed operation on a file: what was tried, on which path, and what the system said.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trust::Refusal;
use crate::domain::{WriteCause, WriteFault, WriteTarget};

/// A failed operation on a path.
#[derive(Clone, Debug, thiserror::Error)]
#[error("can't {operation} {}: {source}", path.display())]
pub struct DiskFailure {
    /// What was tried: `write`, `sync`, ….
    pub operation: &'static str,
    /// What it was tried on.
    pub path: PathBuf,
    /// What the system said.
    pub source: Arc<io::Error>,
    /// Whether the path is a file or standard output.
    pub target: WriteTarget,
}

impl DiskFailure {
    /// Makes a failure out of an error of the system, for `map_err`.
    pub(crate) fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { operation, path: path.to_owned(), source: Arc::new(error), target: WriteTarget::File }
    }

    /// Makes a failure of standard output, for `map_err`.
    pub(crate) fn of_standard_output(error: io::Error) -> Self {
        Self { target: WriteTarget::StandardOutput, ..Self::of("write", Path::new("standard output"))(error) }
    }

    /// Returns why the file may not be used, when that is the reason.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Returns whether the reader of a pipe went away, which is not a fault of the disk.
    fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }

    /// Returns whether the disk, a quota or a size limit is full. Only free space helps.
    pub fn is_full(&self) -> bool {
        matches!(
            self.source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
        )
    }
}

impl From<&DiskFailure> for WriteFault {
    fn from(failure: &DiskFailure) -> Self {
        let cause = match failure {
            failure if failure.is_full() => WriteCause::Full,
            failure if failure.is_closed_pipe() => WriteCause::ReaderGone,
            _ => WriteCause::Other,
        };
        Self { target: failure.target, cause, message: failure.to_string() }
    }
}
