//! Checks the JSON schemas of structured output and of strict tools. The model must follow these schemas, so the API
//! allows only a subset of JSON Schema in them. The API does not check the schemas of tools that are not strict.
//!
//! Source: API documentation, "Structured outputs", limitations of JSON Schema (2026-08). The error messages were seen
//! in veryfront/veryfront-code#3918, BerriAI/litellm#35808, agentjido/req_llm#302 and #706, and
//! ghostlobster/memorize-everything#93. We wrote the error messages about references ourselves.

use std::collections::HashSet;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::sim::model::errors::ApiError;

/// The maximum number of strict tools in a request.
const STRICT_TOOLS: u32 = 20;
/// The maximum number of optional properties in all schemas of a request.
const OPTIONAL: usize = 24;

/// The maximum nesting depth of schemas. A reference to a schema adds a level too.
const DEEP: u32 = 256;
/// The error message for schemas that are too large.
const TOO_COMPLEX: &str = "Schema is too complex for compilation";

/// For each type, the keywords that a schema of this type must not have.
const UNSUPPORTED: [(&str, &[&str]); 4] = [
    ("integer", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ("number", &["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"]),
    ("string", &["minLength", "maxLength"]),
    ("array", &["maxItems", "uniqueItems", "contains"]),
];

/// Checks the schemas of a request, and counts the strict tools and the optional properties in all of them.
#[derive(Default)]
pub(super) struct Schemas {
    strict_tools: u32,
    optional: usize,
}

impl Schemas {
    /// Checks the schema of structured output.
    pub(super) fn output(&mut self, schema: &Value) -> Result<(), ApiError> {
        self.add(schema, "output_config.format.schema")
    }

    /// Checks the schema of a strict tool.
    pub(super) fn strict_tool(&mut self, schema: &RawValue, place: &str) -> Result<(), ApiError> {
        self.strict_tools += 1;
        let schema: Value = serde_json::from_str(schema.get()).unwrap_or_default();
        self.add(&schema, place)
    }

    fn add(&mut self, schema: &Value, place: &str) -> Result<(), ApiError> {
        let mut walk = Walk { root: schema, open: vec!["#".to_owned()], done: HashSet::new(), depth: 0, optional: 0 };
        walk.schema(schema).map_err(|problem| ApiError::invalid(format!("{place}: {problem}")))?;
        self.optional += walk.optional;
        if self.strict_tools > STRICT_TOOLS || self.optional > OPTIONAL {
            return Err(ApiError::invalid(TOO_COMPLEX));
        }
        Ok(())
    }
}

struct Walk<'a> {
    root: &'a Value,
    /// The references that the check has followed to reach the current schema.
    open: Vec<String>,
    /// The references whose schemas have been checked.
    done: HashSet<String>,
    depth: u32,
    optional: usize,
}

impl<'a> Walk<'a> {
    /// Checks a schema and all schemas in it. The error says what is wrong.
    fn schema(&mut self, schema: &'a Value) -> Result<(), String> {
        if self.depth == DEEP {
            return Err(TOO_COMPLEX.to_owned());
        }
        self.depth += 1;
        self.inside(schema)?;
        self.depth -= 1;
        Ok(())
    }

    fn inside(&mut self, schema: &'a Value) -> Result<(), String> {
        let Value::Object(members) = schema else { return Ok(()) };
        if let Some(target) = members.get("$ref").and_then(Value::as_str) {
            return self.reference(target);
        }
        keywords(members)?;
        self.optional += optional(members);
        for (name, value) in members {
            match (name.as_str(), value) {
                ("$defs" | "definitions", Value::Object(definitions)) if std::ptr::eq(schema, self.root) => {
                    definitions.keys().try_for_each(|definition| {
                        self.reference(&format!("#/{name}/{}", definition.replace('~', "~0").replace('/', "~1")))
                    })?;
                }
                ("properties" | "$defs" | "definitions", Value::Object(schemas)) => {
                    schemas.values().try_for_each(|schema| self.schema(schema))?;
                }
                ("items", item) => self.schema(item)?,
                ("anyOf" | "allOf" | "oneOf" | "prefixItems", Value::Array(ways)) => {
                    ways.iter().try_for_each(|way| self.schema(way))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn reference(&mut self, target: &str) -> Result<(), String> {
        let Some(pointer) = target.strip_prefix('#') else {
            return Err(format!("external $ref '{target}' is not supported"));
        };
        if self.open.iter().any(|open| open == target) {
            return Err(format!("recursive schemas are not supported ($ref '{target}')"));
        }
        if self.done.contains(target) {
            return Ok(());
        }
        let Some(found) = self.root.pointer(pointer) else {
            return Err(format!("$ref '{target}' does not lead to a schema"));
        };
        self.open.push(target.to_owned());
        self.schema(found)?;
        self.open.pop();
        self.done.insert(target.to_owned());
        Ok(())
    }
}

fn keywords(members: &Map<String, Value>) -> Result<(), String> {
    let kinds = match members.get("type") {
        Some(Value::String(kind)) => vec![kind.as_str()],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if members.contains_key("properties") => vec!["object"],
        _ => Vec::new(),
    };
    if kinds.contains(&"object") {
        match members.get("additionalProperties") {
            Some(Value::Bool(false)) => {}
            None => return Err("For 'object' type, 'additionalProperties' must be explicitly set to false".to_owned()),
            Some(other) => {
                let found = if other.is_boolean() { "true" } else { "object" };
                return Err(format!(
                    "For 'object' type, 'additionalProperties: {found}' is not supported. Please set \
                     'additionalProperties' to false"
                ));
            }
        }
    }
    for (kind, unsupported) in UNSUPPORTED.iter().filter(|(kind, _)| kinds.contains(kind)) {
        let found: Vec<&str> = unsupported.iter().copied().filter(|name| members.contains_key(*name)).collect();
        match found.as_slice() {
            [] => {}
            [one] => return Err(format!("For '{kind}' type, property '{one}' is not supported")),
            more => return Err(format!("For '{kind}' type, properties {} are not supported", more.join(", "))),
        }
    }
    let least = members.get("minItems").filter(|_| kinds.contains(&"array"));
    if least.is_some_and(|least| !matches!(least.as_u64(), Some(0 | 1))) {
        return Err("For 'array' type, 'minItems' values other than 0 or 1 are not supported".to_owned());
    }
    Ok(())
}

/// Returns the number of properties that are not required.
fn optional(members: &Map<String, Value>) -> usize {
    let Some(Value::Object(properties)) = members.get("properties") else { return 0 };
    let required: HashSet<&str> =
        members.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    properties.keys().filter(|name| !required.contains(name.as_str())).count()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_with_all_that_is_supported_is_accepted() {
        let schema = json!({
            "type": "object",
            "additionalProperties": false,
            "properties": {
                "kind": {"type": "string", "enum": ["a", "b"]},
                "at": {"type": ["string", "null"], "format": "date"},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 1},
                "minimum": {"type": "integer"},
                "from": {"$ref": "#/$defs/place"},
                "to": {"anyOf": [{"$ref": "#/$defs/place"}, {"type": "null"}]}
            },
            "required": ["kind", "at", "tags", "minimum", "from", "to"],
            "$defs": {"place": {"type": "object", "properties": {}, "additionalProperties": false}}
        });

        assert_eq!(Schemas::default().output(&schema), Ok(()));
    }

    #[test]
    fn keywords_that_are_not_supported_are_named() {
        let cases = [
            (json!({"type": "object"}), "For 'object' type, 'additionalProperties' must be explicitly set to false"),
            (json!({"type": "object", "additionalProperties": true}), "'additionalProperties: true' is not supported"),
            (json!({"type": "integer", "minimum": 0}), "For 'integer' type, property 'minimum' is not supported"),
            (json!({"type": ["number", "null"], "minimum": 0, "maximum": 1}), "properties minimum, maximum are not"),
            (json!({"type": "string", "maxLength": 9}), "For 'string' type, property 'maxLength' is not supported"),
            (json!({"type": "array", "maxItems": 9}), "For 'array' type, property 'maxItems' is not supported"),
            (json!({"type": "array", "minItems": 2}), "'minItems' values other than 0 or 1 are not supported"),
            (json!({"$ref": "https://example.com/a.json"}), "external $ref 'https://example.com/a.json'"),
            (json!({"$ref": "#/$defs/none"}), "$ref '#/$defs/none' does not lead to a schema"),
            (json!({"type": "array", "items": {"$ref": "#"}}), "recursive schemas are not supported ($ref '#')"),
            (
                json!({"$ref": "#/$defs/a", "$defs": {
                    "a": {"type": "array", "items": {"$ref": "#/$defs/b"}},
                    "b": {"anyOf": [{"type": "null"}, {"$ref": "#/$defs/a"}]}
                }}),
                "recursive schemas are not supported ($ref '#/$defs/a')",
            ),
        ];

        for (schema, part) in cases {
            let nested = json!({"anyOf": [{"type": "string"}, schema], "$defs": schema["$defs"]});
            let wholes = if schema["$ref"].is_null() { vec![schema, nested] } else { vec![schema] };
            for whole in wholes {
                let error = Schemas::default().output(&whole).expect_err("it is not supported");
                let message = error.message;
                assert!(message.starts_with("output_config.format.schema: ") && message.contains(part), "{message}");
            }
        }
    }

    #[test]
    fn a_chain_of_references_is_followed_only_a_limited_number_of_times() {
        let chain = |length: usize| {
            let link = |at: usize| json!({"type": "array", "items": {"$ref": format!("#/$defs/d{}", at + 1)}});
            let mut links: Map<String, Value> = (0..length).map(|at| (format!("d{at}"), link(at))).collect();
            links.insert(format!("d{length}"), json!({"type": "string"}));
            Schemas::default().output(&json!({"$ref": "#/$defs/d0", "$defs": links})).map_err(|error| error.message)
        };

        assert_eq!(chain(100), Ok(()));
        assert!(chain(100_000).is_err_and(|message| message.contains(TOO_COMPLEX)));
    }

    #[test]
    fn all_schemas_together_have_a_limit_of_optional_properties_and_strict_tools() {
        let with_optional = |count: usize| {
            let properties: Map<String, Value> =
                (0..count).map(|at| (format!("p{at}"), json!({"type": "string"}))).collect();
            json!({"type": "object", "properties": properties, "additionalProperties": false}).to_string()
        };
        let raw = |text: String| serde_json::from_str::<Box<RawValue>>(&text).expect("JSON");
        let mut schemas = Schemas::default();

        let results = [12, 12, 1].map(|count| schemas.strict_tool(&raw(with_optional(count)), "x").is_ok());
        let mut many = Schemas::default();
        let tools: Vec<bool> = (0..21).map(|_| many.strict_tool(&raw(with_optional(1)), "x").is_ok()).collect();

        assert_eq!(results, [true, true, false]);
        assert!(tools[..20].iter().all(|is_good| *is_good) && !tools[20]);
    }
}
