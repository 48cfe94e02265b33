//! Rows of OpenAI batch files: `{"custom_id", "method", "url", "body"}`.
//!
//! This module converts a chat completion into a message request. If a parameter has no counterpart, the row is broken
//! and the message names the parameter. If the parameter were left out, the answer would wrongly look like an answer to
//! the whole request. If the value of a parameter is a default that changes nothing, the parameter is left out. Texts
//! stay the same, byte for byte. Source: OpenAI API reference, "Create chat completion" and "Batch" (2026).

use std::fmt::Write as _;

use serde_json::value::RawValue;

use super::json::{self, Member, Object, place_in};
use super::names::short;
use super::raw::Fault;
use crate::domain::Params;

/// The members of a row of an OpenAI batch file. The label is not in this list, because it is read in the same way as
/// in all other rows.
pub(super) const MEMBERS: [&str; 3] = ["method", "url", "body"];

/// Returns whether the row has the shape of OpenAI's batch files.
pub(super) fn is_shape(object: &Object<'_>) -> bool {
    object.has("body") && (object.has("url") || object.has("method"))
}

/// Returns the parameters, and the members that are kept with the row.
pub(super) fn read(text: &str, object: &Object<'_>) -> Result<(Params, Params), Fault> {
    if let Some(method) = object.get("method") {
        let is_post = json::as_string(method).is_some_and(|method| method.eq_ignore_ascii_case("post"));
        if !is_post {
            return Err(fault(text, method, "has a `method` other than POST"));
        }
    }
    let Some(url) = object.get("url") else {
        return Err(Fault::new("has a `body` and no `url`; add \"url\": \"/v1/messages\" or \"/v1/chat/completions\""));
    };
    let body = object.get("body").ok_or_else(|| Fault::new("has no `body`"))?;
    let Some(members) = json::members(body) else {
        return Err(fault(text, body, format!("has {} as `body`; it must be an object", json::kind(body.get()))));
    };
    json::refuse_repeats(members.iter().map(|(name, _)| &**name), " in body")?;

    match json::as_string(url).as_deref().map(path) {
        Some("/v1/messages") => Ok((json::owned(members), Params::default())),
        Some("/v1/chat/completions") => chat(text, &members),
        Some(other) => {
            Err(fault(text, url, format!("has the url {}, which has no counterpart in the Messages API", short(other))))
        }
        None => Err(fault(text, url, format!("has {} as `url`", json::kind(url.get())))),
    }
}

fn path(url: &str) -> &str {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    after_scheme.find('/').map_or(url, |at| &after_scheme[at..])
}

/// Parameters, each with a list of the values that have no effect. A parameter with such a value is left out.
const NEUTRAL: [(&str, &[&str]); 17] = [
    ("n", &["1"]),
    ("logprobs", &["false"]),
    ("top_logprobs", &["0"]),
    ("frequency_penalty", &["0", "0.0"]),
    ("presence_penalty", &["0", "0.0"]),
    ("logit_bias", &["{}"]),
    ("response_format", &[r#"{"type":"text"}"#]),
    ("modalities", &[r#"["text"]"#]),
    ("service_tier", &[r#""auto""#, r#""default""#]),
    ("parallel_tool_calls", &["true"]),
    ("tools", &["[]"]),
    ("tool_choice", &[r#""none""#, r#""auto""#]),
    ("functions", &["[]"]),
    ("function_call", &[r#""none""#, r#""auto""#]),
    ("stream", &["false", "true"]),
    ("store", &["false", "true"]),
    ("verbosity", &[r#""medium""#]),
];

/// Parameters with which OpenAI's service organizes requests. These parameters are kept with the row and not sent.
const BOOKKEEPING: [&str; 4] = ["metadata", "prompt_cache_key", "safety_identifier", "stream_options"];

fn chat(text: &str, members: &[Member<'_>]) -> Result<(Params, Params), Fault> {
    let (mut params, mut extra) = (Params::default(), Params::default());
    for (name, value) in members {
        let json = value.get();
        match &**name {
            _ if json == "null" => {}
            "messages" => chat_messages(text, value, &mut params)?,
            "model" | "top_p" => params.set(name, (*value).to_owned()),
            "temperature" if json.parse::<f64>().is_ok_and(|degree| degree > 1.0) => {
                return Err(fault(text, value, "has a `temperature` above 1, the API's highest"));
            }
            "temperature" => params.set(name, (*value).to_owned()),
            "max_tokens" | "max_completion_tokens" => match params.get("max_tokens") {
                Some(other) if other != json => {
                    return Err(fault(text, value, "has different `max_tokens` and `max_completion_tokens`; keep one"));
                }
                _ => params.set("max_tokens", (*value).to_owned()),
            },
            "stop" if json.starts_with('"') => params.set("stop_sequences", json::raw_value(format!("[{json}]"))),
            "stop" => params.set("stop_sequences", (*value).to_owned()),
            "user" => params.set("metadata", json::raw_value(format!(r#"{{"user_id":{json}}}"#))),
            own if BOOKKEEPING.contains(&own) => extra.set(own, (*value).to_owned()),
            own if is_neutral(own, json) => {}
            own => {
                let own = short(own);
                return Err(fault(
                    text,
                    value,
                    format!("has `{own}` in `body`, which has no counterpart in the Messages API; take it out"),
                ));
            }
        }
    }
    Ok((params, extra))
}

fn is_neutral(name: &str, json: &str) -> bool {
    let same = |neutral: &&str| match (parsed(json), parsed(neutral)) {
        (Some(one), Some(other)) => one == other,
        _ => false,
    };
    NEUTRAL.iter().any(|(own, values)| *own == name && values.iter().any(same))
}

fn parsed(json: &str) -> Option<serde_json::Value> {
    serde_json::from_str(json).ok()
}

/// Moves the leading system messages to `system`, and writes the other messages to `messages`.
fn chat_messages(text: &str, value: &RawValue, params: &mut Params) -> Result<(), Fault> {
    let Ok(list) = serde_json::from_str::<Vec<&RawValue>>(value.get()) else {
        return Err(fault(text, value, format!("has {} as `messages`; it must be an array", json::kind(value.get()))));
    };
    let (mut system, mut messages) = (Vec::new(), String::from("["));
    for raw in list {
        let (role, content) = chat_message(text, raw)?;
        if role == "system" && messages.len() == 1 {
            system.push(content);
            continue;
        }
        if messages.len() > 1 {
            messages.push(',');
        }
        let content = blocks(text, content)?;
        write!(messages, r#"{{"role":"{role}","content":{content}}}"#).expect("a string takes any text");
    }
    messages.push(']');

    if let Some(system) = system_value(text, &system)? {
        params.set("system", system);
    }
    params.set("messages", json::raw_value(messages));
    Ok(())
}

/// Returns the role and the content that a message has in the new request.
fn chat_message<'a>(text: &str, raw: &'a RawValue) -> Result<(&'static str, &'a RawValue), Fault> {
    let members = json::members(raw).ok_or_else(|| fault(text, raw, "has a message that is not an object"))?;
    let (mut role, mut content) = (None, None);
    for (name, value) in members {
        match &*name {
            "role" => role = Some(value),
            "content" => content = Some(value),
            _ if value.get() == "null" || value.get() == "[]" => {}
            other => {
                let other = short(other);
                return Err(fault(
                    text,
                    value,
                    format!("has `{other}` in a message, which has no counterpart in the Messages API"),
                ));
            }
        }
    }
    let role = match role.and_then(json::as_string).as_deref() {
        Some("system" | "developer") => "system",
        Some("user") => "user",
        Some("assistant") => "assistant",
        Some(other) => {
            return Err(fault(
                text,
                raw,
                format!("has a message of the role {}, which has no counterpart in the Messages API", short(other)),
            ));
        }
        None => return Err(fault(text, raw, "has a message without a role")),
    };
    match content {
        Some(content) if content.get() != "null" => Ok((role, content)),
        _ => Err(fault(text, raw, "has a message without content")),
    }
}

/// Returns the content in the form of a message request. A string stays unchanged, and a list of parts becomes a list
/// of blocks.
fn blocks(text: &str, content: &RawValue) -> Result<String, Fault> {
    if content.get().starts_with('"') {
        return Ok(content.get().to_owned());
    }
    let Ok(parts) = serde_json::from_str::<Vec<&RawValue>>(content.get()) else {
        return Err(fault(text, content, "has a `content` that is neither a string nor a list of parts"));
    };
    let blocks: Vec<String> = parts.into_iter().map(|part| block(text, part)).collect::<Result<_, _>>()?;
    Ok(format!("[{}]", blocks.join(",")))
}

fn block(text: &str, part: &RawValue) -> Result<String, Fault> {
    let members = json::members(part).unwrap_or_default();
    let member = |wanted: &str| members.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
    let kind = member("type").and_then(json::as_string).unwrap_or_default();
    match (kind.as_str(), member("text"), member("image_url")) {
        ("text", Some(words), _) => Ok(format!(r#"{{"type":"text","text":{}}}"#, words.get())),
        ("image_url", _, Some(image)) => {
            let source = image_source(image).ok_or_else(|| fault(text, image, "has an image that is not a URL"))?;
            Ok(format!(r#"{{"type":"image","source":{source}}}"#))
        }
        (kind, ..) => Err(fault(
            text,
            part,
            format!("has a part of the type {}, which has no counterpart in the Messages API", short(kind)),
        )),
    }
}

fn image_source(image: &RawValue) -> Option<String> {
    let members = json::members(image)?;
    let (_, url) = members.iter().find(|(name, _)| name == "url")?;
    let plain = json::as_string(url)?;
    let Some((media_type, bytes)) = plain.strip_prefix("data:").and_then(|data| data.split_once(";base64,")) else {
        let is_web = plain.starts_with("https://") || plain.starts_with("http://");
        return is_web.then(|| format!(r#"{{"type":"url","url":{}}}"#, url.get()));
    };
    let (media_type, bytes) = (json::string_value(media_type), json::string_value(bytes));
    Some(format!(r#"{{"type":"base64","media_type":{media_type},"data":{bytes}}}"#))
}

/// Returns the value of `system`. A single string stays unchanged, and anything else becomes a list of text blocks.
fn system_value(text: &str, contents: &[&RawValue]) -> Result<Option<Box<RawValue>>, Fault> {
    let mut parts = Vec::new();
    for content in contents {
        match (content.get().starts_with('"'), contents.len()) {
            (true, 1) => return Ok(Some((*content).to_owned())),
            (true, _) => parts.push(format!(r#"{{"type":"text","text":{}}}"#, content.get())),
            (false, _) => {
                let list = blocks(text, content)?;
                let inner = list.trim_start_matches('[').trim_end_matches(']');
                parts.extend((!inner.is_empty()).then(|| inner.to_owned()));
            }
        }
    }
    Ok((!parts.is_empty()).then(|| json::raw_value(format!("[{}]", parts.join(",")))))
}

fn fault(line: &str, part: &RawValue, message: impl Into<String>) -> Fault {
    Fault::at(place_in(line, part.get()), message)
}

#[cfg(test)]
mod tests {
    use super::super::json::ParamsMember;
    use super::*;

    #[test]
    fn a_messages_body_passes_as_it_is() {
        let (params, extra) =
            mapped("/v1/messages", r#"{"max_tokens":1.0e1,"messages":[ 1 ],"odd":null}"#).expect("fits");

        assert_eq!(shown(&params), r#"{"max_tokens":1.0e1,"messages":[ 1 ],"odd":null}"#);
        assert!(extra.0.is_empty());
    }

    #[test]
    fn a_chat_becomes_a_message_request() {
        let body = r#"{"model":"m","messages":[{"role":"system","content":"Be \u0062rief."},{"role":"user","content":"Hi"},
            {"role":"assistant","content":"Yes?","refusal":null},{"role":"user","content":[{"type":"text","text":"Look"},
            {"type":"image_url","image_url":{"url":"https://example.invalid/a.png"}},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}}]}],
            "max_completion_tokens":50,"temperature":0.20,"top_p":0.9,"stop":"END","n":1,"stream":false,"user":"u1",
            "response_format":{ "type": "text" },"metadata":{"k":"v"},"logit_bias":null}"#;

        let (params, extra) = mapped("https://api.openai.com/v1/chat/completions", body).expect("it has a meaning");

        let expected = concat!(
            r#"{"model":"m","system":"Be \u0062rief.","messages":[{"role":"user","content":"Hi"},"#,
            r#"{"role":"assistant","content":"Yes?"},{"role":"user","content":[{"type":"text","text":"Look"},"#,
            r#"{"type":"image","source":{"type":"url","url":"https://example.invalid/a.png"}},"#,
            r#"{"type":"image","source":{"type":"base64","media_type":"image/png","data":"AAAA"}}]}],"#,
            r#""max_tokens":50,"temperature":0.20,"top_p":0.9,"stop_sequences":["END"],"metadata":{"user_id":"u1"}}"#
        );
        assert_eq!(shown(&params), expected);
        assert_eq!(shown(&extra), r#"{"metadata":{"k":"v"}}"#);
    }

    #[test]
    fn several_system_messages_become_blocks_and_later_system_messages_stay() {
        let body = r#"{"messages":[{"role":"system","content":"A"},{"role":"developer","content":[{"type":"text","text":"[B]"}]},
            {"role":"user","content":"Q"},{"role":"system","content":"C"}]}"#;

        let (params, _) = mapped("/v1/chat/completions", body).expect("it has a meaning");

        let expected = concat!(
            r#"{"system":[{"type":"text","text":"A"},{"type":"text","text":"[B]"}],"#,
            r#""messages":[{"role":"user","content":"Q"},{"role":"system","content":"C"}]}"#
        );
        assert_eq!(shown(&params), expected);
    }

    #[test]
    fn parameters_without_a_counterpart_are_refused_and_named() {
        let ask = r#""messages":[{"role":"user","content":"Q"}]"#;
        let cases = [
            (r#""n":2"#, "`n`"),
            (r#""logprobs":true"#, "`logprobs`"),
            (r#""response_format":{"type":"json_object"}"#, "`response_format`"),
            (r#""tools":[{"type":"function"}]"#, "`tools`"),
            (r#""seed":7"#, "`seed`"),
            (r#""temperature":1.7"#, "`temperature` above 1"),
            (r#""max_tokens":1,"max_completion_tokens":2"#, "keep one"),
            (r#""n":1,"n":1"#, "twice in body"),
        ];

        for (member, named) in cases {
            let fault = mapped("/v1/chat/completions", &format!("{{{ask},{member}}}")).expect_err(member);
            assert!(fault.message.contains(named), "{member}: {}", fault.message);
        }
    }

    #[test]
    fn messages_without_a_counterpart_are_refused() {
        let cases = [
            (r#"{"role":"tool","content":"x"}"#, "role tool"),
            (r#"{"role":"user","content":"x","name":"Bo"}"#, "`name`"),
            (r#"{"role":"assistant","content":null,"tool_calls":[{}]}"#, "`tool_calls`"),
            (r#"{"role":"user"}"#, "without content"),
            (r#"{"role":"user","content":[{"type":"input_audio"}]}"#, "input_audio"),
            (r#"{"role":"user","content":[{"type":"image_url","image_url":{"url":"file:///x"}}]}"#, "not a URL"),
            ("7", "not an object"),
        ];

        for (message, named) in cases {
            let fault = mapped("/v1/chat/completions", &format!("{{\"messages\":[{message}]}}")).expect_err(message);
            assert!(fault.message.contains(named) && fault.column.is_some(), "{message}: {fault:?}");
        }
    }

    #[test]
    fn other_endpoints_and_methods_are_refused() {
        assert!(mapped("/v1/embeddings", "{}").expect_err("other").message.contains("/v1/embeddings"));
        assert!(mapped_line(r#"{"method":"GET","url":"/v1/messages","body":{}}"#).is_err());
        assert!(mapped_line(r#"{"method":"POST","body":{}}"#).expect_err("no url").message.contains("no `url`"));
        assert!(mapped_line(r#"{"url":"/v1/messages","body":[]}"#).expect_err("array").message.contains("an array"));
    }

    fn mapped(url: &str, body: &str) -> Result<(Params, Params), Fault> {
        mapped_line(&format!(r#"{{"custom_id":"a","method":"POST","url":"{url}","body":{}}}"#, body.replace('\n', " ")))
    }

    fn mapped_line(line: &str) -> Result<(Params, Params), Fault> {
        let mut object = Object::default();
        object.read(line, ParamsMember::Open).expect("the test writes valid JSON");
        read(line, &object)
    }

    fn shown(params: &Params) -> String {
        let mut out = Vec::new();
        params.write_object(&mut out);
        String::from_utf8(out).expect("JSON is text")
    }
}
