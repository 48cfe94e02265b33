//! Rows of all inputs, one after another, each with its index.

use crate::source::{self, Input, Item, Position, Reader, SourceError};

use super::InputPlan;

/// Where a row stands among all rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The input, counted from 0.
    pub input: usize,
    /// Its position among the rows of all inputs, from 0. Rows that are left out count too.
    pub index: u64,
    /// Where it begins in its input; the blank lines before it belong to it.
    pub position: Position,
}

/// One step of a reading.
#[derive(Debug)]
pub(super) struct Read {
    /// What was found doubtful before the row, or at the end of an input.
    pub(super) warnings: Vec<String>,
    /// The row and where it stands; `None` at the end of an input.
    pub(super) row: Option<(Mark, Item)>,
}

/// Reads the inputs of a plan from one mark to another.
///
/// After an error there is nothing more.
pub(super) struct Reading {
    plan: InputPlan,
    /// The input that is read, or will be next.
    input: usize,
    /// The index of the next row.
    index: u64,
    begin: Option<Position>,
    end: Option<Mark>,
    reader: Option<Reader>,
}

impl Reading {
    /// Begins with the first row of the first input and ends with the last of the last.
    pub(super) fn whole(plan: &InputPlan) -> Self {
        Self { plan: plan.clone(), input: 0, index: 0, begin: None, end: None, reader: None }
    }

    /// Begins at `from` and ends before `to`; without them at the first row, and after the last.
    pub(super) fn between(plan: &InputPlan, from: Option<Mark>, to: Option<Mark>) -> Self {
        let whole = Self { end: to, ..Self::whole(plan) };
        match from {
            Some(Mark { input, index, position }) => Self { input, index, begin: Some(position), ..whole },
            None => whole,
        }
    }

    /// Returns the input that is read, and the byte of it at which the next row begins; `None` between two inputs.
    pub(super) fn place(&mut self) -> Option<(usize, u64)> {
        let position = self.reader.as_mut()?.position()?;
        Some((self.input, position.byte_offset))
    }

    /// Reads the next row, or the end of an input that was doubtful.
    fn read(&mut self) -> Result<Option<Read>, SourceError> {
        loop {
            let Some(input) = self.plan.inputs.get(self.input) else { return Ok(None) };
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => self.reader.insert(open(input, &self.plan.options, self.begin.take())?),
            };
            let Some(position) = reader.position() else {
                self.next_input();
                continue;
            };
            let mark = Mark { input: self.input, index: self.index, position };
            if self.end.is_some_and(|end| is_reached(mark, end)) {
                return self.end_at(mark);
            }
            let item = reader.next().transpose()?;
            let warnings = reader.take_warnings();
            match item {
                None => {
                    self.next_input();
                    if !warnings.is_empty() {
                        return Ok(Some(Read { warnings, row: None }));
                    }
                }
                Some(_) if self.is_beyond_limit() => {
                    self.input = self.plan.inputs.len();
                    return Ok(None);
                }
                Some(item) => {
                    self.index += 1;
                    let is_left_out = mark.index < self.plan.skip;
                    let warnings = if is_left_out { Vec::new() } else { warnings };
                    return Ok(Some(Read { warnings, row: Some((mark, item)) }));
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

    /// Ends where another place begins: at that very row, unless the file has changed.
    fn end_at(&mut self, mark: Mark) -> Result<Option<Read>, SourceError> {
        if let Some(end) = self.end.filter(|end| *end != mark) {
            let name = self.plan.inputs[mark.input].name();
            return Err(SourceError::Moved { name, line: end.position.line });
        }
        self.input = self.plan.inputs.len();
        let warnings = self.reader.take().map(|mut reader| {
            reader.end();
            reader.take_warnings()
        });
        Ok(Some(Read { warnings: warnings.unwrap_or_default(), row: None }))
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

fn is_reached(mark: Mark, end: Mark) -> bool {
    (mark.input, mark.position.byte_offset) >= (end.input, end.position.byte_offset)
}

fn open(input: &Input, options: &source::Options, begin: Option<Position>) -> Result<Reader, SourceError> {
    match (input, begin) {
        (Input::File(path), Some(position)) => source::open_at(path, options, position),
        _ => source::open(input, options),
    }
}
