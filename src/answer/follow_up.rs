//! Makes follow-ups: the requests that are sent for a row after an answer that was not accepted.
//!
//! Each follow-up is made from the first request for the row and the last answer, never from other follow-ups. So a
//! killed run needs only the last answer to continue, and the conversation does not grow with each try.

use serde_json::value::RawValue;

use super::seen::Seen;
use crate::domain::json::is_filled_array;
use crate::domain::{Params, Request, SchemaMethod};

/// The base of a follow-up: the request from which the follow-up is made.
pub(super) struct Base {
    pub(super) params: Params,
    /// How the schema is put into the parameters; `None` without a schema.
    pub(super) schema_method: Option<SchemaMethod>,
    /// The first request of the conversation; `None` if the base becomes the first request.
    pub(super) request: Option<Box<Request>>,
}

impl Base {
    /// Changes the parameters. Returns `None` if `change` returns `None`.
    pub(super) fn changed(self, change: impl FnOnce(Params) -> Option<Params>) -> Option<Self> {
        Some(Self { params: change(self.params)?, schema_method: self.schema_method, request: self.request })
    }
}

/// Returns the parameters of a request.
pub(super) fn params_of(request: &Request) -> Option<Params> {
    Params::of_object(str::from_utf8(request.json()).ok()?)
}

/// Sets a parameter to a number.
pub(super) fn set_number(params: &mut Params, name: &str, number: u32) {
    params.set(name, raw(number.to_string()));
}

/// Sets a parameter to a string.
pub(super) fn set_text(params: &mut Params, name: &str, text: &str) {
    params.set(name, raw(serde_json::Value::from(text).to_string()));
}

/// Adds two messages to the request: the answer, and a message that says what is wrong with the answer. The blocks of
/// the answer are sent back unchanged, because the API checks the signatures of thinking blocks. Each tool call gets a
/// result, because the API requires one.
pub(super) fn repair(mut params: Params, seen: &Seen<'_>, finding: &str) -> Option<Params> {
    let wanted = format!("This answer is not accepted: {finding}. Answer again, and correct this.");
    let user = if seen.tool_calls.is_empty() {
        serde_json::json!({"role": "user", "content": wanted})
    } else {
        let results = seen.tool_calls.iter().map(
            |id| serde_json::json!({"type": "tool_result", "tool_use_id": id, "is_error": true, "content": wanted}),
        );
        serde_json::json!({"role": "user", "content": results.collect::<Vec<_>>()})
    };
    push_messages(&mut params, &[assistant(&blocks(seen)), user.to_string()])?;
    Some(params)
}

/// Adds the text of a truncated answer, so that the model continues this text. Returns `None` if the answer does not
/// end with text.
pub(super) fn go_on(mut params: Params, seen: &Seen<'_>) -> Option<Params> {
    let text = kept_text(seen)?;
    push_messages(&mut params, &[assistant(&serde_json::Value::from(text).to_string())])?;
    Some(params)
}

/// Returns the part of a truncated text that the model can continue. Blanks at the end are left out, because the API
/// rejects them.
pub(super) fn kept_text<'s>(seen: &'s Seen<'_>) -> Option<&'s str> {
    let text = seen.text.trim_end();
    let is_text = seen.last_kind == "text" && seen.tool_calls.is_empty();
    // The model can't continue a text that contains citations.
    (is_text && !seen.has_citations && !text.is_empty()).then_some(text)
}

/// Returns whether an assistant message can be added to the request, so that the model continues this message. The API
/// rejects such a message if the request uses thinking, tools or a format, or already ends with an assistant message.
///
/// Source: API documentation, "Prefill Claude's response", "Structured outputs" (2026).
pub(super) fn is_open_to_prefill(params: &Params) -> bool {
    let thinks = params.get("thinking").is_some_and(|thinking| !thinking.contains("disabled") && thinking != "null");
    let has_tools = params.get("tools").is_some_and(|tools| is_filled_array(tools.as_bytes()));
    let config = params.get("output_config").and_then(Params::of_object).unwrap_or_default();
    let formats = [config.get("format"), params.get("output_format")];
    let has_format = formats.into_iter().flatten().any(|format| format != "null");
    let ends_with_assistant = continued(&Request::of(params)).is_some();
    !thinks && !has_tools && !has_format && !ends_with_assistant
}

/// Adds the blocks of a paused answer, so that the API continues the answer. Returns `None` if the answer has no
/// blocks, because the API rejects a message without content.
pub(super) fn unpause(mut params: Params, seen: &Seen<'_>) -> Option<Params> {
    if seen.sendable.is_empty() {
        return None;
    }
    push_messages(&mut params, &[assistant(&blocks(seen))])?;
    Some(params)
}

/// Returns the content of the last message of a request if this message is from the assistant. The answer to the
/// request continues this content.
pub(super) fn continued(request: &Request) -> Option<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Turn {
        role: String,
        content: Box<RawValue>,
    }
    let params = params_of(request)?;
    let messages: Vec<&RawValue> = serde_json::from_str(params.get("messages")?).ok()?;
    let last: Turn = serde_json::from_str(messages.last()?.get()).ok()?;
    (last.role == "assistant").then_some(last.content)
}

fn assistant(content: &str) -> String {
    format!("{{\"role\":\"assistant\",\"content\":{content}}}")
}

fn blocks(seen: &Seen<'_>) -> String {
    format!("[{}]", seen.sendable.iter().map(|block| block.get()).collect::<Vec<_>>().join(","))
}

/// Adds messages at the end of the parameter `messages`.
fn push_messages(params: &mut Params, added: &[String]) -> Option<()> {
    let own = params.get("messages")?.trim();
    let own = own.strip_prefix('[')?.strip_suffix(']')?.trim();
    let all = Some(own).filter(|own| !own.is_empty()).into_iter().chain(added.iter().map(String::as_str));
    let messages = format!("[{}]", all.collect::<Vec<_>>().join(","));
    params.set("messages", RawValue::from_string(messages).ok()?);
    Some(())
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("numbers and texts can be written as JSON")
}
