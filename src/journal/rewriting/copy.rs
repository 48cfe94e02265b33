//! Copies lines and parts of files.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::path::Path;

use crate::journal::disk::{Disk, DiskFailure, DiskFile, replace};
use crate::journal::files::Output;
use crate::journal::reading::Lines;

/// How many bytes of lines are collected in memory before they are written together.
const BUFFER_BYTES: usize = 1 << 20;
/// The maximum number of bytes that are copied in one step.
const COPY_BYTES: u64 = 1 << 20;

/// Copies the lines at these offsets to a new file at `to`.
///
/// # Errors
/// A disk failure.
pub(crate) fn copy_rows(
    disk: &dyn Disk,
    output: &Output,
    offsets: &HashSet<u64>,
    to: &Path,
) -> Result<(), DiskFailure> {
    let Output { path, file } = output;
    replace(disk, to, |copy, copy_path| {
        let mut out = LineCopy::new(copy, copy_path);
        each_line(&**file, path, |offset, line| if offsets.contains(&offset) { out.push(line) } else { Ok(()) })?;
        out.flush()
    })
}

/// Calls `each` with the offset and the bytes of every line.
///
/// # Errors
/// A disk failure.
pub(crate) fn each_line(
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

/// A file that lines are copied to.
pub(super) struct LineCopy<'a> {
    copy: &'a dyn DiskFile,
    path: &'a Path,
    buffer: Vec<u8>,
    written: u64,
}

impl<'a> LineCopy<'a> {
    /// Returns a copy that has no lines yet. Lines are written to the file `copy`, which must be empty.
    pub(crate) fn new(copy: &'a dyn DiskFile, path: &'a Path) -> Self {
        Self { copy, path, buffer: Vec::new(), written: 0 }
    }

    /// Returns the offset of the next line.
    pub(crate) fn end(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    /// Appends a line.
    ///
    /// # Errors
    /// A disk failure.
    pub(crate) fn push(&mut self, line: &[u8]) -> Result<(), DiskFailure> {
        self.buffer.extend_from_slice(line);
        self.buffer.push(b'\n');
        if self.buffer.len() >= BUFFER_BYTES { self.flush() } else { Ok(()) }
    }

    /// Writes the lines that are still only in memory.
    ///
    /// # Errors
    /// A disk failure.
    pub(crate) fn flush(&mut self) -> Result<(), DiskFailure> {
        self.copy.write_at(&self.buffer, self.written).map_err(DiskFailure::of("write", self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Copies a part of a file to the offset `to` of another file. Returns the offset at which the copy ends.
pub(super) fn copy_range(
    file: &dyn DiskFile,
    path: &Path,
    range: Range<u64>,
    copy: &dyn DiskFile,
    mut to: u64,
) -> Result<u64, DiskFailure> {
    let mut buffer = vec![0; COPY_BYTES.min(range.end - range.start) as usize];
    let mut from = range.start;
    while from < range.end {
        let wanted = (range.end - from).min(COPY_BYTES) as usize;
        let count = file.read_at(&mut buffer[..wanted], from).map_err(DiskFailure::of("read", path))?;
        if count == 0 {
            return Err(DiskFailure::of("read", path)(io::ErrorKind::UnexpectedEof.into()));
        }
        copy.write_at(&buffer[..count], to).map_err(DiskFailure::of("copy", path))?;
        from += count as u64;
        to += count as u64;
    }
    Ok(to)
}
