//! The batch lane of a run: rows become chunks, chunks become batches, and batches become lines.
//!
//! The lane is a state machine. It is owned by the run's loop, which passes it rows, the replies of its calls, and
//! `now`. It returns the calls to be made. It writes its own files, through the journal's [`Disk`].
//!
//! ```text
//! row ─► Trials ─► rows ─► building ─► Sealed ─► Posting ─► Open ─► Ended ─► Saved ─► Merged ─► gone
//!                                         ▲          │ unclear    ▲
//!                                         │ refused  └► Unclear ──┘ found in the list
//!        reopened ◄── rows of a chunk that ended without an answer, was lost, or was dissolved
//! ```
//!
//! Invariants:
//! - A chunk is submitted only after its files and its intent are durable. So after a crash, every batch that may exist
//!   is known, with its rows.
//! - While it is not known whether a submitted chunk exists, nothing else is submitted, and its rows are not sent in
//!   any other way.
//! - A row is reserved in the budget before it is added to a chunk, and settled when it ends.
//! - The files of a chunk stay until each of its rows has a line on disk or was sent again.

mod again;
mod call;
mod calls;
mod chunk_state;
mod created;
mod deadline;
mod ends;
mod filling;
mod looked;
mod merging;
mod outlook;
mod results;
mod state;
mod status;

pub(crate) use again::{Route, Why};
pub(crate) use call::{Call, CallFault, Came, CreateEnd};
pub(crate) use merging::MergedRow;
pub(super) use results::Results;
pub use state::Lane;
