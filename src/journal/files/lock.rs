//! The lock of the run folder: it prevents two runs from using one results file at the same time.
//!
//! The lock is on a file named `lock`, which is created before the results file. Next to `lock`, a file named `holder`
//! contains the process id of the run. The results file and the error log have locks of their own ([`super::output`]),
//! because these files can also be reached by other names. When a process dies, the system frees its locks, so there
//! are no stale locks.
//!
//! The file `lock` is never removed. If the file were removed, two runs could lock two different files with the name
//! `lock`. If a person removes the whole folder, the outputs are still protected by their own locks.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::journal::disk::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, folder_of};
use crate::journal::error::JournalError;

/// A lock of this run. Dropping this value frees the lock.
pub(crate) struct Lock {
    _file: Box<dyn DiskFile>,
}

/// Locks the run folder, and returns the lock. If the file system has no locks, also returns a warning.
///
/// # Errors
/// [`JournalError::Locked`], with the process id of the other run if it is known; [`JournalError::Disk`].
pub(crate) fn lock(disk: &dyn Disk, folder: &Path, results: &Path) -> Result<(Lock, Option<String>), JournalError> {
    let path = folder.join("lock");
    let held = || JournalError::Locked { path: results.to_owned(), holder: read_holder(disk, folder) };
    let file = match disk.open(&path, OpenMode::Edit) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Err(held()),
        opened => opened.map_err(DiskFailure::of("open", &path))?,
    };
    let warning = match try_lock(&*file).map_err(DiskFailure::of("lock", &path))? {
        LockAttempt::Locked => None,
        LockAttempt::Held => return Err(held()),
        LockAttempt::Unsupported => Some(lacks_locks(results)),
    };
    write_holder(disk, folder)?;
    Ok((Lock { _file: file }, warning))
}

/// The state of the lock of a run folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockState {
    /// A run has the lock. The number is the process id of the run, if this id is known.
    Held(Option<u32>),
    /// No run has the lock.
    Free,
    /// The file system has no locks, or the lock file can't be opened.
    Unknown,
}

/// Returns whether a run has the lock of a run folder. Changes nothing.
pub(crate) fn lock_state(disk: &dyn Disk, folder: &Path) -> LockState {
    match disk.open(&folder.join("lock"), OpenMode::TO_PROBE) {
        Ok(file) => match file.try_lock() {
            Ok(LockAttempt::Held) => LockState::Held(read_holder(disk, folder)),
            Ok(LockAttempt::Locked) => LockState::Free,
            Ok(LockAttempt::Unsupported) | Err(_) => LockState::Unknown,
        },
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => LockState::Held(read_holder(disk, folder)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => LockState::Free,
        Err(_) => LockState::Unknown,
    }
}

/// Checks that no run has the lock of a run folder, and that this run could lock the folder. Changes nothing.
///
/// # Errors
/// The errors of [`lock`].
pub(crate) fn check_free(disk: &dyn Disk, folder: &Path, results: &Path) -> Result<(), JournalError> {
    let path = folder.join("lock");
    let held = || JournalError::Locked { path: results.to_owned(), holder: read_holder(disk, folder) };
    match disk.open(&path, OpenMode::TO_PROBE) {
        Ok(file) if matches!(file.try_lock(), Ok(LockAttempt::Held)) => Err(held()),
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy => Err(held()),
        Ok(_) => Ok(disk.may_write(&path).map_err(DiskFailure::of("open", &path))?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => match disk.kind(folder) {
            Ok(Some(_)) => Ok(disk.may_write(folder).map_err(DiskFailure::of("open", &path))?),
            _ => Ok(disk.may_write(folder_of(folder)).map_err(DiskFailure::of("create", folder))?),
        },
        Err(error) => Err(DiskFailure::of("open", &path)(error).into()),
    }
}

/// Returns the warning that the file system has no locks.
pub(super) fn lacks_locks(path: &Path) -> String {
    let folder = folder_of(path).display();
    format!("the file system of {folder} has no locks: make sure that no other run uses the same output")
}

/// Tries to lock a file. If the file is locked, tries again a little later, because a command that inspects the run has
/// the lock only for a moment.
fn try_lock(file: &dyn DiskFile) -> io::Result<LockAttempt> {
    match file.try_lock()? {
        LockAttempt::Held => {
            std::thread::sleep(Duration::from_millis(20));
            file.try_lock()
        }
        attempt => Ok(attempt),
    }
}

fn write_holder(disk: &dyn Disk, folder: &Path) -> Result<(), JournalError> {
    let path = folder.join("holder");
    let file = disk.open(&path, OpenMode::Edit).map_err(DiskFailure::of("open", &path))?;
    let line = format!("{:<20}\n", std::process::id());
    file.write_at(line.as_bytes(), 0).map_err(DiskFailure::of("write", &path))?;
    Ok(())
}

fn read_holder(disk: &dyn Disk, folder: &Path) -> Option<u32> {
    let file = disk.open(&folder.join("holder"), OpenMode::Read).ok()?;
    let mut text = [0; 32];
    let count = file.read_at(&mut text, 0).ok()?;
    std::str::from_utf8(&text[..count]).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    #[test]
    fn a_locked_folder_names_the_process_and_is_free_after_its_death() {
        let disk = MemDisk::new();
        let (folder, results) = (Path::new("o.run"), Path::new("o"));
        let held = lock(&disk, folder, results).expect("nobody holds it");

        let refused = lock(&disk, folder, results);
        let after = disk.after_death();

        let us = std::process::id();
        assert!(matches!(refused, Err(JournalError::Locked { holder: Some(holder), .. }) if holder == us));
        assert!(lock(&after, folder, results).is_ok());
        drop(held);
        assert!(lock(&disk, folder, results).is_ok());
    }
}
