//! The two lanes in which a request can be sent (online or in a batch), and the lanes that the user allows.

/// The lane of a request: the request is sent alone, or as part of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lane {
    /// The request is sent alone, and its answer comes in the response.
    #[default]
    Online,
    /// The request is part of a Message Batch.
    Batch,
}

impl Lane {
    /// Returns the name of the lane in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Batch => "batch",
        }
    }
}

/// The lanes that a run is allowed to use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneChoice {
    /// The run uses only the online lane.
    #[default]
    Online,
    /// Batches. The run uses batches. Only rows that batches do not accept are sent online.
    Batch,
    /// The run uses batches, but sends a row online if the row would be late in a batch.
    Auto,
}

impl LaneChoice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Online, Self::Batch, Self::Auto];

    /// Returns this value of `--lane` as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Batch => "batch",
            Self::Auto => "auto",
        }
    }

    /// Returns whether the run is allowed to send batches.
    pub(crate) fn uses_batches(self) -> bool {
        match self {
            Self::Online => false,
            Self::Batch | Self::Auto => true,
        }
    }
}
