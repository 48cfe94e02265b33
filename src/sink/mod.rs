//! Makes the lines of finished rows for the results file and for the error log.
//!
//! This module is pure: it makes bytes from rows, and decides what the lines look like. [`crate::journal`] is
//! responsible for files, the order of lines and durability. The code for each kind of line has its own file, and
//! `json.rs` writes the bytes.
//!
//! Invariants:
//! - Every function appends exactly one line.
//! - A line is one JSON object, ends in `\n` and contains no other line break.
//! - The API's answer is copied byte for byte (except line breaks outside strings).
//!
//! **Extra members.** A row can have members that are not sent. These extra members are at the top level of the row's
//! error line, under their own names, as in an input row. So a run that reads the error line as input gets the same
//! row, even if the row fails many times. The name of an extra member can already have a meaning in error lines, for
//! example if a CSV column is called `message` or `error`. In this case, an underscore is put before the name of the
//! extra member, even if the error line has no other member with this name. If only some lines had the underscore, a
//! reader could not know where the member comes from. The extra members are not put into a single member `extra`,
//! because this member would be nested deeper after each failure.

mod context;
mod error;
mod hint;
mod json;
mod result;
mod steps;

use crate::clock::Instant;
use crate::domain::{Ended, Message, Outcome, Purpose, Taken};

pub(crate) use context::LINE_VERSION;
pub use context::RecordContext;
pub use error::broken_line;
pub(crate) use error::rejected_line;
pub(crate) use json::parse_usd;

/// The file that a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// The results file, which has the rows with an answer.
    Results,
    /// The error log, which has the rows without an accepted answer.
    Errors,
}

/// An answer of at least this length, in bytes, is not copied into its line. Instead, the writer inserts this long
/// answer when it writes the line.
pub(crate) const LONG_BYTES: usize = 1 << 20;

/// Appends the line of an answer, but without the message. Returns the position in `out` where the message belongs.
///
/// If the caller inserts the message there, the line equals the line that [`outcome_line`] makes. The two lines are
/// equal because a message never contains a line break.
pub fn line_around(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) -> usize {
    result::line_around(outcome, message, context, out)
}

/// Appends the line of a row that takes its answer from another line. The line is for the results file, and gets the
/// time `at`.
pub(crate) fn taken_line(taken: &Taken, at: Instant, context: &RecordContext, out: &mut Vec<u8>) {
    result::taken_line(taken, at, context, out);
}

/// Appends the line of a row that is not finished: its last answer was not accepted, and the next request for it has
/// this `purpose`. The line is for the error log.
///
/// The line looks like the line of a failed row. Unlike that line, this line has `error.next` (the name of the
/// purpose), and always has `error.steps`.
pub(crate) fn step_line(step: &Outcome, purpose: Purpose, context: &RecordContext, out: &mut Vec<u8>) {
    if let Ended::Failed { class, failure, is_retryable } = &step.ended {
        let fault = error::Fault { class: *class, failure, is_retryable: *is_retryable };
        error::error_line(step, fault, Some(purpose), context, out);
    }
}

/// Appends the line of a finished row, and returns the file to which this line belongs.
pub fn outcome_line(outcome: &Outcome, context: &RecordContext, out: &mut Vec<u8>) -> Log {
    match &outcome.ended {
        Ended::Succeeded(message) => {
            result::result_line(outcome, message, context, out);
            Log::Results
        }
        Ended::Failed { class, failure, is_retryable } => {
            error::error_line(
                outcome,
                error::Fault { class: *class, failure, is_retryable: *is_retryable },
                None,
                context,
                out,
            );
            Log::Errors
        }
    }
}
