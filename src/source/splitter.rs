//! Cuts an input into raw rows: lines or CSV records.
//!
//! This module counts lines and bytes, and limits the length of a row. It does not interpret the rows. A row that is
//! too long is skipped and is never in memory as a whole. For the error entry, only the first [`KEPT_BYTES`] bytes of
//! such a row are kept.
//!
//! The splitter finds the end of a CSV record by the same rules as the CSV parser. So the length of every record is
//! bounded, its raw text is kept, and a broken record does not affect the next record. The parser alone is not enough,
//! because it returns no raw text. After an unclosed quote, the parser would also read the rest of the input into
//! memory.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use memchr::memchr;

use super::raw::{End, KEPT_BYTES, RawRow};
use super::{Position, SourceError};

/// Between rows, the row buffer keeps at most as many bytes of memory as the read buffer has. The limit is needed
/// because a run can read a file from up to 64 places in turn, and each place has two buffers.
const KEPT_ROOM: usize = BUFFER_BYTES;

/// If a row has not ended after this many bytes, the whole input is rejected. Rows of real files are at least a hundred
/// times shorter than this limit. Without this limit, an endless line would be read forever.
const MAX_SKIPPED: u64 = 1 << 30;

/// The size of the read buffer, in bytes. The buffer is so large that the time for system calls does not matter.
const BUFFER_BYTES: usize = 256 << 10;

/// Where a row ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// A row ends at a line feed.
    Lines,
    /// A row ends at a line feed outside of quotes. The `u8` is the byte that separates cells.
    Records(u8),
}

/// Cuts an input into rows.
pub(super) struct Splitter {
    input: BufReader<Box<dyn Read + Send>>,
    name: Arc<str>,
    buffer: Vec<u8>,
    cut: Cut,
    most_bytes: usize,
    line: u64,
    offset: u64,
}

impl Splitter {
    /// Returns a splitter that begins at line 1. A row can have at most `most_bytes` bytes. `skipped` is the length of
    /// a byte order mark that was already removed from `input`.
    pub(super) fn new(name: Arc<str>, input: Box<dyn Read + Send>, cut: Cut, most_bytes: usize, skipped: u64) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { input, name, buffer: Vec::new(), cut, most_bytes, line: 1, offset: skipped }
    }

    /// Returns where the next row begins. Blank lines before a row belong to the row.
    pub(super) fn position(&self) -> Position {
        Position { line: self.line, byte_offset: self.offset }
    }

    /// Continues at `position`. `input` returns the bytes from `position` on.
    pub(super) fn continue_at(&mut self, position: Position, input: Box<dyn Read + Send>) {
        self.input = BufReader::with_capacity(BUFFER_BYTES, input);
        self.line = position.line;
        self.offset = position.byte_offset;
    }

    /// Returns the next row that is not blank; `None` at the end of the input.
    ///
    /// # Errors
    /// [`SourceError::Read`] and [`SourceError::Endless`].
    pub(super) fn next_row(&mut self) -> Result<Option<RawRow<'_>>, SourceError> {
        loop {
            let found = match self.cut {
                Cut::Lines => self.read_line()?,
                Cut::Records(delimiter) => self.read_record(delimiter)?,
            };
            match found {
                None => return Ok(None),
                Some(found) if self.raw_row(found).is_blank() => {}
                Some(found) => return Ok(Some(self.raw_row(found))),
            }
        }
    }

    /// Frees the memory of the last row if its text was large, because the next row may be read much later.
    pub(super) fn free_row(&mut self) {
        if self.buffer.capacity() > KEPT_ROOM {
            self.buffer = Vec::new();
        }
    }

    /// Reads the next line into the buffer, even if it is blank.
    fn read_line(&mut self) -> Result<Option<Found>, SourceError> {
        let (line, byte_offset) = self.begin();
        let most = self.most_bytes.saturating_add(2);

        let mut read = self.read_up_to_line_end(most).map_err(|source| read_error(&self.name, line, source))?;
        if read == 0 {
            return Ok(None);
        }

        let is_cut = read == most && self.buffer.last() != Some(&b'\n');
        if is_cut {
            let room = MAX_SKIPPED.saturating_sub(read as u64);
            let skipped = self.input.by_ref().take(room).skip_until(b'\n');
            let skipped = skipped.map_err(|source| read_error(&self.name, line, source))? as u64;
            if skipped == room {
                let (name, remedy) = (self.name.to_string(), "this is not a file of rows");
                return Err(SourceError::Endless { name, line, bytes: MAX_SKIPPED, remedy });
            }
            read += skipped as usize;
        }
        self.line += 1;
        self.offset += read as u64;
        Ok(Some(self.finish(line, byte_offset, if is_cut { End::TooLong(self.most_bytes) } else { End::Whole })))
    }

    /// Reads the next CSV record into the buffer. A blank line is a separate record.
    fn read_record(&mut self, delimiter: u8) -> Result<Option<Found>, SourceError> {
        let (line, byte_offset) = self.begin();
        let mut state = Quoting::FieldStart;
        let mut end = End::Whole;

        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(source) if source.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(read_error(&self.name, line, source)),
            };
            if chunk.is_empty() {
                if self.offset == byte_offset {
                    return Ok(None);
                }
                if state == Quoting::Quoted && end == End::Whole {
                    end = End::OpenQuote;
                }
                break;
            }
            let found = state.find_record_end(chunk, delimiter);
            let taken = found.unwrap_or(chunk.len());
            if end == End::Whole {
                self.buffer.extend_from_slice(&chunk[..taken]);
            }
            if self.buffer.len() > self.most_bytes.saturating_add(2) {
                end = End::TooLong(self.most_bytes);
                self.buffer.truncate(KEPT_BYTES);
            }
            self.line += chunk[..taken].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.offset += taken as u64;
            self.input.consume(taken);
            if found.is_some() {
                break;
            }
            if self.offset - byte_offset > MAX_SKIPPED {
                let (name, remedy) = (self.name.to_string(), "close the quote that is never closed");
                return Err(SourceError::Endless { name, line, bytes: MAX_SKIPPED, remedy });
            }
        }
        Ok(Some(self.finish(line, byte_offset, end)))
    }

    /// Reads up to and including the next line end, but at most `most` bytes. Returns how many bytes it has read.
    fn read_up_to_line_end(&mut self, most: usize) -> io::Result<usize> {
        let mut read = 0;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(source) if source.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(source),
            };
            let chunk = &chunk[..chunk.len().min(most - read)];
            let found = memchr(b'\n', chunk);
            let taken = found.map_or(chunk.len(), |at| at + 1);
            self.buffer.extend_from_slice(&chunk[..taken]);
            self.input.consume(taken);
            read += taken;
            if found.is_some() || taken == 0 {
                return Ok(read);
            }
        }
    }

    fn begin(&mut self) -> (u64, u64) {
        self.buffer.clear();
        (self.line, self.offset)
    }

    /// Removes the line end from the row in the buffer.
    fn finish(&mut self, line: u64, byte_offset: u64, mut end: End) -> Found {
        if !matches!(end, End::TooLong(_)) {
            for line_end in [b'\n', b'\r'] {
                if self.buffer.last() == Some(&line_end) {
                    self.buffer.pop();
                }
            }
        }
        if self.buffer.len() > self.most_bytes {
            end = End::TooLong(self.most_bytes);
        }
        Found { line, byte_offset, end }
    }

    fn raw_row(&self, Found { line, byte_offset, end }: Found) -> RawRow<'_> {
        let kept = match end {
            End::TooLong(_) => self.buffer.len().min(KEPT_BYTES),
            End::Whole | End::OpenQuote => self.buffer.len(),
        };
        RawRow { line, lines: (self.line - line).max(1), byte_offset, bytes: &self.buffer[..kept], end }
    }
}

/// A row in the buffer.
#[derive(Clone, Copy)]
struct Found {
    line: u64,
    byte_offset: u64,
    end: End,
}

fn read_error(name: &str, line: u64, source: io::Error) -> SourceError {
    SourceError::reading(name, line, source)
}

/// The state of the search for the end of a CSV record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// The search is at the start of a field, where a quote opens a quoted field.
    FieldStart,
    /// The search is in a field without quotes, or after the closing quote of a field. In this state, a quote is an
    /// ordinary character.
    Plain,
    /// The search is inside quotes, where a line end is an ordinary character.
    Quoted,
    /// The search has just passed a quote in a quoted field. If another quote follows, the two quotes stand for one
    /// quote character; otherwise, the quote closes the field.
    QuoteInQuoted,
}

impl Quoting {
    /// Returns where in `chunk` the record ends, including its line end; `None` if the record continues in the next
    /// chunk.
    fn find_record_end(&mut self, chunk: &[u8], delimiter: u8) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = chunk.get(at) {
            if *self == Self::Quoted && byte != b'"' {
                at += memchr(b'"', &chunk[at..]).unwrap_or(chunk.len() - at);
                continue;
            }
            at += 1;
            *self = match (*self, byte) {
                (Self::FieldStart, b'"') | (Self::QuoteInQuoted, b'"') => Self::Quoted,
                (Self::Quoted, _) => Self::QuoteInQuoted,
                (_, b'\n') => return Some(at),
                (_, byte) if byte == delimiter => Self::FieldStart,
                (_, _) => Self::Plain,
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::super::fields::Warnings;
    use super::super::format::Rows as _;
    use super::super::jsonl::Jsonl;
    use super::super::split_rows::SplitRows;
    use super::super::{InputFormat, Item, Options};
    use super::*;

    #[test]
    fn lines_have_their_numbers_and_offsets_and_blank_lines_are_skipped() {
        let rows = lines("a\r\n\n b\rc\nlast", 100);

        let expected = [(1, 0, "a"), (3, 4, " b\rc"), (4, 9, "last")];
        assert_eq!(rows, expected.map(|(line, at, text)| (line, at, text.to_owned(), End::Whole)));
    }

    #[test]
    fn a_line_that_is_too_long_is_skipped_and_the_next_line_is_read() {
        let text = format!("{}\n{}\r\nok", "x".repeat(11), "y".repeat(10));

        let rows = lines(&text, 10);

        assert_eq!(rows[0], (1, 0, "x".repeat(11), End::TooLong(10)));
        assert_eq!(rows[1], (2, 12, "y".repeat(10), End::Whole));
        assert_eq!(rows[2], (3, 24, "ok".to_owned(), End::Whole));
    }

    #[test]
    fn the_memory_of_a_large_row_is_freed_before_the_next_row_is_read() {
        let text = format!("{{\"prompt\":\"{}\"}}\n", "x".repeat(2 * KEPT_ROOM)).repeat(3);
        let input = Box::new(io::Cursor::new(text.into_bytes()));
        let splitter = Splitter::new("test".into(), input, Cut::Lines, 8 * KEPT_ROOM, 0);
        let (format, kind) = (Jsonl::new(&Options::default()), InputFormat::Jsonl);
        let mut read = SplitRows::new(splitter, format, kind, false, None);

        let mut rows = 0;
        while let Some(item) =
            read.next(&"test".into(), &mut Warnings::default()).expect("a read from memory never fails")
        {
            assert!(matches!(item, Item::Row(_)), "{item:?}");
            let room = read.splitter.buffer.capacity();
            assert!(room <= KEPT_ROOM, "{room} bytes are kept");
            rows += 1;
        }

        assert_eq!(rows, 3);
    }

    #[test]
    fn only_the_first_bytes_of_a_line_that_is_too_long_are_kept() {
        let text = format!("{}\nok", "x".repeat(3 * BUFFER_BYTES));

        let rows = lines(&text, 2 * KEPT_BYTES);

        assert_eq!((rows[0].2.len(), rows[0].3), (KEPT_BYTES, End::TooLong(2 * KEPT_BYTES)));
        assert_eq!(rows[1], (2, 3 * BUFFER_BYTES as u64 + 1, "ok".to_owned(), End::Whole));
    }

    #[test]
    fn records_end_outside_quotes_only() {
        let rows = records("a,\"b\n\"\"c\"\r\n5\" x,\"q\"z\"\nlast,\"open\n", 100);

        assert_eq!(rows[0], (1, 0, "a,\"b\n\"\"c\"".to_owned(), End::Whole));
        assert_eq!(rows[1], (3, 11, "5\" x,\"q\"z\"".to_owned(), End::Whole));
        assert_eq!(rows[2], (4, 22, "last,\"open".to_owned(), End::OpenQuote));
    }

    #[test]
    fn a_record_that_is_too_long_is_skipped_to_its_own_end() {
        let text = format!("\"{}\n{}\"\nok,1\n", "x".repeat(BUFFER_BYTES), "y".repeat(BUFFER_BYTES));

        let rows = records(&text, KEPT_BYTES);

        assert_eq!((rows[0].0, rows[0].2.len(), rows[0].3), (1, KEPT_BYTES, End::TooLong(KEPT_BYTES)));
        assert_eq!((rows[1].0, rows[1].2.as_str()), (3, "ok,1"));
    }

    type Seen = (u64, u64, String, End);

    fn lines(text: &str, most_bytes: usize) -> Vec<Seen> {
        all(text, Cut::Lines, most_bytes)
    }

    fn records(text: &str, most_bytes: usize) -> Vec<Seen> {
        all(text, Cut::Records(b','), most_bytes)
    }

    fn all(text: &str, cut: Cut, most_bytes: usize) -> Vec<Seen> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut splitter = Splitter::new("test".into(), input, cut, most_bytes, 0);
        std::iter::from_fn(|| splitter.next_row().expect("a read from memory never fails").map(seen)).collect()
    }

    fn seen(raw: RawRow<'_>) -> Seen {
        (raw.line, raw.byte_offset, String::from_utf8_lossy(raw.bytes).into_owned(), raw.end)
    }
}
