//! Finds what a template uses: filters, tests, and columns named through `row`. This module also finds placeholders of
//! other template languages in the plain text. The engine does not fill in these placeholders.

use std::collections::BTreeSet;

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use super::super::names::LONGEST_NAME;
use super::blocks;
use super::error::{TemplateError, syntax};
use super::shape::Within;

/// The name of the variable that contains all columns. A template needs this variable for columns whose names contain
/// spaces or punctuation: `{{ row["first name"] }}`.
pub(super) const ROW: &str = "row";

/// The names that a template uses. Columns that the template names directly are not included.
#[derive(Debug, Default)]
pub(super) struct Uses {
    /// Names of filters, with their lines.
    pub filters: Vec<(String, usize)>,
    /// Names of tests (such as `is defined`), with their lines.
    pub tests: Vec<(String, usize)>,
    /// Names of columns that the template uses through `row`.
    pub row_columns: BTreeSet<String>,
    /// Whether `row` is used as a whole, so that any column can be part of the prompt.
    pub is_whole_row: bool,
    /// Placeholders in the syntax of other template languages.
    pub placeholders: Vec<Placeholder>,
}

/// A placeholder in the syntax of another template language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Placeholder {
    /// The placeholder as it was written, such as `{body}`.
    pub written: String,
    /// The column that the author probably meant, such as `body`.
    pub column: String,
}

/// Returns the names that a template or an expression uses.
pub(super) fn of(text: &str, within: Within, config: &SyntaxConfig) -> Result<Uses, TemplateError> {
    let tokens =
        tokenize(text, within == Within::Expression, config.clone()).map(|token| token.map_err(|error| syntax(&error)));
    let tokens = tokens.collect::<Result<Vec<_>, _>>()?;
    let mut uses = Uses::default();
    for (at, (token, span)) in tokens.iter().enumerate() {
        let next = |ahead: usize| tokens.get(at + ahead).map(|(token, _)| token);
        let before = at.checked_sub(1).and_then(|at| tokens.get(at)).map(|(token, _)| token);
        let line = usize::from(span.start_line).max(1);
        match (token, next(1)) {
            (Token::TemplateData(data), _) => uses.placeholders.extend(placeholders(data)),
            (Token::Pipe, Some(Token::Ident(name))) => uses.filters.push(((*name).to_owned(), line)),
            (Token::Ident("filter"), Some(Token::Ident(name))) if matches!(before, Some(Token::BlockStart)) => {
                uses.filters.push(((*name).to_owned(), line));
            }
            (Token::Ident("is"), Some(Token::Ident(name))) if !matches!(before, Some(Token::Dot)) => {
                let negated = next(2).filter(|_| *name == "not");
                let name = if let Some(Token::Ident(name)) = negated { name } else { name };
                uses.tests.push(((*name).to_owned(), line));
            }
            (Token::Ident(ROW), _) if !matches!(before, Some(Token::Dot | Token::Pipe)) => {
                match (next(1), next(2), next(3)) {
                    (Some(Token::Dot), Some(Token::Ident(column)), after)
                        if !matches!(after, Some(Token::ParenOpen)) =>
                    {
                        uses.row_columns.insert((*column).to_owned());
                    }
                    (Some(Token::BracketOpen), Some(Token::Str(column)), Some(Token::BracketClose)) => {
                        uses.row_columns.insert((*column).to_owned());
                    }
                    (Some(Token::BracketOpen), Some(Token::String(column)), Some(Token::BracketClose)) => {
                        uses.row_columns.insert(column.to_string());
                    }
                    _ => uses.is_whole_row = true,
                }
            }
            _ => {}
        }
    }
    Ok(uses)
}

/// The brackets of placeholders in other languages, and whether blanks are allowed inside the brackets. Longer brackets
/// come before shorter ones.
const FORMS: [(&str, &str, bool); 12] = [
    ("<%=", "%>", true),
    ("${", "}", true),
    ("#{", "}", true),
    ("%(", ")s", true),
    ("{{", "}", true),
    ("{", "}}", true),
    ("{", "}", true),
    ("[[", "]]", true),
    ("<<", ">>", true),
    ("%", "%", false),
    ("<", ">", false),
    ("[", "]", false),
];

/// Finds the placeholders of other template languages in a plain text. Returns each placeholder only once.
pub(crate) fn placeholders(text: &str) -> Vec<Placeholder> {
    let mut found: Vec<Placeholder> = Vec::new();
    let mut at = 0;
    while let Some(step) = text[at..].find(['<', '$', '#', '%', '{', '[']) {
        at += step;
        let here = FORMS.iter().find_map(|form| placeholder(&text[at..], *form)).or_else(|| dollar(&text[at..]));
        match here {
            // In a raw block, the author wants these brackets to be text.
            Some(placeholder) if text[at + placeholder.written.len()..].starts_with('}') => {
                at += placeholder.written.len() + 1;
            }
            Some(placeholder) => {
                at += placeholder.written.len();
                if found.len() < MOST && !found.contains(&placeholder) {
                    found.push(placeholder);
                }
            }
            None => at += 1,
        }
    }
    found
}

/// The largest number of placeholders that are returned.
const MOST: usize = 100;

fn placeholder(text: &str, (begin, end, has_blanks): (&str, &str, bool)) -> Option<Placeholder> {
    let inner = text.strip_prefix(begin)?;
    let most = inner.char_indices().nth(LONGEST_NAME + end.len()).map_or(inner.len(), |(at, _)| at);
    let length = inner[..most].find(end)?;
    let column = if has_blanks { inner[..length].trim() } else { &inner[..length] };
    let written = &text[..begin.len() + length + end.len()];
    let is_fit = is_name(column) && (has_blanks || !column.contains(' '));
    is_fit.then(|| Placeholder { written: written.to_owned(), column: column.to_owned() })
}

/// Returns a placeholder that is written as in a shell, such as `$name`.
fn dollar(text: &str) -> Option<Placeholder> {
    let rest = text.strip_prefix('$')?;
    let length = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
    let column = rest.get(..length).filter(|name| name.len() <= LONGEST_NAME && is_name(name))?;
    Some(Placeholder { written: format!("${column}"), column: column.to_owned() })
}

/// Returns whether a text can be a column name. A column name begins with a letter or `_`, and contains only letters,
/// digits, spaces, `_`, `-` and `.`.
fn is_name(text: &str) -> bool {
    let is_fit = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ' ');
    text.starts_with(|c: char| c.is_alphabetic() || c == '_') && text.chars().all(is_fit)
}

/// Searches the source of a template that can't be parsed. Returns the first place where the author probably meant
/// `{{body}}` but wrote something like `{{body}`, `{{{body}}}`, `{% body %}` or `{{ first name }}`.
pub(super) fn misspelt(text: &str) -> Option<Placeholder> {
    // Longer sources are not searched, because they are written by programs, which need no hint.
    let end = (0..=blocks::LOOKED_AT.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let text = &text[..end];
    let starts = text.match_indices('{').filter(|(at, _)| !text[..*at].ends_with('{'));
    let mut found = starts.filter_map(|(at, _)| {
        let near = text[at..].char_indices().nth(2 * LONGEST_NAME).map_or(text.len(), |(length, _)| at + length);
        let near = &text[at..near];
        let inner = near.trim_start_matches(['{', '%', ' ']);
        let length = inner.find(['}', '%', '{', '\n']).unwrap_or(inner.len());
        let (begin, column) = (&near[..near.len() - inner.len()], inner[..length].trim());
        let end = &inner[length..inner.len() - inner[length..].trim_start_matches(['}', '%']).len()];
        let is_fine = begin.trim_end() == "{{" && end == "}}" && !column.contains(' ');
        let written = &near[..begin.len() + length + end.len()];
        let is_tag = begin.contains('%') && column.split(' ').next().is_some_and(blocks::is_word);
        let is_meant = column.len() <= LONGEST_NAME && is_name(column) && begin.len() > 1 && !is_fine && !is_tag;
        is_meant.then(|| Placeholder { written: written.to_owned(), column: column.to_owned() })
    });
    found.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_of_other_languages_are_found_as_they_were_written() {
        for (text, column) in [
            ("{body}", "body"),
            ("{ body }", "body"),
            ("{body}}", "body"),
            ("{{body}", "body"),
            ("${body}", "body"),
            ("#{body}", "body"),
            ("$body", "body"),
            ("%body%", "body"),
            ("%(body)s", "body"),
            ("<body>", "body"),
            ("<<body>>", "body"),
            ("<%= body %>", "body"),
            ("[body]", "body"),
            ("[[body]]", "body"),
            ("{first name}", "first name"),
            ("{e-mail}", "e-mail"),
            ("{größe}", "größe"),
        ] {
            let found = placeholders(&format!("Classify {text}, {text}."));

            assert_eq!(found, [Placeholder { written: text.to_owned(), column: column.to_owned() }], "{text}");
        }
    }

    #[test]
    fn other_brackets_are_not_placeholders() {
        for text in [
            "{}",
            "{1}",
            "a < b > c",
            "100 % of 50 %",
            "$5",
            "{\"a\": 1}",
            "</body>",
            "{a: b}",
            "[1, 2]",
            "[a, b]",
            "{",
            "<é",
        ] {
            assert_eq!(placeholders(text), [], "{text}");
        }
    }

    #[test]
    fn every_placeholder_found_is_part_of_the_text() {
        const PIECES: [&str; 20] = [
            "{", "}", "{{", "}}", "<", ">", "%", "$", "#", "[", "]", "(", ")s", " ", "=", "é", "日", "body", "\n", "-",
        ];
        let mut random = fastrand::Rng::with_seed(29);
        for case in 0..5_000 {
            let text: String = (0..random.usize(1..30)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect();

            let found = placeholders(&text);

            for Placeholder { written, column } in found.iter().chain(&misspelt(&text)) {
                assert!(text.contains(written) && written.contains(column), "case {case}: {text:?}: {found:?}");
            }
        }
    }

    #[test]
    fn a_misspelt_placeholder_is_found_in_a_broken_source() {
        for (text, column) in [
            ("x {{body}", "body"),
            ("x {{ body }", "body"),
            ("{{{body}}}", "body"),
            ("{% body %}", "body"),
            ("{{subject}} {{ body", "body"),
            ("{{ first name }}", "first name"),
        ] {
            assert_eq!(misspelt(text).map(|found| found.column).as_deref(), Some(column), "{text}");
        }
        assert_eq!(misspelt("{{ body }} {a} {{ b|c }"), None);
    }
}
