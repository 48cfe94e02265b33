//! The traits of an input format, and the columns of an input.

use std::fmt;
use std::sync::Arc;

use super::cells::InputRow;
use super::fields::Warnings;
use super::names::name_list;
use super::raw::{Fault, Parts, RawRow};
use super::{InputFormat, Item, Position, SourceError};

/// The rows of one open input of any format, in order.
pub(super) trait Rows: Send {
    /// Returns the format, which is never [`InputFormat::Auto`].
    fn format(&self) -> InputFormat;

    /// Returns the columns in the header, grouped by what happens to them; `None` for a format without a header.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Returns the names of all columns, in the order of the input. Columns with empty names are included. Returns
    /// `None` for a format without a header.
    fn header(&self) -> Option<&[Arc<str>]> {
        None
    }

    /// Returns whether [`Self::seek`] goes directly to a position, without reading the rows before it.
    fn is_random_access(&self) -> bool {
        false
    }

    /// Returns where the next row begins; `None` after the last row. Blank lines before a row belong to the row.
    fn position(&mut self) -> Option<Position>;

    /// Returns the next row; `None` after the last. `name` is the name of the input. Warnings about doubtful member
    /// names are added to `warnings`.
    fn next(&mut self, name: &Arc<str>, warnings: &mut Warnings) -> Result<Option<Item>, SourceError>;

    /// Continues at `position`. An earlier reading of the input found this position. `position` must not be before the
    /// current position.
    ///
    /// # Errors
    /// [`SourceError::Moved`] if no row begins at `position` any more.
    fn seek(&mut self, position: Position, name: &Arc<str>) -> Result<(), SourceError> {
        loop {
            match self.position() {
                Some(at) if at == position => return Ok(()),
                Some(at) if at.byte_offset < position.byte_offset => {
                    self.next(name, &mut Warnings::default())?;
                }
                _ => return Err(SourceError::Moved { name: name.to_string(), line: position.line }),
            }
        }
    }
}

/// The parser of a format whose rows are lines or CSV records.
pub(super) trait Format: Send {
    /// Returns the columns in the header, as [`Rows::columns`] does.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Returns the names of all columns in the header.
    fn header(&self) -> Option<&[Arc<str>]> {
        None
    }

    /// Parses a line or record that is not blank. Returns `None` if the line or record is not a row. Warnings about
    /// doubtful member names are added to `warnings`.
    fn read(&mut self, raw: &RawRow<'_>, warnings: &mut Warnings) -> Result<Option<Parts>, Fault>;

    /// Returns the content of the row that was read last, for outputs. `raw` is the text of the row that was read last.
    /// If the row is broken, returns only the part that could be read.
    fn input(&self, raw: &RawRow<'_>) -> Option<InputRow>;
}

/// The columns of an input, grouped by what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The columns from which a request is made, in the order of the input.
    pub sent: Vec<String>,
    /// The column with the label.
    pub label: Option<String>,
    /// The columns that are kept with the row and not sent.
    pub unsent: Vec<String>,
    /// Whether a template uses the whole row, so that only the template says which columns in `sent` are sent.
    pub is_whole_row: bool,
}

impl Columns {
    /// Returns whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.sent.iter().chain(&self.label).chain(&self.unsent).any(|column| column == name)
    }
}

impl fmt::Display for Columns {
    /// Writes `columns sent: subject, body; id is the label; not sent: date`. Groups without columns are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| name_list(names.iter().map(String::as_str));
        let what = if self.is_whole_row { "columns that can be sent" } else { "columns sent" };
        let sent = (!self.sent.is_empty()).then(|| format!("{what}: {}", list(&self.sent)));
        let label = self.label.as_ref().map(|label| format!("{} is the label", name_list([label.as_str()])));
        let unsent = (!self.unsent.is_empty()).then(|| format!("not sent: {}", list(&self.unsent)));
        f.write_str(&[sent, label, unsent].into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}
