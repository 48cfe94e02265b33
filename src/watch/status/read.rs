//! Reads `status.json`.
//!
//! The file can be damaged, or come from another person. So every member can be missing, and all texts must be escaped
//! before they are shown.

use std::path::Path;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::document::VERSION;
use super::input::{InputRows, ShownError};
use crate::domain::Interval;
use crate::journal::Disk;
use crate::watch::files::{Found, read, status_path};

/// The parts of `status.json` that are shown to people.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Shown {
    /// The id of the run.
    pub(crate) run: String,
    /// The process id of the run.
    pub(crate) pid: Option<u32>,
    /// The source of the answers: the origin of the base URL, or `simulator`.
    pub(crate) origin: String,
    /// The time when the run began.
    pub(crate) started_at: Timestamp,
    /// The time when the status was written.
    pub(crate) at: Timestamp,
    /// The state of the run: `running`, `paused`, `draining` or `ended`.
    pub(crate) state: String,
    /// How the run ended; `None` while it is in progress.
    pub(crate) end: Option<ShownEnd>,
    /// The counters.
    pub(crate) progress: ShownProgress,
    /// The pools, their limits, and how much of each limit is used.
    pub(crate) pools: Vec<ShownPool>,
    /// The cost of the run, as amounts in dollars.
    pub(crate) money: ShownMoney,
    /// The estimated time left; `None` if it can't be estimated.
    pub(crate) eta: Option<ShownEta>,
    /// The failures of rows. The most frequent failure comes first.
    pub(crate) errors: Vec<ShownError>,
    /// The commands that continue the run.
    #[serde(rename = "continue")]
    pub(crate) commands: ShownCommands,
    /// The rows of the input; `None` if an older version of the program wrote the file.
    pub(crate) input: Option<InputRows>,
}

impl Shown {
    /// Returns whether the run ended after all its rows were done.
    pub(crate) fn is_complete(&self) -> bool {
        self.end.as_ref().is_some_and(ShownEnd::is_complete)
    }
}

/// How a run ended: the reason and the final numbers.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownEnd {
    /// The reason why the run was stopped; `None` if all its rows were done.
    pub(crate) reason: Option<String>,
    /// The number of pending rows.
    pub(crate) pending: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// The number of batches that are open or not collected.
    pub(crate) batches: u64,
    /// The duration of the run, in seconds.
    pub(crate) elapsed_s: f64,
}

impl ShownEnd {
    /// Returns whether the run ended after all its rows were done.
    pub(crate) fn is_complete(&self) -> bool {
        self.reason.is_none() && self.pending == 0 && self.batches == 0
    }
}

/// The counters of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownProgress {
    /// The number of rows in the input; `None` if the input is a pipe.
    pub(crate) total: Option<u64>,
    /// The number of rows that earlier runs finished.
    pub(crate) already_done: u64,
    /// The number of rows with a complete answer.
    pub(crate) ok: u64,
    /// The number of rows with a truncated answer.
    pub(crate) truncated: u64,
    /// The number of rows that the model refused to answer.
    pub(crate) refused: u64,
    /// The number of rows whose answer ended for an unknown reason.
    pub(crate) unknown: u64,
    /// Failed rows.
    pub(crate) failed: u64,
    /// The recent rate of finished rows, in rows per minute.
    pub(crate) rows_per_minute: Option<f64>,
    /// What the run waits for, if the time left can't be estimated.
    pub(crate) waiting_for: Option<String>,
    /// The number of requests in flight.
    pub(crate) in_flight: Option<u64>,
    /// How many requests are currently allowed in flight.
    pub(crate) window: Option<u64>,
    /// The reason why the run is not sending more requests.
    pub(crate) reason: Option<String>,
    /// The open batches; `None` if there are none.
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
    /// The number of rows that this provider answered.
    pub(crate) answered: u64,
    /// The number of rows whose last request failed at this provider.
    pub(crate) failed: u64,
    /// The known cost of these rows, in dollars.
    pub(crate) cost_usd: Option<f64>,
    /// The state of the provider, such as `sending` or `held`.
    pub(crate) state: String,
    /// The other provider to which the rows of this provider are sent; `None` if this provider gets its own rows.
    pub(crate) to: Option<String>,
    /// The reason why another provider gets the rows, as a value that `--fallback-on` accepts.
    pub(crate) why: Option<String>,
}

/// The open batches of a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownBatches {
    /// The number of open batches.
    pub(crate) open: u64,
    /// The number of rows in the open batches.
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
    /// The number of seconds for which the pool still sends nothing, because of a 429.
    pub(crate) held_s: Option<f64>,
    /// How much of the limit on requests is used.
    pub(crate) requests: Option<ShownUse>,
    /// How much of the limit on input tokens is used.
    pub(crate) input_tokens: Option<ShownUse>,
    /// How much of the limit on output tokens is used.
    pub(crate) output_tokens: Option<ShownUse>,
}

/// How much of a limit was used in the last five minutes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownUse {
    /// The share of the limit that was used in the last five minutes, on average.
    pub(crate) average: f64,
    /// The highest share of the limit that was used in one minute.
    pub(crate) highest: Option<f64>,
    /// The level.
    pub(crate) level: Option<String>,
}

/// The cost of a run, as amounts in dollars.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownMoney {
    /// The amount that this run has spent.
    pub(crate) spent_usd: Option<f64>,
    /// The amount that earlier runs with the same results file have spent.
    pub(crate) spent_before_usd: f64,
    /// The planned cost of this run.
    pub(crate) planned_usd: Option<ShownInterval>,
    /// The expected cost of this run, estimated from its rows so far.
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
    /// Returns an `Interval` with the same three numbers as this value.
    pub(crate) fn interval(self) -> Interval<f64> {
        Interval { low: self.low, likely: self.likely, high: self.high }
    }
}

/// The estimate of the time that a run still needs.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownEta {
    /// The estimate.
    pub(crate) seconds: f64,
    /// Its interval.
    pub(crate) interval_s: Option<ShownInterval>,
    /// A text that says what the estimate is based on.
    pub(crate) basis: String,
}

/// The commands that continue a run.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownCommands {
    /// The command that resumes the run.
    pub(crate) resume: String,
    /// The command that sends the failed rows again.
    pub(crate) retry_failed: String,
}

/// Reads `status.json` in a run folder. Returns the whole JSON document, and the parts that are shown to people.
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
