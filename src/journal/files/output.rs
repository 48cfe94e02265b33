//! The files to which a run appends: results and error log. Each file is opened once and locked.
//!
//! A lock on a name is not enough, because two runs can share an error log, or can reach the same file by different
//! names. So each file has a lock of its own, in addition to the lock of the run folder (`lock.rs`). The lock applies
//! to the opened file. Another run may have replaced or removed that file before it was locked, so the name is checked
//! again once the file is locked. If a locked file is replaced, the new file is locked before it gets the name of the
//! old one ([`Output::replace`]).
//!
//! An existing file is locked before it is read. Missing files are created last, after all existing files are checked.
//! If another program creates one of the missing files before the run does, the run does not use that file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::lock::lacks_locks;
use super::paths::RunPaths;
use crate::journal::disk::{
    Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, Owners, RealDisk, folder_of, replace_locked, sync_name,
};
use crate::journal::error::JournalError;
use crate::journal::start::Start;
use crate::sink::Log;

/// How many times a run tries to open and lock a file. If another run ends and replaces the file before this run has
/// locked the file, the try fails.
const TRIES: u32 = 16;

/// Why the files of a run are opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// The files are opened for a run, which locks them and writes to them.
    Write,
    /// The files are opened for a dry run, which only reads them. The files are not locked, and nothing is changed.
    ReadOnly,
}

/// An open file of this run. The file stays locked as long as a copy of `file` exists.
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
}

/// The outputs that existed when the run began.
#[derive(Default)]
pub(crate) struct ExistingOutputs {
    pub(crate) results: Option<Output>,
    pub(crate) errors: Option<Output>,
}

/// The outputs of a run.
pub(crate) struct Outputs {
    /// The results file. `None` when results go to standard output.
    pub(crate) results: Option<Output>,
    pub(crate) errors: Output,
}

impl Output {
    /// Opens a file if it exists, and locks it. With [`Access::ReadOnly`], the file is not locked.
    ///
    /// # Errors
    /// [`JournalError::Locked`] or [`JournalError::LogLocked`]; [`JournalError::Refused`]; [`JournalError::Disk`].
    pub(crate) fn find(
        disk: &dyn Disk,
        path: &Path,
        log: Log,
        access: Access,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, JournalError> {
        match access {
            Access::Write => Self::find_and_lock(disk, path, log, notes),
            Access::ReadOnly => Self::find_to_read(disk, path, log),
        }
    }

    /// Opens a file for reading. Fails if another run uses the file, or if this user is not allowed to write to it.
    fn find_to_read(disk: &dyn Disk, path: &Path, log: Log) -> Result<Option<Self>, JournalError> {
        // The handle of this check is closed immediately. The lock is freed when the handle is closed, so a run can
        // start while the file is read.
        let probe = open_existing(disk, path, OpenMode::TO_PROBE, log)?;
        if probe.is_some_and(|file| matches!(file.try_lock(), Ok(LockAttempt::Held))) {
            return Err(locked(path, log));
        }
        let Some(file) = open_existing(disk, path, OpenMode::Read, log)? else {
            disk.may_write(folder_of(path)).map_err(DiskFailure::of("open", path))?;
            return Ok(None);
        };
        disk.may_write(path).map_err(DiskFailure::of("open", path))?;
        Ok(Some(Self { path: path.to_owned(), file: file.into() }))
    }

    fn find_and_lock(
        disk: &dyn Disk,
        path: &Path,
        log: Log,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, JournalError> {
        for _ in 0..TRIES {
            let Some(file) = open_existing(disk, path, OpenMode::Existing, log)? else { return Ok(None) };
            if let Some(output) = Self::lock(file, path, log, notes)? {
                return Ok(Some(output));
            }
        }
        Err(JournalError::Unsteady { path: path.to_owned() })
    }

    /// Creates and locks a file that does not exist.
    ///
    /// # Errors
    /// [`JournalError::Appeared`] if another program creates the file first, and the errors of [`Output::find`].
    pub(crate) fn create(
        disk: &dyn Disk,
        path: &Path,
        log: Log,
        notes: &mut Vec<String>,
    ) -> Result<Self, JournalError> {
        let appeared = || JournalError::Appeared { path: path.to_owned() };
        let file = match disk.open(path, OpenMode::CreateNew) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(appeared()),
            opened => opened.map_err(DiskFailure::of("open", path))?,
        };
        // Before the new file is locked here, another run may have opened the file, and may have removed or replaced
        // it.
        Self::lock(file, path, log, notes)?.ok_or_else(appeared)
    }

    /// Replaces the whole file as [`crate::journal::disk::replace`] does, and locks the new file.
    ///
    /// # Errors
    /// A disk failure.
    pub(crate) fn replace(
        &mut self,
        disk: &dyn Disk,
        fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
    ) -> Result<(), DiskFailure> {
        self.file = replace_locked(disk, &self.path, fill)?.into();
        Ok(())
    }

    /// Locks an open file. Returns `None` if the path of the file now leads to another file.
    fn lock(
        file: Box<dyn DiskFile>,
        path: &Path,
        log: Log,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, JournalError> {
        match file.try_lock().map_err(DiskFailure::of("lock", path))? {
            LockAttempt::Locked => {}
            LockAttempt::Held => return Err(locked(path, log)),
            LockAttempt::Unsupported => note_once(notes, lacks_locks(path)),
        }
        let is_named = file.is_at(path).map_err(DiskFailure::of("look at", path))?;
        Ok(is_named.then(|| Self { path: path.to_owned(), file: file.into() }))
    }
}

impl ExistingOutputs {
    /// Opens the existing outputs. An output must not be one of `inputs`. The only exception is the error log of a
    /// `resume`: this log is both read and written.
    ///
    /// # Errors
    /// The errors of [`Output::find`]; [`JournalError::SameFile`]; [`JournalError::OutputIsInput`].
    pub(crate) fn find(
        disk: &dyn Disk,
        paths: &RunPaths,
        inputs: &[PathBuf],
        start: Start,
        access: Access,
        notes: &mut Vec<String>,
    ) -> Result<Self, JournalError> {
        let results = match &paths.results {
            Some(path) => Output::find(disk, path, Log::Results, access, notes)?,
            None => None,
        };
        check_distinct(results.as_ref(), &paths.errors)?;
        let errors = Output::find(disk, &paths.errors, Log::Errors, access, notes)?;
        let written = errors.as_ref().filter(|_| start != Start::Resume);
        for output in results.iter().chain(written) {
            // If an input can't be compared with the output here, reading the input fails later.
            if let Some(input) = inputs.iter().find(|input| output.file.is_at(input).unwrap_or(false)) {
                return Err(JournalError::OutputIsInput { output: output.path.clone(), input: input.clone() });
            }
        }
        Ok(Self { results, errors })
    }

    /// Creates the missing outputs, and makes the names of all outputs durable.
    ///
    /// # Errors
    /// Returns the same errors as [`Output::create`], and also [`JournalError::SameFile`].
    pub(crate) fn complete(
        self,
        disk: &dyn Disk,
        paths: &RunPaths,
        notes: &mut Vec<String>,
    ) -> Result<Outputs, JournalError> {
        let mut complete = |found: Option<Output>, path: &Path, log| {
            let output = match found {
                Some(output) => output,
                None => Output::create(disk, path, log, notes)?,
            };
            sync_name(disk, path)?;
            Ok::<_, JournalError>(output)
        };
        let results = match &paths.results {
            Some(path) => Some(complete(self.results, path, Log::Results)?),
            None => None,
        };
        check_distinct(results.as_ref(), &paths.errors)?;
        let errors = complete(self.errors, &paths.errors, Log::Errors)?;
        Ok(Outputs { results, errors })
    }
}

/// Opens a file. Returns `None` if the file does not exist.
fn open_existing(
    disk: &dyn Disk,
    path: &Path,
    mode: OpenMode,
    log: Log,
) -> Result<Option<Box<dyn DiskFile>>, JournalError> {
    match disk.open(path, mode) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(locked(path, log)),
        Err(error) => Err(DiskFailure::of("open", path)(error).into()),
    }
}

/// Checks that a path does not lead to the results file.
fn check_distinct(results: Option<&Output>, errors: &Path) -> Result<(), JournalError> {
    match results {
        Some(Output { path, file }) if file.is_at(errors).map_err(DiskFailure::of("look at", errors))? => {
            Err(JournalError::SameFile { path: path.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

fn note_once(notes: &mut Vec<String>, note: String) {
    if !notes.contains(&note) {
        notes.push(note);
    }
}

fn locked(path: &Path, log: Log) -> JournalError {
    match log {
        Log::Results => JournalError::Locked { path: path.to_owned(), holder: None },
        Log::Errors => JournalError::LogLocked { path: path.to_owned() },
    }
}

/// Opens a file for appending, with the same checks as for an output of a run.
///
/// Returns the file, and messages for the user about changes to the file's permissions.
///
/// # Errors
/// [`JournalError::MissingFolder`], [`JournalError::Refused`], [`JournalError::Disk`].
#[cfg_attr(not(feature = "sim"), expect(dead_code, reason = "only the simulator opens its journal in this way"))]
pub(crate) fn open_to_append(path: &Path, owners: Owners) -> Result<(File, Vec<String>), JournalError> {
    let disk = RealDisk::new(owners);
    let folder = folder_of(path);
    if !disk.is_folder(folder).map_err(DiskFailure::of("look at", path))? {
        return Err(JournalError::MissingFolder { path: path.to_owned(), folder: folder.to_owned() });
    }
    let file = disk.open_to_append(path).map_err(DiskFailure::of("open", path))?;
    Ok((file, disk.take_notes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const LOG: &str = "o.errors.jsonl";

    fn find(disk: &MemDisk) -> Result<Option<Output>, JournalError> {
        Output::find(disk, Path::new(LOG), Log::Errors, Access::Write, &mut Vec::new())
    }

    #[test]
    fn a_file_that_was_replaced_before_it_was_locked_is_not_used() {
        let disk = MemDisk::new();
        disk.put(LOG, b"old");
        let opened = disk.open(Path::new(LOG), OpenMode::Existing).expect("it is there");
        disk.put("compacted", b"new");
        disk.rename(Path::new("compacted"), Path::new(LOG)).expect("the disk works");

        let locked = Output::lock(opened, Path::new(LOG), Log::Errors, &mut Vec::new()).expect("nobody holds it");

        assert!(locked.is_none());
        let found = find(&disk).expect("nobody holds it").expect("it is there");
        assert_eq!(found.file.size().expect("the disk works"), 3);
    }

    #[test]
    fn a_file_stays_locked_until_its_last_handle_is_closed() {
        let disk = MemDisk::new();
        let made = Output::create(&disk, Path::new(LOG), Log::Errors, &mut Vec::new()).expect("it is not there");
        let handle = Arc::clone(&made.file);

        let again = Output::create(&disk, Path::new(LOG), Log::Errors, &mut Vec::new()).map(|_| ());
        let held = find(&disk).map(|_| ());
        drop(made);
        let still_held = find(&disk).map(|_| ());
        drop(handle);

        assert!(matches!(again, Err(JournalError::Appeared { .. })));
        assert!(matches!(
            (held, still_held),
            (Err(JournalError::LogLocked { .. }), Err(JournalError::LogLocked { .. }))
        ));
        assert!(find(&disk).is_ok_and(|found| found.is_some()));
    }
}
