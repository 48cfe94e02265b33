//! Chooses how a schema is put into a request, and reads the JSON of the answer.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::text::{elements, members};
use super::{Schema, expect_json};
use crate::catalog::Model;
use crate::domain::json::{is_filled_array, unescaped};
use crate::domain::{ANSWER_TOOL, Merged, ProviderFeatures, SchemaMethod};

impl SchemaMethod {
    /// Returns the best way to send a schema. The best way depends on the provider, the model, the schema and the other
    /// parameters of the request.
    ///
    /// - If a provider does not support structured outputs or strict tools, requests to this provider do not contain
    ///   the unsupported feature. For example, Amazon Bedrock gets a tool that the model must call. The program checks
    ///   the answer against the schema in all cases.
    /// - If the request has a format of its own, this format stays unchanged, and the answer is a text:
    ///   [`SchemaMethod::Format`].
    /// - The API rejects a format if documents have citations, or if the request contains the beginning of the answer.
    /// - If the schema is sent as a tool, the model is forced to call this tool. The API rejects a forced tool call if
    ///   thinking is on, and for some models even if thinking is off. If a request has tools of its own, the model is
    ///   not forced to call the tool for the schema.
    ///
    /// For a model that is not in the catalog, the name decides. If a name contains `claude`, the model is probably
    /// newer than the catalog, or a gateway uses this name. In both cases, formats are accepted. If a name contains
    /// `anthropic.claude`, the model runs on Amazon Bedrock. Bedrock rejects formats and strict tools (as of 2026-09).
    /// If the name does not contain `claude`, the program can't tell what kind of server gets the request. The request
    /// then gets a tool that the model must call, because most servers with a Messages API support forced tool calls.
    ///
    /// Source: API documentation, "Structured outputs", "Citations" and "Extended thinking" (2026).
    pub fn of(schema: &Schema, model: Option<&Model>, features: ProviderFeatures, params: Merged<'_>) -> Self {
        if has_own_format(params) {
            return Self::Format;
        }
        let structured = model.map_or_else(|| is_likely_structured(params), |model| model.structured_outputs);
        let strict = schema.0.strict.as_ref().filter(|_| structured);
        let is_begun = has_prefill(params);
        if strict.is_some() && features.structured_outputs && !is_begun && !has_citations(params) {
            return Self::Format;
        }
        if is_begun || !may_force_tool(model, params) {
            return Self::Instruction;
        }
        match strict {
            Some(strict) if strict.is_object && features.strict_tools => Self::StrictTool,
            Some(_) | None if schema.is_object() => Self::Tool,
            Some(_) | None => Self::Instruction,
        }
    }

    /// Returns the JSON text of an answer: the input of the tool if the schema was sent as a tool, and otherwise the
    /// text of the answer. If the schema was sent only as an instruction, the JSON can be in a code block with other
    /// text around the block. `message` is the message of the API. Returns `None` if the answer has no such part, for
    /// example because the model refused to answer.
    pub fn answer_json(self, message: &[u8]) -> Option<Cow<'_, str>> {
        let message: Content<'_> = serde_json::from_slice(message).ok()?;
        match self {
            Self::Format => text(&message),
            Self::StrictTool | Self::Tool => input(&message).map(Cow::Borrowed),
            Self::Instruction => text(&message).map(without_fence),
        }
    }
}

fn has_own_format(params: Merged<'_>) -> bool {
    let config = params.get("output_config").map(members).unwrap_or_default();
    [config.get("format"), params.get("output_format")].into_iter().flatten().any(|format| format != "null")
}

fn is_likely_structured(params: Merged<'_>) -> bool {
    let name = params.get_str("model").unwrap_or_default().to_ascii_lowercase();
    name.contains("claude") && !name.contains("anthropic.claude")
}

fn has_prefill(params: Merged<'_>) -> bool {
    let messages = params.get("messages").map(elements).unwrap_or_default();
    messages.last().is_some_and(|last| members(last).get("role") == Some("\"assistant\""))
}

fn has_citations(params: Merged<'_>) -> bool {
    let messages = params.get("messages").filter(|messages| messages.contains("\"citations\"")).unwrap_or("[]");
    let has_citations = |block: &str| {
        let citations = members(block).get("citations").map(members);
        citations.is_some_and(|citations| citations.get("enabled") == Some("true"))
    };
    elements(messages).into_iter().any(|message| {
        let message = members(message);
        message.get("content").map(elements).unwrap_or_default().into_iter().any(has_citations)
    })
}

fn may_force_tool(model: Option<&Model>, params: Merged<'_>) -> bool {
    let thinking = params.get("thinking").map(members).unwrap_or_default();
    let thinks = !matches!(thinking.get("type"), None | Some("\"disabled\""));
    let has_tools = params.get("tools").is_some_and(|tools| is_filled_array(tools.as_bytes()));
    let has_choice = params.get("tool_choice").is_some_and(|choice| choice != "null");
    model.is_none_or(|model| model.allows_forced_tools) && !thinks && !has_tools && !has_choice
}

/// The parts of a message that this module reads.
#[derive(Deserialize)]
struct Content<'m> {
    #[serde(borrow)]
    content: Vec<Block<'m>>,
}

#[derive(Deserialize)]
struct Block<'m> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'m, str>,
    #[serde(borrow)]
    text: Option<&'m RawValue>,
    #[serde(borrow)]
    name: Option<Cow<'m, str>>,
    #[serde(borrow)]
    input: Option<&'m RawValue>,
}

fn input<'m>(message: &Content<'m>) -> Option<&'m str> {
    let is_ours = |block: &&Block<'_>| block.kind == "tool_use" && block.name.as_deref() == Some(ANSWER_TOOL);
    Some(message.content.iter().find(is_ours)?.input?.get())
}

/// Returns the joined texts of a message; `None` if the message has no text.
fn text<'m>(message: &Content<'m>) -> Option<Cow<'m, str>> {
    let texts = message.content.iter().filter(|block| block.kind == "text").filter_map(|block| block.text);
    texts.filter_map(|text| unescaped(text.get().as_bytes())).reduce(|all, next| Cow::Owned(all.into_owned() + &*next))
}

/// If the text is not JSON but has a code block, returns the content of the first code block. Otherwise, returns the
/// whole text.
fn without_fence(text: Cow<'_, str>) -> Cow<'_, str> {
    if expect_json(&text).is_ok() {
        return text;
    }
    match fenced(&text) {
        Some(inside) => Cow::Owned(inside.to_owned()),
        None => text,
    }
}

/// Returns the content of the first code block of a text. JSON never has three backticks after a line break, so three
/// backticks after a line break always end the block.
fn fenced(text: &str) -> Option<&str> {
    let (_, begun) = text.split_once("```")?;
    let (_, inside) = begun.split_once('\n')?;
    Some(inside.split_once("\n```").map_or(inside, |(inside, _)| inside))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;
    use crate::domain::Params;

    const PLAIN: &str = r#"{"type":"object","properties":{"a":{"type":"string"}}}"#;
    /// This schema contains itself, so it can't be sent as structured output.
    const CIRCLE: &str = r##"{"type":"object","properties":{"a":{"$ref":"#"}}}"##;
    const LIST: &str = r#"{"type":"array","items":{"type":"string"}}"#;

    fn of(schema: &str, model: &str, params: &str) -> &'static str {
        with(ProviderFeatures::ALL, schema, model, params)
    }

    fn with(features: ProviderFeatures, schema: &str, model: &str, params: &str) -> &'static str {
        let schema = Schema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        let mut params = Params::of_object(params).unwrap_or_else(|| panic!("{params}"));
        params.set("model", crate::domain::json::string_value(model));
        SchemaMethod::of(&schema, Catalog::builtin().model(model), features, Merged::from(&params)).name()
    }

    #[test]
    fn a_model_gets_the_best_means_that_it_has() {
        let cases = [
            ("claude-haiku-4-5", PLAIN, "format"),
            ("claude-opus-4-1-20250805", PLAIN, "format"),
            ("claude-opus-4-20250514", PLAIN, "tool"),
            ("claude-opus-4-20250514", LIST, "instruction"),
            ("claude-haiku-4-5", CIRCLE, "tool"),
            ("claude-opus-5-5", CIRCLE, "instruction"),
            ("claude-haiku-4-5", "true", "instruction"),
            ("claude-opus-9", PLAIN, "format"),
            ("us.anthropic.claude-opus-4-5-20251101-v1:0", PLAIN, "tool"),
            ("some-model", PLAIN, "tool"),
            ("some-model", LIST, "instruction"),
        ];

        for (model, schema, schema_method) in cases {
            assert_eq!(of(schema, model, "{}"), schema_method, "{model} {schema}");
        }
    }

    #[test]
    fn a_provider_can_lack_the_best_means() {
        let features = |structured_outputs, strict_tools| ProviderFeatures {
            structured_outputs,
            strict_tools,
            ..ProviderFeatures::ALL
        };
        let thinking = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;

        for (structured, strict, schema, params, schema_method) in [
            (true, false, PLAIN, "{}", "format"),
            (false, true, PLAIN, "{}", "strict_tool"),
            (false, false, PLAIN, "{}", "tool"),
            (false, false, LIST, "{}", "instruction"),
            (false, false, PLAIN, thinking, "instruction"),
        ] {
            let found = with(features(structured, strict), schema, "claude-haiku-4-5", params);
            assert_eq!(found, schema_method, "{structured} {strict} {schema} {params}");
        }
    }

    #[test]
    fn the_request_itself_can_forbid_the_best_means() {
        let citing = r#"{"messages":[{"role":"user","content":[{"type":"document","citations":{"enabled":true}}]}]}"#;
        let asking = r#"{"messages":[{"role":"user","content":"what are \"citations\"?"}]}"#;
        let begun = r#"{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"{"}]}"#;
        let thinking = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;
        let tools = r#"{"tools":[{"name":"x"}]}"#;
        let own = r#"{"output_config":{"format":{"type":"json_schema"}}}"#;
        let cases = [
            (PLAIN, citing, "strict_tool"),
            (LIST, citing, "instruction"),
            (PLAIN, asking, "format"),
            (PLAIN, begun, "instruction"),
            (PLAIN, thinking, "format"),
            (PLAIN, tools, "format"),
            (CIRCLE, thinking, "instruction"),
            (CIRCLE, r#"{"thinking":{"type":"disabled"},"tools":[]}"#, "tool"),
            (CIRCLE, tools, "instruction"),
            (CIRCLE, r#"{"tool_choice":{"type":"none"}}"#, "instruction"),
            (CIRCLE, own, "format"),
        ];

        for (schema, params, schema_method) in cases {
            assert_eq!(of(schema, "claude-haiku-4-5", params), schema_method, "{params}");
        }
    }

    #[test]
    fn the_answer_is_the_input_of_the_tool_or_the_text() {
        let called = br#"{"content":[{"type":"thinking","thinking":"?"},{"type":"tool_use","name":"x","input":{}},
            {"type":"tool_use","id":"t","name":"structured_answer","input":{"a": 1}}]}"#;
        let said = br#"{"content":[{"type":"text","text":"{\"a\":"},{"type":"text","text":"1}","citations":null}]}"#;

        assert_eq!(SchemaMethod::StrictTool.answer_json(called).as_deref(), Some(r#"{"a": 1}"#));
        assert_eq!(SchemaMethod::Format.answer_json(said).as_deref(), Some(r#"{"a":1}"#));
        assert_eq!((SchemaMethod::Format.answer_json(called), SchemaMethod::Tool.answer_json(said)), (None, None));
        assert_eq!(SchemaMethod::Instruction.answer_json(br#"{"content":[]}"#), None);
    }

    #[test]
    fn only_an_instructed_answer_may_be_in_a_code_block() {
        let answer = |schema_method: SchemaMethod, text: &str| {
            let text = serde_json::to_string(text).expect("a text is JSON");
            let message = format!(r#"{{"content":[{{"type":"text","text":{text}}}]}}"#);
            schema_method.answer_json(message.as_bytes()).map(Cow::into_owned).unwrap_or_default()
        };
        let fenced = "Here it is:\n```json\n{\"a\": \"``` x\"}\n```\nDone.";

        assert_eq!(answer(SchemaMethod::Instruction, fenced), "{\"a\": \"``` x\"}");
        assert_eq!(answer(SchemaMethod::Instruction, "\"```\\n1\\n```\""), "\"```\\n1\\n```\"");
        assert_eq!(answer(SchemaMethod::Instruction, "```\n[1]"), "[1]");
        assert_eq!(answer(SchemaMethod::Instruction, "I can't."), "I can't.");
        assert_eq!(answer(SchemaMethod::Format, fenced), fenced);
    }
}
