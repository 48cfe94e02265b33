//! Raw JSON text: read with one cursor, written, and kept on one line.
//!
//! Most of an answer, and of a line of results, is never used here: it only has to be valid JSON. So it is checked but
//! not parsed. [`Cursor`] is as strict as a parser and several times as fast. It accepts what RFC 8259 accepts, up to a
//! depth of [`DEEPEST`]. Callers give everything else to the parser, which also makes the error message. Like the
//! parser, the cursor does not check whether skipped text is UTF-8.
//!
//! All code that reads raw bytes uses it: the estimates of a row, the scan of a reply, and the reading of result lines
//! at resume. Rows themselves are read by `serde_json`, which returns each value as a `RawValue`. If the cursor cut a
//! value out, the value would have to be parsed again to become a `RawValue`.

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

/// Returns the first byte of a JSON value, which tells what it is; `None` for blank text.
pub(crate) fn first_byte(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// Returns what stands between the quotes of a JSON string, still escaped; `None` for any other value. There must be no
/// blanks around it.
pub(crate) fn inside_quotes(json: &[u8]) -> Option<&[u8]> {
    json.strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// Returns whether a JSON value is an array with something in it.
pub(crate) fn is_filled_array(json: &[u8]) -> bool {
    json.trim_ascii().strip_prefix(b"[").is_some_and(|rest| !rest.trim_ascii_start().starts_with(b"]"))
}
