//! How much of each limit a run used, in the JSON object `ended`.

use std::time::Duration;

use serde::Serialize;

use super::numbers::rounded;
use crate::domain::{Dimension, LimitUse};
use crate::report::use_of_limits::Level;

/// How much of each limit of one pool this run used.
#[derive(Debug, Serialize)]
pub(crate) struct PoolUse {
    /// The provider of the pool.
    provider: String,
    /// The pool.
    pool: String,
    requests: DimensionUse,
    /// How much of the limit on input tokens was used. Tokens that were read from the prompt cache are not counted.
    input_tokens: DimensionUse,
    output_tokens: DimensionUse,
}

/// How much of one limit this run used.
#[derive(Debug, Serialize)]
pub(crate) struct DimensionUse {
    /// The requests or tokens of this run that counted against the limit.
    counted: u64,
    /// The limit per minute times the minutes of the run; null if there is no limit. If the limit changed during the
    /// run, each value of the limit is multiplied by the minutes in which this value applied.
    allowed: Option<u64>,
    /// `counted` divided by `allowed`. The share can be above 1, because a server can accept the requests of a whole
    /// minute immediately (a burst). Null if there is no limit.
    share: Option<f64>,
    /// How much of the limit was used, as a level: `low`, `moderate` (more than 50 %), `high` (more than 75 %) or
    /// `critical` (more than 90 %). Null if there is no limit, or if the run has taken less than a minute. In a run of
    /// less than a minute, everything that counts against the limit can come from a single burst.
    level: Option<&'static str>,
}

impl PoolUse {
    pub(super) fn of(used: &LimitUse, elapsed: Duration) -> Self {
        let of = |dimension| DimensionUse::of(used, dimension, elapsed);
        Self {
            provider: used.pool.provider.to_string(),
            pool: used.pool.to_string(),
            requests: of(Dimension::Requests),
            input_tokens: of(Dimension::InputTokens),
            output_tokens: of(Dimension::OutputTokens),
        }
    }
}

impl DimensionUse {
    fn of(used: &LimitUse, dimension: Dimension, elapsed: Duration) -> Self {
        let share = used.share(dimension);
        Self {
            counted: used.counted[dimension.index()],
            allowed: used.allowed[dimension.index()],
            share: share.map(rounded),
            level: share.and_then(|share| Level::of(share, elapsed)).map(Level::name),
        }
    }
}
