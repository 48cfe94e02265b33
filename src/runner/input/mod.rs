//! The input of a run: a survey of all of it where possible, then row by row into the loop.
//!
//! The way of a row: a `reading::Reading` gives it with its place, a `planned_rows::PlannedRows` plans it, [`feed`] decides what
//! becomes of it and sends it over a bounded channel. That happens on a thread of its own. A full channel stops the
//! reader, by rows or by their bytes, so memory stays flat however long the input and its rows are.
//!
//! An input that can be read twice is read twice. The first time ([`survey`]) all rows are read and planned, and only
//! counts and a coarse map are kept. So these are known before the first request: mistakes that concern every row,
//! repeated labels, changed rows, the total, and whether reading from several places saves time ([`Layout`]). A pipe is
//! read once.

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
pub use incoming::Incoming;
pub use places::{Layout, Places};
pub use survey::{ModelSum, Survey, survey};

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
    /// Rows read at most, after those left out.
    pub limit: Option<u64>,
}

/// Says why a row must not be sent, if it must not.
pub type Refusal = Box<dyn Fn(&Planned) -> Option<String> + Send + Sync>;

/// Says what is known of a row.
pub type Knowledge = Box<dyn Fn(RowId, &Identity) -> RowState + Send + Sync>;

/// What earlier runs know of rows, and what becomes of the rows they know.
pub struct Earlier {
    /// Asked by row, and how it is known.
    pub known: Knowledge,
    /// Whether failed rows are run again.
    pub reruns_failed: bool,
    /// Whether rows that have an answer to another request are run again.
    pub reruns_changed: bool,
    /// Says why a row must not be sent, if it must not: a row of unknown price under a budget.
    pub refuse: Refusal,
}

impl Earlier {
    /// Returns the knowledge of a first run.
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
