//! Keys that must not appear anywhere, and the ways in which a server can spell a key.

/// A key, and the place from which the program gets it.
pub struct Key {
    pub text: String,
    pub variable: &'static str,
}

/// Returns three keys. The first is like the keys of the API, the second has the special characters of base64, and the
/// third has every character that is special in a format.
pub fn keys() -> Vec<Key> {
    let mut random = fastrand::Rng::with_seed(2026);
    let mut text = |start: &str, alphabet: &[u8], length: usize| -> String {
        let more = (0..length).map(|_| char::from(alphabet[random.usize(0..alphabet.len())]));
        start.chars().chain(more).collect()
    };
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const MORE: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/+/+/==";
    const SPECIAL: &[u8] = b"abcdefXYZ0123456789+/=%\"\\&<>;:,.{}[]u%\"\\";
    vec![
        Key { text: text("sk-ant-api03-", LETTERS, 90), variable: "ANTHROPIC_API_KEY" },
        Key { text: text("", MORE, 64), variable: "ANTHROPIC_AUTH_TOKEN" },
        Key { text: text("key", SPECIAL, 70), variable: "ANTHROPIC_API_KEY" },
    ]
}

type Encoder = fn(&str, &mut fastrand::Rng) -> String;

/// Escapes that can be applied one after the other.
const ESCAPES: [Encoder; 6] = [json, json_all, percent, percent_all, entities, as_is];
/// Encodings of the whole text. Some spellings first encode the whole text, and then apply the escapes.
const ENCODINGS: [Encoder; 4] = [base64, base64_within, hex, as_is];
/// The number of spellings. Combinations of spellings are not counted.
pub const WAYS: usize = ESCAPES.len() + ENCODINGS.len() - 1;

impl Key {
    /// Returns the key or a part of it, spelled at random.
    pub fn spelled(&self, random: &mut fastrand::Rng) -> String {
        let part = match random.u8(0..4) {
            0 => {
                let start = random.usize(0..self.text.len() - 20);
                &self.text[start..random.usize(start + 20..=self.text.len())]
            }
            _ => &self.text,
        };
        let mut text = ENCODINGS[random.usize(0..ENCODINGS.len())](part, random);
        for _ in 0..random.usize(0..3) {
            text = ESCAPES[random.usize(0..ESCAPES.len())](&text, random);
        }
        text
    }
}

fn as_is(text: &str, _: &mut fastrand::Rng) -> String {
    text.to_owned()
}

/// Spells a text in a way that JSON allows: most characters are unchanged, and some are escaped.
pub fn json(text: &str, random: &mut fastrand::Rng) -> String {
    let spell = |char: char| match char {
        '"' | '\\' => format!("\\{char}"),
        '/' | '+' | '=' if random.bool() => format!("\\u{:04X}", u32::from(char)),
        '/' if random.bool() => "\\/".to_owned(),
        char if random.u8(0..8) == 0 => format!("\\u{:04x}", u32::from(char)),
        char => char.to_string(),
    };
    text.chars().map(spell).collect()
}

fn json_all(text: &str, random: &mut fastrand::Rng) -> String {
    let is_upper = random.bool();
    let spell = |char: char| match is_upper {
        true => format!("\\u{:04X}", u32::from(char)),
        false => format!("\\u{:04x}", u32::from(char)),
    };
    text.chars().map(spell).collect()
}

/// Spells a text as in a URL: letters and digits unchanged, the other characters percent-encoded.
fn percent(text: &str, random: &mut fastrand::Rng) -> String {
    let is_upper = random.bool();
    let spell = |char: char| match (char.is_ascii_alphanumeric() || "-_.~".contains(char), is_upper) {
        (true, _) => char.to_string(),
        (false, true) => format!("%{:02X}", u32::from(char)),
        (false, false) => format!("%{:02x}", u32::from(char)),
    };
    text.chars().map(spell).collect()
}

fn percent_all(text: &str, _: &mut fastrand::Rng) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

fn entities(text: &str, random: &mut fastrand::Rng) -> String {
    let spell = |char: char| match (char, random.u8(0..3)) {
        ('&', _) => "&amp;".to_owned(),
        ('<', _) => "&lt;".to_owned(),
        ('"', _) => "&quot;".to_owned(),
        (char, 0) => format!("&#{};", u32::from(char)),
        (char, 1) => format!("&#x{:x};", u32::from(char)),
        (char, _) => char.to_string(),
    };
    text.chars().map(spell).collect()
}

fn hex(text: &str, random: &mut fastrand::Rng) -> String {
    let is_upper = random.bool();
    let digits = |byte: u8| if is_upper { format!("{byte:02X}") } else { format!("{byte:02x}") };
    text.bytes().map(digits).collect()
}

fn base64(text: &str, random: &mut fastrand::Rng) -> String {
    encoded(text.as_bytes(), random)
}

/// Encodes the text between other bytes. The alignment of the text in the encoding depends on the bytes before the
/// text.
fn base64_within(text: &str, random: &mut fastrand::Rng) -> String {
    let before = ["x", "xy", "xyz", "Bearer ", "user:", "{\"key\":\""][random.usize(0..6)];
    let behind = ["", ":", "\"}", "@host"][random.usize(0..4)];
    encoded(format!("{before}{text}{behind}").as_bytes(), random)
}

fn encoded(bytes: &[u8], random: &mut fastrand::Rng) -> String {
    let last: &[u8; 2] = if random.bool() { b"+/" } else { b"-_" };
    let has_padding = random.bool();
    let character = |value: u32| match value as u8 {
        value @ 0..26 => b'A' + value,
        value @ 26..52 => b'a' + value - 26,
        value @ 52..62 => b'0' + value - 52,
        value => last[usize::from(value - 62)],
    };
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, &byte| bits << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        let characters = (0..=group.len()).map(|at| char::from(character(bits >> (18 - 6 * at) & 63)));
        out.extend(characters);
        if has_padding {
            out.extend(std::iter::repeat_n('=', 3 - group.len()));
        }
    }
    out
}
