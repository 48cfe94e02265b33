//! A schema in the form that the API accepts as structured output, and functions that write this form.

use super::text::members;
use crate::domain::Params;
use crate::domain::json::write_json_str;

/// A schema in the form that the API accepts as structured output.
#[derive(Debug)]
pub(super) struct Strict {
    /// The schema, as JSON.
    pub(super) json: String,
    /// The changes to the schema, each as a text for the user.
    pub(super) changes: Vec<String>,
    /// Whether the schema is an object without alternatives. Only a schema of this kind can describe the input of a
    /// tool.
    pub(super) is_object: bool,
}

impl Strict {
    pub(super) fn new(json: String, changes: Vec<String>) -> Self {
        let is_object = is_object(&json);
        Self { json, changes, is_object }
    }
}

/// Returns whether a schema can be the input of a tool. The API needs `"type": "object"` at the root of such a schema,
/// and accepts no `anyOf`, `oneOf` or `allOf` at the root.
pub(super) fn is_object(schema: &str) -> bool {
    let schema = members(schema);
    let combines = ["anyOf", "oneOf", "allOf"].iter().any(|keyword| schema.get(keyword).is_some());
    schema.get("type") == Some("\"object\"") && !combines
}

/// A JSON object that is being written.
#[derive(Default)]
pub(super) struct Object(Vec<(String, String)>);

impl Object {
    /// Adds a member. The value is given as JSON text.
    pub(super) fn push(&mut self, name: &str, json: String) {
        self.0.push((name.to_owned(), json));
    }

    /// Adds members to the description, as text: `{minimum: 1, maximum: 10}`.
    pub(super) fn describe(&mut self, left: &Params) {
        if left.0.is_empty() {
            return;
        }
        let words: Vec<String> = left.0.iter().map(|(name, json)| format!("{name}: {}", json.get())).collect();
        let words = format!("{{{}}}", words.join(", "));
        match self.0.iter_mut().find(|(name, _)| name == "description") {
            Some((_, own)) => {
                let text: String = serde_json::from_str(own).unwrap_or_default();
                *own = quoted_json(&format!("{text}\n\n{words}"));
            }
            None => self.push("description", quoted_json(&words)),
        }
    }

    /// Returns the object as JSON.
    pub(super) fn json(&self) -> String {
        let members: Vec<String> = self.0.iter().map(|(name, json)| format!("{}:{json}", quoted_json(name))).collect();
        format!("{{{}}}", members.join(","))
    }
}

/// Returns a text as a JSON string.
pub(super) fn quoted_json(text: &str) -> String {
    let mut out = Vec::new();
    write_json_str(text, &mut out);
    String::from_utf8(out).expect("a JSON string is text")
}
