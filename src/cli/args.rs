//! The subcommands and flags of the command line, as the user types them.
//!
//! Every flag is optional and has no default here. The defaults are in [`super::config`], because a default here would
//! look like a choice of the user, and would override the configuration file. The flags are also the keys of
//! `claude-batch.toml` and, with the prefix `CLAUDE_BATCH_`, the environment variables. The parsers of the flags also
//! parse the values of keys and variables. (The program does not use the feature `env` of clap. This feature reads the
//! variables of the process, which tests can't set. Its errors can't say which variable is wrong.)
//!
//! No flag contains the API key, because other users can see arguments in process lists. The flag `--api-key` exists
//! only to explain this to the user. The message about `--api-key` never contains the value of the flag.

mod batches;
pub(crate) mod blocks;
mod configuration;
mod deadline;
pub(crate) mod groups;
mod help;
pub(crate) mod layered;
pub(crate) mod parsers;
mod provider_list;
pub(crate) mod providers;
mod settings;
mod shells;
#[cfg(feature = "sim")]
mod simulate;
pub(crate) mod steered;
pub mod values;
mod watch;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

pub use self::batches::{AdoptArgs, ApiArgs, BatchesArgs, BatchesVerb, CancelArgs, CollectArgs, ListArgs, ShowArgs};
pub use self::configuration::{ConfigArgs, ConfigVerb, InitArgs, PathArgs, ShowConfigArgs};
pub use self::deadline::Deadline;
use self::groups::{
    AnswerArgs, ConnectionArgs, DisplayArgs, FaultArgs, FormArgs, KeyArgs, LaneArgs, MoneyArgs, OverrideArgs,
    PlaceArgs, PriceArgs, ReadArgs, RequestArgs, ReuseArgs, SimulationArgs, SourceArgs, SpeedArgs, StorageArgs,
    WatchArgs, WireArgs,
};
pub use self::provider_list::ProvidersArgs;
use self::providers::ProviderArgs;
pub use self::settings::{RunArgs, Settings};
pub use self::shells::{CompletionsArgs, Listed, ManArgs, Shell};
pub use self::watch::{CtlArgs, ReportArgs, StatusArgs};

#[cfg(feature = "sim")]
pub(crate) use self::simulate::{Change, ChangeTo, SimLimitArgs, SimulateArgs};
use crate::domain::{ErrorClass, Tier};
use crate::export::RowKind;

/// Runs files of prompts through the Claude Messages API, at the limit your tier allows.
#[derive(Clone, Debug, Parser)]
#[command(name = "claude-batch", version, about, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Answer every prompt of the inputs, or resume an earlier run
    #[command(after_help = help::run_help())]
    Run(Box<RunArgs>),
    /// Run failed rows again, from the error log of a run
    #[command(after_help = help::RESUME_HELP)]
    Resume(Box<ResumeArgs>),
    /// Write the answers of runs as a table, as texts, or as JSON lines
    #[command(after_help = help::RESULTS_HELP)]
    Results(Box<ResultsArgs>),
    /// Show what runs have done, and how to continue
    #[command(after_help = help::STATUS_HELP)]
    Status(Box<StatusArgs>),
    /// Pause, resume, end or change a run in progress
    #[command(after_help = help::CTL_HELP)]
    Ctl(Box<CtlArgs>),
    /// Write a report about a run, as one HTML page
    Report(Box<ReportArgs>),
    /// Read and check all inputs and settings; send nothing
    Check(Box<CheckArgs>),
    /// Show what a run would cost, and how long it would take
    #[command(after_help = help::PLAN_HELP)]
    Plan(Box<PlanArgs>),
    /// Show the limits of each tier, or the limits that apply now
    #[command(after_help = help::LIMITS_HELP)]
    Limits(Box<LimitsArgs>),
    /// List, show, collect, cancel or adopt Message Batches
    Batches(Box<BatchesArgs>),
    /// Show models, their prices and their retirement dates
    Models(Box<ModelsArgs>),
    /// Show the providers that requests can be sent to
    #[command(after_help = provider_list::HELP)]
    Providers(Box<ProvidersArgs>),
    /// Run a local server that behaves like the API
    #[cfg(feature = "sim")]
    #[command(after_help = help::SIMULATE_HELP)]
    Simulate(Box<SimulateArgs>),
    /// Show settings and their sources, or write a configuration file
    Config(Box<ConfigArgs>),
    /// Print a script that lets your shell complete commands
    #[command(after_help = shells::COMPLETIONS_HELP)]
    Completions(CompletionsArgs),
    /// Print the manual page, or write all pages into a folder
    #[command(after_help = shells::MAN_HELP)]
    Man(ManArgs),
}

/// Arguments of `resume`. Each row of an error log contains its own parameters, and flags can replace them.
#[derive(Clone, Debug, Default, Args)]
pub struct ResumeArgs {
    /// Error logs of earlier runs
    #[arg(value_name = "ERRORS", required = true, value_hint = ValueHint::FilePath)]
    pub errors: Vec<PathBuf>,
    /// Results file of all these logs, if it is in another folder than the logs [default: the file that each log
    /// names]
    #[arg(short, long, value_name = "RESULTS", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    /// Run only rows that failed with these error classes
    #[arg(long, value_name = "CLASS", value_delimiter = ',', value_parser = values::one_of(&values::CLASSES))]
    pub only: Vec<ErrorClass>,
    #[command(flatten)]
    overrides: OverrideArgs,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    speed: SpeedArgs,
    #[command(flatten)]
    lanes: LaneArgs,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(flatten)]
    money: MoneyArgs,
    #[command(flatten)]
    reuse: ReuseArgs,
    #[command(flatten)]
    prices: PriceArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    simulation: SimulationArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    providers: ProviderArgs,
    #[command(flatten)]
    display: DisplayArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    watch: WatchArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    key: KeyArgs,
}

impl ResumeArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let flags = self.clone();
        let OverrideArgs { model, system, max_tokens } = flags.overrides;
        let request = RequestArgs { model, system, max_tokens, ..RequestArgs::default() };
        Settings {
            request,
            wire: flags.wire,
            speed: flags.speed,
            lanes: flags.lanes,
            faults: flags.faults,
            money: flags.money,
            reuse: flags.reuse,
            prices: flags.prices,
            answers: flags.answers,
            simulation: flags.simulation,
            connection: flags.connection,
            providers: flags.providers,
            display: flags.display,
            storage: flags.storage,
            watch: flags.watch,
            place: flags.place,
            key: flags.key,
            ..Settings::default()
        }
    }
}

/// Arguments of `results`.
#[derive(Clone, Debug, Default, Args)]
pub struct ResultsArgs {
    /// The run, named by its results file, error log, run folder, output or input
    #[arg(required = true, value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub runs: Vec<PathBuf>,
    /// Output file; the ending of its name sets the format (.jsonl, .csv, .tsv, .txt, .parquet; also .gz, .zst)
    /// [default: standard output]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    form: FormArgs,
    /// Write only these rows: ok, truncated, refused, invalid (failed with invalid_output), failed [default: all; for
    /// JSON lines without --fields, all but failed]
    #[arg(long, value_name = "KINDS", value_delimiter = ',', value_parser = values::one_of(&values::KINDS))]
    pub include: Vec<RowKind>,
    /// Input of the run, if the program does not find it itself; repeatable
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub input: Vec<PathBuf>,
    #[command(flatten)]
    source: ReadArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl ResultsArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { form, source, storage, place, .. } = self.clone();
        let source = SourceArgs { format: source.format, id: source.id, ..SourceArgs::default() };
        Settings { form, source, storage, place, ..Settings::default() }
    }
}

/// Arguments of `check`.
#[derive(Clone, Debug, Default, Args)]
pub struct CheckArgs {
    /// Files or folders to read; - (or no name) for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub inputs: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    answers: AnswerArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl CheckArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { inputs: _, source, request, answers, place } = self.clone();
        Settings { source, request, answers, place, ..Settings::default() }
    }
}

/// Arguments of `plan`.
#[derive(Clone, Debug, Default, Args)]
pub struct PlanArgs {
    /// Files or folders to read; - (or no name) for standard input
    #[arg(value_name = "INPUT", value_hint = ValueHint::FilePath)]
    pub inputs: Vec<PathBuf>,
    /// Results of earlier runs, from which the plan learns
    #[arg(long, value_name = "PATH", num_args = 1.., help_heading = "Plan", value_hint = ValueHint::FilePath)]
    pub history: Vec<PathBuf>,
    /// Let the API count the tokens of N random rows; this is free, but needs a key
    #[arg(long, value_name = "N", help_heading = "Plan", allow_negative_numbers = true,
        value_parser = parsers::positive_u32)]
    pub count_tokens: Option<u32>,
    /// Print the plan as one JSON object
    #[arg(long, help_heading = "Plan")]
    pub json: bool,
    /// The settings of the run.
    #[command(flatten)]
    pub settings: Settings,
}

/// Arguments of `limits`.
#[derive(Clone, Debug, Default, Args)]
pub struct LimitsArgs {
    /// With --live: the run whose last known limits are shown [default: the latest run below the working folder]
    #[arg(value_name = "RUN", requires = "live", conflicts_with = "ask", value_hint = ValueHint::FilePath)]
    pub run: Option<PathBuf>,
    /// Show only this tier; with --simulate, the tier of the simulator
    #[arg(long, ignore_case = true, value_parser = values::one_of(&values::TIERS))]
    pub tier: Option<Tier>,
    /// Show only limits that apply to this model
    #[arg(short, long)]
    pub model: Option<String>,
    /// Show the limits that apply now; they come from the API's list of limits (for an administrator's key), from an
    /// earlier run, or from a message of one token
    #[arg(long)]
    pub live: bool,
    /// With --live: send a message of one token to learn the limits, even if they are known from an earlier run
    #[arg(long, requires = "live")]
    pub ask: bool,
    /// With --live: write the model's limits to this profile of your own configuration file
    #[arg(long, value_name = "PROFILE", requires = "live")]
    pub save: Option<String>,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// With --live: the provider whose limits are shown
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// With --live: send the message without asking first
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true",
        value_parser = parsers::switch)]
    pub yes: Option<bool>,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    prices: PriceArgs,
    #[command(flatten)]
    simulation: SimulationArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    key: KeyArgs,
}

impl LimitsArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { provider, tier, model, yes, wire, prices, simulation, connection, storage, place, key, .. } =
            self.clone();
        let mut settings =
            Settings { wire, prices, simulation, connection, storage, place, key, ..Settings::default() };
        settings.request.model = model;
        settings.speed.tier = tier;
        settings.money.yes = yes;
        settings.providers.provider = provider;
        settings
    }
}

/// Arguments of `models`.
#[derive(Clone, Debug, Default, Args)]
pub struct ModelsArgs {
    /// Show everything about this model
    #[arg(value_name = "MODEL")]
    pub name: Option<String>,
    /// Show retired models too
    #[arg(long)]
    pub all: bool,
    /// Write one JSON document, including retired models, instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    prices: PriceArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl ModelsArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { prices, place, .. } = self.clone();
        Settings { prices, place, ..Settings::default() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
