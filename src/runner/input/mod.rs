//! The input of a run: a survey of all of it where possible, then row by row into the loop.
//!
//! A row passes through these files: `reading` reads it and knows where it is, `planned_rows` plans it, [`feed`]
//! decides what is done with it, and `row_sender` sends it over a bounded channel. This happens on a thread of its own.
//! The channel is bounded by rows and by bytes, and a full channel stops the reader. So memory stays flat, however long
//! the input and its rows are.
//!
//! An input that can be read twice is read twice. The first time ([`survey`]) all rows are read and planned, and only
//! counts and a coarse map are kept. So several things are known before the first request: mistakes that concern every
//! row, repeated labels, changed rows, the total, and whether reading from several places saves time ([`Places`]). A
//! pipe is read once.

mod feed;
mod incoming;
mod places;
mod planned_rows;
mod read_ahead;
mod reading;
mod row_sender;
mod survey;
#[cfg(test)]
mod tests;

pub use feed::feed;
pub use incoming::{HasBegun, Incoming};
pub use places::Places;
pub(crate) use survey::ModelSum;
pub use survey::{Survey, survey};

use crate::domain::{Identity, Planned, RowId};
use crate::journal::RowState;
use crate::source::{self, Input, Options};

/// What is to be read.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// The inputs, in order.
    pub inputs: Vec<Input>,
    /// How they are read.
    pub options: Options,
    /// Rows left out at the start.
    pub skip: u64,
    /// How many rows are read at most, after those left out.
    pub limit: Option<u64>,
}

/// Returns why a row must not be sent, or `None` if it may be.
pub(crate) type Refusal = Box<dyn Fn(&Planned) -> Option<String> + Send + Sync>;

/// Returns what is known of a row.
type Knowledge = Box<dyn Fn(RowId, &Identity) -> RowState + Send + Sync>;

/// What earlier runs know of rows, and what is done with those rows.
pub struct Earlier {
    /// Returns what is known of a row.
    pub known: Knowledge,
    /// Whether failed rows are run again.
    pub reruns_failed: bool,
    /// Whether rows that have an answer to another request are run again.
    pub reruns_changed: bool,
    /// Returns why a row must not be sent, for example because it has no price and there is a budget.
    pub refuse: Refusal,
}

impl Earlier {
    /// Returns what a first run knows: nothing.
    pub fn none() -> Self {
        Self {
            known: Box::new(|_, _| RowState::New),
            reruns_failed: false,
            reruns_changed: false,
            refuse: Box::new(|_| None),
        }
    }
}

/// Returns whether every input can be read twice.
pub fn is_seekable(plan: &InputPlan) -> bool {
    plan.inputs.iter().all(source::is_seekable)
}
