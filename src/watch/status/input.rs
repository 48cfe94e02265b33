//! What `status.json` keeps about the whole input and its failures. A later run that works on a part of the rows reads
//! it, because such a run can't count the other rows.

use serde::{Deserialize, Serialize};

use crate::report::PrintedCommand;

/// The rows of the input that a run read: all rows after the first `skip` rows, but at most `limit` rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowRange {
    /// The value of `--skip`.
    #[serde(default)]
    pub(crate) skip: u64,
    /// The value of `--limit`.
    #[serde(default)]
    pub(crate) limit: Option<u64>,
}

impl RowRange {
    /// Returns whether this range has all rows of the range `other`.
    pub(crate) fn contains(self, other: Self) -> bool {
        let end = |range: Self| range.limit.map_or(u64::MAX, |limit| range.skip.saturating_add(limit));
        self.skip <= other.skip && end(self) >= end(other)
    }

    /// Returns whether the range has all rows of the input.
    pub(crate) fn is_whole(self) -> bool {
        self.contains(Self::default())
    }
}

/// The rows of the input, over this run and all earlier runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct InputRows {
    /// The rows that `total` counts. `None` if the rows that were read are not one range.
    pub(crate) range: Option<RowRange>,
    /// The number of rows; `None` if it is not known.
    pub(crate) total: Option<u64>,
    /// The number of failed rows.
    pub(crate) failed: u64,
    /// The number of rows in open batches.
    pub(crate) in_batches: u64,
    /// The number of pending rows: rows without a line in the results or the error log, and in no open batch.
    pub(crate) pending: u64,
    /// The command that sends the pending rows; `None` if it is not known.
    pub(crate) resume: Option<PrintedCommand>,
}

/// Failures of the same error class with the same message.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct ShownError {
    /// Its class.
    pub(crate) class: String,
    /// A message.
    pub(crate) message: String,
    /// The number of rows with this failure.
    pub(crate) rows: u64,
    /// The id of one of the failed rows, as an example.
    pub(crate) row: String,
    /// The HTTP status of the failure.
    pub(crate) status: Option<u16>,
    /// Whether the rows may succeed if they are run again without a change.
    pub(crate) retryable: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_contains_every_range_inside_it() {
        let range = |skip, limit| RowRange { skip, limit };
        let whole = RowRange::default();

        assert!(whole.contains(range(7, Some(3))) && whole.contains(range(7, None)));
        assert!(range(2, Some(10)).contains(range(2, Some(10))) && range(2, Some(10)).contains(range(5, Some(7))));
        assert!(!range(2, Some(10)).contains(range(5, Some(8))) && !range(2, Some(10)).contains(range(1, Some(2))));
        assert!(whole.is_whole() && !range(1, None).is_whole() && !range(0, Some(100)).is_whole());
    }
}
