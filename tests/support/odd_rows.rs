//! Random texts and JSON values of all kinds. These values have characters from all planes of Unicode, control
//! characters, numbers that fit no machine type, and members in a random order.

use std::fmt::Write as _;

/// Beginnings and parts of texts that formats treat specially.
const PIECES: [&str; 30] = [
    "\"",
    "\"\"",
    "'",
    ",",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    "\\",
    "\\n",
    "\\u0041",
    " ",
    "  ",
    "=1+1",
    "+",
    "-",
    "@a",
    "\0",
    "\u{feff}",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "null",
    "NaN",
    "{\"a\":1}",
    "</t>",
    "_x000D_",
    "e\u{301}",
    "\u{200d}",
];

/// Numbers whose spelling is lost when they are parsed.
const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "1.0",
    "1e400",
    "-1E+5",
    "1.50",
    "0.1000000000000000055511151231257827",
    "18446744073709551616",
    "123456789012345678901234567890",
    "-9223372036854775809",
    "1e-999",
    "5e0",
];

/// Returns a random text. The text can be empty.
pub fn text(random: &mut fastrand::Rng) -> String {
    (0..random.usize(0..12)).fold(String::new(), |mut text, _| {
        match random.u8(0..4) {
            0 => text.push_str(PIECES[random.usize(0..PIECES.len())]),
            1 => text.push(char::from(random.u8(0..0xa0))),
            2 => text.push(of_any_plane(random)),
            _ => text.push_str("word"),
        }
        text
    })
}

/// Returns a character of a random plane. Half of a surrogate pair is never returned, because it is not a character.
fn of_any_plane(random: &mut fastrand::Rng) -> char {
    let plane = random.u32(0..17) << 16;
    let ends = [0xfffd, 0xfffe, 0xffff, 0];
    let within = if random.u8(0..8) == 0 { ends[random.usize(0..4)] } else { random.u32(0..0x1_0000) };
    char::from_u32(plane | within).unwrap_or('\u{fffd}')
}

/// Returns a number as JSON writes it.
pub fn number(random: &mut fastrand::Rng) -> String {
    match random.bool() {
        true => NUMBERS[random.usize(0..NUMBERS.len())].to_owned(),
        false => (1..random.usize(2..60))
            .fold("7".to_owned(), |number, _| number + random.digit(10).encode_utf8(&mut [0; 4])),
    }
}

/// Returns a text as JSON. Each character is unchanged or is escaped in one of the ways that JSON allows.
pub fn quoted(text: &str, random: &mut fastrand::Rng) -> String {
    let mut json = String::from("\"");
    for char in text.chars() {
        let must_be = matches!(char, '"' | '\\' | '\0'..='\u{1f}');
        match (char, random.u8(0..8)) {
            ('/', 0) => json.push_str("\\/"),
            ('"' | '\\', 1..) => json.extend(['\\', char]),
            ('\n', 1..) => json.push_str("\\n"),
            (_, 0) => escaped(char, false, &mut json),
            _ if must_be => escaped(char, true, &mut json),
            _ => json.push(char),
        }
    }
    json + "\""
}

fn escaped(char: char, is_upper: bool, json: &mut String) {
    for unit in char.encode_utf16(&mut [0; 2]) {
        let _ = if is_upper { write!(json, "\\u{unit:04X}") } else { write!(json, "\\u{unit:04x}") };
    }
}

/// Returns a JSON value with nested members. White space and the order of members are random.
pub fn value(random: &mut fastrand::Rng, depth: u32) -> String {
    match random.u8(0..if depth == 0 { 3 } else { 5 }) {
        0 => number(random),
        1 => quoted(&text(random), random),
        2 => ["true", "false", "null"][random.usize(0..3)].to_owned(),
        3 => {
            let all: Vec<String> = (0..random.usize(0..4)).map(|_| value(random, depth - 1)).collect();
            format!("[{}]", all.join([",", " , "][random.usize(0..2)]))
        }
        _ => {
            let mut members: Vec<_> = (0..random.usize(0..4))
                .map(|at| (quoted(&format!("{}{at}", text(random)), random), value(random, depth - 1)))
                .collect();
            random.shuffle(&mut members);
            object(&members, [":", " : "][random.usize(0..2)])
        }
    }
}

/// Returns an object with these members. The caller must pass each name as a JSON string.
pub fn object(members: &[(String, String)], colon: &str) -> String {
    let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}{colon}{value}")).collect();
    format!("{{{}}}", members.join(","))
}
