//! What follows from what came for a row: it stands, it fails, or more is asked.
//!
//! Pure: values in, a decision out. A [`Policy`] sees a row, what was sent for it last, what came of that, and what was
//! tried before. It knows nothing of queues, limits or files: the scheduler sends what it asks for under the limits and the
//! budget of its route, and the journal keeps one line for the row, with what all its attempts used and cost.
//!
//! The first ask of a row is never a policy's: it is the row's own request. Tries after a limit or a fault are not, either:
//! they are the same ask again.

use crate::domain::{Ask, AttemptRecord, ErrorClass, Failure, HaltReason, Job, Message};

/// What came for a row.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// A whole answer.
    Answer(&'a Message),
    /// A failure that no further try of the same ask can mend.
    Failure {
        /// Its class.
        class: ErrorClass,
        /// What came last.
        failure: &'a Failure,
    },
    /// Nothing: the endpoint that it was meant for takes no more requests in this run.
    Halt(&'a HaltReason),
}

/// What follows.
#[derive(Debug)]
pub enum Then {
    /// It stands: the answer is the row's, the failure is its failure, a halted row stays pending.
    Keep,
    /// The row fails with this.
    Fail {
        /// Its class.
        class: ErrorClass,
        /// Why.
        failure: Failure,
    },
    /// This is sent next for the row, over its own route.
    Ask(Box<Ask>),
}

/// Decides what follows. The last argument is what was tried for the row in this run, oldest first, what just ended
/// included.
///
/// A policy must end: it bounds the number of its asks by what was tried.
pub type Policy = Box<dyn Fn(&Job, &Ask, Came<'_>, &[AttemptRecord]) -> Then + Send>;
