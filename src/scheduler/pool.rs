//! A pool of limits in the scheduler: its limiter, its ready rows, and what was learned from answers.

use std::collections::VecDeque;

use crate::clock::Instant;
use crate::domain::{Ask, Cost, Dimension};
use crate::limiter::Pool;

use super::config::StreamMode;
use super::entry::Entry;
use super::prediction::Prediction;

/// The next probe (a row that tests a failing endpoint) is chosen from this many rows.
const PROBED: usize = 1024;
/// Requests with a larger `max_tokens` are always streamed. Without a stream, the response to a request with a large
/// `max_tokens` would be silent for more than ten minutes.
///
/// Source: official SDKs, `3600 * max_tokens / 128000 > 600` (2026-11-20).
const STREAM_ABOVE: u32 = 21_333;
/// The first rows of a pool are streamed, until `STREAM_FIRST` response heads (status lines and headers) have come. The
/// response head of a stream comes early, so the run learns the limits early.
const STREAM_FIRST: u32 = 48;

/// What the scheduler knows about one pool.
#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) pool: Pool,
    /// The index of the endpoint that the pool belongs to.
    pub(super) endpoint: usize,
    pub(super) ready: VecDeque<Box<Entry>>,
    pub(super) prediction: Prediction,
    /// The number of requests that were streamed to learn limits early.
    streamed: u32,
    /// The wait of a big row at the front of the queue; `None` while no big row waits there.
    pub(super) passing: Option<Passing>,
    /// The start of the pool's first hold (a forced wait) after its last answer; `None` if no hold has begun since that
    /// answer.
    pub(super) held_since: Option<Instant>,
    /// If the first row's wait is so long that rows can go to another endpoint, the end of this wait; otherwise `None`.
    pub(super) closed_until: Option<Instant>,
    /// If other endpoints have received rows of this pool: for each of these endpoints, the pool that received the
    /// latest row. The list has at most one pool for each endpoint.
    pub(super) goes_to: Vec<usize>,
}

/// The wait of a big row, during which smaller rows can pass it (`passing`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) since: Instant,
    pub(super) dimension: Dimension,
    /// The number of tokens that smaller rows have taken while they passed the big row.
    pub(super) taken: u64,
}

impl PoolState {
    /// Returns the state of a pool that has no rows yet.
    pub(super) fn new(pool: Pool, endpoint: usize) -> Self {
        Self {
            pool,
            endpoint,
            ready: VecDeque::new(),
            prediction: Prediction::default(),
            streamed: 0,
            passing: None,
            held_since: None,
            closed_until: None,
            goes_to: Vec::new(),
        }
    }

    /// Returns the amounts that a request reserves. `read` says how many of the request's estimated input tokens will
    /// probably be read from the cache.
    pub(super) fn cost(&self, ask: &Ask, read: u32) -> Cost {
        let mut cost = self.prediction.cost(ask, read);
        if self.pool.counts_together() {
            cost.input_tokens = cost.input_tokens.saturating_add(ask.max_tokens);
        }
        cost
    }

    /// Returns the position of the row that is sent as the next probe of a failing endpoint. The probe is the row with
    /// the fewest rejections and faults so far. If several rows have equally few rejections and faults, the first of
    /// these rows is the probe.
    pub(super) fn next_probe(&self) -> usize {
        let places = self.ready.iter().take(PROBED).enumerate();
        places.min_by_key(|(_, entry)| entry.turns).map_or(0, |(place, _)| place)
    }

    /// Decides whether a request asks for a stream. The decision applies to all tries of the request, so call this
    /// function only once per request.
    pub(super) fn wants_stream(&mut self, mode: StreamMode, ask: &Ask) -> bool {
        match mode {
            StreamMode::On => true,
            StreamMode::Off => false,
            StreamMode::Auto if ask.max_tokens > STREAM_ABOVE => true,
            // A request with `max_tokens` 0 only fills the cache, and the API refuses to stream it.
            StreamMode::Auto if ask.max_tokens == 0 => false,
            StreamMode::Auto => {
                let learns = self.pool.heads_seen().max(self.streamed) < STREAM_FIRST;
                self.streamed += u32::from(learns);
                learns
            }
        }
    }
}
