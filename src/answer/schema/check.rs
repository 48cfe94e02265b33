//! Checks answers against the schema of the user, including the parts that the API ignores.

use jsonschema::error::ValidationErrorKind;
use jsonschema::paths::Location;
use jsonschema::{Keyword, PatternOptions, ValidationError, ValidationOptions, Validator};
use serde_json::{Map, Value, json};

use super::error::{SchemaError, shown_place};
use super::finding::{Finding, words};
use super::graph::Graph;
use crate::domain::{quoted, shortened};

/// The largest size of a compiled pattern, in bytes. Most patterns need a few thousand bytes, and patterns with Unicode
/// classes need a few hundred thousand bytes. A pattern like `(a{1000}){1000}` is too large.
const PATTERN_BYTES: usize = 2 << 20;

/// Two limits for matching a pattern with look-around or back-references: the highest number of steps, and the largest
/// size of the text in bytes. A single step of the match can read the whole text. Together, the two limits keep the
/// time of a match below a second.
const STEPS: usize = 10_000;
const LONGEST_LOOKED_AT: usize = 10_000;

/// The largest size, in bytes, of an answer whose violations are listed. If the schema has alternatives, a list of the
/// violations takes several hundred times as much memory as the answer.
const LONGEST_LISTED: usize = 256 << 10;

/// The highest number of times that the same part of an answer is checked. If a part could be checked more often, the
/// violations of the answer are not listed. This limit matters if a schema contains itself in several alternatives.
const MOST_REPEATS: u64 = 1_000;

/// The highest number of nested calls during a check. The number of calls is the depth of the answer, multiplied by the
/// length of the longest chain of subschemas for one value. In a build without optimization, 1,500 calls take about a
/// megabyte of the stack.
const MOST_CALLS: u64 = 1_500;

/// A compiled schema.
#[derive(Debug)]
pub(super) struct Checker {
    validator: Validator,
    /// See [`Graph::repeats`].
    repeats: u32,
    /// The highest number of levels of nesting in an answer.
    deepest: u64,
}

impl Checker {
    /// Compiles a schema. No other document is fetched.
    pub(super) fn new(schema: &Value, graph: &Graph) -> Result<Self, SchemaError> {
        let options = options(PatternOptions::regex().size_limit(PATTERN_BYTES)).with_keyword("pattern", pattern);
        let validator = options.build(schema).map_err(|error| refused(schema, &error))?;
        Ok(Self { validator, repeats: graph.repeats(), deepest: MOST_CALLS / graph.depth })
    }

    /// Checks an answer.
    pub(super) fn check(&self, json: &str) -> Result<(), Finding> {
        let answer: Value = serde_json::from_str(json).map_err(|error| Finding::not_json(&error))?;
        let depth = depth(&answer);
        if u64::from(depth) > self.deepest {
            return Err(Finding::too_deep(self.deepest, ""));
        }
        if self.validator.is_valid(&answer) {
            return Ok(());
        }
        if json.len() > LONGEST_LISTED {
            return Err(Finding::unlisted(&format!("it has {} bytes", json.len())));
        }
        if u64::from(self.repeats).saturating_pow(depth) > MOST_REPEATS {
            return Err(Finding::unlisted(
                "the answer is deeply nested, and the schema refers to itself in several alternatives",
            ));
        }
        Err(Finding::list(self.validator.iter_errors(&answer)))
    }
}

/// Returns the options of all validators: formats are checked, and no other document is fetched.
fn options<E>(patterns: PatternOptions<E>) -> ValidationOptions<'static> {
    jsonschema::options().offline().should_validate_formats(true).with_pattern_options(patterns)
}

/// Returns the number of levels of nesting in a value; 0 for a value without parts.
fn depth(value: &Value) -> u32 {
    match value {
        Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or_default(),
        Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or_default(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

/// A pattern that is matched in limited time.
struct Pattern {
    matcher: Validator,
    /// Whether the pattern has look-around or back-references.
    looks: bool,
    pattern: String,
}

impl Pattern {
    fn is_too_long(&self, value: &Value) -> bool {
        self.looks && value.as_str().is_some_and(|text| text.len() > LONGEST_LOOKED_AT)
    }
}

impl<'i> Keyword<'i> for Pattern {
    fn validate(&self, value: &'i Value) -> Result<(), ValidationError<'i>> {
        if self.is_valid(value) {
            return Ok(());
        }
        Err(ValidationError::custom(match self.is_too_long(value) {
            true => {
                format!("is longer than {LONGEST_LOOKED_AT} bytes, the limit for patterns with lookahead or lookbehind")
            }
            false => format!("does not match the pattern {}", shortened(&self.pattern)),
        }))
    }

    fn is_valid(&self, value: &'i Value) -> bool {
        !self.is_too_long(value) && self.matcher.is_valid(value)
    }
}

/// Compiles a pattern. Most patterns are matched in linear time. A pattern with look-around or back-references can take
/// much longer, so the number of its steps and the length of the text are limited.
fn pattern<'a>(
    _: &'a Map<String, Value>,
    value: &'a Value,
    place: Location,
) -> Result<Box<dyn for<'i> Keyword<'i>>, ValidationError<'a>> {
    let Some(pattern) = value.as_str() else { return Err(ValidationError::custom(place.as_str())) };
    let schema = json!({ "pattern": pattern });
    let linear = options(PatternOptions::regex().size_limit(PATTERN_BYTES)).build(&schema);
    let looking = || PatternOptions::fancy_regex().size_limit(PATTERN_BYTES).backtrack_limit(STEPS);
    let looks = linear.is_err();
    let matcher = linear.or_else(|_| options(looking()).build(&schema));
    let matcher = matcher.map_err(|_| ValidationError::custom(place.as_str()))?;
    Ok(Box::new(Pattern { matcher, looks, pattern: pattern.to_owned() }))
}

/// Returns the error that says why a schema can't be compiled.
fn refused(schema: &Value, error: &ValidationError<'_>) -> SchemaError {
    let place = || shown_place(error.instance_path().as_str());
    match error.kind() {
        // If a pattern can't be compiled, the message is the pattern's JSON pointer.
        ValidationErrorKind::Custom { message, .. } => {
            let pattern = schema.pointer(message).and_then(Value::as_str).unwrap_or_default();
            SchemaError::Pattern { place: shown_place(message), pattern: quoted(pattern) }
        }
        ValidationErrorKind::Format { format } if format == "regex" => SchemaError::PatternProperty { place: place() },
        ValidationErrorKind::Referencing(_) => match schema.get("$schema").and_then(Value::as_str) {
            Some(dialect) if error.to_string().contains("meta-schema") => {
                SchemaError::Dialect { dialect: quoted(dialect) }
            }
            Some(_) | None => {
                SchemaError::NotASchema { place: place(), words: shortened(&error.to_string()).into_owned() }
            }
        },
        _ => SchemaError::NotASchema { place: place(), words: words(error) },
    }
}
