//! The input of a run. If possible, the whole input is first surveyed (read once to count and check its rows). After
//! the survey, the rows are passed to the loop of the run one by one.
//!
//! Each row passes through the code of four files. `reading` reads the row and finds its place. `planned_rows` plans
//! the row. [`feed`] decides what happens to the row. `row_sender` sends the row over a bounded channel. The reading
//! and planning of rows runs on a thread of its own. The channel can contain only a limited number of rows and bytes,
//! and a full channel stops the reader. In this way, memory does not grow with the length of the input or the size of
//! its rows.
//!
//! An input that can be read twice is read twice. In the first reading ([`survey`]), all rows are read and planned.
//! Only counts and an approximate map of the rows are kept. From the survey, the program knows the following before the
//! first request:
//! - which mistakes affect every row
//! - which labels are repeated, and which rows have changed
//! - how many rows the input has
//! - whether reading from several places saves time ([`Places`])
//!
//! A pipe can be read only once.

mod caching;
mod feed;
mod group_order;
mod incoming;
mod pipe;
mod places;
mod planned_rows;
mod read_ahead;
mod reading;
mod row_sender;
mod survey;
#[cfg(test)]
mod tests;

pub use feed::{InputOrder, feed};
pub use incoming::{HasBegun, Incoming};
pub use places::Places;
#[cfg(test)]
pub(crate) use survey::ModelSum;
pub use survey::{Survey, survey};

use std::collections::HashSet;
use std::sync::Arc;

use crate::answer::{Policy, accepts};
use crate::domain::{Identity, Planned, RowId, StoredAnswer};
use crate::journal::{RowState, StoredAnswers};
use crate::source::{self, Input, Options};

/// The inputs, and which part of their rows a run reads.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// The inputs, in the order in which they are read.
    pub inputs: Vec<Input>,
    /// The options for reading the inputs.
    pub options: Options,
    /// The number of rows that are left out at the start.
    pub skip: u64,
    /// The highest number of rows to read, not including the rows that are left out at the start.
    pub limit: Option<u64>,
    /// The number of requests that the survey keeps, so that their tokens can be counted.
    pub requests: usize,
    /// Whether the input is the copy of an error log that `resume` reads. The user does not know this copy, so messages
    /// name its rows by their labels.
    pub is_copy_of_log: bool,
}

/// A function that returns the reason why a row must not be sent; `None` if the row can be sent.
pub(crate) type Refusal = Box<dyn Fn(&Planned) -> Option<String> + Send + Sync>;

/// A function that tells what earlier runs did with a row.
type Knowledge = Box<dyn Fn(RowId, &Identity) -> RowState + Send + Sync>;

/// What earlier runs did with rows, and how this run handles these rows.
pub struct Earlier {
    /// The function that returns what earlier runs did with a row.
    pub known: Knowledge,
    /// Whether `known` knows at least one row.
    pub knows_rows: bool,
    /// Whether failed rows are run again.
    pub reruns_failed: bool,
    /// Whether a row is run again if its request has changed since the row was answered.
    pub reruns_changed: bool,
    /// The function that returns the reason why a row must not be sent. An example of such a reason: there is a budget,
    /// and the price of the row is not known.
    pub refuse: Refusal,
    /// The answers in the results of other runs. A row that takes one of these answers is not sent. The value is `None`
    /// if no results of other runs are used.
    pub stored: Option<Arc<StoredAnswers>>,
    /// The rows whose last answer was not accepted. Each of these rows continues from its last answer, so the row takes
    /// no stored answer.
    pub unfinished: Arc<HashSet<RowId>>,
    /// The policy that decides which stored answers a row can take; `None` if rows take all stored answers.
    pub policy: Option<Policy>,
    /// Whether rows are sent in batches, which cost less.
    pub in_batches: bool,
    /// The shapes (the kinds of requests) that the API has accepted online. The first row of any other shape is sent
    /// online. `None` if these rows are not counted.
    pub proven: Option<HashSet<String>>,
    /// Whether only one of several rows with equal requests is sent (`--dedupe`).
    pub dedupes: bool,
}

impl Earlier {
    /// Returns the `Earlier` for a first run. In a first run, no row has a history.
    pub fn none() -> Self {
        Self {
            known: Box::new(|_, _| RowState::New),
            knows_rows: false,
            reruns_failed: false,
            reruns_changed: false,
            refuse: Box::new(|_| None),
            stored: None,
            unfinished: Arc::default(),
            policy: None,
            in_batches: false,
            proven: None,
            dedupes: false,
        }
    }

    /// Returns the stored answer that a row takes; `None` if the row must be sent.
    fn answer_for(&self, planned: &Planned) -> Option<StoredAnswer> {
        if self.unfinished.contains(&planned.job.row) {
            return None;
        }
        let answer = self.stored.as_ref()?.answer(planned.job.key)?;
        let is_accepted = |policy| accepts(policy, &planned.job, &planned.ask, &answer);
        self.policy.as_ref().is_none_or(is_accepted).then_some(answer)
    }

    /// Returns whether the row can take a stored answer. The answer is read only if a policy must check it.
    fn has_answer_for(&self, planned: &Planned) -> bool {
        match (&self.stored, &self.policy) {
            (None, _) => false,
            (Some(stored), None) => stored.contains(planned.job.key) && !self.unfinished.contains(&planned.job.row),
            (Some(_), Some(_)) => self.answer_for(planned).is_some(),
        }
    }
}

/// Returns whether all inputs can be read twice.
pub fn is_seekable(plan: &InputPlan) -> bool {
    plan.inputs.iter().all(source::is_seekable)
}
