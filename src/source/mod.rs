//! Inputs: files and pipes become rows.
//!
//! Owns the formats: one file per format and one arm in [`Reader::from_read`]. A row is what was written; defaults,
//! keys and costs are added in [`crate::plan`]. Reading is streaming: one row in memory at a time, and never more of it
//! than [`Options::max_line_bytes`].
//!
//! What concerns a whole input is a [`SourceError`], found before the first row where it can be; what concerns one row
//! is an [`Item::Broken`] and costs only that row. What is doubtful and still usable is said once, by
//! [`Reader::take_warnings`].
//!
//! Line numbers count line feeds only, and blank lines too; byte offsets count every byte, a byte order mark too;
//! columns count bytes from 1 within the row's first line.

mod columns;
mod csv;
mod error;
mod fields;
mod identity;
mod json;
mod jsonl;
mod openai;
mod prompt;
mod raw;
mod shape;
mod sniff;
mod template;
#[cfg(test)]
mod testing;
mod text;

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::value::RawValue;

use self::fields::Warnings;
use self::raw::{Place, Splitter};
use self::sniff::Peeked;
use crate::domain::{Origin, Params};

pub use self::columns::{Columns, columns};
pub use self::error::SourceError;
pub use self::identity::{InputIdentity, identity, is_seekable};
pub use self::template::{Placeholder, Template, TemplateError, placeholders};

/// One row as it was written.
#[derive(Clone, Debug)]
pub struct Row {
    /// Where.
    pub origin: Origin,
    /// The user's label, if the row has one.
    pub custom_id: Option<String>,
    /// Its own request parameters, in the order written, without defaults.
    pub params: Params,
    /// Its other members: not sent, carried along.
    pub extra: Params,
    /// The `error` member of an error-log entry, raw.
    pub error: Option<Box<RawValue>>,
}

/// A row that can't be used. It costs only itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokenRow {
    /// Where.
    pub origin: Origin,
    /// Its position over all inputs of a run, from 0. A reader knows one input only and leaves it 0; whoever reads several
    /// counts.
    pub index: u64,
    /// Its label, as far as it could be read.
    pub custom_id: Option<String>,
    /// Column of the fault in its line, in bytes from 1, where known.
    pub column: Option<u64>,
    /// Offset of the row's first byte in its input (after decompression).
    pub byte_offset: u64,
    /// Its text, at most the first 4 KiB.
    pub raw: Vec<u8>,
    /// What is wrong and what to do; lower case, no full stop. Fits after "line 7".
    pub message: String,
}

/// What a reader returns next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A usable row.
    Row(Box<Row>),
    /// A broken one.
    Broken(Box<BrokenRow>),
    /// An error-log entry for a row that was broken in an earlier run, `{"custom_id", "raw", "error"}` without a
    /// request: nothing to send, nothing found wrong either. `origin` and `byte_offset` are the entry's, `raw` and
    /// `column` those of the row it is about.
    Unusable(Box<BrokenRow>),
}

/// How an input is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InputFormat {
    /// By the name's extension, else by the first character.
    #[default]
    Auto,
    /// One JSON value a line.
    Jsonl,
    /// A header and records, separated by `,`, by `;` or by tabs, as the header shows.
    Csv,
    /// A header and records, separated by tabs.
    Tsv,
    /// One prompt a line.
    Lines,
}

impl InputFormat {
    /// Every format, as it is offered.
    pub const ALL: [Self; 5] = [Self::Auto, Self::Jsonl, Self::Csv, Self::Tsv, Self::Lines];

    /// Returns the name as typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Lines => "lines",
        }
    }

    /// Reads a name as typed, any case.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name().eq_ignore_ascii_case(text))
    }
}

/// How to read an input.
#[derive(Clone, Debug)]
pub struct Options {
    /// `--format`.
    pub format: InputFormat,
    /// `--id`: the column or member that is the label, instead of `custom_id` or `id`.
    pub id_column: Option<String>,
    /// `-t`: makes the prompt from columns or members.
    pub template: Option<Template>,
    /// The longest row taken, in bytes; a longer one is broken and never held in memory.
    pub max_line_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        // Twice the largest request the API takes, since escapes make JSON longer than its text.
        Self { format: InputFormat::Auto, id_column: None, template: None, max_line_bytes: 64 << 20 }
    }
}

/// Where a row begins in its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Its first line, from 1.
    pub line: u64,
    /// Offset of its first byte.
    pub byte_offset: u64,
}

/// Where rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// A file, or whatever else has a path: a named pipe is read as a stream.
    File(PathBuf),
    /// Standard input.
    Stdin,
}

impl Input {
    /// Returns the name shown: the path as given, or `stdin`.
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin => "stdin".to_owned(),
        }
    }
}

/// Opens an input and reads as much as it takes to know its format; of CSV, the header.
///
/// A named pipe without a writer waits for one.
///
/// # Errors
/// Any [`SourceError`].
pub fn open(input: &Input, options: &Options) -> Result<Reader, SourceError> {
    match input {
        Input::File(path) => open_file(path, options),
        Input::Stdin => Reader::new(&input.name(), Kind::Stream, options.format, Box::new(std::io::stdin()), options),
    }
}

fn open_file(path: &Path, options: &Options) -> Result<Reader, SourceError> {
    // Asked for before opening: some systems open folders, others refuse without saying that it is one.
    identity(path)?;
    let file = File::open(path).map_err(|source| identity::open_error(path, source))?;
    let metadata = file.metadata().map_err(|source| identity::open_error(path, source))?;
    let kind = if metadata.is_file() { Kind::File } else { Kind::Stream };

    let mut reader = Reader::new(&path.display().to_string(), kind, options.format, Box::new(file), options)?;
    if kind == Kind::File {
        reader.watched = Some((path.to_owned(), identity::of(&metadata)));
    }
    Ok(reader)
}

/// Opens a file as [`open`] does, and goes on at a [`Reader::position`] that an earlier reading of it gave.
///
/// # Errors
/// Any [`SourceError`]; [`SourceError::Moved`] when no line begins at `position` any more.
pub fn open_at(path: &Path, options: &Options, position: Position) -> Result<Reader, SourceError> {
    let mut reader = open_file(path, options)?;
    if reader.position() == Some(position) {
        return Ok(reader);
    }
    let name = reader.name.clone();
    let read_error = |source| SourceError::Read { name: name.to_string(), line: position.line, source };
    let mut file = File::open(path).map_err(|source| identity::open_error(path, source))?;
    let mut before = [0];
    let is_there = position.byte_offset > 0 && {
        file.seek(SeekFrom::Start(position.byte_offset - 1)).map_err(read_error)?;
        file.read(&mut before).map_err(read_error)? == 1
    };
    if !is_there || before != *b"\n" {
        return Err(SourceError::Moved { name: name.to_string(), line: position.line });
    }
    if let Some(rows) = &mut reader.rows {
        rows.splitter().go_on_at(position, Box::new(file));
    }
    Ok(reader)
}

/// Whether lines without any sign of a format are prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No: a file of unknown kind is asked about.
    File,
    /// Yes: they were piped here on purpose.
    Stream,
}

/// One format's way to the next row.
trait Rows: Send {
    /// Returns what cuts the input into rows.
    fn splitter(&mut self) -> &mut Splitter;

    /// Returns the columns that a header names.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Returns the next row; `None` at the end. What is doubtful goes to `warnings`.
    fn next_item(&mut self, warnings: &mut Warnings) -> Result<Option<Item>, SourceError>;
}

/// The rows of one input, in order.
pub struct Reader {
    rows: Option<Box<dyn Rows>>,
    format: InputFormat,
    name: Arc<str>,
    warnings: Warnings,
    watched: Option<(PathBuf, InputIdentity)>,
    /// Until there is a row that can be used: how many can't, and the first of them.
    unusable: Option<(u64, Option<(u64, String)>)>,
}

/// So many rows that can't be used, and no other one before them, are no rows: data of another kind, or a wrong format.
const MAX_UNUSABLE: u64 = 1_000;

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("format", &self.format).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads rows from `input`, called `name` in messages. `format` goes before that of `options`; text without any
    /// sign of a format is taken as lines.
    ///
    /// # Errors
    /// Any [`SourceError`] but those of opening a file.
    pub fn from_read(
        name: &str,
        format: InputFormat,
        input: Box<dyn Read + Send>,
        options: &Options,
    ) -> Result<Self, SourceError> {
        Self::new(name, Kind::Stream, format, input, options)
    }

    fn new(
        name: &str,
        kind: Kind,
        format: InputFormat,
        input: Box<dyn Read + Send>,
        options: &Options,
    ) -> Result<Self, SourceError> {
        let peeked = Peeked::new(name, input)?;
        let format = sniff::choose(format, name, kind == Kind::Stream, &peeked)?;
        let delimiter = if format == InputFormat::Tsv { b'\t' } else { csv::sniff_delimiter(peeked.first_line()) };
        let skipped = peeked.skipped;

        let name: Arc<str> = name.into();
        let place = Place { name: name.clone() };
        let splitter = Splitter::new(name.clone(), peeked.into_read(), options.max_line_bytes, skipped);
        let rows: Box<dyn Rows> = match format {
            InputFormat::Jsonl => Box::new(jsonl::Jsonl::new(splitter, place, options)),
            InputFormat::Csv | InputFormat::Tsv => Box::new(csv::Csv::new(splitter, place, delimiter, options)?),
            InputFormat::Lines | InputFormat::Auto => Box::new(text::Text::new(splitter, place, options)?),
        };
        Ok(Self {
            rows: Some(rows),
            format,
            name,
            warnings: Warnings::default(),
            watched: None,
            unusable: Some((0, None)),
        })
    }

    /// Returns the name shown in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the format that was found; never [`InputFormat::Auto`].
    pub fn format(&self) -> InputFormat {
        self.format
    }

    /// Returns the columns that its header names; `None` for a format without one.
    pub fn columns(&self) -> Option<Columns> {
        self.rows.as_ref().and_then(|rows| rows.columns())
    }

    /// Returns where the next row begins, or the blank lines before it; `None` behind the last.
    pub fn position(&mut self) -> Option<Position> {
        self.rows.as_mut().map(|rows| rows.splitter().position())
    }

    /// Ends the reading before the input does. What can only be known then is among the warnings.
    pub fn end(&mut self) {
        self.rows = None;
        self.check_unchanged();
    }

    /// Takes what was found doubtful since the last call: names that look misspelt (once per name), and at the end a
    /// file that changed while it was read. Lower case, no full stop; each begins with the input's name.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.warnings.take().into_iter().map(|warning| format!("{}: {warning}", self.name)).collect()
    }

    /// Gives up an input of which nothing can be used.
    fn judged(&mut self, item: Item) -> Result<Item, SourceError> {
        let Some((count, first)) = &mut self.unusable else { return Ok(item) };
        match &item {
            Item::Row(_) => self.unusable = None,
            Item::Unusable(_) => {}
            Item::Broken(row) => {
                *count += 1;
                let (line, message) = first.get_or_insert_with(|| (row.origin.line, row.message.clone()));
                if *count > MAX_UNUSABLE {
                    let (name, message) = (self.name.to_string(), std::mem::take(message));
                    let error = SourceError::NoRows { name, rows: MAX_UNUSABLE, line: *line, message };
                    self.rows = None;
                    return Err(error);
                }
            }
        }
        Ok(item)
    }

    /// Compares a file that was read with what it was when it was opened.
    fn check_unchanged(&mut self) {
        let Some((path, before)) = self.watched.take() else {
            return;
        };
        let warning = match identity(&path) {
            Ok(after) if after == before => return,
            Ok(after) if after.len == before.len => "was written to while it was read".to_owned(),
            Ok(after) => format!("changed from {} to {} bytes while it was read", before.len, after.len),
            Err(_) => "was removed while it was read".to_owned(),
        };
        self.warnings.push(format!("{warning}; what came later may not have been seen"));
    }
}

impl Iterator for Reader {
    type Item = Result<Item, SourceError>;

    /// Returns the next row. After an error or the end there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        let rows = self.rows.as_mut()?;
        match rows.next_item(&mut self.warnings) {
            Ok(Some(item)) => {
                rows.splitter().let_go();
                Some(self.judged(item))
            }
            Ok(None) => {
                self.end();
                None
            }
            Err(error) => {
                self.rows = None;
                Some(Err(error))
            }
        }
    }
}
