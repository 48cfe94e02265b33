//! Checks whether a whole answer has everything that an answer must have.
//!
//! A response with status 200 can be wrong. A gateway can translate the response, a proxy can cut it off, and a model
//! can call a tool that was not offered. The following table decides whether an answer is kept or rejected. The table
//! applies to all answers, streamed or not. An answer is rejected if it would be of no use to a reader of the results.
//! The members of a message can come in any order.
//!
//! | part of the answer | what it must be | if it is not |
//! |---|---|---|
//! | the whole answer | JSON, at most 125 levels deep, without lone surrogates; the members in this table occur only once (in a stream, all members occur only once) | rejected |
//! | `type` | `"message"` | rejected (`"error"`, or an error of another platform: read as an error) |
//! | `content` | a list of objects, each with a `type` that is a string; an empty list is allowed | rejected |
//! | a `text` block | its `text` is a string; an empty string is allowed | rejected |
//! | a `tool_use` block | its `name` is the name of a tool of the request, and its `input` is an object | rejected |
//! | a `server_tool_use` or `mcp_tool_use` block | its `name` is a string, its `input` is an object | rejected |
//! | a block of another type | not checked: unknown types are accepted | |
//! | `usage` | an object; without readable `input_tokens` and `output_tokens` the usage is unknown, but the answer is kept | rejected |
//! | `stop_reason` | a string that is not empty; its meaning is in the next table | rejected |
//! | the other members (`id`, `role`, `model`, …) | not checked; they can be missing | |
//!
//! | `stop_reason` | what happens to the answer |
//! |---|---|
//! | `end_turn`, `stop_sequence`, `tool_use` | kept, with the quality ok |
//! | `max_tokens`, `model_context_window_exceeded` | kept, with the quality truncated |
//! | `refusal` | kept, with the quality refused |
//! | `pause_turn` | rejected, because it is not finished; the row is not tried again, because the same request would end with the same stop reason |
//! | another stop reason | kept, with the quality unknown |
//!
//! If an answer is rejected, the row is tried again, as if the answer had been lost. The exception is `pause_turn`: a
//! row with this stop reason is not tried again. If the answer has a tool call, the names of the called tools are
//! compared with the tool names in the request. The names are read from the bytes of the request that was sent. Some
//! requests have parts that can add tools without naming them (`mcp_servers`, a toolset without a `name`, a `thread`).
//! In the answers to such requests, any tool name is accepted.
//!
//! In a stream, the input of a tool call comes as pieces of text. If this text is not JSON, the result depends on how
//! the answer ended. If the model stopped on its own, the answer is rejected. If the answer was cut off, the text is
//! kept in the form that [`super::block`] describes.
//!
//! Sources: fact sheet of the API, sections 1.6 and 1.7; API documentation, "Handling stop reasons" (2026-08-22).

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::kinds::{is_call, quality};
use super::{scan, usage};
use crate::domain::json::{self, DEEPEST, lone_surrogate};
use crate::domain::{Quality, Request, Usage, quoted};

/// The maximum nesting depth of a message; a message with deeper nesting is rejected. A line of results adds two levels
/// around the message, and common parsers accept at most [`DEEPEST`] levels in total. Common parsers could not read a
/// result line with more levels than this. The API's own answers are only a tenth as deep as this limit allows.
const DEEPEST_MESSAGE: u32 = DEEPEST - 2;

/// The reason why an answer is rejected.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A part of the answer is missing or has a wrong form. The value of this variant names the part.
    Broken(Cow<'static, str>),
    /// The answer is not finished: the model has paused.
    Paused,
}

/// The members of a message that this module checks.
#[derive(Deserialize)]
pub(super) struct Shape<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) content: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    stop_reason: Option<&'a RawValue>,
}

impl Shape<'_> {
    /// Returns whether the type of this object says that it is an error.
    pub(super) fn is_error(&self) -> bool {
        self.kind.and_then(string).as_deref() == Some("error")
    }

    /// Returns whether the `type` of this object is `message`.
    pub(super) fn is_message(&self) -> bool {
        self.kind.and_then(string).as_deref() == Some("message")
    }

    /// Returns the usage in the message, if it has a usage.
    pub(super) fn usage(&self) -> Option<Usage> {
        self.usage.and_then(|raw| usage::read(raw.get()))
    }

    /// Judges the message by the table at the top of this file. `json` is the whole message, and `asked` is the request
    /// that was sent.
    pub(super) fn judge(&self, json: &str, asked: &Request) -> Result<Quality, Refused> {
        if !json::is_within_depth(json.as_bytes(), DEEPEST_MESSAGE) {
            let why = format!(
                "it is nested more than {DEEPEST_MESSAGE} levels deep, which programs that read results do not accept"
            );
            return Err(Refused::Broken(why.into()));
        }
        if !self.is_message() {
            return broken("its type is not \"message\"");
        }
        let stop_reason = self.stop_reason.and_then(string).filter(|reason| !reason.is_empty());
        let quality = match stop_reason.as_deref().map(|reason| quality(reason.as_bytes())) {
            Some(None) => return Err(Refused::Paused),
            Some(Some(quality)) => Some(quality),
            None => None,
        };
        let Some(content) = self.content else { return broken("it has no content") };
        check_content(content, asked)?;
        if self.usage().is_none() {
            return broken("it has no usage");
        }
        if lone_surrogate(json).is_some() {
            return broken(
                "it contains half a character (a lone surrogate), which programs that read results do not accept",
            );
        }
        quality.map_or_else(|| broken("it has no stop_reason, so it is not known whether it is complete"), Ok)
    }
}

fn broken<T>(why: impl Into<Cow<'static, str>>) -> Result<T, Refused> {
    Err(Refused::Broken(why.into()))
}

/// Those members of a content block that this module checks.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

fn check_content(content: &RawValue, asked: &Request) -> Result<(), Refused> {
    let Ok(blocks) = serde_json::from_str::<Vec<Block<'_>>>(content.get()) else {
        return broken("its content is not a list of blocks");
    };
    let mut calls = Vec::new();
    for (at, block) in blocks.iter().enumerate() {
        let kind = block.kind.as_str();
        if kind == "text" && !block.text.is_some_and(|text| text.get().starts_with('"')) {
            return broken(format!("content block {at} has the type text but no text"));
        }
        if !is_call(kind.as_bytes()) {
            continue;
        }
        let Some(name) = block.name.and_then(string) else {
            return broken(format!("content block {at} is a tool call without a name"));
        };
        if !block.input.is_some_and(|input| input.get().starts_with('{')) {
            return broken(format!("content block {at} is a tool call whose input is not an object"));
        }
        if kind == "tool_use" {
            calls.push(name);
        }
    }
    let calls: Vec<&[u8]> = calls.iter().map(String::as_bytes).collect();
    match first_not_offered(&calls, asked) {
        Some(name) => {
            let name = quoted(&String::from_utf8_lossy(name));
            broken(format!("the message calls the tool {name}, which the request does not offer"))
        }
        None => Ok(()),
    }
}

fn string(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

/// The members of a request that can offer tools to the model.
#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    tools: Option<Vec<Tool<'a>>>,
    mcp_servers: Option<IgnoredAny>,
    thread: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
}

/// Returns the first tool in `called` that a request does not offer. If no tool was called, this function does not read
/// the request.
pub(super) fn first_not_offered<'n>(called: &[&'n [u8]], asked: &Request) -> Option<&'n [u8]> {
    if called.is_empty() {
        return None;
    }
    scan::first_not_offered(called, asked.json()).unwrap_or_else(|| first_not_offered_by_parser(called, asked))
}

/// Does the same as [`first_not_offered`], for a request with escapes in names or with deep nesting.
fn first_not_offered_by_parser<'n>(called: &[&'n [u8]], asked: &Request) -> Option<&'n [u8]> {
    // If this parser can't read the request, the tools of the request are unknown. The API accepted the request, so
    // every called tool is allowed.
    let Asked { tools, mcp_servers, thread } = serde_json::from_slice(asked.json()).ok()?;
    let tools = tools.unwrap_or_default();
    if mcp_servers.is_some() || thread.is_some() || tools.iter().any(|tool| tool.name.is_none()) {
        return None;
    }
    let is_offered =
        |called: &[u8]| tools.iter().filter_map(|tool| tool.name.as_ref()).any(|name| name.as_bytes() == called);
    called.iter().copied().find(|called| !is_offered(called))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Params;

    fn asked(members: &[(&str, &str)]) -> Request {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        Request::of(&Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect()))
    }

    #[test]
    fn only_a_tool_that_the_request_names_is_offered() {
        let deep = format!("{}{}", "[".repeat(90), "]".repeat(90));
        let rows = [
            (asked(&[]), false),
            (asked(&[("tools", "null")]), false),
            (asked(&[("tools", "[]")]), false),
            (asked(&[("tools", r#"[{"name":"other"},{"name":"sav"},{"name":"Save"}]"#)]), false),
            (asked(&[("messages", r#"[{"tools":[{"name":"save"}]}]"#)]), false),
            (asked(&[("tools", r#"[{"name":"other"},{"type":"custom","name":"save"}]"#)]), true),
            (asked(&[("tools", r#"[{"name":"s\u0061ve"}]"#)]), true),
            (asked(&[("tools", r#"[{"type":"mcp_toolset","mcp_server_name":"a"}]"#)]), true),
            (asked(&[("mcp_servers", "[{}]"), ("tools", "[]")]), true),
            (asked(&[("thread", "{}")]), true),
            (asked(&[("thread", "null"), ("mcp_servers", "null")]), false),
            (asked(&[("tools", &format!(r#"[{{"name":"other","input_schema":{deep}}}]"#))]), false),
            (asked(&[("tools", &format!(r#"[{{"input_schema":{deep},"name":"save"}}]"#))]), true),
            (asked(&[("tools", r#"[{"name":null}]"#)]), true),
            (asked(&[("tools", "7")]), true),
        ];
        for (request, is_offered) in rows {
            let called = [&b"save"[..]];
            assert_eq!(first_not_offered(&called, &request).is_none(), is_offered, "{request:?}");
            assert_eq!(first_not_offered_by_parser(&called, &request).is_none(), is_offered, "{request:?}");
        }
    }

    #[test]
    fn every_tool_call_of_an_answer_is_checked() {
        let request = asked(&[("tools", r#"[{"name":"a"},{"name":"b"}]"#)]);

        assert_eq!(first_not_offered(&[b"a", b"b", b"a"], &request), None);
        assert_eq!(first_not_offered(&[b"b", b"c", b"d"], &request), Some(&b"c"[..]));
        assert_eq!(first_not_offered(&[], &asked(&[])), None);
    }
}
