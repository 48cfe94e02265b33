//! The arguments of `batches` and its verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::groups::{ConnectionArgs, KeyArgs, PlaceArgs, StorageArgs, WireArgs};
use super::parsers;
use super::settings::Settings;

/// Arguments of `batches`.
#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true, after_help = HELP)]
pub struct BatchesArgs {
    /// What is done.
    #[command(subcommand)]
    pub verb: BatchesVerb,
}

/// What `batches` does.
#[derive(Clone, Debug, Subcommand)]
pub enum BatchesVerb {
    /// List the batches of a run, or all batches of the workspace
    #[command(after_help = LIST_HELP)]
    List(Box<ListArgs>),
    /// Show everything about one batch, or about each batch of a run
    #[command(after_help = SHOW_HELP)]
    Show(Box<ShowArgs>),
}

const HELP: &str = "\
Examples:
  claude-batch batches list prompts.jsonl

Batches are made by run --lane batch and --lane auto. RUN is a results file, an
error log, a run folder, or the input they belong to.";

const LIST_HELP: &str = "\
Examples:
  claude-batch batches list prompts.jsonl
  claude-batch batches list --limit 100
  claude-batch batches list prompts.jsonl --json

Until a batch has ended, the API does not say how many of its rows are answered.
Without a key, the list has what the run recorded, and the state is unknown.";

const SHOW_HELP: &str = "\
Examples:
  claude-batch batches show msgbatch_013Zva2CMHLNnXjNJJKqJ2EF
  claude-batch batches show prompts.jsonl";

/// The settings of all calls of the API.
#[derive(Clone, Debug, Default, Args)]
pub struct ApiArgs {
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
        let Self { wire, connection, storage, place, key } = self.clone();
        Settings { wire, connection, storage, place, key, ..Settings::default() }
    }
}

/// Arguments of `batches list`.
#[derive(Clone, Debug, Default, Args)]
pub struct ListArgs {
    /// The run whose batches are listed [default: all batches of the key's workspace]
    #[arg(value_name = "RUN", value_hint = ValueHint::FilePath)]
    pub run: Option<PathBuf>,
    /// Without RUN: how many batches are listed, the newest first [default: 20]
    #[arg(long, value_name = "N", conflicts_with = "run", value_parser = parsers::positive_u32)]
    pub limit: Option<u32>,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
    /// The settings of the calls.
    #[command(flatten)]
    pub api: ApiArgs,
}

/// Arguments of `batches show`.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowArgs {
    /// The id of a batch, or a run
    #[arg(value_name = "ID|RUN", value_hint = ValueHint::FilePath)]
    pub subject: PathBuf,
    /// Write one JSON document
    #[arg(long)]
    pub json: bool,
    /// The settings of the calls.
    #[command(flatten)]
    pub api: ApiArgs,
}
