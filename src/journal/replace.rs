//! Replacing a file as a whole, so that a death or a loss of power leaves the old one or the new one.

use std::path::Path;

use super::disk::{Disk, DiskFailure, DiskFile, OpenMode, folder_of};
use super::paths::with_suffix;

/// Ending of temporary files: long enough that nobody else's file has it.
const TEMPORARY: &str = ".claude-batch.tmp";

/// Replaces a file as a whole: `fill` writes a temporary one beside it, which is synced and takes its place.
///
/// A temporary file left by a death is in the way and is removed first; the lock keeps it from being anybody else's.
///
/// # Errors
/// What failed; the file is then the old one or the new one, never a mixture.
pub(super) fn replace(
    disk: &dyn Disk,
    path: &Path,
    fill: impl FnOnce(&dyn DiskFile, &Path) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    let temporary = with_suffix(path, TEMPORARY);
    disk.remove(&temporary).map_err(DiskFailure::of("remove", &temporary))?;
    let file = disk.open(&temporary, OpenMode::CreateNew).map_err(DiskFailure::of("create", &temporary))?;
    fill(&*file, &temporary)?;
    file.sync().map_err(DiskFailure::of("sync", &temporary))?;
    drop(file);
    disk.rename(&temporary, path).map_err(DiskFailure::of("rename", &temporary))?;
    let folder = folder_of(path);
    disk.sync_folder(folder).map_err(DiskFailure::of("sync", folder))
}
