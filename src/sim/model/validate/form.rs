//! Finds out which form the answer to a request must have: text, JSON or a tool call.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::config::ModelTraits;
use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::{Fields, read_raw};

/// The form in which the model must answer.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::sim::model) enum Form {
    /// The answer is a text, or a tool call if the model is allowed to use tools.
    Free {
        /// Whether the model is allowed to use tools.
        has_tools: bool,
    },
    /// The answer is JSON that fits this schema.
    Json(serde_json::Value),
    /// The answer is a call to this tool. With `None`, the model can call any of the tools.
    Tool(Option<String>),
}

/// Returns the form of the answer that a request body asks for.
pub(super) fn read(fields: &Fields<'_>, traits: &ModelTraits) -> Result<Form, ApiError> {
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    }
    let has_tools = fields.get("tools").is_some_and(|tools| tools.get().len() > 2);
    let choice = fields.read_as::<Choice<'_>>("tool_choice", "a valid dictionary")?;
    let choice = choice.as_ref().map(|choice| (&*choice.kind, choice.name.as_deref()));
    match choice {
        Some(("any" | "tool", _)) if !has_tools => {
            return Err(ApiError::invalid("tool_choice: tool_choice may only be specified while providing tools."));
        }
        Some(("any" | "tool", _)) if !traits.allows_forced_tools => {
            return Err(ApiError::invalid("tool_choice: forced tool use is not supported for this model."));
        }
        Some(("any", _)) => return Ok(Form::Tool(None)),
        Some(("tool", Some(name))) if has_tool(fields, name) => return Ok(Form::Tool(Some(name.to_owned()))),
        Some(("tool", Some(name))) => {
            return Err(ApiError::invalid(format!("Tool '{name}' not found in provided tools")));
        }
        Some(("tool", None)) => return Err(ApiError::invalid("tool_choice.tool.name: Field required")),
        Some(("auto" | "none", _)) | None => {}
        Some((other, _)) => {
            return Err(ApiError::invalid(format!(
                "tool_choice: Input tag '{other}' found using 'type' is not expected"
            )));
        }
    }
    if let Some(schema) = schema(fields)? {
        return Ok(Form::Json(schema));
    }
    let is_free = has_tools && !matches!(choice, Some(("none", _)));
    Ok(Form::Free { has_tools: is_free })
}

fn has_tool(fields: &Fields<'_>, name: &str) -> bool {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
    }
    let tools = fields.get("tools").and_then(|raw| serde_json::from_str::<Vec<Named<'_>>>(raw.get()).ok());
    tools.unwrap_or_default().iter().any(|tool| tool.name.as_deref() == Some(name))
}

/// Returns the schema of structured output. The schema is in `output_config.format`, or in `output_format`, which the
/// beta used.
fn schema(fields: &Fields<'_>) -> Result<Option<serde_json::Value>, ApiError> {
    #[derive(Deserialize)]
    struct Config<'a> {
        #[serde(borrow, default)]
        format: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Format {
        schema: serde_json::Value,
    }
    let config = fields.read_as::<Config<'_>>("output_config", "a valid dictionary")?;
    let raw = config.and_then(|config| config.format).or_else(|| fields.get("output_format"));
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(None) };
    let format: Format = read_raw(raw, "output_config.format.schema", "a valid dictionary")?;
    Ok(Some(format.schema))
}
