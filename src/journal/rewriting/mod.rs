//! Changes files that contain records: repairs them at the start of a run, and removes lines that no longer count.
//!
//! | file | what it does | when |
//! |---|---|---|
//! | `repair.rs` | removes lines that were damaged when a process died or the power failed | at the start |
//! | `compact.rs` | removes from the error log the entries that no longer count | at the end, and at the start of `resume` |
//! | `superseded.rs` | removes answers that later answers have replaced | at the end |
//! | `copy.rs` | copies lines and parts of files, for the other modules and for the input of `resume` | |
//!
//! A file is changed only by truncating it, or by replacing it as a whole. So if the process dies at any step, a later
//! run finds either the old content or the new content.

mod compact;
mod copy;
mod repair;
mod superseded;

pub(crate) use compact::compact;
pub(crate) use copy::copy_rows;
pub(crate) use repair::repair;
pub(crate) use superseded::Superseded;
