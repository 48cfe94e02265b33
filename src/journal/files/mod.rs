//! Which files a run uses: their names, their locks, and what the run folder holds.
//!
//! | file | what it holds |
//! |---|---|
//! | `paths.rs` | where results, error log and run folder are, for what was typed |
//! | `check.rs` | checks of these names, before any file is opened for writing |
//! | `log_names.rs` | which names of files an error log may hold |
//! | `output.rs` | results and error log: opened, locked, replaced |
//! | `lock.rs` | the lock of the run folder, and who holds it |
//! | `manifest.rs` | what the run was, and the sums that no line holds any more |
//! | `slots.rs` | which requests are in flight |
//!
//! Knows nothing about the content of the lines.

mod check;
mod lock;
mod log_names;
pub(crate) mod manifest;
mod output;
mod paths;
pub(crate) mod slots;

pub(crate) use lock::{Lock, check_free, lock};
pub(crate) use log_names::fault_of_name;
pub(crate) use manifest::FORMAT_VERSION;
pub(crate) use manifest::manifest_path;
pub use manifest::{Carried, InputIdentity, Manifest, RecordedOutput, RequestShape, read_manifest};
#[cfg(feature = "sim")]
pub(crate) use output::open_to_append;
pub(crate) use output::{Access, ExistingOutputs, Output, Outputs};
pub use paths::RunPaths;
pub(crate) use paths::{PathRequest, is_own_log};
pub use slots::Slot;
pub(crate) use slots::{Slots, UnclosedRun};
