//! What happened to each batch and to each of its requests, for tests.

use crate::clock::Instant;
use crate::domain::{Money, Usage};

use super::super::state::Model;
use super::batch::{Batch, End};

/// What is known about a batch. Deleted batches have records too.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord<'a>(&'a Batch);

/// What is known about a request of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchedRequest<'a> {
    /// Its id.
    pub custom_id: &'a str,
    /// Its body, as it was sent. It is empty if the batch was deleted.
    pub params: &'a [u8],
    /// How it ended: `succeeded`, `errored`, `canceled` or `expired`; `processing` if it has not ended.
    pub result: &'static str,
    /// What was charged, in tokens.
    pub usage: Usage,
    /// What was charged.
    pub billed: Money,
}

impl<'a> BatchRecord<'a> {
    /// Returns its id.
    pub fn id(&self) -> &'a str {
        &self.0.id
    }

    /// Returns when it was created.
    pub fn created(&self) -> Instant {
        self.0.created
    }

    /// Returns when it was canceled.
    pub fn canceled(&self) -> Option<Instant> {
        self.0.canceled.map(|(at, _)| at)
    }

    /// Returns when it ended.
    pub fn ended(&self) -> Option<Instant> {
        self.0.ended.map(|(at, _)| at)
    }

    /// Returns whether it was deleted.
    pub fn is_deleted(&self) -> bool {
        self.0.is_deleted
    }

    /// Returns its requests, in the order of the body that created it.
    pub fn requests(&self) -> impl ExactSizeIterator<Item = BatchedRequest<'a>> + use<'a> {
        let rows = &self.0.rows;
        rows.rows.iter().enumerate().map(|(at, row)| {
            let (result, usage, billed) = match &row.end {
                End::Waiting => ("processing", Usage::default(), Money::ZERO),
                End::Succeeded(success) => ("succeeded", success.usage, success.billed),
                End::Errored(_) => ("errored", Usage::default(), Money::ZERO),
                End::Canceled => ("canceled", Usage::default(), Money::ZERO),
                End::Expired => ("expired", Usage::default(), Money::ZERO),
            };
            BatchedRequest { custom_id: rows.custom_id(at), params: rows.params(at), result, usage, billed }
        })
    }
}

impl Model {
    /// Returns what is known about all batches at `now`, in the order in which they were created.
    pub fn batches(&mut self, now: Instant) -> impl Iterator<Item = BatchRecord<'_>> {
        self.advance(now);
        self.batches.by_number.values().map(BatchRecord)
    }

    /// Returns the same as JSON, without the bodies.
    #[cfg(feature = "sim")]
    pub(crate) fn batches_as_json(&mut self, now: Instant) -> serde_json::Value {
        use serde_json::json;
        let seconds = |at: Instant| at.as_secs_f64();
        let request = |request: BatchedRequest<'_>| json!({ "custom_id": request.custom_id, "result": request.result, "billed_usd": request.billed.dollars() });
        let batch = |record: BatchRecord<'_>| {
            json!({
                "id": record.id(),
                "created_at_s": seconds(record.created()),
                "canceled_at_s": record.canceled().map(seconds),
                "ended_at_s": record.ended().map(seconds),
                "deleted": record.is_deleted(),
                "requests": record.requests().map(request).collect::<Vec<_>>(),
            })
        };
        serde_json::Value::Array(self.batches(now).map(batch).collect())
    }
}
