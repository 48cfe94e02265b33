//! The format of a scenario file. Such a file describes a server, a load, the options of the scheduler, and the allowed
//! ranges of the run's measures.
//!
//! Times are in seconds. Members that are left out have defaults. By default, the API has the limits of tier 2, a burst
//! of a whole minute, and no faults. The scheduler has the defaults of the command line.

use std::collections::BTreeMap;
use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::{ModelClass, RateLimits};
use claude_batch::sim::config::{
    Acceleration, Burst, Bursts, Latency, LimitChange, OtherClient, OtherManner, OutputLengths, SimConfig, SimModel,
};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use serde::Deserialize;

use super::gateway::Hides;

/// A scenario, which tests one behaviour.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The name of the scenario file, which is set when the file is read.
    #[serde(skip)]
    pub name: String,
    /// The condition that the scenario tests, in words.
    pub condition: String,
    /// The settings of the API.
    #[serde(default)]
    pub server: Server,
    /// The rows.
    pub load: Load,
    /// The scheduler's options.
    #[serde(default)]
    pub options: Options,
    /// The number of seeds that the whole table uses.
    #[serde(default = "twenty")]
    pub seeds: u64,
    /// The number of rows in the short run. The short run is one of the normal tests.
    pub short_rows: Option<usize>,
    /// A map from the name of a measure to its least and its greatest allowed value.
    pub expect: BTreeMap<String, [f64; 2]>,
}

fn twenty() -> u64 {
    20
}

/// The settings of the API.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    /// The limits per minute: requests, input tokens and output tokens.
    pub limits: [u32; 3],
    /// The burst of each limit, given as the number of seconds in which the limit refills the burst.
    pub burst_s: [f64; 3],
    /// The time to the first token, in seconds.
    pub first_token_s: f64,
    /// The random spread of the time to the first token, as a share of this time.
    pub jitter: f64,
    /// Output speed.
    pub tokens_per_second: f64,
    /// The time until the server answers with an error, in seconds.
    pub error_s: f64,
    /// The mean length of an answer, in tokens.
    pub output: f64,
    /// The number of output tokens that each token of `max_tokens` adds to an answer.
    pub output_per_max_token: f64,
    /// The standard deviation of the logarithm of an answer's length.
    pub sigma: f64,
    /// The token counts that the server reports, divided by the token counts that the simulator computes from the
    /// texts.
    pub token_skew: f64,
    /// The server's estimate of the input, divided by the real input. When a call starts, the server estimates its
    /// input as the real input times this factor.
    pub estimate_skew: f64,
    /// Other clients.
    pub others: Vec<Other>,
    /// Changes of the limits.
    pub changes: Vec<Change>,
    /// Rules of a fault plan.
    pub faults: serde_json::Value,
    /// The floor and the step of the acceleration limit, in input tokens per minute.
    pub acceleration: Option<[u64; 2]>,
    /// The largest number of requests that the server allows to be open at the same time.
    pub max_concurrent: Option<u32>,
    /// The time, in seconds, when the limit on open requests is removed.
    pub cap_lifted_at_s: Option<f64>,
    /// The models with limits of their own. For these models, the limits in this map are used instead of `limits`.
    pub limits_of: BTreeMap<String, [u32; 3]>,
    /// Whether a proxy hides the response headers about limits.
    pub hides_headers: bool,
    /// The information that a gateway hides.
    pub gateway_hides: Hides,
    /// Whether a proxy sends each request two or three times.
    pub repeats: bool,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            limits: [1_000, 450_000, 90_000],
            burst_s: [60.0; 3],
            first_token_s: 0.6,
            jitter: 0.3,
            tokens_per_second: 120.0,
            error_s: 0.06,
            output: 20.0,
            output_per_max_token: 0.0,
            sigma: 0.5,
            token_skew: 1.0,
            estimate_skew: 1.0,
            others: Vec::new(),
            changes: Vec::new(),
            faults: serde_json::Value::Array(Vec::new()),
            acceleration: None,
            max_concurrent: None,
            cap_lifted_at_s: None,
            limits_of: BTreeMap::new(),
            hides_headers: false,
            gateway_hides: Hides::Nothing,
            repeats: false,
        }
    }
}

/// Another client of the same organization.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Other {
    /// The share of each limit that the client uses, in thousandths.
    pub permille: u32,
    /// The time between the bursts of the client. If this member is missing, the client uses a constant share of each
    /// limit.
    pub every_s: Option<f64>,
}

/// A change of the limits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The time, in seconds, when the limits change.
    pub at_s: f64,
    /// The limits after the change.
    pub limits: [u32; 3],
}

/// The rows.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// The number of rows.
    pub rows: usize,
    /// Their kinds.
    pub kinds: Vec<Kind>,
    /// The order in which the kinds of rows come.
    #[serde(default)]
    pub order: Order,
    /// For each row, the estimated input is the real input multiplied by a random factor from this range.
    #[serde(default = "exact_estimate")]
    pub estimate: [f64; 2],
    /// The model of all rows.
    #[serde(default = "haiku")]
    pub model: String,
}

fn exact_estimate() -> [f64; 2] {
    [1.0, 1.0]
}

fn haiku() -> String {
    "claude-haiku-4-5".to_owned()
}

/// Rows of one kind.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// The weight of this kind among all kinds.
    #[serde(default = "one")]
    pub weight: u32,
    /// The number of words in the prompt. Each word is one token.
    pub words: usize,
    /// The number of words in the system prompt, which can be cached.
    #[serde(default)]
    pub cached_words: usize,
    /// `max_tokens`.
    #[serde(default = "thousand")]
    pub max_tokens: u32,
    /// The model of these rows; by default, the model of the load.
    pub model: Option<String>,
}

fn one() -> u32 {
    1
}

fn thousand() -> u32 {
    1_024
}

/// The order in which the kinds of rows come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// The kinds of rows are in random order.
    #[default]
    Mixed,
    /// The rows in the file are sorted by kind. The run reads the file from start to end.
    Sorted,
    /// The file has all rows of one kind, then all rows of the next kind. The run reads the file in the order that the
    /// first pass over the input recommends.
    Advised,
}

/// The scheduler's options.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Options {
    /// The limits that the scheduler knows at the start. By default, the scheduler knows the limits of the server.
    pub preset: Option<[u32; 3]>,
    /// `--tier none`.
    pub no_preset: bool,
    /// The fixed limit on requests in flight, if there is one.
    pub concurrency: Option<usize>,
    /// `--retry-for`. How long a run waits for an endpoint that does not work. The default is half an hour.
    pub retry_for_s: Option<f64>,
}

impl Scenario {
    /// Reads every scenario of the fixtures, by name.
    pub fn all() -> Vec<Self> {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/scenarios");
        let entries = std::fs::read_dir(&folder).expect("the fixtures are there");
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("a folder can be read").path()).collect();
        paths.sort();
        paths
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .map(|path| Self::read(path))
            .collect()
    }

    fn read(path: &std::path::Path) -> Self {
        let text = std::fs::read_to_string(path).expect("a scenario can be read");
        let mut scenario: Self =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        scenario.name = path.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        scenario
    }

    /// Returns the limits as the scheduler knows them at the start.
    pub fn preset(&self) -> RateLimits {
        match (self.options.no_preset, self.options.preset) {
            (true, _) => RateLimits::NONE,
            (false, Some(limits)) => limits_of(limits),
            (false, None) => limits_of(self.server.limits),
        }
    }

    /// Returns the limits of a model, as the scheduler knows them at the start.
    pub fn preset_of(&self, model: &str) -> RateLimits {
        self.server.limits_of.get(model).map_or(self.preset(), |limits| limits_of(*limits))
    }

    /// Returns the model that the rows of one kind use.
    pub fn model_of<'a>(&'a self, kind: &'a Kind) -> &'a str {
        kind.model.as_deref().unwrap_or(&self.load.model)
    }

    /// Returns the different models of the load.
    pub fn models(&self) -> std::collections::BTreeSet<&str> {
        self.load.kinds.iter().map(|kind| self.model_of(kind)).collect()
    }

    /// Returns the simulated API of this scenario for one seed.
    pub fn sim(&self, seed: u64) -> SimConfig {
        let server = &self.server;
        let [requests, input_tokens, output_tokens] = server.burst_s.map(|seconds| Burst::Time(time(seconds)));
        let rules = serde_json::json!({ "seed": seed, "rules": server.faults }).to_string();
        let mut sim = SimConfig::new(presets::models())
            .with_limits(limits_of(server.limits))
            .with_seed(seed)
            .with_latency(Latency {
                first_token: time(server.first_token_s),
                jitter: server.jitter,
                tokens_per_second: server.tokens_per_second,
                error: time(server.error_s),
            })
            .with_lengths(OutputLengths {
                mean: server.output,
                per_prompt_token: 0.0,
                per_max_token: server.output_per_max_token,
                sigma: server.sigma,
            })
            .with_faults(FaultPlan::parse(&rules, &self.name).unwrap_or_else(|error| panic!("{error}")));
        for (name, limits) in &server.limits_of {
            let is_named =
                |model: &&SimModel| *model.id == **name || model.aliases.iter().any(|alias| **alias == **name);
            let class = sim.models.iter().find(is_named).expect("the simulated API has the model").class.clone();
            let of_class = sim.models.iter_mut().filter(|model| model.class == class);
            of_class.for_each(|model| model.limits = limits_of(*limits));
        }
        sim.bursts = Bursts { requests, input_tokens, output_tokens };
        (sim.token_skew, sim.estimate_skew) = (server.token_skew, server.estimate_skew);
        sim.acceleration = server.acceleration.map(|[floor, step]| Acceleration { floor, step });
        sim.max_concurrent = server.max_concurrent;
        sim.others = server.others.iter().map(other).collect();
        sim.changes = server.changes.iter().map(change).collect();
        sim
    }
}

fn other(other: &Other) -> OtherClient {
    let manner = other.every_s.map_or(OtherManner::Steady, |every| OtherManner::Bursts(time(every)));
    OtherClient {
        class: None::<ModelClass>,
        permille: other.permille,
        from: Instant::ZERO,
        until: Instant::NEVER,
        manner,
    }
}

fn change(change: &Change) -> LimitChange {
    LimitChange { at: super::at(change.at_s), class: None, limits: limits_of(change.limits) }
}

fn limits_of([rpm, itpm, otpm]: [u32; 3]) -> RateLimits {
    RateLimits::new(rpm, itpm, otpm)
}

fn time(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}
