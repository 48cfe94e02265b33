//! The items that the input passes to the loop.

use crate::domain::{JobKey, Planned, Taken};
use crate::plan::Rejected;
use crate::source::BrokenRow;

/// An item that the input passes to the loop.
#[derive(Debug)]
pub enum Incoming {
    /// A row to be answered.
    Planned(Planned),
    /// A row that is run again because its answer was truncated or refused. No earlier answer is copied for it.
    Rerun(Planned),
    /// A row that takes its answer from earlier results.
    Reused(Box<Taken>),
    /// A row that is not sent, because it can't succeed or must not be sent.
    Rejected(Box<Rejected>),
    /// A row that can't be used.
    Broken(Box<BrokenRow>),
    /// The number of rows that were skipped because an earlier run has finished them.
    Skipped(u64),
    /// A row that is in a batch of an earlier run, with its key. The batch lane ends it.
    Submitted(JobKey),
    /// The name of a stream, and the format that the program recognized in it.
    Recognized(String),
    /// A warning for the user.
    Warning(String),
    /// The reason why the input can't be read to its end, and whether any of it was read.
    Failed(String, HasBegun),
}

/// Whether any row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HasBegun {
    /// At least one row was read.
    Yes,
    /// No row was read.
    No,
}

impl Incoming {
    /// Returns how many bytes of text the item contains.
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
