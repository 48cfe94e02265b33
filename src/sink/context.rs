//! The values that all lines of a run share.

use std::sync::Arc;

use crate::clock::RunClock;

/// The format version of result lines, which is written as `meta.v`.
pub(crate) const LINE_VERSION: u32 = 1;

/// The values that all lines of a run share.
#[derive(Clone, Debug)]
pub struct RecordContext {
    /// Id of the run.
    pub run: Arc<str>,
    /// The clock that converts the times of attempts to wall-clock times.
    pub clock: RunClock,
    /// Date of the price table that the costs are based on; `None` if there are no prices.
    pub price_date: Option<Arc<str>>,
    /// The path of the results file, relative to the error log's folder; `None` if results go to standard output.
    pub results: Option<Arc<str>>,
}
