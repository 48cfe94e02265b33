//! Finds the tokens of JSON text quickly, by comparing sixteen bytes at a time.
//!
//! The functions of this module take a text and a position as arguments. The position is passed by value, so the
//! compiler can keep it in a register. Other modules use [`super::Cursor`] instead.

use std::ops::Range;

use wide::u8x16;

/// Skips the blanks that begin at `at`, and returns the position after them.
pub(super) fn blanks_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\r' | b'\n') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Returns the position after the string that begins at `at`; `None` when no string begins there.
pub(crate) fn string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = (*bytes.get(at)? == b'"').then_some(at + 1)?;
    loop {
        at = special(bytes, at)?;
        match bytes[at] {
            b'"' => return Some(at + 1),
            b'\\' => at = escape_end(bytes, at + 1)?,
            _ => return None,
        }
    }
}

/// A string begins at `at`. Returns the range of the text between its quotes; `None` when the string has escapes.
pub(super) fn plain_text(bytes: &[u8], at: usize) -> Option<Range<usize>> {
    let start = (*bytes.get(at)? == b'"').then_some(at + 1)?;
    special(bytes, start).filter(|&end| bytes[end] == b'"').map(|end| start..end)
}

/// Returns the position after an escape; `at` is the position after the backslash.
fn escape_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => bytes.get(at + 1..at + 5)?.iter().all(u8::is_ascii_hexdigit).then_some(at + 5),
        _ => None,
    }
}

/// Returns the position after the number that begins at `at`; `None` when no number begins there.
pub(super) fn number_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    at += usize::from(*bytes.get(at)? == b'-');
    at = match bytes.get(at)? {
        b'0' => at + 1,
        _ => digits_end(bytes, at)?,
    };
    if bytes.get(at) == Some(&b'.') {
        at = digits_end(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1 + usize::from(matches!(bytes.get(at + 1), Some(b'+' | b'-')));
        at = digits_end(bytes, at)?;
    }
    Some(at)
}

/// Returns the position after the digits at `at`; `None` when there is no digit.
fn digits_end(bytes: &[u8], at: usize) -> Option<usize> {
    let count = bytes.get(at..)?.iter().take_while(|byte| byte.is_ascii_digit()).count();
    (count > 0).then_some(at + count)
}

/// Returns the position after the word `true`, `false` or `null` that begins at `at`; `None` when no such word begins
/// there.
pub(super) fn word_end(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = bytes.get(at..)?;
    let words: [&[u8]; 3] = [b"true", b"false", b"null"];
    words.into_iter().find(|word| rest.starts_with(word)).map(|word| at + word.len())
}

/// The size of a piece: the number of bytes that processors compare in one step.
const PIECE: usize = 16;

/// Returns the position of the first quote, backslash or control character from `at` on.
#[inline]
pub(crate) fn special(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let rest = bytes.get(at..)?;
        let Some(piece) = rest.first_chunk() else {
            let more = first_special(&padded(rest));
            return (more < PIECE).then_some(at + more);
        };
        match first_special(piece) {
            PIECE => at += PIECE,
            more => return Some(at + more),
        }
        // Most strings end within sixteen bytes. The rest of a long string is searched 64 bytes at a time, which is
        // faster.
        while let Some(four) = bytes.get(at..)?.first_chunk() {
            match special_of_four(four) {
                0 => at += 4 * PIECE,
                marks => return Some(at + marks.trailing_zeros() as usize),
            }
        }
    }
}

/// Returns the position of the first special byte (quote, backslash or control character) in a piece. If the piece has
/// no special byte, returns the length of the piece.
#[inline]
fn first_special(piece: &[u8; PIECE]) -> usize {
    (special_of(piece) | (1 << PIECE)).trailing_zeros() as usize
}

/// Returns one bit per byte of a piece. The bit is 1 if the byte is a quote, a backslash or a control character.
#[inline]
fn special_of(piece: &[u8; PIECE]) -> u32 {
    let piece = u8x16::new(*piece);
    let is = |byte| piece.simd_eq(u8x16::splat(byte));
    let is_control = piece.min(u8x16::splat(b' ' - 1)).simd_eq(piece);
    (is(b'"') | is(b'\\') | is_control).to_bitmask()
}

/// Does the same as [`special_of`] for four pieces: returns one bit per byte.
#[inline]
fn special_of_four(four: &[u8; 4 * PIECE]) -> u64 {
    let (pieces, _) = four.as_chunks();
    pieces.iter().zip([0, 16, 32, 48]).fold(0, |marks, (piece, shift)| marks | (u64::from(special_of(piece)) << shift))
}

/// Returns the last bytes of a text as a piece of full length. The rest of the piece is filled with the letter `x`,
/// which is never searched for.
fn padded(rest: &[u8]) -> [u8; PIECE] {
    let mut piece = [b'x'; PIECE];
    piece[..rest.len()].copy_from_slice(rest);
    piece
}

/// Facts about the characters of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traits {
    /// Whether the text contains only ASCII.
    pub(crate) is_ascii: bool,
    /// Whether the text contains a line feed or a carriage return.
    pub(crate) has_line_breaks: bool,
    /// Whether the text contains a backslash.
    pub(crate) has_backslashes: bool,
}

impl Traits {
    /// Reads a whole text in one pass and returns the facts about its characters.
    pub(crate) fn of(text: &[u8]) -> Self {
        let (pieces, rest) = text.as_chunks();
        let last = padded(rest);
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

/// Returns whether a text contains at least one of three bytes. The three bytes must not include `x`, because `x` fills
/// the last piece of the text.
pub(crate) fn has_any(text: &[u8], bytes: [u8; 3]) -> bool {
    let (pieces, rest) = text.as_chunks();
    let [one, two, three] = bytes.map(u8x16::splat);
    let is_one = |piece: &[u8; PIECE]| {
        let piece = u8x16::new(*piece);
        piece.simd_eq(one) | piece.simd_eq(two) | piece.simd_eq(three)
    };
    pieces.iter().fold(is_one(&padded(rest)), |found, piece| found | is_one(piece)).to_bitmask() != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_special(byte: u8) -> bool {
        byte < b' ' || byte == b'"' || byte == b'\\'
    }

    #[test]
    fn the_first_special_byte_is_found_at_every_position() {
        for length in 0..150 {
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
    fn traits_are_seen_at_every_position() {
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
    fn any_of_three_bytes_is_found_at_every_position() {
        for length in 0..50 {
            assert!(!has_any(&b"a".repeat(length), [b'%', b'&', b'\\']));
            for (at, byte) in (0..length).flat_map(|at| [b'%', b'&', b'\\'].map(|byte| (at, byte))) {
                let mut text = b"a".repeat(length);
                text[at] = byte;

                assert!(has_any(&text, [b'%', b'&', b'\\']), "{length} {at}");
            }
        }
    }
}
