//! An error log as `resume` first sees it: where its results lie and what is in it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::JournalError;
use super::disk::{Disk, DiskFailure, OpenMode};
use super::lines::Line;
use super::record::{ErrorRecord, parse_error};
use super::scan;
use crate::domain::ErrorClass;

/// What an error log holds. Entries count as written: those voided by a result since are among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorLog {
    /// The results file its rows belong to; `None` when they went to standard output, or when the log is empty.
    pub results: Option<PathBuf>,
    /// Entries that are rows, by class.
    pub rows: BTreeMap<ErrorClass, u64>,
    /// Entries that are the text of broken rows, which can't be run again.
    pub broken: u64,
}

/// Reads an error log without changing it.
///
/// # Errors
/// [`JournalError::Foreign`] or [`JournalError::ForeignLine`] when it is none; [`JournalError::OtherResults`] when its
/// entries belong to several results files; [`JournalError::Disk`].
pub fn read_error_log(path: &Path, disk: &dyn Disk) -> Result<ErrorLog, JournalError> {
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let mut log = ErrorLog::default();
    let mut results: Option<Option<String>> = None;
    let mut other = None;
    let read = |line: &Line<'_>, noted: &mut Vec<_>| parse_error(line.bytes).handed_to(|record| noted.push(record));
    let take = |noted: Vec<ErrorRecord>| {
        for record in noted {
            match record.is_row {
                true => *log.rows.entry(record.class).or_default() += 1,
                false => log.broken += 1,
            }
            let first = results.get_or_insert_with(|| record.results.clone());
            if *first != record.results {
                other = other.take().or(record.results);
            }
        }
    };
    // A torn end is no reason to refuse; it is cut when the journal is opened.
    scan::scan(&*file, path, true, read, take)?;
    if let Some(other) = other {
        return Err(JournalError::OtherResults { path: path.to_owned(), results: other });
    }
    log.results = results.flatten().map(|results| path.with_file_name(results));
    Ok(log)
}
