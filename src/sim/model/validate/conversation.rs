//! Checks the messages of a request: whether the API knows their blocks, whether tool calls have results, and whether
//! the last message can be from the assistant.
//!
//! Sources: API reference, "Messages"; API documentation, "Prefill Claude's response" and "Extended thinking" (2026-08
//! to 2026-10). The error messages were seen in maximhq/bifrost#5097, AstrBotDevs/AstrBot#4444,
//! deepset-ai/haystack-core-integrations#2146 and tailcallhq/forgecode#1872.

use super::calls;
use super::form::Form;
use super::images;
use super::said::{Block, Members, Said, join};
use super::tools::is_plain;
use crate::sim::config::ModelTraits;
use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::Fields;
use crate::sim::model::request::Turn;

/// The types of content blocks. Types that end in `_tool_use` or `_tool_result` are allowed too.
const TYPES: [&str; 15] = [
    "compaction",
    "container_upload",
    "document",
    "fallback",
    "image",
    "mcp_tool_listing",
    "redacted_thinking",
    "search_result",
    "text",
    "thinking",
    "tool_addition",
    "tool_reference",
    "tool_removal",
    "tool_result",
    "tool_use",
];

/// Checks the messages of a request. The JSON structure of the messages has already been checked.
pub(super) fn check(fields: &Fields<'_>, traits: &ModelTraits, form: &Form) -> Result<(), ApiError> {
    let Some(raw) = fields.get("messages") else { return Ok(()) };
    let turns: Vec<Turn<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let is_prefilled = turns.last().is_some_and(|turn| turn.role == "assistant");
    // Messages with the role `system` can come between a tool call and its result, so they are checked separately.
    let (instructions, turns) = turns.into_iter().enumerate().partition(|(_, turn)| turn.role == "system");
    let (said, instructions) = (join(turns)?, join(instructions)?);
    for one in said.iter().chain(&instructions) {
        one.blocks.iter().try_for_each(|block| check_block(block, &one.role))?;
        calls::server_results(one)?;
    }
    calls::check(&said)?;
    if let Some(last) = said.last().filter(|_| is_prefilled) {
        prefill(last, traits, form)?;
    }
    if has_thinking_budget(fields) { thinking_comes_first(&said) } else { Ok(()) }
}

fn check_block(block: &Block<'_>, role: &str) -> Result<(), ApiError> {
    let kind = &*block.own.kind;
    if !is_known(kind) {
        return Err(block.error(&unknown(kind)));
    }
    let only = match kind {
        "tool_use" => Some("assistant"),
        "tool_result" => Some("user"),
        _ => None,
    };
    if let Some(only) = only.filter(|only| *only != role) {
        let message = block.message;
        return Err(ApiError::invalid(format!("messages.{message}: `{kind}` blocks can only be in `{only}` messages")));
    }
    match kind {
        "tool_use" => check_id(block, "id", block.own.id.as_deref()),
        "tool_result" => {
            check_id(block, "tool_use_id", block.own.tool_use_id.as_deref())?;
            results(block)
        }
        "image" => images::check(block.own.source).map_err(|problem| block.error(&format!(".image{problem}"))),
        _ => Ok(()),
    }
}

fn is_known(kind: &str) -> bool {
    TYPES.contains(&kind) || kind.ends_with("_tool_use") || kind.ends_with("_tool_result")
}

fn unknown(kind: &str) -> String {
    let known = TYPES.map(|kind| format!("'{kind}'")).join(", ");
    format!(": Input tag '{kind}' found using 'type' does not match any of the expected tags: {known}")
}

fn check_id(block: &Block<'_>, name: &str, id: Option<&str>) -> Result<(), ApiError> {
    let kind = &block.own.kind;
    match id {
        None => Err(block.error(&format!(".{kind}.{name}: Field required"))),
        Some(id) if !is_plain(id) => {
            Err(block.error(&format!(".{kind}.{name}: String should match pattern '^[a-zA-Z0-9_-]+$'")))
        }
        Some(_) => Ok(()),
    }
}

/// Checks the blocks in a tool result.
fn results(block: &Block<'_>) -> Result<(), ApiError> {
    let inner: Vec<Members<'_>> =
        block.own.content.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    for (at, own) in inner.iter().enumerate() {
        let place = format!(".tool_result.content.{at}");
        if !is_known(&own.kind) {
            return Err(block.error(&format!("{place}{}", unknown(&own.kind))));
        }
        if own.kind == "image" {
            images::check(own.source).map_err(|problem| block.error(&format!("{place}.image{problem}")))?;
        }
    }
    Ok(())
}

/// Checks the last message of a request if it is from the assistant. An assistant message at the end is the beginning
/// of the answer, or an answer that the API has paused. A paused answer contains a call to a server tool (a tool that
/// the API runs).
fn prefill(last: &Said<'_>, traits: &ModelTraits, form: &Form) -> Result<(), ApiError> {
    let is_paused = last.blocks.iter().any(|block| block.is("server_tool_use"));
    if !is_paused && !traits.allows_prefill {
        return Err(ApiError::invalid(
            "This model does not support assistant message prefill. The conversation must end with a user message.",
        ));
    }
    if !is_paused && matches!(form, Form::Json(_)) {
        return Err(ApiError::invalid("output_config.format: not supported with assistant message prefill"));
    }
    let text = last.blocks.last().and_then(|block| block.own.text.as_deref());
    if text.is_some_and(|text| text.ends_with(char::is_whitespace)) {
        return Err(ApiError::invalid("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}

/// Returns whether a request has a budget for thinking. If a request has no budget for thinking, its messages need no
/// thinking blocks.
fn has_thinking_budget(fields: &Fields<'_>) -> bool {
    let thinking = fields.get("thinking").and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok());
    thinking.is_some_and(|thinking| thinking.kind == "enabled")
}

/// Rejects an assistant message that the model has to continue but that does not begin with a thinking block. The model
/// continues a message if the message is the last in the request, or if tool results follow the message.
fn thinking_comes_first(said: &[Said<'_>]) -> Result<(), ApiError> {
    let goes_on = match said {
        [.., last] if last.is_of_assistant() => Some(last),
        [.., before, last] if last.blocks.first().is_some_and(|block| block.is("tool_result")) => Some(before),
        _ => None,
    };
    match goes_on.and_then(|said| said.blocks.first()) {
        Some(first) if !first.is("thinking") && !first.is("redacted_thinking") => Err(first.error(&format!(
            ".type: Expected `thinking` or `redacted_thinking`, but found `{}`. When `thinking` is enabled, a final \
             `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and \
             `tool_result` blocks). We recommend you include thinking blocks from previous turns. To avoid this \
             requirement, disable `thinking`. Please consult our documentation at \
             https://docs.claude.com/en/docs/build-with-claude/extended-thinking",
            first.own.kind
        ))),
        _ => Ok(()),
    }
}
