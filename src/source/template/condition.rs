//! Conditions: expressions about an answer that must be true (`--require`).
//!
//! A condition is an expression like those inside the braces of templates: `json.score >= 0 and json.score <= 10`. The
//! expression can use these names:
//! - `text`: the text of the answer.
//! - `json`: the answer, if it is JSON.
//! - `row`: the row's label, and the members that are kept with the row and not sent (`row_of`).
//! - `usage`: the tokens of the answer, such as `usage.output_tokens`.
//! - `stop_reason`: why the answer ended. `model`: the model that answered.
//!
//! Conditions have stricter rules than templates, because a condition decides about a paid answer. If a condition reads
//! a missing value or compares values of different kinds, the condition can't be evaluated, and the error says why
//! ([`checked`]). The cost of a condition is limited in the same three ways as the cost of a template: by the size of
//! the source, by the fuel (the allowed number of steps), and by the depth of JSON. Reading the JSON of an answer uses
//! up none of these steps.

mod checked;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use minijinja::machinery::ast::Expr;
use minijinja::machinery::{CodeGenerator, Instructions, Span, eval, make_string_output, parse_expr, tokenize};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, Value};

use self::checked::{Checked, Missing, Names, add_checks};
use super::super::names::{nearest, short};
use super::error::{FUEL, TemplateError, syntax, told};
use super::filters::check_names;
use super::shape::{self, Within};
use super::values::{self, View, seen};
use super::{engine, on_a_deep_stack, uses};
use crate::domain::json::string_value;
use crate::domain::{Job, Params, Usage, shortened};

/// The longest expression, in bytes.
const MAX_BYTES: usize = 64 << 10;

/// The names that a condition can use.
const NAMES: [&str; 6] = ["text", "json", "row", "usage", "stop_reason", "model"];

/// The functions that a condition can call.
const FUNCTIONS: [&str; 2] = ["range", "dict"];

/// Returns the members of `usage`, with their numbers of tokens.
fn members_of(usage: Usage) -> [(&'static str, u64); 6] {
    [
        ("input_tokens", usage.input_tokens),
        ("cache_write_5m_tokens", usage.cache_write_5m_tokens),
        ("cache_write_1h_tokens", usage.cache_write_1h_tokens),
        ("cache_read_tokens", usage.cache_read_tokens),
        ("output_tokens", usage.output_tokens),
        ("web_searches", usage.web_searches),
    ]
}

/// A condition on an answer, which is cheap to clone.
#[derive(Clone)]
pub struct Condition {
    inner: Arc<Inner>,
}

struct Inner {
    expression: &'static str,
    environment: Environment<'static>,
    code: Instructions<'static>,
    /// The names that the condition uses.
    names: Vec<&'static str>,
    /// The columns that every row must have, because the condition needs them.
    columns: Vec<String>,
}

/// The parts of an answer and of its row that a condition can use.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The text of the answer.
    pub text: &'a str,
    /// The answer as JSON text; `None` if the answer is not JSON. This text is read only if the condition uses `json`
    /// (`Condition::uses_json`).
    pub json: Option<&'a str>,
    /// The JSON object that `row_of` makes: the label, and the members that are kept with the row. The object is read
    /// only if the condition uses `row` (`Condition::uses_row`).
    pub row: &'a str,
    /// The usage of the answer.
    pub usage: Usage,
    /// Why the answer ended.
    pub stop_reason: Option<&'a str>,
    /// The model.
    pub model: &'a str,
}

/// The names under which a condition finds the label in `row`.
const LABEL: [&str; 2] = ["id", "custom_id"];

/// Returns the JSON object that a condition sees as `row`. The object has the members of [`Job::extra`], and the label
/// under the names `id` and `custom_id`.
///
/// `extra` contains the members that are kept with the row but are not sent. If there is a template, `extra` contains
/// all columns of a table except the label. For a JSON row, `extra` then contains all members except the label and the
/// request fields (such as `max_tokens`). Without a template, the columns and members that become the request (such as
/// `prompt`) are not in `extra`. A row of plain text (a line or a whole text file) has only its label. Cells of CSV
/// files are texts.
pub(crate) fn row_of(job: &Job) -> String {
    let mut row = job.extra.clone();
    LABEL.iter().for_each(|name| row.set_default(name, &string_value(&job.custom_id)));
    let mut json = Vec::new();
    row.write_object(&mut json);
    String::from_utf8_lossy(&json).into_owned()
}

/// A mistake in a condition.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is wrong at column {column}: {message}", shortened(expression))]
pub struct ConditionError {
    /// The expression.
    pub expression: String,
    /// The column of the fault in the expression, counted in characters from 1.
    pub column: usize,
    /// What is wrong with the expression.
    pub message: String,
}

impl fmt::Debug for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Condition").field(&self.inner.expression).finish()
    }
}

impl Condition {
    /// Parses an expression.
    ///
    /// The expression stays in memory until the program ends. A run has only a few conditions.
    ///
    /// # Errors
    /// The expression is empty, too long or too deep, or can't be parsed. It is also an error if the expression uses a
    /// name, a filter or a test that does not exist.
    pub fn parse(expression: &str) -> Result<Self, ConditionError> {
        let expression = expression.trim();
        let wrong = |message: String| ConditionError { expression: expression.to_owned(), column: 1, message };
        if expression.is_empty() {
            return Err(wrong("there is no expression".to_owned()));
        }
        if expression.len() > MAX_BYTES {
            return Err(wrong(format!("it is longer than {} KiB", MAX_BYTES >> 10)));
        }
        let config = SyntaxConfig::default();
        let mut environment = engine::environment(&config);
        add_checks(&mut environment);
        let of_fault =
            |error: TemplateError| ConditionError { column: fault_column(expression), ..wrong(words(error)) };
        shape::check_tokens(expression, Within::Expression, &config).map_err(of_fault)?;
        let parsed: &'static str = Box::leak(Box::from(expression));
        let compile = || compiled(parsed).map_err(|error| syntax(&error));
        let (code, found) = on_a_deep_stack(compile).map_err(of_fault)?;
        if let Some((span, message)) = unknown_name(&found) {
            return Err(ConditionError { column: column(expression, span.start_offset as usize), ..wrong(message) });
        }
        let uses = uses::of(expression, Within::Expression, &config).map_err(|error| wrong(words(error)))?;
        check_names(&environment, &uses).map_err(|error| at_its_name(expression, &error))?;
        let names = NAMES.into_iter().filter(|name| found.variables.iter().any(|(own, _)| own == name)).collect();
        let columns = needed_columns(&found);
        Ok(Self { inner: Arc::new(Inner { expression: parsed, environment, code, names, columns }) })
    }

    /// Returns the expression as it was written, without blanks around it.
    pub(crate) fn expression(&self) -> &str {
        self.inner.expression
    }

    /// Returns whether the condition reads [`Facts::json`].
    pub(crate) fn uses_json(&self) -> bool {
        self.inner.names.contains(&"json")
    }

    /// Returns whether the condition reads [`Facts::row`].
    pub(crate) fn uses_row(&self) -> bool {
        self.inner.names.contains(&"row")
    }

    /// Returns the first column that the condition needs but a row does not have. A column that the condition tests
    /// with `is defined` or replaces with `default` is not needed.
    pub(crate) fn missing_column(&self, extra: &Params) -> Option<&str> {
        self.columns().find(|column| extra.get(column).is_none())
    }

    /// Returns the columns that every row must have, because the condition needs them. The label is not included.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        self.inner.columns.iter().map(String::as_str)
    }

    /// Returns whether the condition is true for an answer.
    ///
    /// # Errors
    /// The condition can't be evaluated for this answer. The error says why. In messages, the condition and a colon
    /// come before this error ("`json.score > 3`: ").
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, String> {
        let (context, not_json) = self.context(facts)?;
        let Inner { environment, code, .. } = &*self.inner;
        let (blocks, mut nowhere) = (BTreeMap::new(), String::new());
        let mut output = make_string_output(&mut nowhere);
        let result = eval(environment, code, context, &blocks, &mut output, AutoEscape::None);
        match result {
            Ok((value, _)) => Ok(value.is_some_and(|value| value.is_true())),
            Err(error) => Err(explained(&error, not_json.as_deref())),
        }
    }

    /// Returns the values of the names that the condition uses. If `json` has no value, also returns the reason.
    fn context(&self, facts: &Facts<'_>) -> Result<(Value, Option<String>), String> {
        let mut not_json = None;
        let mut context: BTreeMap<&'static str, Value> = BTreeMap::new();
        for name in &self.inner.names {
            let value = match *name {
                "text" => Value::from(facts.text),
                "json" => match read(facts.json) {
                    Ok(value) => value,
                    Err(why) => {
                        not_json = Some(why);
                        continue;
                    }
                },
                "row" => plain(facts.row).map_err(|error| format!("the row is not JSON: {error}"))?,
                "usage" => Value::from_pairs(members_of(facts.usage)),
                "stop_reason" => Value::from(facts.stop_reason),
                _ => Value::from(facts.model),
            };
            context.insert(name, value);
        }
        Ok((Value::from_object(context), not_json))
    }
}

fn read(json: Option<&str>) -> Result<Value, String> {
    let Some(json) = json else { return Err("the answer is not JSON".to_owned()) };
    plain(json).map_err(|error| format!("the answer is not JSON: {}", shortened(&error.to_string())))
}

/// Returns the value of a JSON text. A condition compares and calculates, so it sees numbers of the engine.
fn plain(json: &str) -> Result<Value, serde_json::Error> {
    values::read(json).map_or_else(|| serde_json::from_str(json), |value| Ok(seen(&value, View::Plain)))
}

fn compiled(text: &'static str) -> Result<(Instructions<'static>, Names<'static>), Error> {
    let parsed: Expr<'static> = parse_expr(text)?;
    let mut checked = Checked { text, names: Names::default() };
    let strict = checked.used(&parsed);
    let mut generator = CodeGenerator::new("<condition>", text);
    generator.compile_expr(&strict);
    Ok((generator.finish().0, checked.names))
}

fn unknown_name(names: &Names<'_>) -> Option<(Span, String)> {
    let of_list = |(name, span): &(&str, Span), known: &[&str], list: &str| {
        let meant = nearest(name, known.iter().copied());
        let meant = meant.map(|meant| format!("; did you mean {meant}?")).unwrap_or_default();
        (*span, format!("there is no {}{meant} ({list} {})", short(name), known.join(", ")))
    };
    let is_known = |name: &str| NAMES.contains(&name) || FUNCTIONS.contains(&name);
    if let Some(unknown) = names.variables.iter().find(|(name, _)| !is_known(name)) {
        return Some(of_list(unknown, &NAMES, "names are"));
    }
    let members = members_of(Usage::default()).map(|(name, _)| name);
    let unknown = names.of_usage.iter().find(|(name, _)| !members.contains(name))?;
    Some(of_list(unknown, &members, "members of usage are"))
}

/// Returns the columns that every row must have. A column may be missing if the condition also tests whether it is
/// there. Every row has the names of the label.
fn needed_columns(names: &Names<'_>) -> Vec<String> {
    let is_tested = |column: &String| names.of_row.contains(&(column.clone(), Missing::IsTolerated));
    let needed: BTreeSet<&String> = names.of_row.iter().map(|(column, _)| column).collect();
    let is_label = |column: &String| LABEL.contains(&column.as_str());
    needed.into_iter().filter(|column| !is_tested(column) && !is_label(column)).cloned().collect()
}

/// Returns the error about a filter or a test that does not exist, with the place in the expression.
fn at_its_name(expression: &str, error: &TemplateError) -> ConditionError {
    let (name, message) = match error {
        TemplateError::NoSuch { name, kind, nearest, .. } => (&**name, format!("there is no {kind} {name}{nearest}")),
        other => ("", other.to_string()),
    };
    let tokens = tokenize(expression, true, SyntaxConfig::default()).flatten();
    let mut spans = tokens.map(|(_, span)| span.start_offset as usize..span.end_offset as usize);
    let at = spans.find(|range| expression.get(range.clone()) == Some(name)).map_or(0, |range| range.start);
    ConditionError { expression: expression.to_owned(), column: column(expression, at), message }
}

/// Returns the message of an error about the expression. The line number is left out, because the error shows a column.
fn words(error: TemplateError) -> String {
    match error {
        TemplateError::Syntax { message, .. } => message,
        other => other.to_string(),
    }
}

/// A search for a fault looks at this many tokens at the beginning of an expression.
const SEARCHED: usize = 200;

/// Returns the column of the first token that makes an expression invalid, or 1 if this token is not near the
/// beginning. The engine does not say where the mistake is. So this function parses longer and longer beginnings of the
/// expression. It stops at the first error that is not "unexpected end of input".
fn fault_column(expression: &str) -> usize {
    let mut end = 0;
    for (number, token) in tokenize(expression, true, SyntaxConfig::default()).enumerate() {
        let Ok((_, span)) = token else { break };
        if number == SEARCHED {
            return 1;
        }
        let start = span.start_offset as usize;
        end = span.end_offset as usize;
        let beginning = expression.get(..end).unwrap_or_default();
        match parse_expr(beginning) {
            Ok(_) => {}
            Err(error) if error.detail().is_some_and(|detail| detail.contains("unexpected end of input")) => {}
            Err(_) => return column(expression, start),
        }
    }
    let blanks = expression[end..].len() - expression[end..].trim_start().len();
    column(expression, end + blanks)
}

/// Returns the column of a byte, counted in characters from 1.
fn column(expression: &str, byte: usize) -> usize {
    expression.get(..byte).map_or(1, |before| before.chars().count() + 1)
}

/// Returns why a condition could not be evaluated.
fn explained(error: &Error, not_json: Option<&str>) -> String {
    match (error.kind(), error.detail(), not_json) {
        (ErrorKind::UndefinedError, Some("json"), Some(why)) => why.to_owned(),
        (ErrorKind::UndefinedError, Some(name), _) => format!("{} is missing", shortened(name)),
        (ErrorKind::OutOfFuel, ..) => format!("it takes more than {FUEL} steps"),
        (ErrorKind::InvalidOperation, Some(detail), _) => Cow::into_owned(shortened(detail)),
        _ => told(error),
    }
}

#[cfg(test)]
mod tests;
