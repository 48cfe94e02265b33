//! The command `status`.

use anyhow::Result;

use super::args::StatusArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;

/// Runs the command.
pub(crate) fn status(args: &StatusArgs, world: &World) -> Result<Exit> {
    let _config = Config::of_settings(args.settings(), world)?;
    Ok(Exit::Done)
}
