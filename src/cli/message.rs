//! The form of every error message of this program.
//!
//! A message is one text. The message says what was found and where. After a semicolon, the message says what to do.
//! Error types and [`anyhow::Error`] contain this text. The text is a single line, so it also fits into an error log.
//! For people, the message is printed in several lines:
//!
//! ```text
//! claude-batch: nofile.jsonl: no such file
//!   check the path, or use - to read standard input
//! ```
//!
//! The first line says what was found and where, so users can find this line with grep. The last line says what to do.
//! A semicolon in quotation marks or in parentheses is part of a value, and does not break the line. If a quotation
//! mark is never closed, the message stays in one line. A text that the user typed, such as a file name, is never
//! broken. If such a text were broken, a part of it could look like a line of this program.

mod typed;

use self::typed::Typed;
use crate::domain::shortened_to;
use crate::report::text::escape;

/// Messages shorten a value to this number of characters.
const SHOWN: usize = 40;

/// Returns a message in several lines, for people. Line breaks and control characters in `text` are escaped.
pub(crate) fn lines(text: &str) -> String {
    let typed = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned());
    lines_of(text, &Typed::new(typed))
}

fn lines_of(text: &str, typed: &Typed) -> String {
    let text = typed.masked(&escape(text));
    format!("claude-batch: {}", typed::unmasked(&parts(&text).join("\n  ")))
}

/// Returns the beginning of a value, in quotation marks, for use in a message.
pub(crate) fn short(value: &str) -> String {
    format!("{:?}", shortened_to(value, SHOWN))
}

/// Returns what is wrong with a value. `words` come from the parser of a flag. The words either say what to give
/// instead, or they say what was found and, after a semicolon, what to do.
pub(crate) fn of_value(value: &str, words: &str) -> String {
    match (value, parts(words).len()) {
        (_, 2..) => words.to_owned(),
        ("", _) => format!("it has no value; {words}"),
        _ => format!("{} is not valid; {words}", short(value)),
    }
}

/// Returns what is wrong with a value that must not be shown. `words` have the same form as in [`of_value`].
pub(crate) fn of_secret(words: &str) -> String {
    match parts(words).len() {
        2.. => words.to_owned(),
        _ => format!("its value is not valid; {words}"),
    }
}

/// Returns whether a message says what to do.
pub(crate) fn has_remedy(text: &str) -> bool {
    let closed = |parts: Vec<&str>| parts.len() > 1;
    breaks(text, true).or_else(|| breaks(text, false)).map_or_else(|| text.contains("; "), closed)
}

/// If the text lacks a closing quotation mark because its end was cut off, adds the mark. Without the quotation mark,
/// the words after the text would look like a part of the text.
pub(crate) fn closed(text: String) -> String {
    if breaks(&text, false).is_some() { text } else { text + "\"" }
}

/// Removes the numbers of system errors, such as `(os error 2)`.
pub(crate) fn without_codes(text: &str) -> String {
    let mut parts = text.split(" (os error ");
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|char: char| char.is_ascii_digit() || char == '-');
        shown.push_str(rest.strip_prefix(')').unwrap_or(rest));
    }
    shown
}

/// Returns names joined as a choice: `a, b or c`.
pub(crate) fn choice(names: &[impl AsRef<str>]) -> String {
    match names {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [rest @ .., last] => {
            let rest: Vec<_> = rest.iter().map(AsRef::as_ref).collect();
            format!("{} or {}", rest.join(", "), last.as_ref())
        }
    }
}

/// Returns the parts of a message, without the semicolons between them.
fn parts(text: &str) -> Vec<&str> {
    breaks(text, true).or_else(|| breaks(text, false)).unwrap_or_else(|| vec![text])
}

/// Splits a text at semicolons outside of quotation marks. If `sees_brackets` is true, semicolons in brackets do not
/// split the text. Returns `None` if a quotation mark or a bracket is never closed.
fn breaks(text: &str, sees_brackets: bool) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0_u32);
    let (mut quote, mut is_escaped) = (None, false);
    for (at, char) in text.char_indices() {
        match (char, quote) {
            _ if is_escaped => is_escaped = false,
            ('\\', Some('"')) => is_escaped = true,
            (_, Some(open)) if char == open => quote = None,
            (_, Some(_)) => {}
            ('"' | '`', None) => quote = Some(char),
            ('(' | '{', None) if sees_brackets => depth += 1,
            (')' | '}', None) if sees_brackets => depth = depth.saturating_sub(1),
            (';', None) if depth == 0 && text[at..].starts_with("; ") => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    (quote.is_none() && depth == 0).then_some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_and_what_to_do_are_lines_of_their_own() {
        assert_eq!(lines("a.csv: no such file; check the path"), "claude-batch: a.csv: no such file\n  check the path");
        assert_eq!(lines("a; b; c"), "claude-batch: a\n  b\n  c");
        assert_eq!(lines("it broke"), "claude-batch: it broke");
    }

    #[test]
    fn a_semicolon_of_a_value_does_not_break_the_line() {
        assert_eq!(
            lines("\"a; \\\"b; c\" and `d; e` (f; g {h; i}) are bad; fix them"),
            "claude-batch: \"a; \\\"b; c\" and `d; e` (f; g {h; i}) are bad\n  fix them"
        );
    }

    #[test]
    fn a_message_whose_quotation_marks_do_not_match_stays_in_one_line() {
        assert_eq!(lines("5\" wide; ok"), "claude-batch: 5\" wide; ok");
        assert_eq!(lines("write {{a; ok"), "claude-batch: write {{a\n  ok");
        assert_eq!((closed("a \"b…".to_owned()), closed("a".to_owned())), ("a \"b…\"".to_owned(), "a".to_owned()));
        assert!(has_remedy("5\" wide; ok") && !has_remedy("(5\" wide"));
    }

    #[test]
    fn what_was_typed_can_not_add_lines() {
        for (typed, text, expected) in [
            ("x; y.jsonl", "run 'x; y.jsonl': bad; ok", "run 'x; y.jsonl': bad\n  ok"),
            ("a; rm -rf /; o.jsonl", "a; rm -rf /; o.jsonl: none; ok", "a; rm -rf /; o.jsonl: none\n  ok"),
            ("a; b.jsonl", "a; b.results.jsonl: none; ok", "a; b.results.jsonl: none\n  ok"),
            ("--output=a; b", "a; b: none; ok", "a; b: none\n  ok"),
            ("say \"x; y", "say \"x; y: none; ok", "say \"x; y: none\n  ok"),
            ("a;  ; b", "run 'a;  ; b'; ok", "run 'a;  ; b'\n  ok"),
            ("it's; b", "use 'it'\\''s; b'; ok", "use 'it'\\''s; b'\n  ok"),
            ("a;\nb; c", "a;\nb; c: none; ok", "a;\\nb; c: none\n  ok"),
            ("; ", "a; b", "a\n  b"),
        ] {
            let said = lines_of(text, &Typed::new([typed.to_owned()].into_iter()));
            assert_eq!(said, format!("claude-batch: {expected}"), "{typed}");
        }
    }

    #[test]
    fn a_text_from_outside_can_not_add_lines() {
        assert_eq!(lines("a\nclaude-batch: b\r; c"), "claude-batch: a\\nclaude-batch: b\\r\n  c");
    }

    #[test]
    fn a_value_is_shown_by_its_beginning() {
        assert_eq!(short("a\"b"), "\"a\\\"b\"");
        assert_eq!(short(&"x".repeat(1_000)), format!("\"{}…\"", "x".repeat(SHOWN)));
    }

    #[test]
    fn the_words_of_a_parser_say_what_to_give_or_what_was_found() {
        assert_eq!(of_value("0", "give 1 or more"), "\"0\" is not valid; give 1 or more");
        assert_eq!(of_value("", "give 1 or more"), "it has no value; give 1 or more");
        assert_eq!(of_value("x", "it is not JSON; use quotes"), "it is not JSON; use quotes");
    }

    #[test]
    fn numbers_of_the_system_are_removed() {
        assert_eq!(without_codes("a: No such file (os error 2): b"), "a: No such file: b");
        assert_eq!(without_codes("no code"), "no code");
        assert!(has_remedy("a; b") && !has_remedy("a (b; c)"));
    }

    #[test]
    fn names_become_a_choice() {
        assert_eq!(choice(&["a"]), "a");
        assert_eq!(choice(&["a", "b", "c"]), "a, b or c");
    }
}
