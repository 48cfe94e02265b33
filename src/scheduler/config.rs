//! The settings of a scheduler.

use std::time::Duration;

use crate::answer::Policy;
use crate::domain::{Ask, Money, PoolId, RateLimits, Usage};
use crate::limiter::Headroom;

use super::budget::Budget;
use super::endpoint::{EndpointId, Window};
use super::fallback::Fallback;
use super::halt::HaltRule;

/// The rule that decides which requests ask for a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamMode {
    /// The first rows of each pool and rows with a large `max_tokens` ask for a stream. If the program can't read the
    /// endpoint's streams, no row asks for a stream.
    #[default]
    Auto,
    /// All requests ask for a stream.
    On,
    /// No request asks for a stream.
    Off,
}

/// A function that computes the first limits of a pool.
pub type LimitsOf = Box<dyn Fn(&PoolId) -> RateLimits + Send>;
/// A function that computes the cost of an attempt from its usage. If the model has no price, the function returns
/// `None`.
pub type RealCost = Box<dyn Fn(&Ask, &Usage) -> Option<Money> + Send>;

/// The settings of a scheduler.
pub struct Config {
    /// The preset limits of each pool.
    pub limits_of: LimitsOf,
    /// The limits that the user gave by hand. The user's limits replace the presets, and limits in responses never
    /// raise the user's limits. In a chain, the user's limits apply only to the first endpoint.
    pub by_hand: RateLimits,
    /// The share of each limit that is left unused.
    pub headroom: Headroom,
    /// The endpoints that are known from the start. An endpoint that is not in this list is added with its first row.
    /// The list matters if an endpoint halts before the scheduler has got rows for any other endpoint. The run then
    /// continues only if the list contains another endpoint. With `fallback`, this list is the chain: rows go to the
    /// first endpoint, then to the next.
    pub endpoints: Vec<EndpointId>,
    /// The first concurrency window (the number of requests that are allowed in flight) of each endpoint.
    pub window: Window,
    /// How many times a row is tried again after faults of the server or the connection.
    pub max_retries: u32,
    /// How long a row can wait because of limits and overload. If an endpoint fails, the run waits for the endpoint,
    /// but not longer than this time.
    pub retry_for: Duration,
    /// Whether the endpoint answered requests for rows of this input in an earlier run.
    pub has_worked_before: bool,
    /// Whether a request that was possibly billed is tried again.
    pub retry_ambiguous: bool,
    /// The rule that decides which requests ask for a stream.
    pub stream: StreamMode,
    /// The rule that decides when failing rows stop the run.
    pub halt: HaltRule,
    /// The user's limits on money, requests and time.
    pub budget: Budget,
    /// The function that computes the real cost of an attempt. The scheduler calls this function once for each attempt,
    /// when the attempt ends.
    pub real_cost: RealCost,
    /// The policy that decides what to do after an answer or a failure. With `None`, every answer and every failure is
    /// kept as it is.
    pub policy: Option<Policy>,
    /// The settings of the chain of endpoints; `None` if rows never move to another endpoint.
    pub fallback: Option<Fallback>,
    /// The seed of the random numbers for all jitter.
    pub seed: u64,
}
