//! Makes a projection of one run or of several runs.

use std::path::PathBuf;

use super::answer_json::{json_of, json_value};
use super::csv::Csv;
use super::error::ExportError;
use super::fields::{Field, Of};
use super::form::{Form, OutputFormat};
use super::index::{Include, Index, JournalFiles, Place};
use super::input::{KnownRow, RunInput};
use super::json_lines::JsonLines;
use super::line::{Line, Needed};
use super::lines::Lines;
use super::output::Output;
use super::sorter::Sorter;
use super::text::Text;
use super::{Column, TableWriter, Value};
use crate::journal::{Disk, KnownBy};
use crate::source::found_list;

/// The order of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The order of completion: answers in the order of the results file, and then failures in the order of the error
    /// log.
    Done,
    /// The order of the rows in the input.
    Input,
}

impl Order {
    /// Every order.
    pub const ALL: [Self; 2] = [Self::Done, Self::Input];

    /// Returns the name of the order, as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Input => "input",
        }
    }
}

/// The settings of a projection.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The format and the compression of the output.
    pub(crate) form: Form,
    /// The fields of the output; `None` for the default fields.
    pub(crate) fields: Option<Vec<Field>>,
    /// The order of the output's rows.
    pub(crate) order: Order,
    /// The kinds of rows that are written; `None` for the default. If lines are copied, only answers are written by
    /// default. If the output is made from cells, all rows are written by default.
    pub(crate) include: Option<Include>,
    /// Whether cells that look like formulas are written unchanged.
    pub(crate) raw_cells: bool,
    /// Whether texts end in a NUL byte.
    pub(crate) null: bool,
}

/// A run whose rows are written to the output.
pub(crate) struct Run {
    /// The results file.
    pub(crate) results: Option<PathBuf>,
    /// The error log.
    pub(crate) errors: Option<PathBuf>,
    /// The input, if it is known.
    pub(crate) input: Option<RunInput>,
    /// The members that the schema of the run gives to answers; empty without a schema. In a table with default fields,
    /// each member is a column.
    pub(crate) json_fields: Vec<String>,
}

/// The counts of a finished projection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Made {
    /// The number of rows in the output.
    pub(crate) rows: u64,
    /// How many rows of the journal are no longer in the input. Rows that are no longer in the input are left out of
    /// the output.
    pub(crate) not_in_input: u64,
    /// How many rows without a label were found only by their file and line, because the settings of the run are not
    /// known. If the input has changed, these rows can have the answers of other rows.
    pub(crate) by_place: u64,
}

impl Request {
    /// Before anything is sent or read, checks that this build can make the output.
    ///
    /// # Errors
    /// [`ExportError::OneField`], [`ExportError::NoTables`].
    pub(crate) fn check(&self) -> Result<(), ExportError> {
        match (self.form.format, self.fields.as_ref().map(Vec::len)) {
            (OutputFormat::Text, Some(count @ 2..)) => Err(ExportError::OneField { count }),
            (OutputFormat::Parquet, _) if !cfg!(feature = "tables") => Err(ExportError::NoTables),
            _ => Ok(()),
        }
    }

    /// Checks that the input has every column that a field needs. Rows without a header can have any columns.
    ///
    /// # Errors
    /// [`ExportError::NoColumn`]; [`ExportError::Source`].
    pub(crate) fn check_columns(&self, input: &RunInput) -> Result<(), ExportError> {
        if !self.names_input() {
            return Ok(());
        }
        let Some(columns) = input.all_columns()? else { return Ok(()) };
        for field in self.fields.iter().flatten() {
            if let Of::Input(column) = &field.of
                && !columns.contains(column)
            {
                return Err(ExportError::NoColumn {
                    field: field.name.clone(),
                    columns: found_list(columns.iter().map(String::as_str), &[column]),
                });
            }
        }
        Ok(())
    }

    /// Returns whether lines are copied unchanged; if not, the output is made from cells.
    pub(crate) fn copies_lines(&self) -> bool {
        self.form.format == OutputFormat::Jsonl && self.fields.is_none()
    }

    /// Returns whether the output needs the input of the run.
    pub(crate) fn needs_input(&self) -> bool {
        self.order == Order::Input || self.wants_columns() || self.names_input()
    }

    /// Returns whether the columns of the input are among the default fields.
    fn wants_columns(&self) -> bool {
        self.fields.is_none()
            && matches!(self.form.format, OutputFormat::Csv | OutputFormat::Tsv | OutputFormat::Parquet)
    }

    fn names_input(&self) -> bool {
        self.fields.iter().flatten().any(|field| matches!(field.of, Of::Input(_)))
    }

    fn include(&self) -> Include {
        self.include.unwrap_or(if self.copies_lines() { Include::ANSWERED } else { Include::ALL })
    }
}

/// Writes the rows of runs, one run after another, and finishes the output.
///
/// # Errors
/// Any [`ExportError`].
pub(crate) fn project(
    disk: &dyn Disk,
    runs: &[Run],
    request: &Request,
    out: Box<dyn Output>,
) -> Result<Made, ExportError> {
    request.check()?;
    for input in runs.iter().filter_map(|run| run.input.as_ref()) {
        request.check_columns(input)?;
    }
    for run in runs.iter().filter(|run| run.input.is_none()) {
        let why = match request.order {
            Order::Input => "the order of the rows",
            Order::Done if request.names_input() => "its columns",
            Order::Done => continue,
        };
        let results = run.results.as_ref().or(run.errors.as_ref());
        let results = results.map(|path| path.display().to_string()).unwrap_or_default();
        return Err(ExportError::NoInput { why, results });
    }
    let fields = fields(runs, request)?;
    let mut rows = RowWriter::new(&fields, request, out)?;
    let mut made = Made::default();
    for run in runs {
        let files = JournalFiles::open(disk, run.results.as_deref(), run.errors.as_deref())?;
        let input = run.input.as_ref().filter(|_| request.needs_input());
        let read = |known_by| Index::read(&files, run.results.as_deref(), run.errors.as_deref(), known_by);
        let mut lines = Lines::new(&files);
        let (mut index, mut known_by) = (read(KnownBy::Identity)?, KnownBy::Identity);
        if input.is_some_and(|input| !input.has_settings && !input.recognizes(&index)) {
            (index, known_by) = (read(KnownBy::Label)?, KnownBy::Label);
            if let Some(place) = index.shared {
                let label = Line::parse(lines.at(place).map_err(read_error)?, Needed::default()).label();
                let results = run.results.as_ref().or(run.errors.as_ref());
                let results = results.map(|path| path.display().to_string()).unwrap_or_default();
                return Err(ExportError::SharedLabel { results, label });
            }
        }
        made.not_in_input += match input {
            Some(input) => rows.joined((input, known_by), index, &mut lines, request)?,
            None => rows.in_order_of_completion(index, &mut lines, request)?,
        };
    }
    (made.rows, made.by_place) = (rows.rows, rows.by_place);
    rows.finish()?;
    Ok(made)
}

/// Returns the fields of an output. By default, a table has the columns of the inputs, then a column for the text and a
/// column for the error. If the inputs have no columns, the table has a column for the label instead of the columns of
/// the inputs. If the members of the answers are known, the table has a column for each member instead of the column
/// for the text. If the members are known only for some of the runs, the table has columns for the members and for the
/// text.
fn fields(runs: &[Run], request: &Request) -> Result<Vec<Field>, ExportError> {
    if let Some(fields) = &request.fields {
        return Ok(fields.clone());
    }
    let own = |name: &str, of: Of| Field { name: name.to_owned(), of };
    if request.form.format == OutputFormat::Text {
        return Ok(vec![own("text", Of::Text)]);
    }
    if request.copies_lines() {
        return Ok(Vec::new());
    }
    let mut columns: Vec<String> = Vec::new();
    for input in runs.iter().filter_map(|run| run.input.as_ref()) {
        let fresh: Vec<String> = input.columns()?.into_iter().filter(|name| !columns.contains(name)).collect();
        columns.extend(fresh);
    }
    let mut fields: Vec<Field> = columns.iter().map(|column| Field::of_input(column)).collect();
    // If the input of a run is not known, only the label distinguishes the rows of the run.
    if fields.is_empty() || runs.iter().any(|run| run.input.is_none()) {
        let label = free_name("id", &columns);
        fields.insert(0, own(&label, Of::Id));
        columns.push(label);
    }
    // The columns of the input keep their names. So if the name of an added column is taken, the added column gets
    // another name.
    let mut members: Vec<&String> = Vec::new();
    for member in runs.iter().flat_map(|run| &run.json_fields) {
        if members.contains(&member) {
            continue;
        }
        members.push(member);
        let Field { name, of } = Field::of_json(member, columns.contains(member));
        fields.push(own(&free_name(&name, &columns), of));
        columns.push(fields[fields.len() - 1].name.clone());
    }
    if runs.iter().any(|run| run.json_fields.is_empty()) {
        let text = free_name("text", &columns);
        fields.push(own(&text, Of::Text));
        columns.push(text);
    }
    let error = Field::parse("error").map_or(Of::Text, |field| field.of);
    fields.push(own(&free_name("error", &columns), error));
    Ok(fields)
}

/// How many labels are looked up in the index in one go.
const AT_ONCE: usize = 256;

/// Puts `_` in front of a name until it differs from the names of all columns, and returns the result.
fn free_name(name: &str, columns: &[String]) -> String {
    let mut name = name.to_owned();
    while columns.contains(&name) {
        name.insert(0, '_');
    }
    name
}

/// Writes rows to an output.
struct RowWriter<'f> {
    fields: &'f [Field],
    /// The input's columns that are needed for the fields, in the order of the fields.
    wanted: Vec<String>,
    /// The members of a line that are needed for the fields.
    needed: Needed,
    /// Whether at least one field is a value inside a JSON answer.
    reads_json: bool,
    kind: Kind,
    rows: u64,
    /// How many rows were found only by their file and line.
    by_place: u64,
}

enum Kind {
    Table(Box<dyn TableWriter>),
    Lines(Box<dyn Output>),
}

impl<'f> RowWriter<'f> {
    fn new(fields: &'f [Field], request: &Request, out: Box<dyn Output>) -> Result<Self, ExportError> {
        let columns: Vec<Column> = fields.iter().map(Field::column).collect();
        let records =
            |delimiter, out| Csv::new(out, delimiter, &columns, request.raw_cells).map_err(ExportError::Output);
        let kind = match request.form.format {
            OutputFormat::Jsonl if request.copies_lines() => Kind::Lines(out),
            OutputFormat::Jsonl => Kind::Table(Box::new(JsonLines::new(out, &columns))),
            OutputFormat::Csv => Kind::Table(Box::new(records(b',', out)?)),
            OutputFormat::Tsv => Kind::Table(Box::new(records(b'\t', out)?)),
            OutputFormat::Text => Kind::Table(Box::new(Text::new(out, request.null))),
            OutputFormat::Parquet => Kind::Table(parquet_writer(out, &columns)?),
        };
        let wanted = fields.iter().filter_map(|field| match &field.of {
            Of::Input(column) => Some(column.clone()),
            _ => None,
        });
        let reads_json = fields.iter().any(|field| matches!(field.of, Of::Json(_)));
        Ok(Self { fields, wanted: wanted.collect(), needed: needed(fields), reads_json, kind, rows: 0, by_place: 0 })
    }

    /// Writes the rows of a run whose input is not needed or not known.
    fn in_order_of_completion(
        &mut self,
        index: Index,
        lines: &mut Lines<'_>,
        request: &Request,
    ) -> Result<u64, ExportError> {
        for place in index.into_places(request.include()) {
            self.write(lines, place, std::iter::empty())?;
        }
        Ok(0)
    }

    /// Writes the rows of a run to an output that also needs the run's input. Returns how many rows of the journal are
    /// not in the input.
    fn joined(
        &mut self,
        (input, known_by): (&RunInput, KnownBy),
        mut index: Index,
        lines: &mut Lines<'_>,
        request: &Request,
    ) -> Result<u64, ExportError> {
        let include = request.include();
        if self.wanted.is_empty() && request.order == Order::Input {
            self.in_order_of_input((input, known_by), &mut index, lines, include)?;
            return Ok(index.rest());
        }
        let wanted = self.wanted.clone();
        let mut sorter = Sorter::default();
        let mut record = Vec::new();
        input.each(&wanted, known_by, |row| {
            let place = row.known.found(|label| index.find(label));
            let Some(place) = place.filter(|place| place.is_in(include)) else { return Ok(()) };
            self.by_place += u64::from(row.known.is_only_placed);
            match request.order {
                Order::Input => self.write(lines, place, row.cells()),
                Order::Done => {
                    encode(row.cells(), &mut record);
                    Ok(sorter.push(place.in_order(), &record)?)
                }
            }
        })?;
        let rest = index.rest();
        drop(index);
        sorter.each(|key, record| self.write(lines, Place::at(key), decode(record)))?;
        Ok(rest)
    }

    /// Writes the rows of a run in the order of its input, but without columns of the input. Many labels are looked up
    /// in one go, because a single lookup mostly waits for memory.
    fn in_order_of_input(
        &mut self,
        (input, known_by): (&RunInput, KnownBy),
        index: &mut Index,
        lines: &mut Lines<'_>,
        include: Include,
    ) -> Result<(), ExportError> {
        let mut waiting: Vec<KnownRow> = Vec::with_capacity(AT_ONCE);
        let mut write = |waiting: &mut Vec<KnownRow>| -> Result<(), ExportError> {
            index.fetch(waiting.iter().filter_map(|row| row.label));
            for row in waiting.drain(..) {
                let place = row.found(|label| index.find(label));
                if let Some(place) = place.filter(|place| place.is_in(include)) {
                    self.by_place += u64::from(row.is_only_placed);
                    self.write(lines, place, std::iter::empty())?;
                }
            }
            Ok(())
        };
        input.each(&[], known_by, |row| {
            waiting.push(row.known.clone());
            if waiting.len() == AT_ONCE { write(&mut waiting) } else { Ok(()) }
        })?;
        write(&mut waiting)
    }

    fn write<'c>(
        &mut self,
        lines: &mut Lines<'_>,
        place: Place,
        mut input: impl Iterator<Item = Value<'c>>,
    ) -> Result<(), ExportError> {
        self.rows += 1;
        let table = match &mut self.kind {
            Kind::Table(table) => table,
            Kind::Lines(out) => {
                let line = lines.at(place).map_err(read_error)?;
                return out.write_all(line).and_then(|()| out.write_all(b"\n")).map_err(ExportError::Output);
            }
        };
        let line;
        if let Some(found) = Line::parse_beginning(lines.beginning(place).map_err(read_error)?, self.needed) {
            line = found;
        } else {
            line = Line::parse(lines.at(place).map_err(read_error)?, self.needed);
        }
        let answer = if self.reads_json { line.json() } else { None };
        let json = answer.as_deref().and_then(json_of);
        let mut cells = Vec::with_capacity(self.fields.len());
        for field in self.fields {
            cells.push(match &field.of {
                Of::Input(_) => input.next().unwrap_or(Value::Missing),
                Of::Json(path) => json.map_or(Value::Missing, |json| json_value(json, path)),
                of => cell(of, &line),
            });
        }
        table.row(&cells).map_err(ExportError::Output)
    }

    fn finish(self) -> Result<(), ExportError> {
        match self.kind {
            Kind::Table(table) => table.finish(),
            Kind::Lines(out) => out.finish(),
        }
        .map_err(ExportError::Output)
    }
}

/// Returns which members the fields need from the line of an answer.
fn needed(fields: &[Field]) -> Needed {
    let is_in = |path: &Option<Vec<String>>, member: &str| path.as_ref().is_some_and(|path| path[0] == member);
    let mut needed = Needed::default();
    for field in fields {
        match &field.of {
            Of::Quality | Of::Steps | Of::Mended => needed.meta = true,
            Of::Line { answer, .. } => {
                needed.message |= is_in(answer, "result");
                needed.meta |= is_in(answer, "meta");
            }
            Of::Id | Of::Text | Of::Json(_) | Of::Input(_) => {}
        }
    }
    needed
}

/// Returns the value of a field, if this value comes from the line of a row.
fn cell<'a>(of: &Of, line: &Line<'a>) -> Value<'a> {
    match of {
        Of::Id => line.id(),
        Of::Text => line.text().map_or(Value::Missing, Value::Text),
        // Values from the input and from JSON answers are not read here, because they are read once for all fields.
        Of::Json(_) | Of::Input(_) => Value::Missing,
        Of::Steps => line.steps(),
        Of::Mended => line.mended(),
        Of::Quality if line.is_answer() => line.at(&["meta".to_owned(), "quality".to_owned()].into()),
        Of::Quality => Value::Text("failed".into()),
        Of::Line { answer, failure } => {
            let path = if line.is_answer() { answer } else { failure };
            path.as_ref().map_or(Value::Missing, |path| line.at(path))
        }
    }
}

/// Writes cells as bytes, for the sorter.
fn encode<'c>(cells: impl Iterator<Item = Value<'c>>, out: &mut Vec<u8>) {
    out.clear();
    for cell in cells {
        let (kind, text) = match &cell {
            Value::Missing => (0, ""),
            Value::Text(text) => (1, &**text),
            Value::Json(json) => (2, &**json),
        };
        out.push(kind);
        out.extend_from_slice(&(text.len() as u64).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
    }
}

/// Reads cells written by [`encode`].
fn decode(mut record: &[u8]) -> impl Iterator<Item = Value<'_>> {
    std::iter::from_fn(move || {
        let (&kind, rest) = record.split_first()?;
        let (length, rest) = rest.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
        record = rest;
        Some(match kind {
            0 => Value::Missing,
            1 => Value::Text(String::from_utf8_lossy(text)),
            _ => Value::Json(String::from_utf8_lossy(text)),
        })
    })
}

fn read_error(error: std::io::Error) -> ExportError {
    ExportError::Temporary(error)
}

#[cfg(feature = "tables")]
fn parquet_writer(out: Box<dyn Output>, columns: &[Column]) -> Result<Box<dyn TableWriter>, ExportError> {
    super::parquet::writer(out, columns).map_err(ExportError::Output)
}

#[cfg(not(feature = "tables"))]
fn parquet_writer(_: Box<dyn Output>, _: &[Column]) -> Result<Box<dyn TableWriter>, ExportError> {
    Err(ExportError::NoTables)
}

#[cfg(test)]
mod tests;
