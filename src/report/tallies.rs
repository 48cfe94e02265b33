//! Counts of attempts that were tried again, and of rows that failed.

use crate::domain::{Alike, ErrorClass, FailedRow, LimitKind};

/// Why an attempt is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RetryCause {
    /// A 429 because a limit per minute was used up.
    Rate,
    /// A 429 because the rate rose too fast.
    Acceleration,
    /// A 429 because of too many requests at the same time.
    Concurrency,
    /// Another failure.
    Class(ErrorClass),
}

impl RetryCause {
    pub(super) fn of(class: ErrorClass, limit: Option<LimitKind>) -> Self {
        match limit {
            Some(LimitKind::Rate) => Self::Rate,
            Some(LimitKind::Acceleration) => Self::Acceleration,
            Some(LimitKind::Concurrency) => Self::Concurrency,
            None => Self::Class(class),
        }
    }

    /// Returns the name shown to people and scripts.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Rate => "rate limit (429)",
            Self::Acceleration => "acceleration limit (429)",
            Self::Concurrency => "concurrency limit (429)",
            Self::Class(class) => class.name(),
        }
    }
}

/// The rows of one run that failed in one class.
#[derive(Clone, Debug, Default)]
pub struct FailedRows {
    /// The number of rows.
    pub rows: u64,
    /// How many of these rows could succeed in another run without a change.
    pub retryable: u64,
    /// Their faults. Each fault has a count and the first row that failed with it.
    pub faults: Alike<FailedRow>,
}

impl FailedRows {
    /// Counts a row.
    pub(crate) fn add(&mut self, row: &FailedRow) {
        self.rows += 1;
        self.retryable += u64::from(row.is_retryable);
        self.faults.add(&row.message, || row.clone());
    }

    /// Returns the first of these rows.
    pub(crate) fn example(&self) -> Option<&FailedRow> {
        self.faults.first()
    }
}
