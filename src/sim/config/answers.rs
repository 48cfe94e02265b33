//! How long the answers of a simulated API are, how long they take, and how they end.

use std::time::Duration;

/// How long answers take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// Median time to the first token.
    pub first_token: Duration,
    /// Spread of the time to the first token. With 0.3, this time varies by a factor of about 1.35, up or down.
    pub jitter: f64,
    /// Output tokens per second; infinite for answers that take no time.
    pub tokens_per_second: f64,
    /// Time until an error is sent.
    pub error: Duration,
}

impl Latency {
    /// Close to the speed of small models.
    pub(crate) const REALISTIC: Self = Self {
        first_token: Duration::from_millis(600),
        jitter: 0.3,
        tokens_per_second: 120.0,
        error: Duration::from_millis(60),
    };

    /// Answers that take no time.
    pub const ZERO: Self =
        Self { first_token: Duration::ZERO, jitter: 0.0, tokens_per_second: f64::INFINITY, error: Duration::ZERO };
}

/// The distribution of the lengths of answers, before `max_tokens` cuts them. It is a lognormal distribution. Its mean
/// grows with the prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputLengths {
    /// Mean for an empty prompt, in tokens.
    pub mean: f64,
    /// Additional tokens for each token of the prompt.
    pub per_prompt_token: f64,
    /// Additional tokens for each token of `max_tokens`.
    pub per_max_token: f64,
    /// Spread of the logarithm; with 0, every answer has the mean length.
    pub sigma: f64,
}

impl OutputLengths {
    /// Every answer has this many tokens.
    pub const fn fixed(tokens: u32) -> Self {
        Self { mean: tokens as f64, per_prompt_token: 0.0, per_max_token: 0.0, sigma: 0.0 }
    }
}

impl Default for OutputLengths {
    fn default() -> Self {
        Self { mean: 90.0, per_prompt_token: 0.2, per_max_token: 0.05, sigma: 0.6 }
    }
}

/// How often answers end with something other than `end_turn`. Each value is a share, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Endings {
    /// The share of all requests that are answered with `refusal`, before any output.
    pub refusal: f64,
    /// The share of the requests with stop sequences whose answers end with `stop_sequence`.
    pub stop_sequence: f64,
    /// The share of answers that end with `tool_use`. It applies to requests that have tools and let the model decide
    /// whether to call a tool.
    pub tool_use: f64,
}
