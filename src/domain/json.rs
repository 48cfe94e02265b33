//! JSON text that is passed on as it came: written, kept on one line, and stepped over without reading it.
//!
//! Stepping over is as strict as a parser and several times as fast. Most of an answer, and of a line of results, is
//! wanted for nothing but that it is whole. What is accepted is what RFC 8259 accepts, up to a depth that answers never
//! reach; what is not accepted is left to the parser. Like the parser, it does not look at whether what it steps over is
//! UTF-8.

use std::ops::Range;

use wide::u8x16;

/// Writes `text` as a JSON string with its quotes.
pub fn write_json_str(text: &str, out: &mut Vec<u8>) {
    if special(text.as_bytes(), 0).is_none() {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        return out.push(b'"');
    }
    serde_json::to_writer(out, text).expect("a string can always be written to memory");
}

/// Appends JSON text with its line breaks as blanks, so that it fits on one line; its value stays the same.
pub fn write_on_one_line(json: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(json);
    put_on_one_line(&mut out[start..]);
}

/// Makes blanks of the line breaks of JSON text.
pub fn put_on_one_line(json: &mut [u8]) {
    // Every byte is written, changed or not: without a branch the compiler takes many at a time.
    json.iter_mut().for_each(|byte| *byte = if matches!(*byte, b'\n' | b'\r') { b' ' } else { *byte });
}

/// Returns where valid JSON escapes half of a character without its other half.
///
/// Such text is JSON by the letter, but the API and most readers refuse it.
pub fn lone_surrogate(text: &str) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text.get(at..)?.find('\\') {
        let escape = at + found;
        at = match unit_at(text, escape) {
            Some(0xd800..=0xdbff) => match unit_at(text, escape + 6) {
                Some(0xdc00..=0xdfff) => escape + 12,
                _ => return Some(escape),
            },
            Some(0xdc00..=0xdfff) => return Some(escape),
            Some(_) => escape + 6,
            None => escape + 2,
        };
    }
    None
}

/// Returns the UTF-16 unit that `\uXXXX` at `at` stands for.
fn unit_at(text: &str, at: usize) -> Option<u16> {
    u16::from_str_radix(text.get(at..at + 6)?.strip_prefix("\\u")?, 16).ok()
}

/// Deepest nesting that is followed.
pub const DEEPEST: u32 = 127;

/// Returns the position behind the JSON value that begins at `at`, after blanks; `None` when there is none, or when it is
/// nested deeper than `deepest`, at most [`DEEPEST`].
pub fn value(bytes: &[u8], mut at: usize, deepest: u32) -> Option<usize> {
    // One bit for each open bracket: 1 for an object.
    let (mut open, mut depth) = (0_u128, 0);
    loop {
        at = blanks(bytes, at);
        let is_opened = match bytes.get(at)? {
            b'"' => {
                at = text(bytes, at)?;
                false
            }
            bracket @ (b'{' | b'[') if depth < deepest.min(DEEPEST) => {
                open = (open << 1) | u128::from(*bracket == b'{');
                depth += 1;
                at = blanks(bytes, at + 1);
                true
            }
            b'-' | b'0'..=b'9' => {
                at = number(bytes, at)?;
                false
            }
            _ => {
                at = word(bytes, at)?;
                false
            }
        };
        let is_empty = is_opened && closes(*bytes.get(at)?, open);
        if is_opened && !is_empty {
            at = if is_object(open) { name(bytes, at)? } else { at };
            continue;
        }
        // Behind a value, or before the end of an empty bracket.
        loop {
            if depth == 0 {
                return Some(at);
            }
            at = blanks(bytes, at);
            match *bytes.get(at)? {
                byte if closes(byte, open) => {
                    open >>= 1;
                    depth -= 1;
                    at += 1;
                }
                b',' if is_object(open) => {
                    at = name(bytes, blanks(bytes, at + 1))?;
                    break;
                }
                b',' => {
                    at += 1;
                    break;
                }
                _ => return None,
            }
        }
    }
}

fn is_object(open: u128) -> bool {
    open & 1 == 1
}

fn closes(byte: u8, open: u128) -> bool {
    byte == if is_object(open) { b'}' } else { b']' }
}

/// Returns the position behind a member's name and its colon.
fn name(bytes: &[u8], at: usize) -> Option<usize> {
    let at = blanks(bytes, text(bytes, at)?);
    (*bytes.get(at)? == b':').then_some(at + 1)
}

/// Returns the position behind blanks.
pub fn blanks(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Returns the position behind the string that begins at `at`.
pub fn text(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = (*bytes.get(at)? == b'"').then_some(at + 1)?;
    loop {
        at = special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            b'\\' => at = escape(bytes, at + 1)?,
            _ => return None,
        }
    }
}

/// Returns where the text of the string stands that begins at `at`; `None` when it has escapes in it.
pub fn plain_text(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = (*bytes.get(at)? == b'"').then_some(at + 1)?;
    special(bytes, start).filter(|&end| bytes[end] == b'"').map(|end| start..end)
}

fn escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => bytes.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 5),
        _ => None,
    }
}

/// Returns the position of the first quote, backslash or control character from `at` on.
pub fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let Some(piece) = rest.first_chunk() else {
            let mut last = [b'x'; PIECE];
            last[..rest.len()].copy_from_slice(rest);
            let more = first_special(&last);
            return (more < PIECE).then_some(at + more);
        };
        match first_special(piece) {
            PIECE => at += PIECE,
            more => return Some(at + more),
        }
    }
}

/// What some text has in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traits {
    /// Nothing but ASCII.
    pub is_ascii: bool,
    /// A line feed or carriage return.
    pub has_line_breaks: bool,
    /// A backslash.
    pub has_backslashes: bool,
}

impl Traits {
    /// Looks at all of a text, in one pass.
    pub fn of(text: &[u8]) -> Self {
        let (pieces, rest) = text.as_chunks();
        let mut last = [b'x'; PIECE];
        last[..rest.len()].copy_from_slice(rest);
        let none = u8x16::splat(0);
        let (mut bits, mut breaks, mut backslashes) = (none, none, none);
        for piece in pieces.iter().chain([&last]) {
            let piece = u8x16::new(*piece);
            let is = |byte| piece.simd_eq(u8x16::splat(byte));
            bits |= piece;
            breaks |= is(b'\n') | is(b'\r');
            backslashes |= is(b'\\');
        }
        let has = |bytes: u8x16| bytes.simd_eq(none).to_bitmask() != (1 << PIECE) - 1;
        Self {
            is_ascii: !has(bits & u8x16::splat(0x80)),
            has_line_breaks: has(breaks),
            has_backslashes: has(backslashes),
        }
    }
}

/// Returns whether any of three bytes, none of them `x`, stands in a text.
pub fn has_any(text: &[u8], bytes: [u8; 3]) -> bool {
    let (pieces, rest) = text.as_chunks();
    let mut last = [b'x'; PIECE];
    last[..rest.len()].copy_from_slice(rest);
    let [one, two, three] = bytes.map(u8x16::splat);
    let is_one = |piece: &[u8; PIECE]| {
        let piece = u8x16::new(*piece);
        piece.simd_eq(one) | piece.simd_eq(two) | piece.simd_eq(three)
    };
    pieces.iter().fold(is_one(&last), |found, piece| found | is_one(piece)).to_bitmask() != 0
}

/// Bytes that processors compare at once.
const PIECE: usize = 16;

/// Returns the position of the first special byte in a piece, or the piece's length.
#[inline]
fn first_special(piece: &[u8; PIECE]) -> usize {
    let piece = u8x16::new(*piece);
    let is = |byte| piece.simd_eq(u8x16::splat(byte));
    let is_control = piece.min(u8x16::splat(b' ' - 1)).simd_eq(piece);
    let marks = (is(b'"') | is(b'\\') | is_control).to_bitmask();
    (marks | (1 << PIECE)).trailing_zeros() as usize
}

/// Returns the position behind the number that begins at `at`.
pub fn number(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(*bytes.get(at)? == b'-');
    at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits(bytes, at)?;
    }
    Some(at)
}

/// Returns the position behind one digit or more.
fn digits(bytes: &[u8], at: usize) -> Option<usize> {
    let count = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    words.into_iter().find(|word| rest.starts_with(word)).map(|word| at + word.len())
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    fn is_special(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }

    fn is_accepted(text: &[u8]) -> bool {
        value(text, 0, DEEPEST).is_some_and(|at| blanks(text, at) == text.len())
    }

    fn is_json(text: &[u8]) -> bool {
        serde_json::from_slice::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn strings_are_written_as_the_parser_writes_them() {
        for odd in ["", "\"", "\\", "\n", "\u{1f}", "\u{7f}", "é\u{80}", "\u{1}\u{10ffff}"] {
            for before in 0..20 {
                let text = format!("{}{odd}{}", "x!".repeat(before), "y".repeat(20 - before));
                let mut out = Vec::new();

                write_json_str(&text, &mut out);

                assert_eq!(String::from_utf8(out).ok(), serde_json::to_string(&text).ok());
                assert_eq!(special(text.as_bytes(), 0), text.bytes().position(is_special), "{text:?}");
            }
        }
    }

    #[test]
    fn it_accepts_what_the_parser_does_and_nothing_else() {
        let texts = [
            "",
            " ",
            "1",
            "-",
            "-0",
            "01",
            "0.",
            "0.5",
            "1.e3",
            "1e",
            "1e+9",
            "1E-09x",
            "+1",
            "true",
            "tru",
            "nulll",
            "{}",
            "{ }",
            "[]",
            "[ ]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1,2]",
            "{\"a\":1}",
            "{\"a\":}",
            "{\"a\" : [ {} , {\"b\":null}]}",
            "{\"a\":1,}",
            "{,}",
            "{1:2}",
            "{\"a\"}",
            "[}",
            "{]",
            "[[]",
            "[]]",
            "\"",
            "\"a",
            "\"a\"",
            "\"\\\"",
            "\"\\\"\"",
            "\"\\u12\"",
            "\"\\u12aF\"",
            "\"\\ud800\"",
            "\"\\x\"",
            "\"a\nb\"",
            "\"\u{7f}\u{80}\"",
            "\"a\0\"",
            "\t1\r\n",
            "a",
            "'a'",
            "\"0123456789012345678901234567890123456789\"",
            "\"0123456789012345678901234567\u{1}9\"",
            "1\"",
            "a\"b\"",
        ];
        for text in texts {
            assert_eq!(is_accepted(text.as_bytes()), is_json(text.as_bytes()), "{text:?}");
        }
        let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
        assert!(is_accepted(&deep(DEEPEST as usize)) && !is_accepted(&deep(DEEPEST as usize + 1)));
    }

    #[test]
    fn the_first_special_byte_is_found_wherever_it_stands() {
        for length in 0..90 {
            for byte in 0..=u8::MAX {
                let mut text = vec![b'!'; length];
                text.push(byte);
                text.extend_from_slice(b"]\x1f\"#\x80\xff");

                let expected = text.iter().position(|&byte| is_special(byte));

                assert_eq!(special(&text, 0), expected, "{length} {byte}");
            }
        }
        assert_eq!((special(b"", 0), special(b"abcdefghijk", 0), special(b"a", 5)), (None, None, None));
    }

    #[test]
    fn traits_are_seen_wherever_they_stand() {
        let plain = Traits { is_ascii: true, has_line_breaks: false, has_backslashes: false };
        for length in 0..70 {
            for at in 0..length {
                let with = |byte| {
                    let mut text = vec![b' '; length];
                    text[at] = byte;
                    Traits::of(&text)
                };

                assert_eq!([b'\t', 0x7f, b'"'].map(with), [plain; 3]);
                assert_eq!([b'\n', b'\r'].map(with), [Traits { has_line_breaks: true, ..plain }; 2]);
                assert_eq!(with(b'\\'), Traits { has_backslashes: true, ..plain });
                assert_eq!([0x80, 0xff].map(with), [Traits { is_ascii: false, ..plain }; 2]);
            }
        }
        assert_eq!(Traits::of(b""), plain);
    }

    #[test]
    fn any_of_three_bytes_is_found_wherever_it_stands() {
        for length in 0..50 {
            assert!(!has_any(&b"a".repeat(length), [b'%', b'&', b'\\']));
            for (at, byte) in (0..length).flat_map(|at| [b'%', b'&', b'\\'].map(|byte| (at, byte))) {
                let mut text = b"a".repeat(length);
                text[at] = byte;

                assert!(has_any(&text, [b'%', b'&', b'\\']), "{length} {at}");
            }
        }
    }

    #[test]
    fn it_judges_as_the_parser_does_whatever_is_changed() {
        const TOKENS: &[u8] = b"\"\\{}[]:,0123456789eE+-. \t\nutfbnlras\0\x1f\x7f\xff/";
        let whole = br#"{"id":"m","content":[{"type":"text","text":"a \"quoted\" line\nand \u65e5 more than thirty-two bytes of it"}],"n":[-1.5e+3,0,true,false,null,{}],"usage":{"in":12,"out":3}}"#;
        let mut random = fastrand::Rng::with_seed(9);
        let mut accepted = 0;
        for _ in 0..20_000 {
            let mut text = whole.to_vec();
            for _ in 0..random.usize(0..4) {
                if text.is_empty() {
                    break;
                }
                let at = random.usize(0..text.len());
                let token = TOKENS[random.usize(0..TOKENS.len())];
                match random.u8(0..4) {
                    0 => text[at] = token,
                    1 => text.insert(at, token),
                    2 => drop(text.remove(at)),
                    _ => text.truncate(at.max(1)),
                }
            }
            accepted += u64::from(is_json(&text));
            assert_eq!(is_accepted(&text), is_json(&text), "{:?}", String::from_utf8_lossy(&text));
        }
        assert!(accepted > 4_000, "{accepted}");
    }
}
