//! Settings for the message batches of a simulated API.

use std::time::Duration;

/// The settings for the message batches of a simulated API.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchConfig {
    /// How long the processing of a batch takes.
    pub time: BatchTime,
    /// The time from the creation of a batch until it expires. In the API, this is always 24 hours.
    pub expiry: Duration,
    /// The time from the cancellation of a batch until it ends.
    pub cancel_time: Duration,
    /// The maximum number of requests per minute to all batch endpoints together; `None` for no limit.
    pub rpm: Option<u32>,
    /// The maximum number of requests that wait for processing, in all batches of an organization together; `None` for
    /// no limit.
    pub queue: Option<u32>,
    /// The scheme and host of `results_url`, without a slash at the end, for clients that send no `Host` header.
    pub origin: String,
}

impl Default for BatchConfig {
    /// Returns settings with batches that end soon, and with the batch limits of the tier "start".
    fn default() -> Self {
        Self {
            time: BatchTime::QUICK,
            expiry: Duration::from_secs(24 * 3600),
            cancel_time: Duration::from_secs(1),
            rpm: Some(1_000),
            queue: Some(200_000),
            origin: "https://api.anthropic.com".to_owned(),
        }
    }
}

/// How long the processing of a batch takes. The requests of the batch are processed one after another, evenly spread
/// over this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchTime {
    /// Every batch takes this time.
    Fixed(Duration),
    /// Each batch takes a time in this range. The seed chooses the time.
    Between(Duration, Duration),
    /// No request is ever processed: the batch ends when it expires.
    Stuck,
}

impl BatchTime {
    /// A processing time for demonstrations: 3 to 10 seconds.
    pub(crate) const QUICK: Self = Self::Between(Duration::from_secs(3), Duration::from_secs(10));

    /// Returns the processing time of one batch; `None` if the batch is never processed. `unit` is a random number from
    /// 0 to 1.
    pub(crate) fn of_batch(self, unit: f64) -> Option<Duration> {
        match self {
            Self::Fixed(time) => Some(time),
            Self::Between(least, most) => Some(least + most.saturating_sub(least).mul_f64(unit)),
            Self::Stuck => None,
        }
    }
}
