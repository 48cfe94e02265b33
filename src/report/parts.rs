//! Lines made of parts, fitted to a width. This module is pure, so every width can be tested.
//!
//! If a line is too wide, some of its parts are shortened. If the line is still too wide, some parts are left out. The
//! least important parts are shortened or left out before the more important parts. A fitted line is never too wide, so
//! a terminal never wraps it.

use anstyle::{AnsiColor, Style};

use super::text::{shorten, width};

/// The style of a part on a terminal with colours.
///
/// The colours are readable on dark and light backgrounds. The text alone says everything, so the colours add no
/// information.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Tone {
    /// Plain text without a special style.
    #[default]
    Usual,
    /// The label at the start of a line.
    Label,
    /// The bar.
    Bar,
    /// The most important text of the line.
    Main,
    /// Text about something unusual that is not a fault.
    Notable,
    /// A fault.
    Fault,
}

impl Tone {
    /// Returns the style of this tone.
    pub(super) fn style(self) -> Style {
        match self {
            Self::Usual => Style::new(),
            Self::Label => Style::new().dimmed(),
            Self::Bar => AnsiColor::Cyan.on_default(),
            Self::Main => Style::new().bold(),
            Self::Notable => AnsiColor::Magenta.on_default().bold(),
            Self::Fault => AnsiColor::Red.on_default().bold(),
        }
    }
}

/// A part of a line. The part is shortened or left out only as a whole.
#[derive(Clone, Debug)]
pub(super) struct Part {
    /// The text that is shown: the long form at first, and the short form after the part was shortened.
    pub(super) text: String,
    /// The short form of the text. If the short form is empty, the part is left out instead of being shortened.
    short: String,
    /// The rank of the part. Parts with the lowest rank are the first to be shortened or left out.
    rank: u8,
    /// The separator before the part. The separator is not shown before the first part of a line.
    pub(super) joint: &'static str,
    /// The style of the part on a terminal with colours.
    pub(super) tone: Tone,
    /// Whether the part is only the empty space in which the bar is drawn.
    pub(super) is_bar: bool,
}

impl Part {
    /// Returns a part with a long and a short form.
    pub(super) fn new(rank: u8, long: impl Into<String>, short: impl Into<String>) -> Self {
        Self { text: long.into(), short: short.into(), rank, joint: " · ", tone: Tone::Usual, is_bar: false }
    }

    /// Returns a part that has only one form.
    pub(super) fn fixed(rank: u8, text: impl Into<String>) -> Self {
        let text = text.into();
        Self::new(rank, text.clone(), text)
    }

    /// Returns a part without a short form. When all parts of its rank are shortened, this part is left out.
    pub(super) fn optional(rank: u8, text: impl Into<String>) -> Self {
        Self::new(rank, text, "")
    }

    /// Returns the space for a bar with this many columns.
    pub(super) fn bar(rank: u8, long: usize, short: usize) -> Self {
        Self { is_bar: true, ..Self::new(rank, " ".repeat(long), " ".repeat(short)) }.in_tone(Tone::Bar)
    }

    /// Returns the part in the style `tone`.
    pub(super) fn in_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }

    /// Returns the part with this rank and without a short form. When parts of this rank are shortened, this part is
    /// left out.
    pub(super) fn optional_at(self, rank: u8) -> Self {
        Self { rank, short: String::new(), ..self }
    }

    /// Returns the part with `joint` as the separator in front of its text.
    pub(super) fn after(self, joint: &'static str) -> Self {
        Self { joint, ..self }
    }
}

/// Shortens parts, and then leaves parts out, until the line fits. Parts with the lowest rank are shortened and left
/// out first. If the first part alone is too wide, its end is cut off.
pub(super) fn fit(parts: &mut Vec<Part>, columns: usize) {
    let mut ranks = parts.iter().map(|part| part.rank).collect::<Vec<_>>();
    ranks.sort_unstable();
    ranks.dedup();
    for rank in ranks {
        if line_width(parts) <= columns {
            return;
        }
        parts.iter_mut().filter(|part| part.rank == rank).for_each(|part| part.text = part.short.clone());
        parts.retain(|part| !part.text.is_empty());
    }
    while line_width(parts) > columns && parts.len() > 1 {
        let lowest = parts.iter().map(|part| part.rank).min().unwrap_or(0);
        // If several parts have the same rank, the last part is left out first, because people read the start of a line
        // first.
        let Some(at) = parts.iter().rposition(|part| part.rank == lowest) else { return };
        parts.remove(at);
    }
    if let [only] = parts.as_mut_slice() {
        only.text = shorten(&only.text, columns).into_owned();
    }
}

/// Returns how many columns the parts and their separators need together.
pub(super) fn line_width(parts: &[Part]) -> usize {
    let joints = parts.iter().skip(1).map(|part| width(part.joint)).sum::<usize>();
    joints + parts.iter().map(|part| width(&part.text)).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn optional_parts_go_first_then_parts_become_short_and_then_the_least_important_are_left_out() {
        let parts = || {
            vec![
                Part::new(9, "1,201 of 20,000 done", "1,201/20,000"),
                Part::new(4, "601 rows/min", "601/min"),
                Part::optional(2, "(26–37 min)"),
            ]
        };
        let shown = |columns: usize| {
            let mut parts = parts();
            fit(&mut parts, columns);
            parts.iter().map(|part| part.text.as_str()).collect::<Vec<_>>().join(" · ")
        };

        assert_eq!(shown(49), "1,201 of 20,000 done · 601 rows/min · (26–37 min)");
        assert_eq!(shown(48), "1,201 of 20,000 done · 601 rows/min");
        assert_eq!(shown(34), "1,201 of 20,000 done · 601/min");
        assert_eq!(shown(29), "1,201/20,000 · 601/min");
        assert_eq!(shown(21), "1,201/20,000");
        assert_eq!(shown(5), "1,20…");
    }
}
