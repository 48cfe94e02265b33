//! Decides what to do with an answer or a failure: keep it, fail the row, or send another request.
//!
//! Pure: values in, a decision out. A [`Policy`] sees a row, the last request for it, the result of that request, and
//! the earlier attempts. It knows nothing of queues, limits or files. The scheduler sends what a policy asks for, under
//! the limits and the budget of its route. The journal keeps one line for the row, with the usage and cost of all its
//! attempts.
//!
//! A policy does not decide about the first request of a row: the row itself asks for it. It does not decide about a
//! retry after a limit or a fault either: a retry is the same request again.

use crate::domain::{Ask, AttemptRecord, ErrorClass, Failure, HaltReason, Job, Message};

/// What a request for a row resulted in.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// A whole answer.
    Answer(&'a Message),
    /// A failure that another try of the same request can't repair.
    Failure {
        /// Its class.
        class: ErrorClass,
        /// The last failure.
        failure: &'a Failure,
    },
    /// No result: the endpoint of the request takes no more requests in this run.
    Halt(&'a HaltReason),
}

/// What to do next.
#[derive(Debug)]
pub enum Then {
    /// Keep the result: an answer answers the row, a failure fails it, and a halted row stays pending.
    Keep,
    /// The row fails with this.
    Fail {
        /// Its class.
        class: ErrorClass,
        /// Why.
        failure: Failure,
    },
    /// Send this request next for the row, over the route that the request names.
    Ask(Box<Ask>),
}

/// Decides what to do next. The last argument lists the attempts for the row in this run, oldest first, including the
/// one that just ended.
///
/// A policy must come to an end: it uses the list of attempts to limit the number of its requests.
pub type Policy = Box<dyn Fn(&Job, &Ask, Came<'_>, &[AttemptRecord]) -> Then + Send>;
