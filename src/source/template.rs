//! Templates: a row's columns become a prompt. The only user of minijinja.
//!
//! Owns the rules of filling in: a name that is no column is an error and never an empty word; text goes in as it is,
//! without escaping; nothing but the row can be reached, no file and no environment. JSON's null is empty, as an empty
//! CSV cell is; other JSON values keep their types, so that `{% if %}` and `{% for %}` work on them, and are written as
//! JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::sync::Arc;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::error::{name_list, short};

/// The template's name inside the environment. Without an extension, since that would choose an escaping.
const NAME: &str = "template";

/// Under this name a template reaches columns that are no identifiers: `{{ row["first name"] }}`.
const ROW: &str = "row";

/// The longest prompt a template makes: more than the API takes, and a bound for loops that run away.
const MAX_PROMPT_BYTES: usize = 33 << 20;

/// What is wrong with a template, or with filling it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It can't be understood.
    #[error("the template is wrong on line {line}: {message}")]
    Syntax {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// It names columns that a row has not.
    #[error("has no {missing}, which the template names (found: {columns})")]
    MissingColumn {
        /// The names, with commas between them.
        missing: String,
        /// The columns there are, with commas between them.
        columns: String,
    },
    /// A prompt would be longer than any request may be.
    #[error("gives a prompt of more than {} MB when filled into the template", MAX_PROMPT_BYTES >> 20)]
    TooLong,
    /// Something else fails while it is filled.
    #[error("can't be filled into the template, line {line}: {message}")]
    Fill {
        /// Line in the template, from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
}

/// A value of a row, for a template.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// Plain text.
    Text(&'a str),
    /// JSON text.
    Json(&'a str),
}

/// A parsed template. Cheap to clone.
#[derive(Clone)]
pub struct Template {
    inner: Arc<Inner>,
}

struct Inner {
    environment: Environment<'static>,
    names: BTreeSet<String>,
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("names", &self.inner.names).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template, `{{column}}` in plain text or anything else minijinja knows.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_syntax(SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(syntax)?);
        environment.set_formatter(show);
        environment.add_template_owned(NAME, text.to_owned()).map_err(syntax)?;

        let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let named = environment.get_template(NAME).map_err(syntax)?.undeclared_variables(false);
        let names = named.into_iter().filter(|name| !globals.contains(&**name)).collect();
        Ok(Self { inner: Arc::new(Inner { environment, names }) })
    }

    /// Returns the columns the template names, sorted; those named through `row["…"]` can't be told.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.inner.names.iter().map(String::as_str).filter(|name| *name != ROW)
    }

    /// Returns how a template names a column: itself, or `row["…"]` when it is no identifier.
    pub(super) fn expression(column: &str) -> String {
        let is_word = column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match column.chars().next() {
            Some(first) if is_word && !first.is_ascii_digit() => column.to_owned(),
            // It is shown within single quotes of a shell, which the name must not end.
            _ => format!("row[{}]", serde_json::Value::from(column).to_string().replace('\'', "\\u0027")),
        }
    }

    /// Fills the template with a row.
    ///
    /// # Errors
    /// Any [`TemplateError`] but `Syntax`.
    pub(super) fn render(&self, columns: &[(&str, Cell<'_>)]) -> Result<String, TemplateError> {
        let template = self.inner.environment.get_template(NAME).map_err(|error| fill(&error))?;
        let mut prompt = Bounded(Vec::new());
        match template.render_captured_to(self.context(columns), &mut prompt) {
            Ok(_) => {}
            Err(_) if prompt.0.len() >= MAX_PROMPT_BYTES => return Err(TemplateError::TooLong),
            Err(error) => return Err(self.explain(&error, columns)),
        }
        Ok(String::from_utf8(prompt.0).expect("a template writes text"))
    }

    fn context(&self, columns: &[(&str, Cell<'_>)]) -> Value {
        let names = &self.inner.names;
        let named = columns.iter().filter(|(name, _)| names.contains(*name));
        let mut context: BTreeMap<String, Value> =
            named.map(|(name, cell)| ((*name).to_owned(), cell.value())).collect();
        if names.contains(ROW) {
            let row: BTreeMap<String, Value> =
                columns.iter().map(|(name, cell)| ((*name).to_owned(), cell.value())).collect();
            context.insert(ROW.to_owned(), Value::from_object(row));
        }
        Value::from_object(context)
    }

    fn explain(&self, error: &minijinja::Error, columns: &[(&str, Cell<'_>)]) -> TemplateError {
        let there = || columns.iter().map(|(name, _)| *name);
        let missing: Vec<&str> = self.columns().filter(|name| !there().any(|own| own == *name)).collect();
        if error.kind() == ErrorKind::UndefinedError && !missing.is_empty() {
            let (missing, columns) = (name_list(missing), name_list(there()));
            return TemplateError::MissingColumn { missing, columns };
        }
        fill(error)
    }
}

impl Cell<'_> {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(*text),
            // A number beyond what a computer's numbers hold stays as it was written.
            Self::Json(json) => serde_json::from_str(json).unwrap_or_else(|_| Value::from(*json)),
        }
    }
}

/// Writes a value into the prompt: null as nothing; true, false, lists and objects as JSON, as the row had them.
fn show(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    let json = match value.kind() {
        ValueKind::None => return Ok(()),
        ValueKind::Bool | ValueKind::Seq | ValueKind::Map => serde_json::to_string(value).ok(),
        _ => None,
    };
    match json {
        Some(json) => out.write_str(&json).map_err(|_| ErrorKind::WriteFailure.into()),
        None => minijinja::escape_formatter(out, state, value),
    }
}

fn syntax(error: minijinja::Error) -> TemplateError {
    TemplateError::Syntax { line: error.line().unwrap_or(1), message: told(&error) }
}

fn fill(error: &minijinja::Error) -> TemplateError {
    TemplateError::Fill { line: error.line().unwrap_or(1), message: told(error) }
}

fn told(error: &minijinja::Error) -> String {
    match error.detail() {
        Some(detail) => format!("{}: {}", error.kind(), detail),
        None if error.kind() == ErrorKind::UndefinedError => "a value is not there".to_owned(),
        None => error.kind().to_string(),
    }
}

/// Memory that refuses more than a prompt's worth.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = MAX_PROMPT_BYTES - self.0.len();
        self.0.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if bytes.len() > room { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the columns a template names and an input has not, for its error.
pub(super) fn missing_columns(template: &Template, has: impl Fn(&str) -> bool) -> Option<String> {
    let missing: Vec<String> = template.columns().filter(|name| !has(name)).map(short).collect();
    (!missing.is_empty()).then(|| missing.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_filled_in_without_escaping() {
        let template = parse("Say {{ word }} & {{row[\"first name\"]}}.\n");

        let prompt = template.render(&[("word", Cell::Text("<b>\"x\"</b>")), ("first name", Cell::Text("Zoë"))]);

        assert_eq!(prompt.as_deref(), Ok("Say <b>\"x\"</b> & Zoë.\n"));
    }

    #[test]
    fn json_values_keep_their_types() {
        let template =
            parse("{{s}}|{{n}}|{{f}}|{{b}}|{{z}}|{% for x in l %}{{x}};{% endfor %}|{{o.k}}|{{o}}|{{l}}|{{big}}");
        let columns = [
            ("s", r#""a\n\u00e9""#),
            ("n", "42"),
            ("f", "1.5"),
            ("b", "true"),
            ("z", "null"),
            ("l", "[1,\"two\"]"),
            ("o", r#"{"k":"v"}"#),
            ("big", "1e999"),
        ];

        let prompt = template.render(&columns.map(|(name, json)| (name, Cell::Json(json))));

        assert_eq!(prompt.as_deref(), Ok("a\né|42|1.5|true||1;two;|v|{\"k\":\"v\"}|[1,\"two\"]|1e999"));
    }

    #[test]
    fn a_name_that_is_no_column_is_an_error_and_named() {
        let error = parse("{{text}} {{titel}}").render(&[("text", Cell::Text("x")), ("title", Cell::Text("y"))]);

        let message = error.expect_err("titel is missing").to_string();
        assert_eq!(message, "has no titel, which the template names (found: text, title)");
        assert!(parse("{{ row['nope'] }}").render(&[("text", Cell::Text("x"))]).is_err());
    }

    #[test]
    fn the_columns_a_template_names_are_known() {
        let template = parse("{% for n in range(3) %}{{ n }}{{ b }}{% endfor %}{{ a.x }}{{ row['c d'] }}");

        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(missing_columns(&template, |name| name == "a"), Some("b".to_owned()));
    }

    #[test]
    fn a_broken_template_names_its_line() {
        let error = Template::parse("fine\n{{ oops").expect_err("it is not closed");

        assert!(matches!(error, TemplateError::Syntax { line: 2, .. }), "{error}");
    }

    #[test]
    fn a_template_reaches_no_file() {
        let error = parse("{% include '/etc/passwd' %}").render(&[]);

        assert!(error.is_err());
    }

    #[test]
    fn a_template_that_runs_away_is_stopped() {
        let text = "{% for a in range(100000) %}{% for b in range(100000) %}{{ x }}{% endfor %}{% endfor %}";

        let error = parse(text).render(&[("x", Cell::Text(&"x".repeat(1 << 20)))]);

        assert_eq!(error, Err(TemplateError::TooLong));
    }

    #[test]
    fn expressions_name_any_column() {
        assert_eq!(Template::expression("body"), "body");
        assert_eq!(Template::expression("first name"), r#"row["first name"]"#);
        assert_eq!(Template::expression("2nd"), r#"row["2nd"]"#);
    }

    #[test]
    fn an_expression_stays_within_the_quotes_of_a_shell() {
        let column = "a'; touch PWN; 'b";

        let expression = Template::expression(column);

        assert!(!expression.contains('\''), "{expression}");
        let template = parse(&format!("{{{{{expression}}}}}"));
        assert_eq!(template.render(&[(column, Cell::Text("found"))]).expect("it names the column"), "found");
    }

    fn parse(text: &str) -> Template {
        Template::parse(text).expect("the test writes valid templates")
    }
}
