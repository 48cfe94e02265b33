//! A request body. Only the parts that the simulator needs are read, and nothing is copied.
//!
//! This module owns the shape of the body and the token count of its parts. `validate` decides what the API refuses.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::errors::ApiError;
use super::hash::Hash;
use super::tokens;

/// The top-level fields of a body. If a name occurs twice, the last one counts.
#[derive(Debug)]
pub(super) struct Fields<'a>(pub Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Fields<'a> {
    /// Reads a body.
    pub(super) fn read(body: &'a [u8]) -> Result<Self, ApiError> {
        serde_json::from_slice(body)
            .map_err(|error| ApiError::invalid(format!("The request body is not valid JSON: {error}")))
    }

    /// Returns the raw value of a field. A `null` counts as absent.
    pub(super) fn get(&self, name: &str) -> Option<&'a RawValue> {
        let found = self.0.iter().rev().find(|(own, _)| own == name).map(|(_, value)| *value)?;
        (found.get() != "null").then_some(found)
    }

    /// Reads a field as a value of type `T`. `expected` completes the message "Input should be …".
    pub(super) fn read_as<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<Option<T>, ApiError> {
        self.get(name).map(|raw| read_raw(raw, name, expected)).transpose()
    }

    /// Reads a required field.
    pub(super) fn required<T: Deserialize<'a>>(&self, name: &str, expected: &str) -> Result<T, ApiError> {
        self.read_as(name, expected)?.ok_or_else(|| ApiError::invalid(format!("{name}: Field required")))
    }

    /// Returns the hash of the content. It is the same with and without streaming.
    pub(super) fn content_hash(&self, seed: u64) -> Hash {
        self.0
            .iter()
            .filter(|(name, _)| name != "stream")
            .fold(Hash::new(seed), |hash, (name, value)| hash.bytes(name.as_bytes()).bytes(value.get().as_bytes()))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some(Text(name)) = map.next_key()? {
                    fields.push((name, map.next_value()?));
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

/// A text. It is borrowed if it has no escapes.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Parses a raw value as a value of type `T`. An error names the field.
pub(super) fn read_raw<'a, T: Deserialize<'a>>(raw: &'a RawValue, name: &str, expected: &str) -> Result<T, ApiError> {
    serde_json::from_str(raw.get()).map_err(|_| ApiError::invalid(format!("{name}: Input should be {expected}")))
}

/// One message.
#[derive(Debug, Deserialize)]
pub(super) struct Turn<'a> {
    /// `user`, `assistant`, `system`.
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    /// A text or blocks.
    #[serde(borrow)]
    pub content: &'a RawValue,
}

/// One content block.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    /// Its type.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    /// Whether the prefix that ends here is cached, and for how long.
    #[serde(borrow, default)]
    pub cache_control: Option<CacheControl<'a>>,
}

/// A cache breakpoint.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct CacheControl<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ttl: Option<Cow<'a, str>>,
}

impl CacheControl<'_> {
    /// Refuses unknown kinds and lifetimes. Error messages give `name` as the place of the breakpoint.
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

    /// Returns whether the lifetime is an hour.
    pub(super) fn is_hour(&self) -> bool {
        self.ttl.as_deref() == Some("1h")
    }
}

impl Block<'_> {
    fn tokens(&self, raw: &RawValue) -> u64 {
        match &*self.kind {
            "text" => self.text.as_deref().map_or(0, tokens::of_text),
            "image" => tokens::IMAGE,
            // Base64 has four letters for three bytes, and a PDF has about one token for every four bytes of page
            // text.
            "document" => self.source.map_or(0, |source| source.get().len() as u64 / 5),
            "tool_result" => self.content.map_or(0, |content| of_content(content).unwrap_or(0)),
            _ => tokens::of_text(raw.get()),
        }
    }
}

/// A part of a prompt. A cache breakpoint can come after the part.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The hash of its content, without its breakpoint.
    pub hash: u64,
    /// Its tokens.
    pub tokens: u64,
    /// Its breakpoint: `Some(true)` for an hour, `Some(false)` for five minutes.
    pub breakpoint: Option<bool>,
}

/// Receives the parts of a prompt in order: tools, system, messages.
pub(super) trait Parts {
    /// Begins a section. `section` is a hash of everything that the section depends on, without the content of the
    /// section.
    fn enter(&mut self, _section: Hash) {}

    /// Receives the next part.
    fn part(&mut self, raw: &RawValue, tokens: u64, cache_control: Option<&CacheControl<'_>>);
}

/// Only counts tokens.
#[derive(Default)]
pub(super) struct Count(pub u64);

impl Parts for Count {
    fn part(&mut self, _: &RawValue, tokens: u64, _: Option<&CacheControl<'_>>) {
        self.0 += tokens;
    }
}

/// Counts tokens, and keeps every part.
#[derive(Default)]
pub(super) struct Keep {
    /// The parts so far.
    pub parts: Vec<Part>,
    section: u64,
}

impl Parts for Keep {
    fn enter(&mut self, section: Hash) {
        self.section = section.end();
    }

    fn part(&mut self, raw: &RawValue, tokens: u64, cache_control: Option<&CacheControl<'_>>) {
        let hash = match serde_json::from_str::<Fields<'_>>(raw.get()) {
            Ok(fields) => fields
                .0
                .iter()
                .filter(|(name, _)| name != "cache_control")
                .fold(Hash::new(self.section), |hash, (name, value)| {
                    hash.bytes(name.as_bytes()).bytes(value.get().as_bytes())
                }),
            Err(_) => Hash::new(self.section).bytes(raw.get().as_bytes()),
        };
        let breakpoint = cache_control.map(CacheControl::is_hour);
        self.parts.push(Part { hash: hash.end(), tokens, breakpoint });
    }
}

/// Reads the list of tools.
pub(super) fn walk_tools(raw: &RawValue, parts: &mut impl Parts) -> Result<usize, ApiError> {
    #[derive(Deserialize)]
    struct Tool<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        name: Option<Cow<'a, str>>,
        #[serde(borrow, default)]
        input_schema: Option<&'a RawValue>,
        #[serde(borrow, default)]
        cache_control: Option<CacheControl<'a>>,
    }
    let tools: Vec<&RawValue> = read_raw(raw, "tools", "a valid list")?;
    for (at, raw) in tools.iter().enumerate() {
        let tool: Tool<'_> = read_raw(raw, &format!("tools.{at}"), "a valid dictionary")?;
        // A server tool has a type of its own, so it needs no name or schema.
        if matches!(tool.kind.as_deref(), None | Some("custom")) {
            let missing = match (&tool.name, tool.input_schema) {
                (None, _) => Some("name"),
                (_, None) => Some("input_schema"),
                _ => None,
            };
            if let Some(missing) = missing {
                return Err(ApiError::invalid(format!("tools.{at}.custom.{missing}: Field required")));
            }
        }
        if let Some(control) = &tool.cache_control {
            control.check(&format!("tools.{at}.cache_control"))?;
        }
        let hidden = if at == 0 { tokens::TOOLS } else { 0 };
        parts.part(raw, tokens::of_text(raw.get()) + hidden, tool.cache_control.as_ref());
    }
    Ok(tools.len())
}

/// Reads a text or a list of blocks: `system`, or the content of one message.
///
/// Returns the number of blocks.
pub(super) fn walk_content(
    raw: &RawValue,
    name: impl Fn() -> String,
    extra: u64,
    parts: &mut impl Parts,
) -> Result<usize, ApiError> {
    if raw.get().starts_with('"') {
        let Text(text) = read_raw(raw, &name(), "a valid string")?;
        parts.part(raw, tokens::of_text(&text) + extra, None);
        return Ok(usize::from(!text.is_empty()));
    }
    let blocks: Vec<&RawValue> = read_raw(raw, &name(), "a valid string or list")?;
    for (at, raw) in blocks.iter().enumerate() {
        let block: Block<'_> = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::invalid(format!("{}.{at}.type: Field required", name())))?;
        if let Some(control) = &block.cache_control {
            control.check(&format!("{}.{at}.cache_control", name()))?;
        }
        if block.kind == "text" && block.text.as_deref().is_none_or(str::is_empty) {
            let section = name();
            let section = section.split('.').next().unwrap_or_default();
            return Err(ApiError::invalid(format!("{section}: text content blocks must be non-empty")));
        }
        let own = if at == 0 { extra } else { 0 };
        parts.part(raw, block.tokens(raw) + own, block.cache_control.as_ref());
    }
    Ok(blocks.len())
}

fn of_content(raw: &RawValue) -> Result<u64, ApiError> {
    let mut count = Count::default();
    walk_content(raw, String::new, 0, &mut count)?;
    Ok(count.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_does_not_change_the_content_hash() {
        let plain = hash(r#"{"model":"m","max_tokens":5}"#);

        assert_eq!(plain, hash(r#"{"model":"m","max_tokens":5,"stream":true}"#));
        assert_ne!(plain, hash(r#"{"model":"m","max_tokens":6}"#));
    }

    #[test]
    fn a_breakpoint_does_not_change_the_hash_of_its_part() {
        let plain = keep(r#"[{"type":"text","text":"a"}]"#);
        let marked = keep(r#"[{"type":"text","text":"a","cache_control":{"type":"ephemeral","ttl":"1h"}}]"#);

        assert_eq!(plain.hash, marked.hash);
        assert_eq!((plain.breakpoint, marked.breakpoint), (None, Some(true)));
    }

    fn hash(body: &str) -> u64 {
        Fields::read(body.as_bytes()).expect("an object").content_hash(0).end()
    }

    fn keep(content: &str) -> Part {
        let raw: Box<RawValue> = serde_json::from_str(content).expect("JSON");
        let mut keep = Keep::default();
        walk_content(&raw, String::new, 0, &mut keep).expect("blocks");
        keep.parts[0]
    }
}
