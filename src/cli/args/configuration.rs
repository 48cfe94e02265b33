//! The arguments of `config` and its verbs.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};

use super::groups::PlaceArgs;
use super::settings::Settings;

/// Arguments of `config`.
#[derive(Clone, Debug, Args)]
#[command(arg_required_else_help = true, after_help = HELP)]
pub struct ConfigArgs {
    /// The verb: the command of `config` to run.
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// The verbs of `config`.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigVerb {
    /// Show every setting with its value and where it comes from
    #[command(after_help = SHOW_HELP)]
    Show(Box<ShowConfigArgs>),
    /// Show which configuration files are read
    Path(Box<PathArgs>),
    /// Write a configuration file with every setting in a comment
    #[command(after_help = INIT_HELP)]
    Init(Box<InitArgs>),
}

const HELP: &str = "\
Examples:
  claude-batch config show
  claude-batch config show tier rpm --profile night
  claude-batch config init

Every flag of run is also a key of claude-batch.toml (max-retries = 3) and an
environment variable (CLAUDE_BATCH_MAX_RETRIES=3).";

const SHOW_HELP: &str = "\
Examples:
  claude-batch config show
  claude-batch config show --set
  claude-batch config show --tier 2 --profile night
  claude-batch config show max-cost model --json

The command accepts all flags of run, and shows the settings of a run with these
flags. A * marks settings that a flag, a variable or a file sets. For a secret,
only its source is shown. Nothing is sent, and no command is run.";

const INIT_HELP: &str = "\
Examples:
  claude-batch config init
  claude-batch config init -o claude-batch.toml   (for this folder)
  claude-batch config init --profile night -o -

An existing file is never changed. Remove the # in front of the keys that you
want to set.";

/// Arguments of `config show`.
#[derive(Clone, Debug, Default, Args)]
pub struct ShowConfigArgs {
    /// Show only these settings
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
    /// Show only settings that a flag, a variable or a file sets
    #[arg(long)]
    pub set: bool,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    /// The settings of the run.
    #[command(flatten)]
    pub settings: Settings,
}

/// Arguments of `config path`.
#[derive(Clone, Debug, Default, Args)]
pub struct PathArgs {
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    place: PlaceArgs,
}

impl PathArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        Settings { place: self.place.clone(), ..Settings::default() }
    }
}

/// Arguments of `config init`.
#[derive(Clone, Debug, Default, Args)]
pub struct InitArgs {
    /// Write the settings as a profile with this name
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// File to write, or - for standard output [default: claude-batch.toml in your configuration folder]
    #[arg(short, long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}
