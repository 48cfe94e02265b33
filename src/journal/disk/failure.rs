//! A failed operation on a file: the operation, the path, and the system error.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::trust::Refusal;
use crate::domain::{WriteCause, WriteFault, WriteTarget};

/// A failed operation on a path.
#[derive(Clone, Debug, thiserror::Error)]
#[error("can't {operation} {}: {source}", path.display())]
pub struct DiskFailure {
    /// The name of the operation, such as `write` or `sync`.
    pub operation: &'static str,
    /// The path of the file.
    pub path: PathBuf,
    /// The error of the system.
    pub source: Arc<io::Error>,
    /// The kind of target: a file or standard output.
    pub target: WriteTarget,
}

impl DiskFailure {
    /// Returns a function for `map_err` that turns a system error into a failure.
    pub(crate) fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { operation, path: path.to_owned(), source: Arc::new(error), target: WriteTarget::File }
    }

    /// Turns a system error on standard output into a failure. Callers pass this function to `map_err`.
    pub(crate) fn of_standard_output(error: io::Error) -> Self {
        Self { target: WriteTarget::StandardOutput, ..Self::of("write", Path::new("standard output"))(error) }
    }

    /// If the operation failed because this program is not allowed to use the file, returns the reason.
    pub(crate) fn refusal(&self) -> Option<&Refusal> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Returns whether the reader of a pipe has closed the pipe. A closed pipe is not a fault of the disk.
    fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }

    /// Returns true if the disk is full, if a quota is reached, or if a limit on file sizes is reached. In each case,
    /// the user has to free some space.
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
