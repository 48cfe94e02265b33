//! Findings: texts that say what is wrong with an answer.

use std::fmt;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use jsonschema::{JsonType, ValidationError};
use serde_json::Value;

use super::error::shown_place;

/// The highest number of violations that a finding lists.
const MOST: usize = 5;

/// A finding shows at most this many characters of a value.
const LONGEST_VALUE: usize = 60;

/// The highest number of member names that a finding lists.
const MOST_NAMES: usize = 3;

/// A text that says what is wrong with an answer. The text is short even if the answer is long.
///
/// The text lists one or more violations, separated by `; `. Each violation begins with the JSON pointer of the wrong
/// value, or with `the root`: `/age: -3 is less than the minimum of 0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding(pub(super) String);

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Finding {
    /// Returns the finding for an answer that is not JSON.
    pub(super) fn not_json(error: &serde_json::Error) -> Self {
        let words = error.to_string();
        match words.strip_prefix("recursion limit exceeded") {
            Some(place) => Self::too_deep(127, place),
            None => Self(format!("it is not JSON: {words}")),
        }
    }

    /// Returns the finding for an answer that has more than `levels` levels of nesting.
    pub(super) fn too_deep(levels: u64, place: &str) -> Self {
        Self(format!("it is nested more than {levels} levels deep{place}"))
    }

    /// Returns the finding for an answer that does not fit the schema, when the violations can't be listed. `why` is
    /// the reason.
    pub(super) fn unlisted(why: &str) -> Self {
        Self(format!("it does not fit the schema; what is wrong is not listed, because {why}"))
    }

    /// Returns the finding that lists the first violations.
    pub(super) fn list<'e>(violations: impl Iterator<Item = ValidationError<'e>>) -> Self {
        let mut lines: Vec<String> = Vec::new();
        for violation in violations {
            let line = line(&violation);
            if lines.contains(&line) {
                continue;
            }
            if lines.len() == MOST {
                lines.push("and more".to_owned());
                break;
            }
            lines.push(line);
        }
        Self(lines.join("; "))
    }
}

fn line(violation: &ValidationError<'_>) -> String {
    format!("{}: {}", shown_place(violation.instance_path().as_str()), words(violation))
}

/// Returns a text that says what is wrong with a value. If the value fits no alternative, the text also has the first
/// violation of the closest alternative. If that violation is itself about alternatives, the search continues inside
/// its closest alternative, down to the deepest level.
pub(super) fn words(violation: &ValidationError<'_>) -> String {
    let said = said(violation);
    match std::iter::successors(closest(violation), |&inner| closest(inner)).last() {
        Some(last) => {
            let place = shown_place(last.instance_path().as_str());
            format!("{said}; closest alternative: {place}: {}", self::said(last))
        }
        None => said,
    }
}

/// Returns the first violation of the alternative that is closest to the value. Alternatives that expect another type
/// than the value's type are the farthest. The next farthest are alternatives with a constant that the value does not
/// match. The reason is that such a constant is often the name of the alternative. Among all other alternatives, the
/// alternative with the fewest violations is the closest.
fn closest<'v>(violation: &'v ValidationError<'_>) -> Option<&'v ValidationError<'static>> {
    use ValidationErrorKind as Kind;

    let is_other_type = |one: &ValidationError<'_>| {
        matches!(one.kind(), Kind::Type { .. }) && one.instance_path() == violation.instance_path()
    };
    let is_other_constant = |one: &ValidationError<'_>| matches!(one.kind(), Kind::Constant { .. } | Kind::Enum { .. });
    let distance = |violations: &&Vec<ValidationError<'_>>| {
        (violations.iter().any(is_other_type), violations.iter().any(is_other_constant), violations.len())
    };
    match violation.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context.iter().min_by_key(distance)?.first(),
        _ => None,
    }
}

fn said(violation: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;

    let value = short(violation.instance());
    let parts = || violation.instance().as_array().map_or(0, Vec::len);
    let names = || violation.instance().as_object().map_or(0, serde_json::Map::len);
    match violation.kind() {
        Kind::Type { kind } => format!("{value} is not {}", types(kind)),
        Kind::Required { property } => format!("the member {} is missing", short(property)),
        Kind::AdditionalProperties { unexpected } | Kind::UnevaluatedProperties { unexpected } => {
            format!("members that are not allowed: {}", listed(unexpected))
        }
        Kind::AdditionalItems { limit } => {
            format!("the list has {} items, more than the {limit} that are allowed", parts())
        }
        Kind::UnevaluatedItems { unexpected } => format!("items that are not allowed: {}", listed(unexpected)),
        Kind::Enum { options } => format!("{value} is not one of {}", short(options)),
        Kind::Constant { expected_value } => format!("{value} is not {}", short(expected_value)),
        Kind::AnyOf { .. } => format!("{value} fits none of the alternatives of anyOf"),
        Kind::OneOfNotValid { .. } => format!("{value} fits none of the alternatives of oneOf"),
        Kind::OneOfMultipleValid { .. } => format!("{value} fits more than one alternative of oneOf"),
        Kind::Not { .. } => format!("{value} fits the schema of not"),
        Kind::FalseSchema => format!("{value} is not allowed here"),
        Kind::Minimum { limit } => format!("{value} is less than the minimum of {limit}"),
        Kind::Maximum { limit } => format!("{value} is greater than the maximum of {limit}"),
        Kind::ExclusiveMinimum { limit } => format!("{value} is not greater than {limit}"),
        Kind::ExclusiveMaximum { limit } => format!("{value} is not less than {limit}"),
        Kind::MultipleOf { multiple_of } => format!("{value} is not a multiple of {multiple_of}"),
        Kind::MinLength { limit } => format!("{value} is shorter than {limit} characters"),
        Kind::MaxLength { limit } => format!("{value} is longer than {limit} characters"),
        Kind::Pattern { pattern } => format!("{value} does not match the pattern {}", cut(pattern)),
        Kind::Format { format } => format!("{value} does not have the format {}", cut(format)),
        Kind::MinItems { limit } => format!("the list has {} items, fewer than {limit}", parts()),
        Kind::MaxItems { limit } => format!("the list has {} items, more than {limit}", parts()),
        Kind::UniqueItems => "the list has equal items".to_owned(),
        Kind::Contains => "the number of items that fit `contains` is wrong".to_owned(),
        Kind::MinProperties { limit } => format!("the object has {} members, fewer than {limit}", names()),
        Kind::MaxProperties { limit } => format!("the object has {} members, more than {limit}", names()),
        Kind::PropertyNames { error } => format!("the name of a member does not fit: {}", said(error)),
        Kind::Custom { message, .. } => format!("{value} {message}"),
        // The kinds of violations that are not listed above are faults of the pattern engine, of a content encoding or
        // of a reference.
        _ => cut(&violation.masked().to_string()),
    }
}

fn types(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => article(*one).to_owned(),
        TypeKind::Multiple(several) => several.iter().map(article).collect::<Vec<_>>().join(" or "),
    }
}

fn article(one: JsonType) -> &'static str {
    match one {
        JsonType::Null => "null",
        JsonType::Boolean => "true or false",
        JsonType::Integer => "an integer",
        JsonType::Number => "a number",
        JsonType::String => "a string",
        JsonType::Array => "an array",
        JsonType::Object => "an object",
    }
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(MOST_NAMES).map(|name| format!("{:?}", cut(name))).collect();
    let more = names.len().saturating_sub(MOST_NAMES);
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}{rest}", shown.join(", "))
}

/// Returns a value as JSON, shortened.
fn short(value: &Value) -> String {
    match value {
        Value::String(text) if text.len() > 8 * LONGEST_VALUE => {
            let start: String = text.chars().take(LONGEST_VALUE).collect();
            cut(&Value::String(start + "…").to_string())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => {
            cut(&value.to_string())
        }
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(LONGEST_VALUE) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
