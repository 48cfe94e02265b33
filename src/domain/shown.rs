//! Shortens texts that come from files or servers, so that messages to people can show them. An id or a name can be
//! megabytes long, but a message must be short.

use std::borrow::Cow;
use std::error::Error;

/// A message shows at most this many characters of an id, a name or a value.
const MOST: usize = 200;

/// Shortens a text for a message: returns its first 200 characters. If the text is longer, the result ends with `…`.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(text, MOST)
}

/// Returns the first `most` characters of a text. If the text is longer, the result ends with `…`.
pub(crate) fn shortened_to(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Shortens a text for a message: returns its first 200 characters, in quotes and with escapes.
pub fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

/// Returns an error with its causes as one text, beginning with the error itself: `can't write a.jsonl: no space left
/// on device`.
///
/// Many errors repeat their cause in their own text. If the text already contains a cause, the cause is not added
/// again.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut shown = error.to_string();
    let mut last = shown.clone();
    for cause in std::iter::successors(error.source(), |cause| (*cause).source()) {
        let text = cause.to_string();
        if !text.is_empty() && !last.contains(&text) {
            shown.push_str(&format!(": {text}"));
        }
        last = text;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Fault {
        #[error("no space left")]
        Innermost,
        #[error("can't write: {source}")]
        Repeats { source: Box<Fault> },
        #[error("the results are lost")]
        DoesNot { source: Box<Fault> },
        #[error(transparent)]
        Passes(Box<Fault>),
    }

    #[test]
    fn every_cause_is_shown_exactly_once() {
        let full = || Box::new(Fault::Innermost);
        let writing = || Box::new(Fault::Repeats { source: full() });

        assert_eq!(causes(&Fault::Innermost), "no space left");
        assert_eq!(causes(&*writing()), "can't write: no space left");
        assert_eq!(causes(&Fault::DoesNot { source: writing() }), "the results are lost: can't write: no space left");
        assert_eq!(causes(&Fault::DoesNot { source: full() }), "the results are lost: no space left");
        assert_eq!(causes(&Fault::Passes(writing())), "can't write: no space left");
    }

    #[test]
    fn only_long_texts_are_cut() {
        let long = "é".repeat(201);

        assert_eq!(shortened(&long[..400]), long[..400]);
        assert_eq!(shortened(&long), format!("{}…", &long[..400]));
        assert_eq!(quoted("a\"\u{1b}"), r#""a\"\u{1b}""#);
        assert!(quoted(&"x".repeat(10 << 20)).ends_with("x…\""));
    }
}
