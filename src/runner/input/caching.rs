//! Uses the survey (the first reading) of a run's rows to decide which prefixes are cached.

use std::sync::Arc;

use super::Survey;
use crate::catalog::Catalog;
use crate::domain::{Dimension, PoolId, PromptCache, RateLimits};
use crate::plan::{CachePlan, CacheRates, CacheSetting, Load};

/// The estimate of the run's speed assumes at most this many output tokens per answer.
const OUTPUT_TOKENS: u64 = 300;

impl Survey {
    /// Decides which prefixes are cached. Adds the expected effect of the cache to the load (the sums over the rows to
    /// be sent). `limits_of` returns the limits that the run begins with.
    pub fn decide_caching(&mut self, cache: PromptCache, catalog: &Catalog, limits_of: &dyn Fn(&PoolId) -> RateLimits) {
        // If rows have the same request and no id, only their order tells them apart. This order must not change.
        let can_be_ordered = self.is_random_access && self.repeats.is_empty();
        let load = &self.load;
        let rates = |group: usize| {
            let Some(group) = load.groups().get(group) else { return CacheRates::default() };
            let prices = catalog.prices(group.terms.speed, &group.model);
            prices
                .and_then(|prices| prices.cache_rates())
                .map_or_else(CacheRates::default, |[write_5m, write_1h, read]| CacheRates { write_5m, write_1h, read })
        };
        // Tokens that are read from the cache do not count against the input limit. So the rate of rows depends on the
        // plan for the cache. The first plan assumes that no cache entry expires. The rate of rows is computed for the
        // first plan, and is then used to make the real plan.
        let setting = |rows_per_second| CacheSetting { cache, rows_per_second, can_be_ordered, rates: &rates };
        let rate = rows_per_second(load, &self.prefixes.decide(&setting(f64::INFINITY)), limits_of);
        let plan = self.prefixes.decide(&setting(rate));
        let rates: Vec<CacheRates> = (0..load.groups().len()).map(rates).collect();
        self.load.set_caching(&plan, &|group| rates[group]);
        self.caching = Arc::new(plan);
        self.prefixes = crate::plan::PrefixCensus::default();
    }
}

/// Returns how many rows are sent per second according to the estimate.
fn rows_per_second(load: &Load, plan: &CachePlan, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> f64 {
    let mut pools: Vec<(&PoolId, [f64; 3])> = Vec::new();
    for (at, group) in load.groups().iter().enumerate() {
        let pool = pools.iter().position(|(pool, _)| **pool == *group.pool).unwrap_or_else(|| {
            pools.push((&group.pool, [0.0; 3]));
            pools.len() - 1
        });
        let read = plan.groups.get(at).map_or(0.0, |cached| cached.read);
        let needs = &mut pools[pool].1;
        needs[0] += group.rows as f64;
        needs[1] += (group.input_tokens.likely as f64 - read).max(0.0);
        needs[2] += group.max_tokens.min(OUTPUT_TOKENS * group.rows) as f64;
    }
    let seconds = |(pool, needs): &(&PoolId, [f64; 3])| {
        let limits = limits_of(pool);
        let of = |dimension: Dimension| {
            limits.of(dimension).map_or(0.0, |limit| 60.0 * needs[dimension.index()] / f64::from(limit.max(1)))
        };
        Dimension::ALL.map(of).into_iter().fold(0.0, f64::max)
    };
    let slowest = pools.iter().map(seconds).fold(0.0, f64::max);
    load.rows() as f64 / slowest
}
