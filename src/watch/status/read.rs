//! Reads `status.json`.
//!
//! The file may be damaged, or come from another person. So every member may be missing, and all texts must be escaped
//! before they are shown.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::document::VERSION;
use crate::domain::Interval;
use crate::journal::Disk;
use crate::watch::files::{Found, read, status_path};

/// The parts of a status that are shown to people.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Shown {
    /// The id of the run.
    pub(crate) run: String,
    /// The process id of the run.
    pub(crate) pid: Option<u32>,
    /// Where its answers come from.
    pub(crate) origin: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When the status was written.
    pub(crate) at: Timestamp,
    /// `running`, `paused`, `draining` or `ended`.
    pub(crate) state: String,
    /// How the run ended; `None` while it is in progress.
    pub(crate) end: Option<ShownEnd>,
    /// The counters.
    pub(crate) progress: ShownProgress,
    /// The pools, with their limits and the use of these limits.
    pub(crate) pools: Vec<ShownPool>,
    /// Amounts in dollars.
    pub(crate) money: ShownMoney,
    /// The time left.
    pub(crate) eta: Option<ShownEta>,
    /// The failures of rows, the most frequent first.
    pub(crate) errors: Vec<ShownError>,
    /// How to continue.
    #[serde(rename = "continue")]
    pub(crate) commands: ShownCommands,
}

impl Shown {
    /// Returns whether the run ended with its last row.
    pub(crate) fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(|end| end.reason.is_none() && end.pending == 0 && end.batches == 0)
    }
}

/// How a run ended.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownEnd {
    /// Why it was stopped.
    pub(crate) reason: Option<String>,
    /// Rows without a result.
    pub(crate) pending: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// Batches that are open.
    pub(crate) batches: u64,
    /// How long the run took.
    pub(crate) elapsed_s: f64,
}

/// The counters of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownProgress {
    /// Rows of the input.
    pub(crate) total: Option<u64>,
    /// Rows that earlier runs finished.
    pub(crate) already_done: u64,
    /// Rows whose answer is complete.
    pub(crate) ok: u64,
    /// Rows whose answer is truncated.
    pub(crate) truncated: u64,
    /// Rows that the model refused.
    pub(crate) refused: u64,
    /// Rows whose answer ended for an unknown reason.
    pub(crate) unknown: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// The recent rate.
    pub(crate) rows_per_minute: Option<f64>,
    /// What the run waits for.
    pub(crate) waiting_for: Option<String>,
    /// Requests in flight.
    pub(crate) in_flight: Option<u64>,
    /// The concurrency window.
    pub(crate) window: Option<u64>,
    /// Why no more requests are sent.
    pub(crate) reason: Option<String>,
    /// The open batches.
    pub(crate) batches: Option<ShownBatches>,
    /// The providers of the run; empty if the run has only one provider.
    pub(crate) providers: Vec<ShownProvider>,
}

/// A provider.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownProvider {
    /// Its name.
    pub(crate) provider: String,
    /// Rows that it answered.
    pub(crate) answered: u64,
    /// Rows that failed there.
    pub(crate) failed: u64,
    /// The known cost of these rows.
    pub(crate) cost_usd: Option<f64>,
    /// What it does at this moment.
    pub(crate) state: String,
    /// The provider that gets its rows.
    pub(crate) to: Option<String>,
    /// Why, by the names of `--fallback-on`.
    pub(crate) why: Option<String>,
}

/// The open batches.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownBatches {
    /// How many batches are open.
    pub(crate) open: u64,
    /// How many rows they have.
    pub(crate) rows: u64,
}

/// A pool.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownPool {
    /// Its provider.
    pub(crate) provider: String,
    /// Its name.
    pub(crate) pool: String,
    /// How long it is held.
    pub(crate) held_s: Option<f64>,
    /// The use of the limit on requests.
    pub(crate) requests: Option<ShownUse>,
    /// The use of the limit on input tokens.
    pub(crate) input_tokens: Option<ShownUse>,
    /// The use of the limit on output tokens.
    pub(crate) output_tokens: Option<ShownUse>,
}

/// The use of a limit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownUse {
    /// The mean of five minutes.
    pub(crate) average: f64,
    /// The highest minute.
    pub(crate) highest: Option<f64>,
    /// The level.
    pub(crate) level: Option<String>,
}

/// Amounts in dollars.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownMoney {
    /// By this run.
    pub(crate) spent_usd: Option<f64>,
    /// By earlier runs.
    pub(crate) spent_before_usd: f64,
    /// What was planned.
    pub(crate) planned_usd: Option<ShownInterval>,
    /// What is expected.
    pub(crate) projected_usd: Option<ShownInterval>,
}

/// An interval of numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownInterval {
    low: f64,
    likely: f64,
    high: f64,
}

impl ShownInterval {
    /// Returns the interval.
    pub(crate) fn interval(self) -> Interval<f64> {
        Interval { low: self.low, likely: self.likely, high: self.high }
    }
}

/// The time left.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownEta {
    /// The estimate.
    pub(crate) seconds: f64,
    /// Its interval.
    pub(crate) interval_s: Option<ShownInterval>,
    /// What it is based on.
    pub(crate) basis: String,
}

/// A kind of failure.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownError {
    /// Its class.
    pub(crate) class: String,
    /// A message.
    pub(crate) message: String,
    /// How many rows.
    pub(crate) rows: u64,
    /// The id of one of these rows.
    pub(crate) row: String,
}

/// Commands that continue a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownCommands {
    /// Resumes the run.
    pub(crate) resume: String,
    /// Runs failed rows again.
    pub(crate) retry_failed: String,
}

/// Reads the status of a run folder. Returns the whole JSON document, and the parts that are shown to people.
pub(crate) fn read_status(disk: &dyn Disk, folder: &Path) -> Found<(Value, Shown)> {
    match read::<Value>(disk, &status_path(folder), VERSION) {
        Found::Good(value) => match Shown::deserialize(&value) {
            Ok(shown) => Found::Good((value, shown)),
            Err(error) => Found::Damaged(error.to_string()),
        },
        Found::Missing => Found::Missing,
        Found::Damaged(fault) => Found::Damaged(fault),
        Found::Unreadable(fault) => Found::Unreadable(fault),
        Found::Newer(version) => Found::Newer(version),
    }
}
