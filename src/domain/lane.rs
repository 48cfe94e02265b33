//! The two ways to send a request: online or in a batch.

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
