//! Appends lines and makes them durable. A turn is one iteration of the run's loop.
//!
//! ```text
//! Writer::append         collects the lines of one turn of the run's loop
//!   └ Writer::flush      once a turn, before anything is sent
//!       ├ results in a file:  Targets::write ─► write(2) ─► thread `sync` (Syncer) ─► fdatasync(2) ─► Commit::UpTo
//!       ├ standard output:    thread `stdout` (Stdout) ─► Targets::write ─► write(2) ─► thread `sync` ─► Commit::UpTo
//!       └ inline:             Targets::write ─► write(2) ─► fdatasync(2) ─► Commit::UpTo
//! ```
//!
//! Lines are written to the system while a sync of earlier lines is running. In each of these cases, some lines can be
//! lost:
//! - If the process dies: the lines of the current turn. If results go to standard output, also the lines of the last
//!   hundredth of a second.
//! - If the power fails: the lines of the last fifth of a second, and the lines that were written while a sync was
//!   running.
//!
//! A commit is reported when the results and the error log are synced. Commits are reported in the order of the lines.
//!
//! A failed write or sync is not tried again. After a failed sync, the content on the disk is unknown. A second sync
//! that succeeds does not prove that the bytes are there. The failure is reported once, and every later line is
//! refused. There is one exception: after standard output has failed, the error log still accepts lines. Rows that were
//! read from a pipe are stored only in these lines.
//!
//! Rejected: a separate thread that writes files. With such a thread, the run's loop would never wait for the disk. But
//! while the thread waits for a core of the processor, more and more answers wait in memory and more requests are sent.
//! In a test with 16 requests in flight, 34 answers were lost when the process died. A write takes two microseconds per
//! turn. Waking a thread takes longer. The loop must wait for the same disk anyway, because it writes the slots before
//! each request.

mod commit;
mod stdout;
mod syncer;
mod target;
mod writer;

pub use commit::{Commit, Fsync, OnCommit, Threading};
pub(crate) use target::{Target, Targets};
pub(crate) use writer::Writer;
