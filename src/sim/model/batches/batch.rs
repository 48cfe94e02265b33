//! The state of one batch.

use std::time::Duration;

use serde_json::{Value, json};

use crate::clock::Instant;
use crate::domain::{Money, Usage};

use super::super::cache::Split;
use super::super::errors::ApiError;

/// How long the results of a batch are kept, counted from its creation. Source: API documentation, "Batch processing"
/// (2026-09-20).
const KEPT: Duration = Duration::from_secs(29 * 24 * 3600);

/// A batch.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    /// The id of the batch.
    pub id: String,
    /// The organization that created the batch.
    pub organization: u64,
    /// The API version in the request that created the batch.
    pub version: &'static str,
    /// The requests.
    pub rows: Rows,
    /// The order in which the requests are processed and their results are written.
    pub order: Box<[u32]>,
    /// How many requests were processed or left out. These are the first requests in `order`.
    pub done: usize,
    /// The number of requests that were left out and not processed; these requests will expire.
    pub left_out: usize,
    /// How long the processing of all requests takes; `None` if they are never processed.
    pub time: Option<Duration>,
    /// The time when the batch was created.
    pub created: Instant,
    /// The time when the batch expires.
    pub expires: Instant,
    /// For a canceled batch: the time when it was canceled, and the time when it ends.
    pub canceled: Option<(Instant, Instant)>,
    /// The time when the batch ended, and the number of requests with each outcome.
    pub ended: Option<(Instant, Counts)>,
    /// Whether a client has downloaded the results of the batch.
    pub is_read: bool,
    /// The time when the results of the batch were removed to save memory.
    pub cleared: Option<Instant>,
    /// Whether a client has deleted the batch.
    pub is_deleted: bool,
    /// The first serial number of the batch. Ids in the results are made from serial numbers.
    pub serial: u64,
}

/// How many serial numbers each request of a batch has.
pub(super) const SERIALS: u64 = 8;

impl Batch {
    /// Returns the number of requests in the batch.
    pub(super) fn len(&self) -> usize {
        self.rows.rows.len()
    }

    /// Returns how many requests of the batch are waiting to be processed.
    pub(super) fn waiting(&self) -> u64 {
        if self.ended.is_some() { 0 } else { (self.len() - self.done + self.left_out) as u64 }
    }

    /// Returns the time at which the request at index `place` of `order` is processed.
    pub(super) fn moment(&self, place: usize) -> Instant {
        let Some(time) = self.time else { return Instant::NEVER };
        let nanos = time.as_nanos() * (place as u128 + 1) / self.len().max(1) as u128;
        self.created + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// Returns how many requests at the beginning of `order` must have been processed by `now`.
    pub(super) fn due(&self, now: Instant) -> usize {
        let (mut from, mut to) = (self.done, self.len());
        while from < to {
            let middle = from.midpoint(to);
            if self.moment(middle) <= now { from = middle + 1 } else { to = middle }
        }
        from
    }

    /// Returns the time when the results of the batch were removed; `None` if they have not been removed.
    pub(super) fn archived(&self, now: Instant) -> Option<Instant> {
        let old = self.created + KEPT;
        self.cleared.or_else(|| (self.ended.is_some() && now >= old).then_some(old))
    }

    /// Returns the JSON object that describes the batch in the API. `wall` converts instants to wall-clock time.
    pub(super) fn describe(&self, origin: &str, now: Instant, wall: impl Fn(Instant) -> jiff::Timestamp) -> Value {
        let time = |at: Instant| format!("{:.6}", wall(at));
        let (archived, ended) = (self.archived(now), self.ended.map(|(at, _)| at));
        let has_results = ended.is_some() && archived.is_none();
        let counts =
            self.ended.map_or(Counts { processing: self.len() as u64, ..Counts::default() }, |(_, counts)| counts);
        json!({
            "id": self.id,
            "type": "message_batch",
            "processing_status": match (self.ended, self.canceled) {
                (Some(_), _) => "ended",
                (None, Some(_)) => "canceling",
                (None, None) => "in_progress",
            },
            "request_counts": {
                "processing": counts.processing,
                "succeeded": counts.succeeded,
                "errored": counts.errored,
                "canceled": counts.canceled,
                "expired": counts.expired,
            },
            "created_at": time(self.created),
            "expires_at": time(self.expires),
            "ended_at": ended.map(time),
            "cancel_initiated_at": self.canceled.map(|(at, _)| time(at)),
            "archived_at": archived.map(time),
            "results_url": has_results.then(|| format!("{origin}{}/{}/results", super::PATH, self.id)),
        })
    }
}

/// The number of requests of a batch in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub processing: u64,
    pub succeeded: u64,
    pub errored: u64,
    pub canceled: u64,
    pub expired: u64,
}

/// The requests of a batch. The ids and bodies of all requests are in one piece of memory.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// The requests, in the order in which they were sent.
    pub rows: Vec<Row>,
}

/// A request of a batch.
#[derive(Clone, Debug)]
pub(super) struct Row {
    at: u32,
    params_bytes: u32,
    id_bytes: u8,
    /// How many times the results contain the line of this request: once, twice or not at all.
    pub line: Line,
    /// The outcome of the request.
    pub end: End,
}

/// How many times the results contain the line of a request: once, twice or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// The line is written once.
    Once,
    /// The line is missing.
    Missing,
    /// The line is written twice. The value is the index of the fault rule that causes the second line.
    Again(u16),
}

/// The outcome of a request in a batch.
#[derive(Clone, Debug)]
pub(super) enum End {
    /// There is no outcome yet.
    Waiting,
    /// The model answered the request.
    Succeeded(Box<Success>),
    /// The API rejected the request, or had an error of its own.
    Errored(Box<ApiError>),
    /// The request was canceled before it was processed.
    Canceled,
    /// The request expired before it was processed.
    Expired,
}

/// What is known about the answer to a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Success {
    /// The index of the model that answered.
    pub model: usize,
    /// The index of the answer rule that made the answer; `None` if no rule made the answer.
    pub rule: Option<usize>,
    /// The tokens of the prompt, as three numbers: uncached tokens, tokens written to the cache, and tokens read from
    /// the cache.
    pub split: Split,
    /// The usage that the answer reports.
    pub usage: Usage,
    /// The money that was charged for the request.
    pub billed: Money,
}

impl Rows {
    /// Returns an empty list of requests, with capacity for `bytes` bytes and `rows` requests.
    pub(super) fn with_room(bytes: usize, rows: usize) -> Self {
        Self { bytes: Vec::with_capacity(bytes), rows: Vec::with_capacity(rows) }
    }

    /// Adds a request. The caller has checked that the id of the request has at most 64 bytes.
    pub(super) fn add(&mut self, custom_id: &str, params: &str) {
        let [at, params_bytes] =
            [self.bytes.len(), params.len()].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let id_bytes = u8::try_from(custom_id.len()).unwrap_or(u8::MAX);
        self.bytes.extend_from_slice(custom_id.as_bytes());
        self.bytes.extend_from_slice(params.as_bytes());
        self.rows.push(Row { at, params_bytes, id_bytes, line: Line::Once, end: End::Waiting });
    }

    /// Frees unused memory.
    pub(super) fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    /// Returns the number of bytes of memory that the requests use.
    pub(super) fn memory(&self) -> usize {
        self.bytes.capacity() + self.rows.capacity() * size_of::<Row>()
    }

    /// Returns the id of a request.
    pub(super) fn custom_id(&self, row: usize) -> &str {
        let (from, to) = self.id_span(row);
        std::str::from_utf8(&self.bytes[from..to]).unwrap_or_default()
    }

    /// Returns the body of a request (its `params`); empty if the bodies were removed.
    pub(super) fn params(&self, row: usize) -> &[u8] {
        let from = self.id_span(row).1;
        &self.bytes[from..from + self.rows[row].params_bytes as usize]
    }

    fn id_span(&self, row: usize) -> (usize, usize) {
        let row = &self.rows[row];
        (row.at as usize, row.at as usize + usize::from(row.id_bytes))
    }

    /// Removes the bodies of the requests, but keeps their ids.
    pub(super) fn drop_params(&mut self) {
        let mut ids = Vec::with_capacity(self.rows.len() * 32);
        for row in 0..self.rows.len() {
            let at = u32::try_from(ids.len()).unwrap_or(u32::MAX);
            ids.extend_from_slice(self.custom_id(row).as_bytes());
            (self.rows[row].at, self.rows[row].params_bytes) = (at, 0);
        }
        ids.shrink_to_fit();
        self.bytes = ids;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stay_when_the_bodies_are_removed() {
        let mut rows = Rows::with_room(0, 0);
        rows.add("a", r#"{"model":"m"}"#);
        rows.add("bb", "{}");
        assert_eq!((rows.custom_id(0), rows.params(1)), ("a", &b"{}"[..]));

        rows.drop_params();

        assert_eq!((rows.custom_id(0), rows.custom_id(1)), ("a", "bb"));
        assert_eq!((rows.params(0), rows.params(1)), (&b""[..], &b""[..]));
    }
}
