//! Opens an input of any format and reads its rows.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fields::Warnings;
use super::format::{Columns, Format};
use super::raw::Parts;
use super::sniff::{self, Peeked};
use super::splitter::{Cut, Splitter};
use super::{Input, InputFormat, InputIdentity, Item, Options, Position, Row, SourceError, csv, identity, jsonl, text};

/// Opens an input and reads as much as is needed to know its format. For CSV that includes the header.
///
/// For a named pipe without a writer, this waits for a writer.
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
    // This check is made before opening: some systems open folders, others refuse them without saying why.
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

/// Opens a file as [`open`] does, and continues at a [`Reader::position`] from an earlier reading of it.
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
    if let Some(splitter) = &mut reader.splitter {
        splitter.continue_at(position, Box::new(file));
    }
    Ok(reader)
}

/// Whether lines without any sign of a format are prompts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// No: for a file of unknown kind the user must name the format.
    File,
    /// Yes: they were piped here on purpose.
    Stream,
}

/// The rows of one input, in order.
pub struct Reader {
    /// `None` after the last row, and after an error.
    pub(super) splitter: Option<Splitter>,
    rows: Box<dyn Format>,
    format: InputFormat,
    name: Arc<str>,
    warnings: Warnings,
    watched: Option<(PathBuf, InputIdentity)>,
    /// Used until the first usable row: how many rows were unusable, and line and fault of the first of them.
    unusable: Option<(u64, Option<(u64, String)>)>,
}

/// When an input begins with more broken rows than this, it is data of another kind, or its format is wrong.
const MAX_UNUSABLE: u64 = 1_000;

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("format", &self.format).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads rows from `input`, called `name` in messages. `format` overrides the format in `options`; text without any
    /// sign of a format is read as lines.
    ///
    /// # Errors
    /// Any [`SourceError`] except those of opening a file.
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

        let cut = match format {
            InputFormat::Csv | InputFormat::Tsv => Cut::Records(delimiter),
            InputFormat::Jsonl | InputFormat::Lines | InputFormat::Auto => Cut::Lines,
        };
        let name: Arc<str> = name.into();
        let mut splitter = Splitter::new(name.clone(), peeked.into_read(), cut, options.max_line_bytes, skipped);
        let rows: Box<dyn Format> = match format {
            InputFormat::Jsonl => Box::new(jsonl::Jsonl::new(options)),
            InputFormat::Csv | InputFormat::Tsv => Box::new(csv::Csv::new(&mut splitter, &name, delimiter, options)?),
            InputFormat::Lines | InputFormat::Auto => Box::new(text::Text::new(&name, options)?),
        };
        Ok(Self {
            splitter: Some(splitter),
            rows,
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

    /// Returns the format of the input, which is never [`InputFormat::Auto`].
    pub fn format(&self) -> InputFormat {
        self.format
    }

    /// Returns the columns that its header names; `None` for a format without one.
    pub fn columns(&self) -> Option<Columns> {
        self.rows.columns()
    }

    /// Returns where the next row begins, or the blank lines before it; `None` after the last.
    pub fn position(&mut self) -> Option<Position> {
        self.splitter.as_ref().map(Splitter::position)
    }

    /// Stops reading before the end of the input. Findings that are made only at the end are added to the warnings.
    pub fn end(&mut self) {
        self.splitter = None;
        self.check_unchanged();
    }

    /// Takes the warnings since the last call: about names that look misspelt (once per name), and at the end about a
    /// file that changed while it was read. Lower case, no full stop; each begins with the input's name.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.warnings.take().into_iter().map(|warning| format!("{}: {warning}", self.name)).collect()
    }

    /// Refuses an input whose first rows are all broken.
    fn judged(&mut self, item: Item) -> Result<Item, SourceError> {
        let Some((count, first)) = &mut self.unusable else { return Ok(item) };
        match &item {
            Item::Row(_) => self.unusable = None,
            Item::Broken(row) => {
                *count += 1;
                let (line, message) = first.get_or_insert_with(|| (row.origin.line, row.message.clone()));
                if *count > MAX_UNUSABLE {
                    let (name, message) = (self.name.to_string(), std::mem::take(message));
                    let error = SourceError::NoRows { name, rows: MAX_UNUSABLE, line: *line, message };
                    self.splitter = None;
                    return Err(error);
                }
            }
        }
        Ok(item)
    }

    /// Warns when a file changed since it was opened.
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

impl Reader {
    fn read(&mut self) -> Result<Option<Item>, SourceError> {
        let Some(splitter) = &mut self.splitter else { return Ok(None) };
        while let Some(raw) = splitter.next_row()? {
            let item = match self.rows.read(&raw, &mut self.warnings) {
                Ok(None) => continue,
                Ok(Some(Parts { custom_id, params, extra, error })) => {
                    let origin = raw.origin(&self.name);
                    Item::Row(Box::new(Row { origin, custom_id, params, extra, error }))
                }
                Err(fault) => Item::Broken(Box::new(raw.broken(&self.name, fault))),
            };
            splitter.free_row();
            return self.judged(item).map(Some);
        }
        self.end();
        Ok(None)
    }
}

impl Iterator for Reader {
    type Item = Result<Item, SourceError>;

    /// Returns the next row. After an error or the end there is nothing more.
    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read();
        if item.is_err() {
            self.splitter = None;
        }
        item.transpose()
    }
}
