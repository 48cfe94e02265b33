//! Checks that the program sends to a terminal only what the list below allows.
//!
//! The list contains text in UTF-8, line feed, carriage return, and the escape sequences that the program itself needs.
//! Some of these sequences set the colours of the progress and of the help: reset, bold, dim, underline, and five
//! colours. The other sequences redraw the progress lines in place: they erase the text after the cursor, move the
//! cursor up a line, and turn line wrapping off and on. No string that the tests give to the program contains a
//! complete escape sequence from this list. If the output contains a whole sequence of the list, the program itself
//! made this sequence.

/// The beginning of a forged line. If a line of the output begins with this text, the line comes from a string that a
/// test gave to the program.
pub const FORGED: &str = "FORGED";

/// The escape sequences that the program uses, without the escape character.
const OWN: &[&str] = &["[0m", "[1m", "[2m", "[4m", "[31m", "[32m", "[33m", "[35m", "[36m", "[J", "[1A", "[?7l", "[?7h"];

/// Returns the first sequence that a terminal would obey and that the program does not use; `None` if there is no such
/// sequence. A line with a forged beginning is a fault too. If the program breaks lines itself (`breaks_lines`), a line
/// with a forged beginning is allowed.
pub fn fault(bytes: &[u8], breaks_lines: bool) -> Option<String> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        let at = bytes.utf8_chunks().map(|chunk| chunk.valid().len()).next().unwrap_or_default();
        return Some(format!("bytes that are not UTF-8: {}", around(bytes, at)));
    };
    let mut rest = text;
    let mut line_begins = true;
    while let Some(char) = rest.chars().next() {
        let at = text.len() - rest.len();
        if line_begins && !breaks_lines && rest.starts_with(FORGED) {
            return Some(format!("a forged line: {}", around(bytes, at)));
        }
        let own = OWN.iter().find(|own| char == '\u{1b}' && rest[1..].starts_with(**own));
        match (char, own) {
            (_, Some(own)) => {
                rest = &rest[1 + own.len()..];
                continue;
            }
            ('\n' | '\r', _) => line_begins = true,
            (char, _) if is_obeyed(char) => return Some(format!("{char:?}: {}", around(bytes, at))),
            _ => line_begins = false,
        }
        rest = &rest[char.len_utf8()..];
    }
    None
}

/// Returns whether a terminal treats the character in a special way instead of showing it. The result is true for
/// control characters, invisible characters, and characters that break lines or change the direction of text. This
/// function uses the tables of Unicode, not the list of the program.
fn is_obeyed(char: char) -> bool {
    let code = u32::from(char);
    let is_between = |ranges: &[(u32, u32)]| ranges.iter().any(|(first, last)| (*first..=*last).contains(&code));
    let controls = is_between(&[(0, 0x1f), (0x7f, 0x9f)]);
    let separators = is_between(&[(0x2028, 0x2029)]);
    let bidi_controls = is_between(&[(0x61c, 0x61c), (0x200e, 0x200f), (0x202a, 0x202e), (0x2066, 0x2069)]);
    let hidden = is_between(&[(0xad, 0xad), (0x200b, 0x200b), (0x2060, 0x2064), (0xfeff, 0xfeff), (0xfff9, 0xfffb)]);
    let deprecated = is_between(&[(0x180e, 0x180e), (0x206a, 0x206f), (0xe0000, 0xe007f)]);
    controls || separators || bidi_controls || hidden || deprecated
}

fn around(bytes: &[u8], at: usize) -> String {
    let from = at.saturating_sub(60);
    let until = bytes.len().min(at + 60);
    bytes[from..until].escape_ascii().to_string()
}
