//! The traits of an input format, and the columns of an input.

use std::fmt;
use std::sync::Arc;

use super::cells::InputRow;
use super::fields::Warnings;
use super::names::name_list;
use super::raw::{Fault, Parts, RawRow};
use super::{InputFormat, Item, Position, SourceError};

/// The rows of one opened input, in order, whatever its format.
pub(super) trait Rows: Send {
    /// Returns the format, which is never [`InputFormat::Auto`].
    fn format(&self) -> InputFormat;

    /// Returns the columns that a header names, grouped by what happens to them; `None` for a format without a header.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Returns the names of all columns in the order of the input, empty names included; `None` for a format without a
    /// header.
    fn header(&self) -> Option<&[Arc<str>]> {
        None
    }

    /// Returns whether [`Self::seek`] does not read what is before the position.
    fn is_random_access(&self) -> bool {
        false
    }

    /// Returns where the next row begins, or the blank lines before it; `None` after the last.
    fn position(&mut self) -> Option<Position>;

    /// Returns the next row; `None` after the last. The input is called `name`. Doubtful names are added to `warnings`.
    fn next(&mut self, name: &Arc<str>, warnings: &mut Warnings) -> Result<Option<Item>, SourceError>;

    /// Continues at a position of an earlier reading. Rows before it were not read yet.
    ///
    /// # Errors
    /// [`SourceError::Moved`] when no row begins there any more.
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

/// Parses the rows of a format whose rows are lines or CSV records.
pub(super) trait Format: Send {
    /// Returns the columns that a header names.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Returns the names of all columns that a header names.
    fn header(&self) -> Option<&[Arc<str>]> {
        None
    }

    /// Reads a row that is not blank; `None` for an entry that is not a row. Doubtful names are added to `warnings`.
    fn read(&mut self, raw: &RawRow<'_>, warnings: &mut Warnings) -> Result<Option<Parts>, Fault>;

    /// Returns what the input says about the row that was read last, `raw`, as far as it could be read.
    fn input(&self, raw: &RawRow<'_>) -> Option<InputRow>;
}

/// The columns of an input, grouped by what happens to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// The columns that a request is made from, in the order of the input.
    pub sent: Vec<String>,
    /// The column that is the label.
    pub label: Option<String>,
    /// What is kept with the row and not sent.
    pub unsent: Vec<String>,
}

impl Columns {
    /// Returns whether there is a column of this name.
    pub fn has(&self, name: &str) -> bool {
        self.sent.iter().chain(&self.label).chain(&self.unsent).any(|column| column == name)
    }
}

impl fmt::Display for Columns {
    /// Writes `columns sent: subject, body; id is the label; not sent: date`, without the groups that are empty.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| name_list(names.iter().map(String::as_str));
        let sent = (!self.sent.is_empty()).then(|| format!("columns sent: {}", list(&self.sent)));
        let label = self.label.as_ref().map(|label| format!("{} is the label", name_list([label.as_str()])));
        let unsent = (!self.unsent.is_empty()).then(|| format!("not sent: {}", list(&self.unsent)));
        f.write_str(&[sent, label, unsent].into_iter().flatten().collect::<Vec<_>>().join("; "))
    }
}
