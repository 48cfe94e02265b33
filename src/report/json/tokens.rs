//! Numbers of tokens in JSON.

use serde::Serialize;

use crate::domain::Usage;

/// The tokens of a row, or of all rows together.
#[derive(Serialize)]
pub(crate) struct Tokens {
    /// Input tokens that were not read from the prompt cache, including tokens written to the cache.
    input: u64,
    cache_read: u64,
    /// Input tokens written to the prompt cache. These tokens are also part of `input`.
    cache_write: u64,
    output: u64,
}

impl Tokens {
    /// Returns the numbers of tokens of a usage.
    pub(crate) fn of(usage: &Usage) -> Self {
        Self {
            input: usage.limited_input_tokens(),
            cache_read: usage.cache_read_tokens,
            cache_write: usage.cache_write_tokens(),
            output: usage.output_tokens,
        }
    }
}
