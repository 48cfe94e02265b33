//! Protects what the user typed while a message is broken into lines.
//!
//! In a typed text, each character that could break a line or hide a break is replaced by a control character. A
//! message has no other control characters at that time, because they were escaped before.

use crate::cli::shell::quoted;
use crate::report::text::escape;

/// Characters with a meaning for the lines of a message. The control character that replaces one of them is its place in
/// this list, from 1 on.
const MARKS: [char; 7] = [';', '"', '`', '(', ')', '{', '}'];

/// The typed texts that have such characters, the longest first.
pub(super) struct Typed(Vec<String>);

impl Typed {
    /// Returns the typed texts of these arguments. Names of other files are made from them, so the value after `--flag=`
    /// and the name without its last extension count too.
    pub(super) fn new(args: impl Iterator<Item = String>) -> Self {
        let mut texts: Vec<String> = args.flat_map(|arg| forms(&arg)).filter(|text| is_marked(text)).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    /// Replaces the marks in all typed texts that occur in `text`.
    pub(super) fn masked(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, typed| text.replace(typed, &mask(typed)))
    }
}

/// Undoes [`Typed::masked`].
pub(super) fn unmasked(text: &str) -> String {
    let mark = |char: char| (char as usize).checked_sub(1).and_then(|place| MARKS.get(place)).copied();
    text.chars().map(|char| mark(char).unwrap_or(char)).collect()
}

fn forms(arg: &str) -> Vec<String> {
    let value = arg.split_once('=').filter(|_| arg.starts_with('-')).map_or(arg, |(_, value)| value);
    let stem = value.rsplit_once('.').map_or(value, |(stem, _)| stem);
    [arg, value, stem].into_iter().flat_map(|text| [escape(text).into_owned(), quoted(text)]).collect()
}

fn is_marked(text: &str) -> bool {
    text.contains(MARKS) && text.chars().any(char::is_alphanumeric)
}

fn mask(text: &str) -> String {
    let place = |char: char| MARKS.iter().position(|mark| *mark == char).and_then(|place| u8::try_from(place + 1).ok());
    text.chars().map(|char| place(char).map_or(char, char::from)).collect()
}
