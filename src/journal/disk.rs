//! The disk as the journal needs it: a small trait, and errors that name path and operation.
//!
//! Everything the journal does to files goes through [`Disk`], so that a simulated one can tear, drop, reorder and
//! refuse. Knows nothing of lines or runs.
//!
//! A disk refuses to open what [`super::judge`] does not allow: its errors then hold a [`Refusal`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::judge::Refusal;
use crate::domain::{WriteCause, WriteFault, WriteTarget};

/// How a file is opened. None follows a symbolic link on Unix; created files are for their owner only (0600), and files
/// that are there are made so when they are opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// For reading; it must be there.
    Read,
    /// For reading and writing; it must be there.
    Existing,
    /// For reading and writing; created when missing, kept as it is when there.
    Edit,
    /// For writing; it must not be there.
    CreateNew,
}

impl OpenMode {
    /// How it is found out whether a run holds a file: where opening for writing takes the place of a lock, by that.
    pub(super) const TO_PROBE: Self = if cfg!(windows) { Self::Existing } else { Self::Read };
}

/// What stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Symlink,
    /// A FIFO, device or socket.
    Special,
}

/// Answer to an attempt to lock a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAttempt {
    /// Locked, until the file is closed or the process ends.
    Locked,
    /// Somebody else holds it.
    Held,
    /// The file system has no locks.
    Unsupported,
}

/// An open file. All access is by position, so that a failed write is never half counted.
pub trait DiskFile: Send + Sync {
    /// Returns the length in bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`; 0 at the end.
    ///
    /// # Errors
    /// What the system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`. After an error any part of them may have been written.
    ///
    /// # Errors
    /// What the system reports.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until everything written is on stable storage.
    ///
    /// # Errors
    /// What the system reports; what was written since the last success may then be lost for good, and trying again
    /// proves nothing.
    fn sync(&self) -> io::Result<()>;

    /// Cuts the file to `size` bytes.
    ///
    /// # Errors
    /// What the system reports.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Tries to lock the file, whatever its name, for this handle alone. The lock keeps nobody from reading.
    ///
    /// # Errors
    /// What the system reports, but for "held" and "unsupported".
    fn try_lock(&self) -> io::Result<LockAttempt>;

    /// Returns whether `path` names this very file, symbolic links followed; not when nothing is there.
    ///
    /// # Errors
    /// What the system reports.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a regular file that may be used. Whatever else is there does not make it wait.
    ///
    /// # Errors
    /// A [`Refusal`]; `ResourceBusy` where another process has it open for writing and the system allows that to one
    /// only; what else the system reports.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Returns what stands at `path`, without following a symbolic link; `None` when nothing does.
    ///
    /// # Errors
    /// A [`Refusal`] for a file or folder that may not be used; what the system reports.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Returns whether `path` is a folder that outputs can lie in, following symbolic links.
    ///
    /// # Errors
    /// [`Refusal::OpenFolder`].
    fn is_folder(&self, path: &Path) -> io::Result<bool>;

    /// Returns whether both paths name the same existing file.
    fn is_same_file(&self, one: &Path, other: &Path) -> bool;

    /// Returns whether standard output goes to the regular file at `path`, or with `None` to the one that standard input
    /// is read from.
    fn is_standard_output(&self, path: Option<&Path>) -> bool;

    /// Checks, without writing, that this user may write to a file or folder that is there.
    ///
    /// # Errors
    /// What the system would report. A disk that can't tell says nothing.
    fn may_write(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Creates one folder for its owner only (0700). Fine when it is there: it is then made so.
    ///
    /// # Errors
    /// A [`Refusal`] when what is there may not be used; what the system reports.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file, replacing what is there.
    ///
    /// # Errors
    /// What the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file; fine when it is not there.
    ///
    /// # Errors
    /// What the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a folder durable. Does nothing where folders can't be synced.
    ///
    /// # Errors
    /// What the system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns what was made private since the last call, in sentences for people.
    fn take_notes(&self) -> Vec<String>;
}

/// A failed operation on a path.
#[derive(Clone, Debug, thiserror::Error)]
#[error("can't {operation} {}: {source}", path.display())]
pub struct DiskFailure {
    /// What was tried: `write`, `sync`, ….
    pub operation: &'static str,
    /// On what.
    pub path: PathBuf,
    /// What the system said.
    pub source: Arc<io::Error>,
    /// What that path is.
    pub target: WriteTarget,
}

impl DiskFailure {
    /// Returns a failure; made for `map_err`.
    pub(super) fn of(operation: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self { operation, path: path.to_owned(), source: Arc::new(error), target: WriteTarget::File }
    }

    /// Returns a failure of standard output; made for `map_err`.
    pub(super) fn of_standard_output(error: io::Error) -> Self {
        Self { target: WriteTarget::StandardOutput, ..Self::of("write", Path::new("standard output"))(error) }
    }

    /// Returns why the file was not used, when that is what failed.
    pub fn refusal(&self) -> Option<&Refusal> {
        self.source.get_ref()?.downcast_ref()
    }

    /// Returns whether the reader of a pipe went away: no fault of the disk.
    pub fn is_closed_pipe(&self) -> bool {
        self.source.kind() == io::ErrorKind::BrokenPipe
    }

    /// Returns whether the disk, a quota or a size limit is full: room has to be made before going on.
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

/// Returns the folder a path lies in; `.` for a bare name.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
