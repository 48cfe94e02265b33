//! The command `batches`: lists and shows Message Batches.
//!
//! What a run submitted is in its log of batches ([`crate::batches`]). What became of it is known by the API. //!
//! | file | content |
//! |---|---|
//! | `find.rs` | the run that the user names, and the batches in its log |
//! | `workspace.rs` | the calls of the API |
//! | `known.rs` | a batch, as the log and the API know it |
//! | `list.rs` | the verb `list`; `table.rs` and `document.rs` have its forms |
//! | `show.rs` | the verb `show` |

mod document;
mod find;
mod known;
mod list;
mod show;
mod table;
mod workspace;

use anyhow::Result;

use super::args::BatchesVerb;
use super::config::world::World;
use super::exit::Exit;

/// Does what the user asks for.
pub(crate) fn batches(verb: &BatchesVerb, world: &World) -> Result<Exit> {
    match verb {
        BatchesVerb::List(args) => list::list(args, world),
        BatchesVerb::Show(args) => show::show(args, world),
    }
}
