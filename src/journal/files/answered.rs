//! Two files beside an error log. They record how far a `resume` has come whose answers go to standard output.
//!
//! Such a run has no results file that tells a later run which rows are answered. So `<log>.answered` records each row
//! whose answer was written to standard output, and `<log>.inflight` contains the slots of the requests in flight. The
//! next run that uses the log removes the answered rows from the log, counts the rows in flight, and removes both
//! files. A run that ends normally removes both files, too. Both files are created when the run first writes to them.
//!
//! A row is recorded after its answer was written. If the process dies between these two writes, the row is sent again,
//! and its slot is counted. What was written to a pipe stays readable when this process dies. Only the reader of the
//! pipe can lose it.
//!
//! The files are not synced, because standard output is not synced either. A record with a wrong checksum is ignored.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::slots::{self, UnclosedRun};
use crate::domain::RowId;
use crate::journal::disk::{Disk, DiskFailure, DiskFile, OpenMode, read_up_to, with_suffix};
use crate::journal::error::JournalError;

const MAGIC: &[u8; RECORD_BYTES] = b"cbanswered1\0\0\0\0\0\0\0\0\0\0\0\0\0";
/// A record contains the label, the key, and a checksum.
const RECORD_BYTES: usize = 24;

/// The file to which this run adds the rows that it has answered.
pub(crate) struct AnsweredRows {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    file: Option<Box<dyn DiskFile>>,
    end: u64,
}

/// What a `resume` has left beside its error log, because it did not end normally.
#[derive(Debug, Default)]
pub(crate) struct LeftByResume {
    /// The rows whose answers were written to standard output.
    pub(crate) answered: Vec<RowId>,
    /// The slots of the run.
    pub(crate) unclosed: UnclosedRun,
    /// Whether there is a file to remove.
    pub(crate) has_files: bool,
}

impl AnsweredRows {
    /// Returns the answered rows of a run that uses the error log `log`. There is no file until [`Self::write`].
    pub(crate) fn new(disk: Arc<dyn Disk>, log: &Path) -> Self {
        Self { disk, path: answered_beside(log), file: None, end: 0 }
    }

    /// Adds records, each made by [`record`].
    pub(crate) fn write(&mut self, records: &[u8]) -> Result<(), DiskFailure> {
        let Self { disk, path, file, end } = self;
        let file = match file {
            Some(file) => file,
            None => {
                let new = disk.open(path, OpenMode::Edit).map_err(DiskFailure::of("open", path))?;
                new.truncate(0).map_err(DiskFailure::of("cut", path))?;
                new.write_at(MAGIC, 0).map_err(DiskFailure::of("write", path))?;
                *end = MAGIC.len() as u64;
                file.insert(new)
            }
        };
        file.write_at(records, *end).map_err(DiskFailure::of("write", path))?;
        *end += records.len() as u64;
        Ok(())
    }
}

/// Returns the record of an answered row.
pub(crate) fn record(row: RowId) -> [u8; RECORD_BYTES] {
    let mut record = [0; RECORD_BYTES];
    record[..8].copy_from_slice(&row.label.to_be_bytes());
    record[8..16].copy_from_slice(&row.key.to_be_bytes());
    record[16..].copy_from_slice(&checksum(row).to_be_bytes());
    record
}

/// Returns the path of the slots of a `resume` that has no results file.
pub(crate) fn slots_beside(log: &Path) -> PathBuf {
    with_suffix(log, ".inflight")
}

fn answered_beside(log: &Path) -> PathBuf {
    with_suffix(log, ".answered")
}

/// Reads the files beside an error log.
///
/// # Errors
/// [`JournalError::Foreign`] if another program wrote one of the files; [`JournalError::Disk`].
pub(crate) fn read_left(disk: &dyn Disk, log: &Path) -> Result<LeftByResume, JournalError> {
    let (answered, inflight) = (answered_beside(log), slots_beside(log));
    let bytes = read(disk, &answered, MAGIC)?;
    let slots = read(disk, &inflight, slots::MAGIC)?;
    let records = bytes.iter().flat_map(|bytes| bytes.chunks_exact(RECORD_BYTES).skip(1));
    Ok(LeftByResume {
        answered: records.filter_map(row_in).collect(),
        unclosed: slots.as_deref().map(slots::parse).unwrap_or_default(),
        has_files: bytes.is_some() || slots.is_some(),
    })
}

/// Removes the files beside an error log; with `keeps_slots`, the file of slots stays. Call this function only when the
/// answered rows are no longer in the log.
pub(crate) fn remove_left(disk: &dyn Disk, log: &Path, keeps_slots: bool) -> Result<(), DiskFailure> {
    let slots = (!keeps_slots).then(|| slots_beside(log));
    let mut paths = slots.into_iter().chain([answered_beside(log)]);
    paths.try_for_each(|path| disk.remove(&path).map_err(DiskFailure::of("remove", &path)))
}

/// Renames the files beside an error log, as the log itself is renamed from `log` to `aside`.
pub(crate) fn set_left_aside(disk: &dyn Disk, log: &Path, aside: &Path) -> Result<(), DiskFailure> {
    for (from, to) in [(slots_beside(log), slots_beside(aside)), (answered_beside(log), answered_beside(aside))] {
        if disk.kind(&from).map_err(DiskFailure::of("look at", &from))?.is_some() {
            disk.rename(&from, &to).map_err(DiskFailure::of("rename", &from))?;
        }
    }
    Ok(())
}

/// Reads a file that begins with `magic`; `None` if there is no such file.
fn read(disk: &dyn Disk, path: &Path, magic: &[u8]) -> Result<Option<Vec<u8>>, JournalError> {
    if disk.kind(path).map_err(DiskFailure::of("look at", path))?.is_none() {
        return Ok(None);
    }
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let bytes = read_up_to(&*file, u64::MAX).map_err(DiskFailure::of("read", path))?;
    // A process can die before it has written the whole beginning of the file.
    match bytes.starts_with(&magic[..magic.len().min(bytes.len())]) {
        true => Ok(Some(bytes)),
        false => Err(JournalError::Foreign { path: path.to_owned() }),
    }
}

fn row_in(record: &[u8]) -> Option<RowId> {
    let row = RowId { label: slots::number(record, 0), key: slots::number(record, 8) };
    (slots::number(record, 16) == checksum(row)).then_some(row)
}

fn checksum(row: RowId) -> u64 {
    row.label ^ row.key.rotate_left(32) ^ 0x616e_7377_6572_6564
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::disk::MemDisk;

    const LOG: &str = "o.errors.jsonl";

    fn row(label: u64) -> RowId {
        RowId { label, key: label * 31 }
    }

    fn left(disk: &MemDisk) -> LeftByResume {
        read_left(disk, Path::new(LOG)).expect("it can be read")
    }

    #[test]
    fn written_rows_are_read_back_and_a_half_written_record_is_ignored() {
        let disk = MemDisk::new();
        let mut rows = AnsweredRows::new(Arc::new(disk.clone()), Path::new(LOG));
        assert!(!left(&disk).has_files);

        rows.write(&[record(row(1)), record(row(2))].concat()).expect("the disk works");
        rows.write(&record(row(3))[..20]).expect("the disk works");

        assert_eq!((left(&disk).answered, left(&disk).has_files), (vec![row(1), row(2)], true));
        remove_left(&disk, Path::new(LOG), false).expect("the disk works");
        assert!(!left(&disk).has_files && disk.paths().is_empty());
    }

    #[test]
    fn damaged_records_are_ignored_and_files_of_other_programs_are_refused() {
        let disk = MemDisk::new();
        let mut bytes = MAGIC.to_vec();
        bytes.extend([0xff; 100]);
        disk.put("o.errors.jsonl.answered", &bytes);
        assert_eq!(left(&disk).answered, []);

        for name in ["o.errors.jsonl.answered", "o.errors.jsonl.inflight"] {
            let disk = MemDisk::new();
            disk.put(name, b"my notes\n");
            let refused = read_left(&disk, Path::new(LOG));
            assert!(matches!(refused, Err(JournalError::Foreign { path }) if path == Path::new(name)));
        }
    }
}
