//! Reads raw JSON text with a cursor, writes JSON, and puts JSON on one line.
//!
//! The program uses only a small part of an answer or of a result line. The other parts only have to be valid JSON, so
//! the program checks them but does not parse them. [`Cursor`] is as strict as a parser and several times as fast. A
//! cursor accepts all JSON of RFC 8259, up to a depth of [`DEEPEST`]. If the cursor does not accept a text, the caller
//! passes the text to the parser, which makes the error message. Like the parser, the cursor does not check whether
//! skipped text is UTF-8.
//!
//! All code that reads raw bytes uses the cursor. Examples are the estimates of a row, the scan of a reply, and the
//! reading of result lines. The rows of the input are read by `serde_json`, which returns each value as a `RawValue`.
//! If the cursor read the rows, each value would have to be parsed a second time to become a `RawValue`.

mod cursor;
mod scan;
mod surrogate;
mod unescape;
mod write;

pub(crate) use self::cursor::{Cursor, DEEPEST};
pub(crate) use self::scan::{Traits, has_any, special, string_end};
pub(crate) use self::surrogate::lone_surrogate;
pub(crate) use self::unescape::unescaped;
pub(crate) use self::write::{put_on_one_line, raw_value, string_value, write_json_str, write_on_one_line};

/// Returns whether a text begins with a JSON value that is nested at most `deepest` levels. `deepest` is at most
/// [`DEEPEST`].
pub(crate) fn is_within_depth(json: &[u8], deepest: u32) -> bool {
    Cursor::new(json).skip_value(deepest).is_some()
}

/// Returns the kind of a value, with an article ("a number").
pub(crate) fn kind(json: &str) -> &'static str {
    match first_byte(json.as_bytes()) {
        Some(b'{') => "an object",
        Some(b'[') => "an array",
        Some(b'"') => "a string",
        Some(b't' | b'f') => "true or false",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Returns the first byte of a JSON value; `None` for blank text. This byte shows the type of the value.
pub(crate) fn first_byte(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Returns the text between the quotes of a JSON string, with escapes not decoded; `None` for any other value. The
/// caller must remove blanks around the value.
pub(crate) fn inside_quotes(json: &[u8]) -> Option<&[u8]> {
    json.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Returns whether a JSON value is an array with at least one element.
pub(crate) fn is_filled_array(json: &[u8]) -> bool {
    json.trim_ascii().strip_prefix(b"[").is_some_and(|rest| !rest.trim_ascii_start().starts_with(b"]"))
}
