//! Raw rows (the bytes of a line or of a CSV record, with their place in the input), and what can be wrong with them.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::BrokenRow;
use crate::domain::{Origin, Params};

/// How much of a broken row's text is kept, in bytes.
pub(crate) const KEPT_BYTES: usize = 4096;

/// One row's text and place.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawRow<'a> {
    /// The line on which the row starts, counted from 1.
    pub line: u64,
    /// The number of lines that the row covers.
    pub lines: u64,
    /// The offset of the row's first byte in the input.
    pub byte_offset: u64,
    /// The row's text without the line end. If the row is longer than the limit, only its first [`KEPT_BYTES`] bytes
    /// are here.
    pub bytes: &'a [u8],
    /// How the row ended.
    pub end: End,
}

/// How a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The row is complete: it ended at a line end, or at the end of the input.
    Whole,
    /// The row is longer than the limit (in bytes), and the rest was skipped.
    TooLong(usize),
    /// The input ended inside quotes.
    OpenQuote,
}

impl<'a> RawRow<'a> {
    /// Returns whether the row has only white space.
    pub(super) fn is_blank(&self) -> bool {
        !matches!(self.end, End::TooLong(_)) && self.bytes.iter().all(u8::is_ascii_whitespace)
    }

    /// Returns the row's text, or a fault if the row is incomplete or not in UTF-8.
    pub(super) fn text(&self) -> Result<&'a str, Fault> {
        match self.end {
            End::TooLong(most_bytes) => return Err(too_long(most_bytes)),
            End::OpenQuote => return Err(self.open_quote()),
            End::Whole => {}
        }
        std::str::from_utf8(self.bytes).map_err(|error| {
            let at = error.valid_up_to();
            let byte = self.bytes[at];
            let hint = if (0xa0..=0xff).contains(&byte) {
                "; if the file is Latin-1, convert it with: iconv -f LATIN1 -t UTF-8"
            } else {
                ""
            };
            Fault::at(at, format!("is not UTF-8: byte 0x{byte:02x}{hint}"))
        })
    }

    /// Returns the row's text like [`Self::text`], but also rejects a NUL byte. In plain text, a NUL byte shows that
    /// the file is damaged or is of another kind.
    pub(super) fn plain_text(&self) -> Result<&'a str, Fault> {
        let text = self.text()?;
        match text.find('\0') {
            Some(at) => Err(Fault::at(at, "holds a NUL byte, which is not text")),
            None => Ok(text),
        }
    }

    /// Returns this row as a broken row. `input` is the name of the row's input.
    pub(super) fn broken(&self, input: &Arc<str>, fault: Fault) -> BrokenRow {
        BrokenRow {
            origin: self.origin(input),
            index: 0,
            custom_id: fault.custom_id,
            column: fault.column,
            byte_offset: self.byte_offset,
            raw: self.kept().to_vec(),
            message: fault.message,
            input: None,
        }
    }

    /// Returns the part of the row that an error entry keeps.
    pub(super) fn kept(&self) -> &'a [u8] {
        &self.bytes[..self.bytes.len().min(KEPT_BYTES)]
    }

    /// Returns the origin of the row (file and line). `input` is the name of the row's input.
    pub(super) fn origin(&self, input: &Arc<str>) -> Origin {
        Origin { source: input.clone(), line: self.line }
    }

    fn open_quote(&self) -> Fault {
        let what = match self.lines {
            1 => "the last line of the input is".to_owned(),
            lines => format!("the last {lines} lines of the input are"),
        };
        Fault::new(format!("has a quote that is never closed, so {what} read as one record; close the quote"))
    }
}

/// Returns the fault of a row with more than `most_bytes` bytes.
pub(super) fn too_long(most_bytes: usize) -> Fault {
    let mib = most_bytes as f64 / f64::from(1 << 20);
    Fault::new(format!("is longer than {mib:.0} MiB, more than the API accepts"))
}

/// A row without its place in the input.
#[derive(Debug, Default)]
pub(super) struct Parts {
    /// The user's label.
    pub custom_id: Option<String>,
    /// The request parameters, which are sent.
    pub params: Params,
    /// The members that are kept with the row but are not sent.
    pub extra: Params,
    /// The `error` of an error-log entry.
    pub error: Option<Box<RawValue>>,
}

/// The fault of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// The row's label, if it could be read.
    pub custom_id: Option<String>,
    /// The column of the fault, counted in bytes from 1; `None` if the column is not known.
    pub column: Option<u64>,
    /// What is wrong with the row, and what to do.
    pub message: String,
}

impl Fault {
    /// Returns a fault that concerns the whole row.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { custom_id: None, column: None, message: message.into() }
    }

    /// Returns a fault at a byte of the row; bytes are counted from 0.
    pub(super) fn at(byte: usize, message: impl Into<String>) -> Self {
        Self { column: Some(byte as u64 + 1), ..Self::new(message) }
    }

    /// Adds the label of the row to the fault, and returns the fault.
    pub(super) fn of(self, custom_id: Option<String>) -> Self {
        Self { custom_id, ..self }
    }
}
