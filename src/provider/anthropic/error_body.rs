//! Reads the bodies of errors: the API's own form, and the forms of other platforms and of gateways.
//!
//! | form | who sends it |
//! |---|---|
//! | `{"type":"error","error":{"type","message","details":{"error_code"}},"request_id"}` | the API, and most platforms |
//! | `{"message"}`, with the name of the error in a header or in `__type` | AWS |
//! | `{"error":{"code","message","status"}}`, also as the only element of a list | Google |
//! | `{"error":{"code","message","metadata"}}` | OpenRouter |
//! | `{"error":{"message","type","param","code"}}`, `{"error":"…"}`, `{"detail":"…"}`, `{"object":"error","type","message"}` | LiteLLM, Azure, vLLM and other servers |
//! | a page for people (such as HTML), or an empty body | gateways |
//!
//! Every form is read for every provider, because a gateway can pass on the errors of any platform. What an error means
//! depends on the provider ([`super::platform`]).

use std::time::Duration;

use serde_json::Value;

use super::headers::request_id;
use super::platform::aws;
use super::platform::openrouter;
use super::text;
use crate::domain::Failure;
use crate::provider::{Reply, ReplyHead};

/// The maximum length, in bytes, of an error body that is parsed as JSON. Real errors are shorter than this, and
/// parsing a large body takes much memory.
const LONGEST_ERROR_BYTES: usize = 128 * 1024;

/// Returns a failure with only the facts from the response head (status and headers).
pub(super) fn failure_of(head: &ReplyHead) -> Failure {
    Failure { status: Some(head.status), request_id: request_id(&head.headers), ..Failure::default() }
}

/// Reads an error body: an error in one of the known JSON forms, a page for people (such as HTML), or an empty body.
pub(super) fn error(body: &[u8], head: &ReplyHead) -> Reply {
    let Some(json) = object(body) else {
        let excerpt = text::excerpt(body);
        let message = if excerpt.is_empty() { "the response has no body".to_owned() } else { excerpt };
        let failure = Failure { message, kind: aws::name_in_head(head), ..failure_of(head) };
        return Reply::Error { failure, is_in_stream: false, retry_after: None };
    };
    Reply::Error { failure: failure(&json, head, body), is_in_stream: false, retry_after: retry_after(&json) }
}

/// Returns whether a body is an error. Callers pass a body that came with status 200 and is not a message.
pub(super) fn is_error(body: &[u8], head: &ReplyHead) -> bool {
    let Some(json) = object(body) else { return false };
    let has_error = json.get("error").is_some_and(|error| error.is_string() || error.is_object());
    let is_bare = json.get("message").is_some_and(Value::is_string) && json.get("content").is_none();
    has_error || is_bare || aws::name_in_body(&json).is_some() || aws::name_in_head(head).is_some()
}

/// Returns a body as a JSON object. If the body is a list with one object, returns that object.
fn object(body: &[u8]) -> Option<Value> {
    let json = (body.len() <= LONGEST_ERROR_BYTES).then(|| serde_json::from_slice::<Value>(body).ok()).flatten()?;
    let json = match json {
        Value::Array(mut list) if list.len() == 1 => list.remove(0),
        other => other,
    };
    json.is_object().then_some(json)
}

/// Makes a failure from the error object of a response body.
fn failure(json: &Value, head: &ReplyHead, body: &[u8]) -> Failure {
    let string = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let message =
        ["/error/message", "/message", "/Message", "/error", "/detail", "/title"].into_iter().find_map(string);
    let mut message =
        message.map(text::clean).filter(|message| !message.is_empty()).unwrap_or_else(|| text::excerpt(body));
    if let Some(more) = openrouter::more(json) {
        message = text::clean(&format!("{message}: {more}"));
    }
    Failure {
        status: Some(head.status),
        wire: None,
        kind: kind(json, head),
        code: string("/error/details/error_code").and_then(text::name).or_else(|| code(json)),
        message,
        request_id: request_id(&head.headers).or_else(|| string("/request_id").and_then(text::name)),
        ..Failure::default()
    }
}

/// Returns the kind of an error, from its `type` or another member.
fn kind(json: &Value, head: &ReplyHead) -> Option<String> {
    let string = |pointer: &str| json.pointer(pointer).and_then(Value::as_str);
    let bare = || string("/type").filter(|kind| *kind != "error");
    // LiteLLM writes "None" for a kind that it does not know.
    let named = ["/error/type", "/error/status"].into_iter().find_map(string).or_else(bare);
    let named = named.filter(|kind| *kind != "None").and_then(text::name);
    named.or_else(|| aws::name_in_body(json)).or_else(|| aws::name_in_head(head))
}

/// Returns `error.code`, which is a number or a name.
fn code(json: &Value) -> Option<String> {
    match json.pointer("/error/code").or_else(|| json.get("code"))? {
        Value::Number(number) => Some(number.to_string()),
        Value::String(name) => text::name(name),
        _ => None,
    }
}

/// Returns the waiting time, in seconds, from the body of one of Cloudflare's own errors. Waiting times of more than a
/// day are ignored.
fn retry_after(json: &Value) -> Option<Duration> {
    let seconds = json.get("retry_after")?.as_u64()?;
    (1..=86_400).contains(&seconds).then(|| Duration::from_secs(seconds))
}
