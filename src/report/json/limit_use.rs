//! The use of limits in the JSON object `ended`.

use std::time::Duration;

use serde::Serialize;

use super::numbers::rounded;
use crate::domain::{Dimension, LimitUse};
use crate::report::use_of_limits::Level;

/// How much of the limits of one pool this run used.
#[derive(Debug, Serialize)]
pub(crate) struct PoolUse {
    /// The provider of the pool.
    provider: String,
    /// The pool.
    pool: String,
    requests: DimensionUse,
    /// Uncached input tokens.
    input_tokens: DimensionUse,
    output_tokens: DimensionUse,
}

/// How much of one limit this run used.
#[derive(Debug, Serialize)]
pub(crate) struct DimensionUse {
    /// What counted against the limit.
    counted: u64,
    /// The limit per minute times the minutes of the run; null if there is no limit. If the limit changed during the
    /// run, each of its values counts for the time in which it applied.
    allowed: Option<u64>,
    /// `counted` divided by `allowed`. It is above 1 if the run used a burst. Null if there is no limit.
    share: Option<f64>,
    /// `low`, `moderate` (more than 50 %), `high` (more than 75 %) or `critical` (more than 90 %). Null if there is no
    /// limit. Also null for a run of less than a minute: one burst can be the whole use of such a run.
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
