//! Replaces whole files. After a crash or a power failure, either the old file or the new file is there.

use std::io;
use std::path::Path;

use super::names::{folder_of, with_suffix};
use super::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode};

/// The suffix of temporary file names. The suffix is so long that other files are unlikely to have it.
const TEMPORARY: &str = ".claude-batch.tmp";

/// Writes a new file with `fill`, and replaces the old file with it.
///
/// The new file is written next to the old one, synced, and renamed. If an earlier process died and left a temporary
/// file, that file is removed first. The removal is safe: the caller has the lock, so no other process uses the
/// temporary file. If the new temporary file can't be finished, it is removed, because the disk may be full.
///
/// # Errors
/// A disk failure. The file is then either the old file or the new file, never a mixture.
pub(crate) fn replace(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    put(disk, path, |_, _| Ok(()), fill).map(drop)
}

/// Does the same as [`replace`] for a locked file. The new file is locked before it gets the name of the old file, so
/// no other run can lock it first. Returns the new file.
///
/// # Errors
/// The errors of [`replace`].
pub(crate) fn replace_locked(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<Box<dyn DiskFile>, DiskFailure> {
    put(disk, path, lock, fill)
}

/// Replaces a file as [`replace`] does, but without any sync. After a process crash, either the old file or the new
/// file is there. After a power failure, the file may be damaged. Use this function for files that are replaced every
/// second and that no later run needs.
///
/// # Errors
/// A disk failure. The file is then either the old file or the new file, never a mixture.
pub(crate) fn replace_unsynced(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), DiskFailure> {
    remove_left_over(disk, path)?;
    let temporary = with_suffix(path, TEMPORARY);
    let file = disk.open(&temporary, OpenMode::CreateNew).map_err(DiskFailure::of("create", &temporary))?;
    let written = file.write_at(bytes, 0).map_err(DiskFailure::of("write", &temporary));
    drop(file);
    let in_place = written.and_then(|()| disk.rename(&temporary, path).map_err(DiskFailure::of("rename", &temporary)));
    if in_place.is_err() {
        let _ = disk.remove(&temporary);
    }
    in_place
}

/// Removes the temporary file of a process that died while it was replacing the file at `path`. The caller must hold
/// the lock of the file.
///
/// # Errors
/// A disk failure.
pub(crate) fn remove_left_over(disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
    let temporary = with_suffix(path, TEMPORARY);
    disk.remove(&temporary).map_err(DiskFailure::of("remove", &temporary))
}

/// Makes the name of a created or renamed file durable.
///
/// # Errors
/// A disk failure.
pub(crate) fn sync_name(disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
    let folder = folder_of(path);
    disk.sync_folder(folder).map_err(DiskFailure::of("sync", folder))
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
        // If the removal of the temporary file also fails, only the first failure is reported.
        let _ = disk.remove(&temporary);
        return Err(failure);
    }
    sync_name(disk, path)?;
    Ok(file)
}
