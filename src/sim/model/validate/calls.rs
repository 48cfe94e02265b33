//! Checks that each tool call has its result, and that each result has its call.
//!
//! Source: API documentation, "Handle tool calls" (2026-08). The error messages were seen in
//! anthropics/claude-code#8210, #13460 and #64383.

use std::collections::HashSet;

use super::said::{Block, Said};
use crate::sim::model::errors::ApiError;

/// Rejects tool calls without results, and results without calls.
pub(super) fn check(said: &[Said<'_>]) -> Result<(), ApiError> {
    let mut ever = HashSet::new();
    for (at, one) in said.iter().enumerate() {
        if !one.is_of_assistant() {
            check_results(one, at.checked_sub(1).map(|before| &said[before]))?;
            continue;
        }
        if let Some(again) = one.calls().find(|block| !ever.insert(block.own.id.as_deref())) {
            return Err(again.error(": `tool_use` ids must be unique"));
        }
        check_calls(one, said.get(at + 1))?;
    }
    Ok(())
}

/// Rejects tool calls whose results are not at the beginning of the next message.
fn check_calls(said: &Said<'_>, next: Option<&Said<'_>>) -> Result<(), ApiError> {
    let results: HashSet<Option<&str>> = next
        .into_iter()
        .flat_map(|next| next.blocks.iter().take_while(|block| block.is("tool_result")))
        .map(|block| block.own.tool_use_id.as_deref())
        .collect();
    let missing: Vec<&Block<'_>> = said.calls().filter(|call| !results.contains(&call.own.id.as_deref())).collect();
    let Some(first) = missing.first() else { return Ok(()) };
    let ids: Vec<&str> = missing.iter().filter_map(|call| call.own.id.as_deref()).collect();
    Err(ApiError::invalid(format!(
        "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each `tool_use` \
         block must have a corresponding `tool_result` block in the next message.",
        first.message,
        ids.join(", ")
    )))
}

/// Rejects a tool result if its call is not in the previous message. Also rejects a second result of the same call.
fn check_results(said: &Said<'_>, before: Option<&Said<'_>>) -> Result<(), ApiError> {
    let calls: HashSet<Option<&str>> =
        before.into_iter().flat_map(Said::calls).map(|call| call.own.id.as_deref()).collect();
    let mut seen = HashSet::new();
    for block in said.blocks.iter().filter(|block| block.is("tool_result")) {
        let id = block.own.tool_use_id.as_deref();
        let shown = id.unwrap_or_default();
        if !calls.contains(&id) {
            return Err(block.error(&format!(
                ": unexpected `tool_use_id` found in `tool_result` blocks: {shown}. Each `tool_result` block must have a \
                 corresponding `tool_use` block in the previous message."
            )));
        }
        if !seen.insert(id) {
            return Err(block.error(&format!(
                ": each tool_use must have a single result. Found multiple `tool_result` blocks with id: {shown}"
            )));
        }
    }
    Ok(())
}

/// Rejects the result of a server tool if the call does not come before the result. A server tool is a tool that the
/// API runs.
pub(super) fn server_results(said: &Said<'_>) -> Result<(), ApiError> {
    let mut called = HashSet::new();
    for block in &said.blocks {
        match &*block.own.kind {
            "server_tool_use" => called.extend(block.own.id.as_deref()),
            "tool_result" | "mcp_tool_result" => {}
            kind if kind.ends_with("_tool_result") => {
                let id = block.own.tool_use_id.as_deref().unwrap_or_default();
                if !called.contains(id) {
                    return Err(block.error(&format!(
                        ": unexpected `tool_use_id` found in `{kind}` blocks: {id}. Each `{kind}` block must have a \
                         corresponding `server_tool_use` block before it."
                    )));
                }
            }
            _ => {}
        }
    }
    Ok(())
}
