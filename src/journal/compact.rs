//! Compaction: the error log shrinks to the entries that count.
//!
//! The log is replaced as a whole, so a death at any step leaves the old log or the compacted one, and both mean the
//! same. What removed entries said was spent is handed to `carry` before the log is replaced: a death between the two
//! counts it twice, which for a budget is the safe side.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::disk::{Disk, DiskFailure, DiskFile};
use super::lines::Lines;
use super::manifest::Carried;
use super::output::Output;
use super::record::{Parsed, parse_error};
use super::replace::{replace, replace_output};
use super::unresolved::{Entry, Unresolved};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 1 << 20;

/// Compacts the log to the entries of `unresolved`, whose offsets are moved along.
///
/// Does nothing when every line counts.
///
/// # Errors
/// What failed; the log is then the old one or the compacted one.
pub(super) fn compact(
    disk: &dyn Disk,
    output: &mut Output,
    unresolved: &mut Unresolved,
    carry: impl FnOnce(Carried) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    let kept = unresolved.offsets();
    let (log, path) = (Arc::clone(&output.file), output.path.clone());
    let mut removed = Carried::default();
    let mut removed_lines = 0_u64;
    each_line(&*log, &path, |offset, line| {
        if !kept.contains(&offset) {
            removed_lines += 1;
            if let Parsed::Record(record) = parse_error(line) {
                removed.add(record.account.spend, record.account.usage, record.account.maybe_paid);
            }
        }
        Ok(())
    })?;
    if removed_lines == 0 {
        return Ok(());
    }
    let mut moved = HashMap::new();
    replace_output(disk, output, |copy, copy_path| {
        let mut out = Copy::new(copy, copy_path);
        each_line(&*log, &path, |offset, line| {
            if kept.contains(&offset) {
                moved.insert(offset, out.end());
                out.push(line)?;
            }
            Ok(())
        })?;
        out.flush()?;
        carry(removed)
    })?;
    unresolved.moved(&moved);
    Ok(())
}

/// Copies the rows of these entries, without those that could not be read, to a file of their own at `to`.
///
/// # Errors
/// What failed.
pub(super) fn copy_rows<'e>(
    disk: &dyn Disk,
    output: &Output,
    entries: impl Iterator<Item = &'e Entry>,
    to: &Path,
) -> Result<(), DiskFailure> {
    let Output { path, file } = output;
    let kept: std::collections::HashSet<u64> = entries.filter(|entry| entry.is_row).map(|entry| entry.offset).collect();
    replace(disk, to, |copy, copy_path| {
        let mut out = Copy::new(copy, copy_path);
        each_line(&**file, path, |offset, line| if kept.contains(&offset) { out.push(line) } else { Ok(()) })?;
        out.flush()
    })
}

/// Shows each line of a file with its offset.
///
/// # Errors
/// What failed.
pub(super) fn each_line(
    log: &dyn DiskFile,
    path: &Path,
    mut each: impl FnMut(u64, &[u8]) -> Result<(), DiskFailure>,
) -> Result<(), DiskFailure> {
    let mut lines = Lines::new(log);
    while let Some(line) = lines.next().map_err(DiskFailure::of("read", path))? {
        each(line.offset, line.bytes)?;
    }
    Ok(())
}

/// Lines on their way into a copy.
pub(super) struct Copy<'a> {
    copy: &'a dyn DiskFile,
    path: &'a Path,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> Copy<'a> {
    /// Returns a copy without lines.
    pub(super) fn new(copy: &'a dyn DiskFile, path: &'a Path) -> Self {
        Self { copy, path, buffer: Vec::new(), written: 0 }
    }

    fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a line.
    ///
    /// # Errors
    /// What failed.
    pub(super) fn push(&mut self, line: &[u8]) -> Result<(), DiskFailure> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes what is gathered.
    ///
    /// # Errors
    /// What failed.
    pub(super) fn flush(&mut self) -> Result<(), DiskFailure> {
        self.copy.write_at(&self.buffer, self.written).map_err(DiskFailure::of("write", self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
