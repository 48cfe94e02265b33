//! The flags, in groups. Each subcommand has the flags of some of these groups.
//!
//! A switch takes an optional value (`--strict=false`), so that a higher layer can turn off a switch that a lower layer
//! turned on.

mod output;
mod pace;
mod rows;
mod surroundings;

pub(crate) use self::output::{FormArgs, OutputArgs, StorageArgs};
pub(crate) use self::pace::{FaultArgs, LaneArgs, MoneyArgs, PriceArgs, ReuseArgs, SpeedArgs};
pub(crate) use self::rows::{AnswerArgs, RequestArgs, RowsArgs, SourceArgs, WireArgs};
pub(crate) use self::rows::{OverrideArgs, ReadArgs};
pub(crate) use self::surroundings::{ConnectionArgs, DisplayArgs, KeyArgs, PlaceArgs, SimulationArgs, WatchArgs};
