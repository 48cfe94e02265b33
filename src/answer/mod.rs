//! What to do with an answer or a failure: keep it, fail the row, or ask again.
//!
//! Pure: values in, a decision out. A [`Policy`] sees a row, the last request for it, what came of that, and the
//! earlier attempts. It knows nothing of queues, limits or files. The scheduler sends what a policy asks for, under the
//! limits and the budget of its route. The journal keeps one line for the row, with the usage and cost of all its
//! attempts.
//!
//! The first request of a row is the row's own and never a policy's. A retry after a limit or a fault is not a policy's
//! either: it is the same request again.

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
