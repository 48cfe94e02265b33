//! The properties of a simulated API: its models, limits, speed, answers and faults.
//!
//! This module contains plain values only. All settings of the simulator are here, so tests, flags and presets only
//! change values.

mod answers;
mod batches;
mod limits;
mod models;

use std::time::Duration;

use crate::domain::{Money, ProviderKind, RateLimits};

use super::answers::AnswerPlan;
use super::faults::FaultPlan;

pub use answers::{Endings, Latency, OutputLengths};
pub use batches::{BatchConfig, BatchTime};
pub use limits::{Acceleration, Burst, Bursts, LimitChange, OtherClient, OtherManner, OutputRule};
pub(crate) use models::{ModelTraits, SimPrice};
pub use models::{SimModel, UnknownModels};

/// The settings of a simulated API.
#[derive(Clone, Debug)]
pub struct SimConfig {
    /// The platform that the simulator plays: its paths, names of models, headers and errors.
    pub kind: ProviderKind,
    /// Seed for answers, lengths, latencies and faults.
    pub seed: u64,
    /// The models it serves.
    pub models: Vec<SimModel>,
    /// What it does with requests for other models.
    pub unknown_models: UnknownModels,
    /// Limit on the requests to `count_tokens` per minute. It is separate from all other limits.
    pub count_tokens_rpm: Option<u32>,
    /// How it treats message batches.
    pub batches: BatchConfig,
    /// How much of each limit can be used in one burst.
    pub bursts: Bursts,
    /// How long answers take.
    pub latency: Latency,
    /// Network latency in each direction, for transports that have no latency of their own.
    pub network: Duration,
    /// How long answers are.
    pub lengths: OutputLengths,
    /// How often answers do not end with `end_turn`.
    pub endings: Endings,
    /// When output counts against its limit.
    pub output_rule: OutputRule,
    /// Whether a request that is refused with 429 counts against the request limit. Unconfirmed for the API.
    pub refused_uses_request: bool,
    /// The usage in an answer is the simulator's own token count times this factor. With 1.3, usage is 30 % higher than
    /// that count.
    pub token_skew: f64,
    /// At the start of a call, the input limit counts an estimate: the real input times this factor.
    pub estimate_skew: f64,
    /// Limit on the increase of input tokens from minute to minute.
    pub acceleration: Option<Acceleration>,
    /// How many requests of an organization can be open at the same time. Any further request gets a 429 without rate
    /// headers.
    pub max_concurrent: Option<u32>,
    /// The spend cap. Once it is reached, every request gets a 429.
    pub spend_cap: Option<Money>,
    /// Which keys are accepted.
    pub keys: Keys,
    /// Which keys share limits.
    pub organizations: Organizations,
    /// Limits that change while the simulator runs.
    pub changes: Vec<LimitChange>,
    /// Other clients of the same organization.
    pub others: Vec<OtherClient>,
    /// Injected faults.
    pub faults: FaultPlan,
    /// Scripted answers.
    pub answers: AnswerPlan,
    /// Wall time of [`Instant::ZERO`](crate::clock::Instant::ZERO), for dates in headers.
    pub wall_start: jiff::Timestamp,
}

impl SimConfig {
    /// Returns an API with these models, bursts of a whole minute, realistic latency and no faults.
    pub fn new(models: Vec<SimModel>) -> Self {
        Self {
            kind: ProviderKind::Anthropic,
            seed: 0,
            models,
            unknown_models: UnknownModels::NotFound,
            count_tokens_rpm: Some(2_000),
            batches: BatchConfig::default(),
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
            answers: AnswerPlan::default(),
            wall_start: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    /// Sets the platform.
    #[must_use]
    pub fn of_kind(mut self, kind: ProviderKind) -> Self {
        self.kind = kind;
        self
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

    /// Sets how message batches are treated.
    #[must_use]
    pub fn with_batches(mut self, batches: BatchConfig) -> Self {
        self.batches = batches;
        self
    }

    /// Sets the faults.
    #[must_use]
    pub fn with_faults(mut self, faults: FaultPlan) -> Self {
        self.faults = faults;
        self
    }

    /// Sets the scripted answers.
    #[must_use]
    pub fn with_answers(mut self, answers: AnswerPlan) -> Self {
        self.answers = answers;
        self
    }
}

/// Which keys are accepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key.
    #[default]
    Any,
    /// Only these keys.
    Only(Vec<String>),
    /// No key: every answer is a 401.
    None,
}

/// Which keys share limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Organizations {
    /// Every key belongs to the same organization.
    #[default]
    One,
    /// Each key is an organization of its own.
    PerKey,
}
