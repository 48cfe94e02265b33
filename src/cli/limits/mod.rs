//! The command `limits`: the tables of limits, and the limits that apply now.
//!
//! | file | content |
//! |---|---|
//! | `tiers.rs` | the published limits of each tier |
//! | `live.rs` | the limits that apply now, and the order in which they are looked for |
//! | `learned.rs` | the limits that runs have learned |
//! | `asking.rs` | the message of one token, and the question before it |
//! | `organization.rs` | the API's list of limits, which needs an admin key |
//! | `found.rs` | limits that were found, as text and as JSON |
//! | `save.rs` | a profile with these limits in the user's configuration file |

mod asking;
mod found;
mod learned;
mod live;
mod organization;
mod save;
mod tiers;

use anyhow::Result;

use super::args::LimitsArgs;
use super::config::world::World;
use super::exit::Exit;

/// Shows the tables of limits, or the limits that apply now.
pub(crate) fn limits(args: &LimitsArgs, world: &World) -> Result<Exit> {
    if args.live { live::show(args, world) } else { tiers::show(args) }
}
