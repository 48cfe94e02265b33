//! A pool of limits in the scheduler: its limiter, its ready rows, and what was learned from answers.

use std::collections::VecDeque;

use crate::clock::Instant;
use crate::domain::{Ask, Cost, Dimension};
use crate::limiter::Pool;

use super::config::StreamMode;
use super::entry::Entry;
use super::prediction::Prediction;

/// The next probe is chosen among this many rows.
const PROBED: usize = 1024;
/// Requests with a `max_tokens` above this number are always streamed. Without a stream, the call would be silent for
/// more than ten minutes.
///
/// Source: official SDKs, `3600 * max_tokens / 128000 > 600` (2026-11-20).
const STREAM_ABOVE: u32 = 21_333;
/// The first rows of a pool are streamed until this many heads have come. The head of a stream comes early, and so
/// limits are learned early.
const STREAM_FIRST: u32 = 48;

/// What the scheduler knows about one pool.
#[derive(Debug)]
pub(super) struct PoolState {
    pub(super) pool: Pool,
    /// The endpoint to which the pool belongs.
    pub(super) endpoint: usize,
    pub(super) ready: VecDeque<Box<Entry>>,
    pub(super) prediction: Prediction,
    /// How many requests were streamed to learn limits early.
    streamed: u32,
    /// The wait of a big row at the front of the queue; `None` while no big row waits there.
    pub(super) passing: Option<Passing>,
    /// The start of the first hold since the last answer.
    pub(super) held_since: Option<Instant>,
    /// When the wait of the first row ends, if this wait is so long that the row goes to another endpoint; otherwise
    /// `None`.
    pub(super) closed_until: Option<Instant>,
    /// The pools at other endpoints to which rows of this pool were sent last: at most one for each endpoint.
    pub(super) goes_to: Vec<usize>,
}

/// The wait of a big row, while smaller rows pass it (`passing`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Passing {
    pub(super) since: Instant,
    pub(super) dimension: Dimension,
    /// How many tokens the passing rows have taken.
    pub(super) taken: u64,
}

impl PoolState {
    /// Returns a pool without rows.
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

    /// Returns what a request reserves. `read` of its estimated input tokens are probably read from the cache.
    pub(super) fn cost(&self, ask: &Ask, read: u32) -> Cost {
        let mut cost = self.prediction.cost(ask, read);
        if self.pool.counts_together() {
            cost.input_tokens = cost.input_tokens.saturating_add(ask.max_tokens);
        }
        cost
    }

    /// Returns the position of the row that is sent as the next probe of a failing endpoint. It is the first of the
    /// rows with the fewest turns.
    pub(super) fn next_probe(&self) -> usize {
        let places = self.ready.iter().take(PROBED).enumerate();
        places.min_by_key(|(_, entry)| entry.turns).map_or(0, |(place, _)| place)
    }

    /// Decides whether a request asks for a stream. The decision is the same for all tries of a request, so call this
    /// only once for each request.
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
