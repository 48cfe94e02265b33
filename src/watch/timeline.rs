//! The history of a run in at most 300 points: the file `timeline.json` in the run folder.
//!
//! The points of a resumed run follow the points of the earlier runs. Older points are merged in pairs, so the file has
//! a bounded size even after long runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::histogram::Histogram;

/// The version of the file's format.
pub(crate) const VERSION: u32 = 1;
/// The largest number of points in the file.
pub(crate) const MOST_POINTS: usize = 300;
/// The largest number of notes in the file. Older notes are removed.
pub(crate) const MOST_NOTES: usize = 300;
/// The largest number of runs in the file. Older runs are removed, but their points are kept.
pub(crate) const MOST_RUNS: usize = 50;

/// The history of a run and of the earlier runs with the same results file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// The version of the format.
    pub(crate) v: u32,
    /// The runs. The oldest run comes first.
    pub(crate) runs: Vec<RunSpan>,
    /// The names of the pools. Points refer to a pool by its position in this list.
    pub(crate) pools: Vec<String>,
    /// The points. The oldest point comes first.
    pub(crate) points: Vec<Point>,
    /// Notes about holds, changed limits, crossed thresholds, steering, warnings and other events. The oldest note
    /// comes first.
    pub(crate) notes: Vec<Note>,
    /// The durations from a row's last request to the response head (the status line and headers). All runs are
    /// included, and batches are left out.
    pub(crate) first_byte: Histogram,
    /// The durations from a row's first request to its answer. All runs are included, and batches are left out.
    pub(crate) latency: Histogram,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSpan {
    /// Its id.
    pub(crate) run: String,
    /// The time when the run began.
    pub(crate) started_at: Timestamp,
    /// The time when the last point of the run ended.
    pub(crate) ended_at: Timestamp,
    /// Whether the run has ended normally. The value is false for a run in progress, and for a run that was killed.
    pub(crate) has_ended: bool,
    /// The reason why the run was stopped, as text; `None` if all its rows were done.
    pub(crate) reason: Option<String>,
    /// The number of rows in the input; `None` if the input is a pipe.
    pub(crate) total: Option<u64>,
    /// The planned cost of the run, in dollars: low, likely and high. `None` if there was no plan.
    pub(crate) planned_usd: Option<[f64; 3]>,
    /// The planned duration of the run, in seconds: low, likely and high. `None` if there was no plan.
    pub(crate) planned_s: Option<[f64; 3]>,
    /// The highest number of requests in flight.
    pub(crate) max_in_flight: u64,
}

/// A point of the timeline: the sums over one time interval. If a number is not a sum, its comment says so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// The start of the interval.
    pub(crate) at: Timestamp,
    /// The length of the interval, in seconds.
    pub(crate) s: f64,
    /// The number of rows that got an answer of any quality.
    pub(crate) ok: u64,
    /// The number of rows that failed and are not tried again.
    pub(crate) failed: u64,
    /// The number of requests that were sent online.
    pub(crate) sent: u64,
    /// The number of attempts that got a 429 and are tried again.
    pub(crate) refused: u64,
    /// The number of attempts that failed without a 429 and are tried again.
    pub(crate) retried: u64,
    /// Input tokens that were not read from the prompt cache, including tokens written to the cache.
    pub(crate) input: u64,
    /// Input tokens that were read from the prompt cache.
    pub(crate) cached: u64,
    /// Output tokens.
    pub(crate) output: u64,
    /// The known cost, in dollars.
    pub(crate) usd: f64,
    /// The mean number of requests in flight. This number is a mean and not a sum.
    pub(crate) in_flight: f64,
    /// A map from the name of a reason to the number of seconds for which this reason slowed the run down.
    pub(crate) bound: BTreeMap<String, f64>,
    /// A map from the position of a pool in `Timeline::pools` to how much of its limits the pool used.
    pub(crate) uses: BTreeMap<usize, PoolUse>,
}

/// How much one pool used of its limits on requests, uncached input tokens and output tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PoolUse {
    /// The amounts that counted against the limits.
    pub(crate) counted: [u64; 3],
    /// The amounts that the limits allowed; `None` where there is no limit.
    pub(crate) allowed: [Option<f64>; 3],
}

/// A note of the timeline: a text about an event at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The time of the event.
    pub(crate) at: Timestamp,
    /// The kind of the event: `held`, `limits`, `crossed`, `steered`, `warning`, `outage`, `provider` or `draining`.
    pub(crate) kind: String,
    /// The text about the event.
    pub(crate) text: String,
}

/// Removes the first elements of a list until at most `most` elements are left.
pub(super) fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
