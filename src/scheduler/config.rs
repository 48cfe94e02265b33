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
    /// For the first rows of each pool, and for rows with a large `max_tokens`. For no row if the streams of the
    /// endpoint can't be read.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// Computes the limits that a pool begins with.
pub type LimitsOf = Box<dyn Fn(&PoolId) -> RateLimits + Send>;
/// Computes the cost of an attempt from its usage; `None` for a model without a price.
pub type RealCost = Box<dyn Fn(&Ask, &Usage) -> Option<Money> + Send>;

/// The settings of a scheduler.
pub struct Config {
    /// Limits by preset.
    pub limits_of: LimitsOf,
    /// Limits given by hand. They replace the presets, and responses never raise them.
    pub by_hand: RateLimits,
    /// What is left unused of each limit.
    pub headroom: Headroom,
    /// The endpoints that rows may go to. Others are added as rows for them come. Because these are known from the
    /// start, the run goes on when the only endpoint that had rows so far has halted.
    pub endpoints: Vec<EndpointId>,
    /// The concurrency window that each endpoint begins with.
    pub window: Window,
    /// Tries after the first, for faults of the server and the connection.
    pub max_retries: u32,
    /// The longest time that a row waits because of limits and overload, and that a run waits for an endpoint that
    /// fails.
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
    /// Computes the real cost of an attempt. It is called once for each attempt, when the attempt ends.
    pub real_cost: RealCost,
    /// Decides what follows an answer or a failure. With `None`, every answer and failure is kept as it is.
    pub policy: Option<Policy>,
    /// Seed of all jitter.
    pub seed: u64,
}
