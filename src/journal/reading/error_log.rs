//! Reads an error log for `resume`, to find out which results file the log belongs to and how many rows it contains.
//!
//! A log can come from another person, so it is not trusted. The results file whose name is in the log must be in the
//! folder of the log, and must be the file of a run. Without this rule, an entry could make the program create a file
//! with any name. The program never opens a results file in another folder or a results file that is not the file of a
//! run. If the user names a results file, the program uses this file, and ignores the name in the log.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contents::{collect_entry, other_results};
use super::lines::line_number;
use super::record::ErrorRecord;
use super::scan::scan;
use crate::domain::ErrorClass;
use crate::journal::disk::{Disk, DiskFailure, DiskFile, FileKind, OpenMode, folder_of};
use crate::journal::error::JournalError;
use crate::journal::files::{RunPaths, fault_of_name, is_own_log};

/// The content of an error log, including entries of rows that were answered later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorLog {
    /// The results file that the rows belong to; `None` if the results went to standard output or the log is empty.
    pub results: Option<PathBuf>,
    /// The number of entries that contain a row, per error class.
    pub rows: BTreeMap<ErrorClass, u64>,
    /// The number of entries that contain the text of a broken row (a row that could not be read). Broken rows can't be
    /// run again.
    pub broken: u64,
}

/// The offset of an entry, and the results that the entry names.
type Named = (u64, Option<String>);

/// Reads an error log without changing it. `output` is the results file that the user named. If the user named no
/// results file, the log itself says which results it belongs to.
///
/// # Errors
/// - [`JournalError::Foreign`] or [`JournalError::ForeignLine`] if the file is not an error log.
/// - [`JournalError::OtherResults`] if an entry does not belong to `output`, or does not belong to the same results as
///   the first entry.
/// - [`JournalError::ResultsElsewhere`] if the log names a file outside its folder.
/// - [`JournalError::Refused`], [`JournalError::Disk`].
pub fn read_error_log(path: &Path, output: Option<&Path>, disk: &dyn Disk) -> Result<ErrorLog, JournalError> {
    disk.is_folder(folder_of(path)).map_err(DiskFailure::of("look at", path))?;
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let given = output.map(|output| RunPaths::given(Some(output.to_owned()), path.to_owned()));
    let mut belongs = given.as_ref().map(RunPaths::belonging);
    let mut log = ErrorLog::default();
    let mut first: Option<Named> = None;
    let mut other: Option<Named> = None;
    let take = |entries: Vec<(u64, ErrorRecord)>| {
        for (offset, record) in entries {
            match record.is_row {
                true => *log.rows.entry(record.class).or_default() += 1,
                false => log.broken += 1,
            }
            let is_other = match (&mut belongs, &first) {
                (Some(belongs), _) => record.results.as_deref().is_some_and(|theirs| !belongs(theirs)),
                (None, Some((_, first))) => *first != record.results,
                (None, None) => false,
            };
            if is_other {
                other.get_or_insert((offset, record.results));
            } else if first.is_none() {
                first = Some((offset, record.results));
            }
        }
    };
    // A half-written last line is not an error here, because opening the journal removes it.
    scan(&*file, path, true, collect_entry, take)?;
    if let Some((offset, results)) = other {
        return Err(other_results(&*file, path, offset, results.unwrap_or_else(|| "standard output".to_owned())));
    }
    log.results = match (output, first) {
        (Some(output), _) => Some(output.to_owned()),
        (None, Some((offset, Some(name)))) => Some(beside(&*file, path, offset, name, disk)?),
        (None, Some((_, None)) | None) => None,
    };
    Ok(log)
}

/// Returns the results file that the entry at `offset` names. The results file must be in the folder of the log.
fn beside(
    file: &dyn DiskFile,
    path: &Path,
    offset: u64,
    name: String,
    disk: &dyn Disk,
) -> Result<PathBuf, JournalError> {
    let results = path.with_file_name(&name);
    let what = match fault_of_name(&name) {
        Some(what) => what,
        None if belong_to_a_run(&results, path, disk)? => return Ok(results),
        None => "not there",
    };
    let line = line_number(file, offset).map_err(DiskFailure::of("read", path))?;
    Err(JournalError::ResultsElsewhere { path: path.to_owned(), line, found: name, what })
}

/// Returns true if the results are not empty, if they have a run folder, or if `log` is the default name of their error
/// log. If the result is false, nothing shows that a run has written the results.
fn belong_to_a_run(results: &Path, log: &Path, disk: &dyn Disk) -> Result<bool, DiskFailure> {
    let is_run = || {
        let folder = RunPaths::given(Some(results.to_owned()), log.to_owned()).folder();
        folder.is_some_and(|folder| matches!(disk.kind(&folder), Ok(Some(_))))
    };
    let holds_something = match disk.kind(results).map_err(DiskFailure::of("look at", results))? {
        None => false,
        Some(FileKind::File) => {
            let file = disk.open(results, OpenMode::Read).map_err(DiskFailure::of("open", results))?;
            file.size().map_err(DiskFailure::of("look at", results))? > 0
        }
        // If `results` is a folder, a link or a device, opening the journal returns an error with a better message.
        Some(FileKind::Folder | FileKind::Symlink | FileKind::Special) => true,
    };
    Ok(holds_something || is_own_log(results, log) || is_run())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const LOG: &str = "d/o.errors.jsonl";

    /// Returns an entry of an error log whose member `results` has this value. `results` is a JSON value.
    fn entry(id: &str, results: &str) -> String {
        format!("{{\"custom_id\":\"{id}\",\"params\":{{}},\"error\":{{\"class\":\"server\",\"results\":{results}}}}}\n")
    }

    fn read(log: &str, output: Option<&str>, others: &[(&str, &str)]) -> Result<Option<PathBuf>, JournalError> {
        let disk = MemDisk::new();
        disk.put(LOG, log.as_bytes());
        others.iter().for_each(|(name, text)| disk.put(name, text.as_bytes()));
        read_error_log(Path::new(LOG), output.map(Path::new), &disk).map(|log| log.results)
    }

    #[test]
    fn results_outside_the_folder_of_the_log_are_refused() {
        let names = [
            "/o.jsonl",
            "../o.jsonl",
            "x/o.jsonl",
            "./o.jsonl",
            "..",
            ".",
            "",
            "..\\\\o",
            "C:\\\\o",
            "a\\u0000b",
            "a\\u001bb",
            "a\\nb",
            "nul",
            "COM1.jsonl",
            "\\\\\\\\host\\\\share\\\\o",
        ];
        for name in names {
            let log = entry("a", "\"o.jsonl\"").replace("\"o.jsonl\"", &format!("\"{name}\""));
            let refused = read(&format!("\n{log}"), None, &[]);

            let Err(JournalError::ResultsElsewhere { path, line: 2, .. }) = &refused else {
                panic!("{name}: {refused:?}")
            };
            assert_eq!(path, Path::new(LOG));
        }
        assert_eq!(read(&entry("a", "\"o.jsonl\""), None, &[]).expect("it is beside"), Some("d/o.jsonl".into()));
        assert_eq!(read(&entry("a", "null"), None, &[]).expect("it went to standard output"), None);
    }

    #[test]
    fn a_log_can_not_make_a_run_create_a_file_with_a_name_from_the_log() {
        let log = entry("a", "\".bashrc\"");

        let missing = read(&log, None, &[]);
        let empty = read(&log, None, &[("d/.bashrc", "")]);

        let is_refused = |read| matches!(read, Err(JournalError::ResultsElsewhere { what: "not there", .. }));
        assert!(is_refused(missing) && is_refused(empty));
        assert!(read(&log, None, &[("d/.bashrc", "x")]).is_ok(), "what it holds is checked when the journal is opened");
        assert!(read(&log, Some("d/.bashrc"), &[]).is_ok());
    }

    #[test]
    fn every_entry_must_belong_to_the_same_results() {
        let log = [entry("a", "\"o.jsonl\""), entry("b", "null"), entry("c", "\"p.jsonl\"")];
        let elsewhere = entry("a", "\"/data/o.jsonl\"");

        let mixed = read(&log.concat(), None, &[]);
        let named = read(&log.concat(), Some("d/o.jsonl"), &[]);

        assert!(matches!(mixed, Err(JournalError::OtherResults { line: 2, .. })), "{mixed:?}");
        assert!(matches!(named, Err(JournalError::OtherResults { line: 3, ref results, .. }) if results == "p.jsonl"));
        assert_eq!(
            read(&log[..2].concat(), Some("d/o.jsonl"), &[]).expect("they are its own"),
            Some("d/o.jsonl".into())
        );
        assert_eq!(read(&elsewhere, Some("/data/o.jsonl"), &[]).expect("it is its own"), Some("/data/o.jsonl".into()));
        assert!(read(&elsewhere, Some("/other/o.jsonl"), &[]).is_err());
    }
}
