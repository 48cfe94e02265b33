//! Finds values in answers that are JSON.

use super::Value;
use super::line::{value, within};

/// Returns the JSON of an answer; `None` if the answer is not JSON. Models often put white space or code fences around
/// JSON. White space and fences around the whole answer are ignored.
pub(super) fn json_of(answer: &str) -> Option<&[u8]> {
    let json = unfenced(answer.trim()).as_bytes();
    serde_json::from_slice::<serde::de::IgnoredAny>(json).ok().map(|_| json)
}

/// Returns the value at a path in JSON. If the value is an array or an object, the returned value contains no white
/// space outside of strings.
pub(super) fn json_value<'a>(json: &'a [u8], path: &[String]) -> Value<'a> {
    match within(json, path).map_or(Value::Missing, value) {
        Value::Json(json) if json.starts_with(['{', '[']) => Value::Json(compact(&json).into()),
        value => value,
    }
}

/// Removes the white space of a JSON text, except inside strings.
fn compact(json: &str) -> String {
    let (mut is_in_string, mut is_escaped) = (false, false);
    let is_kept = |c: &char| {
        is_in_string ^= *c == '"' && !is_escaped;
        is_escaped = is_in_string && *c == '\\' && !is_escaped;
        is_in_string || !c.is_ascii_whitespace()
    };
    json.chars().filter(is_kept).collect()
}

/// Returns the content of the code block if the whole text is one code block.
fn unfenced(text: &str) -> &str {
    let Some(inside) = text.strip_prefix("```").and_then(|text| text.strip_suffix("```")) else { return text };
    let language = inside.get(..4).filter(|start| start.eq_ignore_ascii_case("json"));
    language.map_or(inside, |_| &inside[4..]).trim()
}
