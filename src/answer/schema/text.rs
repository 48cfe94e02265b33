//! Reads the text of a schema: its members in their order, without white space.

use serde_json::value::RawValue;

use super::error::{SchemaError, shown_place};
use super::keywords::escaped;
use crate::domain::json::{first_byte, string_end};
use crate::domain::{Params, quoted};

/// Returns JSON without the white space between its tokens. All other bytes stay the same.
pub(super) fn compact(json: &str) -> String {
    let mut out = Vec::with_capacity(json.len());
    let mut rest = json.as_bytes();
    while let Some(&byte) = rest.first() {
        let length = if byte == b'"' { string_end(rest, 0).unwrap_or(rest.len()) } else { 1 };
        if !byte.is_ascii_whitespace() {
            out.extend_from_slice(&rest[..length]);
        }
        rest = &rest[length..];
    }
    String::from_utf8(out).expect("white space is removed only between characters")
}

/// Returns the members of an object in their order. If the value is not an object, returns no members.
pub(super) fn members(json: &str) -> Params {
    Params::of_object(json).unwrap_or_default()
}

/// Returns the elements of an array. For any other value, returns an empty list.
pub(super) fn elements(json: &str) -> Vec<&str> {
    let elements: Vec<&RawValue> = serde_json::from_str(json).unwrap_or_default();
    elements.into_iter().map(RawValue::get).collect()
}

/// Checks that no object has two members with the same name. Most parsers keep only one of two members with the same
/// name: some keep the first, others keep the last.
pub(super) fn check_names(json: &str, pointer: &str) -> Result<(), SchemaError> {
    match first_byte(json.as_bytes()) {
        Some(b'{') => {
            let mut seen = std::collections::HashSet::new();
            for (name, value) in &members(json).0 {
                if !seen.insert(&**name) {
                    return Err(SchemaError::Repeated { place: shown_place(pointer), name: quoted(name) });
                }
                check_names(value.get(), &format!("{pointer}/{}", escaped(name)))?;
            }
            Ok(())
        }
        Some(b'[') => {
            let mut all = elements(json).into_iter().enumerate();
            all.try_for_each(|(at, element)| check_names(element, &format!("{pointer}/{at}")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_white_space_between_tokens_is_removed() {
        assert_eq!(compact("{ \"a b\\\" c\" :\n [ 1.50 , \"é \" ] }"), "{\"a b\\\" c\":[1.50,\"é \"]}");
    }
}
