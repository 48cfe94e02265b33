//! Defines what the journal needs from a disk: a small trait, and errors that name the path and the operation.
//!
//! | file | content |
//! |---|---|
//! | `mod.rs` | the traits [`Disk`] and [`DiskFile`] |
//! | `real.rs`, `real_file.rs`, `system.rs` | the machine's own file system, and the differences between operating systems |
//! | `memory/` | a disk in memory that can fail, die and lose power |
//! | `trust.rs` | the rules that decide which files are used: owners, links, modes |
//! | `failure.rs` | a failed operation, with its path |
//! | `names.rs`, `reader.rs`, `replace.rs` | make names from a path, read a file, replace a file as a whole |
//!
//! The journal uses files only through [`Disk`]. So a simulated disk can truncate, lose or reorder writes, or make them
//! fail. This module knows nothing about lines or runs.
//!
//! A disk does not open a file that [`trust`] forbids. The error then contains a [`Refusal`].

mod failure;
mod memory;
mod names;
mod reader;
mod real;
mod real_file;
mod replace;
mod system;
mod trust;

use std::io;
use std::path::Path;

pub use failure::DiskFailure;
pub use memory::MemDisk;
pub(crate) use names::{folder_of, with_suffix};
pub(crate) use reader::{Reader, read_up_to};
pub use real::RealDisk;
pub(crate) use replace::{remove_left_over, replace, replace_locked, replace_unsynced, sync_name};
pub use trust::{Owners, Refusal};

/// The mode in which a file is opened.
///
/// On Unix, symbolic links are never followed. A new file gets the permissions 0600: only its owner can read and write
/// it. An existing file also gets the permissions 0600 when it is opened for writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    /// The file is opened for reading, and must exist.
    Read,
    /// The file is opened for reading and writing, and must exist.
    Existing,
    /// The file is opened for reading and writing. A missing file is created, and an existing file keeps its content.
    Edit,
    /// The file is created for writing. If the file already exists, opening it fails.
    CreateNew,
}

impl OpenMode {
    /// The mode in which a file is opened to find out whether another run uses the file. On Windows, a file that is
    /// open for writing counts as locked.
    pub(crate) const TO_PROBE: Self = if cfg!(windows) { Self::Existing } else { Self::Read };
}

/// The kind of thing that exists at a path.
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

/// The result of an attempt to lock a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockAttempt {
    /// Locked. The file stays locked until it is closed or the process ends.
    Locked,
    /// Another process, or another handle of this process, has the lock.
    Held,
    /// The file system has no locks.
    Unsupported,
}

/// An open file. The caller passes a position to every read and write, so a failed write does not affect the next
/// write.
pub trait DiskFile: Send + Sync {
    /// Returns the length of the file in bytes.
    ///
    /// # Errors
    /// The error that the system reports.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset`, and returns how many were read. Returns 0 at the end of the file.
    ///
    /// # Errors
    /// The error that the system reports.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Writes all bytes at `offset`. After an error, any part of the bytes may have been written.
    ///
    /// # Errors
    /// The error that the system reports.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until everything that was written is on stable storage.
    ///
    /// # Errors
    /// The error that the system reports. After an error, all bytes that were written since the last successful sync
    /// may be lost, even if a later sync succeeds.
    fn sync(&self) -> io::Result<()>;

    /// Truncates the file to `size` bytes.
    ///
    /// # Errors
    /// The error that the system reports.
    fn truncate(&self, size: u64) -> io::Result<()>;

    /// Tries to lock the file exclusively for this handle. The lock applies to the file, not to its name. Other handles
    /// can still read the file.
    ///
    /// # Errors
    /// The error that the system reports. Two cases are not errors, but variants of `LockAttempt`: another handle has
    /// the lock, or the file system has no locks.
    fn try_lock(&self) -> io::Result<LockAttempt>;

    /// Returns whether `path` leads to this file; symbolic links are followed. Returns false if nothing exists at
    /// `path`.
    ///
    /// # Errors
    /// The error that the system reports.
    fn is_at(&self, path: &Path) -> io::Result<bool>;
}

/// A file system.
pub trait Disk: Send + Sync {
    /// Opens a regular file if this program is allowed to use it. Opening never waits, even if the path is a FIFO or a
    /// device.
    ///
    /// # Errors
    /// A [`Refusal`] or a system error. If the system allows only one writer and another process has the file open for
    /// writing, the error is `ResourceBusy`.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Box<dyn DiskFile>>;

    /// Returns what exists at `path`, without following a symbolic link; `None` if nothing exists there.
    ///
    /// # Errors
    /// Fails with a [`Refusal`] if this program is not allowed to use the file or folder. All other errors are errors
    /// of the system.
    fn kind(&self, path: &Path) -> io::Result<Option<FileKind>>;

    /// Returns whether `path` is a folder that can contain outputs. Symbolic links are followed.
    ///
    /// # Errors
    /// [`Refusal::OpenFolder`].
    fn is_folder(&self, path: &Path) -> io::Result<bool>;

    /// Returns whether both paths lead to the same existing file.
    fn is_same_file(&self, one: &Path, other: &Path) -> bool;

    /// Returns whether standard output goes to the regular file at `path`. If `path` is `None`, returns whether
    /// standard output and standard input are the same file.
    fn is_standard_output(&self, path: Option<&Path>) -> bool;

    /// Checks, without writing, that this user is allowed to write to an existing file or folder.
    ///
    /// # Errors
    /// Returns the error that the system would report if this user wrote to the file or folder. A disk that can't check
    /// this returns `Ok`.
    fn may_write(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    /// Creates one folder with mode 0700: only its owner can use it. An existing folder gets the same mode.
    ///
    /// # Errors
    /// A [`Refusal`] if the path exists and this program is not allowed to use it; otherwise, the error that the system
    /// reports.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames a file. If a file already has the new name, that file is replaced.
    ///
    /// # Errors
    /// The error that the system reports.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Also succeeds if there is no such file.
    ///
    /// # Errors
    /// The error that the system reports.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes creations, renames and removals in a folder durable. Does nothing if the system can't sync folders.
    ///
    /// # Errors
    /// The error that the system reports.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Returns messages that say which files and folders were made private since the last call. The user sees these
    /// messages.
    fn take_notes(&self) -> Vec<String>;
}
