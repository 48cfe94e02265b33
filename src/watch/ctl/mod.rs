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
//! - When a run begins, it deletes each file whose name is in the table. The run does not read these files.
//! - A request must contain the random id of the process, so a request to an earlier run has no effect.
//! - The file of a request must be a regular file without further hard links, and must belong to this user. These
//!   conditions apply even with `--trust-owner`.
//! - A request has at most [`MOST_BYTES`] bytes and contains a checksum of its own content. The run removes and ignores
//!   a file that breaks one of these rules.
//! - The run removes each request before it acts on it, and acts on each request id only once.
//!
//! | file | content |
//! |---|---|
//! | `request.rs` | a request, and how it is written |
//! | `answers.rs` | the answers of a run |
//! | `mailbox.rs` | the run's side |
//! | `caller.rs` | the side of the command `ctl` |

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

/// The largest size of a request, in bytes.
const MOST_BYTES: u64 = 4 << 10;

/// The name of the file with the random id of the process.
const PROCESS: &str = "process";
/// The name of the file with the request.
const REQUEST: &str = "ctl.request";
/// The name of the file with the answers of the run.
const ANSWERS: &str = "ctl.answers";
