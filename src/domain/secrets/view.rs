//! Views of a text. A view is the text with its escapes decoded. For each decoded byte, the view records the place of
//! the byte in the original text.

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hasher};
use std::ops::Range;

use crate::domain::json;

/// The number of views (decoded forms) of a text. To make a view, the text is decoded in zero to three steps, and each
/// step decodes one of the three kinds of escapes.
pub(super) const VIEWS: usize = 40;
/// The number of views (decoded forms) of a long text. Making all 40 views of a long text would take seconds. A server
/// does not hide a key in a megabyte of text by accident.
pub(super) const VIEWS_OF_LONG: usize = 4;
/// The size of a piece, in bytes. A view needs much memory, because it stores the source of each byte. So a longer text
/// is searched piece by piece.
const PIECE: usize = 16 * 1024;
/// The number of bytes by which two consecutive pieces overlap. Even if a part of a secret is escaped three times, the
/// part is shorter than this overlap.
const OVERLAP: usize = 4 * 1024;
/// The byte that replaces every decoded character that is not ASCII. No secret contains this byte.
const OTHER: u8 = 0xff;

/// The kinds of escapes. A text can be escaped several times, with the same kind of escapes or with different kinds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Escapes of JSON and of programming languages: `\u002b`, `\/`, `\x2b`.
    Backslash,
    /// Escapes of URLs: `%2B`.
    Percent,
    /// Escapes of HTML: `&#43;`.
    Entity,
}

/// A part of a text, in which some kinds of escapes were decoded.
pub(super) struct View {
    bytes: Vec<u8>,
    /// The source of each byte: the range of the original text that was decoded to this byte.
    sources: Vec<Range<usize>>,
}

impl View {
    /// Returns a view of a part of `text`. In this view, no escape is decoded. The source of each byte of an escape is
    /// the whole escape, so an escape is never cut in two.
    pub(super) fn of(text: &[u8], range: Range<usize>) -> Self {
        let mut sources = Vec::with_capacity(range.len());
        let mut at = range.start;
        while at < range.end {
            let (length, _) = Kind::Backslash.unit(&text[at..range.end]);
            sources.extend(std::iter::repeat_n(at..at + length, length));
            at += length;
        }
        Self { bytes: text[range].to_vec(), sources }
    }

    /// Returns an iterator that gives this view first, and then the decoded views. Each decoded view is made from an
    /// earlier view by decoding one kind of escapes. In this way, the three kinds of escapes are decoded in every
    /// possible order. The iterator returns at most `most` views.
    pub(super) fn all(self, most: usize) -> impl Iterator<Item = Self> {
        let mut waiting = VecDeque::from([self]);
        let mut known = HashSet::new();
        let mut left = most;
        std::iter::from_fn(move || {
            left = left.checked_sub(1)?;
            let view = waiting.pop_front()?;
            for kind in [Kind::Backslash, Kind::Percent, Kind::Entity] {
                if let Some(decoded) = view.decoded(kind).filter(|decoded| known.insert(hash(&decoded.bytes))) {
                    waiting.push_back(decoded);
                }
            }
            Some(view)
        })
    }

    /// Decodes one layer of escapes of one kind, and returns the new view; `None` if the view has no such escapes.
    fn decoded(&self, kind: Kind) -> Option<Self> {
        self.bytes.contains(&kind.first()).then_some(())?;
        let mut decoded = Self { bytes: Vec::with_capacity(self.bytes.len()), sources: Vec::new() };
        let mut at = 0;
        while at < self.bytes.len() {
            let (length, byte) = kind.unit(&self.bytes[at..]);
            decoded.bytes.push(byte);
            decoded.sources.push(self.source(at..at + length));
            at += length;
        }
        (decoded.bytes.len() < self.bytes.len()).then_some(decoded)
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the source of these bytes: the range of the original text that was decoded to these bytes of the view.
    pub(super) fn source(&self, bytes: Range<usize>) -> Range<usize> {
        self.sources[bytes.start].start..self.sources[bytes.end - 1].end
    }
}

/// Returns a 64-bit hash of a part of a text.
pub(super) fn hash(part: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(part);
    hasher.finish()
}

/// Returns whether a text has a character that can begin an escape.
pub(super) fn has_escapes(text: &[u8]) -> bool {
    json::has_any(text, [Kind::Backslash, Kind::Percent, Kind::Entity].map(Kind::first))
}

/// Splits a text into the pieces that are searched one by one. The pieces overlap, and no piece begins or ends within
/// an escape.
pub(super) fn pieces(text: &[u8]) -> Vec<Range<usize>> {
    let mut bounds = vec![0];
    let mut at = 0;
    while at < text.len() {
        at += Kind::Backslash.unit(&text[at..]).0;
        if at == text.len() || at >= bounds[bounds.len() - 1] + OVERLAP {
            bounds.push(at);
        }
    }
    let last = bounds.len() - 1;
    let starts = (0..last).step_by(PIECE / OVERLAP - 1);
    starts.map(|first| bounds[first]..bounds[(first + PIECE / OVERLAP).min(last)]).collect()
}

impl Kind {
    /// Returns the byte with which every escape of this kind begins.
    fn first(self) -> u8 {
        match self {
            Self::Backslash => b'\\',
            Self::Percent => b'%',
            Self::Entity => b'&',
        }
    }

    /// Returns the length of the escape with which `text` begins, and the byte that the escape encodes. If `text` does
    /// not begin with an escape, returns 1 and the first byte.
    fn unit(self, text: &[u8]) -> (usize, u8) {
        if text[0] != self.first() {
            return (1, text[0]);
        }
        let escape = match self {
            Self::Backslash => backslash(&text[1..]),
            Self::Percent => digits(&text[1..], 2).map(|byte| (2, byte)),
            Self::Entity => entity(&text[1..]),
        };
        escape.map_or((1, text[0]), |(length, byte)| (1 + length, byte))
    }
}

/// Reads an escape of JSON or of a programming language. The text begins after the backslash.
fn backslash(rest: &[u8]) -> Option<(usize, u8)> {
    Some(match *rest.first()? {
        b'u' if rest.get(1) == Some(&b'{') => {
            let length = rest.iter().take(9).position(|&byte| byte == b'}')?;
            (length + 1, digits(&rest[2..], length - 2)?)
        }
        b'u' => (5, digits(&rest[1..], 4)?),
        b'x' => (3, digits(&rest[1..], 2)?),
        b'b' => (1, 8),
        b't' => (1, b'\t'),
        b'n' => (1, b'\n'),
        b'f' => (1, 12),
        b'r' => (1, b'\r'),
        byte @ (b'"' | b'\\' | b'/' | b'\'') => (1, byte),
        _ => return None,
    })
}

/// Reads an HTML entity. `rest` is the text after the `&`.
fn entity(rest: &[u8]) -> Option<(usize, u8)> {
    let end = rest.iter().take(10).position(|&byte| byte == b';')?;
    let byte = match &rest[..end] {
        b"amp" => b'&',
        b"lt" => b'<',
        b"gt" => b'>',
        b"quot" => b'"',
        b"apos" => b'\'',
        [b'#', b'x' | b'X', hex @ ..] => digits(hex, hex.len())?,
        [b'#', decimal @ ..] => {
            let number: u32 = str::from_utf8(decimal).ok()?.parse().ok()?;
            u8::try_from(number).ok().filter(u8::is_ascii).unwrap_or(OTHER)
        }
        _ => return None,
    };
    Some((end + 1, byte))
}

/// Reads `count` hex digits as one character.
fn digits(text: &[u8], count: usize) -> Option<u8> {
    let digits = text.get(..count).filter(|digits| !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit))?;
    let number = u32::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    Some(u8::try_from(number).ok().filter(u8::is_ascii).unwrap_or(OTHER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(kind: Kind, text: &str) -> String {
        let view = View::of(text.as_bytes(), 0..text.len());
        let bytes = view.decoded(kind).map_or(view.bytes, |decoded| decoded.bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn escapes_of_all_kinds_are_decoded() {
        for (kind, text, expected) in [
            (Kind::Backslash, r"a\u002Bb\u002b\/\\\x2B\u{2b}\n", "a+b+/\\++\n"),
            (Kind::Percent, "%2B%2b%%41%zz%4", "++%A%zz%4"),
            (Kind::Entity, "&#43;&#x2b;&#X2B;&amp;&lt;&quot;&apos;&nbsp;&;&", "+++&<\"'&nbsp;&;&"),
            (Kind::Backslash, r"\u00e9\u12\q\", "\u{fffd}\\u12\\q\\"),
            (Kind::Percent, "plain é", "plain é"),
            (Kind::Backslash, r"\é\u{110000000}\u{}", r"\é\u{110000000}\u{}"),
        ] {
            assert_eq!(decoded(kind, text), expected, "{text}");
        }
    }

    #[test]
    fn the_source_of_a_decoded_byte_is_the_whole_escape() {
        let text = br"a\u002541b";
        let views: Vec<View> = View::of(text, 0..text.len()).all(9).collect();

        let bytes: Vec<&[u8]> = views.iter().map(View::bytes).collect();
        assert_eq!(bytes, [&text[..], b"a%41b", b"aAb"]);
        assert_eq!((views[0].source(3..4), views[1].source(2..3), views[2].source(1..2)), (1..7, 7..8, 1..9));
    }

    #[test]
    fn pieces_overlap_and_cut_no_escape() {
        let text = r"\u0041".repeat(40_000);

        let pieces = pieces(text.as_bytes());

        assert!(pieces.len() > 3);
        assert_eq!((pieces[0].start, pieces[pieces.len() - 1].end), (0, text.len()));
        for (one, next) in pieces.iter().zip(&pieces[1..]) {
            assert!(next.start % 6 == 0 && one.end % 6 == 0 && next.start + OVERLAP <= one.end, "{one:?} {next:?}");
        }
    }
}
