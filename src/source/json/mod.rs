//! Reads the members of one JSON object as raw text, in order, and checks them once.
//!
//! Values are cut out but not interpreted: they are sent to the API byte for byte. This module also finds valid JSON
//! that can't be used. Such JSON is nested too deep for parsers, has escapes of half a character, or uses a name twice.
//! `serde_json::Value` can't be used here, because it loses the order of members, the spelling of texts and numbers,
//! and repeated names.

mod check;
mod object;

use serde::Deserializer as _;
use serde_json::value::RawValue;

use self::check::{after_end_fault, check_text, syntax_fault};
use self::object::MembersVisitor;
use super::raw::Fault;
use crate::domain::Params;

pub(super) use self::check::{check_depth, refuse_repeats};
pub(super) use self::object::{Member, Nested, Object, ParamsMember};
pub(super) use crate::domain::json::{kind, raw_value, string_value};

/// Reads one value of any kind, which must be the whole text.
pub(super) fn read_value(text: &str) -> Result<&RawValue, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let value = serde::Deserialize::deserialize(&mut json).map_err(|error| syntax_fault(text, &error))?;
    json.end().map_err(|error| after_end_fault(text, &error))?;
    let _ = check_text(text)?;
    Ok(value)
}

/// Reads the members of a value that was already checked as part of a line; `None` if this value is not an object.
pub(super) fn members(value: &RawValue) -> Option<Vec<Member<'_>>> {
    let mut members = Vec::new();
    let mut json = serde_json::Deserializer::from_str(value.get());
    json.deserialize_map(MembersVisitor { members: &mut members }).ok()?;
    Some(members)
}

/// Reads a JSON string, which must be the whole text.
pub(super) fn read_string(text: &str) -> Result<String, Fault> {
    let mut json = serde_json::Deserializer::from_str(text);
    let string: String = serde::Deserialize::deserialize(&mut json).map_err(|error| syntax_fault(text, &error))?;
    json.end().map_err(|error| after_end_fault(text, &error))?;
    Ok(string)
}

/// Returns a string value, unescaped; `None` if the value is not a string.
pub(super) fn as_string(value: &RawValue) -> Option<String> {
    value.get().starts_with('"').then(|| serde_json::from_str(value.get()).ok()).flatten()
}

/// Copies members into owned parameters.
pub(super) fn owned(members: Vec<Member<'_>>) -> Params {
    Params(members.into_iter().map(|(name, value)| (name.into(), value.to_owned())).collect())
}

/// Returns where `part` begins in `line`, counted in bytes from 0; `part` is a slice of `line`.
pub(super) fn place_in(line: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(line.as_ptr() as usize).min(line.len())
}

#[cfg(test)]
mod tests {
    use super::check::MAX_DEPTH;
    use super::*;

    #[test]
    fn members_come_in_order_and_byte_for_byte() {
        let text = r#" {"b": 1.50 ,"params":{"x":[1, 2],"\u0061":"\u00e9"},"a":123456789012345678901234567890} "#;

        let object = read(text).expect("valid");

        let seen: Vec<(&str, &str)> = object.members.iter().map(|(name, value)| (&**name, value.get())).collect();
        assert_eq!(seen, [("b", "1.50"), ("a", "123456789012345678901234567890")]);
        let Some(Nested::Object(params)) = object.params else { panic!("params is an object") };
        assert_eq!((&*params[0].0, params[0].1.get()), ("x", "[1, 2]"));
        assert_eq!((&*params[1].0, params[1].1.get()), ("a", r#""\u00e9""#));
    }

    #[test]
    fn faults_name_the_column() {
        let cases = [
            (r#"{"prompt": NaN}"#, 12, "NaN and Infinity"),
            (r#"{"prompt": -Infinity}"#, 13, "is not JSON"),
            (r#"{"prompt": 'x'}"#, 12, "Python"),
            (r#"{"prompt": "x""#, 14, "ends too early"),
            (r#"{"prompt": "x"} {"prompt":"y"}"#, 17, "second value"),
            (r#"{"prompt": "x"},"#, 16, "comma"),
            (r#"{"prompt": "a\ud800b"}"#, 14, r"\ud800"),
            (r#"{"prompt": "a\udc00\ud800"}"#, 14, r"\udc00"),
            ("{\"prompt\": \"a\0b\"}", 14, "control character"),
        ];

        for (text, column, message) in cases {
            let fault = read(text).expect_err(text);

            assert!(fault.message.contains(message), "{text}: {}", fault.message);
            assert_eq!(fault.column, Some(column), "{text}: {}", fault.message);
        }
    }

    #[test]
    fn whole_surrogate_pairs_and_escaped_backslashes_pass() {
        for text in [r#"{"p":"\ud83d\ude00"}"#, r#"{"p":"\\ud800"}"#, r#"{"p":"\\\\ud800 \u0000"}"#] {
            assert!(read(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn nesting_is_bounded_without_using_the_stack() {
        let nested = |depth: usize| format!("{{\"p\":{}{}}}", "[".repeat(depth), "]".repeat(depth));

        assert!(read(&nested(MAX_DEPTH - 1)).is_ok());
        assert_eq!(read(&nested(MAX_DEPTH)).expect_err("too deep").column, Some(MAX_DEPTH as u64 + 5));
        assert!(read(&nested(100_000)).is_err());
        assert!(read(&format!("{{\"p\":{}", "[".repeat(100_000))).is_err());
        assert!(read(&format!("{{\"params\":{}", "{\"a\":".repeat(100_000))).is_err());
        assert!(read(&format!("{{\"p\":\"{}\"}}", "[".repeat(100_000))).is_ok());
    }

    #[test]
    fn a_repeated_name_is_refused_and_the_message_names_it() {
        let many: String = (0..50).map(|n| format!("\"n{n}\":0,")).collect();

        assert!(read(r#"{"a":1,"\u0061":2}"#).expect_err("twice").message.contains("name a twice"));
        assert!(read(r#"{"params":{},"params":{}}"#).expect_err("twice").message.contains("params twice"));
        assert!(read(r#"{"params":{"b":1,"b":1}}"#).expect_err("twice").message.contains("in params"));
        assert!(read(&format!("{{{many}\"n7\":0}}")).expect_err("twice").message.contains("name n7 twice"));
    }

    #[test]
    fn the_number_of_members_is_bounded() {
        let members = |count: usize| (0..count).map(|n| format!("\"n{n}\":0")).collect::<Vec<_>>().join(",");

        assert!(read(&format!("{{{}}}", members(10_000))).is_ok());
        let row = read(&format!("{{{}}}", members(10_000 + 1))).expect_err("too many");
        let params = read(&format!("{{\"params\":{{{}}}}}", members(10_000 + 1))).expect_err("too many");
        assert_eq!(row.message, "has more than 10000 names in one object");
        assert_eq!(row.message, params.message);
    }

    #[test]
    fn members_read_before_a_fault_are_kept() {
        let mut object = Object::default();

        let fault = object.read(r#"{"custom_id":"a","prompt":}"#, ParamsMember::Open);

        assert!(fault.is_err());
        assert_eq!(object.get("custom_id").map(RawValue::get), Some("\"a\""));
    }

    fn read(text: &str) -> Result<Object<'_>, Fault> {
        let mut object = Object::default();
        object.read(text, ParamsMember::Open).map(|()| object)
    }
}
