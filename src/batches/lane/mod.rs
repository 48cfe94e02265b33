//! The batch lane of a run. The lane collects rows into chunks, submits each chunk as a batch, and reads the results of
//! the batches.
//!
//! The lane is a state machine. The run's loop owns the lane, and passes rows, the replies to calls, and the time `now`
//! to it. The lane returns the calls that the loop must make. The lane writes its own files, through the journal's
//! [`Disk`].
//!
//! ```text
//! row ─► Trials ─► rows ─► building ─► Sealed ─► Posting ─► Open ─► Ended ─► Saved ─► Merged ─► gone
//!                                         ▲          │ unclear    ▲
//!                                         │ refused  └► Unclear ──┘ found in the list
//!        reopened ◄── rows of a chunk that ended without an answer, was lost, or was dissolved
//! ```
//!
//! Invariants:
//! - A chunk is submitted only after its files and its intent are durable. So after a crash, the next run knows all
//!   batches that can exist, and the rows of each batch.
//! - While it is not known whether the batch of a submitted chunk exists, no other chunk is submitted. Until the
//!   program knows whether the batch exists, the rows of the chunk are sent neither online nor in another batch.
//! - The highest possible cost of a row is reserved in the budget before the row is added to a chunk. When the row
//!   ends, its real cost replaces the reserved cost.
//! - The files of a chunk are kept until each of its rows has a line on disk or was sent again.

mod again;
mod call;
mod calls;
mod checked;
mod chunk_state;
mod created;
mod deadline;
mod ends;
mod filling;
mod merging;
mod outlook;
mod results;
mod state;
mod status;
mod trouble;

pub(crate) use again::{Route, Why};
pub(crate) use call::{Call, CallFault, CallResult, CreateEnd};
pub(crate) use merging::MergedRow;
pub(super) use results::Results;
pub use state::Lane;
