//! What the lines of one run have in common.

use std::sync::Arc;

use crate::clock::RunClock;

/// Version of the result lines' form, in `meta.v`.
pub(crate) const LINE_VERSION: u32 = 1;

/// The values that all lines of one run have in common.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// Id of the run.
    pub run: Arc<str>,
    /// Converts the attempts' instants to wall-clock times.
    pub clock: RunClock,
    /// Date of the price table that the costs are from; `None` when there are no prices.
    pub price_date: Option<Arc<str>>,
    /// The results file as seen from the error log's folder; `None` when results go to standard output.
    pub results: Option<Arc<str>>,
}
