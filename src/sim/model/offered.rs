//! The tools that a request offers.

use serde::Deserialize;
use serde_json::Value;

use super::server_tools::{self, Served};
use super::validate::Prompt;

/// A tool.
#[derive(Debug, Deserialize)]
pub(super) struct Tool {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    /// The name of the tool.
    #[serde(default)]
    pub name: String,
    /// The JSON schema of the tool's input.
    #[serde(default)]
    pub input_schema: Value,
}

impl Tool {
    /// Returns the type of a server tool (a tool that the API runs); `None` for a tool that the client runs.
    pub(super) fn served_kind(&self) -> Option<&str> {
        self.kind.as_deref().filter(|kind| server_tools::is_served(Some(kind)))
    }
}

/// Returns the tools that a request offers.
pub(super) fn tools(prompt: &Prompt<'_>) -> Vec<Tool> {
    prompt.fields.get("tools").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

/// Returns the tool with this name. If `name` is `None`, the number `pick` chooses a tool.
pub(super) fn choose<'t>(tools: &'t [Tool], name: Option<&str>, pick: u64) -> Option<&'t Tool> {
    match name {
        Some(name) => tools.iter().find(|tool| tool.name == name),
        None => tools.get((pick % tools.len().max(1) as u64) as usize),
    }
}

/// Returns a call of the first server tool (a tool that the API runs) that the simulator knows.
pub(super) fn served(tools: &[Tool]) -> Option<Served> {
    tools.iter().filter_map(Tool::served_kind).find_map(Served::of)
}
