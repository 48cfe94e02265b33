//! Rewrites a schema into a form that the API accepts as structured output.
//!
//! The API accepts only a part of JSON Schema. The other constraints are moved into `description`, so that the model
//! can follow them, and this program checks answers against them. If the meaning of a schema would be lost, the schema
//! is not rewritten. The unchanged schema is then sent as the schema of a tool, or as a text in the prompt.
//!
//! Source for the constraints that are kept and moved: the official Python client 2.14.0, `lib/_parse/_transform.py`
//! (2026-11-24). Source for the schemas that the API rejects: API documentation, "Structured outputs", JSON Schema
//! limitations (2026). The API rejects schemas that contain themselves: it answers 400 with "Circular reference
//! detected in schema definitions". The API also rejects `allOf` with `$ref`, more than 24 optional members, and more
//! than 16 members with several types.
//!
//! This program differs from the official client in these points:
//! - Lists of types are kept, because the API accepts them.
//! - If the schema names members, all other members are forbidden. If the schema names no members, all members stay
//!   allowed, because otherwise only an empty object would match the schema.
//! - `type` is added where `properties` or `items` show which type is meant.
//! - `definitions` is treated like `$defs`.

use super::adapted::{Object, Strict};
use super::error::shown_place;
use super::keywords::{FORMATS, LEFT_OUT, OTHER_FORMATS, REMARKS, escaped, is_constraint};
use super::text::{elements, members};
use crate::domain::json::{first_byte, is_filled_array};
use crate::domain::{Params, quoted, shortened};

/// The highest number of optional members that the API accepts in a schema.
const MOST_OPTIONAL: usize = 24;

/// In a schema, the API accepts at most this many members with several types.
const MOST_UNIONS: usize = 16;

/// The reason why a schema can't be sent as structured output.
type Refusal = String;

/// Rewrites a schema. `circle` is the place of a subschema that contains itself; `None` if there is no such subschema.
///
/// # Errors
/// Returns a text that says where and why the schema can't be sent: the API would reject it, or all answers would be
/// empty.
pub(super) fn adapt(schema: &str, circle: Option<&str>) -> Result<Strict, Refusal> {
    if let Some(circle) = circle {
        return Err(format!("{}: the schema contains itself", shown_place(circle)));
    }
    let mut adapter = Adapter::default();
    let json = adapter.schema(schema, "")?;
    adapter.check_totals()?;
    Ok(Strict::new(json, adapter.changes()))
}

#[derive(Default)]
struct Adapter {
    changes: Vec<String>,
    /// The places at which `additionalProperties: false` was added.
    closed: Vec<String>,
    optional: usize,
    unions: usize,
}

impl Adapter {
    fn schema(&mut self, json: &str, at: &str) -> Result<String, Refusal> {
        if json == "false" {
            return Err(format!("{}: no value is allowed", shown_place(at)));
        }
        let mut rest = members(json);
        let mut out = Object::default();
        for keyword in ["$defs", "definitions"] {
            if let Some(definitions) = take(&mut rest, keyword) {
                out.push(keyword, self.definitions(&definitions, &format!("{at}/{keyword}"))?);
            }
        }
        if let Some(target) = take(&mut rest, "$ref").or_else(|| take_sole_reference(&mut rest)) {
            check_reference(&target, at)?;
            self.moved(&mut rest, &["title", "description"], at);
            out.push("$ref", target);
            return Ok(out.json());
        }
        let kind = self.kind(&mut rest, &mut out, at)?;
        for keyword in ["title", "description"] {
            if let Some(text) = take(&mut rest, keyword) {
                out.push(keyword, text);
            }
        }
        if kind.has("object") {
            self.object(&mut rest, &mut out, at)?;
        }
        if kind.has("array") {
            self.array(&mut rest, &mut out, at)?;
        }
        if kind.has("string") && rest.get("format").and_then(string).is_some_and(|name| FORMATS.contains(&&*name)) {
            out.push("format", take(&mut rest, "format").unwrap_or_default());
        }
        let left = self.moved(&mut rest, &[], at);
        out.describe(&left);
        Ok(out.json())
    }

    fn definitions(&mut self, json: &str, at: &str) -> Result<String, Refusal> {
        let mut out = Object::default();
        for (name, schema) in &members(json).0 {
            out.push(name, self.schema(schema.get(), &format!("{at}/{}", escaped(name)))?);
        }
        Ok(out.json())
    }

    /// Writes the keywords that decide the type of a value, and returns the types that the value can have.
    fn kind(&mut self, rest: &mut Params, out: &mut Object, at: &str) -> Result<Kind, Refusal> {
        let mut has_literals = false;
        if rest
            .get("enum")
            .is_some_and(|values| is_filled_array(values.as_bytes()) && elements(values).into_iter().all(is_plain))
        {
            out.push("enum", take(rest, "enum").unwrap_or_default());
            has_literals = true;
        }
        if rest.get("const").is_some_and(is_plain) {
            out.push("const", take(rest, "const").unwrap_or_default());
            has_literals = true;
        }
        if has_literals {
            take(rest, "type");
            return Ok(Kind::default());
        }
        let has_own = ["properties", "items", "required"].iter().any(|keyword| rest.get(keyword).is_some());
        for (keyword, sent) in [("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf")] {
            let alternatives = rest.get(keyword).filter(|list| !has_own && is_filled_array(list.as_bytes()));
            let Some(alternatives) = alternatives.map(str::to_owned) else { continue };
            take(rest, keyword);
            return self.combined(&alternatives, keyword, sent, out, at).map(|()| Kind::default());
        }
        let kind = take(rest, "type").map_or_else(|| Kind::shown_by(rest), Kind);
        if kind.0.is_empty() {
            return Err(format!("{}: any kind of value is allowed (there is no \"type\")", shown_place(at)));
        }
        self.unions += usize::from(first_byte(kind.0.as_bytes()) == Some(b'['));
        out.push("type", kind.0.clone());
        Ok(kind)
    }

    fn combined(&mut self, list: &str, keyword: &str, sent: &str, out: &mut Object, at: &str) -> Result<(), Refusal> {
        let list = elements(list);
        if keyword == "allOf" {
            check_all_of(&list, at)?;
        } else {
            self.unions += 1;
        }
        if keyword == "oneOf" {
            let place = shown_place(at);
            self.changes.push(format!("{place}: oneOf is sent as anyOf; answers are checked for oneOf here"));
        }
        let mut adapted = Vec::new();
        for (number, one) in list.iter().enumerate() {
            adapted.push(self.schema(one, &format!("{at}/{keyword}/{number}"))?);
        }
        out.push(sent, format!("[{}]", adapted.join(",")));
        Ok(())
    }

    fn object(&mut self, rest: &mut Params, out: &mut Object, at: &str) -> Result<(), Refusal> {
        let named = members(&take(rest, "properties").unwrap_or_default());
        let others = take(rest, "additionalProperties");
        if named.0.is_empty() && others.as_deref() != Some("false") {
            return Err(format!("{}: an object whose members are not named", shown_place(at)));
        }
        if others.as_deref() != Some("false") {
            self.closed.push(shown_place(at));
        }
        let required: Vec<String> =
            rest.get("required").and_then(|all| serde_json::from_str(all).ok()).unwrap_or_default();
        let mut properties = Object::default();
        for (name, schema) in &named.0 {
            self.optional += usize::from(!required.iter().any(|own| **own == **name));
            let adapted = self.schema(schema.get(), &format!("{at}/properties/{}", escaped(name)))?;
            properties.push(name, adapted);
        }
        out.push("properties", properties.json());
        out.push("additionalProperties", "false".to_owned());
        if let Some(required) = take(rest, "required") {
            out.push("required", required);
        }
        Ok(())
    }

    fn array(&mut self, rest: &mut Params, out: &mut Object, at: &str) -> Result<(), Refusal> {
        if rest.get("items").is_some_and(|items| first_byte(items.as_bytes()) == Some(b'{')) {
            let items = take(rest, "items").unwrap_or_default();
            out.push("items", self.schema(&items, &format!("{at}/items"))?);
        }
        if rest.get("minItems").is_some_and(|least| matches!(least, "0" | "1")) {
            out.push("minItems", take(rest, "minItems").unwrap_or_default());
        }
        Ok(())
    }

    /// Removes the remaining keywords from the schema, and notes the constraints that are not sent. Returns the members
    /// that are added to the description.
    fn moved(&mut self, rest: &mut Params, also_left_out: &[&str], at: &str) -> Params {
        let mut left = std::mem::take(rest);
        left.0.retain(|(name, _)| !LEFT_OUT.contains(&&**name) && !also_left_out.contains(&&**name));
        let is_known = |name: &str, json: &str| match name {
            "format" => string(json).is_some_and(|name| FORMATS.contains(&&*name) || OTHER_FORMATS.contains(&&*name)),
            _ => is_constraint(name),
        };
        let told = left.0.iter().filter(|(name, _)| !REMARKS.contains(&&**name) && !name.starts_with("x-"));
        let (known, unknown): (Vec<_>, Vec<_>) = told.partition(|(name, json)| is_known(name, json.get()));
        let place = shown_place(at);
        match &known[..] {
            [] => {}
            [(one, _)] => self.changes.push(format!("{place}: {one} is not sent; answers are checked for it here")),
            several => {
                let names: Vec<&str> = several.iter().map(|(name, _)| &**name).collect();
                let names = names.join(", ");
                self.changes.push(format!("{place}: {names} are not sent; answers are checked for them here"));
            }
        }
        for (name, json) in unknown {
            let what = if &**name == "format" { format!("the format {}", shortened(json.get())) } else { quoted(name) };
            self.changes.push(format!("{place}: {what} is not known; answers are not checked for it"));
        }
        left
    }

    fn changes(&self) -> Vec<String> {
        let mut changes = self.changes.clone();
        if let [first, others @ ..] = &self.closed[..] {
            let more = match others.len() {
                0 => String::new(),
                1 => format!(" and {}", others[0]),
                more => format!(" and {more} other places"),
            };
            changes.push(format!("{first}{more}: the model is asked for no members that are not named"));
        }
        changes
    }

    /// Checks two counts over the whole schema, because the API has a limit for each of these counts.
    fn check_totals(&self) -> Result<(), Refusal> {
        if self.optional > MOST_OPTIONAL {
            return Err(format!("{} members are not required; the API takes at most {MOST_OPTIONAL}", self.optional));
        }
        if self.unions > MOST_UNIONS {
            return Err(format!("{} members have several types; the API takes at most {MOST_UNIONS}", self.unions));
        }
        Ok(())
    }
}

/// Checks an `allOf`. The API does not accept `$ref` in an `allOf`. Several objects in an `allOf` would forbid each
/// other's members.
fn check_all_of(list: &[&str], at: &str) -> Result<(), Refusal> {
    let has = |keyword: &str| list.iter().any(|one| members(one).get(keyword).is_some());
    if has("$ref") {
        return Err(format!("{}: allOf with $ref", shown_place(at)));
    }
    let is_object = |one: &&str| members(one).get("type") == Some("\"object\"");
    if list.len() > 1 && (has("properties") || list.iter().any(is_object)) {
        return Err(format!("{}: allOf combines objects", shown_place(at)));
    }
    Ok(())
}

/// The types of a value, as JSON: a name or a list of names. The text is empty if the value has no type.
#[derive(Default)]
struct Kind(String);

impl Kind {
    fn shown_by(rest: &Params) -> Self {
        let has = |keyword: &str| rest.get(keyword).is_some();
        Self(match () {
            () if has("properties") => "\"object\"".to_owned(),
            () if has("items") || has("prefixItems") => "\"array\"".to_owned(),
            () => String::new(),
        })
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains(&format!("\"{name}\""))
    }
}

/// Checks that a reference leads to a definition.
fn check_reference(target: &str, at: &str) -> Result<(), Refusal> {
    let target = string(target).unwrap_or_default();
    let name = target.strip_prefix("#/$defs/").or_else(|| target.strip_prefix("#/definitions/"));
    if name.is_none_or(|name| name.contains('/')) {
        return Err(format!("{}: a reference to a place outside of $defs", shown_place(at)));
    }
    Ok(())
}

/// Takes an `allOf` that consists of only one reference, and returns the reference.
fn take_sole_reference(rest: &mut Params) -> Option<String> {
    let list = rest.get("allOf")?;
    let [one] = elements(list)[..] else { return None };
    let target = members(one).get("$ref")?.to_owned();
    take(rest, "allOf");
    Some(target)
}

fn take(params: &mut Params, name: &str) -> Option<String> {
    let at = params.0.iter().position(|(own, _)| &**own == name)?;
    Some(params.0.remove(at).1.get().to_owned())
}

fn string(json: &str) -> Option<String> {
    serde_json::from_str(json).ok()
}

/// Returns whether a value has no parts (no members, no elements). In `enum` and `const`, the API accepts only values
/// without parts.
fn is_plain(json: &str) -> bool {
    !matches!(first_byte(json.as_bytes()), Some(b'{' | b'['))
}

#[cfg(test)]
mod tests {
    use super::super::Schema;
    use super::*;

    /// Returns the schema that is sent, and the list of changes.
    fn adapted(schema: &str) -> (String, Vec<String>) {
        let strict = adapt(schema, None).unwrap_or_else(|why| panic!("{schema}: {why}"));
        (strict.json, strict.changes)
    }

    fn refused(schema: &str) -> String {
        let schema = Schema::parse(schema).unwrap_or_else(|error| panic!("{schema}: {error}"));
        assert!(schema.0.strict.is_none());
        schema.changes().join("\n")
    }

    #[test]
    fn constraints_are_moved_into_the_description_and_the_order_is_kept() {
        let (sent, changes) = adapted(
            r#"{"type":"object","properties":{
                "z":{"type":"integer","minimum":1,"maximum":1.0e1,"description":"A number"},
                "a":{"type":"string","format":"email","pattern":"@x"},"m":{"type":["array","null"],"minItems":1,"maxItems":3,
                "items":{"enum":["p",null]}}},"required":["z"],"$schema":"x","default":{}}"#,
        );

        assert_eq!(
            sent,
            r#"{"type":"object","properties":{"z":{"type":"integer","description":"A number\n\n{minimum: 1, maximum: 1.0e1}"},"a":{"type":"string","format":"email","description":"{pattern: \"@x\"}"},"m":{"type":["array","null"],"items":{"enum":["p",null]},"minItems":1,"description":"{maxItems: 3}"}},"additionalProperties":false,"required":["z"],"description":"{default: {}}"}"#
        );
        assert_eq!(
            changes,
            [
                "/properties/z: minimum, maximum are not sent; answers are checked for them here",
                "/properties/a: pattern is not sent; answers are checked for it here",
                "/properties/m: maxItems is not sent; answers are checked for it here",
                "the root: the model is asked for no members that are not named",
            ]
        );
    }

    #[test]
    fn a_schema_that_the_api_takes_is_not_changed() {
        let schema = r##"{"type":"object","properties":{"a":{"$ref":"#/$defs/x"}},"additionalProperties":false}"##;
        let with_defs = schema.replacen('{', r#"{"$defs":{"x":{"anyOf":[{"type":"null"},{"const":1}]}},"#, 1);

        assert_eq!(adapted(&with_defs), (with_defs.clone(), Vec::new()));
    }

    #[test]
    fn one_of_becomes_any_of_and_a_sole_reference_in_all_of_becomes_a_reference() {
        let (sent, changes) = adapted(
            r##"{"definitions":{"x":{"oneOf":[{"type":"null"},{"type":"string"}]}},"allOf":[{"$ref":"#/definitions/x"}],
                "description":"d","maxLength":3}"##,
        );

        assert_eq!(
            sent,
            r##"{"definitions":{"x":{"anyOf":[{"type":"null"},{"type":"string"}]}},"$ref":"#/definitions/x"}"##
        );
        assert_eq!(
            changes,
            [
                "/definitions/x: oneOf is sent as anyOf; answers are checked for oneOf here",
                "the root: maxLength is not sent; answers are checked for it here",
            ]
        );
    }

    #[test]
    fn keywords_and_formats_that_are_not_known_are_reported() {
        let (_, changes) = adapted(r#"{"type":"integer","minimun":1,"format":"int32","x-order":2,"nullable":true}"#);

        assert_eq!(
            changes,
            [
                "the root: \"minimun\" is not known; answers are not checked for it",
                "the root: the format \"int32\" is not known; answers are not checked for it",
                "the root: \"nullable\" is not known; answers are not checked for it",
            ]
        );
    }

    #[test]
    fn a_schema_whose_meaning_would_be_lost_is_not_sent_as_structured_output() {
        let tail = "; so it is not sent as structured output; answers are checked here";
        let cases = [
            (r#"{"type":"object"}"#, "the root: an object whose members are not named"),
            (r#"{"properties":{"a":{}}}"#, "/properties/a: any kind of value is allowed (there is no \"type\")"),
            ("true", "the root: any kind of value is allowed (there is no \"type\")"),
            ("false", "the root: no value is allowed"),
            (r##"{"type":"array","items":{"$ref":"#"}}"##, "the root: the schema contains itself"),
            (
                r##"{"$defs":{"a":{"type":"array","items":{"$ref":"#/$defs/a"}}},"$ref":"#/$defs/a"}"##,
                "/$defs/a: the schema contains itself",
            ),
            (
                r#"{"allOf":[{"type":"object","properties":{"a":{"type":"null"}}},{"type":"object"}]}"#,
                "the root: allOf combines objects",
            ),
            (
                r##"{"$defs":{"a":{"type":"null"}},"allOf":[{"$ref":"#/$defs/a"},{"type":"null"}]}"##,
                "the root: allOf with $ref",
            ),
            (
                r##"{"type":"object","properties":{"a":{"type":"null"},"b":{"$ref":"#/properties/a"}}}"##,
                "/properties/b: a reference to a place outside of $defs",
            ),
        ];

        for (schema, why) in cases {
            assert_eq!(refused(schema), format!("{why}{tail}"));
        }
    }

    #[test]
    fn more_members_than_the_api_takes_are_not_sent() {
        let members = |count: usize, schema: &str| {
            let all: Vec<String> = (0..count).map(|at| format!(r#""m{at}":{schema}"#)).collect();
            format!(r#"{{"type":"object","properties":{{{}}}}}"#, all.join(","))
        };
        let required = r#"{"type":"object","required":["a"],"properties":{"a":"#;

        assert!(adapt(&members(24, r#"{"type":"null"}"#), None).is_ok());
        assert!(adapt(&members(25, r#"{"type":"null"}"#), None).is_err_and(|why| why.starts_with("25 members")));
        assert!(
            adapt(&members(17, r#"{"type":["null","string"]}"#), None).is_err_and(|why| why.starts_with("17 members"))
        );
        assert!(adapt(&format!("{required}{}}}}}", members(24, r#"{"type":"null"}"#)), None).is_ok());
    }
}
