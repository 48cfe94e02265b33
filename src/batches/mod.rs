//! The batch lane: rows are sent in Message Batches, at half the price.
//!
//! A batch is submitted in one call and is done within a day, usually within an hour. Nothing of it can be read before
//! it has ended. So rows are collected into *chunks*, and each chunk is submitted as one batch. The results of a batch
//! are merged into the same results file and error log as answers that come online.
//!
//! There is no way to tell the API that two submissions are the same. So the lane never submits a chunk again if a
//! batch of the chunk may exist:
//! - Before a submission, its rows and an intent are made durable in `<results>.batches/` (`chunk`, `log`).
//! - If a reply is lost, the list of batches shows whether the batch exists. Until then, nothing else is submitted
//!   (`lane`).
//! - Each row in a batch has an id with a nonce, which proves at the end that the batch is ours (`ids`).
//!
//! | file | content |
//! |---|---|
//! | `settings.rs` | the settings |
//! | `ids.rs` | the ids of rows inside a batch |
//! | `chunk.rs` | the files of a chunk: its rows, and the body that is submitted |
//! | `log.rs` | the log of what was submitted and what became of it |
//! | `history.rs` | what the log says about every batch, the collected ones included |
//! | `open.rs` | opens the files, and finds what earlier runs left open |
//! | `adopt.rs` | takes over the results of a batch that no log knows |
//! | `shape.rs` | which requests are sent online first, to see whether the API accepts their shape |
//! | `demand.rs` | how long rows would need online |
//! | `looks.rs` | when the state of batches is checked |
//! | `lane/` | [`Lane`]: the state machine that brings rows from the loop into batches and back |
//!
//! The calls are made by the loop (`runner/batch_calls.rs`). The wire form of batches belongs to the provider.
//!
//! The files are in a folder of their own, and not in one file beside the results. The reason: answers come hours
//! later, perhaps to another process, and their rows must be found again without the input and without holding them in
//! memory. Deleting this folder while batches are open loses paid answers, so it is not part of the run folder.

mod adopt;
mod chunk;
mod demand;
mod error;
mod history;
mod ids;
mod lane;
mod log;
mod looks;
mod open;
mod settings;
mod shape;

pub(crate) use adopt::{Adoption, Index};
pub(crate) use chunk::ChunkBody;
pub use demand::Demand;
pub use error::BatchesError;
pub(crate) use history::{Chapter, Fate, history};
pub use lane::Lane;
pub(crate) use lane::{Call, CallFault, Came, CreateEnd, MergedRow, Route, Why};
pub(crate) use log::{BatchLog, Record};
pub use open::Opened;
pub(crate) use open::folder_of_batches;
pub use settings::{BATCH_BYTES, LaneSettings, QUEUE};
