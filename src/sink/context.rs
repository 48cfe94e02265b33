//! The values that all lines of one run have in common.

use std::sync::Arc;

use crate::clock::RunClock;

/// The version of the form of result lines, which is written as `meta.v`.
pub(crate) const LINE_VERSION: u32 = 1;

/// The values that all lines of one run have in common.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// Id of the run.
    pub run: Arc<str>,
    /// The clock that converts the times of attempts to wall-clock times.
    pub clock: RunClock,
    /// Date of the price table from which the costs are computed; `None` if there are no prices.
    pub price_date: Option<Arc<str>>,
    /// The path of the results file, relative to the error log's folder; `None` if results go to standard output.
    pub results: Option<Arc<str>>,
}
