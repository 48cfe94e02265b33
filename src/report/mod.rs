//! Reports: the output of a run for people and scripts. Every report is computed from the `RunEvent`s of a run, one
//! event at a time.
//!
//! This module makes everything that is written to standard error during a run, and the summary after the run. It
//! contains no code for scheduling or for files.
//!
//! [`Report`] adds each event once to the counters in [`Stats`], and passes the event and the counters to its views. A
//! `View` writes one kind of output: live lines on a terminal (`progress`), plain lines elsewhere (`plain`), JSON for
//! scripts (`json`), or almost nothing ([`quiet`]). A view never reads a clock. A view takes the time from the events.
//! The scheduler sends its status several times per second. So a run on virtual time has the same output as a real run.
//!
//! Text from outside (model names, messages of servers, paths) always goes through `text::escape` before it reaches a
//! terminal. JSON output always goes through `harmless`, which escapes control characters. A failed write to standard
//! error is ignored, because a closed terminal must not end a run.

mod advice;
mod answers;
mod cached_rows;
mod caching;
#[cfg(test)]
mod captures;
pub(crate) mod failures;
mod file_rows;
pub(crate) mod harmless;
mod headline;
pub(crate) mod histogram;
pub(crate) mod json;
mod kinds;
mod lanes;
mod limits_line;
pub(crate) mod line;
mod mix;
mod next_step;
pub(crate) mod notes;
mod now;
mod open;
mod open_batches;
pub(crate) mod outlook;
mod pace;
mod parts;
pub(crate) mod plain;
mod planned;
pub(crate) mod progress;
mod projection;
mod provider_states;
pub(crate) mod providers;
pub mod quiet;
pub(crate) mod ranges;
mod rate_bins;
mod spread;
mod standing;
pub mod stats;
pub(crate) mod summary;
mod summary_context;
mod tallies;
pub(crate) mod text;
mod totals;
pub(crate) mod tracker;
pub(crate) mod use_of_limits;
mod view;
pub(crate) mod words;

pub(crate) use file_rows::{FileRows, Outside};
pub use notes::Verbosity;
pub use open::{ProgressKind, Report, ViewOptions, open};
pub use stats::Stats;
pub(crate) use summary::{billed_twice_words, summary};
pub use summary_context::SummaryKind;
pub(crate) use summary_context::{EarlierRuns, PrintedCommand, SummaryContext};
pub use view::Reporter;
pub(crate) use view::View;
