//! Writes JSON: strings, and values that must fit on one line.

use serde_json::value::RawValue;

use super::special;

/// Writes `text` as a JSON string with its quotes.
pub(crate) fn write_json_str(text: &str, out: &mut Vec<u8>) {
    if special(text.as_bytes(), 0).is_none() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    serde_json::to_writer(out, text).expect("a string can always be written to memory");
}

/// Appends JSON text and replaces each line break with a blank, so that the text fits on one line. The JSON value stays
/// the same, because JSON strings can't contain line breaks.
pub(crate) fn write_on_one_line(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(json);
    put_on_one_line(&mut out[start..]);
}

/// Replaces the line breaks of JSON text with blanks.
pub(crate) fn put_on_one_line(json: &mut [u8]) {
    // Every byte is written, even if it stays the same. So the loop has no branch, and the processor can handle many
    // bytes per step.
    json.iter_mut().for_each(|byte| *byte = if matches!(*byte, b'\n' | b'\r') { b' ' } else { *byte });
}

/// Returns text as a JSON string.
pub(crate) fn string_value(text: &str) -> Box<RawValue> {
    let mut json = Vec::with_capacity(text.len() + 2);
    write_json_str(text, &mut json);
    raw_value(String::from_utf8(json).expect("JSON of a string is UTF-8"))
}

/// Returns the caller's JSON text as a raw value.
pub(crate) fn raw_value(json: String) -> Box<RawValue> {
    RawValue::from_string(json).expect("the caller made valid JSON text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_the_parser_writes_them() {
        for odd in ["", "\"", "\\", "\n", "\u{1f}", "\u{7f}", "é\u{80}", "\u{1}\u{10ffff}"] {
            for before in 0..20 {
                let text = format!("{}{odd}{}", "x!".repeat(before), "y".repeat(20 - before));
                let mut out = Vec::new();

                write_json_str(&text, &mut out);

                assert_eq!(String::from_utf8(out).ok(), serde_json::to_string(&text).ok());
            }
        }
    }
}
