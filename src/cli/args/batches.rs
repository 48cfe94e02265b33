//! The arguments of `batches` and its verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::groups::{ConnectionArgs, DisplayArgs, FaultArgs, KeyArgs, PlaceArgs, PriceArgs, StorageArgs, WireArgs};
use super::parsers;
use super::providers::ProviderArgs;
use super::settings::{RunArgs, Settings};

/// Arguments of `batches`.
#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true, after_help = HELP)]
pub struct BatchesArgs {
    /// The verb: the command of `batches` to run.
    #[command(subcommand)]
    pub verb: BatchesVerb,
}

/// The verbs of `batches`.
#[derive(Clone, Debug, Subcommand)]
pub enum BatchesVerb {
    /// List the batches of a run, or all batches of the workspace
    #[command(after_help = LIST_HELP)]
    List(Box<ListArgs>),
    /// Show everything about one batch, or about each batch of a run
    #[command(after_help = SHOW_HELP)]
    Show(Box<ShowArgs>),
    /// Write the results of batches that have ended; send nothing
    #[command(after_help = COLLECT_HELP)]
    Collect(Box<CollectArgs>),
    /// Add the results of a batch to a run that does not know this batch
    #[command(after_help = ADOPT_HELP)]
    Adopt(Box<AdoptArgs>),
    /// Cancel the open batches of a run
    #[command(after_help = CANCEL_HELP)]
    Cancel(Box<CancelArgs>),
}

const HELP: &str = "\
Examples:
  claude-batch batches list prompts.jsonl
  claude-batch batches collect prompts.jsonl --wait
  claude-batch batches cancel prompts.jsonl

The commands run --lane batch and run --lane auto make batches. RUN is the run's
results file, error log, run folder or input.";

const LIST_HELP: &str = "\
Examples:
  claude-batch batches list prompts.jsonl
  claude-batch batches list --limit 100
  claude-batch batches list prompts.jsonl --json

Until a batch has ended, the API does not say how many of its rows are answered.
Without an API key, the list shows only what the run recorded, so the state of
open batches is unknown.";

const SHOW_HELP: &str = "\
Examples:
  claude-batch batches show msgbatch_013Zva2CMHLNnXjNJJKqJ2EF
  claude-batch batches show prompts.jsonl";

const COLLECT_HELP: &str = "\
Examples:
  claude-batch batches collect prompts.jsonl
  claude-batch batches collect prompts.jsonl --wait

The command writes results and errors in the same way as run. Rows that must be
sent again (expired, canceled, or failed by a fault of the server) are left for
the next run.

Exit codes: 0 everything is collected, 3 rows failed or must be sent again, 4
batches are still open; all other codes are the same as for run.";

const CANCEL_HELP: &str = "\
Examples:
  claude-batch batches cancel prompts.jsonl
  claude-batch batches cancel prompts.jsonl msgbatch_013Zva2CMHLNnXjNJJKqJ2EF --yes

Rows that were processed before the cancellation are billed, and their answers
are kept. To write these answers after the batches have ended, type
claude-batch batches collect RUN";

const ADOPT_HELP: &str = "\
Examples:
  claude-batch batches adopt msgbatch_013Zva2CMHLNnXjNJJKqJ2EF prompts.jsonl
  claude-batch batches adopt msgbatch_013Zva2CMHLNnXjNJJKqJ2EF prompts.jsonl -o out.jsonl

The inputs and the settings must be the same as when the rows were sent. The
custom_id of a result says which row the result belongs to. If another program
made the batch, this is the input row with the same custom_id. Rows that have an
answer are not changed.";

/// The settings for all calls of the API.
#[derive(Clone, Debug, Default, Args)]
pub struct ApiArgs {
    /// Provider that has the batches: a preset, or a [providers.NAME] of your configuration file
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    key: KeyArgs,
}

impl ApiArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { provider, wire, connection, storage, place, key } = self.clone();
        let providers = ProviderArgs { provider, ..ProviderArgs::default() };
        Settings { providers, wire, connection, storage, place, key, ..Settings::default() }
    }
}

/// Arguments of `batches list`.
#[derive(Clone, Debug, Default, Args)]
pub struct ListArgs {
    /// The run whose batches are listed [default: all batches of the key's workspace]
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: Option<PathBuf>,
    /// Without RUN: number of batches to list, newest first [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "run", value_parser = parsers::positive_u32)]
    pub limit: Option<u32>,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The settings for calls of the API.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `batches show`.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowArgs {
    /// The id of a batch, or a run
    #[arg(value_name = "ID|RUN", value_hint = ValueHint::FilePath)]
    pub subject: PathBuf,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The settings for calls of the API.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `batches collect`.
#[derive(Clone, Debug, Default, Args)]
pub struct CollectArgs {
    /// The run whose batches are collected
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// Wait until every batch has ended
    #[arg(long)]
    pub wait: bool,
    /// Error log of the run, if the run had --errors [default: beside the results]
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub errors: Option<PathBuf>,
    #[command(flatten)]
    wire: WireArgs,
    #[command(flatten)]
    faults: FaultArgs,
    #[command(flatten)]
    prices: PriceArgs,
    #[command(flatten)]
    connection: ConnectionArgs,
    #[command(flatten)]
    display: DisplayArgs,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    key: KeyArgs,
}

impl CollectArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { run: _, wait: _, errors: _, wire, faults, prices, connection, display, storage, place, key } =
            self.clone();
        Settings { wire, faults, prices, connection, display, storage, place, key, ..Settings::default() }
    }
}

/// Arguments of `batches cancel`.
#[derive(Clone, Debug, Default, Args)]
pub struct CancelArgs {
    /// The run whose batches are canceled
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: PathBuf,
    /// Cancel only these batches of the run [default: all open batches]
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Cancel without asking first
    #[arg(long)]
    pub yes: bool,
    /// The settings for calls of the API.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `batches adopt`.
#[derive(Clone, Debug, Default, Args)]
pub struct AdoptArgs {
    /// The id of the batch
    #[arg(value_name = "ID")]
    pub batch: String,
    /// The inputs and settings of the run, as for `run`.
    #[command(flatten)]
    pub run: RunArgs,
}
