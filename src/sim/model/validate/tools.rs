//! Checks the names of tools, and the schemas of strict tools.
//!
//! Source: API documentation, "Define tools" and "Structured outputs" (2026-08); error messages seen in
//! home-assistant/core#147760, anthropics/claude-code#96152 and #10687, and Hmbown/Codewhale#4329.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::schemas::Schemas;
use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::Fields;

/// The maximum number of characters in the name of a tool.
const LETTERS: usize = 128;
/// The keywords that can't be at the top level of a tool's input schema.
const NOT_AT_TOP: [&str; 3] = ["oneOf", "allOf", "anyOf"];

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
    #[serde(default)]
    strict: Option<bool>,
}

/// Checks the tools of a request. The schemas of strict tools are added to `schemas`.
pub(super) fn check(fields: &Fields<'_>, schemas: &mut Schemas) -> Result<(), ApiError> {
    let Some(raw) = fields.get("tools") else { return Ok(()) };
    let tools: Vec<Tool<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let mut names = HashSet::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate() {
        if matches!(tool.kind.as_deref(), None | Some("custom")) {
            check_custom(tool, at, schemas)?;
        }
        if tool.name.as_deref().is_some_and(|name| !names.insert(name)) {
            return Err(ApiError::invalid("tools: Tool names must be unique."));
        }
    }
    Ok(())
}

fn check_custom(tool: &Tool<'_>, at: usize, schemas: &mut Schemas) -> Result<(), ApiError> {
    let name = tool.name.as_deref().unwrap_or_default();
    if name.chars().count() > LETTERS {
        return Err(ApiError::invalid(format!(
            "tools.{at}.custom.name: String should have at most {LETTERS} characters"
        )));
    }
    if !is_plain(name) {
        return Err(ApiError::invalid(format!(
            "tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
        )));
    }
    let Some(schema) = tool.input_schema else { return Ok(()) };
    let place = format!("tools.{at}.custom.input_schema");
    let members: Fields<'_> = serde_json::from_str(schema.get())
        .map_err(|_| ApiError::invalid(format!("{place}: Input should be a valid dictionary")))?;
    if NOT_AT_TOP.iter().any(|name| members.get(name).is_some()) {
        return Err(ApiError::invalid(format!(
            "{place}: input_schema does not support oneOf, allOf, or anyOf at the top level"
        )));
    }
    if tool.strict == Some(true) { schemas.strict_tool(schema, &place) } else { Ok(()) }
}

/// Returns whether a text has only letters, digits, `_` and `-`. Returns false for an empty text.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
}
