//! Finds where the lines of a file are, so that they can be read again later.

use std::io::{BufRead, BufReader, Read as _};
use std::path::Path;

use super::lines::Line;
use super::parse::{parse_error, parse_result};
use super::record::Parsed;
use super::scan::scan;
use crate::domain::{ErrorClass, Quality, RowId};
use crate::journal::disk::{Disk, DiskFailure, DiskFile, OpenMode, Reader};
use crate::journal::error::JournalError;
use crate::sink::Log;

/// The place of a line that this program wrote, and the data for selecting the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Read {
    /// A hash of what identifies the row: see [`KnownBy`]. A broken row is always identified by its input and line
    /// number.
    pub(crate) label: u64,
    /// The label of the row's identity; `None` for a row that was never sent. Two rows without a label of their own can
    /// have the same `label` if the input changed between two runs, but their identities are different.
    pub(crate) identity: Option<u64>,
    /// The quality of the answer; `Ok` for a failure.
    pub(crate) quality: Quality,
    /// The class of a failure; `None` for an answer.
    pub(crate) class: Option<ErrorClass>,
    /// Offset of the line's first byte in the file.
    pub(crate) offset: u64,
}

/// The property that identifies rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KnownBy {
    /// The identity of the row: the label of a named row, or the request of an unnamed row.
    Identity,
    /// The label in the line of the row. For an unnamed row, the label is its input and line number, such as
    /// `in.csv:7`.
    Label,
}

/// The kind of the first line of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// The line of an answer. The file is a results file.
    Result,
    /// The line of a failure. The file is an error log.
    Error,
}

/// The maximum length of the first line, in bytes. A longer line is not accepted as a line of this program.
const FIRST_BYTES: u64 = 64 << 20;

/// Returns the kind of the first line of a file; `None` if this program did not write the line, or if the file is
/// empty.
///
/// # Errors
/// The file can't be read.
pub(crate) fn line_kind(path: &Path, disk: &dyn Disk) -> Result<Option<LineKind>, DiskFailure> {
    let file = disk.open(path, OpenMode::Read).map_err(DiskFailure::of("open", path))?;
    let mut line = Vec::new();
    let mut reader = BufReader::new(Reader::new(&*file).take(FIRST_BYTES));
    reader.read_until(b'\n', &mut line).map_err(DiskFailure::of("read", path))?;
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    Ok(match (parse_result(line), parse_error(line)) {
        (Parsed::Record(_) | Parsed::Newer(_), _) => Some(LineKind::Result),
        (_, Parsed::Record(_) | Parsed::Newer(_)) => Some(LineKind::Error),
        (Parsed::NotOurs, Parsed::NotOurs) => None,
    })
}

/// Reads all lines of a file on several threads. `take` receives the lines in groups, in the order of the file. Damaged
/// lines and a half-written end are left out. Lines that are appended during the reading are not read.
///
/// # Errors
/// [`JournalError::Foreign`], [`JournalError::ForeignLine`], [`JournalError::NewerFormat`], [`JournalError::Disk`].
pub(crate) fn read_lines(
    file: &dyn DiskFile,
    path: &Path,
    log: Log,
    known_by: KnownBy,
    take: impl FnMut(Vec<Read>),
) -> Result<(), JournalError> {
    let read = |line: &Line<'_>, lines: &mut Vec<Read>| -> Parsed<()> {
        let mut add = |label: Option<&str>, row: RowId, is_sent: bool, quality, class| {
            let label = label.map_or(row, |label| RowId::named(label, None)).label;
            lines.push(Read { label, identity: is_sent.then_some(row.label), quality, class, offset: line.offset });
        };
        let by_label = known_by == KnownBy::Label;
        match log {
            Log::Results => parse_result(line.bytes).handed_to(|record| {
                add(by_label.then_some(&record.label), record.row, true, record.quality, None);
            }),
            Log::Errors => parse_error(line.bytes).handed_to(|record| {
                add(
                    (by_label || record.is_broken).then_some(&record.label),
                    record.row,
                    !record.is_unsent,
                    Quality::Ok,
                    Some(record.class),
                );
            }),
        }
    };
    scan(file, path, true, read, take).map(drop)
}
