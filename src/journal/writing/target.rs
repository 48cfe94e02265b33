//! Where lines are written: to two files, or to standard output and a file.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::commit::Fsync;
use crate::domain::WriteTarget;
use crate::journal::disk::{DiskFailure, DiskFile};
use crate::journal::files::answered::AnsweredRows;
use crate::sink::Log;

/// Where the lines of one log are written.
pub(crate) enum Target {
    /// A file. The next line is written at the offset `end`.
    File { file: Arc<dyn DiskFile>, path: PathBuf, end: u64 },
    /// Standard output.
    Stdout(Box<dyn Write + Send>),
}

impl Target {
    fn write(&mut self, bytes: &[u8]) -> Result<(), DiskFailure> {
        match self {
            Self::File { file, path, end } => {
                file.write_at(bytes, *end).map_err(DiskFailure::of("write", path))?;
                *end += bytes.len() as u64;
                Ok(())
            }
            Self::Stdout(stream) => {
                stream.write_all(bytes).and_then(|()| stream.flush()).map_err(DiskFailure::of_standard_output)
            }
        }
    }

    /// Makes the written lines durable. Does nothing for standard output, which can't be synced.
    fn sync(&self) -> Result<(), DiskFailure> {
        match self {
            Self::File { file, path, .. } => make_durable(&**file, path),
            Self::Stdout(_) => Ok(()),
        }
    }

    /// Returns the file and its path; `None` for standard output.
    fn file(&self) -> Option<(Arc<dyn DiskFile>, PathBuf)> {
        match self {
            Self::File { file, path, .. } => Some((Arc::clone(file), path.clone())),
            Self::Stdout(_) => None,
        }
    }
}

/// Makes the written lines of a file durable, and checks that `path` still leads to this file.
///
/// An editor or `sed -i` replaces a file by another one with the same name. Lines that are written after that go to a
/// file that has no name, and are lost when the run ends.
///
/// # Errors
/// The system's error, or a failure that says that another program replaced or removed the file.
pub(super) fn make_durable(file: &dyn DiskFile, path: &Path) -> Result<(), DiskFailure> {
    file.sync().map_err(DiskFailure::of("sync", path))?;
    match file.is_at(path) {
        Ok(false) => {
            let fault = io::Error::other("another program replaced, moved or removed the file during the run");
            Err(DiskFailure::of("write", path)(fault))
        }
        // If the system can't say where the file is, the lines are still durable.
        Ok(true) | Err(_) => Ok(()),
    }
}

/// Where the lines of a run are written, and when they are synced.
pub(crate) struct Targets {
    pub(crate) results: Target,
    pub(crate) errors: Target,
    /// The rows whose answers are written; `None` unless a `resume` writes its answers to standard output.
    pub(crate) answered: Option<AnsweredRows>,
    pub(crate) fsync: Fsync,
}

impl Targets {
    /// Writes lines to the system. A part can end anywhere, even inside a line.
    pub(super) fn write(&mut self, log: Log, parts: &[&[u8]]) -> Result<(), DiskFailure> {
        let target = match log {
            Log::Results => &mut self.results,
            Log::Errors => &mut self.errors,
        };
        parts.iter().filter(|part| !part.is_empty()).try_for_each(|part| target.write(part))
    }

    /// Records the rows whose lines are written. `records` can be empty.
    pub(super) fn write_answered(&mut self, records: &[u8]) -> Result<(), DiskFailure> {
        match &mut self.answered {
            Some(answered) if !records.is_empty() => answered.write(records),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the lines of one log durable.
    pub(super) fn sync(&self, log: Log) -> Result<(), DiskFailure> {
        match log {
            Log::Results => self.results.sync(),
            Log::Errors => self.errors.sync(),
        }
    }

    /// Writes and syncs lines of the error log after standard output has failed. The lines are synced even with
    /// `--fsync off`.
    pub(super) fn save_errors(&mut self, parts: &[&[u8]]) -> Result<(), DiskFailure> {
        self.write(Log::Errors, parts)?;
        self.sync(Log::Errors)
    }

    /// Returns whether the error log still accepts lines after this failure. The error log accepts lines if only
    /// standard output has failed.
    pub(super) fn log_still_works(&self, failure: &DiskFailure) -> bool {
        matches!(self.results, Target::Stdout(_)) && failure.target == WriteTarget::StandardOutput
    }

    /// Returns the files that a sync has to make durable: first the results, then the error log. With `--fsync off`,
    /// returns no files.
    pub(super) fn files_to_sync(&self) -> [Option<(Arc<dyn DiskFile>, PathBuf)>; 2] {
        match self.fsync {
            Fsync::Group | Fsync::Always => [self.results.file(), self.errors.file()],
            Fsync::Off => [None, None],
        }
    }
}
