//! Functions that format text for people: escapes, numbers, durations and lists in columns.
//!
//! Widths are terminal columns, not bytes or characters.
//!
//! Characters that can control a terminal or hide text are always escaped. They are:
//! - control characters (C0, DEL, C1)
//! - line and paragraph separators
//! - all characters that change the direction of text
//! - characters that are invisible in every language and can be used to hide text (soft hyphen, zero width space, word
//!   joiner, byte order mark, tags, annotations, deprecated format characters)
//!
//! Variation selectors, the zero width joiner and the zero width non-joiner are not escaped. Emoji, Persian and the
//! languages of India need these characters, and they do not control a terminal. Combining marks, such as accents, are
//! also not escaped.

use std::borrow::Cow;
use std::fmt::Display;
use std::time::Duration;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns `text` with an escape in place of each character that could control a terminal.
///
/// Control characters and line breaks become escapes such as `\n` and `\u{1b}`. Harmless text stays unchanged.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    escape_where(text, is_steering)
}

/// Does the same as [`escape`], but keeps line breaks.
pub(crate) fn escape_lines(text: &str) -> Cow<'_, str> {
    escape_where(text, |char| char != '\n' && is_steering(char))
}

fn escape_where(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.chars().any(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            char if !is_escaped(char) => shown.push(char),
            '\n' | '\r' | '\t' => shown.extend(char.escape_default()),
            char => shown.extend(char.escape_unicode()),
        }
    }
    Cow::Owned(shown)
}

/// Returns whether a character must be escaped. Such a character is invisible in every language, or it can move the
/// cursor, start a terminal command or change the direction of text.
pub(crate) fn is_steering(char: char) -> bool {
    char.is_control()
        || matches!(char,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Returns how many columns `text` fills. The text must not contain colour codes.
pub(crate) fn width(text: &str) -> usize {
    text.width()
}

/// Returns `text`, shortened to at most `columns`. If the text was shortened, the result ends with `…`.
pub(crate) fn shorten(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut shown = String::new();
    let mut used = 1;
    for char in text.chars() {
        used += char.width().unwrap_or(0);
        if used > columns {
            break;
        }
        shown.push(char);
    }
    // The width of the shortened text is checked again, because a variation selector can make the character before it
    // wider.
    while !shown.is_empty() && width(&shown) >= columns {
        shown.pop();
    }
    if columns > 0 {
        shown.push('…');
    }
    Cow::Owned(shown)
}

/// Returns a number with a comma between the thousands: `1,234`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// Returns a number in a short form: `999`, `12.3k`, `4.5M`.
pub(crate) fn short_count(number: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1_000_000_000, "G"), (1_000_000, "M"), (1_000, "k")];
    let Some((unit, name)) = UNITS.into_iter().find(|(unit, _)| number >= *unit) else {
        return number.to_string();
    };
    // The number is rounded down, so 999,999 is 999k and never 1000k.
    let tenths = number / (unit / 10);
    if tenths >= 1000 { format!("{}{name}", tenths / 10) } else { format!("{}.{}{name}", tenths / 10, tenths % 10) }
}

/// Returns a number with its noun: `1 row`, `2 rows`.
pub(crate) fn plural(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Returns numbers with their names, such as `12 a, 3 b`. The largest number comes first.
pub(crate) fn by_size(counts: impl Iterator<Item = (u64, impl Display)>) -> String {
    let mut counts = counts.collect::<Vec<_>>();
    counts.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
    counts.iter().map(|(number, name)| format!("{} {name}", count(*number))).collect::<Vec<_>>().join(", ")
}

/// Returns a share as a whole percentage. The result is 100 % only for a share of exactly 1, and 0 % only for a share
/// of exactly 0.
pub(crate) fn percent(share: f64) -> String {
    let percent = (share * 100.0).round();
    match share {
        share if share > 0.0 && percent < 1.0 => "<1%".to_owned(),
        share if share < 1.0 && percent > 99.0 => "99%".to_owned(),
        _ => format!("{percent:.0}%"),
    }
}

/// Returns a time span as text with at most two units: `350 ms`, `42 s`, `12 min 04 s`, `1 h 02 min`, `3 d 04 h`.
pub(crate) fn duration(span: Duration) -> String {
    if span < Duration::from_secs(1) {
        return if span.is_zero() { "0 s".to_owned() } else { format!("{} ms", span.as_millis().max(1)) };
    }
    let secs = span.as_secs();
    match secs {
        0..60 => format!("{secs} s"),
        60..3_600 => format!("{} min {:02} s", secs / 60, secs % 60),
        3_600..86_400 => format!("{} h {:02} min", secs / 3_600, secs / 60 % 60),
        _ => format!("{} d {:02} h", secs / 86_400, secs / 3_600 % 24),
    }
}

/// Returns the latency of an answer as text: `350 ms`, `1.2 s`, `42 s`, `12 min 04 s`.
pub(crate) fn latency(span: Duration) -> String {
    match span.as_secs_f64() {
        1.0..10.0 => format!("{:.1} s", span.as_secs_f64()),
        _ => duration(span),
    }
}

/// Returns the remaining time of a countdown as text, in whole seconds. The time is rounded up, so the last text before
/// the end is `1 s`.
pub(crate) fn countdown(span: Duration) -> String {
    duration(Duration::from_secs(span.as_millis().div_ceil(1_000).try_into().unwrap_or(u64::MAX)))
}

/// Returns an estimated time span as text, with a single unit if that is exact enough: `42 s`, `12 min`, `1 h 02 min`.
pub(crate) fn rough_duration(span: Duration) -> String {
    match span.as_secs() {
        0 => "1 s".to_owned(),
        secs @ 1..60 => format!("{secs} s"),
        secs @ 60..3_600 => format!("{} min", (secs + 30) / 60),
        _ => duration(span),
    }
}

/// One row of a two-column list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListRow {
    label: &'static str,
    value: String,
    fit: Fit,
}

/// What happens to a value that is wider than its column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fit {
    /// The value is wrapped at blanks.
    Break,
    /// The end of the value is cut off.
    Cut,
    /// The value stays whole.
    Whole,
}

impl ListRow {
    /// Returns a list row whose value can be broken at blanks.
    pub(crate) fn text(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into(), fit: Fit::Break }
    }

    /// Returns a list row whose value stays on one line and is cut at the end of the line.
    pub(crate) fn cut(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into(), fit: Fit::Cut }
    }

    /// Returns a list row whose value is never broken: a path or a command that people copy.
    pub(crate) fn verbatim(label: &'static str, value: impl Into<String>) -> Self {
        Self { label, value: value.into(), fit: Fit::Whole }
    }
}

/// Returns the rows of a list as aligned lines of at most `columns` columns. Each line ends with a line break.
///
/// All lines of a long value begin in the same column. A path or a command that does not fit next to its label gets its
/// own line, which the terminal can wrap.
pub(crate) fn list(rows: &[ListRow], columns: usize) -> String {
    let indent = rows.iter().map(|row| width(row.label)).max().unwrap_or(0) + 2;
    let room = columns.saturating_sub(indent).max(16);
    let mut shown = String::new();
    for row in rows {
        let mut lead = format!("{}{}", row.label, " ".repeat(indent - width(row.label)));
        if row.fit == Fit::Whole && width(&row.value) > room && !row.label.is_empty() {
            shown.push_str(row.label);
            shown.push('\n');
            lead = "  ".to_owned();
        }
        let lines = match row.fit {
            Fit::Break => wrap(&row.value, room),
            Fit::Cut => vec![shorten(&row.value, room).into_owned()],
            Fit::Whole => vec![row.value.clone()],
        };
        for line in lines {
            shown.push_str(lead.trim_end_matches(|_| line.is_empty()));
            shown.push_str(&line);
            shown.push('\n');
            lead = " ".repeat(indent);
        }
    }
    shown
}

/// Returns `text`, broken at blanks into lines of at most `columns`. A word that is longer than `columns` is on a line
/// of its own.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        if !line.is_empty() && width(&line) + 1 + width(word) > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_that_controls_a_terminal_is_escaped() {
        let hostile = "a\x1b[2Jb\u{202e}c\nd\u{9b}e\u{7f}";

        assert_eq!(escape(hostile), r"a\u{1b}[2Jb\u{202e}c\nd\u{9b}e\u{7f}");
    }

    #[test]
    fn characters_that_turn_or_hide_text_are_escaped() {
        let hiding = "\u{ad}\u{61c}\u{180e}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{2060}\u{2064}\u{206a}\u{206f}\u{feff}\u{fff9}\u{fffb}\u{e0001}\u{e007f}";

        assert!(hiding.chars().all(|char| escape(&char.to_string()).starts_with("\\u{")));
    }

    #[test]
    fn only_line_breaks_may_be_kept() {
        assert_eq!(escape_lines("a\nb\r\nc\u{1b}"), "a\nb\\r\nc\\u{1b}");
    }

    #[test]
    fn ordinary_text_of_any_language_is_left_alone() {
        for text in ["Grüße", "你好", "שלום", "👩‍👩‍👧", "می‌خواهم", "❤\u{fe0f}", "葛\u{e0100}", "a \"quoted\" \\ path"]
        {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn counts_have_thousands_separators() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn short_counts_never_round_up_into_the_next_unit() {
        assert_eq!(
            [999, 1_000, 12_345, 999_999, 1_000_000, 4_560_000_000].map(short_count),
            ["999", "1.0k", "12.3k", "999k", "1.0M", "4.5G"]
        );
    }

    #[test]
    fn durations_have_at_most_two_units() {
        let shown = [0, 42, 724, 3_725, 273_600].map(|secs| duration(Duration::from_secs(secs)));

        assert_eq!(shown, ["0 s", "42 s", "12 min 04 s", "1 h 02 min", "3 d 04 h"]);
        assert_eq!(duration(Duration::from_millis(350)), "350 ms");
        assert_eq!(duration(Duration::from_micros(3)), "1 ms");
    }

    #[test]
    fn a_latency_of_some_seconds_has_a_decimal_place() {
        let shown = [0.35, 1.0, 1.26, 9.94, 10.0, 42.4, 724.0].map(|secs| latency(Duration::from_secs_f64(secs)));

        assert_eq!(shown, ["350 ms", "1.0 s", "1.3 s", "9.9 s", "10 s", "42 s", "12 min 04 s"]);
    }

    #[test]
    fn a_countdown_has_whole_seconds_and_is_zero_only_at_its_end() {
        assert_eq!(
            [0, 1, 1_000, 1_001, 61_500].map(|ms| countdown(Duration::from_millis(ms))),
            ["0 s", "1 s", "1 s", "2 s", "1 min 02 s"]
        );
    }

    #[test]
    fn only_a_whole_share_is_a_hundred_percent() {
        assert_eq!([0.0, 0.001, 0.5, 0.9999, 1.0].map(percent), ["0%", "<1%", "50%", "99%", "100%"]);
    }

    #[test]
    fn a_command_too_long_for_its_column_is_alone_on_its_line_and_whole() {
        let rows = [ListRow::text("rows", "one two three four five six"), ListRow::verbatim("next", "x".repeat(30))];

        let shown = list(&rows, 24);

        insta::assert_snapshot!(shown, @r"
        rows  one two three four
              five six
        next
          xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx
        ");
    }

    proptest! {
        #[test]
        fn no_escaped_text_contains_a_control_character(text in any::<String>()) {
            let shown = escape(&text);

            let bidi = ['\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}', '\u{2069}'];
            let is_harmless = shown.chars().all(|char| !char.is_control() && !bidi.contains(&char));
            prop_assert!(is_harmless);
            prop_assert_eq!(escape(&shown).into_owned(), shown.clone().into_owned());
        }

        #[test]
        fn shortened_text_is_never_wider_than_asked(text in "\\PC{0,40}", columns in 0usize..50) {
            prop_assert!(width(&shorten(&text, columns)) <= columns);
        }

        #[test]
        fn text_of_any_width_is_measured_wrapped_and_shortened(text in any::<String>(), columns in 0usize..30) {
            let shown = escape(&text);

            prop_assert!(width(&shorten(&shown, columns)) <= columns);
            let lines = wrap(&shown, columns).join(" ");
            prop_assert!(lines.split(' ').filter(|word| !word.is_empty()).eq(shown.split(' ').filter(|word| !word.is_empty())));
        }

        #[test]
        fn wrapping_loses_no_word(text in "[a-z ]{0,80}", columns in 1usize..30) {
            let lines = wrap(&text, columns).join(" ");

            prop_assert!(lines.split_whitespace().eq(text.split_whitespace()));
        }
    }
}
