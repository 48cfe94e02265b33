//! Charges of a line: tokens used, money spent, and attempts that may have been paid for without an answer.

use std::ops::AddAssign;

use crate::domain::{Money, Usage};

/// The charges that a line records. Sums stop at the largest number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charges {
    /// Tokens used.
    pub(crate) usage: Usage,
    /// Money spent.
    pub(crate) spend: Money,
    /// Attempts that may have been billed without a kept answer.
    pub(crate) maybe_paid: u64,
}

impl AddAssign for Charges {
    fn add_assign(&mut self, other: Self) {
        self.usage += other.usage;
        self.spend += other.spend;
        self.maybe_paid = self.maybe_paid.saturating_add(other.maybe_paid);
    }
}
