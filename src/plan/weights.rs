//! The weight of each byte of text, in tokens. The weight depends on the byte and on the class of the byte before it.
//!
//! No tokenizer is published, so tokens are estimated by statistics. The start of a word counts as most of a token, and
//! each further letter counts as a small part of a token. In a series of blanks, digits or punctuation, each byte after
//! the first weighs less. In other writing systems, the first UTF-8 byte of each character has the weight of the whole
//! character. So the weight depends only on pairs of bytes, and each byte needs one fast table look-up. The weights are
//! fitted to published ratios. Latin prose has about 3.3 characters per token with the old tokenizer, and 2.6 with the
//! new tokenizer. Code has about 2.8 characters per token. Chinese and Japanese have about 1.0 characters per token.
//! The estimates are more often too high than too low. After a few dozen answers, a run corrects its estimates with the
//! usage that the API reports.
//!
//! Source: API documentation, glossary, "Models overview" and "Token counting" (2026-08-22); third-party measurements
//! (April 2026).

use crate::domain::json::special;

/// The weight of each pair of neighbouring bytes, in thousandths of a token.
pub(super) struct Weights {
    by_class: &'static Table,
    /// Each byte value has an entry here: the table row with the weights of the next byte. A look-up here is faster
    /// than computing the class of the byte.
    after: [&'static [u16; 256]; 256],
}

/// The weights in thousandths of a token. The class of the previous byte and the value of the current byte select a
/// weight.
type Table = [[u16; 256]; CLASSES];

/// The weights for the old tokenizer.
pub(super) static OLD: Weights = Weights::by(&OLD_TABLE);
static OLD_TABLE: Table = build(Kind::Old);
/// The weights for the new tokenizer. The new tokenizer makes about 1.28 times as many tokens as the old one for ASCII,
/// and 1.04 times as many for other scripts.
pub(super) static NEW: Weights = Weights::by(&NEW_TABLE);
static NEW_TABLE: Table = build(Kind::New);
/// The weights for a lower bound: no real text has fewer tokens than this bound. Six bytes are one token. A blank after
/// a blank weighs nothing, and a sign after a sign weighs nothing either.
pub(super) static FLOOR: Weights = Weights::by(&FLOOR_TABLE);
static FLOOR_TABLE: Table = build(Kind::Floor);

impl Weights {
    const fn by(by_class: &'static Table) -> Self {
        let mut after = [&by_class[0]; 256];
        let mut byte = 0;
        while byte < 256 {
            after[byte] = &by_class[class_of(byte as u8) as usize];
            byte += 1;
        }
        Self { by_class, after }
    }
}

/// Returns the weight of UTF-8 text. `previous` is the class of the byte before the text. The function sets `previous`
/// to the class of the last byte of the text.
pub(super) fn weigh(weights: &Weights, text: &[u8], previous: &mut Class) -> u64 {
    let mut sum = 0_u64;
    let mut row = &weights.by_class[*previous as usize];
    // The text is read in pieces of 65,536 bytes, so that the sum of a piece fits into 32 bits: 65,535 × 65,536 is
    // below 2³².
    for piece in text.chunks(1 << 16) {
        let mut part = 0_u32;
        for &byte in piece {
            part += u32::from(row[usize::from(byte)]);
            row = weights.after[usize::from(byte)];
        }
        sum += u64::from(part);
    }
    if let Some(&last) = text.last() {
        *previous = CLASS_OF[usize::from(last)];
    }
    sum
}

/// The weight of a JSON string's content, after its escapes are decoded.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weighed {
    /// The weight.
    pub weight: u64,
    /// The part of `weight` that comes from characters outside ASCII.
    pub wide: u64,
    /// The escapes add at least this many bytes.
    pub surplus: u64,
}

/// Returns the weight of the content of a JSON string.
pub(super) fn weigh_escaped(weights: &Weights, body: &[u8], previous: &mut Class) -> Weighed {
    let mut sum = Weighed::default();
    let mut rest = body;
    while !rest.is_empty() {
        if rest[0] == b'\\' {
            let (lead, taken) = decode_escape(rest);
            let weight = u64::from(weights.by_class[*previous as usize][usize::from(lead)]);
            sum.weight += weight;
            sum.wide += if lead.is_ascii() { 0 } else { weight };
            sum.surplus += (taken as u64).saturating_sub(most_bytes(lead));
            *previous = if lead.is_ascii() { CLASS_OF[usize::from(lead)] } else { Class::Inner };
            rest = &rest[taken..];
        } else {
            // A JSON string has no unescaped quotes. If a text has an unescaped quote, the quote is weighed like other
            // punctuation.
            let run = special(rest, 1).unwrap_or(rest.len());
            sum.weight += weigh(weights, &rest[..run], previous);
            sum.wide += weigh_wide(weights, &rest[..run]);
            rest = &rest[run..];
        }
    }
    sum
}

/// Returns the part of a text's weight that comes from characters outside ASCII. Each character is weighed as if it
/// came after a letter.
pub(super) fn weigh_wide(weights: &Weights, text: &[u8]) -> u64 {
    if text.is_ascii() {
        return 0;
    }
    let after_letter = weights.by_class[Class::Inner as usize];
    text.iter().filter(|byte| !byte.is_ascii()).map(|&byte| u64::from(after_letter[usize::from(byte)])).sum()
}

/// Returns the largest number of UTF-8 bytes that an escape can decode to. `lead` is the first of these bytes. Half a
/// surrogate pair counts as a character of three bytes.
fn most_bytes(lead: u8) -> u64 {
    match lead {
        0..0x80 => 1,
        0xc0..0xe0 => 2,
        0x80..0xc0 | 0xe0..=0xff => 3,
    }
}

/// Decodes an escape. Returns the first UTF-8 byte of the character that the escape encodes, and the length of the
/// escape.
fn decode_escape(text: &[u8]) -> (u8, usize) {
    let plain = |byte| (byte, 2);
    match text.get(1) {
        Some(b'u') => {
            let digits = text.get(2..6).and_then(|hex| std::str::from_utf8(hex).ok());
            match digits.and_then(|hex| u16::from_str_radix(hex, 16).ok()) {
                Some(unit) => (lead_byte(unit), 6),
                None => plain(b'u'),
            }
        }
        Some(b'n' | b'r' | b't' | b'b' | b'f') => plain(b'\n'),
        Some(&byte) => plain(byte),
        None => (b'\\', 1),
    }
}

/// Returns the first byte of a UTF-16 unit when the unit is written in UTF-8. For the second half of a surrogate pair,
/// returns a continuation byte.
fn lead_byte(unit: u16) -> u8 {
    match unit {
        0..0x80 => unit as u8,
        0x80..0x800 => 0xc0 | (unit >> 6) as u8,
        0xd800..0xdc00 => 0xf0,
        0xdc00..0xe000 => 0x80,
        _ => 0xe0 | (unit >> 12) as u8,
    }
}

const CLASSES: usize = 8;

/// The classes of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Class {
    Blank,
    Break,
    Lower,
    Upper,
    Digit,
    Sign,
    /// The first byte of a multi-byte character.
    Lead,
    /// A continuation byte of a multi-byte character.
    Inner,
}

static CLASS_OF: [Class; 256] = {
    let mut table = [Class::Sign; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = class_of(byte as u8);
        byte += 1;
    }
    table
};

const fn class_of(byte: u8) -> Class {
    match byte {
        b' ' => Class::Blank,
        0..=0x1f => Class::Break,
        b'a'..=b'z' => Class::Lower,
        b'A'..=b'Z' => Class::Upper,
        b'0'..=b'9' => Class::Digit,
        0x80..=0xbf => Class::Inner,
        0xc0..=0xff => Class::Lead,
        _ => Class::Sign,
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Old,
    New,
    Floor,
}

const fn build(kind: Kind) -> Table {
    const PREVIOUS: [Class; CLASSES] =
        [Class::Blank, Class::Break, Class::Lower, Class::Upper, Class::Digit, Class::Sign, Class::Lead, Class::Inner];
    let mut table = [[0; 256]; CLASSES];
    let mut row = 0;
    while row < CLASSES {
        let mut byte = 0;
        while byte < 256 {
            let byte_value = byte as u8;
            table[row][byte] = match kind {
                Kind::Old => old(PREVIOUS[row], byte_value),
                Kind::New => old(PREVIOUS[row], byte_value) * if byte < 0x80 { 32 } else { 26 } / 25,
                Kind::Floor => floor(PREVIOUS[row], byte_value),
            };
            byte += 1;
        }
        row += 1;
    }
    table
}

const fn old(previous: Class, byte: u8) -> u16 {
    use Class::{Blank, Break, Digit, Inner, Lead, Lower, Sign, Upper};
    match (class_of(byte), previous) {
        (Blank, Blank | Break) => 40,
        (Blank, _) => 100,
        (Break, Break) => 150,
        (Break, _) => 500,
        (Lower, Lower | Upper | Inner) => 130,
        (Upper, Upper) => 300,
        (Upper, Lower | Inner) => 500,
        (Lower | Upper, _) => 900,
        (Digit, Digit) => 350,
        (Digit, _) => 650,
        (Sign, Sign) => 450,
        (Sign, _) => 800,
        (Inner, _) => 0,
        (Lead, Lower | Upper | Inner) => lead(byte, 450, 400),
        (Lead, _) => lead(byte, 900, 800),
    }
}

/// Returns the weight of a multi-byte character, given its first byte. The first byte shows to which script or block
/// the character belongs.
const fn lead(byte: u8, accented: u16, letter: u16) -> u16 {
    match byte {
        0xc3..=0xcd => accented,
        0xce..=0xdf => letter,
        // Signs of the Latin-1 block have the first byte 0xc2.
        0xc2 => 700,
        // The first byte 0xe0 is used for Indic scripts and Thai, and 0xe1 is used for Georgian, Ethiopic, Khmer and
        // letters with Vietnamese accents.
        0xe0 => 800,
        0xe1 => 700,
        // The first byte 0xe2 is used for typographic signs and symbols.
        0xe2 => 800,
        // The first byte 0xe3 is used for Kana, and 0xe4 to 0xe9 for Han. The weight 1000 is for Hangul and full-width
        // forms.
        0xe3 => 900,
        0xe4..=0xe9 => 1050,
        0xf0..=0xff => 2200,
        _ => 1000,
    }
}

const fn floor(previous: Class, byte: u8) -> u16 {
    use Class::{Blank, Break, Inner, Sign};
    match (class_of(byte), previous) {
        (Blank | Break, Blank | Break) | (Sign, Sign) | (Inner, _) => 0,
        _ => 1000 * utf8_len(byte) / 6,
    }
}

/// Returns how many UTF-8 bytes a character with this first byte has. Returns zero if the byte is a continuation byte.
const fn utf8_len(byte: u8) -> u16 {
    match byte {
        0..0x80 => 1,
        0x80..0xc0 => 0,
        0xc0..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..=0xff => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thousandths(weights: &Weights, text: &str) -> u64 {
        weigh(weights, text.as_bytes(), &mut Class::Break)
    }

    #[test]
    fn escaped_text_weighs_as_much_as_plain_text() {
        for plain in ["a \"quoted\" word\n\nC:\\dir\ttab", "Größe 1.5 \u{1}", "漢字かな한글 привет", "ok 😀 ok", "/"]
        {
            let escaped: String = plain.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            let usual = serde_json::to_string(plain).expect("a string becomes JSON");
            let usual = &usual[1..usual.len() - 1];

            for weights in [&OLD, &NEW, &FLOOR] {
                let expected = thousandths(weights, plain);
                for body in [&*escaped, usual] {
                    let Weighed { weight, wide, surplus } = weigh_escaped(weights, body.as_bytes(), &mut Class::Break);
                    // Each half of a surrogate pair is counted as three bytes.
                    let pairs = plain.chars().filter(|letter| letter.len_utf16() == 2).count() as u64;
                    let exact = (body.len() - plain.len()) as u64;
                    assert_eq!(weight, expected, "{body}");
                    assert!(wide <= weight && (wide == 0) == plain.is_ascii(), "{body}: {wide}");
                    assert!(
                        (exact.saturating_sub(2 * pairs)..=exact).contains(&surplus),
                        "{body}: {surplus} of {exact}"
                    );
                }
            }
        }
    }

    #[test]
    fn incomplete_escapes_count_as_they_are_written() {
        for body in ["\\", "\\u", "\\u12", "\\uzzzz", "a\\", "\\u+123"] {
            let Weighed { weight, surplus, .. } = weigh_escaped(&OLD, body.as_bytes(), &mut Class::Break);
            assert!(weight > 0 && surplus < body.len() as u64, "{body}");
        }
    }

    #[test]
    fn the_lower_bound_is_below_every_other_weight_and_few_weights_are_above_a_token_per_byte() {
        for row in 0..CLASSES {
            for byte in 0..256 {
                let at = |weights: &Weights| weights.by_class[row][byte];
                assert!(at(&FLOOR) <= at(&OLD).max(170), "{byte:#x} after class {row}");
                assert!(at(&OLD) <= at(&NEW), "{byte:#x} after class {row}");
                assert!(at(&NEW) <= (1000 * utf8_len(byte as u8)).max(1200), "{byte:#x} after class {row}");
            }
        }
    }

    #[test]
    fn long_text_is_added_up_without_overflow() {
        let emoji = "😀".repeat(1 << 18);

        assert_eq!(thousandths(&OLD, &emoji), 2200 << 18);
    }
}
