//! Decides what to do with an answer or a failure: keep it, fail the row, or send another request.
//!
//! A policy is pure: it takes values and returns a decision. A [`Policy`] sees a row, the last request for the row, the
//! result of that request, and the earlier attempts. It knows nothing of queues, limits or files. The scheduler sends
//! the request that a policy returns, within the limits of the request's route and the budget. The journal keeps one
//! line for the row, with the usage and cost of all its attempts.
//!
//! [`schema`] checks answers against a JSON schema, and puts the schema into requests.
//!
//! A policy does not decide about the first request of a row: the row itself is that request. It also does not decide
//! about a retry after a limit or a fault: the same request is sent again.

mod base;
mod follow_up;
mod join;
mod look;
mod policy;
mod rules;
pub mod schema;
mod seen;
mod taken;
#[cfg(test)]
mod tests;

pub use base::shaped;
pub use look::Measure;
pub use policy::policy;
pub use rules::{Answer, Condition, Expected, Form, OnInvalid, OnRefusal, OnTruncate, Rules};
pub(crate) use taken::accepts;

use crate::domain::{Ask, AttemptRecord, ErrorClass, Failure, HaltReason, Job, Message};

/// The result of a request for a row.
#[derive(Clone, Copy, Debug)]
pub enum Came<'a> {
    /// A whole answer.
    Answer(&'a Message),
    /// An answer that the API paused: it has to be continued.
    Pause(&'a Message),
    /// A failure. If the same request were sent again, it would fail again.
    Failure {
        /// The class of the failure.
        class: ErrorClass,
        /// The last failure.
        failure: &'a Failure,
    },
    /// There is no result: nothing more is sent to the endpoint of the request in this run.
    Halt(&'a HaltReason),
}

/// What to do next.
#[derive(Debug)]
pub enum Then {
    /// Keep the result. If the result is an answer, the row is answered. If it is a failure, the row has failed. After
    /// a halt, the row stays pending.
    Keep,
    /// The row fails with this class and failure.
    Fail {
        /// The class of the failure.
        class: ErrorClass,
        /// The failure that the row gets.
        failure: Failure,
    },
    /// Send this request next for the row, over the route that the request names.
    Ask(Box<Ask>),
    /// Keep this answer, which was made from several answers.
    Answer(Box<Message>),
    /// The answer is not accepted, and another request may get a better answer. Record the answer with this class and
    /// failure, and send the request.
    FollowUp {
        /// The request.
        ask: Box<Ask>,
        /// The class with which the row would fail now.
        class: ErrorClass,
        /// The failure that the row would get now. It contains the answer.
        failure: Box<Failure>,
    },
}

/// Decides what to do next. The last argument lists the attempts for the row, oldest first, including the attempt that
/// has just ended. If an earlier run left the row unfinished, its attempts are in the list too.
///
/// A policy must not return new requests for ever. It uses the list of attempts to limit their number.
pub type Policy = Box<dyn Fn(&Job, &Ask, Came<'_>, &[AttemptRecord]) -> Then + Send>;
