//! The input of a run. If possible, the whole input is surveyed first. Then its rows are passed to the loop one by one.
//!
//! A row passes through these files: `reading` reads it and finds its place, `planned_rows` plans it, [`feed`] decides
//! what is done with it, and `row_sender` sends it over a bounded channel. All of this runs on a thread of its own. The
//! channel is bounded in rows and in bytes, and a full channel stops the reader. So memory does not grow with the
//! length of the input or of its rows.
//!
//! If an input can be read twice, it is read twice. In the first reading ([`survey`]), all rows are read and planned,
//! but only counts and a coarse map are kept. So the program knows the following before the first request:
//! - mistakes that affect every row
//! - repeated labels, and changed rows
//! - the number of rows
//! - whether reading from several places saves time ([`Places`])
//!
//! A pipe is read once.

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
#[cfg(test)]
pub(crate) use survey::ModelSum;
pub use survey::{Survey, survey};

use std::collections::HashSet;
use std::sync::Arc;

use crate::answer::{Policy, accepts};
use crate::domain::{Identity, Planned, RowId, StoredAnswer};
use crate::journal::{RowState, StoredAnswers};
use crate::source::{self, Input, Options};

/// The inputs and the rows that are read from them.
#[derive(Clone, Debug)]
pub struct InputPlan {
    /// The inputs, in order.
    pub inputs: Vec<Input>,
    /// How they are read.
    pub options: Options,
    /// How many rows are left out at the start.
    pub skip: u64,
    /// The highest number of rows to read. Rows that are left out are not counted here.
    pub limit: Option<u64>,
    /// How many requests the survey keeps, so that their tokens can be counted.
    pub requests: usize,
}

/// A function that returns why a row must not be sent, or `None` if it can be sent.
pub(crate) type Refusal = Box<dyn Fn(&Planned) -> Option<String> + Send + Sync>;

/// A function that returns what earlier runs did with a row.
type Knowledge = Box<dyn Fn(RowId, &Identity) -> RowState + Send + Sync>;

/// What earlier runs did with rows, and how this run handles such rows.
pub struct Earlier {
    /// Returns what earlier runs did with a row.
    pub known: Knowledge,
    /// Whether `known` knows any row.
    pub knows_rows: bool,
    /// Whether failed rows are run again.
    pub reruns_failed: bool,
    /// Whether rows that have an answer to another request are run again.
    pub reruns_changed: bool,
    /// Returns why a row must not be sent; for example, because there is a budget and the price of the row is not
    /// known.
    pub refuse: Refusal,
    /// Answers in the results of other runs, which rows take instead of being sent; `None` if there are none.
    pub stored: Option<Arc<StoredAnswers>>,
    /// Rows whose last answer was not accepted. They are continued from that answer, so they take no stored answer.
    pub unfinished: Arc<HashSet<RowId>>,
    /// Decides which of these answers a row can take: the answers that its policy keeps. `None` if rows take all of
    /// these answers.
    pub policy: Option<Policy>,
    /// Whether rows go into batches, where they cost less.
    pub in_batches: bool,
    /// Whether only one of several rows with equal requests is sent.
    pub dedupes: bool,
}

impl Earlier {
    /// Returns the value for a first run: no earlier run did anything with any row.
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

    /// Returns whether there is a stored answer that a row takes. The answer is read only if a policy has to see it.
    fn has_answer_for(&self, planned: &Planned) -> bool {
        match (&self.stored, &self.policy) {
            (None, _) => false,
            (Some(stored), None) => stored.contains(planned.job.key) && !self.unfinished.contains(&planned.job.row),
            (Some(_), Some(_)) => self.answer_for(planned).is_some(),
        }
    }
}

/// Returns whether every input can be read twice.
pub fn is_seekable(plan: &InputPlan) -> bool {
    plan.inputs.iter().all(source::is_seekable)
}
