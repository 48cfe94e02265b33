//! Inputs: reads rows from files and pipes.
//!
//! A [`Reader`] contains the `format::Rows` of its input. For lines and CSV records, these rows are a
//! `split_rows::SplitRows`. The module `splitter` cuts a row out of the input, and then the input's `format::Format`
//! (`jsonl`, `csv` or `lines`) parses the row. To add a format, add a file and a match arm in the reader.
//!
//! A row contains only what the input says. Defaults, keys and costs are added in [`crate::plan`]. Only one row is in
//! memory at a time. If the row is longer than [`Options::max_line_bytes`], only a part of it is in memory.
//!
//! A fault of a whole input is a [`SourceError`], which is found before the first row if possible. A fault of one row
//! is an [`Item::Broken`] and affects only that row. Anything that is doubtful but usable causes a warning.
//! [`Reader::take_warnings`] returns each warning once.
//!
//! A row's `line` is the number of its first line, counted from 1. Blank lines are counted too. Byte offsets count
//! every byte, including a byte order mark. A column is the position of a byte in the row's first line, counted from 1.
//! A row's `index` is its position among the rows, counted from 0. Blank lines have no index.

mod cells;
mod columns;
mod compression;
mod csv;
mod error;
#[cfg(feature = "tables")]
mod excel;
mod fields;
mod fixed;
mod format;
#[cfg(feature = "tables")]
mod guard;
mod header;
mod identity;
mod input;
mod json;
mod jsonl;
mod lines;
mod log_names;
mod names;
mod openai;
#[cfg(feature = "tables")]
mod parquet;
mod pattern;
mod prompt;
mod raw;
mod reader;
mod shape;
mod sniff;
mod split_rows;
mod splitter;
mod spool;
#[cfg(feature = "tables")]
mod table;
mod template;
#[cfg(test)]
mod testing;
mod text;
mod text_files;
mod texts;

use std::path::PathBuf;

use serde_json::value::RawValue;

use crate::domain::{MAX_BODY_BYTES, Origin, Params};

pub use self::cells::{InputCell, InputRow};
pub(crate) use self::columns::{Recognized, recognize};
pub use self::error::SourceError;
pub use self::format::Columns;
pub use self::identity::{InputIdentity, identity, is_seekable};
pub use self::input::Input;
pub(crate) use self::log_names::{looks_renamed, name_in_log, restore_column};
pub(crate) use self::names::{found_list, nearest, nearest_names};
pub(crate) use self::raw::KEPT_BYTES;
pub use self::reader::{Reader, open, open_at};
pub(crate) use self::sniff::wide_text;
pub use self::template::{Condition, ConditionError, Facts, Template, TemplateError};
pub(crate) use self::template::{Placeholder, placeholders, row_of};
pub use self::texts::Texts;
pub(crate) use self::texts::{Expanded, expand};

/// One row, as it was written in the input.
#[derive(Clone, Debug)]
pub struct Row {
    /// The file and line from which the row was read.
    pub origin: Origin,
    /// The user's label, if the row has one.
    pub custom_id: Option<String>,
    /// The row's own request parameters, in their order in the row. Default values of parameters are not included.
    pub params: Params,
    /// The other members of the row, which are kept with the row and not sent.
    pub extra: Params,
    /// The `error` member of an error-log entry, raw.
    pub error: Option<Box<RawValue>>,
    /// The content of the whole row, unchanged. This field is set only with [`Options::keeps_input`]. Outputs that
    /// contain columns of the input need this field.
    pub input: Option<InputRow>,
}

/// A row that can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// The file and line from which the row was read.
    pub origin: Origin,
    /// The row's position among the rows of all inputs of a run, counted from 0. A reader knows only one input, so the
    /// reader always sets this position to 0.
    pub index: u64,
    /// The row's label, if it could be read.
    pub custom_id: Option<String>,
    /// The column of the fault in its line, counted in bytes from 1; `None` if the column is not known.
    pub column: Option<u64>,
    /// The offset of the row's first byte in the decompressed input.
    pub byte_offset: u64,
    /// The row's text, at most the first 4 KiB.
    pub raw: Vec<u8>,
    /// What is wrong with the row, and what to do. Messages show this text after words like "line 7", so the text
    /// begins in lower case and has no full stop.
    pub message: String,
    /// The readable part of the row, unchanged. This field is set only with [`Options::keeps_input`], for outputs with
    /// columns of the input.
    pub input: Option<InputRow>,
}

/// A row that a reader returns: usable or broken.
#[derive(Clone, Debug)]
pub enum Item {
    /// A usable row.
    Row(Box<Row>),
    /// A broken row.
    Broken(Box<BrokenRow>),
}

/// The format of an input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// The extension of the file's name shows the format. If the extension does not show the format, the first line
    /// decides.
    #[default]
    Auto,
    /// JSON lines: one JSON value per line.
    Jsonl,
    /// CSV: a header and records. The header shows the separator: `,`, `;` or a tab.
    Csv,
    /// TSV: a header and records, with tabs as separators.
    Tsv,
    /// Plain text with one prompt per line.
    Lines,
    /// The whole file is one prompt.
    Text,
    /// A Parquet file.
    Parquet,
    /// A sheet of an Excel file.
    Excel,
}

impl InputFormat {
    /// All formats, in the order of the help text.
    pub const ALL: [Self; 8] =
        [Self::Auto, Self::Jsonl, Self::Csv, Self::Tsv, Self::Lines, Self::Text, Self::Parquet, Self::Excel];

    /// Returns the name of the format, as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Lines => "lines",
            Self::Text => "text",
            Self::Parquet => "parquet",
            Self::Excel => "xlsx",
        }
    }

    /// Returns a description of this format, for messages.
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Auto => "rows",
            Self::Jsonl => "JSON lines",
            Self::Csv => "CSV",
            Self::Tsv => "TSV",
            Self::Lines => "a prompt a line",
            Self::Text => "text as one prompt",
            Self::Parquet => "Parquet",
            Self::Excel => "Excel",
        }
    }
}

/// The settings for reading an input.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--format`.
    pub format: InputFormat,
    /// `--id`: the label is read from this column or member, and not from `custom_id` or `id`.
    pub id_column: Option<String>,
    /// `--sheet`: which sheet of an Excel file is read. The default is the first visible sheet.
    pub sheet: Option<String>,
    /// `-t`: the template that makes the messages from columns or members.
    pub template: Option<Template>,
    /// The template of `--system`; `None` if the value of the flag is a plain text. If there is a `template`, the
    /// system prompt is filled in for all rows. Without a `template`, the system prompt is filled in only for rows of
    /// formats with a header.
    pub system: Option<Template>,
    /// The longest row that is accepted, in bytes. A longer row is an error, and is never in memory as a whole.
    pub max_line_bytes: usize,
    /// Whether [`Row::input`] is set. An output that has columns of the input needs `Row::input`.
    pub keeps_input: bool,
    /// Whether only the labels of rows are read. If only labels are read, the reader ignores parameters and makes no
    /// prompts.
    pub labels_only: bool,
    /// The file to which the bytes of a pipe are copied, so that the rows of the pipe can be read again.
    pub spool: Option<PathBuf>,
}

impl Options {
    /// Returns the fixed start of each text in the templates. A fixed start is the text before the first column, so it
    /// is the same in all rows.
    pub fn fixed_starts(&self) -> Vec<String> {
        let templates = [&self.template, &self.system].into_iter().flatten();
        templates.flat_map(Template::fixed_starts).collect()
    }
}

impl Default for Options {
    fn default() -> Self {
        // JSON can be longer than the text in it, because of escapes.
        let (format, max_line_bytes) = (InputFormat::Auto, 2 * MAX_BODY_BYTES);
        Self {
            format,
            id_column: None,
            sheet: None,
            template: None,
            system: None,
            max_line_bytes,
            keeps_input: false,
            labels_only: false,
            spool: None,
        }
    }
}

impl Options {
    /// Returns options for reading only labels and columns. No prompts are made, so no template is filled in, and no
    /// column `prompt` is needed.
    pub(crate) fn without_prompts(self) -> Self {
        Self { template: Some(Template::plain()), system: None, labels_only: true, ..self }
    }
}

/// The position at which a row begins in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The number of the row's first line in the input, counted from 1.
    pub line: u64,
    /// The offset of the row's first byte in the input.
    pub byte_offset: u64,
}
