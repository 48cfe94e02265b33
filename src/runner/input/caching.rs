//! Uses the survey (the first reading) of a run's rows to decide which prefixes are cached.

use std::sync::Arc;

use super::Survey;
use crate::catalog::Catalog;
use crate::domain::{Dimension, PoolId, PromptCache, RateLimits};
use crate::plan::{CachePlan, CacheRates, CacheSetting, Group, Load, PrefixCensus};

/// The estimate of the run's speed assumes at most this many output tokens per answer.
const OUTPUT_TOKENS: u64 = 300;

impl Survey {
    /// Decides which prefixes are cached. Adds the expected effect of the cache to the load (the sums over the rows to
    /// be sent). `limits_of` returns the limits that the run begins with.
    pub fn decide_caching(&mut self, cache: PromptCache, catalog: &Catalog, limits_of: &dyn Fn(&PoolId) -> RateLimits) {
        // If rows have the same request and no id, only their order tells them apart. This order must not change.
        let can_be_ordered = self.is_random_access && self.repeats.is_empty();
        let (load, in_batches) = (&self.load, self.in_batches);
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
        let decide = |mut census: PrefixCensus, can_be_ordered: bool, is_counted: &dyn Fn(&Group) -> bool| {
            let setting = |rows_per_second| CacheSetting { cache, rows_per_second, can_be_ordered, rates: &rates };
            let rate = rows_per_second(load, &census.decide(&setting(f64::INFINITY)), is_counted, limits_of);
            census.decide(&setting(rate))
        };
        // In a run with batches, the rows that are certainly sent online have a plan of their own. The plan for the
        // other rows applies if these rows are sent online after all, for example because of a deadline.
        let plan = decide(std::mem::take(&mut self.prefixes), can_be_ordered, &|group| {
            !in_batches || group.terms.is_online_only
        });
        let census = std::mem::take(&mut self.prefixes_of_batches);
        let of_batches = decide(census, false, &|group| !group.terms.is_online_only);
        let rates: Vec<CacheRates> = (0..load.groups().len()).map(rates).collect();
        self.load.set_caching(&plan, &|group| rates[group]);
        self.load.set_caching(&of_batches, &|group| rates[group]);
        self.caching = Arc::new(plan.with_rows_of_batches(of_batches));
    }
}

/// Returns how many of the counted rows are sent per second according to the estimate.
fn rows_per_second(
    load: &Load,
    plan: &CachePlan,
    is_counted: &dyn Fn(&Group) -> bool,
    limits_of: &dyn Fn(&PoolId) -> RateLimits,
) -> f64 {
    let mut pools: Vec<(&PoolId, [f64; 3])> = Vec::new();
    for (at, group) in load.groups().iter().enumerate().filter(|(_, group)| is_counted(group)) {
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
    let rows: u64 = load.groups().iter().filter(|group| is_counted(group)).map(|group| group.rows).sum();
    rows as f64 / slowest
}
