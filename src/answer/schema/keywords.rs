//! The JSON Schema keywords whose values contain schemas, for all drafts.
//!
//! Source: JSON Schema, drafts 4 to 2020-12, Core and Validation.

use serde_json::Value;

/// The values to which a subschema applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// The subschema applies to the same value as the schema around it.
    Same,
    /// The subschema applies to the member with this name.
    Member(Box<str>),
    /// The subschema applies to several members or elements that the keyword does not name one by one.
    Inner,
    /// The subschema is a definition, which applies to a value only if a reference leads to the definition.
    Nothing,
}

/// What the value of a keyword is: one subschema, a list of subschemas or a map of subschemas.
enum Form {
    One,
    List,
    OneOrList,
    Map,
}

/// Returns the subschemas of a schema. Each subschema comes with its pointer relative to this schema, and with the
/// values to which it applies.
pub(super) fn subschemas(schema: &Value) -> Vec<(String, Reach, &Value)> {
    let Some(members) = schema.as_object() else { return Vec::new() };
    let mut found = Vec::new();
    for (keyword, value) in members {
        let Some((form, reach)) = form(keyword) else { continue };
        let place = format!("/{keyword}");
        match (form, value) {
            (Form::List | Form::OneOrList, Value::Array(elements)) => {
                found
                    .extend(elements.iter().enumerate().map(|(at, one)| (format!("{place}/{at}"), reach.clone(), one)));
            }
            (Form::Map, Value::Object(members)) => {
                found.extend(members.iter().filter(|(_, one)| is_schema(one)).map(|(name, one)| {
                    let reach =
                        if keyword == "properties" { Reach::Member(name.as_str().into()) } else { reach.clone() };
                    (format!("{place}/{}", escaped(name)), reach, one)
                }));
            }
            (Form::One | Form::OneOrList, one) if is_schema(one) => found.push((place, reach, one)),
            (Form::One | Form::List | Form::OneOrList | Form::Map, _) => {}
        }
    }
    found
}

/// Returns the name of a member with the escapes that a JSON pointer needs.
pub(super) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

fn is_schema(value: &Value) -> bool {
    value.is_object() || value.is_boolean()
}

fn form(keyword: &str) -> Option<(Form, Reach)> {
    Some(match keyword {
        "allOf" | "anyOf" | "oneOf" => (Form::List, Reach::Same),
        "not" | "if" | "then" | "else" => (Form::One, Reach::Same),
        "dependentSchemas" | "dependencies" => (Form::Map, Reach::Same),
        "properties" | "patternProperties" => (Form::Map, Reach::Inner),
        "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames"
        | "additionalItems"
        | "unevaluatedItems"
        | "contains"
        | "contentSchema" => (Form::One, Reach::Inner),
        "items" => (Form::OneOrList, Reach::Inner),
        "prefixItems" => (Form::List, Reach::Inner),
        "$defs" | "definitions" => (Form::Map, Reach::Nothing),
        _ => return None,
    })
}

/// The keywords that refer to another schema. The schema that is referred to applies to the same value as the schema
/// that contains the keyword.
pub(super) const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];

/// The formats of strings that the API enforces. Source: the official Python client 2.14.0, `lib/_parse/_transform.py`
/// (2026-11-24).
pub(super) const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];

/// The formats of strings that this program checks in answers, although the API does not enforce them.
pub(super) const OTHER_FORMATS: [&str; 7] =
    ["iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "uri-reference", "uri-template"];

/// The keywords that do not describe an answer. These keywords are not sent to the API.
pub(super) const LEFT_OUT: [&str; 9] =
    ["$schema", "$id", "id", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary", "$comment", "deprecated"];

/// The keywords that inform the model but do not constrain an answer.
pub(super) const REMARKS: [&str; 6] =
    ["default", "examples", "readOnly", "writeOnly", "contentEncoding", "contentMediaType"];

/// Returns whether a keyword constrains answers.
pub(super) fn is_constraint(keyword: &str) -> bool {
    const OTHERS: [&str; 21] = [
        "const",
        "dependentRequired",
        "enum",
        "exclusiveMaximum",
        "exclusiveMinimum",
        "format",
        "maxContains",
        "maxItems",
        "maxLength",
        "maxProperties",
        "maximum",
        "minContains",
        "minItems",
        "minLength",
        "minProperties",
        "minimum",
        "multipleOf",
        "pattern",
        "required",
        "type",
        "uniqueItems",
    ];
    form(keyword).is_some() || REFERENCES.contains(&keyword) || OTHERS.contains(&keyword)
}
