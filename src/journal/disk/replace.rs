//! Replaces a file as a whole: after a crash or a loss of power, either the old file or the new one is there.

use std::io;
use std::path::Path;

use super::names::{folder_of, with_suffix};
use super::{Disk, DiskFailure, DiskFile, LockAttempt, OpenMode};

/// Suffix of temporary files. It is so long that no other file is likely to have it.
const TEMPORARY: &str = ".claude-batch.tmp";

/// Writes a new file with `fill`. The new file then replaces the old file.
///
/// The new file is written next to the old one, synced, and renamed. If an earlier process died and left a temporary
/// file, that file is removed first. This is safe: the caller has the lock, so no other process is using the temporary
/// file. If the new temporary file can't be finished, it is removed too, because the disk may be full.
///
/// # Errors
/// The failure of the disk. The file is then either the old one or the new one, never a mixture.
pub(crate) fn replace(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    put(disk, path, |_, _| Ok(()), fill).map(drop)
}

/// Replaces a locked file like [`replace`]. The new file is locked before it gets the name, so no other run can lock
/// the new file first. Returns the new file.
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

/// Replaces a file as [`replace`] does, but syncs nothing. After a crash of this process, either the old file or the
/// new one is there. After a loss of power, the file may be damaged. It is for files that are replaced every second and
/// that no later run depends on.
///
/// # Errors
/// The failure of the disk. The file is then either the old one or the new one, never a mixture.
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

/// If a process died while it replaced the file at `path`, removes the temporary file that is left. The caller must
/// hold the lock of the file.
///
/// # Errors
/// The failure of the disk.
pub(crate) fn remove_left_over(disk: &dyn Disk, path: &Path) -> Result<(), DiskFailure> {
    let temporary = with_suffix(path, TEMPORARY);
    disk.remove(&temporary).map_err(DiskFailure::of("remove", &temporary))
}

/// Makes the name of a created or renamed file durable.
///
/// # Errors
/// The failure of the disk.
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
        // If this removal fails too, only the first failure is reported.
        let _ = disk.remove(&temporary);
        return Err(failure);
    }
    sync_name(disk, path)?;
    Ok(file)
}
