//! Changing files that hold records: repair at the start of a run, and removal of lines that do not count any more.
//!
//! | file | what it does | when |
//! |---|---|---|
//! | `repair.rs` | removes what a death or a loss of power damaged | at the start |
//! | `compact.rs` | removes entries of the error log that do not count any more | at the end, and at the start of `resume` |
//! | `superseded.rs` | removes answers that later ones supersede | at the end |
//! | `copy.rs` | copies lines and parts of files, for the others and for the input of `resume` | |
//!
//! A file is changed only by cutting its end, or by replacing it as a whole. So a death at any step leaves a file that
//! means the same as before or after.

mod compact;
mod copy;
mod repair;
mod superseded;

pub(crate) use compact::compact;
pub(crate) use copy::copy_rows;
pub(crate) use repair::repair;
pub(crate) use superseded::Superseded;
