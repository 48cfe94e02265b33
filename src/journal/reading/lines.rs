//! Reads a file line by line, with the offset of each line.

use std::io::{self, BufRead, BufReader, Read};

use crate::journal::disk::{DiskFile, Reader};

/// The number of bytes that are read in one step.
const CHUNK_BYTES: usize = 1 << 20;

/// One line, without its line break.
pub(crate) struct Line<'a> {
    /// Offset of the first byte of the line.
    pub(crate) offset: u64,
    /// The bytes of the line.
    pub(crate) bytes: &'a [u8],
    /// Whether the line ends with a line break. Only the last line of a file can lack a line break.
    pub(super) is_complete: bool,
}

impl Line<'_> {
    /// Returns the offset at which the next line begins.
    pub(crate) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + u64::from(self.is_complete)
    }
}

/// The lines of a file.
pub(crate) struct Lines<'f> {
    reader: BufReader<Reader<'f>>,
    line: Vec<u8>,
    offset: u64,
}

impl<'f> Lines<'f> {
    /// Returns the lines of the file, from its beginning.
    pub(crate) fn new(file: &'f dyn DiskFile) -> Self {
        let reader = BufReader::with_capacity(CHUNK_BYTES, Reader::new(file));
        Self { reader, line: Vec::new(), offset: 0 }
    }

    /// Returns the next line; `None` at the end of the file.
    pub(crate) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
        self.line.clear();
        let count = self.reader.read_until(b'\n', &mut self.line)?;
        if count == 0 {
            return Ok(None);
        }
        let offset = self.offset;
        self.offset += count as u64;
        let (bytes, is_complete) = match self.line.split_last() {
            Some((b'\n', bytes)) => (bytes, true),
            Some(_) | None => (&*self.line, false),
        };
        Ok(Some(Line { offset, bytes, is_complete }))
    }
}

/// Returns the line number, counted from 1, of the line that begins at `offset`.
pub(super) fn line_number(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, Reader::new(file).take(offset));
    let mut number = 1;
    loop {
        let chunk = reader.fill_buf()?;
        if chunk.is_empty() {
            return Ok(number);
        }
        number += chunk.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let read = chunk.len();
        reader.consume(read);
    }
}
