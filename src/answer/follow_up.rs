//! Makes the requests that follow an answer that is not accepted.
//!
//! Each is made from the first request for the row and the last answer, never from other follow-ups. So a run that was
//! killed can continue with the last answer alone, and a conversation does not grow with each try.

use serde_json::value::RawValue;

use super::seen::Seen;
use crate::domain::{Params, Request};

/// Returns the parameters of a request.
pub(super) fn params_of(request: &Request) -> Option<Params> {
    Params::of_object(str::from_utf8(request.json()).ok()?)
}

/// Sets a parameter to a number.
pub(super) fn set_number(params: &mut Params, name: &str, number: u32) {
    params.set(name, raw(number.to_string()));
}

/// Sets a parameter to a text.
pub(super) fn set_text(params: &mut Params, name: &str, text: &str) {
    params.set(name, raw(serde_json::Value::from(text).to_string()));
}

/// Adds the answer and a message that says what is wrong with it. Returns `None` if the answer has no content, which the
/// API would refuse.
pub(super) fn repair(mut params: Params, seen: &Seen<'_>, finding: &str) -> Option<Params> {
    if seen.blocks.is_empty() {
        return None;
    }
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

/// Adds the answer so far, so that the model continues it. Returns `None` if the answer does not end with text.
pub(super) fn go_on(mut params: Params, seen: &Seen<'_>) -> Option<Params> {
    let text = kept_text(seen)?;
    push_messages(&mut params, &[assistant(&serde_json::Value::from(text).to_string())])?;
    Some(params)
}

/// Returns the part of a truncated text that the model can continue. The API refuses blanks at its end.
pub(super) fn kept_text<'s>(seen: &'s Seen<'_>) -> Option<&'s str> {
    let text = seen.text.trim_end();
    (seen.last_kind == "text" && seen.tool_calls.is_empty() && !text.is_empty()).then_some(text)
}

/// Adds the blocks of a paused answer, so that the API continues it.
pub(super) fn unpause(mut params: Params, seen: &Seen<'_>) -> Option<Params> {
    push_messages(&mut params, &[assistant(&blocks(seen))])?;
    Some(params)
}

/// Returns the content of the last message of a request, if it is one of the assistant: what an answer continues.
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
    format!("[{}]", seen.blocks.iter().map(|block| block.get()).collect::<Vec<_>>().join(","))
}

/// Adds messages at the end.
fn push_messages(params: &mut Params, added: &[String]) -> Option<()> {
    let own = params.get("messages")?.trim();
    let own = own.strip_prefix('[')?.strip_suffix(']')?.trim();
    let all = Some(own).filter(|own| !own.is_empty()).into_iter().chain(added.iter().map(String::as_str));
    let messages = format!("[{}]", all.collect::<Vec<_>>().join(","));
    params.set("messages", RawValue::from_string(messages).ok()?);
    Some(())
}

fn raw(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("numbers and texts are JSON")
}
