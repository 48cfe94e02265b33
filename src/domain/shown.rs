//! Texts of others in messages to people: an id or a name may be megabytes long, a message may not.

use std::borrow::Cow;

/// The most characters of one id, name or value in a message.
const MOST: usize = 200;

/// Returns a text for a message: its first 200 characters, and `…` where there are more.
pub fn shortened(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Returns a text for a message in quotes, with escapes: shortened as by [`shortened`].
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_are_cut() {
        let long = "é".repeat(201);

        assert_eq!(shortened(&long[..400]), long[..400]);
        assert_eq!(shortened(&long), format!("{}…", &long[..400]));
        assert_eq!(quoted("a\"\u{1b}"), r#""a\"\u{1b}""#);
        assert!(quoted(&"x".repeat(10 << 20)).ends_with("x…\""));
    }
}
