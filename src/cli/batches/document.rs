//! Makes a JSON document about batches, for other programs.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::known::KnownBatch;

/// The version of the format of the JSON document.
const VERSION: u32 = 1;

/// Facts about the whole document: which server was asked, and what is missing.
pub(super) struct About<'a> {
    /// The server that was asked; `None` if the state of the batches is not known.
    pub(super) origin: Option<&'a str>,
    /// The reason why the state of the batches is not known; `None` if the state is known.
    pub(super) unknown: Option<&'a str>,
    /// Whether there are older batches that are not in the document.
    pub(super) has_more: bool,
}

/// Returns the JSON document about `batches`.
///
/// # Errors
/// Fails if the document can't be written as JSON.
pub(super) fn document(about: &About<'_>, batches: &[KnownBatch], now: Timestamp) -> serde_json::Result<String> {
    serde_json::to_string_pretty(&json!({
        "v": VERSION,
        "at": now,
        "origin": about.origin,
        "state_unknown": about.unknown,
        "has_more": about.has_more,
        "batches": batches.iter().map(one).collect::<Vec<_>>(),
    }))
}

fn one(batch: &KnownBatch) -> Value {
    let api = batch.batch.as_ref();
    let log = batch.owner.as_ref().map(|owner| &owner.chapter.submitted);
    json!({
        "id": batch.id,
        "state": batch.state.name().replace(' ', "_"),
        "rows": batch.rows,
        "created_at": batch.created_at,
        "expires_at": batch.expires_at,
        "ended_at": api.and_then(|api| api.ended_at),
        "cancel_initiated_at": api.and_then(|api| api.cancel_initiated_at),
        "archived_at": api.and_then(|api| api.archived_at),
        "counts": api.filter(|_| batch.counts().is_some()).map(|api| json!({
            "succeeded": api.counts.succeeded,
            "errored": api.counts.errored,
            "canceled": api.counts.canceled,
            "expired": api.counts.expired,
        })),
        "run": batch.owner.as_ref().map(|owner| owner.results.display().to_string()),
        "chunk": log.map(|log| log.chunk),
        "is_open": batch.is_open(),
        "reserved_usd": log.map(|log| log.at_most.dollars()),
    })
}
