//! All settings, and the arguments of `run`, which has all of them.

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
    /// Files or folders to read; - or nothing for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub inputs: Vec<PathBuf>,
    /// All other settings.
    #[command(flatten)]
    pub settings: Settings,
}

/// All settings of one layer: flags, environment, profile or file.
#[derive(Clone, Debug, Default, Args)]
pub struct Settings {
    /// How inputs are read.
    #[command(flatten)]
    pub source: SourceArgs,
    /// Parameters of every request.
    #[command(flatten)]
    pub request: RequestArgs,
    /// How requests are sent.
    #[command(flatten)]
    pub wire: WireArgs,
    /// Where results go.
    #[command(flatten)]
    pub output: OutputArgs,
    /// The form of an output.
    #[command(flatten)]
    pub form: FormArgs,
    /// How fast requests are sent.
    #[command(flatten)]
    pub speed: SpeedArgs,
    /// Whether requests are sent in batches.
    #[command(flatten)]
    pub lanes: LaneArgs,
    /// What happens on faults.
    #[command(flatten)]
    pub faults: FaultArgs,
    /// When to stop.
    #[command(flatten)]
    pub money: MoneyArgs,
    /// Flags that save paying for the same answer again.
    #[command(flatten)]
    pub reuse: ReuseArgs,
    /// What tokens cost.
    #[command(flatten)]
    pub prices: PriceArgs,
    /// What an answer must be, and what happens if it is not.
    #[command(flatten)]
    pub answers: AnswerArgs,
    /// Which rows are run again.
    #[command(flatten)]
    pub rows: RowsArgs,
    /// Runs against the simulator.
    #[command(flatten)]
    pub simulation: SimulationArgs,
    /// The server.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// The providers that requests are sent to.
    #[command(flatten)]
    pub providers: ProviderArgs,
    /// What is shown.
    #[command(flatten)]
    pub display: DisplayArgs,
    /// How results are kept.
    #[command(flatten)]
    pub storage: StorageArgs,
    /// How a run is watched and steered.
    #[command(flatten)]
    pub watch: WatchArgs,
    /// Where other settings are.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// Where the key is.
    #[command(flatten)]
    pub key: KeyArgs,
}

layered! {
    Settings {
        source, request, wire, output, form, speed, lanes, faults, money, reuse, prices, answers, rows, simulation, connection,
        providers, display, storage, watch, place, key,
    }
}
