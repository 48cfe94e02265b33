//! Decides what to do with an answer or a failure: keep it, fail the row, or send another request.
//!
//! A policy is pure: it takes values and returns a decision. A [`Policy`] sees a row, the last request for the row, the
//! result of that request, and the earlier attempts. A policy uses no queues, limits or files. If a policy returns a
//! request, the scheduler sends the request as soon as the limits and the budget have room. The journal keeps one line
//! for the row, with the usage and cost of all its attempts.
//!
//! [`schema`] checks answers against a JSON schema, and puts the schema into requests.
//!
//! A policy does not decide about the first request of a row, because the row contains this request. After a limit or a
//! fault, a retry sends the same request again, so no policy decides about this retry.

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

/// The result of a request that was sent for a row.
#[derive(Clone, Copy, Debug)]
pub enum RequestResult<'a> {
    /// A whole answer.
    Answer(&'a Message),
    /// An answer that the API paused. A paused answer is incomplete, so another request must continue it.
    Pause(&'a Message),
    /// A failure. The request failed, and would fail again if it were sent unchanged.
    Failure {
        /// The class of the failure.
        class: ErrorClass,
        /// The last failure.
        failure: &'a Failure,
    },
    /// The request has no result, because this run sends no more requests to its endpoint.
    Halt(&'a HaltReason),
}

/// The decision of a policy about the result of a request.
#[derive(Debug)]
pub enum Decision {
    /// Keep the result. If the result is an answer, the row is answered. If the result is a failure, the row has
    /// failed. If the endpoint has stopped, the row gets no result in this run.
    Keep,
    /// The row fails with this class and failure.
    Fail {
        /// The class of the failure.
        class: ErrorClass,
        /// The failure that is written for the row.
        failure: Failure,
    },
    /// Send this request for the row next, on the route that the request names.
    Ask(Box<Ask>),
    /// Keep this answer, which combines several answers.
    Answer(Box<Message>),
    /// The answer is not accepted, but another request can get a better answer. Record the answer with this class and
    /// failure, and send the request.
    FollowUp {
        /// The request.
        ask: Box<Ask>,
        /// If the row gets no other answer, the row fails with this class.
        class: ErrorClass,
        /// If the row gets no other answer, the row fails with this failure. The failure contains the answer that was
        /// not accepted.
        failure: Box<Failure>,
    },
}

/// A function that decides what happens after the result of a request. The last argument lists the attempts for the
/// row, oldest first, including the attempt that has just ended. If an earlier run left the row unfinished, the list
/// also has the attempts of that run.
///
/// A policy must limit the number of requests for a row. For this limit, the policy counts the attempts in the list.
pub type Policy = Box<dyn Fn(&Job, &Ask, RequestResult<'_>, &[AttemptRecord]) -> Decision + Send>;
