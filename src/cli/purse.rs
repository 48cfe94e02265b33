//! The part of `--max-cost` that a run can't use, because it is spent or kept back.

use crate::batches::Opened;
use crate::domain::Money;
use crate::journal::Recovered;

/// The money that earlier runs with the same results have spent, or that is kept back for their requests.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Purse {
    pub(super) spent: Money,
    /// The highest cost of lost answers that may have been billed.
    lost: Money,
    /// The highest cost of the rows in open batches.
    in_batches: Money,
}

impl Purse {
    /// Returns the money of earlier runs. `batches` are their batches; the batches of a simulator are gone and cost
    /// nothing.
    pub(super) fn of(recovered: &Recovered, batches: Option<&Opened>, is_simulated: bool) -> Self {
        let open = batches.filter(|_| !is_simulated).map(Opened::most_of_open).unwrap_or_default();
        let totals = &recovered.totals;
        Self { spent: totals.spend, lost: totals.maybe_spend, in_batches: open }
    }

    /// Returns the money that a run can't use.
    pub(super) fn used(&self) -> Money {
        self.spent + self.lost + self.in_batches
    }

    /// Returns how much of a limit is left.
    pub(super) fn left_of(&self, most: Money) -> Money {
        most.less(self.used())
    }

    /// Returns, in words, how much is kept back: ` ($0.60 is kept back for lost answers that may have been billed)`.
    /// Returns an empty text if nothing is kept back.
    pub(super) fn kept_words(&self) -> String {
        let parts = [(self.lost, "lost answers that may have been billed"), (self.in_batches, "rows in open batches")];
        let parts = parts.iter().filter(|(money, _)| *money > Money::ZERO);
        let words: Vec<_> = parts.map(|(money, what)| format!("{money} is kept back for {what}")).collect();
        if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_back_is_not_left_and_is_named() {
        let dollars = Money::from_dollars;
        let spent = Purse { spent: dollars(0.25), ..Purse::default() };
        let both = Purse { lost: dollars(0.5), in_batches: dollars(0.125), ..spent };

        assert_eq!((spent.left_of(dollars(1.0)), spent.kept_words()), (dollars(0.75), String::new()));
        assert_eq!((both.left_of(dollars(1.0)), both.left_of(dollars(0.5))), (dollars(0.125), Money::ZERO));
        assert_eq!(
            both.kept_words(),
            " ($0.5000 is kept back for lost answers that may have been billed, $0.1250 is kept back for rows in open \
             batches)"
        );
    }
}
