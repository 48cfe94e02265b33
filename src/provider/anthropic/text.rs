//! Cleans text from a server before people see it: the result is short and has no control characters, tags or keys.

/// The text of a failed response is shortened to at most this many bytes.
const LONGEST_BYTES: usize = 4 * 1024;
/// How many bytes of a body are read for an excerpt. Tags are removed from these bytes, but nearly always enough text
/// is left for an excerpt.
const LOOKED_AT_BYTES: usize = 64 * 1024;

/// Returns the readable beginning of a body that has an unknown form, for example a gateway's page or plain text.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(&body[..body.len().min(LOOKED_AT_BYTES)]);
    let is_markup = text.trim_start().starts_with('<');
    if is_markup { clean(&without_tags(&text)) } else { clean(&text) }
}

/// Returns `text` on one line and shortened to 4 KiB, without control characters and without anything that looks like a
/// key.
///
/// A server can send back what it received, so everything that begins like a key is removed from its messages. Keys of
/// other people are removed too. [`crate::domain::Secrets`] later removes the exact key that was sent, in every
/// encoding and from every text. If this function cuts the text in the middle of the key, a part of the key stays in
/// the text. If this part of the key has at least twelve characters, [`crate::domain::Secrets`] finds the part.
pub(super) fn clean(text: &str) -> String {
    let mut out = String::new();
    for word in text.split(|c: char| c.is_whitespace() || is_hidden(c)).filter(|word| !word.is_empty()) {
        if out.len() + word.len() + 1 > LONGEST_BYTES {
            push_part(&mut out, word);
            break;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        push_without_keys(&mut out, word);
    }
    out
}

/// Returns a short name (a type or a code) from a server; `None` if the text is not such a name.
pub(super) fn name(text: &str) -> Option<String> {
    let is_name = !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic());
    is_name.then(|| text.to_owned())
}

/// Returns whether `c` is a control character, or a character that changes the direction of text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn push_part(out: &mut String, word: &str) {
    let room = LONGEST_BYTES.saturating_sub(out.len() + "… ".len());
    if out.is_empty() || room > 64 {
        let end = (0..=room.min(word.len())).rev().find(|&end| word.is_char_boundary(end)).unwrap_or(0);
        if !out.is_empty() {
            out.push(' ');
        }
        push_without_keys(out, &word[..end]);
    }
    out.push('…');
}

fn push_without_keys(out: &mut String, word: &str) {
    let mut rest = word;
    while let Some(at) = rest.find("sk-") {
        let end = rest[at..]
            .find(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_'))
            .map_or(rest.len(), |len| at + len);
        let is_start = !rest[..at].ends_with(|c: char| c.is_ascii_alphanumeric());
        let is_key = is_start && end - at >= "sk-".len() + 8;
        out.push_str(&rest[..at]);
        out.push_str(if is_key { "sk-…" } else { &rest[at..end] });
        rest = &rest[end..];
    }
    out.push_str(rest);
}

/// Returns an HTML page without its tags, and without the content of scripts and styles. No HTML parser is needed,
/// because the result only has to be readable.
fn without_tags(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(open) = rest.find('<') {
        out.push_str(&rest[..open]);
        out.push(' ');
        let tag = &rest[open..];
        let end = closing(tag).unwrap_or(tag.len());
        rest = &tag[end..];
    }
    out.push_str(rest);
    out
}

fn closing(tag: &str) -> Option<usize> {
    for (opening, closing) in [("<script", "</script>"), ("<style", "</style>"), ("<!--", "-->")] {
        if tag.get(..opening.len()).is_some_and(|start| start.eq_ignore_ascii_case(opening)) {
            return tag.find(closing).map(|at| at + closing.len());
        }
    }
    tag.find('>').map(|at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_visible_text_of_a_gateways_page_is_kept() {
        let page = "<html>\r\n<head><title>502 Bad Gateway</title><style>b{color:red}</style></head>\r\n<body>\
                    <script>alert(1)</script><center><h1>502 Bad Gateway</h1></center><hr>cloudflare</body></html>";

        assert_eq!(excerpt(page.as_bytes()), "502 Bad Gateway 502 Bad Gateway cloudflare");
    }

    #[test]
    fn control_characters_become_blanks() {
        assert_eq!(clean("a\u{1b}[31mb\0c\r\nd\u{202e}e\u{9b}f"), "a [31mb c d e f");
    }

    #[test]
    fn text_that_looks_like_a_key_is_cut() {
        assert_eq!(clean(r#"invalid key "sk-ant-api03-AbC_d-9" given"#), r#"invalid key "sk-…" given"#);
        assert_eq!(clean("task-7 and a desk-lamp-shade"), "task-7 and a desk-lamp-shade");
        assert_eq!(clean("x=sk-ant-api03-AAAA,y=sk-ant-api03-BBBB"), "x=sk-…,y=sk-…");
    }

    #[test]
    fn a_long_text_is_not_cut_inside_a_character() {
        for text in ["é".repeat(10_000), "word ".repeat(10_000), format!("a {}", "€".repeat(5_000))] {
            let cut = clean(&text);

            assert!(cut.len() <= LONGEST_BYTES + "…".len(), "{} bytes", cut.len());
            assert!(cut.len() > LONGEST_BYTES - 100, "{} bytes", cut.len());
            assert!(cut.ends_with('…'));
        }
    }

    #[test]
    fn a_name_is_short_visible_ascii() {
        assert_eq!(name("overloaded_error").as_deref(), Some("overloaded_error"));
        assert_eq!(name("two words"), None);
        assert_eq!(name(""), None);
    }
}
