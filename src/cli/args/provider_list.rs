//! The arguments of `providers`.

use clap::Args;

use super::Settings;
use super::groups::{PlaceArgs, StorageArgs};

/// The last lines of the help of `providers`.
pub(super) const HELP: &str = "\
Examples:
  claude-batch providers
  claude-batch providers bedrock
  claude-batch run prompts.jsonl --provider bedrock --fallback openrouter

A provider is a preset, or a table of your configuration file:
  [providers.local]
  kind = \"messages\"
  base-url = \"http://127.0.0.1:8000\"
  models = { claude-haiku-4-5 = \"qwen3\" }

Nothing is sent, no command is run, and no key is shown.";

/// Arguments of `providers`.
#[derive(Clone, Debug, Default, Args)]
pub struct ProvidersArgs {
    /// Show only this provider
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write one JSON document instead of text
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    place: PlaceArgs,
}

impl ProvidersArgs {
    /// Returns the flags as settings.
    pub(crate) fn settings(&self) -> Settings {
        let Self { storage, place, .. } = self.clone();
        Settings { storage, place, ..Settings::default() }
    }
}
