//! Faults of a whole input.

use std::io;

use super::compression::Damage;
use crate::domain::quoted;

/// A fault of a whole input. A fault of one row is an [`Item::Broken`](super::Item::Broken).
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// There is no file with the name of the input.
    #[error("{name}: no such file; check the path, or use - to read standard input")]
    NotFound {
        /// The name of the input, as the user gave it.
        name: String,
    },
    /// The input is a folder.
    #[error("{name}: is a folder; give the path of a file in it")]
    Directory {
        /// The name of the input, as the user gave it.
        name: String,
    },
    /// No file fits the pattern.
    #[error("no file matches {name}; check the pattern")]
    NoMatch {
        /// The pattern, as the user gave it.
        name: String,
    },
    /// A folder contains no text file, or no text file matches a pattern.
    #[error("{name}: {problem}; {remedy}")]
    NoTexts {
        /// The folder or pattern, as the user gave it.
        name: String,
        /// What is wrong with the folder or pattern. The error message shows this text after the name of the folder or
        /// pattern.
        problem: String,
        /// Advice on what to do.
        remedy: String,
    },
    /// The input is a folder, but the given format is for files with rows.
    #[error(
        "{name}: is a folder, but --format {format} is for files with rows; give its files, as in: claude-batch run '{name}/*'"
    )]
    FolderFormat {
        /// The folder, as the user gave it.
        name: String,
        /// The format that the user asked for.
        format: &'static str,
    },
    /// The input is a device. A device either has no rows or never ends.
    #[error("{name}: is a device, not a file with rows; give a file, or use - to read standard input")]
    Device {
        /// The name of the input, as the user gave it.
        name: String,
    },
    /// The input can't be opened, or its metadata can't be read.
    #[error("{name}: can't be opened: {source}; check the path and who may read it")]
    Open {
        /// The name of the input, as the user gave it.
        name: String,
        /// The reason why the input can't be opened.
        source: io::Error,
    },
    /// Reading failed before the end of the input.
    #[error("{name}: reading failed near line {line}: {source}; check the file, and run the same command again")]
    Read {
        /// The name of the input, as the user gave it.
        name: String,
        /// The number of the line that was being read, counted from 1.
        line: u64,
        /// The reason why reading failed.
        source: io::Error,
    },
    /// A part of the input is damaged. The rows before the damage were read correctly.
    #[error("{name}: is damaged {place}: {message}")]
    Damaged {
        /// The name of the input, as the user gave it.
        name: String,
        /// The place of the damage, for example "after line 812".
        place: String,
        /// What is damaged in the input.
        message: String,
    },
    /// This build has no reader for the format.
    #[error(
        "{name}: this build does not read {what}; use a release build, or a build from a clone with: \
         cargo install --path . --locked --features tables"
    )]
    NoReader {
        /// The name of the input, as the user gave it.
        name: String,
        /// The name of the kind of files that this build can't read, as a plural noun.
        what: &'static str,
    },
    /// The input is a Parquet file that comes from a pipe or is compressed. A Parquet input must be a regular file
    /// without compression.
    #[error(
        "{name}: a Parquet file can't be read from a pipe or a compressed file, because its footer is at its end; save \
         it uncompressed, and give the path of the file"
    )]
    NotAFile {
        /// The name of the input, as the user gave it.
        name: String,
    },
    /// The input changed while it was read: no row begins at the place where a row began before.
    #[error(
        "{name}: changed while it was read: no row begins at line {line} any more; run the same command again when nobody writes to it"
    )]
    Moved {
        /// The name of the input, as the user gave it.
        name: String,
        /// The line on which a row began, counted from 1.
        line: u64,
    },
    /// The first bytes of the input are not text in UTF-8.
    #[error("{name}: looks like {what}, not like text in UTF-8; {remedy}")]
    Binary {
        /// The name of the input, as the user gave it.
        name: String,
        /// What the input seems to be, with an article, such as `a PNG image`.
        what: &'static str,
        /// Advice on what to do.
        remedy: &'static str,
    },
    /// A line or a CSV record is longer than the limit.
    #[error("{name}: the row that begins on line {line} is longer than {} GiB; {remedy}", bytes >> 30)]
    Endless {
        /// The name of the input, as the user gave it.
        name: String,
        /// The line on which the row begins, counted from 1.
        line: u64,
        /// How much of the row was read, in bytes.
        bytes: u64,
        /// Advice on what to do.
        remedy: &'static str,
    },
    /// The first rows of the input are all unusable.
    #[error("{name}: none of its first {rows} rows can be used; the first: {place} {message}")]
    NoRows {
        /// The name of the input, as the user gave it.
        name: String,
        /// The number of rows that were read.
        rows: u64,
        /// The place of the first unusable row, for example "line 7".
        place: String,
        /// What is wrong with the first unusable row.
        message: String,
    },
    /// The input is one JSON document over several lines, or one array of rows.
    #[error(
        "{name}: looks like {what}, not like one JSON value per line; convert it, for example with: jq -c {filter} FILE"
    )]
    JsonDocument {
        /// The name of the input, as the user gave it.
        name: String,
        /// What the input seems to be: `one JSON array` or `JSON spread over lines`.
        what: &'static str,
        /// The filter for `jq`, quoted for a shell.
        filter: &'static str,
    },
    /// The format of the input is unknown: its name and its content do not show the format.
    #[error(
        "{name}: its format is not clear from its name or its first line; use --format lines if each line is a prompt, \
         --format text if all of it is one prompt, or --format jsonl, csv or tsv"
    )]
    UnknownFormat {
        /// The name of the input, as the user gave it.
        name: String,
    },
    /// The CSV header can't be read.
    #[error("{name}: line {line}: the header {message}")]
    Header {
        /// The name of the input, as the user gave it.
        name: String,
        /// The line on which the header starts, counted from 1.
        line: u64,
        /// What is wrong with the header. The printed error shows this text after the words "the header".
        message: String,
    },
    /// A sheet has no row with column names.
    #[error("{name}: the sheet {sheet} is empty; its first row must contain the names of the columns")]
    NoHeader {
        /// The name of the input, as the user gave it.
        name: String,
        /// The name of the sheet, quoted if it contains blanks.
        sheet: String,
    },
    /// `--sheet` names a sheet that does not exist.
    #[error("{name}: --sheet names {}, which is not there; the sheets are: {sheets}", quoted(sheet))]
    NoSheet {
        /// The name of the input, as the user gave it.
        name: String,
        /// The name of the sheet that the user asked for.
        sheet: String,
        /// The existing sheets, separated by commas.
        sheets: String,
    },
    /// Two columns have the same name.
    #[error("{name}: the header names {columns} more than once; give every column a name of its own")]
    DuplicateColumns {
        /// The name of the input, as the user gave it.
        name: String,
        /// The repeated names, quoted and separated by commas.
        columns: String,
    },
    /// The input has no prompt column, and there is no template.
    #[error(
        "{name}: has no column `prompt` (columns: {columns}); rename one to `prompt`, or make the prompt with a \
         template: -t '{{{{{example}}}}}'"
    )]
    NoPromptColumn {
        /// The name of the input, as the user gave it.
        name: String,
        /// The existing columns, separated by commas.
        columns: String,
        /// A template expression that would work for this input.
        example: String,
    },
    /// `--id` names a column that does not exist.
    #[error("{name}: --id names the column {}, which is not there; the columns are: {columns}", quoted(column))]
    NoIdColumn {
        /// The name of the input, as the user gave it.
        name: String,
        /// The name of the column that the user asked for.
        column: String,
        /// The existing columns, separated by commas.
        columns: String,
    },
    /// `--system` is a template and uses a column that does not exist.
    #[error(
        "{name}: --system names {missing}, which is not there; the columns are: {columns}; put {{% raw %}} and {{% endraw %}} \
         around braces that are to be sent as they are"
    )]
    SystemColumn {
        /// The name of the input, as the user gave it.
        name: String,
        /// The missing names, quoted and separated by commas.
        missing: String,
        /// The existing columns, separated by commas.
        columns: String,
    },
    /// The template uses a column that does not exist.
    #[error("{name}: the template names {missing}, which is not there; the columns are: {columns}")]
    TemplateColumn {
        /// The name of the input, as the user gave it.
        name: String,
        /// The missing names, quoted and separated by commas.
        missing: String,
        /// The existing columns, separated by commas.
        columns: String,
    },
}

impl SourceError {
    /// Returns the error for a read that failed. `name` is the name of the input, and `line` is the number of the line
    /// that was being read.
    pub(super) fn reading(name: &str, line: u64, source: io::Error) -> Self {
        let name = name.to_owned();
        match Damage::of(&source) {
            Some(what) => {
                let place = match line {
                    0 | 1 => "at its beginning".to_owned(),
                    _ => format!("after line {}", line - 1),
                };
                Self::Damaged { name, place, message: what.to_owned() }
            }
            None => Self::Read { name, line, source },
        }
    }
}
