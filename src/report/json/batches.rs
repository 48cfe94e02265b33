//! The state of the batches of a run, as JSON.

use serde::Serialize;

use super::numbers::{dollars, seconds};
use crate::domain::{BatchesEnd, BatchesStatus};
use crate::report::stats::Stats;

/// The open batches of a run, in a `progress` object.
#[derive(Debug, Serialize)]
pub(super) struct BatchesNow {
    /// The number of batches that the API is processing. The API shows no progress inside a batch before the batch has
    /// ended.
    open: usize,
    /// The number of rows in the batches that are being processed.
    rows: u64,
    /// The age of the oldest open batch, in seconds.
    oldest_s: f64,
    /// The time until the first open batch expires, in seconds; null while that time is not known.
    expires_in_s: Option<f64>,
    /// Whether an open batch is being canceled.
    canceling: bool,
    /// Whether the reply to a submission was lost, so that the run looks for the batch in the API's list of batches.
    reply_lost: bool,
    /// The number of ended batches whose results are being collected.
    collecting: usize,
    /// The time until the run asks the API again for the state of the batches, in seconds; null if no batch is open.
    next_look_s: Option<f64>,
    /// Whether rows wait before they are put into a batch. These rows wait for the online answer to a similar request.
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

/// The state of the batches at the end of the run, in an `ended` object.
#[derive(Debug, Serialize)]
pub(super) struct BatchesAtEnd {
    /// The number of rows that were answered in batches.
    answered: u64,
    /// The dollars that the batches saved, compared with the price of the same rows online.
    saved_usd: f64,
    /// The number of batches that are open or not collected. The API continues to process open batches after this
    /// program has ended.
    left: u64,
    /// How many rows of these batches have no line in the results or the error log yet.
    left_rows: u64,
    /// For each parameter that batches do not accept: how many rows were sent online because of this parameter.
    refused: Vec<Refused>,
}

#[derive(Debug, Serialize)]
struct Refused {
    /// The name of a request parameter that batches do not accept.
    parameter: String,
    /// The number of rows with this parameter.
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
