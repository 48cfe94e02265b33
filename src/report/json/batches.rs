//! The batches of a run, as JSON.

use serde::Serialize;

use super::numbers::{dollars, seconds};
use crate::domain::{BatchesEnd, BatchesStatus};
use crate::report::stats::Stats;

/// The open batches, in a `progress` object.
#[derive(Debug, Serialize)]
pub(super) struct BatchesNow {
    /// How many batches are being processed. The API shows no counts of a batch before the batch has ended.
    open: usize,
    /// How many rows these batches have.
    rows: u64,
    /// The age of the oldest of them, in seconds.
    oldest_s: f64,
    /// Seconds until the first of them expires; null while that is not known.
    expires_in_s: Option<f64>,
    /// Whether one of them is being cancelled.
    canceling: bool,
    /// Whether the reply to a submission was lost, so that the run looks for the batch in the list.
    reply_lost: bool,
    /// How many batches have ended and are being collected.
    collecting: usize,
    /// Seconds until the run asks for the state of the batches again; null if it waits for no batch.
    next_look_s: Option<f64>,
    /// Whether rows wait for the first answer to a request like theirs, which is sent online.
    trying: bool,
}

impl BatchesNow {
    pub(super) fn of(batches: &BatchesStatus) -> Self {
        Self {
            open: batches.open,
            rows: batches.rows,
            oldest_s: seconds(batches.oldest),
            expires_in_s: batches.expires_in.map(seconds),
            canceling: batches.is_canceling,
            reply_lost: batches.is_unclear,
            collecting: batches.collecting,
            next_look_s: batches.next_look.map(seconds),
            trying: batches.is_trying,
        }
    }
}

/// The state of the batches at the end of the run, in the object `ended`.
#[derive(Debug, Serialize)]
pub(super) struct BatchesAtEnd {
    /// Rows that were answered in batches.
    answered: u64,
    /// How much more these rows would have cost online, in dollars.
    saved_usd: f64,
    /// How many batches are open or not collected. They continue without this program.
    left: u64,
    /// How many rows of these batches have no line yet.
    left_rows: u64,
    /// Rows that were sent online because batches refuse them.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// The parameter that batches refuse.
    parameter: String,
    /// How many rows have it.
    rows: u64,
}

impl BatchesAtEnd {
    /// Returns the state of the batches at the end of the run; `None` in a run without batches.
    pub(super) fn of(stats: &Stats) -> Option<Self> {
        let end = stats.ending.as_ref().map(|ending| ending.batches.clone()).unwrap_or_default();
        let answered = stats.batch_rows.rows;
        if answered == 0 && end == BatchesEnd::default() {
            return None;
        }
        let BatchesEnd { left, left_rows, refused } = end;
        let refused = refused.into_iter().map(|(parameter, rows)| Refused { parameter, rows }).collect();
        Some(Self { answered, saved_usd: dollars(stats.batch_rows.saved), left, left_rows, refused })
    }
}
