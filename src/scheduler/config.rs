//! The settings of a scheduler.

use std::time::Duration;

use crate::answer::Policy;
use crate::domain::{Ask, Money, PoolId, RateLimits, Usage};
use crate::limiter::Headroom;

use super::budget::Budget;
use super::endpoint::{EndpointId, Window};
use super::halt::HaltRule;

/// When requests ask for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamMode {
    /// The first rows of each pool, and rows with a large `max_tokens`; none where streams can't be read.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Computes the limits a pool begins with.
pub type LimitsOf = Box<dyn Fn(&PoolId) -> RateLimits + Send>;
/// Computes what an attempt cost from what it used; `None` for a model without a price.
pub type RealCost = Box<dyn Fn(&Ask, &Usage) -> Option<Money> + Send>;

/// The settings of a scheduler.
pub struct Config {
    /// Limits by preset.
    pub limits_of: LimitsOf,
    /// Limits given by hand: beat presets, and are never raised by what responses say.
    pub by_hand: RateLimits,
    /// What is left unused of each limit.
    pub headroom: Headroom,
    /// The endpoints that rows may go to. Others are added as rows for them come. With these known from the start, a run
    /// does not end because the only endpoint that had rows so far has halted.
    pub endpoints: Vec<EndpointId>,
    /// The concurrency window that each endpoint begins with.
    pub window: Window,
    /// Tries after the first, for faults of the server and the connection.
    pub max_retries: u32,
    /// The longest a row waits for limits and overload, and a run for an endpoint that fails.
    pub retry_for: Duration,
    /// Whether the endpoint answered rows of this input before this run.
    pub has_worked_before: bool,
    /// Whether a request that may have been billed is tried again.
    pub retry_ambiguous: bool,
    /// When to stream.
    pub stream: StreamMode,
    /// When failing rows stop the run.
    pub halt: HaltRule,
    /// The user's limits on the run.
    pub budget: Budget,
    /// What an attempt cost; called once for each attempt, when it ends.
    pub real_cost: RealCost,
    /// Decides what follows an answer or a failure. With `None` each is kept as it is.
    pub policy: Option<Policy>,
    /// Seed of all jitter.
    pub seed: u64,
}
