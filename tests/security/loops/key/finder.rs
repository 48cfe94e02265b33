//! Finds a key in the output and the files of a program. The finder recognizes the key in every encoding that a server
//! can use for it. The finder shares no code with the program. The program mostly does the opposite of decoding: it
//! encodes the key, and then searches for the encoded key.

use std::collections::HashSet;

/// If this many consecutive characters of a key are found, the key has leaked.
const PART: usize = 12;
/// The number of layers of escapes and encodings that the finder decodes. A server can escape or encode a text several
/// times.
const DEEPEST: usize = 4;

type Decode = fn(&[u8]) -> Vec<u8>;

/// A finder for one key.
pub struct Finder {
    parts: HashSet<Vec<u8>>,
    /// The first two characters of each part of the key.
    beginnings: HashSet<[u8; 2]>,
}

impl Finder {
    pub fn new(key: &str) -> Self {
        let parts: HashSet<Vec<u8>> = key.as_bytes().windows(PART).map(<[u8]>::to_vec).collect();
        let beginnings = parts.iter().map(|part| [part[0], part[1]]).collect();
        Self { parts, beginnings }
    }

    /// Returns the places in a text where the key or a part of the key was found.
    pub fn hit(&self, text: &[u8]) -> Option<String> {
        let mut lines = text.split(|&byte| byte == b'\n');
        lines.find(|line| self.is_in(line, DEEPEST)).map(|line| String::from_utf8_lossy(line).into_owned())
    }

    fn is_in(&self, text: &[u8], depth: usize) -> bool {
        if self.is_plain_in(text) {
            return true;
        }
        let stretches = |is: fn(u8) -> bool, least: usize| {
            text.split(move |&byte| !is(byte)).filter(move |stretch| stretch.len() >= least)
        };
        let is_base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/-_".contains(&byte);
        if stretches(is_base64, 16).any(|stretch| (0..4).any(|skip| self.is_plain_in(&base64(&stretch[skip..])))) {
            return true;
        }
        if stretches(|byte| byte.is_ascii_hexdigit(), 24)
            .any(|stretch| (0..2).any(|skip| self.is_plain_in(&hex(&stretch[skip..]))))
        {
            return true;
        }
        let decoders: [Decode; 3] = [backslashes, percents, entities];
        depth > 0
            && decoders.iter().any(|decode| {
                let decoded = decode(text);
                decoded.len() < text.len() && self.is_in(&decoded, depth - 1)
            })
    }

    fn is_plain_in(&self, text: &[u8]) -> bool {
        text.windows(PART).any(|part| self.beginnings.contains(&[part[0], part[1]]) && self.parts.contains(part))
    }
}

/// Decodes base64 in the standard alphabet or the URL-safe alphabet. Leftover bits at the end are ignored.
fn base64(text: &[u8]) -> Vec<u8> {
    let (mut held, mut bits, mut out) = (0_u32, 0, Vec::new());
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            _ => 63,
        };
        held = held << 6 | u32::from(value);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    out
}

fn hex(text: &[u8]) -> Vec<u8> {
    text.chunks_exact(2).filter_map(|pair| number(pair, 16)).map(|number| number as u8).collect()
}

fn number(digits: &[u8], radix: u32) -> Option<u32> {
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.starts_with('+') { None } else { u32::from_str_radix(digits, radix).ok() }
}

/// Replaces each escape that begins with `mark`. `decode` gets the text after the mark. `decode` returns the number of
/// bytes that belong to the escape, and the code of the character.
fn undo(text: &[u8], mark: u8, decode: fn(&[u8]) -> Option<(usize, u32)>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        match (first == mark).then(|| decode(behind)).flatten() {
            Some((taken, code)) => {
                out.push(u8::try_from(code).unwrap_or(b'?'));
                rest = &rest[taken..];
            }
            None => out.push(first),
        }
    }
    out
}

fn backslashes(text: &[u8]) -> Vec<u8> {
    undo(text, b'\\', |behind| match behind.first()? {
        b'u' => number(behind.get(1..5)?, 16).map(|code| (5, code)),
        byte @ (b'"' | b'\\' | b'/') => Some((1, u32::from(*byte))),
        _ => None,
    })
}

fn percents(text: &[u8]) -> Vec<u8> {
    undo(text, b'%', |behind| number(behind.get(..2)?, 16).map(|code| (2, code)))
}

fn entities(text: &[u8]) -> Vec<u8> {
    undo(text, b'&', |behind| {
        let end = behind.iter().take(9).position(|&byte| byte == b';')?;
        let code = match &behind[..end] {
            b"amp" => u32::from(b'&'),
            b"lt" => u32::from(b'<'),
            b"gt" => u32::from(b'>'),
            b"quot" => u32::from(b'"'),
            [b'#', b'x', digits @ ..] => number(digits, 16)?,
            [b'#', digits @ ..] => number(digits, 10)?,
            _ => return None,
        };
        Some((end + 1, code))
    })
}
