//! Puts a schema into the parameters of a request.

use serde_json::value::RawValue;

use super::Schema;
use super::adapted::{Object, quoted_json};
use super::text::{elements, members};
use crate::domain::SchemaMethod;
use crate::domain::json::{first_byte, raw_value};
use crate::domain::{ANSWER_TOOL, Merged, Params};

const TOOL_WORDS: &str = "Takes the answer. Call it once, with the whole answer.";

const INSTRUCTION: &str = "Answer with one JSON value that fits this JSON schema. Write nothing else: no explanation, and \
                           no code block around it.";

impl SchemaMethod {
    /// Adds the schema to the parameters of a request, and returns the new parameters. Everything that the request
    /// already has is kept: the other members of `output_config`, its own format if it has one, and the system prompt.
    pub fn apply(self, schema: &Schema, params: Merged<'_>) -> Params {
        let own = params.iter().map(|(name, json)| (name.into(), raw_value(json.to_owned())));
        let mut params = Params(own.collect());
        let strict = schema.0.strict.as_ref().map(|strict| &*strict.json);
        let text = &*schema.0.text;
        match self {
            Self::Format => add_format(&mut params, strict.unwrap_or(text)),
            Self::StrictTool => add_tool(&mut params, strict.unwrap_or(text), true),
            Self::Tool => add_tool(&mut params, text, false),
            Self::Instruction => add_instruction(&mut params, text),
        }
        params
    }
}

fn add_format(params: &mut Params, schema: &str) {
    let is_given = |format: Option<&str>| format.is_some_and(|format| format != "null");
    let mut config = params.get("output_config").map(members).unwrap_or_default();
    if is_given(config.get("format")) || is_given(params.get("output_format")) {
        return;
    }
    config.set("format", raw_value(format!(r#"{{"type":"json_schema","schema":{schema}}}"#)));
    let mut json = Vec::new();
    config.write_object(&mut json);
    params.set("output_config", raw_value(String::from_utf8(json).expect("the JSON of an object is UTF-8")));
}

fn add_tool(params: &mut Params, schema: &str, is_strict: bool) {
    let mut tool = Object::default();
    tool.push("name", quoted_json(ANSWER_TOOL));
    tool.push("description", quoted_json(TOOL_WORDS));
    tool.push("input_schema", schema.to_owned());
    if is_strict {
        tool.push("strict", "true".to_owned());
    }
    let mut choice = Object::default();
    choice.push("type", quoted_json("tool"));
    choice.push("name", quoted_json(ANSWER_TOOL));
    choice.push("disable_parallel_tool_use", "true".to_owned());
    params.set("tools", raw_value(format!("[{}]", tool.json())));
    params.set("tool_choice", raw_value(choice.json()));
}

/// Adds the instruction at the end of the system prompt. A system prompt that is a text stays a text. A list of blocks
/// gets one more block, so the cache marks in the list stay where they are.
fn add_instruction(params: &mut Params, schema: &str) {
    let words = format!("{INSTRUCTION}\n\n{schema}");
    let own = params.get("system").filter(|system| *system != "null");
    let system = match own.map(|own| (first_byte(own.as_bytes()), own)) {
        Some((Some(b'['), own)) => with_block(own, &words),
        Some((_, own)) => raw_value(with_words(own, &words)),
        None => raw_value(quoted_json(&words)),
    };
    params.set("system", system);
}

fn with_block(system: &str, words: &str) -> Box<RawValue> {
    let block = format!(r#"{{"type":"text","text":{}}}"#, quoted_json(words));
    let mut blocks = elements(system);
    blocks.push(&block);
    raw_value(format!("[{}]", blocks.join(",")))
}

/// Appends text to a JSON string. The bytes of the existing text are not changed.
fn with_words(system: &str, words: &str) -> String {
    let words = quoted_json(&format!("\n\n{words}"));
    match (system.trim().strip_suffix('"'), words.strip_prefix('"')) {
        (Some(own), Some(words)) if own.len() > 1 => format!("{own}{words}"),
        (_, _) => words.replacen(r"\n\n", "", 1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "object", "properties": {"a": {"type": "integer", "minimum": 0}}}"#;
    const STRICT: &str = r#"{"type":"object","properties":{"a":{"type":"integer","description":"{minimum: 0}"}},"additionalProperties":false}"#;
    const COMPACT: &str = r#"{"type":"object","properties":{"a":{"type":"integer","minimum":0}}}"#;

    /// Returns the parameters with the schema added, as JSON text.
    fn applied(schema_method: SchemaMethod, defaults: &str, own: &str) -> String {
        let schema = Schema::parse(SCHEMA).unwrap_or_else(|error| panic!("{error}"));
        let [defaults, own] = [defaults, own].map(members);
        let mut json = Vec::new();
        schema_method.apply(&schema, Merged::new(&defaults, &own)).write_object(&mut json);
        String::from_utf8_lossy(&json).into_owned()
    }

    #[test]
    fn a_format_is_added_to_the_output_config_of_the_request() {
        let added = format!(r#"{{"format":{{"type":"json_schema","schema":{STRICT}}}"#);

        assert_eq!(
            applied(
                SchemaMethod::Format,
                r#"{"model":"m","output_config":{"effort":"low"}}"#,
                r#"{"max_tokens":1.0e1}"#
            ),
            format!(r#"{{"model":"m","output_config":{{"effort":"low",{}}},"max_tokens":1.0e1}}"#, &added[1..])
        );
        assert_eq!(applied(SchemaMethod::Format, "{}", "{}"), format!(r#"{{"output_config":{added}}}}}"#));
    }

    #[test]
    fn a_format_of_the_request_itself_stays_as_it_is() {
        for own in [r#"{"output_config":{"format":{"type":"json_schema","schema":{}}}}"#, r#"{"output_format":{}}"#] {
            assert_eq!(applied(SchemaMethod::Format, "{}", own), own);
        }
    }

    #[test]
    fn a_tool_gets_the_schema_and_must_be_called() {
        let choice = r#""tool_choice":{"type":"tool","name":"structured_answer","disable_parallel_tool_use":true}"#;
        let tool =
            r#"{"name":"structured_answer","description":"Takes the answer. Call it once, with the whole answer.""#;

        assert_eq!(
            applied(SchemaMethod::Tool, "{}", r#"{"tools":[]}"#),
            format!(r#"{{"tools":[{tool},"input_schema":{COMPACT}}}],{choice}}}"#)
        );
        assert_eq!(
            applied(SchemaMethod::StrictTool, "{}", "{}"),
            format!(r#"{{"tools":[{tool},"input_schema":{STRICT},"strict":true}}],{choice}}}"#)
        );
    }

    #[test]
    fn an_instruction_follows_the_system_prompt_of_the_request() {
        let words = quoted_json(&format!("{INSTRUCTION}\n\n{COMPACT}"));
        let block = format!(r#"{{"type":"text","text":{words}}}"#);
        let marked = r#"{"type":"text","text":"x","cache_control":{"type":"ephemeral"}}"#;

        assert_eq!(applied(SchemaMethod::Instruction, "{}", "{}"), format!(r#"{{"system":{words}}}"#));
        assert_eq!(applied(SchemaMethod::Instruction, r#"{"system":""}"#, "{}"), format!(r#"{{"system":{words}}}"#));
        assert_eq!(
            applied(SchemaMethod::Instruction, r#"{"system":"\u0041 b"}"#, "{}"),
            format!(r#"{{"system":"\u0041 b\n\n{}}}"#, &words[1..])
        );
        assert_eq!(
            applied(SchemaMethod::Instruction, &format!(r#"{{"system":[{marked}]}}"#), "{}"),
            format!(r#"{{"system":[{marked},{block}]}}"#)
        );
    }
}
