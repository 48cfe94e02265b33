//! What one attempt meant.

use std::time::Duration;

use super::{ErrorClass, Failure, HaltReason, LimitKind, Message, Usage};

/// What one attempt meant.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The request was answered.
    Answered(Message),
    /// The API paused the answer. The same request would be paused again; a request that continues the answer may
    /// complete it. If no such request is sent, the row fails.
    Paused {
        /// The answer so far.
        message: Message,
        /// The failure.
        failure: Failure,
    },
    /// The API refused the request because of a limit. The attempt does not use up a try of the row.
    Limited {
        /// The kind of limit.
        kind: LimitKind,
        /// How long the pool must send nothing; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// The failure.
        failure: Failure,
    },
    /// The API is overloaded: it sent a 529, or the same error inside a stream. The attempt does not use up a try of
    /// the row.
    Overloaded {
        /// How long to wait; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// Whether the attempt may have been billed: the error came after a 200 head.
        maybe_paid: bool,
        /// The failure.
        failure: Failure,
    },
    /// Another try may succeed. This attempt uses up a try of the row.
    Transient {
        /// The class with which the row fails if no try is left.
        class: ErrorClass,
        /// How long to wait; `None` when the server does not say.
        retry_after: Option<Duration>,
        /// Whether the request may have run and been billed.
        maybe_paid: bool,
        /// The failure.
        failure: Failure,
    },
    /// This row can't succeed until somebody changes it.
    Rejected {
        /// The class with which the row fails.
        class: ErrorClass,
        /// The failure.
        failure: Failure,
    },
    /// The request is forbidden (403). If no request has succeeded before, the key is the cause. Otherwise the row is
    /// the cause.
    Forbidden(Failure),
    /// The model is unknown or retired (404). Its rows are set aside.
    NoModel(Failure),
    /// No request can succeed any more.
    Halt(HaltReason),
    /// This program aborted the attempt, after a second interrupt or the end of the grace period. Its row stays
    /// pending.
    Aborted,
}

impl Verdict {
    /// Returns whether the attempt may have been billed although no answer is kept.
    ///
    /// Any error that comes after a 200 head may have been billed, because the answer had begun. An answer that was too
    /// large to keep may have been billed too.
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
