//! Adds up the money of the rows that used the prompt cache.

use crate::domain::Money;

/// What the rows that used the cache cost, and what they would have cost without it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CachedRows {
    /// What these rows cost.
    pub(super) spent: Money,
    /// What they would have cost without a cache.
    pub(super) without: Money,
    /// The number of rows. Rows without a price are not counted.
    pub(super) rows: u64,
}

impl CachedRows {
    /// Adds a row. `without` is what the row would have cost without a cache; `None` if it did not use the cache or has
    /// no price.
    pub(super) fn add(&mut self, cost: Option<Money>, without: Option<Money>) {
        let Some((cost, without)) = cost.zip(without) else { return };
        self.spent += cost;
        self.without += without;
        self.rows += 1;
    }
}
