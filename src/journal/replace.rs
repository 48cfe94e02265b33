//! Replacing a file as a whole, so that a death or a loss of power leaves the old one or the new one.
//!
//! A file that is locked is replaced by one that is locked before it gets the name, so that no other run gets in.

use std::io;
use std::path::Path;

use super::disk::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode, folder_of};
use super::output::Output;
use super::paths::with_suffix;

/// Ending of temporary files: long enough that nobody else's file has it.
const TEMPORARY: &str = ".claude-batch.tmp";

/// Replaces a file as a whole: `fill` writes a temporary one beside it, which is synced and takes its place.
///
/// A temporary file left by a death is in the way and is removed first; the lock keeps it from being anybody else's. One
/// that can't be finished is removed, since what is lacking may be room.
///
/// # Errors
/// What failed; the file is then the old one or the new one, never a mixture.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    put(disk, path, |_, _| Ok(()), fill).map(drop)
}

/// Replaces an output as [`replace`] does. The new file is locked, and is the output from then on.
///
/// # Errors
/// As [`replace`].
pub(super) fn replace_output(
    disk: &dyn Disk,
    output: &mut Output,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    output.file = put(disk, &output.path, lock, fill)?.into();
    Ok(())
}

/// Removes what a death left of replacing a file, which the caller holds.
///
/// # Errors
/// What failed.
pub(super) fn remove_left_over(disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
    let temporary = with_suffix(path, TEMPORARY);
    disk.remove(&temporary).map_err(DiskFailure::of("remove", &temporary))
}

fn lock(file: &dyn DiskFile, path: &Path) -> Result<(), DiskFailure> {
    match file.try_lock().map_err(DiskFailure::of("lock", path))? {
        LockAttempt::Locked | LockAttempt::Unsupported => Ok(()),
        LockAttempt::Held => Err(DiskFailure::of("lock", path)(io::ErrorKind::ResourceBusy.into())),
    }
}

fn put(
    disk: &dyn Disk,
    path: &Path,
    lock: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<Box<dyn DiskFile>, DiskFailure> {
    remove_left_over(disk, path)?;
    let temporary = with_suffix(path, TEMPORARY);
    let file = disk.open(&temporary, OpenMode::CreateNew).map_err(DiskFailure::of("create", &temporary))?;
    let in_place = lock(&*file, &temporary)
        .and_then(|()| fill(&*file, &temporary))
        .and_then(|()| file.sync().map_err(DiskFailure::of("sync", &temporary)))
        .and_then(|()| disk.rename(&temporary, path).map_err(DiskFailure::of("rename", &temporary)));
    if let Err(failure) = in_place {
        drop(file);
        // What went wrong first is what is told.
        let _ = disk.remove(&temporary);
        return Err(failure);
    }
    let folder = folder_of(path);
    disk.sync_folder(folder).map_err(DiskFailure::of("sync", folder))?;
    Ok(file)
}
