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
//! Lines are written to the system while a sync of earlier lines is running. Some lines can be lost in these cases:
//! - If the process dies, the lines of the current turn can be lost. If results go to standard output, the lines of the
//!   last hundredth of a second are also lost.
//! - If the power fails, the lines of the last fifth of a second can be lost, and so can the lines that were written
//!   during a sync.
//!
//! If a `resume` writes to standard output, the records of answered rows are written right after their lines.
//!
//! A commit is reported when the results and the error log are synced. Commits are reported in the order of the lines.
//!
//! A failed write or sync is not tried again. After a failed sync, the content on the disk is unknown. Even if a second
//! sync succeeded, the bytes could be missing. After a failure is reported, no more lines are accepted. There is one
//! exception: after standard output has failed, the error log still accepts lines, because rows that were read from a
//! pipe are stored nowhere else.
//!
//! Rejected: a separate thread that writes files. With such a thread, the run's loop would never wait for the disk. But
//! while this thread waits for a processor core, unwritten answers pile up in memory, and the loop sends more requests.
//! In a test with 16 requests in flight, 34 answers were lost when the process died. A write takes two microseconds per
//! turn, and waking a thread takes longer. The loop has to wait for the same disk anyway, because it writes the slots
//! before it sends anything.

mod commit;
mod stdout;
mod syncer;
mod target;
mod writer;

pub use commit::{Commit, Fsync, OnCommit, Threading};
pub(crate) use target::{Target, Targets};
pub(crate) use writer::Writer;
