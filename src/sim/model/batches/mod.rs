//! Simulates message batches: many requests in one call, which are processed later at half the price.
//!
//! `calls` and `listing` answer the calls to the endpoints, and `injected` injects faults into these answers. `create`
//! reads the body that creates a batch. The module `ends` changes batches as time passes, the module `work` processes a
//! request, and the module `results` writes the results. `batch` defines the state of one batch, and `store` keeps all
//! batches. From `records`, tests can read what happened to each request.
//!
//! A batch keeps one copy of its requests, as bytes. The answers are not kept: at each download of the results, they
//! are made again, part by part. Source: API documentation, "Batch processing" (2026-09-20), and API reference,
//! "Message Batches" (Python SDK 2.14.0, 2026-11).
//!
//! Invariants:
//! - The requests of a batch are spread evenly over the processing time, in a random order that depends on the seed. A
//!   request is billed when it is processed.
//! - After a batch has ended, its counts and the results of its requests never change.

mod batch;
mod calls;
mod create;
mod ends;
mod injected;
mod listing;
mod records;
mod results;
mod store;
mod work;

pub use records::{BatchRecord, BatchedRequest};
#[cfg(feature = "sim")]
pub(crate) use results::PART_BYTES;
pub(super) use store::Batches;

/// The path of the list of batches. All paths of batch endpoints begin with this path.
pub(super) const PATH: &str = "/v1/messages/batches";

/// Returns whether a path belongs to the batch endpoints.
pub(super) fn is_path(path: &str) -> bool {
    path.strip_prefix(PATH).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
