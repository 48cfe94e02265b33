//! The verdict on an attempt: what the attempt means for the row and the run.

use std::time::Duration;

use super::{ErrorClass, Failure, HaltReason, LimitKind, Message, Usage};

/// The verdict on an attempt: what the attempt means for the row and the run.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The request was answered.
    Answered(Message),
    /// The API paused the answer. If the same request were sent again, the API would pause its answer again. But a new
    /// request can continue the paused answer to its end. If no such request is sent, the row fails.
    Paused {
        /// The part of the answer that was sent before the pause.
        message: Message,
        /// The failure.
        failure: Failure,
    },
    /// The API rejected the request because of a limit. The attempt does not use up a try of the row.
    Limited {
        /// The kind of limit.
        kind: LimitKind,
        /// How long the pool must wait before the next request; `None` if the server names no time.
        retry_after: Option<Duration>,
        /// The failure.
        failure: Failure,
    },
    /// The API is overloaded: it sent a 529, or an overload error inside a stream. The attempt does not use up a try of
    /// the row.
    Overloaded {
        /// The wait that the server asks for; `None` when the server names no time.
        retry_after: Option<Duration>,
        /// Whether the API has possibly billed the attempt. If the error came after the headers of a 200 response, the
        /// API has possibly billed the attempt.
        maybe_paid: bool,
        /// The failure.
        failure: Failure,
    },
    /// The attempt failed, but a further try can succeed. The failed attempt uses up a try of the row.
    Transient {
        /// The error class of the row if no try is left.
        class: ErrorClass,
        /// The wait that the server asks for; `None` when the server names no time.
        retry_after: Option<Duration>,
        /// Whether the API has possibly billed the request. A charge is possible if the model has begun to answer.
        maybe_paid: bool,
        /// The failure.
        failure: Failure,
    },
    /// The row can't succeed unless somebody changes it.
    Rejected {
        /// The error class of the failed row.
        class: ErrorClass,
        /// The failure.
        failure: Failure,
    },
    /// The request is forbidden (403). If other requests succeed, the row is the cause of the 403. If no request
    /// succeeds, the key is the cause.
    Forbidden(Failure),
    /// The model is unknown or retired (404). The rows of this model wait for a later run.
    NoModel(Failure),
    /// No further request to this endpoint can succeed. If the run has no other endpoint, the run stops.
    Halt(HaltReason),
    /// This program aborted the attempt, after a second interrupt or at the end of the grace period. The row has no
    /// result and is sent again by a later run.
    Aborted,
}

impl Verdict {
    /// Returns true if no answer is kept but the API has possibly billed the attempt.
    ///
    /// If an error comes after the headers of a 200 response, the API has possibly billed the attempt, because the
    /// answer had begun. If an answer was too large to keep, the API has possibly billed it too.
    pub fn is_maybe_paid(&self) -> bool {
        match self {
            Self::Overloaded { maybe_paid, .. } | Self::Transient { maybe_paid, .. } => *maybe_paid,
            Self::Rejected { class, failure } => *class == ErrorClass::InvalidOutput || failure.status == Some(200),
            Self::Limited { failure, .. } | Self::Forbidden(failure) | Self::NoModel(failure) => {
                failure.status == Some(200)
            }
            Self::Halt(reason) => reason.failure().is_some_and(|failure| failure.status == Some(200)),
            Self::Aborted => true,
            Self::Answered(_) | Self::Paused { .. } => false,
        }
    }

    /// Returns the usage that the response of the attempt reported.
    pub fn usage(&self) -> Usage {
        match self {
            Self::Answered(message) | Self::Paused { message, .. } => message.usage,
            Self::Limited { failure, .. }
            | Self::Overloaded { failure, .. }
            | Self::Transient { failure, .. }
            | Self::Rejected { failure, .. }
            | Self::Forbidden(failure)
            | Self::NoModel(failure) => failure.usage,
            Self::Halt(_) | Self::Aborted => Usage::default(),
        }
    }
}
