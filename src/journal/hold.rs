//! Takes the locks of a run without opening its journal, so that no run with these results can begin.

use std::path::Path;

use super::disk::{Disk, DiskFailure};
use super::error::JournalError;
use super::files::{Access, Lock, Output, RunPaths, lock};
use crate::sink::Log;

/// The locks of a run. Dropping this value frees the locks.
pub(crate) struct Held {
    _lock: Lock,
    _results: Option<Output>,
}

/// Locks the run folder and the results file. Also returns warnings for the user.
///
/// # Errors
/// [`JournalError::Locked`] if a run is in progress; [`JournalError::Disk`] if the disk fails.
pub(crate) fn hold(disk: &dyn Disk, results: &Path) -> Result<(Held, Vec<String>), JournalError> {
    let paths = RunPaths::given(Some(results.to_owned()), RunPaths::errors_beside(results));
    let folder = paths.folder().ok_or(JournalError::NoFolder)?;
    disk.create_folder(&folder).map_err(DiskFailure::of("create", &folder))?;
    let (lock, warning) = lock(disk, &folder, results)?;
    let mut notes: Vec<String> = warning.into_iter().collect();
    let results = Output::find(disk, results, Log::Results, Access::Write, &mut notes)?;
    Ok((Held { _lock: lock, _results: results }, notes))
}
