//! Reads and writes JSON objects. The order of the members and the spelling of the values are kept. The code that folds
//! (joins) the events of a stream uses this module.

use serde_json::value::RawValue;

use crate::domain::Params;
use crate::domain::json::{write_json_str, write_on_one_line};

/// The maximum number of members of an object. Real objects of a stream have fewer than a hundred members. An object
/// with far more members must be an attack: look-ups would become slow, because a look-up compares all names.
pub(super) const MOST_MEMBERS: usize = 256;

/// Reads a JSON object without parsing the values of its members.
///
/// # Errors
/// Returns an error if the text is not an object, or if the object has more than 256 members. It is also an error if
/// two members have the same name, because some JSON readers use the first member and others use the last.
pub(super) fn parse(json: &str) -> Result<Params, serde_json::Error> {
    Params::of_object_if(json, |members, name| match () {
        () if members.0.len() == MOST_MEMBERS => Err("an object of a stream has more than 256 members".to_owned()),
        () if members.get(name).is_some() => Err(format!("an object names {name:?} twice")),
        () => Ok(()),
    })
}

/// Returns the JSON text of an object.
pub(super) fn text(members: &Params) -> Vec<u8> {
    let mut out = Vec::new();
    members.write_object(&mut out);
    out
}

/// Writes an object as JSON. For each member, this function calls `real`. If `real` has written a different value,
/// `real` returns true. If `real` returns false, this function writes the member's own value.
pub(super) fn write(members: &Params, out: &mut Vec<u8>, mut real: impl FnMut(&str, &mut Vec<u8>) -> bool) {
    out.push(b'{');
    for (at, (name, value)) in members.0.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_json_str(name, out);
        out.push(b':');
        if !real(name, out) {
            write_on_one_line(value.get().as_bytes(), out);
        }
    }
    out.push(b'}');
}

/// Returns the text between the quotation marks of a JSON string, without decoding the escapes; `None` if the value is
/// not a string.
///
/// Escaped pieces of a string can be joined without decoding them, so the joined string is spelled as the server
/// spelled it. If the two halves of an escaped character came in different pieces, the joined string has the whole
/// character.
pub(super) fn inside_quotes(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// Returns JSON text as a raw value.
///
/// # Errors
/// Returns the parser's error if the text is not JSON.
pub(super) fn raw(json: String) -> Result<Box<RawValue>, serde_json::Error> {
    RawValue::from_string(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_spelling_are_kept() {
        let members = parse(r#" { "b" : 1.50 , "a" : [ 1, 2 ] } "#).expect("an object");

        assert_eq!(text(&members), br#"{"b":1.50,"a":[ 1, 2 ]}"#);
    }

    #[test]
    fn an_object_with_two_members_of_the_same_name_is_refused() {
        assert!(parse(r#"{"a":1,"\u0061":2}"#).is_err());
    }

    #[test]
    fn values_that_are_not_objects_are_refused() {
        for json in ["[]", "1", "{", "{} {}", ""] {
            assert!(parse(json).is_err(), "{json:?}");
        }
    }
}
