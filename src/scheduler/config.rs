//! The settings of a scheduler.

use std::time::Duration;

use crate::answer::Policy;
use crate::domain::{Ask, Money, PoolId, RateLimits, Usage};
use crate::limiter::Headroom;

use super::budget::Budget;
use super::endpoint::{EndpointId, Window};
use super::fallback::Fallback;
use super::halt::HaltRule;

/// Which requests ask for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamMode {
    /// The first rows of each pool and rows with a large `max_tokens` ask for a stream. If the streams of the endpoint
    /// can't be read, no row asks for a stream.
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
    /// Limits given by hand. They replace the presets, and responses never raise them. In a chain, these are the limits
    /// of the first endpoint.
    pub by_hand: RateLimits,
    /// The share of each limit that is left unused.
    pub headroom: Headroom,
    /// Endpoints that are known from the start. An endpoint that is not listed is added with its first row. The list
    /// matters if only one endpoint has had rows so far and that endpoint halts. The run then continues only if another
    /// endpoint is known. With `fallback`, they are the chain, in this order.
    pub endpoints: Vec<EndpointId>,
    /// The concurrency window with which each endpoint begins.
    pub window: Window,
    /// How many times a row is tried again after faults of the server and the connection.
    pub max_retries: u32,
    /// The longest time that a row waits because of limits and overload. A run also waits at most this long for an
    /// endpoint that fails.
    pub retry_for: Duration,
    /// Whether the endpoint answered rows of this input before this run.
    pub has_worked_before: bool,
    /// Whether a request that may have been billed is tried again.
    pub retry_ambiguous: bool,
    /// Which requests ask for a stream.
    pub stream: StreamMode,
    /// The rule that decides when failing rows stop the run.
    pub halt: HaltRule,
    /// The user's limits on the run.
    pub budget: Budget,
    /// Computes the real cost of an attempt. It is called once for each attempt, when the attempt ends.
    pub real_cost: RealCost,
    /// Decides what to do after an answer or a failure. With `None`, every answer and failure is kept as it is.
    pub policy: Option<Policy>,
    /// When and how rows are sent to the next endpoint; `None` if rows stay where they are.
    pub fallback: Option<Fallback>,
    /// Seed of all jitter.
    pub seed: u64,
}
