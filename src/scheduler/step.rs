//! The types that the scheduler returns: what to do next, and what happened to a row.

use crate::clock::Instant;
use crate::domain::{ErrorClass, JobId, LimitKind, Outcome, Planned, Purpose, Reason, RetriedRow};

/// The id of a request in flight. Tickets are small numbers and are reused, so a ticket can be an index into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// What the caller of the scheduler must do next.
#[derive(Debug)]
pub enum Step {
    /// Send this row. When the response head (the status line and headers) comes, report it. Report the end of the
    /// attempt, too.
    Dispatch {
        /// The ticket of the attempt.
        ticket: Ticket,
        /// Whether the request asks for a stream.
        stream: bool,
    },
    /// Send this canary: a test request that belongs to no row. When the response head (the status line and headers)
    /// comes, report it. Report the end of the attempt, too.
    Canary {
        /// The ticket of the attempt.
        ticket: Ticket,
    },
    /// Poll again at `until`, or after the next event if this event comes earlier.
    Wait {
        /// When to poll again.
        until: Instant,
        /// The reason why nothing more is sent at present.
        reason: Reason,
    },
    /// All offered rows have ended, and there will be no more rows.
    Drained,
}

/// What happened to a row when its attempt ended.
#[derive(Debug)]
pub enum Next {
    /// The row is finished: it was answered, or it has failed.
    Finished(Box<Outcome>),
    /// The row will be tried again.
    Again {
        /// The row, with the number of its next try and the wait before this try.
        row: Box<RetriedRow>,
        /// The class of the failure.
        class: ErrorClass,
        /// The kind of limit that caused the failure; `None` if the cause was not a limit.
        limit: Option<LimitKind>,
        /// Whether the attempt was possibly billed.
        maybe_paid: bool,
        /// The id of the row, if this attempt or an earlier attempt was possibly billed; otherwise `None`. The mark of
        /// a billed row must stay in the ledger, because no line of the results shows the attempt yet.
        keeps_mark: Option<JobId>,
    },
    /// Another request is sent for the row. The answers to the row's earlier requests were paid for, but are in no line
    /// of the results yet.
    More {
        /// The row.
        job: JobId,
    },
    /// The answer was not accepted, and another request is sent for the row. If the run has halted, no request is sent,
    /// and the row is left for a later run.
    FollowUp {
        /// The outcome of the row so far, in the form of a failed row with its attempts. A line for this failed row
        /// must be in the error log before the request is sent.
        step: Box<Outcome>,
        /// The purpose of the new request.
        purpose: Purpose,
    },
    /// This run will not answer the row, but a later run can.
    Pending {
        /// The row.
        planned: Box<Planned>,
        /// Whether an attempt of the row was billed or possibly billed. No line of the results shows that the attempt
        /// was billed.
        maybe_paid: bool,
    },
    /// The attempt was a canary (a test request), so there is no row.
    NoRow,
}
