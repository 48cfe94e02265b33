//! The command `config`: shows settings and where they come from, and writes a configuration file. The command `config`
//! sends nothing, runs no other command, and shows no secret.
//!
//! | file | content |
//! |---|---|
//! | `show.rs` | the verb `show`; `table.rs` and `document.rs` make its text and its JSON |
//! | `known.rs` | all settings with their values in each layer |
//! | `path.rs` | the verb `path` |
//! | `init.rs` | the verb `init`; `examples.rs` has values for settings without a default |

mod document;
mod examples;
mod init;
mod known;
mod path;
mod show;
mod table;

use anyhow::Result;

use super::args::ConfigVerb;
use super::config::world::World;
use super::exit::Exit;

/// Runs the verb of `config` that the user typed.
pub(crate) fn config(verb: &ConfigVerb, world: &World) -> Result<Exit> {
    match verb {
        ConfigVerb::Show(args) => show::show(args, world),
        ConfigVerb::Path(args) => path::path(args, world),
        ConfigVerb::Init(args) => init::init(args, world),
    }
}
