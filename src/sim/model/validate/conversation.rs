//! The checks of messages: which blocks they may have, whether calls of tools and their results belong together, and
//! what a last message of the assistant may be.
//!
//! The API reads consecutive messages with the same role as one. Source: API reference, "Messages", API documentation,
//! "Handle tool calls", "Prefill Claude's response" and "Extended thinking" (2026-08 to 2026-10). Messages were seen in
//! anthropics/claude-code#8210, #13460 and #64383, maximhq/bifrost#5097, AstrBotDevs/AstrBot#4444,
//! deepset-ai/haystack-core-integrations#2146 and tailcallhq/forgecode#1872.

use std::borrow::Cow;
use std::collections::HashSet;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::form::Form;
use super::images;
use super::tools::is_plain;
use crate::sim::config::ModelTraits;
use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::{Fields, Text};
use crate::sim::model::request::Turn;

/// The types of blocks, except those that end in `_tool_use` or `_tool_result`.
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

/// A block, and where it is.
struct Block<'a> {
    message: usize,
    at: usize,
    own: Members<'a>,
}

/// The members of a block that the checks read.
#[derive(Default, Deserialize)]
struct Members<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl Block<'_> {
    fn error(&self, problem: &str) -> ApiError {
        ApiError::invalid(format!("messages.{}.content.{}{problem}", self.message, self.at))
    }

    fn is(&self, kind: &str) -> bool {
        self.own.kind == kind
    }
}

/// Consecutive messages with the same role.
struct Said<'a> {
    role: Cow<'a, str>,
    blocks: Vec<Block<'a>>,
}

impl Said<'_> {
    fn is_of_assistant(&self) -> bool {
        self.role == "assistant"
    }

    /// Returns the calls of tools that the client runs.
    fn calls(&self) -> impl Iterator<Item = &Block<'_>> {
        self.blocks.iter().filter(|block| block.is("tool_use"))
    }
}

/// Checks the messages of a request. Their form was checked before.
pub(super) fn check(fields: &Fields<'_>, traits: &ModelTraits, form: &Form) -> Result<(), ApiError> {
    let Some(raw) = fields.get("messages") else { return Ok(()) };
    let turns: Vec<Turn<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    let is_prefilled = turns.last().is_some_and(|turn| turn.role == "assistant");
    // Other instructions may come between a call of a tool and its result.
    let (instructions, turns) = turns.into_iter().enumerate().partition(|(_, turn)| turn.role == "system");
    let said = join(turns);
    for one in said.iter().chain(&join(instructions)) {
        one.blocks.iter().try_for_each(|block| check_block(block, &one.role))?;
        server_results(one)?;
    }
    calls_and_results(&said)?;
    if let Some(last) = said.last().filter(|_| is_prefilled) {
        prefill(last, traits, form)?;
    }
    if has_thinking_budget(fields) { thinking_comes_first(&said) } else { Ok(()) }
}

fn join(turns: Vec<(usize, Turn<'_>)>) -> Vec<Said<'_>> {
    let mut said: Vec<Said<'_>> = Vec::with_capacity(turns.len());
    for (message, turn) in turns {
        let blocks = blocks(message, turn.content);
        match said.last_mut() {
            Some(last) if last.role == turn.role => last.blocks.extend(blocks),
            _ => said.push(Said { role: turn.role, blocks }),
        }
    }
    said
}

fn blocks(message: usize, content: &RawValue) -> Vec<Block<'_>> {
    if let Ok(Text(text)) = serde_json::from_str::<Text<'_>>(content.get()) {
        let own = Members { kind: Cow::Borrowed("text"), text: Some(text), ..Members::default() };
        return vec![Block { message, at: 0, own }];
    }
    let all: Vec<Members<'_>> = serde_json::from_str(content.get()).unwrap_or_default();
    all.into_iter().enumerate().map(|(at, own)| Block { message, at, own }).collect()
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

/// Checks the blocks in the result of a tool.
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

/// Refuses results of server tools that come before their calls.
fn server_results(said: &Said<'_>) -> Result<(), ApiError> {
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

/// Refuses calls without results, and results without calls.
fn calls_and_results(said: &[Said<'_>]) -> Result<(), ApiError> {
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

/// Refuses calls without results. Results must come before everything else in the next message.
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

/// Refuses results without calls in the message before, and several results of one call.
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

/// Checks a last message of the assistant. It is the beginning of the answer; or a turn that the API has paused, which
/// has a call of a server tool.
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

/// Returns whether a request has a budget for thinking. In other modes, messages need no thinking blocks.
fn has_thinking_budget(fields: &Fields<'_>) -> bool {
    let thinking = fields.get("thinking").and_then(|raw| serde_json::from_str::<Members<'_>>(raw.get()).ok());
    thinking.is_some_and(|thinking| thinking.kind == "enabled")
}

/// Refuses a last message of the assistant without thinking, if the model goes on with it: at the end of the messages,
/// or before results of tools.
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
