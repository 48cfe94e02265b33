//! The keywords of JSON Schema that contain schemas, for all drafts.
//!
//! Source: JSON Schema, drafts 4 to 2020-12, Core and Validation.

use serde_json::Value;

/// To which values a subschema applies.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Reach {
    /// To the same value as the schema around it.
    Same,
    /// To the member with this name.
    Member(Box<str>),
    /// To members or elements that the name of the keyword does not tell apart.
    Inner,
    /// To nothing: it is only referred to.
    Nothing,
}

/// How the subschemas of a keyword are written.
enum Form {
    One,
    List,
    OneOrList,
    Map,
}

/// Returns the subschemas of a schema: the pointer of each from this schema, and its value.
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

/// Returns the name of a member as it is written in a JSON pointer.
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

/// The keywords that refer to another schema, which then applies to the same value.
pub(super) const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
