//! The batch lane, which sends rows in Message Batches at half the price.
//!
//! A batch is submitted in one call and is done within a day, usually within an hour. No answer of a batch can be read
//! before the batch has ended. So rows are collected into *chunks*, and each chunk is submitted as one batch. The
//! results of a batch are written to the same results file and error log as answers that come online.
//!
//! A client can't tell the API that a submission repeats an earlier submission. So the lane never submits a chunk again
//! while a batch of this chunk may exist:
//! - Before a submission, two things are made durable in `<results>.batches/`: the rows of the chunk (`chunk`), and the
//!   intent to submit the chunk (`log`).
//! - If the reply to a submission is lost, the list of batches shows whether the batch exists. Until the lane knows
//!   whether the batch exists, it submits no other chunk (`lane`).
//! - The id of each row in a batch contains a nonce. In the results, the nonce proves that the batch belongs to this
//!   run (`ids`).
//!
//! | file | content |
//! |---|---|
//! | `settings.rs` | the settings |
//! | `ids.rs` | the ids of rows inside a batch |
//! | `chunk.rs` | the files of a chunk: its rows, and the body that is submitted |
//! | `log.rs` | the log of what was submitted and what became of it |
//! | `history.rs` | what the log says about every batch, including collected batches |
//! | `open.rs` | opens the files, and finds what earlier runs left open |
//! | `adopt.rs` | takes over the results of a batch that no log knows |
//! | `shape.rs` | which requests are sent online first, to see whether the API accepts their shape |
//! | `demand.rs` | how long rows would need online |
//! | `check_times.rs` | when the state of batches is checked |
//! | `lane/` | [`Lane`]: the state machine that puts rows into batches and returns their answers |
//!
//! The run's loop makes the API calls (`runner/batch_calls.rs`). The provider decides the format of the requests and
//! replies.
//!
//! The chunks have their own files in a separate folder, because answers come hours later, perhaps to another process.
//! The program must find the row that belongs to an answer, although it has neither the input nor all rows in memory.
//! If this folder is deleted while batches are open, answers that were paid for are lost. So the folder of chunks is
//! not part of the run folder.

mod adopt;
mod check_times;
mod chunk;
mod demand;
mod error;
mod history;
mod ids;
mod lane;
mod log;
mod open;
mod settings;
mod shape;

pub(crate) use adopt::{Adoption, Index};
pub(crate) use chunk::ChunkBody;
pub use demand::Demand;
pub use error::BatchesError;
pub(crate) use history::{Chapter, Fate, history};
pub use lane::Lane;
pub(crate) use lane::{Call, CallFault, CallResult, CreateEnd, MergedRow, Route, Why};
pub(crate) use log::{BatchLog, Record};
pub use open::Opened;
pub(crate) use open::folder_of_batches;
pub use settings::{BATCH_BYTES, LaneSettings, QUEUE};
pub(crate) use shape::Trials;
