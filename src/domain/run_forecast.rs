//! The expected cost and duration of a run, estimated before its first request.

use std::time::Duration;

use super::{Interval, Money};

/// The expected cost and duration of a run. The forecast is made before the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunForecast {
    /// The number of rows that the run sends.
    pub rows: u64,
    /// The expected cost of the rows whose model has a price; `None` if no row has a price.
    pub cost: Option<Interval<Money>>,
    /// The highest cost of the rows with a price, if the API bills one answer per row; `None` if no row has a price.
    pub at_most: Option<Money>,
    /// The expected duration of the run; `None` if the duration can't be estimated.
    pub time: Option<Interval<Duration>>,
    /// Whether the run also collects batches that earlier runs submitted. The forecast does not include their rows, so
    /// the cost and the time of the run can't be compared with it.
    pub leaves_out_batches: bool,
}

impl RunForecast {
    /// Returns whether the forecast is about all rows that the run does. Otherwise, it is not the plan of the run.
    pub(crate) fn is_of_whole_run(&self) -> bool {
        self.rows > 0 && !self.leaves_out_batches
    }
}
