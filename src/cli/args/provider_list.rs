//! The arguments of `providers`.

use clap::Args;

use super::settings::LocalArgs;

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
    pub(crate) local: LocalArgs,
}
