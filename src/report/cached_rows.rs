//! Adds up the cost of the rows that used the prompt cache.

use crate::domain::Money;

/// The cost of the rows that used the prompt cache, and their cost without the cache.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct CachedRows {
    /// The cost of the rows that used the cache.
    pub(super) spent: Money,
    /// The amount that these rows would have cost without a cache.
    pub(super) without: Money,
    /// The number of rows that used the cache. Rows without a known price are left out.
    pub(super) rows: u64,
}

impl CachedRows {
    /// Adds a row that was answered, failed, or gets another request. `without` is what the row would have cost without
    /// a cache; `None` if the row did not use the cache or has no known price.
    pub(super) fn add(&mut self, cost: Option<Money>, without: Option<Money>) {
        let Some((cost, without)) = cost.zip(without) else { return };
        self.spent += cost;
        self.without += without;
        self.rows += 1;
    }
}
