//! The settings for watching and steering a run.

use std::path::PathBuf;

use crate::cli::args::groups::WatchArgs;
use crate::cli::args::steered::Change;
use crate::watch::schedule::Schedule;

/// How a run is watched and steered.
#[derive(Clone, Debug, Default)]
pub struct WatchConfig {
    /// Where notices are sent.
    pub notify: Vec<String>,
    /// When notices are sent.
    pub notify_on: Vec<String>,
    /// The form of notices.
    pub notify_format: Option<String>,
    /// Settings that change at certain times.
    pub schedule: Vec<Schedule<Change>>,
    /// The file that gets each event.
    pub log: Option<PathBuf>,
}

impl WatchConfig {
    pub(super) fn of(args: WatchArgs) -> Self {
        let WatchArgs { notify, notify_on, notify_format, schedule, log } = args;
        Self { notify, notify_on, notify_format, schedule, log }
    }
}
