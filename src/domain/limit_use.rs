//! The part of the limits that a run has used.

use super::{Dimension, PoolId};

/// The part of a pool's limits that a run has used. A pool is one set of limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The pool.
    pub pool: PoolId,
    /// The amounts that counted against the limits since the start of the run: requests, uncached input tokens and
    /// output tokens. The amounts are in the order of [`Dimension::ALL`].
    pub counted: [u64; 3],
    /// The amounts that the limits allowed since the start of the run. Each amount is the limit per minute, multiplied
    /// by the minutes of the run; a burst is not included. If a limit changed during the run, each value of the limit
    /// is multiplied by the minutes in which this value applied. The amount is `None` if the dimension has no limit.
    pub allowed: [Option<u64>; 3],
}

impl LimitUse {
    /// Returns the share of one limit that was used. If the run used all that the limit allowed, the share is 1. After
    /// a burst, the share can be more than 1. Returns `None` if there is no limit, or if no time has passed.
    pub fn share(&self, dimension: Dimension) -> Option<f64> {
        let allowed = self.allowed[dimension.index()].filter(|allowed| *allowed > 0)?;
        Some(self.counted[dimension.index()] as f64 / allowed as f64)
    }
}
