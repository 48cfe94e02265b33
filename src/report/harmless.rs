//! Writes JSON that is safe on a terminal: control characters are written as `\uXXXX`, which does not change the
//! values.

use std::fmt::Write as _;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use super::text::is_steering;

/// Returns a value as JSON on one line.
///
/// # Errors
/// Returns an error if the value can't be written as JSON.
pub(crate) fn to_vec(value: &impl Serialize) -> serde_json::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(128);
    value.serialize(&mut Serializer::with_formatter(&mut bytes, Harmless))?;
    Ok(bytes)
}

/// A JSON formatter that escapes all control characters. JSON itself allows some control characters unescaped.
struct Harmless;

impl Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        if !fragment.chars().any(is_steering) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut shown = String::with_capacity(fragment.len() + 16);
        fragment.chars().for_each(|char| push(&mut shown, char));
        writer.write_all(shown.as_bytes())
    }
}

fn push(shown: &mut String, char: char) {
    if !is_steering(char) {
        shown.push(char);
        return;
    }
    for unit in char.encode_utf16(&mut [0; 2]) {
        // Writing to a string can't fail.
        let _ = write!(shown, "\\u{unit:04x}");
    }
}

/// A writer of JSON lines for a terminal.
///
/// Outside of strings, JSON allows only four blank characters. A tab or carriage return outside of a string becomes a
/// space. Bytes that are not valid UTF-8 become `\ufffd`.
pub(crate) struct OnTerminal<W> {
    writer: W,
    /// The first bytes of a UTF-8 character that is not complete yet.
    begun: Vec<u8>,
}

impl<W: Write> OnTerminal<W> {
    /// Returns a writer that passes the escaped lines to `writer`.
    pub(crate) fn new(writer: W) -> Self {
        Self { writer, begun: Vec::new() }
    }
}

impl<W: Write> Write for OnTerminal<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut whole = std::mem::take(&mut self.begun);
        whole.extend_from_slice(bytes);
        self.begun = whole.split_off(whole.len() - unfinished(&whole));
        self.writer.write_all(shown(&whole).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Returns how many bytes at the end belong to an incomplete UTF-8 character.
fn unfinished(bytes: &[u8]) -> usize {
    let needed = |lead: u8| match lead {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    };
    let last = bytes.iter().rev().take(3).zip(1..);
    last.filter(|(byte, length)| needed(**byte) > *length).map(|(_, length)| length).next().unwrap_or(0)
}

fn shown(bytes: &[u8]) -> String {
    let mut shown = String::with_capacity(bytes.len() + 16);
    for chunk in bytes.utf8_chunks() {
        for char in chunk.valid().chars() {
            match char {
                '\n' => shown.push(char),
                '\r' | '\t' => shown.push(' '),
                char => push(&mut shown, char),
            }
        }
        if !chunk.invalid().is_empty() {
            shown.push_str("\\ufffd");
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn control_characters_are_escaped_and_keep_their_value() {
        let text = "a\u{9b}2J\u{7f}\u{202e}\u{e0041}\n\u{1b} Grüße";

        let json = String::from_utf8(to_vec(&text).expect("it is text")).expect("it is UTF-8");

        assert_eq!(json, r#""a\u009b2J\u007f\u202e\udb40\udc41\n\u001b Grüße""#);
        assert_eq!(serde_json::from_str::<String>(&json).expect("it is JSON"), text);
    }

    #[test]
    fn lines_on_a_terminal_keep_their_breaks_and_values() {
        let line = "{\"a\":\t\"x\u{85}\u{200f}\"}\r\n";

        let shown = through(&[line.as_bytes()]);

        assert_eq!(shown, "{\"a\": \"x\\u0085\\u200f\"} \n");
    }

    #[test]
    fn bytes_that_are_not_valid_utf_8_are_replaced() {
        assert_eq!(through(&[b"\"\x9b\xff\x1b[2J\"\n"]), "\"\\ufffd\\ufffd\\u001b[2J\"\n");
    }

    proptest! {
        #[test]
        fn a_character_split_over_two_writes_stays_whole(text in "\\PC{0,20}", at in 0usize..60) {
            let (before, after) = text.as_bytes().split_at(at.min(text.len()));

            let expected = text.chars().filter(|char| !is_steering(*char)).collect::<String>();
            prop_assume!(expected == text);
            prop_assert_eq!(through(&[before, after]), text);
        }

        #[test]
        fn no_bytes_control_a_terminal(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let shown = through(&[&bytes]);

            prop_assert!(shown.chars().all(|char| char == '\n' || !is_steering(char)));
        }
    }

    fn through(writes: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut terminal = OnTerminal::new(&mut out);
        writes.iter().for_each(|bytes| terminal.write_all(bytes).expect("memory takes it"));
        String::from_utf8(out).expect("it is UTF-8")
    }
}
