//! The reasons why a run sends no further request at this moment.

use super::Dimension;

/// The reason why a run sends no further request at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// A limit of the pool is used up.
    Limit(Dimension),
    /// The concurrency window is full: the allowed number of requests is in flight.
    Window,
    /// A pool is held after a 429: nothing is sent through the pool for some time.
    Hold,
    /// The run raises its rate step by step.
    Ramp,
    /// All requests to an endpoint fail, and single requests test whether the endpoint works again.
    Probe,
    /// Each remaining row shares a prefix with another row, and waits until the other row has written the prefix to the
    /// prompt cache.
    Gate,
    /// All remaining rows wait for their next try.
    Backoff,
    /// The requests in flight can use up the rest of the budget, so the run waits for their answers.
    Budget,
    /// The next row of the input has not been read yet.
    Input,
    /// The rows in memory use all the bytes that are available for rows.
    Memory,
    /// Results wait for the disk.
    Disk,
    /// The run is paused.
    Paused,
    /// All remaining rows are in batches that have not ended.
    Batches,
    /// Nothing is left to send, or the `--halt` rule could stop the run because the first rows have all failed. The run
    /// waits for the requests in flight.
    Draining,
}

impl Reason {
    /// Every reason.
    pub(crate) const ALL: [Self; 16] = [
        Self::Limit(Dimension::Requests),
        Self::Limit(Dimension::InputTokens),
        Self::Limit(Dimension::OutputTokens),
        Self::Window,
        Self::Hold,
        Self::Ramp,
        Self::Probe,
        Self::Gate,
        Self::Backoff,
        Self::Budget,
        Self::Input,
        Self::Memory,
        Self::Disk,
        Self::Paused,
        Self::Batches,
        Self::Draining,
    ];

    /// Returns the name that scripts see for this reason. The wording that users see is in
    /// `report::words::doing_words`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Limit(Dimension::Requests) => "requests per minute",
            Self::Limit(Dimension::InputTokens) => "input tokens per minute",
            Self::Limit(Dimension::OutputTokens) => "output tokens per minute",
            Self::Window => "concurrency",
            Self::Hold => "holds after 429",
            Self::Ramp => "ramp-up",
            Self::Probe => "failing endpoint",
            Self::Gate => "cache warm-up",
            Self::Backoff => "retry backoff",
            Self::Budget => "budget",
            Self::Input => "input",
            Self::Memory => "memory for rows",
            Self::Disk => "disk",
            Self::Paused => "pause",
            Self::Batches => "batches",
            Self::Draining => "last answers",
        }
    }
}
