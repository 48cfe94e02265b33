//! The types that the scheduler returns: what to do next, and what happened to a row.

use crate::clock::Instant;
use crate::domain::{ErrorClass, JobId, LimitKind, Outcome, Planned, Purpose, Reason, RetriedRow};

/// Identifies a request in flight. The numbers are small and reused, so a ticket can be an index into a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u32);

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Send this row. Report the head of the response, and the end of the attempt.
    Dispatch {
        /// The ticket of the attempt.
        ticket: Ticket,
        /// Whether to ask for a stream.
        stream: bool,
    },
    /// Send this request, which belongs to no row. Report the head of the response, and the end of the attempt.
    Canary {
        /// The ticket of the attempt.
        ticket: Ticket,
    },
    /// Poll again at `until`, or after the next event.
    Wait {
        /// When to poll again.
        until: Instant,
        /// Why nothing more is sent at this moment.
        reason: Reason,
    },
    /// All offered rows have ended, and no more will come.
    Drained,
}

/// What happened to a row when its attempt ended.
#[derive(Debug)]
pub enum Next {
    /// The row is finished.
    Finished(Box<Outcome>),
    /// The row will be tried again.
    Again {
        /// The row and its next try.
        row: Box<RetriedRow>,
        /// The class of the failure.
        class: ErrorClass,
        /// The kind of limit, if a limit was the reason.
        limit: Option<LimitKind>,
        /// Whether the attempt may have been billed.
        maybe_paid: bool,
        /// The row, if this attempt or an earlier one may have been billed. Its mark must stay, because no line of the
        /// results shows this yet.
        keeps_mark: Option<JobId>,
    },
    /// Another request is sent for the row. The answers that the row got so far were paid for, but are in no line of
    /// the results yet.
    More {
        /// The row.
        job: JobId,
    },
    /// The answer was not accepted, and another request is sent for the row. If the run has halted, the row is set aside
    /// instead.
    FollowUp {
        /// The row and its attempts so far, as a failed row. A line of the error log must contain it before the request
        /// is sent.
        step: Box<Outcome>,
        /// The purpose of the request.
        purpose: Purpose,
    },
    /// This run will not answer the row. A later run can.
    Pending {
        /// The row.
        planned: Box<Planned>,
        /// Whether an attempt of the row was billed or may have been billed. No line of the results shows this.
        maybe_paid: bool,
    },
    /// The attempt was a canary, so there is no row.
    NoRow,
}
