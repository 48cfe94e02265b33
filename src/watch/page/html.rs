//! Functions that return parts of an HTML page. All text from outside must go through [`text`], which escapes it.

use std::fmt::Write as _;
use std::time::Duration;

use crate::domain::Money;
use crate::report::text::{count, escape};

/// At most this number of characters of a text is shown.
const MOST_CHARS: usize = 240;

/// Returns a text as HTML: markup is escaped, control characters are shown as escapes, and a long text is shortened.
pub(super) fn text(text: &str) -> String {
    let cut = match text.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", escape(&text[..end])),
        None => escape(text).into_owned(),
    };
    markup(&cut)
}

/// Returns a text as escaped HTML without shortening the text. This function is for commands, and for texts that this
/// program wrote itself.
pub(super) fn whole(text: &str) -> String {
    markup(&escape(text))
}

fn markup(text: &str) -> String {
    let mut shown = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '&' => shown.push_str("&amp;"),
            '<' => shown.push_str("&lt;"),
            '>' => shown.push_str("&gt;"),
            '"' => shown.push_str("&quot;"),
            '\'' => shown.push_str("&#39;"),
            char => shown.push(char),
        }
    }
    shown
}

/// The alignment of the cells of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// Numbers, aligned to the right.
    Number,
    /// A short text, which is not broken into lines.
    Short,
    /// A text that can be broken into lines at any character.
    Wide,
}

impl Set {
    fn class(self) -> &'static str {
        match self {
            Self::Number => "",
            Self::Short => " class=s",
            Self::Wide => " class=w",
        }
    }
}

/// Returns a table of texts as HTML. The table is in a box that scrolls if the table is too wide. The cells of the
/// first column are the headings of the rows.
pub(super) fn table(caption: &str, columns: &[(&str, Set)], rows: &[Vec<String>]) -> String {
    let caption = text(caption);
    let mut out = format!(
        "<div class=scroll tabindex=0 role=group aria-label=\"{caption}\"><table><caption>{caption}</caption><thead><tr>"
    );
    for (name, set) in columns {
        let _ = write!(out, "<th scope=col{}>{}", set.class(), text(name));
    }
    out.push_str("<tbody>");
    for row in rows {
        out.push_str("<tr>");
        for (at, (cell, (_, set))) in row.iter().zip(columns).enumerate() {
            let (tag, scope) = if at == 0 { ("th", " scope=row") } else { ("td", "") };
            let _ = write!(out, "<{tag}{scope}{}>{}", set.class(), text(cell));
        }
        out.push('\n');
    }
    out.push_str("</table></div>\n");
    out
}

/// Returns a section with a heading. `body` is HTML. If `body` is empty, the result is empty too.
pub(super) fn section(id: &str, heading: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    format!(
        "<section aria-labelledby=h-{id}><h2 id=h-{id}>{}</h2><div class=body>\n{body}</div></section>\n",
        text(heading)
    )
}

/// Returns a paragraph.
pub(super) fn paragraph(words: &str) -> String {
    format!("<p>{}</p>\n", whole(words))
}

/// Returns a paragraph in a pale colour, for less important text.
pub(super) fn remark(words: &str) -> String {
    format!("<p class=soft>{}</p>\n", text(words))
}

/// Returns an amount of money as text: `$1.23`, `$0.0012`.
pub(super) fn money(money: Money) -> String {
    dollars(money.dollars())
}

/// Returns an amount in dollars as text, in the same format as [`money`].
pub(super) fn dollars(dollars: f64) -> String {
    match dollars {
        dollars if !dollars.is_finite() || dollars < 0.0 => "unknown".to_owned(),
        0.0 => "$0.00".to_owned(),
        dollars if dollars < 0.000_001 => "under $0.000001".to_owned(),
        dollars if dollars < 0.01 => format!("${dollars:.6}"),
        dollars if dollars < 1.0 => format!("${dollars:.4}"),
        dollars => {
            let cents = (dollars * 100.0).round() as u64;
            format!("${}.{:02}", count(cents / 100), cents % 100)
        }
    }
}

/// Returns a time span as text with the precision that latencies need: `350 ms`, `4.21 s`, `2 min 05 s`.
pub(super) fn latency(span: Duration) -> String {
    match span.as_millis() {
        millis @ 0..1_000 => format!("{millis} ms"),
        millis @ 1_000..60_000 => format!("{:.2} s", millis as f64 / 1_000.0),
        _ => crate::report::text::duration(span),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_can_contain_no_markup_and_no_control_characters() {
        let shown = text("<script>alert('1')</script>&\"\u{1b}[31m\n\u{202e}");

        assert_eq!(shown, "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;&quot;\\u{1b}[31m\\n\\u{202e}");
        assert_eq!(text(&"<".repeat(1_000)).len(), MOST_CHARS * 4 + "…".len());
    }

    #[test]
    fn amounts_have_as_many_digits_as_they_need() {
        let shown = [0.0, 0.000_000_1, 0.000_178, 0.0421, 1.005_1, 12_345.678, f64::NAN].map(dollars);

        assert_eq!(shown, ["$0.00", "under $0.000001", "$0.000178", "$0.0421", "$1.01", "$12,345.68", "unknown"]);
    }
}
