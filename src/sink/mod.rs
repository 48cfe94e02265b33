//! Lines: the form of a finished row in the results file and in the error log.
//!
//! Pure: values in, bytes out. Owns the shape of both kinds of line; knows nothing of files, order or durability
//! ([`crate::journal`] does). One file per kind of line, `json.rs` for the bytes.
//!
//! Invariants: every function appends exactly one line; a line is one JSON object, ends in `\n` and contains no other
//! line break. The API's answer is copied byte for byte (except line breaks outside strings).
//!
//! **Extra members.** A row's own members that are not sent are written into its error line at the top level, under
//! their own names, as in a canonical row. So reading the line gives the same row again, however often it fails. A name
//! with another meaning there (`params`, `error`, …; it may come from a CSV column) gets a leading underscore. The
//! rejected alternative, one member `extra`, would nest deeper at each failure.

mod context;
mod error;
mod hint;
mod json;
mod result;

use crate::domain::{Ended, Message, Outcome};

pub(crate) use context::LINE_VERSION;
pub use context::RecordContext;
pub use error::broken_line;
pub(crate) use error::rejected_line;
pub(crate) use json::parse_usd;

/// Which file a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Log {
    /// The results file: rows with an answer.
    Results,
    /// The error log: rows without one.
    Errors,
}

/// An answer of at least this length is not copied into its line. It is written by itself, at its place in the line.
pub(crate) const LONG_BYTES: usize = 1 << 20;

/// Appends the line of an answer without its message; returns the position in `out` where the message belongs.
///
/// Shape: with the message put there it is the line of [`outcome_line`], since a message is on one line already.
pub fn line_around(outcome: &Outcome, message: &Message, context: &RecordContext, out: &mut Vec<u8>) -> usize {
    result::line_around(outcome, message, context, out)
}

/// Appends the line of a finished row and returns the file it belongs to.
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
                context,
                out,
            );
            Log::Errors
        }
    }
}
