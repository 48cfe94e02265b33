//! All settings, and the arguments of `run` (a command that accepts every setting).

use std::path::PathBuf;

use clap::{Args, ValueHint};

use super::groups::{
    AnswerArgs, ConnectionArgs, DisplayArgs, FaultArgs, FormArgs, KeyArgs, LaneArgs, MoneyArgs, OutputArgs, PlaceArgs,
    PriceArgs, RequestArgs, ReuseArgs, RowsArgs, SimulationArgs, SourceArgs, SpeedArgs, StorageArgs, WatchArgs,
    WireArgs,
};
use super::layered::{Layered, layered};
use super::providers::ProviderArgs;

/// Arguments of `run`.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Files or folders to read; - (or no name) for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub inputs: Vec<PathBuf>,
    /// All settings other than the inputs.
    #[command(flatten)]
    pub settings: Settings,
}

/// All settings of one layer: the flags, the environment, a profile or a file.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// The settings that say how inputs are read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Parameters of every request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// The settings that say how requests are sent.
    #[command(flatten)]
    pub wire: WireArgs,
    /// The settings that say where results are written.
    #[command(flatten)]
    pub output: OutputArgs,
    /// The settings that say what an output looks like.
    #[command(flatten)]
    pub form: FormArgs,
    /// The settings that say how fast requests are sent.
    #[command(flatten)]
    pub speed: SpeedArgs,
    /// The settings that say whether requests are sent in batches.
    #[command(flatten)]
    pub lanes: LaneArgs,
    /// The settings that say what happens after faults.
    #[command(flatten)]
    pub faults: FaultArgs,
    /// The settings that say when a run stops.
    #[command(flatten)]
    pub money: MoneyArgs,
    /// The settings that avoid paying for the same answer twice.
    #[command(flatten)]
    pub reuse: ReuseArgs,
    /// The setting that names a file of prices.
    #[command(flatten)]
    pub prices: PriceArgs,
    /// The settings that say which answers are valid, and what happens after an invalid answer.
    #[command(flatten)]
    pub answers: AnswerArgs,
    /// The settings that say which rows are run again.
    #[command(flatten)]
    pub rows: RowsArgs,
    /// The settings for runs against the simulator.
    #[command(flatten)]
    pub simulation: SimulationArgs,
    /// The server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The settings that say which providers get requests.
    #[command(flatten)]
    pub providers: ProviderArgs,
    /// The settings that say what is shown.
    #[command(flatten)]
    pub display: DisplayArgs,
    /// The settings that say how results are stored.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// The settings that say how a run is watched and steered.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// The settings that say where other settings are.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The settings that say where the API key is.
    #[command(flatten)]
    pub key: KeyArgs,
}

/// The settings of a command that only reads files.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct LocalArgs {
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl LocalArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { storage, place } = self.clone();
        Settings { storage, place, ..Settings::default() }
    }
}

layered! {
    Settings {
        source, request, wire, output, form, speed, lanes, faults, money, reuse, prices, answers, rows, simulation, connection,
        providers, display, storage, watch, place, key,
    }
}
