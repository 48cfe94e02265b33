//! Reads the rows of all inputs, one input after another, each row with its index.

use crate::source::{self, Input, Item, Position, Reader, SourceError};

use super::InputPlan;

/// The place of a row among all rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowPlace {
    /// The index of the input that contains the row, counted from 0.
    pub(super) input: usize,
    /// The index of the row among the rows of all inputs, counted from 0. Rows that are left out are counted, too.
    pub(super) index: u64,
    /// The position at which the row begins in its input. Blank lines before a row are part of the row.
    pub(super) position: Position,
}

/// A row or the end of an input, together with the warnings about the part of the input before the row or the end.
#[derive(Debug)]
pub(super) struct Read {
    /// The name of a stream that has just been opened, and the format that the program recognized in it; otherwise
    /// `None`.
    pub(super) recognized: Option<String>,
    /// The warnings about the part of the input before the row. At the end of an input, these are the last warnings.
    pub(super) warnings: Vec<String>,
    /// The row and its place; `None` at the end of an input.
    pub(super) row: Option<(RowPlace, Item)>,
}

/// Reads a part of the inputs of a plan. After an error, nothing more is read.
pub(super) struct Reading {
    plan: InputPlan,
    /// The index of the input that is being read, or that will be read next.
    input: usize,
    /// The index of the next row among the rows of all inputs.
    index: u64,
    begin: Option<Position>,
    end: Option<RowPlace>,
    /// How many more rows will be read; `None` for all rows.
    rows_left: Option<usize>,
    reader: Option<Reader>,
    recognized: Option<String>,
}

impl Reading {
    /// Returns a `Reading` that reads all rows of all inputs.
    pub(super) fn whole(plan: &InputPlan) -> Self {
        Self {
            plan: plan.clone(),
            input: 0,
            index: 0,
            begin: None,
            end: None,
            rows_left: None,
            reader: None,
            recognized: None,
        }
    }

    /// Returns this reading, limited to `rows` rows.
    pub(super) fn take_rows(self, rows: usize) -> Self {
        Self { rows_left: Some(rows), ..self }
    }

    /// Returns a reading of the rows from `from` to the row before `to`. If `from` is `None`, reading begins at the
    /// first row. If `to` is `None`, reading continues to the end of the inputs.
    pub(super) fn between(plan: &InputPlan, from: Option<RowPlace>, to: Option<RowPlace>) -> Self {
        let whole = Self { end: to, ..Self::whole(plan) };
        match from {
            Some(RowPlace { input, index, position }) => Self { input, index, begin: Some(position), ..whole },
            None => whole,
        }
    }

    /// Reads the next row of the inputs. If an input has no more rows but still has warnings, returns the warnings
    /// without a row.
    fn read(&mut self) -> Result<Option<Read>, SourceError> {
        loop {
            if self.rows_left == Some(0) {
                self.input = self.plan.inputs.len();
            }
            let Some(input) = self.plan.inputs.get(self.input) else { return Ok(None) };
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => {
                    let reader = open(input, &self.plan.options, self.begin.take())?;
                    // If an input is not a stream, its format was recognized before the run began.
                    self.recognized =
                        (!source::is_seekable(input)).then(|| format!("{}: {}", reader.name(), reader.kind()));
                    self.reader.insert(reader)
                }
            };
            let Some(position) = reader.position() else {
                self.next_input();
                continue;
            };
            let place = RowPlace { input: self.input, index: self.index, position };
            if self.end.is_some_and(|end| is_reached(place, end)) {
                return self.end_at(place);
            }
            let item = reader.next().transpose()?;
            let warnings = reader.take_warnings();
            match item {
                None => {
                    self.next_input();
                    if !warnings.is_empty() {
                        return Ok(Some(Read { recognized: self.recognized.take(), warnings, row: None }));
                    }
                }
                Some(_) if self.is_beyond_limit() => {
                    self.input = self.plan.inputs.len();
                    return Ok(None);
                }
                Some(item) => {
                    self.index += 1;
                    self.rows_left = self.rows_left.map(|rows| rows - 1);
                    let is_left_out = place.index < self.plan.skip;
                    let warnings = if is_left_out { Vec::new() } else { warnings };
                    let (recognized, row) = (self.recognized.take(), Some((place, item)));
                    return Ok(Some(Read { recognized, warnings, row }));
                }
            }
        }
    }

    fn is_beyond_limit(&self) -> bool {
        self.plan.limit.is_some_and(|limit| self.index >= self.plan.skip.saturating_add(limit))
    }

    fn next_input(&mut self) {
        self.input += 1;
        self.reader = None;
    }

    /// Ends this reading at the place where another reading begins. If no row of this reading begins exactly at this
    /// place, the file has changed.
    fn end_at(&mut self, place: RowPlace) -> Result<Option<Read>, SourceError> {
        if let Some(end) = self.end.filter(|end| *end != place) {
            let name = self.plan.inputs[place.input].name();
            return Err(SourceError::Moved { name, line: end.position.line });
        }
        self.input = self.plan.inputs.len();
        let warnings = self.reader.take().map(|mut reader| {
            reader.end();
            reader.take_warnings()
        });
        let (recognized, warnings) = (self.recognized.take(), warnings.unwrap_or_default());
        Ok(Some(Read { recognized, warnings, row: None }))
    }
}

impl Iterator for Reading {
    type Item = Result<Read, SourceError>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if read.is_err() {
            self.input = self.plan.inputs.len();
        }
        read.transpose()
    }
}

fn is_reached(place: RowPlace, end: RowPlace) -> bool {
    (place.input, place.position.byte_offset) >= (end.input, end.position.byte_offset)
}

fn open(input: &Input, options: &source::Options, begin: Option<Position>) -> Result<Reader, SourceError> {
    match (input, begin) {
        (Input::File(path), Some(position)) => source::open_at(path, options, position),
        _ => source::open(input, options),
    }
}
