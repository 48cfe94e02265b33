//! How a simulated API treats message batches.

use std::time::Duration;

/// How a simulated API treats message batches.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchConfig {
    /// How long a batch is processed.
    pub time: BatchTime,
    /// How long after its creation a batch expires. In the API this is always 24 hours.
    pub expiry: Duration,
    /// How long after a cancellation the batch ends.
    pub cancel_time: Duration,
    /// The limit on requests per minute to all batch endpoints together; `None` for no limit.
    pub rpm: Option<u32>,
    /// How many requests of an organization can wait for processing, in all its batches together; `None` for no limit.
    pub queue: Option<u32>,
    /// The beginning of `results_url` for requests without a `Host` header. It has no slash at the end.
    pub origin: String,
}

impl Default for BatchConfig {
    /// Returns batches that end soon, and the limits of the tier "start".
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

/// How long a batch is processed. Its requests are processed one after another, evenly over this time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchTime {
    /// Always this long.
    Fixed(Duration),
    /// A time in this range, which the seed decides for each batch.
    Between(Duration, Duration),
    /// No request is ever processed: the batch ends when it expires.
    Stuck,
}

impl BatchTime {
    /// Short enough for a demonstration: 3 to 10 seconds.
    pub(crate) const QUICK: Self = Self::Between(Duration::from_secs(3), Duration::from_secs(10));

    /// Returns the time of one batch; `None` if it is stuck. `unit` is a random number from 0 to 1.
    pub(crate) fn of_batch(self, unit: f64) -> Option<Duration> {
        match self {
            Self::Fixed(time) => Some(time),
            Self::Between(least, most) => Some(least + most.saturating_sub(least).mul_f64(unit)),
            Self::Stuck => None,
        }
    }
}
