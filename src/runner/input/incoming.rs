//! The items that the input passes to the loop of the run.

use crate::domain::{JobKey, Planned, Taken};
use crate::plan::Rejected;
use crate::source::BrokenRow;

/// An item that the input passes to the loop of the run.
#[derive(Debug)]
pub enum Incoming {
    /// A row that needs an answer.
    Planned(Planned),
    /// A row that is run again because its answer was truncated, or because the model refused to answer. Such a row
    /// does not copy an answer of an earlier run.
    Rerun(Planned),
    /// A row that takes its answer from earlier results instead of being sent.
    Reused(Box<Taken>),
    /// A row that is not sent, because it can't succeed or because sending it is not allowed.
    Rejected(Box<Rejected>),
    /// A row that can't be read.
    Broken(Box<BrokenRow>),
    /// The number of rows that were skipped because an earlier run has finished them.
    Skipped(u64),
    /// The key of a row that is in a batch of an earlier run. The batch lane (which collects batches) handles the end
    /// of this row.
    Submitted(JobKey),
    /// The name of a stream, and the format that the program recognized in this stream.
    Recognized(String),
    /// A warning for the user.
    Warning(String),
    /// The reason why the input can't be read to its end, and whether at least one row was read.
    Failed(String, HasBegun),
}

/// Whether at least one row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasBegun {
    /// At least one row was read.
    Yes,
    /// No row was read.
    No,
}

impl Incoming {
    /// Returns the size of the texts in the item, in bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Planned(planned) | Self::Rerun(planned) => planned.bytes(),
            Self::Reused(taken) => taken.bytes(),
            Self::Rejected(rejected) => rejected.request.json().len() + rejected.extra.bytes(),
            Self::Broken(broken) => broken.raw.len(),
            Self::Recognized(text) | Self::Warning(text) | Self::Failed(text, _) => text.len(),
            Self::Skipped(_) | Self::Submitted(_) => 0,
        }
    }
}
