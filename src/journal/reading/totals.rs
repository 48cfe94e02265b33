//! The sums of charges and result lines over all runs that wrote to the results.

use std::ops::AddAssign;

use crate::domain::{Money, Quality, Usage};
use crate::journal::charges::Charges;

/// Sums over all runs that wrote to the results. Lines that were removed later are included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of result lines with a complete answer.
    pub ok: u64,
    /// The number of result lines with a truncated answer.
    pub truncated: u64,
    /// The number of result lines with a refusal.
    pub refused: u64,
    /// The number of result lines with a stop reason that the program did not know when it wrote the line.
    pub unknown: u64,
    /// Tokens used.
    pub usage: Usage,
    /// Money spent, for models with a known price.
    pub spend: Money,
    /// The number of attempts that may have been billed but have no stored answer.
    pub maybe_paid: u64,
    /// The highest possible cost of the attempts in `maybe_paid`. This cost is not included in `spend`.
    pub maybe_spend: Money,
}

impl Totals {
    /// Adds usage and money, but does not count a result line.
    pub(crate) fn add(&mut self, charges: Charges) {
        self.usage += charges.usage;
        self.spend += charges.spend;
        self.maybe_paid = self.maybe_paid.saturating_add(charges.maybe_paid);
        self.maybe_spend += charges.maybe_spend;
    }

    /// Adds a result line.
    pub(crate) fn add_result(&mut self, quality: Quality, charges: Charges) {
        match quality {
            Quality::Ok => self.ok += 1,
            Quality::Truncated => self.truncated += 1,
            Quality::Refused => self.refused += 1,
            Quality::Unknown => self.unknown += 1,
        }
        self.add(charges);
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        let Self { ok, truncated, refused, unknown, usage, spend, maybe_paid, maybe_spend } = other;
        self.ok += ok;
        self.truncated += truncated;
        self.refused += refused;
        self.unknown += unknown;
        self.add(Charges { usage, spend, maybe_paid, maybe_spend });
    }
}
