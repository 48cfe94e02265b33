//! The command `ctl`.

use anyhow::Result;

use super::args::CtlArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;

/// Runs the command.
pub(crate) fn ctl(args: &CtlArgs, world: &World) -> Result<Exit> {
    let _config = Config::of_settings(args.settings(), world)?;
    Ok(Exit::Done)
}
