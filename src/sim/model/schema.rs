//! Makes JSON that fits a JSON schema, for structured output and forced tools.
//!
//! This module supports the keywords that structured output supports, and some other common keywords. If a schema has
//! several alternatives, the first one is used. Source: API documentation, "Structured outputs" (2026-08).

use serde_json::{Map, Value, json};

use super::hash::Hash;

/// From this nesting depth on, optional members are left out and lists are empty, so that a recursive schema gives a
/// finite value.
const DEEP: u32 = 6;

/// The maximum number of values in generated JSON. All further values are `null`, so that the JSON never has more
/// values than an answer can contain.
const MOST_VALUES: u32 = 20_000;
/// The maximum length of a list (in items) and of a text (in characters), even if the schema asks for more.
const MOST_ITEMS: u64 = 20_000;

/// Returns a value that fits `schema`. If several values fit `schema`, `seed` decides which of them is returned.
pub(super) fn example(schema: &Value, seed: u64) -> Value {
    Maker { root: schema, hash: Hash::new(seed), count: 0, made: 0 }.value(schema, 0)
}

/// Returns JSON that does not fit `schema`: a required property is missing, or a value has the wrong type. If the
/// schema allows every value, the returned JSON can't break the schema.
pub(super) fn broken(schema: &Value, seed: u64) -> Value {
    let mut value = example(schema, seed);
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten().find_map(Value::as_str);
    if let (Value::Object(members), Some(name)) = (&mut value, required) {
        members.remove(name);
        return value;
    }
    let is_object = value.is_object();
    let first = schema.get("properties").and_then(Value::as_object).and_then(|members| members.iter().next());
    if let (Value::Object(members), Some((name, property))) = (&mut value, first) {
        members.insert(name.clone(), of_another_type(kind(property)));
        return value;
    }
    if is_object { json!({"unexpected": true}) } else { of_another_type(kind(schema)) }
}

/// Returns a value whose type is not `kind`.
fn of_another_type(kind: &str) -> Value {
    if kind == "array" { json!({"unexpected": true}) } else { json!(["unexpected"]) }
}

/// Returns a value as the JSON text of a tool's input. If the value is not an object, returns an empty object.
pub(super) fn object(value: Value) -> String {
    if value.is_object() { value.to_string() } else { "{}".to_owned() }
}

struct Maker<'a> {
    root: &'a Value,
    hash: Hash,
    count: u64,
    made: u32,
}

impl<'a> Maker<'a> {
    fn pick(&mut self, below: u64) -> u64 {
        self.count += 1;
        self.hash.word(self.count).end() % below.max(1)
    }

    fn value(&mut self, schema: &'a Value, depth: u32) -> Value {
        self.made += 1;
        if depth > 4 * DEEP || self.made > MOST_VALUES {
            return Value::Null;
        }
        if let Some(value) = schema.get("const") {
            return self.copy(value);
        }
        if let Some(values) = schema.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
            let at = self.pick(values.len() as u64) as usize;
            return self.copy(&values[at]);
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            return self.reference(target).map_or(Value::Null, |schema| self.value(schema, depth + 1));
        }
        for name in ["anyOf", "oneOf"] {
            if let Some(ways) = schema.get(name).and_then(Value::as_array).filter(|ways| !ways.is_empty()) {
                let way = if depth >= DEEP { simplest(ways) } else { &ways[self.pick(ways.len() as u64) as usize] };
                return self.value(way, depth + 1);
            }
        }
        if let Some(all) = schema.get("allOf").and_then(Value::as_array) {
            return self.all_of(schema, all, depth);
        }
        match kind(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => self.string(schema),
            "integer" => self.integer(schema),
            "number" => self.number(schema),
            "boolean" => json!(self.pick(2) == 1),
            _ => Value::Null,
        }
    }

    /// Copies a value from the schema. A large value counts as several values.
    fn copy(&mut self, value: &Value) -> Value {
        self.pay(weight(value));
        if self.made > MOST_VALUES { Value::Null } else { value.clone() }
    }

    /// Counts one value for every eight bytes, so a long text counts as several values.
    fn pay(&mut self, bytes: usize) {
        self.made = self.made.saturating_add(u32::try_from(bytes / 8).unwrap_or(u32::MAX));
    }

    fn reference(&self, target: &str) -> Option<&'a Value> {
        if target == "#" { Some(self.root) } else { self.root.pointer(target.strip_prefix('#')?) }
    }

    /// Returns a value for the schemas in `allOf`. The members of object schemas are merged. If one of the schemas
    /// gives a value that is not an object, returns only that value.
    fn all_of(&mut self, schema: &'a Value, all: &'a [Value], depth: u32) -> Value {
        let mut joined = Map::new();
        for way in all {
            match self.value(way, depth + 1) {
                Value::Object(members) => joined.extend(members),
                other => return other,
            }
        }
        if let Value::Object(members) = self.object(schema, depth) {
            joined.extend(members);
        }
        Value::Object(joined)
    }

    fn object(&mut self, schema: &'a Value, depth: u32) -> Value {
        let required: Vec<&str> =
            schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let mut members = Map::new();
        for (name, property) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            self.pay(name.len());
            if self.made > MOST_VALUES {
                break;
            }
            if required.contains(&name.as_str()) || (depth < DEEP && self.pick(3) > 0) {
                members.insert(name.clone(), self.value(property, depth + 1));
            }
        }
        for name in required {
            self.pay(name.len());
            if self.made > MOST_VALUES {
                break;
            }
            members.entry(name).or_insert(Value::Null);
        }
        Value::Object(members)
    }

    fn array(&mut self, schema: &'a Value, depth: u32) -> Value {
        let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        let most = schema.get("maxItems").and_then(Value::as_u64).unwrap_or(u64::MAX).max(least);
        let wanted = if depth >= DEEP { 0 } else { 1 + self.pick(3) };
        let count = wanted.clamp(least, most).min(MOST_ITEMS);
        match schema.get("items") {
            Some(items) => Value::Array((0..count).map(|_| self.value(items, depth + 1)).collect()),
            None => Value::Array(vec![Value::Null; count as usize]),
        }
    }

    fn string(&mut self, schema: &Value) -> Value {
        let fixed = match schema.get("format").and_then(Value::as_str) {
            Some("date-time") => "2026-03-14T09:26:53Z",
            Some("date") => "2026-03-14",
            Some("time") => "09:26:53Z",
            Some("duration") => "P3D",
            Some("email") => "someone@example.com",
            Some("hostname") => "host.example.com",
            Some("uri") => "https://example.com/page",
            Some("ipv4") => "192.0.2.7",
            Some("ipv6") => "2001:db8::7",
            Some("uuid") => "3f2b8c1e-5d4a-4b6f-9c7d-1a2b3c4d5e6f",
            _ => "",
        };
        if !fixed.is_empty() {
            return json!(fixed);
        }
        let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(MOST_ITEMS) as usize;
        let most = schema.get("maxLength").and_then(Value::as_u64).unwrap_or(64).max(least as u64) as usize;
        let words = ["clear", "first answer", "a short text", "open", "the third item"];
        let mut text = words[self.pick(words.len() as u64) as usize].to_owned();
        while text.len() < least {
            text.push_str(" more");
        }
        text.truncate(most);
        self.pay(text.len());
        json!(text)
    }

    fn integer(&mut self, schema: &Value) -> Value {
        let edge = |name: &str| schema.get(name).and_then(Value::as_f64);
        let step = edge("multipleOf").map_or(1.0, |step| step.max(1.0));
        let low = edge("minimum").or(edge("exclusiveMinimum").map(|low| low.floor() + 1.0));
        let high = edge("maximum").or(edge("exclusiveMaximum").map(|high| high.ceil() - 1.0));
        let (low, high) = range(low, high);
        let first = (low / step).ceil() * step;
        let places = ((high - first) / step).floor().max(0.0) as u64;
        json!((first + step * self.pick(places.saturating_add(1)) as f64) as i64)
    }

    fn number(&mut self, schema: &Value) -> Value {
        let edge = |name: &str| schema.get(name).and_then(Value::as_f64);
        let (low, high) =
            range(edge("minimum").or(edge("exclusiveMinimum")), edge("maximum").or(edge("exclusiveMaximum")));
        if let Some(step) = edge("multipleOf").filter(|step| *step > 0.0) {
            return json!((low / step).ceil() * step);
        }
        json!(low + (high - low) * (1 + self.pick(7)) as f64 / 8.0)
    }
}

/// Returns the approximate number of bytes of a value as JSON.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 8,
        Value::String(text) => 8 + text.len(),
        Value::Array(items) => 8 + items.iter().map(weight).sum::<usize>(),
        Value::Object(members) => 8 + members.iter().map(|(name, value)| 8 + name.len() + weight(value)).sum::<usize>(),
    }
}

/// Returns the lowest and the highest number of a range. If one of these two numbers is missing, chooses a number that
/// fits the other number.
fn range(low: Option<f64>, high: Option<f64>) -> (f64, f64) {
    match (low, high) {
        (Some(low), Some(high)) => (low, high),
        (Some(low), None) => (low, low + 100.0),
        (None, Some(high)) => (high - 100.0, high),
        (None, None) => (0.0, 100.0),
    }
}

/// Returns the type of the value to make: the first type in the schema that is not `null`.
fn kind(schema: &Value) -> &str {
    match schema.get("type") {
        Some(Value::String(kind)) => kind,
        Some(Value::Array(kinds)) => {
            kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or("null")
        }
        _ if schema.get("properties").is_some() => "object",
        _ if schema.get("items").is_some() => "array",
        _ => "string",
    }
}

/// Returns the first simple schema among the alternatives of an `anyOf` or `oneOf`. A schema is simple if it has no
/// members, items, references or further alternatives. If no alternative is simple, returns the first alternative.
fn simplest(ways: &[Value]) -> &Value {
    let is_plain =
        |way: &&Value| ["properties", "items", "$ref", "anyOf", "oneOf", "allOf"].iter().all(|n| way.get(n).is_none());
    ways.iter().find(is_plain).unwrap_or(&ways[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn required_members_are_present_and_fit() {
        let schema = json!({
            "type": "object",
            "properties": {
                "sentiment": {"type": "string", "enum": ["good", "bad"]},
                "score": {"type": "integer", "minimum": 1, "maximum": 5},
                "tags": {"type": "array", "items": {"type": "string"}, "minItems": 2},
                "at": {"type": ["string", "null"], "format": "date"},
                "kind": {"const": 7},
                "note": {"$ref": "#/$defs/note"}
            },
            "required": ["sentiment", "score", "tags", "at", "kind", "note"],
            "$defs": {"note": {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}}
        });

        for seed in 0..50 {
            let made = example(&schema, seed);

            assert!(["good", "bad"].contains(&made["sentiment"].as_str().expect("a text")));
            assert!((1..=5).contains(&made["score"].as_i64().expect("a number")));
            assert!(made["tags"].as_array().expect("a list").len() >= 2);
            assert_eq!((made["at"].as_str(), &made["kind"]), (Some("2026-03-14"), &json!(7)));
            assert!(made["note"]["ok"].is_boolean());
        }
    }

    #[test]
    fn the_value_is_finite_even_if_the_schema_asks_for_more_than_an_answer_can_hold() {
        let mut deep = json!({"type": "string", "minLength": u64::MAX});
        for _ in 0..12 {
            deep = json!({"type": "array", "items": deep, "minItems": 9});
        }
        let wide = json!({"type": "array", "minItems": u64::MAX});

        let [deep, wide] = [deep, wide].map(|schema| example(&schema, 3).to_string());

        assert!(deep.len() < 1 << 20 && wide.len() < 1 << 20, "{} and {}", deep.len(), wide.len());
    }

    #[test]
    fn long_texts_of_a_schema_are_copied_only_a_limited_number_of_times() {
        let long = "x".repeat(1 << 20);
        let constant = json!({"type": "array", "items": {"const": long}, "minItems": 20_000});
        let choice = json!({"type": "array", "items": {"enum": [[long]]}, "minItems": 20_000});
        let names = json!({
            "type": "array", "minItems": 20_000, "items": {"type": "object", "properties": {&long: {}}, "required": [&long]}
        });

        for schema in [constant, choice, names] {
            let made = example(&schema, 3).to_string();

            assert!(made.len() < 1 << 20, "{}", made.len());
        }
    }

    #[test]
    fn the_value_for_a_recursive_schema_is_finite() {
        let schema = json!({
            "type": "object",
            "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}, "children": {"type": "array", "items": {"$ref": "#"}}},
            "required": ["next"]
        });

        let made = example(&schema, 3);

        assert!(made.to_string().len() < 100_000);
    }
}
