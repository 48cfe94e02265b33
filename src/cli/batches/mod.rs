//! The command `batches`: lists, shows, collects, cancels and adopts Message Batches.
//!
//! A run's log of batches shows what the run submitted ([`crate::batches`]). Only the API knows the state of each
//! batch.
//!
//! | file | content |
//! |---|---|
//! | `find.rs` | the run that the user names, and the batches in its log |
//! | `workspace.rs` | the API calls |
//! | `known.rs` | a batch, as the log and the API describe it |
//! | `seen.rs` | the batches of a run, with their states at the API |
//! | `list.rs` | the verb `list`; `table.rs` and `document.rs` make its text and its JSON |
//! | `show.rs` | the verb `show` |
//! | `cancel.rs` | the verb `cancel` |
//!
//! A verb that changes something begins by taking the lock of the run. So the verb never changes a run that is in
//! progress. The verbs `collect` and `adopt` write answers as a run does, so their code is in `cli/run/collect.rs` and
//! `cli/run/adopt.rs`.

mod cancel;
mod document;
mod find;
mod known;
mod list;
mod seen;
mod show;
mod table;
mod workspace;

use anyhow::Result;

use super::args::BatchesVerb;
use super::config::world::World;
use super::exit::Exit;
use super::run;

pub(super) use self::find::{RunWithBatches, without_fallback};
pub(super) use self::known::State;
pub(super) use self::seen::{Seen, seen};
pub(super) use self::workspace::Workspace;

/// Runs the verb of `batches` that the user typed.
pub(crate) fn batches(verb: &BatchesVerb, world: &World) -> Result<Exit> {
    match verb {
        BatchesVerb::List(args) => list::list(args, world),
        BatchesVerb::Show(args) => show::show(args, world),
        BatchesVerb::Collect(args) => run::collect(args, world),
        BatchesVerb::Adopt(args) => run::adopt(args, world),
        BatchesVerb::Cancel(args) => cancel::cancel(args, world),
    }
}
