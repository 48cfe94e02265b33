//! The command `report`.

use anyhow::Result;

use super::args::ReportArgs;
use super::config::Config;
use super::config::world::World;
use super::exit::Exit;

/// Runs the command.
pub(crate) fn report(args: &ReportArgs, world: &World) -> Result<Exit> {
    let _config = Config::of_settings(args.settings(), world)?;
    Ok(Exit::Done)
}
