//! How a run used the prompt cache, as shown in the last JSON object of the run.

use serde::Serialize;

use super::numbers::rounded;
use crate::report::caching::CacheUse;

/// How a run used the prompt cache.
#[derive(Debug, Serialize)]
pub(super) struct Cache {
    /// Tokens read from the cache.
    read_tokens: u64,
    /// Tokens written to the five-minute cache.
    write_5m_tokens: u64,
    /// Tokens written to the one-hour cache.
    write_1h_tokens: u64,
    /// The hit rate: the number of tokens read from the cache, divided by the number of tokens read or written.
    hit_rate: f64,
    /// The dollars that the cache saved. The number is negative if the cache writes cost more than the cache reads
    /// saved. Null if no price is known.
    saved_usd: Option<f64>,
}

impl Cache {
    pub(super) fn of(used: &CacheUse) -> Self {
        Self {
            read_tokens: used.read,
            write_5m_tokens: used.written_5m,
            write_1h_tokens: used.written_1h,
            hit_rate: rounded(used.hit_rate()),
            saved_usd: saved(used),
        }
    }
}

/// Returns the dollars that the cache saved, rounded to a millionth of a dollar.
pub(super) fn saved(used: &CacheUse) -> Option<f64> {
    used.saved_dollars().map(|dollars| (dollars * 1e6).round() / 1e6)
}
