//! Counts what the simulator has received and charged. Tests use these counts to judge a run.
//!
//! To limit memory, only a limited number of request bodies and ids have records of their own. If a body or an id gets
//! no record, `is_truncated` is set.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::domain::{Money, Usage};

use super::limits::Reason;

/// The maximum number of request bodies that have separate records. This number is also the maximum number of ids with
/// records.
const KEPT: usize = 1_000_000;
/// The maximum length of all ids together, in bytes.
const KEPT_ID_BYTES: usize = 64 << 20;

/// The counts since the start of the simulator or the last reset.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Books {
    /// The number of requests that arrived, on all endpoints of the API.
    pub requests: u64,
    /// The number of admitted requests to the messages endpoint.
    pub admitted: u64,
    /// The number of responses with each HTTP status. A response is counted when its head (status and headers) is sent.
    pub statuses: BTreeMap<u16, u64>,
    /// The number of 429s per reason.
    pub refused: BTreeMap<&'static str, u64>,
    /// A map from the index of a fault rule to the number of faults that the rule has injected.
    pub faults: BTreeMap<usize, u64>,
    /// A map from the index of an answer rule to the number of answers that the rule has made.
    pub answers: BTreeMap<usize, u64>,
    /// The number of calls that were charged.
    pub billed_calls: u64,
    /// The tokens and web searches that were charged.
    pub billed: Usage,
    /// The money that was charged, in dollars.
    pub billed_usd: f64,
    /// The money that was charged, as an exact amount.
    #[serde(skip)]
    pub billed_money: Money,
    /// The number of cache entries that were written. A request with several breakpoints can write several entries.
    pub cache_writes: u64,
    /// The number of admitted calls that read a cache entry.
    pub cache_reads: u64,
    /// The number of calls that were charged although the client did not get the whole answer.
    pub billed_and_lost: u64,
    /// The number of charged calls that had the same body as an earlier charged call.
    pub billed_again: u64,
    /// The number of complete answers to requests whose body equals the body of an earlier, completely answered
    /// request.
    pub answered_again: u64,
    /// The number of requests that arrived too early: a 429 had told the clients of this model class to wait longer.
    pub too_early: u64,
    /// The largest number of milliseconds by which a request arrived too early.
    pub too_early_ms: u64,
    /// The time of the first request that was too early, in seconds since the start.
    pub first_too_early_s: Option<f64>,
    /// The number of admitted calls that have not ended.
    pub in_flight: u64,
    /// The largest number of calls in flight at once.
    pub highest_in_flight: u64,
    /// The largest debt of an output bucket, in tokens. A debt is the amount by which a level is below zero.
    pub highest_output_debt: u64,
    /// The counts for message batches.
    pub batches: BatchBooks,
    /// A map from a `metadata.user_id` to the charges for its requests.
    pub by_id: BTreeMap<String, IdBooks>,
    /// Whether some bodies or ids have no records, because there were too many of them.
    pub is_truncated: bool,
    #[serde(skip)]
    bodies: HashMap<u64, Seen>,
    #[serde(skip)]
    id_bytes: usize,
}

/// The counts for message batches.
#[derive(Clone, Debug, Default, Serialize)]
pub struct BatchBooks {
    /// The number of calls by name: create, list, retrieve, results, cancel and delete.
    pub calls: BTreeMap<&'static str, u64>,
    /// The number of batches that were created.
    pub created: u64,
    /// The number of batches that ended.
    pub ended: u64,
    /// The number of requests in all batches that were created.
    pub requests: u64,
    /// The number of requests that succeeded. Only these are billed.
    pub succeeded: u64,
    /// The number of requests that ended with an error.
    pub errored: u64,
    /// The number of requests that were canceled.
    pub canceled: u64,
    /// The number of requests that expired.
    pub expired: u64,
    /// The largest number of one organization's requests that waited for processing at the same time.
    pub highest_queue: u64,
}

/// The charges for the requests that share a `metadata.user_id`.
#[derive(Clone, Debug, Default, Serialize)]
pub struct IdBooks {
    /// The number of charged calls.
    pub calls: u64,
    /// The tokens and web searches that were charged for requests with this `metadata.user_id`.
    pub usage: Usage,
    /// The money that was charged for requests with this `metadata.user_id`, in dollars.
    pub usd: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    attempts: u32,
    billed: u32,
    answered: u32,
}

impl Books {
    /// Returns how many times a request with this body was sent before, and counts this attempt.
    pub(super) fn attempt(&mut self, body: u64) -> u32 {
        self.seen(body).map_or(u32::MAX, |seen| {
            seen.attempts = seen.attempts.saturating_add(1);
            seen.attempts - 1
        })
    }

    /// Returns how many times a request with this body was sent. Returns `u32::MAX` if there are too many bodies and
    /// this body has no record.
    pub(super) fn attempts(&self, body: u64) -> u32 {
        let unknown = if self.bodies.len() < KEPT { 0 } else { u32::MAX };
        self.bodies.get(&body).map_or(unknown, |seen| seen.attempts)
    }

    /// Counts a 429.
    pub(super) fn refuse(&mut self, reason: Reason) {
        *self.refused.entry(reason.name()).or_default() += 1;
    }

    /// Counts an admitted call.
    pub(super) fn admit(&mut self) {
        self.admitted += 1;
        self.in_flight += 1;
        self.highest_in_flight = self.highest_in_flight.max(self.in_flight);
    }

    /// Counts the charge of a call.
    pub(super) fn bill(&mut self, body: u64, id: Option<&str>, usage: Usage, money: Money) {
        self.billed_calls += 1;
        self.billed += usage;
        self.billed_money += money;
        self.billed_usd = self.billed_money.dollars();
        let again = self.seen(body).is_some_and(|seen| {
            seen.billed = seen.billed.saturating_add(1);
            seen.billed > 1
        });
        self.billed_again += u64::from(again);
        let Some(id) = id else { return };
        let Some(own) = self.own(id) else { return };
        own.calls += 1;
        own.usage += usage;
        own.usd += money.dollars();
    }

    /// Counts a whole answer.
    pub(super) fn answer(&mut self, body: u64) {
        let again = self.seen(body).is_some_and(|seen| {
            seen.answered = seen.answered.saturating_add(1);
            seen.answered > 1
        });
        self.answered_again += u64::from(again);
    }

    /// Counts a request that arrived too early. `by` is how much longer the client should have waited.
    pub(super) fn early(&mut self, by: std::time::Duration, now: crate::clock::Instant) {
        self.too_early += 1;
        self.too_early_ms = self.too_early_ms.max(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        self.first_too_early_s.get_or_insert(now.as_secs_f64());
    }

    /// Returns a copy of the counts without the records of single bodies. These records can be large, and only this
    /// module needs them.
    pub(super) fn figures(&mut self) -> Self {
        let bodies = std::mem::take(&mut self.bodies);
        let figures = self.clone();
        self.bodies = bodies;
        figures
    }

    /// Returns the total number of responses with status 429, for whatever reason.
    pub fn refused_total(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Returns the charges for an id; `None` if the id is new and there is no room for it.
    fn own(&mut self, id: &str) -> Option<&mut IdBooks> {
        let has_room = self.by_id.len() < KEPT && self.id_bytes + id.len() <= KEPT_ID_BYTES;
        match self.by_id.entry(id.to_owned()) {
            Entry::Occupied(own) => Some(own.into_mut()),
            Entry::Vacant(place) if has_room => {
                self.id_bytes += id.len();
                Some(place.insert(IdBooks::default()))
            }
            Entry::Vacant(_) => {
                self.is_truncated = true;
                None
            }
        }
    }

    fn seen(&mut self, body: u64) -> Option<&mut Seen> {
        if self.bodies.len() >= KEPT && !self.bodies.contains_key(&body) {
            self.is_truncated = true;
            return None;
        }
        Some(self.bodies.entry(body).or_default())
    }
}
