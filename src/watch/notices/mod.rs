//! Notices: short messages to the user about a run, sent to an address or to a program (`--notify`).
//!
//! ```text
//! events ─► decide.rs (what happened) ─► document.rs (what it says) ─► outbox.rs ─► sender.rs ─► address or program
//! ```
//!
//! | file | content |
//! |---|---|
//! | `rule.rs` | when a notice is sent, and in which format |
//! | `decide.rs` | decides which events cause a notice |
//! | `document.rs`, `words.rs` | the generic document and its text |
//! | `facts.rs` | facts about a run that no event contains |
//! | `outbox.rs`, `queue.rs` | the queues of notices, one queue per target |
//! | `sender.rs` | the thread that sends the notices of one target |
//! | `signature.rs` | the signature of a notice |
//! | `command.rs` | runs the program of a target |
//! | `view.rs` | turns events of the run into notices |
//!
//! A notice says how many rows there are, how many were answered, and how many failed. A notice never contains a
//! prompt, an answer or the label of a row. The run never waits for a notice. If a notice can't be sent, the run prints
//! one warning and continues.

mod command;
mod decide;
mod document;
mod facts;
mod outbox;
mod queue;
mod rule;
mod sender;
mod signature;
mod view;
mod words;

pub(crate) use command::CommandTarget;
pub(crate) use facts::RunFacts;
pub(crate) use outbox::Outbox;
pub use rule::{NoticeForm, NoticeRule};
pub(crate) use sender::Target;
pub(crate) use signature::SHORTEST_SECRET;
pub(crate) use view::NoticeView;
pub(crate) use words::end_words;
