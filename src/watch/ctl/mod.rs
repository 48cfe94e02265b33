//! Requests to a run in progress: the command `ctl` writes them into the run folder, and the run answers there.
//!
//! | name in the run folder | content | written by |
//! |---|---|---|
//! | `process` | the random id of the process that runs | the run, when it begins |
//! | `ctl.request` | one request, as one JSON object and a line break | `ctl`, only if the file does not exist |
//! | `ctl.answers` | the last answers | the run, which replaces the whole file |
//!
//! The rules for a request:
//!
//! - When a run begins, it removes files with these names without reading them.
//! - A request counts only if it names the random id of the process, so a request for an earlier run is not obeyed.
//! - It counts only if the file is a regular file of this user that has only one name (no hard links), even with
//!   `--trust-owner`.
//! - It has at most [`MOST_BYTES`], and contains a checksum of its own content. Everything else is removed and not
//!   obeyed.
//! - A request is removed before it is obeyed, and each id is obeyed only once.
//!
//! | file | content |
//! |---|---|
//! | `request.rs` | a request, and the form in which it is written |
//! | `answers.rs` | the answers of a run |
//! | `mailbox.rs` | the side of the run |
//! | `caller.rs` | the side of the command |

mod answers;
mod caller;
mod mailbox;
mod request;
#[cfg(test)]
mod tests;

pub(crate) use answers::Answer;
pub(crate) use caller::{Caller, Posted};
pub(crate) use mailbox::Mailbox;
pub(crate) use request::{Request, Verb, random_id};

/// A request has at most this many bytes.
const MOST_BYTES: u64 = 4 << 10;

/// Name of the file with the id of the process.
const PROCESS: &str = "process";
/// Name of the file with the request.
const REQUEST: &str = "ctl.request";
/// Name of the file with the answers.
const ANSWERS: &str = "ctl.answers";
