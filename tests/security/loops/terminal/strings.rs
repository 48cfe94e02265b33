//! Strings that try to control a terminal. Each string begins with a different mark, so that the judge can find it in
//! the output.

use super::judge::FORGED;

/// One string and its mark.
#[derive(Clone, Debug)]
pub struct Nasty {
    pub mark: String,
    pub bytes: Vec<u8>,
}

impl Nasty {
    /// Returns the string as text. Bytes that are not valid UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns the string as a quoted JSON text. This text is also valid in TOML, because the DEL character is escaped.
    pub fn json(&self) -> String {
        serde_json::Value::from(self.text()).to_string().replace('\u{7f}', "\\u007f")
    }
}

/// Sequences that a terminal obeys. The program itself sends no such sequence.
#[rustfmt::skip]
const SEQUENCES: &[&str] = &[
    "\u{1b}[2J", "\u{1b}[H", "\u{1b}[7A", "\u{1b}[35;41m", "\u{1b}[5n", "\u{1b}[6n", "\u{1b}[c", "\u{1b}c",
    "\u{1b}[?1049h", "\u{1b}]0;title\u{7}", "\u{1b}]52;c;cm0gLXJm\u{7}",
    "\u{1b}]8;;http://x.example.invalid\u{1b}\\link\u{1b}]8;;\u{1b}\\", "\u{1b}P$q\"p\u{1b}\\", "\u{1b}_apc\u{1b}\\",
    "\u{1b}^pm\u{1b}\\", "\u{1b}Xsos\u{1b}\\", "\u{1b}#8", "\u{1b}(0", "\u{1b}%@", "\u{9b}2J", "\u{9d}0;title\u{9c}",
    "\u{90}q\u{9c}", "\u{84}", "\u{85}", "\u{8d}", "\u{98}", "\u{1b}", "\u{1b}[", "\u{1b}]", "\u{1b}[>4;2m",
    "\u{1b}[200~", "\u{1b}[201~", "\u{1b}[3;J", "\u{1b}[9999999999999999999A", "\u{1b}[31;5m",
];

/// Bytes that are not valid UTF-8. Some decoders treat such bytes as control characters.
#[rustfmt::skip]
const NO_TEXT: &[&[u8]] = &[
    b"\x9b2J", b"\x9d0;t\x9c", b"\x90", b"\x80", b"\xff", b"\xfe\xff", b"\xc0\x9b", b"\xc1\x9b", b"\xe0\x80\x9b",
    b"\xf0\x80\x80\x9b", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x9b", b"\xc2", b"\xe2\x80",
    b"\xc2\x1b[2J",
];

/// Characters that change the direction of text, hide text, or break lines.
#[rustfmt::skip]
const CHARACTERS: &[char] = &[
    '\u{ad}', '\u{61c}', '\u{180e}', '\u{200b}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{202a}',
    '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2060}', '\u{2061}', '\u{2064}', '\u{2066}', '\u{2067}',
    '\u{2068}', '\u{2069}', '\u{206a}', '\u{206f}', '\u{feff}', '\u{fff9}', '\u{fffa}', '\u{fffb}', '\u{e0001}',
    '\u{e0020}', '\u{e007f}',
];

/// Harmless text that matters for computing widths and line breaks.
#[rustfmt::skip]
const HARMLESS: &[&str] = &[
    "x", " ", "Grüße", "你好", "שלום", "👩\u{200d}👩\u{200d}👧", "e\u{301}\u{301}\u{301}\u{301}", "\u{300}", "❤\u{fe0f}",
    "葛\u{e0100}", "%s%n", "{}", "{{", "\\", "\"", "'", "&", "<b>", "\u{a0}", "\u{3000}", "\u{1160}", "\u{200d}",
    "\u{10ffff}", "\u{e000}",
];

/// Returns `count` strings of at most `longest` bytes. Each string begins with its mark. The mark is followed by the
/// piece of text that `first` returns.
pub fn nasty(rng: &mut fastrand::Rng, count: usize, longest: usize) -> Vec<Nasty> {
    (0..count).map(|number| one(rng, number, longest)).collect()
}

fn one(rng: &mut fastrand::Rng, number: usize, longest: usize) -> Nasty {
    let mark = format!("n{number}z");
    let mut bytes = mark.clone().into_bytes();
    let mut piece = first(number);
    let usual = bytes.len() + piece.len() + rng.usize(..30);
    let wanted = if rng.u32(..200) == 0 { longest } else { usual.min(longest) };
    while bytes.len() + piece.len() <= wanted {
        bytes.extend(piece);
        piece = any(rng);
    }
    Nasty { mark, bytes }
}

/// Returns the piece of text that follows the mark in the string with the number `number`. For successive numbers, the
/// function returns all pieces in order. After the last piece, the first piece comes again.
fn first(number: usize) -> Vec<u8> {
    let controls = (1..=0x1fu8).chain([0x7f]).map(|byte| vec![byte]);
    let c1 = (0x80..=0x9fu8).map(|byte| char::from(byte).to_string().into_bytes());
    let raw_c1 = (0x80..=0x9fu8).map(|byte| vec![byte]);
    let sequences = SEQUENCES.iter().map(|text| text.as_bytes().to_vec());
    let no_text = NO_TEXT.iter().map(|bytes| bytes.to_vec());
    let characters = CHARACTERS.iter().map(|char| char.to_string().into_bytes());
    let forged = ["\n", "\r", "\r\n", "\u{85}", "\u{2028}", "\u{b}", "\u{c}"].into_iter().map(forged);
    let all: Vec<Vec<u8>> =
        controls.chain(c1).chain(raw_c1).chain(sequences).chain(no_text).chain(characters).chain(forged).collect();
    all[number % all.len()].clone()
}

fn forged(line_break: &str) -> Vec<u8> {
    format!("{line_break}{FORGED} line").into_bytes()
}

fn any(rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u32(..8) {
        0 | 1 => first(rng.usize(..1 << 20)),
        2 => vec![rng.u8(1..)],
        3 => rng.char(..).to_string().replace('\0', "0").into_bytes(),
        4 => forged("\n"),
        _ => HARMLESS[rng.usize(..HARMLESS.len())].as_bytes().to_vec(),
    }
}
