//! The two ways to send a request, online or in a batch, and the choice of the user.

/// Whether a request is sent alone or in a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lane {
    /// One request, one answer.
    #[default]
    Online,
    /// The request is part of a Message Batch.
    Batch,
}

impl Lane {
    /// Returns the name that files use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Batch => "batch",
        }
    }
}

/// The lanes that a run may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LaneChoice {
    /// Only the online lane.
    #[default]
    Online,
    /// Batches. Only rows that batches refuse are sent online.
    Batch,
    /// Batches, and the online lane for rows that would otherwise be late.
    Auto,
}

impl LaneChoice {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Online, Self::Batch, Self::Auto];

    /// Returns the name that the user types.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Online => "online",
            Self::Batch => "batch",
            Self::Auto => "auto",
        }
    }

    /// Returns whether the run may send batches.
    pub(crate) fn uses_batches(self) -> bool {
        match self {
            Self::Online => false,
            Self::Batch | Self::Auto => true,
        }
    }
}
