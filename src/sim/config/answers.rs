//! Settings for the answers of a simulated API: how long they are, how long they take and how they end.

use std::time::Duration;

/// The latency of answers: how long they take.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The median time from a request to the first token of its answer.
    pub first_token: Duration,
    /// The spread of the time to the first token. With 0.3, the time varies around the median by a factor of up to
    /// about 1.35.
    pub jitter: f64,
    /// The number of output tokens per second; infinite for answers that take no time.
    pub tokens_per_second: f64,
    /// The time from a request to an error response.
    pub error: Duration,
}

impl Latency {
    /// The approximate latency of real small models.
    pub(crate) const REALISTIC: Self = Self {
        first_token: Duration::from_millis(600),
        jitter: 0.3,
        tokens_per_second: 120.0,
        error: Duration::from_millis(60),
    };

    /// A latency of zero: answers take no time.
    pub const ZERO: Self =
        Self { first_token: Duration::ZERO, jitter: 0.0, tokens_per_second: f64::INFINITY, error: Duration::ZERO };
}

/// The distribution of answer lengths, before `max_tokens` truncates them. The distribution is lognormal, and its mean
/// grows with the length of the prompt and with `max_tokens`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OutputLengths {
    /// The mean length, in tokens, of the answer to an empty prompt.
    pub mean: f64,
    /// The growth of the mean length, in tokens, per token of the prompt.
    pub per_prompt_token: f64,
    /// The growth of the mean length, in tokens, per token of `max_tokens`.
    pub per_max_token: f64,
    /// The standard deviation of the logarithm of the length. With 0, every answer has the mean length.
    pub sigma: f64,
}

impl OutputLengths {
    /// Returns the distribution in which every answer has `tokens` tokens.
    pub const fn fixed(tokens: u32) -> Self {
        Self { mean: tokens as f64, per_prompt_token: 0.0, per_max_token: 0.0, sigma: 0.0 }
    }
}

impl Default for OutputLengths {
    fn default() -> Self {
        Self { mean: 90.0, per_prompt_token: 0.2, per_max_token: 0.05, sigma: 0.6 }
    }
}

/// The shares of answers with stop reasons other than `end_turn`, each from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Endings {
    /// The share of all requests that the model refuses to answer (stop reason `refusal`) before the first output.
    pub refusal: f64,
    /// Of the answers to requests with stop sequences, the share that ends with `stop_sequence`.
    pub stop_sequence: f64,
    /// Of the answers to requests with tools that the model need not call, the share that ends with `tool_use`.
    pub tool_use: f64,
}
