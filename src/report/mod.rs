//! Reports: what people and scripts see of a run. Every report is a fold over `RunEvent`s.
//!
//! Owns everything written to standard error during a run, and the summary after it. Knows nothing of scheduling or
//! files.
//!
//! [`Report`] folds each event once into [`Stats`] and hands both to one `View`: live lines on a terminal
//! (`progress`), plain lines elsewhere (`plain`), JSON for scripts (`json`), or almost nothing ([`quiet`]). A
//! view reads no clock: it uses the times of the events, and the scheduler's status arrives several times a second. So
//! a run on virtual time shows what a real run would.
//!
//! Text from outside (model names, messages of servers, paths) reaches a terminal only through `text::escape`, JSON
//! only through `harmless`. A write to standard error that fails is dropped: a closed terminal must not end a run.

mod advice;
pub(crate) mod failures;
pub(crate) mod harmless;
pub(crate) mod json;
pub(crate) mod line;
pub(crate) mod notes;
mod open;
pub(crate) mod outlook;
mod pace;
pub(crate) mod plain;
pub(crate) mod progress;
pub mod quiet;
mod standing;
pub mod stats;
pub(crate) mod summary;
mod tallies;
pub(crate) mod text;
mod view;
pub(crate) mod words;

pub use notes::Verbosity;
pub use open::{ProgressKind, Report, ViewOptions, open};
pub use stats::Stats;
pub(crate) use summary::{SummaryContext, summary};
pub use view::Reporter;
