//! Raw rows: the bytes of a line or of a CSV record, with where they stand.
//!
//! Owns line numbers, byte offsets and the cap on a row's length. Knows nothing of what a row means. A row over the cap
//! is skipped without being held: its first [`RAW_BYTES`] are kept for the error entry.
//!
//! The record splitter finds where a CSV record ends by the same rules as the CSV parser, so that every record is
//! bounded, keeps its raw text and can be broken alone; the parser itself would hold a record with an unclosed quote
//! whole, and gives no raw text.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use memchr::memchr;

use super::{BrokenRow, Position, SourceError};
use crate::domain::Origin;

/// How much of a broken row's text is kept.
pub(super) const RAW_BYTES: usize = 4096;

/// How much room the row buffer keeps between rows: as much as the read buffer, since up to 64 places of a file are read in
/// turn, each with both of them.
const KEPT_ROOM: usize = BUFFER_BYTES;

/// How long a row may be that is skipped, before the whole input is refused. A file of rows has none a hundredth as long;
/// an endless line would be read for ever.
const MAX_SKIPPED: u64 = 1 << 30;

/// Size of the read buffer: large enough that system calls do not show.
const BUFFER_BYTES: usize = 256 << 10;

/// One row's text and place.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRow<'a> {
    /// Line on which it starts, from 1.
    pub line: u64,
    /// Lines it covers.
    pub lines: u64,
    /// Offset of its first byte in the input.
    pub byte_offset: u64,
    /// Its text without the line end; the first [`RAW_BYTES`] when it is over the cap.
    pub bytes: &'a [u8],
    /// How it ended.
    pub end: End,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Well: with a line end, or with the input.
    Whole,
    /// It is longer than the cap; its rest was skipped.
    OverCap,
    /// The input ended inside quotes.
    OpenQuote,
}

impl RawRow<'_> {
    /// Returns whether there is nothing but white space.
    pub fn is_blank(&self) -> bool {
        self.end != End::OverCap && self.bytes.iter().all(u8::is_ascii_whitespace)
    }
}

/// Where broken rows of one input come from, and how they are made.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Name of the input as shown.
    pub name: Arc<str>,
}

impl Place {
    /// Returns where `raw` stands.
    pub fn origin(&self, raw: &RawRow<'_>) -> Origin {
        Origin { source: self.name.clone(), line: raw.line }
    }

    /// Returns `raw` as a broken row.
    pub fn broken(&self, raw: &RawRow<'_>, custom_id: Option<String>, fault: Fault) -> Box<BrokenRow> {
        Box::new(BrokenRow {
            origin: self.origin(raw),
            index: 0,
            custom_id,
            column: fault.column,
            byte_offset: raw.byte_offset,
            raw: raw.bytes[..raw.bytes.len().min(RAW_BYTES)].to_vec(),
            message: fault.message,
        })
    }
}

/// What is wrong with one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Column in bytes from 1, where known.
    pub column: Option<u64>,
    /// What is wrong and what to do.
    pub message: String,
}

impl Fault {
    /// A fault of the row as a whole.
    pub fn new(message: impl Into<String>) -> Self {
        Self { column: None, message: message.into() }
    }

    /// A fault at a byte of the row, counted from 0.
    pub fn at(byte: usize, message: impl Into<String>) -> Self {
        Self { column: Some(byte as u64 + 1), message: message.into() }
    }
}

/// Returns a row's text, if it is text of a length we take.
pub(super) fn row_text<'a>(raw: &RawRow<'a>, max_bytes: usize) -> Result<&'a str, Fault> {
    match raw.end {
        End::OverCap => return Err(over_cap(max_bytes)),
        End::OpenQuote => return Err(open_quote(raw)),
        End::Whole => {}
    }
    std::str::from_utf8(raw.bytes).map_err(|error| {
        let at = error.valid_up_to();
        let byte = raw.bytes[at];
        let hint = if (0xa0..=0xff).contains(&byte) {
            "; if the file is Latin-1, convert it with: iconv -f LATIN1 -t UTF-8"
        } else {
            ""
        };
        Fault::at(at, format!("is not UTF-8: byte 0x{byte:02x}{hint}"))
    })
}

fn over_cap(max_bytes: usize) -> Fault {
    let mib = max_bytes as f64 / f64::from(1 << 20);
    Fault::new(format!("is longer than {mib:.0} MiB, more than the API takes"))
}

fn open_quote(raw: &RawRow<'_>) -> Fault {
    let what = match raw.lines {
        1 => "the last line".to_owned(),
        lines => format!("the last {lines} lines"),
    };
    Fault::new(format!("has a quote that is never closed, so that {what} of the input are one record; close it"))
}

/// Cuts an input into rows.
pub(super) struct Splitter {
    input: BufReader<Box<dyn Read + Send>>,
    name: Arc<str>,
    buffer: Vec<u8>,
    max_bytes: usize,
    line: u64,
    offset: u64,
}

impl Splitter {
    /// Begins at line 1; `skipped` bytes (a byte order mark) were taken off `input` before.
    pub fn new(name: Arc<str>, input: Box<dyn Read + Send>, max_bytes: usize, skipped: u64) -> Self {
        let input = BufReader::with_capacity(BUFFER_BYTES, input);
        Self { input, name, buffer: Vec::new(), max_bytes, line: 1, offset: skipped }
    }

    /// Returns where the next row begins, or the blank lines before it.
    pub fn position(&self) -> Position {
        Position { line: self.line, byte_offset: self.offset }
    }

    /// Goes on at `position` with what `input` gives, which stands there.
    pub fn go_on_at(&mut self, position: Position, input: Box<dyn Read + Send>) {
        self.input = BufReader::with_capacity(BUFFER_BYTES, input);
        self.line = position.line;
        self.offset = position.byte_offset;
    }

    /// Returns the cap on a row's length, for messages.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// Returns the next line, blank ones too; `None` at the end of the input.
    ///
    /// # Errors
    /// [`SourceError::Read`] and [`SourceError::Endless`].
    pub fn next_line(&mut self) -> Result<Option<RawRow<'_>>, SourceError> {
        let (line, byte_offset) = self.begin();
        let most = self.max_bytes.saturating_add(2);

        let mut read = self.read_line(most).map_err(|source| read_error(&self.name, line, source))?;
        if read == 0 {
            return Ok(None);
        }

        let is_cut = read == most && self.buffer.last() != Some(&b'\n');
        if is_cut {
            let room = MAX_SKIPPED.saturating_sub(read as u64);
            let skipped = self.input.by_ref().take(room).skip_until(b'\n');
            let skipped = skipped.map_err(|source| read_error(&self.name, line, source))? as u64;
            if skipped == room {
                let (name, remedy) = (self.name.to_string(), "this is no file of rows");
                return Err(SourceError::Endless { name, line, bytes: MAX_SKIPPED, remedy });
            }
            read += skipped as usize;
        }
        self.line += 1;
        self.offset += read as u64;
        Ok(Some(self.finish(line, byte_offset, if is_cut { End::OverCap } else { End::Whole })))
    }

    /// Returns the next CSV record, blank lines as records of their own; `None` at the end of the input.
    ///
    /// # Errors
    /// [`SourceError::Read`] and [`SourceError::Endless`].
    pub fn next_record(&mut self, delimiter: u8) -> Result<Option<RawRow<'_>>, SourceError> {
        let (line, byte_offset) = self.begin();
        let mut state = Quoting::FieldStart;
        let mut end = End::Whole;

        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(source) if source.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(read_error(&self.name, self.line, source)),
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
            if self.buffer.len() > self.max_bytes.saturating_add(2) {
                end = End::OverCap;
                self.buffer.truncate(RAW_BYTES);
            }
            self.line += chunk[..taken].iter().filter(|&&byte| byte == b'\n').count() as u64;
            self.offset += taken as u64;
            self.input.consume(taken);
            if found.is_some() {
                break;
            }
            if self.offset - byte_offset > MAX_SKIPPED {
                let (name, remedy) = (self.name.to_string(), "close the quote that stays open in it");
                return Err(SourceError::Endless { name, line, bytes: MAX_SKIPPED, remedy });
            }
        }
        Ok(Some(self.finish(line, byte_offset, end)))
    }

    /// Reads up to and with the next line end, at most `most` bytes; returns how many.
    fn read_line(&mut self, most: usize) -> io::Result<usize> {
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

    /// Lets go of the last row, which was taken: its text may be large, and it may be long until the next is read.
    pub fn let_go(&mut self) {
        if self.buffer.capacity() > KEPT_ROOM {
            self.buffer = Vec::new();
        }
    }

    fn begin(&mut self) -> (u64, u64) {
        self.buffer.clear();
        (self.line, self.offset)
    }

    fn finish(&mut self, line: u64, byte_offset: u64, mut end: End) -> RawRow<'_> {
        if end != End::OverCap {
            for line_end in [b'\n', b'\r'] {
                if self.buffer.last() == Some(&line_end) {
                    self.buffer.pop();
                }
            }
        }
        if self.buffer.len() > self.max_bytes {
            end = End::OverCap;
        }
        let bytes = if end == End::OverCap { &self.buffer[..self.buffer.len().min(RAW_BYTES)] } else { &self.buffer };
        RawRow { line, lines: (self.line - line).max(1), byte_offset, bytes, end }
    }
}

fn read_error(name: &str, line: u64, source: io::Error) -> SourceError {
    SourceError::Read { name: name.to_owned(), line, source }
}

/// Where a CSV scan stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quoting {
    /// At the start of a field: a quote opens it.
    FieldStart,
    /// In a field without quotes, or after its closing quote: a quote is a character.
    Plain,
    /// Inside quotes: a line end is a character.
    Quoted,
    /// At a quote inside quotes: doubled it is a character, else it closes.
    QuoteInQuoted,
}

impl Quoting {
    /// Returns how far the record goes in `chunk`, with its line end; `None` when it goes on.
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
    use super::*;

    #[test]
    fn lines_keep_their_numbers_and_offsets() {
        let rows = lines("a\r\n\n b\rc\nlast", 100);

        let expected = [(1, 0, "a"), (2, 3, ""), (3, 4, " b\rc"), (4, 9, "last")];
        assert_eq!(rows, expected.map(|(line, at, text)| (line, at, text.to_owned(), End::Whole)));
    }

    #[test]
    fn a_line_over_the_cap_is_skipped_and_the_next_one_is_read() {
        let text = format!("{}\n{}\r\nok", "x".repeat(11), "y".repeat(10));

        let rows = lines(&text, 10);

        assert_eq!(rows[0], (1, 0, "x".repeat(11), End::OverCap));
        assert_eq!(rows[1], (2, 12, "y".repeat(10), End::Whole));
        assert_eq!(rows[2], (3, 24, "ok".to_owned(), End::Whole));
    }

    #[test]
    fn the_text_of_a_large_row_is_not_kept_until_the_next_is_read() {
        let json = format!("{{\"prompt\":\"{}\"}}\n", "x".repeat(2 * KEPT_ROOM)).repeat(3);
        let csv = format!("prompt\n{}", format!("{}\n", "x".repeat(2 * KEPT_ROOM)).repeat(3));
        for (name, text) in [("rows.jsonl", json), ("rows.csv", csv)] {
            let mut reader = super::super::testing::reader(name, text, &Default::default()).expect("it is sound");

            let mut rows = 0;
            while let Some(item) = reader.next() {
                assert!(matches!(item, Ok(super::super::Item::Row(_))), "{item:?}");
                let room = reader.rows.as_mut().map(|rows| rows.splitter().buffer.capacity());
                assert!(room.is_none_or(|room| room <= KEPT_ROOM), "{name}: {room:?} bytes are kept");
                rows += 1;
            }

            assert_eq!(rows, 3, "{name}");
        }
    }

    #[test]
    fn only_the_first_bytes_of_a_line_over_the_cap_are_kept() {
        let text = format!("{}\nok", "x".repeat(3 * BUFFER_BYTES));

        let rows = lines(&text, 2 * RAW_BYTES);

        assert_eq!((rows[0].2.len(), rows[0].3), (RAW_BYTES, End::OverCap));
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
    fn a_record_over_the_cap_is_skipped_to_its_own_end() {
        let text = format!("\"{}\n{}\"\nok,1\n", "x".repeat(BUFFER_BYTES), "y".repeat(BUFFER_BYTES));

        let rows = records(&text, RAW_BYTES);

        assert_eq!((rows[0].0, rows[0].2.len(), rows[0].3), (1, RAW_BYTES, End::OverCap));
        assert_eq!((rows[1].0, rows[1].2.as_str()), (3, "ok,1"));
    }

    type Seen = (u64, u64, String, End);

    fn lines(text: &str, max_bytes: usize) -> Vec<Seen> {
        all(text, max_bytes, |splitter| splitter.next_line().expect("memory can be read").map(seen))
    }

    fn records(text: &str, max_bytes: usize) -> Vec<Seen> {
        all(text, max_bytes, |splitter| splitter.next_record(b',').expect("memory can be read").map(seen))
    }

    fn all(text: &str, max_bytes: usize, next: impl Fn(&mut Splitter) -> Option<Seen>) -> Vec<Seen> {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut splitter = Splitter::new("test".into(), input, max_bytes, 0);
        std::iter::from_fn(|| next(&mut splitter)).collect()
    }

    fn seen(raw: RawRow<'_>) -> Seen {
        (raw.line, raw.byte_offset, String::from_utf8_lossy(raw.bytes).into_owned(), raw.end)
    }
}
