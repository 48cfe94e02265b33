//! Reads downloaded results line by line.

use bytes::Bytes;

use crate::journal::DiskFile;

/// How much of the results is read at once.
const PIECE_BYTES: usize = 256 << 10;
/// The longest line of results. An answer has at most 32 MB.
const MOST_LINE_BYTES: usize = 64 << 20;

/// The results of a chunk while they are read.
pub(in super::super) struct Results {
    file: Box<dyn DiskFile>,
    /// Where the next piece begins.
    offset: u64,
    buffer: Vec<u8>,
    /// Where the next line begins in the buffer.
    begin: usize,
    /// Where the last line began in the file.
    line_at: u64,
    /// Whether the end of the file is in the buffer.
    is_at_end: bool,
}

impl Results {
    pub(in super::super) fn open(file: Box<dyn DiskFile>) -> Self {
        Self { file, offset: 0, buffer: Vec::new(), begin: 0, line_at: 0, is_at_end: false }
    }

    /// Returns where the last line began in the file.
    pub(in super::super) fn line_at(&self) -> u64 {
        self.line_at
    }

    /// Returns where the next line begins in the file.
    fn position(&self) -> u64 {
        self.offset - (self.buffer.len() - self.begin) as u64
    }

    /// Returns the next line without its end; `None` at the end of the file. A line without an end was cut off, and is
    /// left out.
    pub(in super::super) fn next_line(&mut self) -> std::io::Result<Option<Bytes>> {
        let mut searched = self.begin;
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.buffer[searched..]) {
                let line = Bytes::copy_from_slice(&self.buffer[self.begin..searched + at]);
                self.line_at = self.position();
                self.begin = searched + at + 1;
                if line.iter().all(u8::is_ascii_whitespace) {
                    searched = self.begin;
                    continue;
                }
                return Ok(Some(line));
            }
            if self.is_at_end {
                let line = Bytes::copy_from_slice(&self.buffer[self.begin..]);
                self.line_at = self.position();
                self.begin = self.buffer.len();
                return Ok((!line.is_empty()).then_some(line));
            }
            searched = self.buffer.len() - self.begin;
            self.buffer.drain(..self.begin);
            self.begin = 0;
            let end = self.buffer.len();
            if end > MOST_LINE_BYTES {
                return Err(std::io::Error::other("a line of the results is longer than 64 MB"));
            }
            self.buffer.resize(end + PIECE_BYTES, 0);
            let count = self.file.read_at(&mut self.buffer[end..], self.offset)?;
            self.buffer.truncate(end + count);
            self.offset += count as u64;
            self.is_at_end = count == 0;
        }
    }
}
