//! Finds blocks and tags of a template that are not closed, for the error about a template that can't be parsed.

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::domain::shortened;

/// How many bytes of a source are searched for the place of a mistake.
pub(super) const LOOKED_AT: usize = 64 << 10;

/// The words that begin a block, and the words that end it.
const BLOCKS: [(&str, &str); 6] = [
    ("if", "endif"),
    ("for", "endfor"),
    ("with", "endwith"),
    ("set", "endset"),
    ("filter", "endfilter"),
    ("autoescape", "endautoescape"),
];

/// Returns whether a word is part of the template language. A tag that begins with such a word is no misspelt column.
pub(super) fn is_word(word: &str) -> bool {
    matches!(word, "elif" | "else" | "raw" | "endraw")
        || BLOCKS.iter().any(|(begin, end)| word == *begin || word == *end)
}

/// An open block: its first tag, and the word that ends it.
struct Open {
    written: String,
    line: usize,
    end: &'static str,
}

/// Returns what to do about the first block or tag that is not closed, or is closed without having been opened. Returns
/// `None` if there is none.
pub(super) fn remedy(text: &str, config: &SyntaxConfig) -> Option<String> {
    // Longer sources are written by programs, which need no hint.
    if text.len() > LOOKED_AT {
        return None;
    }
    let mut tokens = Vec::new();
    for token in tokenize(text, false, config.clone()) {
        match token {
            Ok(token) => tokens.push(token),
            Err(error) if error.detail().is_some_and(|detail| detail.contains("raw block")) => {
                return Some("add {% endraw %} after the text that begins with {% raw %}".to_owned());
            }
            Err(_) => break,
        }
    }
    let mut open: Vec<Open> = Vec::new();
    let mut rest = &tokens[..];
    while let Some(at) = rest.iter().position(|(token, _)| matches!(token, Token::VariableStart | Token::BlockStart)) {
        let tag = &rest[at..];
        let Some(length) = end(tag) else { return unfinished(text, tag) };
        let (tag, after) = tag.split_at(length + 1);
        rest = after;
        let [(Token::BlockStart, first), (Token::Ident(word), _), .., (_, last)] = tag else { continue };
        let written = shortened(&text[first.start_offset as usize..last.end_offset as usize]).into_owned();
        // `{% set name = value %}` has no end.
        let is_whole = *word == "set" && tag.iter().any(|(token, _)| matches!(token, Token::Assign));
        if let Some((_, end)) = BLOCKS.iter().find(|(begin, _)| begin == word && !is_whole) {
            open.push(Open { written, line: usize::from(first.start_line).max(1), end });
        } else if let Some((begin, end)) = BLOCKS.iter().find(|(_, end)| end == word) {
            match open.pop() {
                Some(own) if own.end == *end => {}
                Some(Open { written: outer, line, end }) => {
                    return Some(format!("add {{% {end} %}} before {written}: it ends {outer} on line {line}"));
                }
                None => return Some(format!("remove {written}, or write {{% {begin} … %}} before it")),
            }
        }
    }
    let Open { written, line, end } = open.pop()?;
    Some(format!("add {{% {end} %}}: it ends {written} on line {line}"))
}

/// Returns the position of the last token of a tag; `None` if the tag has no end, or has a `}` in the wrong place.
fn end(tag: &[(Token<'_>, Span)]) -> Option<usize> {
    let end = tag.iter().position(|(token, _)| matches!(token, Token::VariableEnd | Token::BlockEnd))?;
    stray_brace(&tag[..end]).is_none().then_some(end)
}

/// Returns the position of the first `}` that closes nothing.
fn stray_brace(tag: &[(Token<'_>, Span)]) -> Option<usize> {
    let mut depth = 0;
    tag.iter().position(|(token, _)| {
        depth += match token {
            Token::BraceOpen => 1,
            Token::BraceClose => -1,
            _ => 0,
        };
        depth < 0
    })
}

/// Returns what to do about a tag whose end was not found.
fn unfinished(text: &str, tag: &[(Token<'_>, Span)]) -> Option<String> {
    let stray = stray_brace(tag);
    let inside = &tag[1..stray.unwrap_or(tag.len())];
    let is_block = matches!(tag[0].0, Token::BlockStart);
    let is_known = match inside.first() {
        Some((Token::Ident(word), _)) if is_block => is_word(word),
        // Names in `{{ }}` have a hint of their own.
        _ => !is_block && !inside.iter().all(|(token, _)| matches!(token, Token::Ident(_))),
    };
    let end = if is_block { "%}" } else { "}}" };
    let last = stray.map_or(text.len(), |at| tag[at].1.start_offset as usize);
    let written = text.get(tag[0].1.start_offset as usize..last)?.trim_end();
    is_known.then(|| format!("write {end} at the end of {} on line {}", shortened(written), tag[0].1.start_line.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_and_tags_that_are_not_closed_are_found() {
        for (text, expected) in [
            ("{% if name %}Hi {{name}}", "add {% endif %}: it ends {% if name %} on line 1"),
            ("a\n{% if a %}{% if b %}x{% endif %}", "add {% endif %}: it ends {% if a %} on line 2"),
            ("{% for x in name %}{{x}}{% else %}", "add {% endfor %}: it ends {% for x in name %} on line 1"),
            ("{% set a = 1 %}{% set b %}x", "add {% endset %}: it ends {% set b %} on line 1"),
            (
                "{% if a %}{% for c in b %}{{c}}{% endif %}",
                "add {% endfor %} before {% endif %}: it ends {% for c in b %} on line 1",
            ),
            ("{{a}}{% endif %}", "remove {% endif %}, or write {% if … %} before it"),
            ("{% raw %}{{a}}", "add {% endraw %} after the text that begins with {% raw %}"),
            ("{{a}} {% if b", "write %} at the end of {% if b on line 1"),
            ("{% if b }x{% endif %}", "write %} at the end of {% if b on line 1"),
            ("{{ a|upper", "write }} at the end of {{ a|upper on line 1"),
        ] {
            assert_eq!(remedy(text, &SyntaxConfig::default()).as_deref(), Some(expected), "{text}");
        }
        for text in ["{{ a }}", "{{ a", "{% body %}", "{% if a %}{% endif %}", "{{ a b }}", "{# a"] {
            assert_eq!(remedy(text, &SyntaxConfig::default()), None, "{text}");
        }
    }
}
