//! What goes from the input to the loop.

use crate::domain::Planned;
use crate::plan::Rejected;
use crate::source::BrokenRow;

/// What the input sends to the loop.
#[derive(Debug)]
pub enum Incoming {
    /// A row to be answered.
    Planned(Planned),
    /// A row that is not sent, since it can't succeed or must not be sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// The number of rows that were skipped: an earlier run has finished them.
    Skipped(u64),
    /// What a stream was recognized as.
    Recognized(String),
    /// A warning for the user.
    Warning(String),
    /// The reason why the input can't be read any further, and whether any of it was read.
    Failed(String, HasBegun),
}

/// Whether any row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasBegun {
    /// At least one.
    Yes,
    /// None.
    No,
}

impl Incoming {
    /// Returns how many bytes of text it holds.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Planned(planned) => planned.bytes(),
            Self::Rejected(rejected) => rejected.request.json().len() + rejected.extra.bytes(),
            Self::Broken(broken) => broken.raw.len(),
            Self::Recognized(text) | Self::Warning(text) | Self::Failed(text, _) => text.len(),
            Self::Skipped(_) => 0,
        }
    }
}
