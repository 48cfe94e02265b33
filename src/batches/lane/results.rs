//! Reads downloaded results line by line.

use bytes::Bytes;

use crate::journal::DiskFile;

/// How many bytes of the results are read in one step.
const PIECE_BYTES: usize = 256 << 10;
/// The largest length of a line of the results, in bytes. An answer has at most 32 MB.
const MOST_LINE_BYTES: usize = 64 << 20;

/// The results of a batch while they are read.
pub(in super::super) struct Results {
    file: Box<dyn DiskFile>,
    /// The offset in the file at which the next read begins.
    offset: u64,
    buffer: Vec<u8>,
    /// The position in the buffer at which the next line begins.
    begin: usize,
    /// The offset in the file at which the last returned line began.
    line_at: u64,
    /// Whether the end of the file is in the buffer.
    is_at_end: bool,
}

impl Results {
    pub(in super::super) fn open(file: Box<dyn DiskFile>) -> Self {
        Self { file, offset: 0, buffer: Vec::new(), begin: 0, line_at: 0, is_at_end: false }
    }

    /// Returns the offset in the file at which the last returned line began.
    pub(in super::super) fn line_at(&self) -> u64 {
        self.line_at
    }

    /// Returns the offset in the file at which the next line begins.
    fn position(&self) -> u64 {
        self.offset - (self.buffer.len() - self.begin) as u64
    }

    /// Returns the next line without its line break; `None` at the end of the file. If the last line has no line break,
    /// it is also returned.
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
