//! While a message is split into lines, protects the texts that the user typed.
//!
//! In a text that the user typed, some characters could cause or prevent a split of the message. During the split,
//! these characters are replaced by control characters. The message contains no other control characters, because they
//! were escaped before.

use crate::cli::shell::quoted;
use crate::report::text::escape;

/// The characters that decide where a message is split. Each of these characters is replaced by a control character:
/// the first by U+0001, the second by U+0002 and so on.
const MARKS: [char; 7] = [';', '"', '`', '(', ')', '{', '}'];

/// The texts from the command line that contain a character of `MARKS`, the longest first.
pub(super) struct Typed(Vec<String>);

impl Typed {
    /// Returns the typed texts in the arguments of the program. For an argument `--flag=value`, the returned list also
    /// has the value alone. The list also has each name without its last extension, because the program makes other
    /// file names from this shorter name.
    pub(super) fn new(args: impl Iterator<Item = String>) -> Self {
        let mut texts: Vec<String> = args.flat_map(|arg| forms(&arg)).filter(|text| is_marked(text)).collect();
        texts.sort_by_key(|text| std::cmp::Reverse(text.len()));
        Self(texts)
    }

    /// Replaces the characters of `MARKS` in all typed texts that occur in `text`.
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
