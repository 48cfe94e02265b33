//! Reading a file line by line, by position, without losing count of the bytes.

use std::io::{self, BufRead, BufReader, Read};

use super::disk::DiskFile;

/// Bytes read at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// One line, without its line break.
pub(super) struct Line<'a> {
    /// Offset of its first byte.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) bytes: &'a [u8],
    /// Whether its line break was there: only the last line of a file can lack it.
    pub(super) is_complete: bool,
}

impl Line<'_> {
    /// Returns the offset behind the line and its line break.
    pub(super) fn end(&self) -> u64 {
        self.offset + self.bytes.len() as u64 + u64::from(self.is_complete)
    }
}

/// The lines of a file.
pub(super) struct Lines<'f> {
    reader: BufReader<Cursor<'f>>,
    line: Vec<u8>,
    offset: u64,
}

impl<'f> Lines<'f> {
    /// Starts at the file's beginning.
    pub(super) fn new(file: &'f dyn DiskFile) -> Self {
        let reader = BufReader::with_capacity(CHUNK_BYTES, Cursor { file, offset: 0 });
        Self { reader, line: Vec::new(), offset: 0 }
    }

    /// Returns the next line; `None` at the end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line<'_>>> {
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

/// Reads a small file whole, or what of it fits `most` bytes: a file that was put there may have any size.
pub(super) fn read_up_to(file: &dyn DiskFile, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    Cursor { file, offset: 0 }.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Returns the number, from 1, of the line that begins at `offset`.
pub(super) fn line_number(file: &dyn DiskFile, offset: u64) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(CHUNK_BYTES, Cursor { file, offset: 0 }.take(offset));
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

struct Cursor<'f> {
    file: &'f dyn DiskFile,
    offset: u64,
}

impl Read for Cursor<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buffer, self.offset)?;
        self.offset += count as u64;
        Ok(count)
    }
}
