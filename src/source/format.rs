//! The trait of an input format, and the columns of an input.

use std::fmt;

use super::fields::Warnings;
use super::names::name_list;
use super::raw::{Fault, Parts, RawRow};

/// Parses the rows of one format.
pub(super) trait Format: Send {
    /// Returns the columns that a header names.
    fn columns(&self) -> Option<Columns> {
        None
    }

    /// Reads a row that is not blank; `None` for an entry that is not a row. Doubtful names are added to `warnings`.
    fn read(&mut self, raw: &RawRow<'_>, warnings: &mut Warnings) -> Result<Option<Parts>, Fault>;
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
    /// Writes `columns sent: subject, body; id is the label; not sent: date`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |names: &[String]| name_list(names.iter().map(String::as_str));
        write!(f, "columns sent: {}", list(&self.sent))?;
        if let Some(label) = &self.label {
            write!(f, "; {} is the label", name_list([label.as_str()]))?;
        }
        write!(f, "; not sent: {}", list(&self.unsent))
    }
}
