//! The files a run writes: results and error log, opened once and locked by what they are.
//!
//! A name is not enough: two runs can share an error log, or reach one file by several names. So each file is itself
//! locked, beside the run folder ([`super::lock`]). The lock is on what was opened, so it is looked at afterwards whether
//! the name still leads there: another run may have replaced or removed the file in between. A file that takes the place
//! of a locked one is locked before it gets the name ([`super::replace`]).
//!
//! A file that is there is locked before it is read. One that is missing is made last, and never one that somebody else
//! makes meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::disk::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, folder_of};
use super::{JournalError, RunPaths, Start};
use crate::sink::Log;

/// How often a file is opened again that was replaced while it was being locked: each time another run ended.
const TRIES: u32 = 16;

/// What files are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To be held and written to.
    Run,
    /// To be read once, as they are: they are not held, and nothing is changed.
    Look,
}

/// A file that is open, ours and locked, as long as the last copy of `file` lives.
pub(super) struct Output {
    pub(super) path: PathBuf,
    pub(super) file: Arc<dyn DiskFile>,
}

/// The outputs that were there.
#[derive(Default)]
pub(super) struct Found {
    pub(super) results: Option<Output>,
    pub(super) errors: Option<Output>,
}

/// The outputs of a run that writes.
pub(super) struct Outputs {
    /// `None` when results go to standard output.
    pub(super) results: Option<Output>,
    pub(super) errors: Output,
}

impl Output {
    /// Opens a file that is there, for what it is needed; `None` when none is.
    fn find_for(
        disk: &dyn Disk,
        path: &Path,
        log: Log,
        purpose: Purpose,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, JournalError> {
        match purpose {
            Purpose::Run => Self::find(disk, path, log, notes),
            Purpose::Look => Self::look(disk, path, log),
        }
    }

    /// Opens a file that is there for reading, unless a run holds it or it could not be written to.
    fn look(disk: &dyn Disk, path: &Path, log: Log) -> Result<Option<Self>, JournalError> {
        let open = |mode| match disk.open(path, mode) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(locked(path, log)),
            Err(error) => Err(DiskFailure::of("open", path)(error).into()),
        };
        // A handle of its own, whose lock goes with it: a run that starts now finds nobody.
        let is_held = open(OpenMode::TO_PROBE)?.is_some_and(|file| matches!(file.try_lock(), Ok(LockAttempt::Held)));
        if is_held {
            return Err(locked(path, log));
        }
        let Some(file) = open(OpenMode::Read)? else {
            disk.may_write(folder_of(path)).map_err(DiskFailure::of("open", path))?;
            return Ok(None);
        };
        disk.may_write(path).map_err(DiskFailure::of("open", path))?;
        Ok(Some(Self { path: path.to_owned(), file: file.into() }))
    }

    /// Opens and locks a file that is there; `None` when none is.
    ///
    /// # Errors
    /// [`JournalError::Locked`] or [`JournalError::LogLocked`]; [`JournalError::Refused`]; [`JournalError::Disk`].
    pub(super) fn find(
        disk: &dyn Disk,
        path: &Path,
        log: Log,
        notes: &mut Vec<String>,
    ) -> Result<Option<Self>, JournalError> {
        for _ in 0..TRIES {
            let file = match disk.open(path, OpenMode::Existing) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(locked(path, log)),
                Err(error) => return Err(DiskFailure::of("open", path)(error).into()),
            };
            if let Some(output) = Self::lock(file, path, log, notes)? {
                return Ok(Some(output));
            }
        }
        Err(JournalError::Unsteady { path: path.to_owned() })
    }

    /// Makes and locks a file that is not there.
    ///
    /// # Errors
    /// [`JournalError::Appeared`] when it is there; as [`Output::find`].
    pub(super) fn create(
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
        // Another run may find it before it is locked, and remove or replace it.
        Self::lock(file, path, log, notes)?.ok_or_else(appeared)
    }

    /// Locks an open file; `None` when its name leads elsewhere by then.
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

impl Found {
    /// Opens the outputs that are there, and locks them where they are held, none of which may be among `inputs`; the log may when a run reads it.
    ///
    /// # Errors
    /// As [`Output::find`]; [`JournalError::SameFile`]; [`JournalError::OutputIsInput`].
    pub(super) fn find(
        disk: &dyn Disk,
        paths: &RunPaths,
        inputs: &[PathBuf],
        start: Start,
        purpose: Purpose,
        notes: &mut Vec<String>,
    ) -> Result<Self, JournalError> {
        let results = match &paths.results {
            Some(path) => Output::find_for(disk, path, Log::Results, purpose, notes)?,
            None => None,
        };
        check_distinct(results.as_ref(), &paths.errors)?;
        let errors = Output::find_for(disk, &paths.errors, Log::Errors, purpose, notes)?;
        let written = errors.as_ref().filter(|_| start != Start::Resume);
        for output in results.iter().chain(written) {
            // An input that can't be looked at is refused where it is read.
            if let Some(input) = inputs.iter().find(|input| output.file.is_at(input).unwrap_or(false)) {
                return Err(JournalError::OutputIsInput { output: output.path.clone(), input: input.clone() });
            }
        }
        Ok(Self { results, errors })
    }

    /// Returns the outputs, of which those that are missing are made, and makes their names durable.
    ///
    /// # Errors
    /// As [`Output::create`]; [`JournalError::SameFile`].
    pub(super) fn complete(
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
            let folder = folder_of(path);
            disk.sync_folder(folder).map_err(DiskFailure::of("sync", folder))?;
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

/// Checks that a path does not lead to the results.
fn check_distinct(results: Option<&Output>, errors: &Path) -> Result<(), JournalError> {
    match results {
        Some(Output { path, file }) if file.is_at(errors).map_err(DiskFailure::of("look at", errors))? => {
            Err(JournalError::SameFile { path: path.clone() })
        }
        Some(_) | None => Ok(()),
    }
}

/// Returns the sentence for a file system without locks.
pub(super) fn lacks_locks(path: &Path) -> String {
    let folder = folder_of(path).display();
    format!("the file system of {folder} has no locks: make sure that no other run uses the same output")
}

pub(super) fn note_once(notes: &mut Vec<String>, note: String) {
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

#[cfg(test)]
mod tests {
    use super::super::mem_disk::MemDisk;
    use super::*;

    const LOG: &str = "o.errors.jsonl";

    fn find(disk: &MemDisk) -> Result<Option<Output>, JournalError> {
        Output::find(disk, Path::new(LOG), Log::Errors, &mut Vec::new())
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
    fn a_file_is_held_by_one_until_its_last_handle_is_gone() {
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
