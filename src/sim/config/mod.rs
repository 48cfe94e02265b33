//! What a simulated API is like: its models and limits, its speed, its answers and its moods.
//!
//! Owns plain values only. Everything about the simulator that can differ is here, so that a test, a flag or a preset is
//! a change of a value.

mod answers;
mod limits;
mod models;

use std::time::Duration;

use crate::domain::{Money, RateLimits};

use super::faults::FaultPlan;

pub use answers::{Endings, Latency, OutputLengths};
pub use limits::{Acceleration, Burst, Bursts, LimitChange, OtherClient, OtherManner, OutputRule};
pub(crate) use models::{ModelTraits, SimPrice};
pub use models::{SimModel, UnknownModels};

/// What a simulated API is like.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// Seed of answers, lengths, latencies and faults.
    pub seed: u64,
    /// The models it serves.
    pub models: Vec<SimModel>,
    /// What it does with others.
    pub unknown_models: UnknownModels,
    /// Requests a minute to `count_tokens`, apart from all other limits.
    pub count_tokens_rpm: Option<u32>,
    /// How much of each limit can be used at once.
    pub bursts: Bursts,
    /// How long answers take.
    pub latency: Latency,
    /// Time that a message takes on the way, each way, where the transport has none of its own.
    pub network: Duration,
    /// How long answers are.
    pub lengths: OutputLengths,
    /// How often answers end otherwise than by `end_turn`.
    pub endings: Endings,
    /// When output counts against its limit.
    pub output_rule: OutputRule,
    /// Whether a request that is refused with 429 uses a request of the limit. Unconfirmed for the API.
    pub refused_uses_request: bool,
    /// Tokens for each token of the simulator's own counter: 1.3 makes usage 30 % higher than the text suggests.
    pub token_skew: f64,
    /// Estimate of the input at the start, for each token it turns out to be.
    pub estimate_skew: f64,
    /// Limit on the increase of input tokens from minute to minute.
    pub acceleration: Option<Acceleration>,
    /// Open requests of an organization at most; more get a 429 without rate headers.
    pub max_concurrent: Option<u32>,
    /// Money after which every request gets the 429 of a spend cap.
    pub spend_cap: Option<Money>,
    /// Which keys are good.
    pub keys: Keys,
    /// Whose limits are one.
    pub organizations: Organizations,
    /// Limits that change while it runs.
    pub changes: Vec<LimitChange>,
    /// Other clients of the same organization.
    pub others: Vec<OtherClient>,
    /// Faults on order.
    pub faults: FaultPlan,
    /// Wall time of [`Instant::ZERO`](crate::clock::Instant::ZERO), for dates in headers.
    pub wall_start: jiff::Timestamp,
}

impl SimConfig {
    /// Returns an API with these models, whole-minute bursts, realistic latency and no faults.
    pub fn new(models: Vec<SimModel>) -> Self {
        Self {
            seed: 0,
            models,
            unknown_models: UnknownModels::NotFound,
            count_tokens_rpm: Some(2_000),
            bursts: Bursts::all(Burst::Minute),
            latency: Latency::REALISTIC,
            network: Duration::ZERO,
            lengths: OutputLengths::default(),
            endings: Endings::default(),
            output_rule: OutputRule::AsProduced,
            refused_uses_request: false,
            token_skew: 1.0,
            estimate_skew: 1.0,
            acceleration: None,
            max_concurrent: None,
            spend_cap: None,
            keys: Keys::Any,
            organizations: Organizations::One,
            changes: Vec::new(),
            others: Vec::new(),
            faults: FaultPlan::default(),
            wall_start: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Gives every model the same limits.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.models.iter_mut().for_each(|model| model.limits = limits);
        self
    }

    /// Sets the burst of every dimension.
    #[must_use]
    pub fn with_burst(mut self, burst: Burst) -> Self {
        self.bursts = Bursts::all(burst);
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Sets how long answers take.
    #[must_use]
    pub fn with_latency(mut self, latency: Latency) -> Self {
        self.latency = latency;
        self
    }

    /// Sets how long answers are.
    #[must_use]
    pub fn with_lengths(mut self, lengths: OutputLengths) -> Self {
        self.lengths = lengths;
        self
    }

    /// Sets the faults.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultPlan) -> Self {
        self.faults = faults;
        self
    }
}

/// Which keys are good.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key that is there.
    #[default]
    Any,
    /// These.
    Only(Vec<String>),
    /// None: every answer is a 401.
    None,
}

/// Whose limits are one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Organizations {
    /// Every key belongs to the same organization.
    #[default]
    One,
    /// Each key is an organization of its own.
    PerKey,
}
