//! What comes out of the input, row by row.

use crate::domain::Planned;
use crate::plan::Rejected;
use crate::source::BrokenRow;

/// The next thing the input gives.
#[derive(Debug)]
pub enum Fed {
    /// A row to be answered.
    Planned(Box<Planned>),
    /// A row that is not sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// A row that an earlier run has finished.
    Skipped,
    /// Something a person should know.
    Warning(String),
    /// The input itself failed: no more rows come.
    Failed(String),
}
