//! Records of what happened to each batch and to each of its requests, for tests.

use crate::clock::Instant;
use crate::domain::{Money, Usage};

use super::super::state::Model;
use super::batch::{Batch, End};

/// The record of a batch. Deleted batches have records too.
#[derive(Clone, Copy, Debug)]
pub struct BatchRecord<'a>(&'a Batch);

/// The record of a request of a batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchedRequest<'a> {
    /// The `custom_id` of the request.
    pub custom_id: &'a str,
    /// The body of the request (its `params`), as it was sent. The body is empty if the batch was deleted, or if its
    /// results were removed.
    pub params: &'a [u8],
    /// The outcome of the request: `succeeded`, `errored`, `canceled` or `expired`; `processing` if there is none yet.
    pub result: &'static str,
    /// The tokens and web searches that the answer used.
    pub usage: Usage,
    /// The money that was charged for the request.
    pub billed: Money,
}

impl<'a> BatchRecord<'a> {
    /// Returns the id of the batch.
    pub fn id(&self) -> &'a str {
        &self.0.id
    }

    /// Returns the time when the batch was created.
    pub fn created(&self) -> Instant {
        self.0.created
    }

    /// Returns the time when the batch was canceled; `None` if it was not canceled.
    pub fn canceled(&self) -> Option<Instant> {
        self.0.canceled.map(|(at, _)| at)
    }

    /// Returns the time when the batch ended; `None` if it has not ended.
    pub fn ended(&self) -> Option<Instant> {
        self.0.ended.map(|(at, _)| at)
    }

    /// Returns whether the batch was deleted.
    pub fn is_deleted(&self) -> bool {
        self.0.is_deleted
    }

    /// Returns the records of the batch's requests, in the order in which they were sent.
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
    /// Returns the records of all batches at `now`, in the order in which the batches were created.
    pub fn batches(&mut self, now: Instant) -> impl Iterator<Item = BatchRecord<'_>> {
        self.advance(now);
        self.batches.by_number.values().map(BatchRecord)
    }

    /// Returns the records of all batches as JSON, without the bodies of requests.
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
