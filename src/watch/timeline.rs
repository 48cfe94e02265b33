//! The history of a run in at most 300 points: the file `timeline.json` in the run folder.
//!
//! The points of a resumed run follow the points of the earlier runs. Older points are merged in pairs, so the size of
//! the file is bounded, whatever the length of the runs.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::report::histogram::Histogram;

/// The version of the file's format.
pub(crate) const VERSION: u32 = 1;
/// The file has at most this many points.
pub(crate) const MOST_POINTS: usize = 300;
/// The file has at most this many notes. Older notes are removed.
pub(crate) const MOST_NOTES: usize = 300;
/// The file has at most this many runs. Older runs are removed, but not their points.
pub(crate) const MOST_RUNS: usize = 50;

/// The history of a run and of the earlier runs with the same results.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Timeline {
    /// The version of the format.
    pub(crate) v: u32,
    /// The runs, oldest first.
    pub(crate) runs: Vec<RunSpan>,
    /// The names of the pools. Points refer to them by their position.
    pub(crate) pools: Vec<String>,
    /// The points, oldest first.
    pub(crate) points: Vec<Point>,
    /// What happened, oldest first: holds, changed limits, crossed thresholds, steering, warnings.
    pub(crate) notes: Vec<Note>,
    /// For each row: the time from sending its last request to the head of the response. All runs are included, and
    /// batches are left out.
    pub(crate) first_byte: Histogram,
    /// For each row: the time from its first request to its answer. All runs are included, and batches are left out.
    pub(crate) latency: Histogram,
}

/// One run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunSpan {
    /// Its id.
    pub(crate) run: String,
    /// When it began.
    pub(crate) started_at: Timestamp,
    /// When its last point ended.
    pub(crate) ended_at: Timestamp,
    /// Whether it ended by itself. False for a run that was killed.
    pub(crate) has_ended: bool,
    /// Why it was stopped, in words; `None` if it ended with the last row.
    pub(crate) reason: Option<String>,
    /// Rows in the input; `None` on a pipe.
    pub(crate) total: Option<u64>,
    /// What it was expected to cost, in dollars: low, likely, high. `None` if that was not known.
    pub(crate) planned_usd: Option<[f64; 3]>,
    /// How long it was expected to take, in seconds: low, likely, high. `None` if that was not known.
    pub(crate) planned_s: Option<[f64; 3]>,
    /// The highest number of requests in flight.
    pub(crate) max_in_flight: u64,
}

/// What happened in a piece of time. All numbers are sums over this time, unless their comment says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Point {
    /// When it begins.
    pub(crate) at: Timestamp,
    /// Its length in seconds.
    pub(crate) s: f64,
    /// Rows answered, of any quality.
    pub(crate) ok: u64,
    /// Rows that failed and are not tried again.
    pub(crate) failed: u64,
    /// Requests sent online.
    pub(crate) sent: u64,
    /// Attempts that are tried again after a 429.
    pub(crate) refused: u64,
    /// Attempts that are tried again after any other failure.
    pub(crate) retried: u64,
    /// Uncached input tokens, with cache writes.
    pub(crate) input: u64,
    /// Input tokens read from a cache.
    pub(crate) cached: u64,
    /// Output tokens.
    pub(crate) output: u64,
    /// Known cost, in dollars.
    pub(crate) usd: f64,
    /// Requests in flight: the mean.
    pub(crate) in_flight: f64,
    /// The seconds that each reason held the run back, by the name of the reason.
    pub(crate) bound: BTreeMap<String, f64>,
    /// The use of the limits of each pool, by the position of the pool.
    pub(crate) uses: BTreeMap<usize, PoolUse>,
}

/// How much of the limits of one pool was used: requests, uncached input tokens and output tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct PoolUse {
    /// What counted against the limits.
    pub(crate) counted: [u64; 3],
    /// What the limits allowed; `None` where there is no limit.
    pub(crate) allowed: [Option<f64>; 3],
}

/// Something that happened at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// When it happened.
    pub(crate) at: Timestamp,
    /// What kind it is: `held`, `limits`, `crossed`, `steered`, `warning`, `outage`, `draining`.
    pub(crate) kind: String,
    /// What happened, in words.
    pub(crate) text: String,
}

/// Removes the first elements of a list that has more than `most` elements.
pub(super) fn keep_last<T>(list: &mut Vec<T>, most: usize) {
    list.drain(..list.len().saturating_sub(most));
}
