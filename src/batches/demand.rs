//! Estimates how much of the online limits some rows would use if they were sent online, and for how long.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Ask, PoolId, RateLimits, Usage};

/// Until the first answer comes, each answer is expected to have this many output tokens.
const FIRST_OUTPUT: f64 = 256.0;
/// If at least this many answers have come, their mean length is exact enough. If there are fewer answers, the mean
/// length is multiplied by [`UNSURE`], so longer prompts and answers are expected.
const ENOUGH: f64 = 30.0;
/// Until `ENOUGH` answers have come, the mean length is multiplied by this factor.
const UNSURE: f64 = 1.25;

/// The totals of the rows in one pool (a group of rows that share limits).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Sums {
    rows: f64,
    /// The estimated input tokens of the rows.
    input: f64,
    max_tokens: f64,
}

/// How many requests and tokens some rows would use from each pool's limits if these rows were sent online.
#[derive(Clone, Debug, Default)]
pub struct Demand(BTreeMap<Arc<PoolId>, Sums>);

impl Demand {
    /// Adds the demand of a row.
    pub fn add(&mut self, ask: &Ask) {
        self.add_rows(&ask.pool, 1.0, f64::from(ask.cost.input_tokens), f64::from(ask.max_tokens));
    }

    /// Adds the demand of several rows of one pool: the number of rows, their estimated input tokens, and the sum of
    /// their `max_tokens`.
    pub(crate) fn add_rows(&mut self, pool: &Arc<PoolId>, rows: f64, input: f64, max_tokens: f64) {
        let sums = self.0.entry(pool.clone()).or_default();
        sums.rows += rows;
        sums.input += input;
        sums.max_tokens += max_tokens;
    }

    /// Removes the demand of a row.
    pub(crate) fn remove(&mut self, ask: &Ask) {
        if let Some(sums) = self.0.get_mut(&ask.pool) {
            sums.rows = (sums.rows - 1.0).max(0.0);
            sums.input = (sums.input - f64::from(ask.cost.input_tokens)).max(0.0);
            sums.max_tokens = (sums.max_tokens - f64::from(ask.max_tokens)).max(0.0);
        }
    }

    /// Adds the demand `other`, multiplied by `share`.
    pub(crate) fn add_share(&mut self, other: &Self, share: f64) {
        for (pool, sums) in &other.0 {
            self.add_rows(pool, sums.rows * share, sums.input * share, sums.max_tokens * share);
        }
    }

    /// Returns the number of rows in the demand.
    pub(crate) fn rows(&self) -> f64 {
        self.0.values().map(|sums| sums.rows).sum()
    }

    /// Returns how long the limits take to admit all rows. The pools work in parallel, so the slowest pool decides.
    pub(crate) fn time(&self, lengths: &Lengths, limits_of: &dyn Fn(&PoolId) -> RateLimits) -> Duration {
        let minutes = |(pool, sums): (&Arc<PoolId>, &Sums)| {
            let RateLimits { rpm, itpm, otpm } = limits_of(pool);
            let [input, output] = lengths.expected(sums);
            let of = |amount: f64, limit: Option<u32>| limit.map_or(0.0, |limit| amount / f64::from(limit.max(1)));
            of(sums.rows, rpm).max(of(input, itpm)).max(of(output, otpm))
        };
        let longest = self.0.iter().map(minutes).fold(0.0, f64::max);
        Duration::try_from_secs_f64(longest * 60.0).unwrap_or(Duration::MAX)
    }
}

/// The lengths of prompts and answers, learned from the answers so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lengths {
    answers: f64,
    output: f64,
    real_input: f64,
    estimated_input: f64,
}

impl Lengths {
    /// Updates the lengths with the usage of an answer.
    pub(crate) fn learn(&mut self, estimated_input: u32, usage: &Usage) {
        self.answers += 1.0;
        self.output += usage.output_tokens as f64;
        self.real_input += usage.prompt_tokens() as f64;
        self.estimated_input += f64::from(estimated_input);
    }

    /// Returns the input and output tokens that these rows are expected to need.
    fn expected(&self, sums: &Sums) -> [f64; 2] {
        let (mean, ratio) = match self.answers {
            none if none < 1.0 => (FIRST_OUTPUT, 1.0),
            some => {
                let unsure = if some < ENOUGH { UNSURE } else { 1.0 };
                (unsure * self.output / some, unsure * self.real_input / self.estimated_input.max(1.0))
            }
        };
        [sums.input * ratio, (sums.rows * mean).min(sums.max_tokens)]
    }
}
