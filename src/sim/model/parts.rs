//! The parts of a prompt in order: tools, system, messages. A cache breakpoint can come after each part.
//!
//! This module decides when the cache treats two parts as the same. Source: API documentation, "Prompt caching"
//! (2026-09-29).

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors::ApiError;
use super::fields::{Fields, Text};
use super::hash::Hash;

/// A cache breakpoint (the value of `cache_control`).
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CacheControl<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ttl: Option<Cow<'a, str>>,
}

impl CacheControl<'_> {
    /// Rejects a breakpoint with an unknown kind or lifetime. In the error message, `name` is the place of the
    /// breakpoint.
    pub(super) fn check(&self, name: &str) -> Result<(), ApiError> {
        match (self.kind.as_deref(), self.ttl.as_deref()) {
            (Some("ephemeral"), None | Some("5m" | "1h")) => Ok(()),
            (None, _) => Err(ApiError::invalid(format!("{name}.type: Field required"))),
            (Some("ephemeral"), Some(_)) => {
                Err(ApiError::invalid(format!("{name}.ephemeral.ttl: Input should be '5m' or '1h'")))
            }
            (Some(other), _) => Err(ApiError::invalid(format!(
                "{name}: Input tag '{other}' found using 'type' does not match any of the expected tags: 'ephemeral'"
            ))),
        }
    }

    /// Returns whether the lifetime of the cache entry is an hour.
    pub(super) fn is_hour(&self) -> bool {
        self.ttl.as_deref() == Some("1h")
    }
}

/// The three levels of a prompt, in the order in which the API reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Definitions of tools.
    Tools,
    /// The system prompt.
    System,
    /// Messages.
    Messages,
}

/// The kinds of parts that the cache treats differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PartKind {
    /// A part that is of none of the kinds below, such as a text, an image or a tool.
    Plain,
    /// A call of a tool.
    ToolUse,
    /// The result of a tool.
    ToolResult,
    /// A thinking block, which can't have a breakpoint.
    Unmarkable,
}

impl PartKind {
    /// Returns the kind of part that a content block of this type is.
    pub(super) fn of(block_type: &str) -> Self {
        match block_type {
            "tool_use" => Self::ToolUse,
            "tool_result" => Self::ToolResult,
            "thinking" | "redacted_thinking" => Self::Unmarkable,
            _ => Self::Plain,
        }
    }

    /// Returns whether a part of this kind has the same position as the previous part. `before` is the kind of the
    /// previous part. Consecutive tool calls share one position, and so do consecutive results.
    pub(super) fn continues(self, before: Self) -> bool {
        self == before && matches!(self, Self::ToolUse | Self::ToolResult)
    }
}

/// A part of a prompt. A cache breakpoint can come after the part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The hash of the part's content, without its breakpoint.
    pub hash: u64,
    /// The number of tokens of the part.
    pub tokens: u64,
    /// The breakpoint after the part: `Some(true)` for an hour, `Some(false)` for five minutes, and `None` if there is
    /// no breakpoint.
    pub breakpoint: Option<bool>,
    /// The level of the prompt that the part belongs to.
    pub level: Level,
    /// The kind of the part.
    pub kind: PartKind,
}

/// A receiver for the parts of a prompt, in the order tools, system, messages.
pub(super) trait Parts {
    /// Begins a section of a level. The hash `section` covers everything on which the section depends, but not the
    /// content of the section.
    fn enter(&mut self, _level: Level, _section: Hash) {}

    /// Receives the next part.
    fn part(&mut self, raw: &RawValue, kind: PartKind, tokens: u64, cache_control: Option<&CacheControl<'_>>);
}

/// A receiver that only counts tokens.
#[derive(Default)]
pub(super) struct Count(pub u64);

impl Parts for Count {
    fn part(&mut self, _: &RawValue, _: PartKind, tokens: u64, _: Option<&CacheControl<'_>>) {
        self.0 += tokens;
    }
}

/// A receiver that keeps every part with its number of tokens.
pub(super) struct Keep {
    /// The parts that were received so far.
    pub parts: Vec<Part>,
    level: Level,
    section: u64,
}

impl Default for Keep {
    fn default() -> Self {
        Self { parts: Vec::new(), level: Level::Tools, section: 0 }
    }
}

impl Parts for Keep {
    fn enter(&mut self, level: Level, section: Hash) {
        (self.level, self.section) = (level, section.end());
    }

    fn part(&mut self, raw: &RawValue, kind: PartKind, tokens: u64, cache_control: Option<&CacheControl<'_>>) {
        let hash = content(Hash::new(self.section), raw).end();
        let breakpoint = cache_control.map(CacheControl::is_hour);
        self.parts.push(Part { hash, tokens, breakpoint, level: self.level, kind });
    }
}

/// Adds the content of a message (a text, or a list of blocks) to a hash. Breakpoints do not change the hash.
pub(super) fn message(hash: Hash, raw: &RawValue) -> Hash {
    match serde_json::from_str::<Vec<&RawValue>>(raw.get()) {
        Ok(blocks) => blocks.into_iter().fold(hash, content),
        Err(_) => content(hash, raw),
    }
}

/// Adds the content of a part to a hash. Breakpoints and members with the value `null` do not change the hash. A string
/// means the same as a list with one text block, so both have the same hash.
fn content(hash: Hash, raw: &RawValue) -> Hash {
    let Ok(fields) = serde_json::from_str::<Fields<'_>>(raw.get()) else {
        return text(hash, raw);
    };
    let members = || fields.0.iter().filter(|(name, value)| name != "cache_control" && value.get() != "null");
    let is_text = fields.get("type").is_some_and(|kind| kind.get() == "\"text\"");
    let (hash, known): (Hash, &[&str]) = match fields.get("text").filter(|_| is_text) {
        Some(own) => (text(hash, own), &["type", "text"]),
        None => (hash, &[]),
    };
    members()
        .filter(|(name, _)| !known.contains(&&**name))
        .fold(hash, |hash, (name, value)| json(hash.bytes(name.as_bytes()), value))
}

fn text(hash: Hash, raw: &RawValue) -> Hash {
    match serde_json::from_str::<Text<'_>>(raw.get()) {
        Ok(Text(text)) => hash.word(1).bytes(text.as_bytes()),
        Err(_) => json(hash, raw),
    }
}

/// Adds JSON to a hash, without the whitespace between its tokens.
pub(super) fn json(hash: Hash, raw: &RawValue) -> Hash {
    let (mut in_string, mut is_escaped) = (false, false);
    let is_kept = |byte: &u8| {
        let is_blank = !in_string && byte.is_ascii_whitespace();
        match byte {
            b'"' if !is_escaped => in_string = !in_string,
            _ => {}
        }
        is_escaped = in_string && *byte == b'\\' && !is_escaped;
        !is_blank
    };
    let kept: Vec<u8> = raw.get().bytes().filter(is_kept).collect();
    hash.bytes(&kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breakpoint_does_not_change_the_hash_of_its_part() {
        let plain = keep(r#"{"type":"text","text":"a"}"#);
        let marked = keep(r#"{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}"#);

        assert_eq!(plain, marked);
    }

    #[test]
    fn a_string_is_the_same_as_a_text_block_with_the_same_text() {
        for (string, block) in [
            (r#""a""#, r#"{"type":"text","text":"a"}"#),
            (r#""\u00e9\n""#, r#"{"text":"é\n", "type":"text","citations":null}"#),
        ] {
            assert_eq!(keep(string), keep(block), "{string}");
        }
        assert_ne!(keep(r#""a""#), keep(r#"{"type":"text","text":"b"}"#));
        assert_ne!(keep(r#""a""#), keep(r#"{"type":"text","text":"a","citations":[]}"#));
    }

    #[test]
    fn blanks_between_the_tokens_of_json_change_nothing_and_blanks_inside_a_string_do() {
        let tight = keep(r#"{"type":"tool_use","id":"t","input":{"a":"b \" c"}}"#);

        assert_eq!(tight, keep(r#"{"type":"tool_use","id":"t","input":{ "a" : "b \" c" }}"#));
        assert_ne!(tight, keep(r#"{"type":"tool_use","id":"t","input":{"a":"b \"  c"}}"#));
    }

    fn keep(part: &str) -> u64 {
        let raw: Box<RawValue> = serde_json::from_str(part).expect("JSON");
        let mut keep = Keep::default();
        keep.part(&raw, PartKind::Plain, 1, None);
        keep.parts[0].hash
    }
}
