//! Sends requests with a schema to the simulated API. Each model must accept the request. The program must find the
//! answer in the message, and the answer must fit the schema.

use claude_batch::answer::schema::Schema;
use claude_batch::catalog::Catalog;
use claude_batch::clock::Instant;
use claude_batch::domain::{Merged, Params, ProviderFeatures, ProviderKind, RateLimits, SchemaMethod};
use claude_batch::sim::config::{Latency, SimConfig};
use claude_batch::sim::model::{Model, Request, Step};
use claude_batch::sim::presets;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use serde_json::Value;
use serde_json::value::RawValue;

/// A schema that the API accepts for structured output.
const TICKET: &str = r##"{
    "type": "object", "required": ["kind", "tags"],
    "properties": {
        "kind": {"enum": ["bug", "wish"]},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/tag"}},
        "due": {"anyOf": [{"type": "string", "format": "date"}, {"type": "null"}]}
    },
    "$defs": {"tag": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}}
}"##;

/// A schema that contains itself. The API accepts this schema only as the input schema of a tool that is not strict.
const TREE: &str = r##"{
    "type": "object", "required": ["name", "children"],
    "properties": {"name": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}}
}"##;

const ASKED: &str = r#""max_tokens": 4096, "messages": [{"role": "user", "content": "x"}]"#;
const CITING: &str = r#""max_tokens": 4096, "messages": [{"role": "user", "content": [{"type": "document", "title": "t",
    "source": {"type": "text", "media_type": "text/plain", "data": "x"}, "citations": {"enabled": true}}]}]"#;

#[test]
fn every_model_accepts_the_schema_by_the_best_means_that_it_has() {
    for model in presets::models() {
        let name = model.id.to_string();
        let forced = model.traits.allows_forced_tools;

        assert_eq!(answered(&name, TICKET, ASKED), SchemaMethod::Format, "{name}");
        assert_eq!(
            answered(&name, TREE, ASKED),
            if forced { SchemaMethod::Tool } else { SchemaMethod::Instruction },
            "{name}"
        );
        let citing = if forced { SchemaMethod::StrictTool } else { SchemaMethod::Instruction };
        assert_eq!(answered(&name, TICKET, CITING), citing, "{name}");
    }
}

#[test]
fn bedrock_accepts_the_schema_without_structured_outputs_and_strict_tools() {
    for model in presets::models() {
        let features = ProviderFeatures { structured_outputs: false, strict_tools: false, ..ProviderFeatures::ALL };
        let schema_method = answered_by(ProviderKind::Bedrock, features, &model.id, TICKET, ASKED);

        let expected = if model.traits.allows_forced_tools { SchemaMethod::Tool } else { SchemaMethod::Instruction };
        assert_eq!(schema_method, expected, "{}", model.id);
    }
}

/// Sends a request with the schema, and checks the answer. Returns how the schema was sent.
fn answered(model: &str, schema: &str, rest: &str) -> SchemaMethod {
    answered_by(ProviderKind::Anthropic, ProviderFeatures::ALL, model, schema, rest)
}

fn answered_by(kind: ProviderKind, features: ProviderFeatures, model: &str, schema: &str, rest: &str) -> SchemaMethod {
    let schema = Schema::parse(schema).unwrap_or_else(|error| panic!("{error}"));
    let own = members(&format!(r#"{{"model": "{model}", {rest}}}"#));
    let catalog = Catalog::builtin();
    let schema_method = SchemaMethod::of(&schema, catalog.model(model), features, Merged::from(&own));

    let message = sent(kind, &schema_method.apply(&schema, Merged::from(&own)));

    let found = schema_method.answer_json(&message).map(|json| schema.check(&json));
    match schema_method {
        SchemaMethod::Format | SchemaMethod::StrictTool | SchemaMethod::Tool => {
            assert_eq!(found, Some(Ok(())), "{model}: {schema_method:?}")
        }
        // The simulated API does not read prompts, so its answer is meaningless text.
        SchemaMethod::Instruction => assert!(found.is_some(), "{model}"),
    }
    schema_method
}

fn members(json: &str) -> Params {
    let members: std::collections::BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"));
    Params(members.into_iter().collect())
}

/// Sends a request, and returns the message.
fn sent(kind: ProviderKind, params: &Params) -> Vec<u8> {
    let mut body: serde_json::Map<String, Value> = Merged::from(params)
        .iter()
        .map(|(name, json)| (name.to_owned(), serde_json::from_str(json).expect("a parameter is JSON")))
        .collect();
    if kind == ProviderKind::Bedrock {
        let name = format!("global.anthropic.{}", body["model"].as_str().expect("the model has a name"));
        body.insert("model".to_owned(), name.into());
    }
    let body = Value::Object(body).to_string();
    let headers: HeaderMap = [("x-api-key", "k"), ("anthropic-version", "2023-06-01")]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .into_iter()
        .collect();
    let config = SimConfig::new(presets::models()).with_limits(RateLimits::NONE).with_latency(Latency::ZERO);
    let config = config.of_kind(kind);
    let request =
        Request { method: &Method::POST, path: "/v1/messages", query: None, headers: &headers, body: body.as_bytes() };
    let arrival = Model::new(config).arrive(&request, Instant::ZERO);
    let bytes = |step: Step| match step {
        Step::Bytes { bytes, .. } => bytes.to_vec(),
        Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
    };
    let message: Vec<u8> = arrival.body.into_iter().flat_map(bytes).collect();
    assert!(arrival.head.is_none(), "refused: {} for {body}", String::from_utf8_lossy(&message));
    message
}
