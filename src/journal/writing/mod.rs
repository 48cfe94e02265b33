//! Appending lines and making them durable.
//!
//! ```text
//! Writer::append         collects the lines of one turn of the run's loop
//!   └ Writer::flush      once a turn, before anything is sent
//!       ├ results in a file:  Targets::write ─► write(2) ─► thread `sync` (Syncer) ─► fdatasync(2) ─► Commit::UpTo
//!       ├ standard output:    thread `stdout` (Stdout) ─► Targets::write ─► write(2) ─► thread `sync` ─► Commit::UpTo
//!       └ inline:             Targets::write ─► write(2) ─► fdatasync(2) ─► Commit::UpTo
//! ```
//!
//! Lines reach the system while a sync of earlier lines is running. What can be lost:
//! - By a death of the process: the lines of the present turn. With results on standard output, also those of the last
//!   hundredth of a second.
//! - By a loss of power: the lines of the last fifth of a second, and those written during one sync.
//!
//! A commit is reported when both files are synced, in the order of the lines.
//!
//! After a failed write or sync, nothing is tried again: nobody knows what a failed sync left, and a second sync that
//! succeeds proves nothing. The failure is reported once, and every later line is refused. There is one exception: when
//! standard output has failed, the error log still takes lines, because rows that were read from a pipe are kept
//! nowhere else.
//!
//! Rejected: a thread that also writes files, so that the run's loop never waits for the disk. When that thread does
//! not get to run, answers pile up while more requests are sent: with 16 in flight, a death once took 34 answers. A
//! write costs two microseconds a turn, which is less than waking a thread, and the slots before each request wait for
//! the same disk anyway.

mod commit;
mod stdout;
mod syncer;
mod target;
mod writer;

pub use commit::{Commit, Fsync, OnCommit, Threading};
pub(crate) use target::{Target, Targets};
pub(crate) use writer::Writer;
