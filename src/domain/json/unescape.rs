//! Decodes JSON strings.

use std::borrow::Cow;

use super::inside_quotes;

/// Returns the decoded text of a JSON string; `None` if `json` is not a string. The text in `json` includes the quotes.
///
/// The text is copied only if it has escapes. Lone surrogates, and bytes that are not UTF-8, become U+FFFD, because
/// they are not characters.
pub(crate) fn unescaped(json: &[u8]) -> Option<Cow<'_, str>> {
    let inside = lossy(inside_quotes(json)?);
    if !inside.as_bytes().contains(&b'\\') {
        return Some(inside);
    }
    let mut text = String::with_capacity(inside.len());
    let mut rest = &*inside;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        let (char, length) = escape(rest.as_bytes().get(at + 1..)?)?;
        text.push(char);
        rest = rest.get(at + 1 + length..)?;
    }
    text.push_str(rest);
    Some(text.into())
}

/// Returns bytes as text. For a long text, the slowest part is the check that the bytes are UTF-8. So this check
/// handles several bytes per step.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    simdutf8::basic::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// Returns the character that an escape encodes, and the length of the escape. `rest` begins after the backslash.
fn escape(rest: &[u8]) -> Option<(char, usize)> {
    let char = match rest.first()? {
        b'n' => '\n',
        b't' => '\t',
        b'r' => '\r',
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'u' => return unicode(rest),
        other @ (b'"' | b'\\' | b'/') => char::from(*other),
        _ => return None,
    };
    Some((char, 1))
}

/// Reads `uXXXX`, or two such escapes that form a surrogate pair.
fn unicode(rest: &[u8]) -> Option<(char, usize)> {
    let first = unit(rest)?;
    if let Some(char) = char::from_u32(first.into()) {
        return Some((char, 5));
    }
    let second = rest.get(5..).and_then(|rest| unit(rest.strip_prefix(b"\\")?));
    let pair = second.and_then(|second| char::decode_utf16([first, second]).next()?.ok());
    Some(pair.map_or((char::REPLACEMENT_CHARACTER, 5), |char| (char, 11)))
}

fn unit(rest: &[u8]) -> Option<u16> {
    let digits = std::str::from_utf8(rest.strip_prefix(b"u")?.get(..4)?).ok()?;
    digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_equals_the_result_of_the_parser() {
        let seed = 7;
        let mut random = fastrand::Rng::with_seed(seed);
        const PIECES: [&str; 14] = [
            "a",
            "é",
            "😀",
            r"\n",
            r"\t",
            r"\r",
            r"\b",
            r"\f",
            r#"\""#,
            r"\\",
            r"\/",
            r"\u00e9",
            r"\ud83d\ude00",
            r"\u0000",
        ];
        for _ in 0..2_000 {
            let inside: String = (0..random.usize(0..9)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();
            let json = format!("\"{inside}\"");

            let text = unescaped(json.as_bytes()).expect("it is a string");

            assert_eq!(serde_json::from_str::<String>(&json).ok().as_deref(), Some(&*text), "seed {seed}: {json}");
        }
    }

    #[test]
    fn half_a_character_is_replaced_and_other_values_are_not_text() {
        assert_eq!(unescaped(br#""a\ud83db""#).as_deref(), Some("a\u{fffd}b"));
        assert_eq!(unescaped(br#""\ud83d\ud83d\ude00""#).as_deref(), Some("\u{fffd}😀"));
        assert_eq!(unescaped(br#""\ude00\n""#).as_deref(), Some("\u{fffd}\n"));
        assert_eq!(unescaped(b"\"\xff\"").as_deref(), Some("\u{fffd}"));
        for other in ["1", "null", "", "\"", r#""\x""#, r#""\u12"#, r#""\u+123""#] {
            assert_eq!(unescaped(other.as_bytes()), None, "{other}");
        }
    }
}
