//! Reads the tools, texts and blocks of a request, and counts their tokens.
//!
//! This module knows the structure of a request body. `validate` decides what the API rejects.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::errors::ApiError;
use super::fields::{Fields, Text, read_raw};
use super::parts::{CacheControl, Count, PartKind, Parts};
use super::tokens;

/// One message.
#[derive(Debug, Deserialize)]
pub(super) struct Turn<'a> {
    /// The role of the message: `user`, `assistant` or `system`.
    #[serde(borrow)]
    pub role: Cow<'a, str>,
    /// The content of the message: a text, or a list of blocks.
    #[serde(borrow)]
    pub content: &'a RawValue,
}

/// One content block.
#[derive(Debug, Deserialize)]
pub(super) struct Block<'a> {
    /// The type of the block.
    #[serde(borrow, rename = "type")]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    /// The cache breakpoint after the block: whether the prefix that ends here is cached, and for how long.
    #[serde(borrow, default)]
    pub cache_control: Option<CacheControl<'a>>,
}

impl Block<'_> {
    fn tokens(&self, raw: &RawValue) -> u64 {
        match &*self.kind {
            "text" => self.text.as_deref().map_or(0, tokens::of_text),
            "image" => tokens::IMAGE,
            // Base64 uses four letters for three bytes, and a PDF has about one token for every four bytes of page
            // text.
            "document" => self.source.map_or(0, |source| source.get().len() as u64 / 5),
            "tool_result" => self.content.map_or(0, |content| of_content(content).unwrap_or(0)),
            _ => of_json(raw, self.cache_control.is_some()),
        }
    }
}

/// Returns the number of tokens of an object that the model reads as JSON. A cache breakpoint in the object adds no
/// tokens.
fn of_json(raw: &RawValue, is_marked: bool) -> u64 {
    let fields = if is_marked { serde_json::from_str::<Fields<'_>>(raw.get()).ok() } else { None };
    let Some(fields) = fields else { return tokens::of_text(raw.get()) };
    let members = fields.0.iter().filter(|(name, _)| name != "cache_control");
    let members: Vec<String> = members.map(|(name, value)| format!("\"{name}\":{}", value.get())).collect();
    tokens::of_text(&format!("{{{}}}", members.join(",")))
}

/// Reads the list of tools in a request, and returns the number of tools.
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
        // A server tool (a tool that the API runs) has a type of its own, so it needs neither name nor schema.
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
        let tokens = of_json(raw, tool.cache_control.is_some()) + hidden;
        parts.part(raw, PartKind::Plain, tokens, tool.cache_control.as_ref());
    }
    Ok(tools.len())
}

/// Reads a text or a list of blocks: the value of `system`, or the content of a message.
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
        parts.part(raw, PartKind::Plain, tokens::of_text(&text) + extra, None);
        return Ok(usize::from(!text.is_empty()));
    }
    let blocks: Vec<&RawValue> = read_raw(raw, &name(), "a valid string or list")?;
    for (at, raw) in blocks.iter().enumerate() {
        let block: Block<'_> = serde_json::from_str(raw.get())
            .map_err(|_| ApiError::invalid(format!("{}.{at}.type: Field required", name())))?;
        if let Some(control) = &block.cache_control {
            control.check(&format!("{}.{at}.cache_control", name()))?;
        }
        let kind = PartKind::of(&block.kind);
        if kind == PartKind::Unmarkable && block.cache_control.is_some() {
            let place = format!("{}.{at}.{}.cache_control", name(), block.kind);
            return Err(ApiError::invalid(format!("{place}: Extra inputs are not permitted")));
        }
        if block.kind == "text" && block.text.as_deref().is_none_or(str::is_empty) {
            let section = name();
            if block.cache_control.is_some() {
                let place = format!("{section}.{at}.text");
                return Err(ApiError::invalid(format!("{place}: cache_control cannot be set for empty text blocks")));
            }
            let section = section.split('.').next().unwrap_or_default();
            return Err(ApiError::invalid(format!("{section}: text content blocks must be non-empty")));
        }
        let own = if at == 0 { extra } else { 0 };
        parts.part(raw, kind, block.tokens(raw) + own, block.cache_control.as_ref());
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
    use super::super::parts::Keep;
    use super::*;

    #[test]
    fn a_breakpoint_has_no_tokens() {
        let use_of_tool = r#"{"type":"tool_use","id":"t","name":"look","input":{"a":1}}"#;
        let marked = use_of_tool.replacen('{', r#"{"cache_control":{"type":"ephemeral","ttl":"1h"},"#, 1);
        let tool = r#"{"name":"look","input_schema":{"type":"object"}}"#;
        let marked_tool = tool.replacen('}', r#"},"cache_control":{"type":"ephemeral"}"#, 1);

        let blocks = keep(|raw, keep| walk_content(raw, String::new, 0, keep), &format!("[{use_of_tool},{marked}]"));
        let tools = keep(walk_tools, &format!("[{tool},{marked_tool}]"));

        assert_eq!(blocks.parts[0].tokens, blocks.parts[1].tokens);
        assert_eq!(tools.parts[0].tokens, tools.parts[1].tokens + tokens::TOOLS);
        assert_eq!((blocks.parts[0].breakpoint, blocks.parts[1].breakpoint), (None, Some(true)));
    }

    fn keep(walk: impl Fn(&RawValue, &mut Keep) -> Result<usize, ApiError>, json: &str) -> Keep {
        let raw: Box<RawValue> = serde_json::from_str(json).expect("JSON");
        let mut keep = Keep::default();
        walk(&raw, &mut keep).expect("the parts are valid");
        keep
    }
}
