//! The files of a run: their names, their locks, and the content of the run folder.
//!
//! | file | content |
//! |---|---|
//! | `paths.rs` | the paths of results, error log and run folder, made from the arguments |
//! | `check.rs` | checks of these names, before any file is opened for writing |
//! | `log_names.rs` | which names an error log may give to its results file |
//! | `output.rs` | results and error log: opened, locked, replaced |
//! | `lock.rs` | the lock of the run folder, and which process has it |
//! | `manifest.rs` | the description of the run, and the sums that are not in any line |
//! | `learned.rs` | what the last run learned about limits |
//! | `servers.rs` | where the answers come from, and which results may be mixed |
//! | `slots.rs` | the requests that are in flight |
//! | `answered.rs` | without a results file: how far a `resume` has come |
//!
//! This module does not look into the lines.

pub(crate) mod answered;
mod check;
pub(crate) mod learned;
mod lock;
mod log_names;
pub(crate) mod manifest;
mod output;
mod paths;
mod private;
mod servers;
pub(crate) mod slots;

pub(crate) use learned::{LearnedLimits, read_learned_limits};
pub(crate) use lock::{Lock, LockState, check_free, lock, lock_state};
pub(crate) use log_names::fault_of_name;
pub(crate) use manifest::FORMAT_VERSION;
pub(crate) use manifest::manifest_path;
pub use manifest::{Carried, InputIdentity, Manifest, RecordedOutput, RequestShape, read_manifest};
#[cfg(feature = "sim")]
pub(crate) use output::open_to_append;
pub(crate) use output::{Access, ExistingOutputs, Output, Outputs};
pub use paths::RunPaths;
pub(crate) use paths::{PathRequest, is_own_log};
pub(crate) use private::PrivateFile;
pub(crate) use servers::{Conflict, Servers};
pub use slots::Slot;
pub(crate) use slots::{Slots, UnclosedRun, read_unclosed, was_closed};
