//! Reads the results file and the error log, to find the done rows, the failures that still count, and the sums.
//!
//! A line is read in these steps:
//! 1. `blocks.rs` cuts the file into lines, on several threads.
//! 2. `parse.rs` turns a line into a record. If the line has exactly the form that the writer uses, `fast_path.rs`
//!    reads the line without a JSON parser.
//! 3. `scan.rs` separates records from damaged and foreign lines.
//! 4. `contents.rs` collects the records of both files into the set of done rows (`done.rs`), the failures that still
//!    count (`unresolved.rs`) and the sums (`totals.rs`).
//!
//! `reruns.rs` collects the answered rows that `--rerun` runs again. `stored.rs` reads the answer of a line, for a row
//! that takes this answer. `unfinished.rs` reads the answer of a row that is not finished. `error_log.rs` reads an
//! error log for `resume`. `providers.rs` counts the answers of each provider. `places.rs` lists where the lines are,
//! for [`crate::export`]. `details.rs` reads more of each line, for the report of a run.
//!
//! This module changes no file. Damage is repaired in [`super::rewriting`].

mod blocks;
mod contents;
mod details;
mod done;
mod error_log;
mod fast_path;
mod lines;
mod parse;
mod places;
mod providers;
mod record;
mod reruns;
mod scan;
mod stored;
mod totals;
mod unfinished;
mod unresolved;

pub(crate) use contents::{Contents, check_owner};
pub(crate) use details::{FailureText, read_details, read_failure_texts, read_failures};
pub(crate) use done::AnsweredRows;
pub use done::{DoneSet, RowState};
pub use error_log::{ErrorLog, read_error_log};
pub(crate) use lines::{Line, Lines};
pub(crate) use parse::{parse_error, parse_result};
pub(crate) use places::{KnownBy, LineKind, Read, line_kind, read_lines};
pub use providers::AnswersBy;
pub(crate) use record::{Details, Parsed, ResultRecord};
pub(crate) use reruns::RerunRows;
pub use reruns::Reruns;
pub(crate) use scan::{Scan, Tail, check_first_line, scan};
pub(crate) use stored::{parse_stored, read_line};
pub use totals::Totals;
pub use unfinished::UnfinishedRow;
pub(crate) use unresolved::{EntryKind, Unresolved};
