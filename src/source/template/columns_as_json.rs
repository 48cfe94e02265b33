//! Columns that contain JSON. In a CSV file, every cell is text, so a list in a cell is text too.
//!
//! `{{ items }}` always writes the cell as it is. The JSON in the cell is read by the filter `fromjson` (also
//! `from_json`), and by a loop directly over the column, such as `{% for item in items %}`.
//!
//! A loop over a column never goes over the characters of a cell. Hardly anybody wants such a loop, and the user would
//! pay for a wrong prompt. So the cell must be empty, or contain a JSON list or a JSON object. To loop over characters,
//! write `{% for c in word|list %}`. In JSON rows, values other than text already have their types, so the filter and
//! the loop do not change them.
//!
//! The engine has no setting for this, so [`with_json_loops`] adds a filter to the source of each loop over a column.

use std::collections::BTreeSet;
use std::fmt;

use minijinja::machinery::{Span, Token, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{Environment, ErrorKind, State, Value};

use super::error::{JSON_BYTES_OF_FUEL, TemplateError};
use super::uses::ROW;
use super::values::{self, View, seen};
use crate::domain::shortened;

/// Users can call the filter by either of these two names.
pub(super) const FROM_JSON: [&str; 2] = ["fromjson", "from_json"];
/// The filter that takes their place where a template calculates.
pub(super) const PLAIN_FROM_JSON: &str = "__plain_from_json";
/// The filter that is added to loops.
const LOOPED: &str = "__looped";

/// Adds the filters to an environment.
pub(super) fn add_filters(environment: &mut Environment<'_>) {
    FROM_JSON.into_iter().for_each(|name| environment.add_filter(name, from_json));
    environment.add_filter(PLAIN_FROM_JSON, plain_from_json);
    environment.add_filter(LOOPED, looped);
}

fn from_json(state: &State<'_, '_>, value: Value) -> Result<Value, minijinja::Error> {
    match value.as_str() {
        Some(text) => read(state, text).map_err(|error| error.raised(Use::Filter)),
        None => Ok(value),
    }
}

fn plain_from_json(state: &State<'_, '_>, value: Value) -> Result<Value, minijinja::Error> {
    Ok(seen(&from_json(state, value)?, View::Plain))
}

fn looped(state: &State<'_, '_>, value: Value) -> Result<Value, minijinja::Error> {
    let Some(text) = value.as_str() else { return Ok(value) };
    let read = read(state, text).map_err(|error| error.raised(Use::Loop))?;
    match read.kind() {
        ValueKind::Seq | ValueKind::Map | ValueKind::None => Ok(read),
        kind => {
            let what = format!("holds a {kind}");
            Err(Unread::Json(NotJson { text: text.to_owned(), what, used: Use::Loop }).raised(Use::Loop))
        }
    }
}

/// Reads a text as JSON, if there is enough fuel left. Blank text counts as JSON's null.
fn read(state: &State<'_, '_>, text: &str) -> Result<Value, Unread> {
    if text.trim().is_empty() {
        return Ok(Value::from(()));
    }
    state.consume_fuel(text.len() as u64 / JSON_BYTES_OF_FUEL).map_err(Unread::Fuel)?;
    values::read(text).map_or_else(|| serde_json::from_str(text), Ok).map_err(|error| {
        let what = format!("is not JSON ({})", shortened(&error.to_string()));
        Unread::Json(NotJson { text: text.to_owned(), what, used: Use::Filter })
    })
}

/// Why a text was not read as JSON.
enum Unread {
    Fuel(minijinja::Error),
    Json(NotJson),
}

impl Unread {
    fn raised(self, used: Use) -> minijinja::Error {
        match self {
            Self::Fuel(error) => error,
            Self::Json(not_json) => {
                let error = minijinja::Error::new(ErrorKind::InvalidOperation, not_json.what.clone());
                error.with_source(NotJson { used, ..not_json })
            }
        }
    }
}

/// The part of a template that reads a text as JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Use {
    Filter,
    Loop,
}

/// A text that should be JSON but is not.
#[derive(Clone, Debug)]
pub(super) struct NotJson {
    pub text: String,
    what: String,
    used: Use,
}

impl fmt::Display for NotJson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for NotJson {}

impl NotJson {
    /// Returns the error for a row with this text in a column. `column` is the name of the column as it is written in
    /// the template.
    pub(super) fn of_column(&self, column: &str) -> TemplateError {
        let (how, hint) = match self.used {
            Use::Filter => ("reads it with fromjson", String::new()),
            Use::Loop => ("loops over it", format!("; {column}|list loops over its characters")),
        };
        TemplateError::NotJson { column: column.to_owned(), what: self.what.clone(), how, hint }
    }
}

/// If a text that is not JSON caused the error, returns this text; otherwise returns `None`.
pub(super) fn not_json(error: &minijinja::Error) -> Option<&NotJson> {
    std::error::Error::source(error)?.downcast_ref()
}

/// Changes each loop in the source that goes directly over a column. After this change, the loop reads the text of the
/// column as JSON. Returns the new source. `names` are the columns that the source names directly.
pub(super) fn with_json_loops(
    text: &str,
    config: &SyntaxConfig,
    names: &BTreeSet<String>,
) -> Result<String, minijinja::Error> {
    let tokens = tokenize(text, false, config.clone()).collect::<Result<Vec<_>, _>>()?;
    let mut changed = text.to_owned();
    for end in ends_of_columns(&tokens, names).into_iter().rev() {
        changed.insert_str(end, &format!("|{LOOPED}"));
    }
    Ok(changed)
}

/// Finds each loop that runs directly over a column. Returns the offset in the source at which the column's name ends.
fn ends_of_columns(tokens: &[(Token<'_>, Span)], names: &BTreeSet<String>) -> Vec<usize> {
    let mut ends = Vec::new();
    for (at, _) in tokens.iter().enumerate() {
        let [(Token::BlockStart, _), (Token::Ident("for"), _), rest @ ..] = &tokens[at..] else { continue };
        let Some(of) = rest.iter().position(|(token, _)| matches!(token, Token::Ident("in") | Token::BlockEnd)) else {
            continue;
        };
        let end = match &rest[of + 1..] {
            [(Token::Ident(name), span), after, ..] if names.contains(*name) && *name != ROW => Some((span, after)),
            [(Token::Ident(ROW), _), (Token::Dot, _), (Token::Ident(_), span), after, ..]
            | [
                (Token::Ident(ROW), _),
                (Token::BracketOpen, _),
                (Token::Str(_) | Token::String(_), _),
                (Token::BracketClose, span),
                after,
                ..,
            ] if names.contains(ROW) => Some((span, after)),
            _ => None,
        };
        if let Some((span, (Token::BlockEnd | Token::Ident("if"), _))) = end {
            ends.push(span.end_offset as usize);
        }
    }
    ends
}

#[cfg(test)]
mod tests {
    use super::super::{Cell, Template};
    use super::*;

    const LIST: &str = r#"[{"name":"Tea","n":2}, {"name":"Milk"}]"#;

    #[test]
    fn a_cell_that_contains_json_is_looped_over_and_written_as_it_is() {
        for (text, expected) in [
            ("{{ items }}", LIST),
            ("{% for i in items %}{{ i.name }};{% endfor %}", "Tea;Milk;"),
            ("{%- for i in items if i.n is defined -%} {{ i.name }} {%- endfor -%}", "Tea"),
            ("{% for i in row.items %}{{ i.name }};{% endfor %}", "Tea;Milk;"),
            ("{% for i in row['items'] %}{{ i.name }};{% endfor %}", "Tea;Milk;"),
            ("{% for i in items|fromjson %}{{ i.name }};{% endfor %}", "Tea;Milk;"),
            ("{{ items|from_json|length }} {{ (items|fromjson)[1].name }}", "2 Milk"),
            ("{% for k in object %}{{ k }}{% endfor %}", "b"),
            ("{% for k, v in object|fromjson|items %}{{ k }}={{ v }}{% endfor %}", "b=1"),
            ("{% for i in none %}{{ i }}{% else %}nothing{% endfor %}{{ none|fromjson }}", "nothing"),
            ("{% for c in word|list %}{{ c }}-{% endfor %}", "a-b-"),
            ("{% for w in word|split('a') %}{{ w }}.{% endfor %}", ".b."),
            ("{% set word = [1, 2] %}{% for w in word %}{{ w }}{% endfor %}", "12"),
            ("{% for w in ['xy'] %}{% for c in w %}{{ c }}.{% endfor %}{% endfor %}", "x.y."),
        ] {
            assert_eq!(filled(text, Cell::Text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn values_of_json_rows_keep_their_types() {
        let text = "{% for i in items %}{{ i.name }};{% endfor %}{{ items|fromjson|length }}";

        assert_eq!(filled(text, Cell::Json).as_deref(), Ok("Tea;Milk;2"));
    }

    #[test]
    fn the_error_for_a_cell_that_should_be_json_names_its_column() {
        for (text, message) in [
            ("{% for c in word %}{{ c }}{% endfor %}", "has a column word that is not JSON (expected value"),
            ("{% for c in word %}{% endfor %}", "but the template loops over it; word|list loops over its characters"),
            ("{{ word|fromjson }}", "but the template reads it with fromjson"),
            ("{% for c in number %}{% endfor %}", "has a column number that holds a number, but the template loops"),
            ("{% for c in row['word'] %}{% endfor %}", "has a column word that is not JSON"),
        ] {
            let error = filled(text, Cell::Text).expect_err(text).to_string();

            assert!(error.contains(message), "{text}: {error}");
        }
        let other = filled("{{ (word ~ '!')|fromjson }}", Cell::Text).expect_err("it is not JSON").to_string();
        assert!(other.starts_with("can't be filled into the template, line 1: ") && other.contains("is not JSON"));
    }

    #[test]
    fn reading_json_again_and_again_ends_with_a_message() {
        let long = format!("[{}]", vec!["1"; 1 << 20].join(","));
        let template = Template::parse("{% for n in range(9999) %}{{ x|fromjson|length }}{% endfor %}").expect("good");

        let error = template.render(&[("x", Cell::Text(&long))]);

        assert_eq!(error, Err(TemplateError::TooMuch));
    }

    fn filled<'a>(text: &str, cell: impl Fn(&'a str) -> Cell<'a>) -> Result<String, TemplateError> {
        let columns = [("items", LIST), ("object", r#"{"b":1}"#), ("word", "ab"), ("number", "12"), ("none", " ")];
        Template::read(text)
            .expect("the test writes valid templates")
            .render(&columns.map(|(name, text)| (name, cell(text))))
    }
}
