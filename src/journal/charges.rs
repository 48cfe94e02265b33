//! The charges of a line: tokens used, money spent, and attempts that may have been billed although no answer was
//! kept.

use std::ops::AddAssign;

use crate::domain::{Money, Usage};

/// The charges that a line records. Sums saturate instead of overflowing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Charges {
    /// Tokens used.
    pub(crate) usage: Usage,
    /// Money spent.
    pub(crate) spend: Money,
    /// The number of attempts that may have been billed although no answer was kept.
    pub(crate) maybe_paid: u64,
    /// The highest possible cost of these attempts. `spend` does not include this cost.
    pub(crate) maybe_spend: Money,
}

impl AddAssign for Charges {
    fn add_assign(&mut self, other: Self) {
        self.usage += other.usage;
        self.spend += other.spend;
        self.maybe_paid = self.maybe_paid.saturating_add(other.maybe_paid);
        self.maybe_spend += other.maybe_spend;
    }
}
