//! Cache entries depend on these settings of a request. When a setting has changed, the cache entries of some levels
//! (tools, system, messages) are not found.
//!
//! | change | entries that are not found |
//! |---|---|
//! | the schema of structured output | all levels |
//! | citations on or off | system and messages |
//! | tool choice, thinking, effort, whether the request has an image | messages |
//!
//! Every cache entry also depends on the model and the speed. The module `admission` adds the model and the speed.
//! Source: API documentation, "Prompt caching" (what invalidates the cache) and "Structured outputs" (2026-09-29). The
//! documentation does not say whether the cache entries of tools are still found after the schema of structured output
//! has changed. In the simulator, tool entries are not found after the schema has changed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::model::fields::Fields;
use crate::sim::model::hash::Hash;
use crate::sim::model::parts::json;

/// One hash for each level of a prompt. The cache entries of a level depend on some settings, and the level's hash is
/// made from these settings.
#[derive(Clone, Copy, Debug)]
pub(in crate::sim::model) struct Settings {
    /// The hash for the tools.
    pub tools: Hash,
    /// The hash for the system prompt.
    pub system: Hash,
    /// The hash for the messages.
    pub messages: Hash,
}

impl Default for Settings {
    fn default() -> Self {
        Self { tools: Hash::new(0), system: Hash::new(0), messages: Hash::new(0) }
    }
}

/// Returns the hashes of the settings of a request.
pub(super) fn settings(fields: &Fields<'_>) -> Settings {
    #[derive(Deserialize)]
    struct Output<'a> {
        #[serde(borrow, default)]
        effort: Option<&'a RawValue>,
        #[serde(borrow, default)]
        format: Option<&'a RawValue>,
    }
    let output = fields.get("output_config").and_then(|raw| serde_json::from_str::<Output<'_>>(raw.get()).ok());
    let (effort, format) = output.map_or((None, None), |output| (output.effort, output.format));
    let prompt = ["system", "messages"].map(|name| fields.get(name));
    let holds = |found: fn(&RawValue) -> bool| u64::from(prompt.iter().flatten().any(|raw| found(raw)));

    let base = add(Hash::new(0), format.or_else(|| fields.get("output_format")));
    let system = base.word(2).word(holds(has_citations));
    let messages = ["tool_choice", "thinking"].iter().fold(system.word(3), |hash, name| add(hash, fields.get(name)));
    Settings { tools: base.word(1), system, messages: add(messages, effort).word(holds(has_image)) }
}

fn add(hash: Hash, raw: Option<&RawValue>) -> Hash {
    match raw {
        Some(raw) => json(hash.word(1), raw),
        None => hash.word(0),
    }
}

fn has_image(raw: &RawValue) -> bool {
    raw.get().contains("\"image\"") && any_block(raw, &|block| block.kind.as_deref() == Some("image"))
}

fn has_citations(raw: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Citations {
        enabled: bool,
    }
    let are_on = |block: &Block<'_>| {
        let citations = block.citations.and_then(|raw| serde_json::from_str::<Citations>(raw.get()).ok());
        citations.is_some_and(|citations| citations.enabled)
    };
    raw.get().contains("\"citations\"") && any_block(raw, &are_on)
}

/// The members that this module reads from a message or a block.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

/// Returns whether `is_wanted` is true for at least one block in a list of messages or blocks, at any depth.
fn any_block(raw: &RawValue, is_wanted: &dyn Fn(&Block<'_>) -> bool) -> bool {
    let blocks: Vec<Block<'_>> = serde_json::from_str(raw.get()).unwrap_or_default();
    blocks.iter().any(|block| is_wanted(block) || block.content.is_some_and(|inner| any_block(inner, is_wanted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_setting_changes_its_level_and_the_levels_after_it() {
        let image = r#"{"type":"image","source":{}}"#;
        let in_result = format!(r#"{{"type":"tool_result","tool_use_id":"t","content":[{image}]}}"#);
        let document = r#"{"type":"document","citations":{"enabled":true},"source":{}}"#;
        let content = |block: &str| format!(r#""messages":[{{"role":"user","content":[{block}]}}]"#);
        let (tools, system, messages) = ([true, true, true], [false, true, true], [false, false, true]);
        let cases = [
            (r#""output_config":{"format":{"type":"json_schema","schema":{}}}"#.to_owned(), tools),
            (content(document), system),
            (r#""tool_choice":{"type":"none"}"#.to_owned(), messages),
            (r#""thinking":{"type":"adaptive"}"#.to_owned(), messages),
            (r#""output_config":{"effort":"low"}"#.to_owned(), messages),
            (content(image), messages),
            (content(&in_result), messages),
            (content(r#"{"type":"text","text":"image","citations":null}"#), [false; 3]),
            (r#""output_config":{}"#.to_owned(), [false; 3]),
            (r#""temperature":1"#.to_owned(), [false; 3]),
        ];

        let plain = levels("{}");
        for (setting, changed) in cases {
            let levels = levels(&format!("{{{setting}}}"));
            let found: Vec<bool> = levels.iter().zip(plain).map(|(one, other)| *one != other).collect();
            assert_eq!(found, changed, "{setting}");
        }
    }

    fn levels(body: &str) -> [u64; 3] {
        let fields = Fields::read(body.as_bytes()).unwrap_or_else(|error| panic!("{}", error.message));
        let Settings { tools, system, messages } = settings(&fields);
        [tools, system, messages].map(Hash::end)
    }
}
