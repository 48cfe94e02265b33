//! The properties of a simulated API: its models, limits, speed, answers and faults.
//!
//! This module contains all settings of the simulator, as plain values. Tests, flags and presets change only these
//! values.

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
    /// The platform that the simulator imitates, with its paths, names of models, headers and errors.
    pub kind: ProviderKind,
    /// The seed for the random choice of answers, lengths, latencies and faults.
    pub seed: u64,
    /// The models that the simulated API serves.
    pub models: Vec<SimModel>,
    /// What happens to requests for models that are not in `models`.
    pub unknown_models: UnknownModels,
    /// The maximum number of requests per minute to `count_tokens`, separate from all other limits; `None` for no
    /// limit.
    pub count_tokens_rpm: Option<u32>,
    /// The settings for message batches.
    pub batches: BatchConfig,
    /// How much of each limit can be used in one burst.
    pub bursts: Bursts,
    /// How long answers take.
    pub latency: Latency,
    /// The network latency in each direction, for transports that have no latency of their own.
    pub network: Duration,
    /// The distribution of answer lengths.
    pub lengths: OutputLengths,
    /// The shares of answers with stop reasons other than `end_turn`.
    pub endings: Endings,
    /// The time at which output tokens count against the output limit.
    pub output_rule: OutputRule,
    /// Whether a request that gets a 429 counts against the request limit. The documentation does not say what the real
    /// API does.
    pub refused_uses_request: bool,
    /// The usage in answers is the simulator's own token count times this factor. With the factor 1.3, the usage is 30
    /// % higher than the simulator's own count.
    pub token_skew: f64,
    /// At the start of a call, the input limit is charged with an estimate: the real input times this factor.
    pub estimate_skew: f64,
    /// The limit on the growth of input tokens from minute to minute; `None` for no limit.
    pub acceleration: Option<Acceleration>,
    /// How many requests of an organization can be open at once; `None` for no limit. A request beyond this maximum
    /// gets a 429 without rate headers.
    pub max_concurrent: Option<u32>,
    /// The spend cap of an organization; `None` for no cap. After the cap is reached, every request gets a 429.
    pub spend_cap: Option<Money>,
    /// The API keys that are accepted.
    pub keys: Keys,
    /// Which API keys share limits.
    pub organizations: Organizations,
    /// The changes of limits that happen while the simulator runs.
    pub changes: Vec<LimitChange>,
    /// Other clients of the same organization.
    pub others: Vec<OtherClient>,
    /// Injected faults.
    pub faults: FaultPlan,
    /// Scripted answers.
    pub answers: AnswerPlan,
    /// The wall-clock time at [`Instant::ZERO`](crate::clock::Instant::ZERO), for dates in headers.
    pub wall_start: jiff::Timestamp,
}

impl SimConfig {
    /// Returns the settings of an API that serves `models`, with bursts of a whole minute, realistic latency and no
    /// faults.
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

    /// Sets the platform that the simulator imitates.
    #[must_use]
    pub fn of_kind(mut self, kind: ProviderKind) -> Self {
        self.kind = kind;
        self
    }

    /// Gives the limits `limits` to every model.
    #[must_use]
    pub fn with_limits(mut self, limits: RateLimits) -> Self {
        self.models.iter_mut().for_each(|model| model.limits = limits);
        self
    }

    /// Sets the same burst for requests, input tokens and output tokens.
    #[must_use]
    pub fn with_burst(mut self, burst: Burst) -> Self {
        self.bursts = Bursts::all(burst);
        self
    }

    /// Sets the seed for all random choices.
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

    /// Sets the distribution of answer lengths.
    #[must_use]
    pub fn with_lengths(mut self, lengths: OutputLengths) -> Self {
        self.lengths = lengths;
        self
    }

    /// Replaces the settings for message batches.
    #[must_use]
    pub fn with_batches(mut self, batches: BatchConfig) -> Self {
        self.batches = batches;
        self
    }

    /// Sets the injected faults.
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

/// The API keys that a simulated API accepts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Keys {
    /// Every key.
    #[default]
    Any,
    /// Only the keys in this list are accepted.
    Only(Vec<String>),
    /// No key is accepted: every request gets a 401.
    None,
}

/// Which API keys share limits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Organizations {
    /// All keys belong to the same organization, and share limits.
    #[default]
    One,
    /// Each key belongs to an organization of its own, which has its own limits.
    PerKey,
}
