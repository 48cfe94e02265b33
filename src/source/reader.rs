//! Opens an input of any format and reads its rows.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::compression::Compression;
use super::fields::Warnings;
use super::format::{Columns, Rows};
use super::sniff::{self, Peeked};
use super::split_rows::SplitRows;
use super::splitter::{Cut, Splitter};
use super::text::OneText;
use super::text_files::TextFiles;
use super::{
    Input, InputFormat, InputIdentity, Item, Options, Position, SourceError, csv, identity, jsonl, lines, spool,
};

/// Opens an input and reads its beginning to find out its format. For CSV, the header is read too.
///
/// If the input is a named pipe without a writer, waits for a writer.
///
/// # Errors
/// Any [`SourceError`].
pub fn open(input: &Input, options: &Options) -> Result<Reader, SourceError> {
    match input {
        Input::File(path) => open_file(path, options),
        Input::Texts(texts) => {
            let rows = Box::new(TextFiles::new(texts.clone(), options)?);
            Ok(Reader::of(texts.name().into(), None, rows))
        }
        Input::Stdin => {
            let stream = spool::copied(std::io::stdin(), options.spool.as_deref());
            Reader::new(&input.name(), Kind::Stream, options.format, stream, options)
        }
        Input::Spooled { name, path } => {
            let file = File::open(path).map_err(|source| identity::open_error(path, source))?;
            Reader::new(name, Kind::Stream, options.format, Box::new(file), options)
        }
    }
}

fn open_file(path: &Path, options: &Options) -> Result<Reader, SourceError> {
    // The path is checked before the file is opened, because some systems can open a folder like a file, and others
    // give an unclear error.
    identity(path)?;
    let file = File::open(path).map_err(|source| identity::open_error(path, source))?;
    let metadata = file.metadata().map_err(|source| identity::open_error(path, source))?;
    let kind = if metadata.is_file() { Kind::File(path) } else { Kind::Stream };

    let input = if metadata.is_file() { Box::new(file) } else { spool::copied(file, options.spool.as_deref()) };
    let mut reader = Reader::new(&path.display().to_string(), kind, options.format, input, options)?;
    if metadata.is_file() {
        reader.watched = Some((path.to_owned(), identity::of(&metadata)));
    }
    Ok(reader)
}

/// Opens a file as [`open`] does, but starts at `position`. `position` comes from [`Reader::position`] of an earlier
/// reader of this file.
///
/// # Errors
/// Any [`SourceError`]; [`SourceError::Moved`] if no row begins at `position` any more.
pub fn open_at(path: &Path, options: &Options, position: Position) -> Result<Reader, SourceError> {
    let mut reader = open_file(path, options)?;
    reader.rows.seek(position, &reader.name)?;
    // The first rows of the file were already checked in an earlier reading of the file.
    reader.unusable = None;
    Ok(reader)
}

/// Whether the input is a file or a pipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind<'a> {
    /// A regular file, which can be read again.
    File(&'a Path),
    /// A pipe.
    Stream,
}

/// The rows of one input, in order.
pub struct Reader {
    rows: Box<dyn Rows>,
    /// Whether there is nothing more to read, because the last row was returned or an error occurred.
    is_over: bool,
    name: Arc<str>,
    compression: Option<Compression>,
    warnings: Warnings,
    watched: Option<(PathBuf, InputIdentity)>,
    /// The number of unusable rows so far, and the place and the fault of the first unusable row. The value is `None`
    /// as soon as a usable row has been read.
    unusable: Option<(u64, Option<(String, String)>)>,
}

/// The largest number of broken rows that are allowed at the beginning of an input. If more rows are broken, the input
/// is another kind of data, or the wrong format was chosen.
const MAX_UNUSABLE: u64 = 1_000;

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("name", &self.name).field("format", &self.format()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Reads rows from `input`, called `name` in messages. `format` overrides the format in `options`.
    ///
    /// # Errors
    /// Any [`SourceError`] that does not come from opening a file.
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
        kind: Kind<'_>,
        format: InputFormat,
        input: Box<dyn Read + Send>,
        options: &Options,
    ) -> Result<Self, SourceError> {
        let peeked = Peeked::new(name, input)?;
        let format = sniff::choose(format, name, &peeked)?;
        let name: Arc<str> = name.into();
        let compression = peeked.compression;
        let rows = rows(&name, kind, format, peeked, options)?;
        let mut reader = Self::of(name, compression, rows);
        if options.sheet.is_some() && format != InputFormat::Excel {
            reader.warnings.push("is not an Excel file, so --sheet has no effect".to_owned());
        }
        Ok(reader)
    }

    fn of(name: Arc<str>, compression: Option<Compression>, rows: Box<dyn Rows>) -> Self {
        let (warnings, unusable) = (Warnings::default(), Some((0, None)));
        Self { rows, is_over: false, name, compression, warnings, watched: None, unusable }
    }

    /// Returns the name shown in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the format of the input, which is never [`InputFormat::Auto`].
    pub fn format(&self) -> InputFormat {
        self.rows.format()
    }

    /// Returns the format and the compression, for messages.
    pub(crate) fn kind(&self) -> String {
        let words = self.format().words();
        match self.compression {
            Some(compression) => format!("{words} ({})", compression.name()),
            None => words.to_owned(),
        }
    }

    /// Returns whether [`open_at`] can skip the rows before the position without reading them.
    pub(crate) fn is_random_access(&self) -> bool {
        self.rows.is_random_access()
    }

    /// Returns the columns in the header, grouped by what happens to them; `None` for a format without a header.
    pub fn columns(&self) -> Option<Columns> {
        self.rows.columns()
    }

    /// Returns the names of all columns, in the order of the input. Columns with empty names are included. Returns
    /// `None` for a format without a header.
    pub fn header(&self) -> Option<&[Arc<str>]> {
        self.rows.header()
    }

    /// Returns where the next row begins; `None` after the last row. Blank lines before a row belong to the row.
    pub fn position(&mut self) -> Option<Position> {
        if self.is_over { None } else { self.rows.position() }
    }

    /// Stops reading before the end of the input, and adds the warnings that are otherwise added at the end.
    pub fn end(&mut self) {
        self.is_over = true;
        self.check_unchanged();
    }

    /// Removes and returns the warnings that were added since the last call. The warnings are about names that look
    /// misspelt (once per name). At the end of the input, there can be a warning about a file that changed while it was
    /// read. Each warning begins with the input's name, is in lower case, and has no full stop.
    pub fn take_warnings(&mut self) -> Vec<String> {
        self.warnings.take().into_iter().map(|warning| format!("{}: {warning}", self.name)).collect()
    }

    /// Rejects an input whose first rows are all broken.
    fn refuse_unusable(&mut self, item: Item) -> Result<Item, SourceError> {
        let Some((count, first)) = &mut self.unusable else { return Ok(item) };
        match &item {
            Item::Row(_) => self.unusable = None,
            Item::Broken(row) => {
                *count += 1;
                let place = || match row.origin.source == self.name {
                    true => format!("line {}", row.origin.line),
                    false => row.origin.source.to_string(),
                };
                let (place, message) = first.get_or_insert_with(|| (place(), row.message.clone()));
                if *count > MAX_UNUSABLE {
                    let (name, place) = (self.name.to_string(), std::mem::take(place));
                    let message = std::mem::take(message);
                    return Err(SourceError::NoRows { name, rows: MAX_UNUSABLE, place, message });
                }
            }
        }
        Ok(item)
    }

    /// Warns if the file has changed since it was opened.
    fn check_unchanged(&mut self) {
        let Some((path, before)) = self.watched.take() else {
            return;
        };
        let warning = match identity(&path) {
            Ok(after) if after == before => return,
            Ok(after) if after.len == before.len => "changed while it was read".to_owned(),
            Ok(after) => format!("changed from {} to {} bytes while it was read", before.len, after.len),
            Err(_) => "was removed while it was read".to_owned(),
        };
        self.warnings.push(format!("{warning}; later changes may not have been read"));
    }
}

impl Reader {
    fn read(&mut self) -> Result<Option<Item>, SourceError> {
        if self.is_over {
            return Ok(None);
        }
        match self.rows.next(&self.name, &mut self.warnings)? {
            Some(item) => self.refuse_unusable(item).map(Some),
            None => {
                self.end();
                Ok(None)
            }
        }
    }
}

impl Iterator for Reader {
    type Item = Result<Item, SourceError>;

    /// Returns the next row. After an error and after the last row, `next` always returns `None`.
    fn next(&mut self) -> Option<Self::Item> {
        let item = self.read();
        self.is_over |= item.is_err();
        item.transpose()
    }
}

/// Begins to read rows of a format.
fn rows(
    name: &Arc<str>,
    kind: Kind<'_>,
    format: InputFormat,
    peeked: Peeked,
    options: &Options,
) -> Result<Box<dyn Rows>, SourceError> {
    let file = match (kind, peeked.compression) {
        (Kind::File(path), None) => Some(path.to_owned()),
        (Kind::File(_), Some(_)) | (Kind::Stream, _) => None,
    };
    let keeps_input = options.keeps_input;
    let delimiter = csv::sniff_delimiter(peeked.first_whole_line(), format == InputFormat::Tsv);
    let split = |peeked: Peeked, cut| {
        let skipped = peeked.skipped;
        Splitter::new(name.clone(), peeked.into_read(), cut, options.max_line_bytes, skipped)
    };
    Ok(match format {
        InputFormat::Jsonl => {
            let splitter = split(peeked, Cut::Lines);
            Box::new(SplitRows::new(splitter, jsonl::Jsonl::new(options), format, keeps_input, file))
        }
        InputFormat::Csv | InputFormat::Tsv => {
            let mut splitter = split(peeked, Cut::Records(delimiter));
            let records = csv::Csv::new(&mut splitter, name, delimiter, options)?;
            Box::new(SplitRows::new(splitter, records, format, keeps_input, file))
        }
        InputFormat::Lines | InputFormat::Auto => {
            let splitter = split(peeked, Cut::Lines);
            let lines = lines::Lines::new(name, options)?;
            Box::new(SplitRows::new(splitter, lines, InputFormat::Lines, keeps_input, file))
        }
        InputFormat::Text => Box::new(OneText::new(peeked.into_read(), name, kind != Kind::Stream, options)?),
        InputFormat::Parquet => parquet_rows(name, file, options)?,
        InputFormat::Excel => excel_rows(name, peeked, options)?,
    })
}

#[cfg(feature = "tables")]
fn parquet_rows(name: &Arc<str>, file: Option<PathBuf>, options: &Options) -> Result<Box<dyn Rows>, SourceError> {
    let Some(path) = file else { return Err(SourceError::NotAFile { name: name.to_string() }) };
    let file = File::open(&path).map_err(|source| identity::open_error(&path, source))?;
    let table = super::parquet::Parquet::new(file, name)?;
    let columns = table.columns().to_vec();
    Ok(Box::new(super::table::TableRows::new(table, columns, name, options)?))
}

#[cfg(feature = "tables")]
fn excel_rows(name: &str, peeked: Peeked, options: &Options) -> Result<Box<dyn Rows>, SourceError> {
    let table = super::excel::Excel::new(peeked.into_read(), name, options.sheet.as_deref())?;
    let columns = table.columns().to_vec();
    Ok(Box::new(super::table::TableRows::new(table, columns, name, options)?))
}

#[cfg(not(feature = "tables"))]
fn parquet_rows(name: &str, _: Option<PathBuf>, _: &Options) -> Result<Box<dyn Rows>, SourceError> {
    Err(SourceError::NoReader { name: name.to_owned(), what: "Parquet files" })
}

#[cfg(not(feature = "tables"))]
fn excel_rows(name: &str, _: Peeked, _: &Options) -> Result<Box<dyn Rows>, SourceError> {
    Err(SourceError::NoReader { name: name.to_owned(), what: "Excel files" })
}
