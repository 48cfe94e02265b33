//! Reads the input of a run again: the identity of each row, and the cells of its columns.
//!
//! If a row has its own label, it is recognized by the label. A row without a label is recognized by its request. A
//! planner with the run's settings builds this request from the row, without sending it. If there is no planner, a row
//! without a label is recognized by its file and line. The file and line are enough if the input has not changed.

use std::borrow::Cow;
use std::sync::Arc;

use super::index::Index;
use super::line::{value, within};
use super::{ExportError, Value};
use crate::domain::{JobId, Origin, RowId};
use crate::journal::KnownBy;
use crate::plan::Planner;
use crate::source::{self, Input, InputCell, InputRow, Item, Options, Reader, SourceError};

/// The inputs of a run, and how they are read.
pub(crate) struct RunInput {
    /// The inputs, in order.
    pub(crate) inputs: Vec<Input>,
    /// The settings with which the run read the inputs.
    pub(crate) options: Options,
    /// A function that makes a planner; `None` if there are no settings for it.
    pub(crate) planner: Option<Box<dyn Fn() -> Planner>>,
    /// Whether the planner has the settings of the run. Otherwise, it has the default settings, and
    /// [`RunInput::recognizes`] finds out whether the run had these settings too.
    pub(crate) has_settings: bool,
}

/// The label and the place of a row, which are used to find its line in the journal.
#[derive(Clone, Debug)]
pub(crate) struct KnownRow {
    /// Whether the row can be read, but is only known by its place.
    pub(crate) is_only_placed: bool,
    /// The label of the row's identity; `None` for a row that can't be read.
    pub(crate) label: Option<u64>,
    /// The input that contains the row, and the line of the row in this input.
    origin: Origin,
}

impl KnownRow {
    /// Calls `find` with the label of the row. If the result is `None`, calls `find` again with a label that is made
    /// from the input and the line. If the row was broken, or if an earlier row had the row's own label, the journal
    /// uses this second label.
    pub(crate) fn found<T>(&self, mut find: impl FnMut(u64) -> Option<T>) -> Option<T> {
        self.label.and_then(&mut find).or_else(|| {
            let place = format!("{}:{}", self.origin.source, self.origin.line);
            find(RowId::named(&place, None).label)
        })
    }
}

/// A row of the input.
pub(crate) struct InputLine<'a> {
    /// The label and the place of the row.
    pub(crate) known: KnownRow,
    /// Whether a planner identified the row.
    is_planned: bool,
    input: Option<InputRow>,
    wanted: &'a [Wanted],
}

/// A column or member that the output needs.
pub(crate) struct Wanted {
    name: String,
    /// For a JSON row: the path of the member, as a list of names.
    path: Vec<String>,
    /// The position of the column in the header of the current input.
    at: Option<usize>,
}

impl InputLine<'_> {
    /// Returns the cells that the output needs, in the order of its columns.
    pub(crate) fn cells(&self) -> impl Iterator<Item = Value<'_>> {
        self.wanted.iter().map(|wanted| match &self.input {
            None => Value::Missing,
            Some(InputRow::Cells(cells)) => match wanted.at.and_then(|at| cells.get(at)) {
                None | Some(InputCell::Missing) => Value::Missing,
                Some(InputCell::Text(text)) => Value::Text(Cow::Borrowed(text)),
                Some(InputCell::Json(json)) => Value::Json(Cow::Borrowed(json)),
            },
            Some(InputRow::Json(line)) => {
                let line = line.trim().as_bytes();
                let whole = std::slice::from_ref(&wanted.name);
                let found = within(line, whole).or_else(|| within(line, &wanted.path));
                found.map_or(Value::Missing, value)
            }
        })
    }
}

impl RunInput {
    /// Returns whether at least one row without a label is in the index, which contains the identities of rows. If so,
    /// the planner has the settings of the run, because it made the same request.
    pub(crate) fn recognizes(&self, index: &Index) -> bool {
        let mut is_found = false;
        let each = |row: &InputLine<'_>| {
            is_found |= row.is_planned && row.known.label.is_some_and(|label| index.has(label));
            Ok(())
        };
        // Without the settings of the run, it is possible that the input can't be read as rows.
        self.planner.is_some() && self.each(&[], KnownBy::Identity, each).is_ok() && is_found
    }

    /// Returns the columns of all headers, each column once. The list is empty if no input has a header.
    ///
    /// # Errors
    /// [`ExportError::Source`].
    pub(crate) fn columns(&self) -> Result<Vec<String>, ExportError> {
        let mut columns: Vec<String> = Vec::new();
        for input in &self.inputs {
            let reader = source::open(input, &self.options.clone().without_prompts())?;
            for name in reader.header().unwrap_or_default().iter().filter(|name| !name.is_empty()) {
                if !columns.iter().any(|own| **own == **name) {
                    columns.push(name.to_string());
                }
            }
        }
        Ok(columns)
    }

    /// Returns the columns that the headers name. Returns `None` if an input has no header, because rows without a
    /// header can have any members.
    ///
    /// # Errors
    /// [`ExportError::Source`].
    pub(crate) fn all_columns(&self) -> Result<Option<Vec<String>>, ExportError> {
        for input in &self.inputs {
            // A pipe can be read only once, and the run needs to read it.
            if !source::is_seekable(input)
                || source::open(input, &self.options.clone().without_prompts())?.header().is_none()
            {
                return Ok(None);
            }
        }
        self.columns().map(Some)
    }

    /// Calls `each` with every row, in order. `wanted` is the list of the columns whose cells `each` needs. Only with
    /// [`KnownBy::Identity`], a planner identifies rows without a label.
    ///
    /// # Errors
    /// [`ExportError::Source`], and the errors of `each`.
    pub(crate) fn each(
        &self,
        wanted: &[String],
        known_by: KnownBy,
        mut each: impl FnMut(&InputLine<'_>) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut wanted: Vec<Wanted> = wanted
            .iter()
            .map(|name| Wanted { name: name.clone(), path: name.split('.').map(str::to_owned).collect(), at: None })
            .collect();
        let may_plan = known_by == KnownBy::Identity;
        let mut rows = Rows { input: self, keeps_input: !wanted.is_empty(), may_plan, planner: None, index: 0 };
        for input in &self.inputs {
            let mut reader = rows.open(input)?;
            let header: Option<Vec<Arc<str>>> = reader.header().map(<[_]>::to_vec);
            for wanted in &mut wanted {
                wanted.at = header.iter().flatten().position(|name| **name == *wanted.name);
            }
            let mut read = 0;
            while let Some(item) = next(&mut reader)? {
                let item = match item {
                    Item::Row(row) if (row.custom_id.is_none() || row.error.is_some()) && rows.begin_planning() => {
                        reader = rows.open(input)?;
                        // All earlier rows have their own labels, so the planner does not need the earlier rows.
                        match reader.nth(read).transpose()? {
                            Some(item) => item,
                            None => break,
                        }
                    }
                    item => item,
                };
                read += 1;
                let (known, is_planned, input) = rows.identified(item);
                each(&InputLine { known, is_planned, input, wanted: &wanted })?;
            }
        }
        Ok(())
    }
}

/// Returns the next row. If the input is damaged, only the rows before the damage are returned, because the run used no
/// other rows.
fn next(reader: &mut Reader) -> Result<Option<Item>, ExportError> {
    match reader.next().transpose() {
        Err(SourceError::Damaged { .. }) => Ok(None),
        item => Ok(item?),
    }
}

/// Finds the identity of rows.
struct Rows<'a> {
    input: &'a RunInput,
    /// Whether the cells of rows are needed.
    keeps_input: bool,
    /// Whether a planner may be made.
    may_plan: bool,
    /// The planner. A planner makes the whole request of each row, which is slow. So this field is `None` until a row
    /// needs the planner.
    planner: Option<Planner>,
    index: u64,
}

impl Rows<'_> {
    fn open(&self, input: &Input) -> Result<Reader, ExportError> {
        let options = match &self.planner {
            Some(_) => self.input.options.clone(),
            None => self.input.options.clone().without_prompts(),
        };
        let options = Options { keeps_input: self.keeps_input, ..options };
        Ok(source::open(input, &options)?)
    }

    /// Makes the planner if it does not exist yet and the settings of the run are known. Returns whether this call made
    /// the planner.
    fn begin_planning(&mut self) -> bool {
        match (&self.planner, &self.input.planner) {
            (None, Some(make)) if self.may_plan => {
                self.planner = Some(make());
                true
            }
            _ => false,
        }
    }

    fn identified(&mut self, item: Item) -> (KnownRow, bool, Option<InputRow>) {
        self.index += 1;
        match item {
            Item::Broken(row) => {
                (KnownRow { is_only_placed: false, label: None, origin: row.origin }, false, row.input)
            }
            Item::Row(mut row) => {
                let (input, origin) = (row.input.take(), row.origin.clone());
                let (label, is_planned) = match (&row.custom_id, &row.error, &mut self.planner) {
                    (Some(custom_id), None, _) | (Some(custom_id), Some(_), None) => {
                        (Some(RowId::named(custom_id, None).label), false)
                    }
                    (_, _, Some(planner)) => (Some(planner.identify(*row, JobId(self.index - 1)).row.label), true),
                    (None, _, None) => (None, false),
                };
                (KnownRow { is_only_placed: label.is_none(), label, origin }, is_planned, input)
            }
        }
    }
}
