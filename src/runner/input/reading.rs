//! Items of all inputs, one after another, numbered.

use crate::source::{self, Input, Item, Position, Reader, SourceError};

use super::InputPlan;

/// Where a row stands among all rows of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The input, counted from 0.
    pub input: usize,
    /// Its number among the rows of all inputs, from 0, those included that are left out.
    pub row: u64,
    /// Where it begins in its input; the blank lines before it belong to it.
    pub position: Position,
}

/// What reading gives.
#[derive(Debug)]
pub(super) enum Read {
    /// A row, and where it stands.
    Item(Mark, Item),
    /// Something doubtful about the rows that were read.
    Warning(String),
}

/// Reads the inputs of a plan from one mark to another.
///
/// After an error there is nothing more.
pub(super) struct Reading {
    plan: InputPlan,
    /// The input that is read, or will be next.
    input: usize,
    row: u64,
    begin: Option<Position>,
    end: Option<Mark>,
    reader: Option<Reader>,
    warnings: std::vec::IntoIter<String>,
    /// What was read behind the warnings.
    behind: Option<(Mark, Item)>,
}

impl Reading {
    /// Begins with the first row of the first input and ends with the last of the last.
    pub(super) fn whole(plan: &InputPlan) -> Self {
        Self {
            plan: plan.clone(),
            input: 0,
            row: 0,
            begin: None,
            end: None,
            reader: None,
            warnings: Vec::new().into_iter(),
            behind: None,
        }
    }

    /// Begins at `from` and ends before `to`; without them at the first row, and behind the last.
    pub(super) fn between(plan: &InputPlan, from: Option<Mark>, to: Option<Mark>) -> Self {
        let whole = Self { end: to, ..Self::whole(plan) };
        match from {
            Some(Mark { input, row, position }) => Self { input, row, begin: Some(position), ..whole },
            None => whole,
        }
    }

    /// Returns the input and the byte it stands at, within an input.
    pub(super) fn place(&mut self) -> Option<(usize, u64)> {
        let position = self.reader.as_mut()?.position()?;
        Some((self.input, position.byte_offset))
    }

    /// Reads on.
    fn read(&mut self) -> Result<Option<Read>, SourceError> {
        loop {
            if let Some(warning) = self.warnings.next() {
                return Ok(Some(Read::Warning(warning)));
            }
            if let Some((mark, item)) = self.behind.take() {
                return Ok(Some(Read::Item(mark, item)));
            }
            let Some(input) = self.plan.inputs.get(self.input) else { return Ok(None) };
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => self.reader.insert(open(input, &self.plan.options, self.begin.take())?),
            };
            let Some(position) = reader.position() else {
                self.next_input();
                continue;
            };
            let mark = Mark { input: self.input, row: self.row, position };
            if self.end.is_some_and(|end| is_reached(mark, end)) {
                return self.end_at(mark);
            }
            match reader.next() {
                None => {
                    self.warnings = reader.take_warnings().into_iter();
                    self.next_input();
                }
                Some(item) => {
                    let item = item?;
                    if self.is_beyond_limit() {
                        self.input = self.plan.inputs.len();
                        return Ok(None);
                    }
                    if !matches!(item, Item::Unusable(_)) {
                        self.take(mark, item);
                    }
                }
            }
        }
    }

    fn take(&mut self, mark: Mark, item: Item) {
        self.row += 1;
        let warnings = self.reader.as_mut().map(Reader::take_warnings).unwrap_or_default();
        if mark.row >= self.plan.skip {
            self.warnings = warnings.into_iter();
        }
        self.behind = Some((mark, item));
    }

    fn is_beyond_limit(&self) -> bool {
        self.plan.limit.is_some_and(|limit| self.row >= self.plan.skip.saturating_add(limit))
    }

    fn next_input(&mut self) {
        self.input += 1;
        self.reader = None;
    }

    /// Ends where another place begins: at that very row, unless the file is not what it was.
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
        self.warnings = warnings.unwrap_or_default().into_iter();
        self.read()
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
