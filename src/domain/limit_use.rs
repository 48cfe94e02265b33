//! How much of its limits a run has used.

use super::{Dimension, PoolId};

/// How much of the limits of one pool a run has used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitUse {
    /// The pool.
    pub pool: PoolId,
    /// What counted against the limits since the start of the run: requests, uncached input tokens and output tokens,
    /// in the order of [`Dimension::ALL`].
    pub counted: [u64; 3],
    /// What the limits allowed in the same time without a burst: the limit per minute times the minutes of the run. If
    /// a limit changed, each limit counts for the time in which it applied. `None` where there is no limit.
    pub allowed: [Option<u64>; 3],
}

impl LimitUse {
    /// Returns the use of one limit: 1 if the run used all that the limit allowed, more if it used a burst. `None` if
    /// there is no limit, or if no time has passed.
    pub fn share(&self, dimension: Dimension) -> Option<f64> {
        let allowed = self.allowed[dimension.index()].filter(|allowed| *allowed > 0)?;
        Some(self.counted[dimension.index()] as f64 / allowed as f64)
    }
}
