//! Templates, which make a prompt from a row's columns. Only this module uses minijinja.
//!
//! These rules apply when a template is filled in. A name that is not a column is an error and never becomes an empty
//! text. Text is inserted as it is, without escaping. A template sees only the row: no file and no environment. JSON's
//! null becomes an empty text, as an empty CSV cell does. A JSON value that is neither null nor a text is written as
//! JSON. JSON values keep their types, so that `{% if %}` and `{% for %}` work on these values.
//!
//! A template is one text, or a list of messages ([`messages`]) whose texts are filled in one by one from the same row.
//! A system prompt can be a template too ([`Template::of_system`]). Columns that contain JSON are handled by
//! [`columns_as_json`].
//!
//! A template in the configuration file of a folder can come from a stranger, so the cost of a template is limited:
//! - The size and depth of the template's source are limited ([`shape`]).
//! - Filling in the template for a row uses fuel (`error::FUEL`): every step, byte and item costs fuel. So an endless
//!   loop stops with an error, and so does a loop that doubles a string again and again. If the template is a list of
//!   messages, all its texts share the fuel of the row.
//! - Templates have no macros, no includes, no blocks, no recursive loops and no `namespace`. So a loop keeps no values
//!   from one iteration to the next. Values can't be nested deeper than the template's source and the row's JSON.
//!
//! A template without a column would make the same prompt for every row, and the user would pay for each one. So the
//! program rejects such a template before it reads any row. A template with an unknown filter is rejected at the same
//! moment.
//!
//! A chain of assignments can make a value that contains the same list many times. The fuel does not limit the size of
//! such a value. So a watchdog uses [`Template::pulse`] to notice if a template takes too long to fill in.

mod blocks;
mod columns_as_json;
mod condition;
mod engine;
mod error;
mod filling;
mod filters;
mod messages;
mod shape;
mod spelling;
mod uses;
mod values;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use minijinja::Environment;
use minijinja::syntax::SyntaxConfig;
use serde_json::value::RawValue;

use self::engine::Source;
use self::error::{Part, syntax};
use self::filters::check_names;
use self::messages::Messages;
use self::shape::Within;
use self::uses::ROW;
use crate::domain::json::string_value;
use crate::domain::shortened;

pub(crate) use self::condition::row_of;
pub use self::condition::{Condition, ConditionError, Facts};
pub use self::error::TemplateError;
pub(crate) use self::uses::{Placeholder, placeholders};

/// A value of a row, for a template.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cell<'a> {
    /// Plain text.
    Text(&'a str),
    /// JSON text.
    Json(&'a str),
}

/// Returns the part of a template's text that is the same for every row: what comes before the first tag.
fn fixed_start(text: &str) -> Option<String> {
    let at = ["{{", "{%", "{#"].iter().filter_map(|tag| text.find(tag)).min()?;
    // A tag that begins with a minus sign removes the blanks before it.
    let is_trimmed = text.as_bytes().get(at + 2) == Some(&b'-');
    let start = if is_trimmed { text[..at].trim_end() } else { &text[..at] };
    (!start.trim().is_empty()).then(|| start.to_owned())
}

/// A parsed template, which is cheap to clone.
#[derive(Clone)]
pub struct Template {
    inner: Arc<Inner>,
}

struct Inner {
    environment: Environment<'static>,
    form: Form,
    names: BTreeSet<String>,
    row_columns: BTreeSet<String>,
    is_whole_row: bool,
    placeholders: Vec<Placeholder>,
    fixed_starts: Vec<String>,
    begun: AtomicU64,
    ended: AtomicU64,
}

/// The result of filling in a template.
pub(super) enum Filled {
    /// The text of one user message.
    Prompt(String),
    /// The value of `messages`.
    Messages(Box<RawValue>),
}

/// The part of a request that a template makes.
enum Form {
    /// The text of one user message.
    Prompt,
    /// The system prompt, as one text.
    System,
    /// The blocks of the system prompt.
    SystemBlocks(Messages),
    /// All messages of the request.
    Messages(Messages),
}

impl Form {
    fn shown(&self) -> &'static str {
        match self {
            Self::Prompt | Self::Messages(_) => "the template",
            Self::System | Self::SystemBlocks(_) => "--system",
        }
    }

    /// Returns the message or block with this number; `None` if the template is one text.
    fn part(&self, number: usize) -> Option<Part> {
        match self {
            Self::Prompt | Self::System => None,
            Self::SystemBlocks(_) => Some(Part::Block(number)),
            Self::Messages(_) => Some(Part::Message(number)),
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("names", &self.inner.names).finish_non_exhaustive()
    }
}

impl Template {
    /// Parses a template. A template is plain text with `{{column}}` and other features of minijinja, or a JSON list of
    /// messages with such texts. The docs of this module say which features are excluded.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`], [`TemplateError::Messages`], [`TemplateError::NoColumn`], [`TemplateError::NoSuch`].
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let parsed = match Messages::read(text) {
            Some(messages) => Self::of(Form::Messages(messages?), text)?,
            None => Self::read(text)?,
        };
        if !parsed.uses_columns() {
            return Err(TemplateError::NoColumn { remedy: remedy(parsed.placeholders().first()) });
        }
        Ok(parsed)
    }

    /// Parses a system prompt that may be a template. Returns `None` for plain text, which is sent byte for byte.
    ///
    /// The text is a template if it can be parsed, and if it also names a column or has a `{% raw %}` block. All other
    /// texts are sent as they are, because braces are common in system prompts.
    ///
    /// # Errors
    /// [`TemplateError::NoSuch`] if the text names a column, and also uses a filter or a test that does not exist.
    pub(crate) fn of_system(text: &str) -> Result<Option<Self>, TemplateError> {
        if !["{{", "{%"].iter().any(|sign| text.contains(sign)) {
            return Ok(None);
        }
        Self::or_plain(Form::System, text)
    }

    /// Parses a system prompt that is a JSON array of content blocks; `None` if the blocks are sent as they are. The
    /// texts of the blocks follow the rules of [`Template::of_system`].
    ///
    /// # Errors
    /// The errors of [`Template::of_system`].
    pub(crate) fn of_system_blocks(json: &str) -> Result<Option<Self>, TemplateError> {
        match Messages::of_blocks(json) {
            Some(blocks) if !blocks.texts.is_empty() => Self::or_plain(Form::SystemBlocks(blocks), json),
            _ => Ok(None),
        }
    }

    fn or_plain(form: Form, text: &str) -> Result<Option<Self>, TemplateError> {
        match Self::of(form, text) {
            Ok(parsed) => Ok(Some(parsed).filter(|own| own.uses_columns() || has_raw_block(text))),
            Err(error @ TemplateError::NoSuch { .. }) => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Returns a template that uses no column and takes no time to fill in.
    pub(super) fn plain() -> Self {
        Self::read("x").expect("plain text is a template")
    }

    fn read(text: &str) -> Result<Self, TemplateError> {
        Self::of(Form::Prompt, text)
    }

    fn of(form: Form, text: &str) -> Result<Self, TemplateError> {
        let config = SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(|error| syntax(&error))?;
        let sources: Vec<(Option<Part>, &str)> = match &form {
            Form::Prompt | Form::System => vec![(None, text)],
            Form::Messages(list) | Form::SystemBlocks(list) => {
                shape::check_length(text)?;
                list.texts.iter().map(|text| (form.part(text.number), &*text.text)).collect()
            }
        };
        let fixed_starts = sources.iter().filter_map(|(_, text)| fixed_start(text)).collect();
        let mut environment = engine::environment(&config);
        let (mut names, mut row_columns, mut is_whole_row) = (BTreeSet::new(), BTreeSet::new(), false);
        let mut placeholders = Vec::new();
        for (at, (part, text)) in sources.into_iter().enumerate() {
            let explained = |error: TemplateError| with_remedy(error.of_part(part), text, &config);
            shape::check(text, &config).map_err(explained)?;
            let uses = uses::of(text, Within::Text, &config).map_err(explained)?;
            let found = on_a_deep_stack(|| engine::add(&mut environment, Source { at, text }, &config));
            let found = found.map_err(explained)?;
            check_names(&environment, &uses).map_err(explained)?;
            // If the template defines its own variable `row`, the name `row` does not mean the columns.
            if found.contains(ROW) {
                row_columns.extend(uses.row_columns);
                is_whole_row |= uses.is_whole_row;
            }
            names.extend(found);
            placeholders.extend(uses.placeholders);
        }
        if let Form::Messages(list) | Form::SystemBlocks(list) = &form {
            placeholders.extend(list.placeholders.iter().cloned());
        }
        let (begun, ended) = (AtomicU64::new(0), AtomicU64::new(0));
        Ok(Self {
            inner: Arc::new(Inner {
                environment,
                form,
                names,
                row_columns,
                is_whole_row,
                placeholders,
                fixed_starts,
                begun,
                ended,
            }),
        })
    }

    /// Returns a number while a row is being filled in, and `None` at all other times. Each row has a different number.
    ///
    /// The fuel of a row lasts for at most two seconds. So if a row takes much longer than two seconds, the template
    /// will not be filled in within a reasonable time.
    pub(crate) fn pulse(&self) -> Option<u64> {
        let ended = self.inner.ended.load(Ordering::Acquire);
        let begun = self.inner.begun.load(Ordering::Acquire);
        (begun > ended).then_some(begun)
    }

    /// Returns the fixed start of each text that is filled in: what comes before the first column.
    pub(super) fn fixed_starts(&self) -> Vec<String> {
        self.inner.fixed_starts.clone()
    }

    /// Returns the columns that the template uses: first the columns whose names stand alone, then the columns written
    /// as `row["…"]`. Each group is sorted.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.names().chain(self.inner.row_columns.iter().map(String::as_str))
    }

    /// Returns whether the template uses `row` as a whole. If the template uses the whole row, any column can be part
    /// of the prompt.
    pub(crate) fn is_of_whole_row(&self) -> bool {
        self.inner.is_whole_row
    }

    /// Returns whether a column can be part of the text that the template makes.
    pub(crate) fn can_send(&self, column: &str) -> bool {
        self.is_of_whole_row() || self.columns().any(|own| own == column)
    }

    /// Returns how many messages the template has; `None` if the template is one text.
    pub(crate) fn messages(&self) -> Option<usize> {
        match &self.inner.form {
            Form::Messages(messages) => Some(messages.count()),
            Form::Prompt | Form::System | Form::SystemBlocks(_) => None,
        }
    }

    fn uses_columns(&self) -> bool {
        self.columns().next().is_some() || self.is_of_whole_row()
    }

    /// Returns the parts of the template's plain text that look like placeholders but are not filled in.
    pub(crate) fn placeholders(&self) -> &[Placeholder] {
        &self.inner.placeholders
    }

    /// Returns the columns that the template uses directly, by their names alone. All these columns must exist.
    fn names(&self) -> impl Iterator<Item = &str> {
        self.inner.names.iter().map(String::as_str).filter(|name| *name != ROW)
    }

    /// Returns how a column is written in a template: as its name, or as `row["…"]` if the name contains spaces or
    /// punctuation.
    pub(crate) fn expression(column: &str) -> String {
        let is_word = column.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match column.chars().next() {
            Some(first) if is_word && !first.is_ascii_digit() => column.to_owned(),
            // The expression is shown inside single quotes for a shell, so it must not contain a single quote.
            _ => format!("row[{}]", serde_json::Value::from(column).to_string().replace('\'', "\\u0027")),
        }
    }

    /// Fills the template with a row.
    ///
    /// # Errors
    /// Any [`TemplateError`], except the errors that [`Template::parse`] finds.
    pub(super) fn fill(&self, columns: &[(&str, Cell<'_>)]) -> Result<Filled, TemplateError> {
        let mut texts = self.filled(columns)?;
        let Form::Messages(messages) = &self.inner.form else {
            let prompt = texts.pop().unwrap_or_default();
            self.refuse_empty(&prompt, || "prompt".to_owned())?;
            return Ok(Filled::Prompt(prompt));
        };
        for (text, filled) in messages.texts.iter().zip(&texts).filter(|(text, _)| text.is_needed) {
            self.refuse_empty(filled, || format!("message {}", text.number))?;
        }
        Ok(Filled::Messages(messages.with(&texts)))
    }

    /// Returns the value of `system` for a row.
    ///
    /// # Errors
    /// The errors of [`Template::fill`].
    pub(super) fn system(&self, columns: &[(&str, Cell<'_>)]) -> Result<Box<RawValue>, TemplateError> {
        let mut texts = self.filled(columns)?;
        if let Form::SystemBlocks(blocks) = &self.inner.form {
            for (text, filled) in blocks.texts.iter().zip(&texts).filter(|(text, _)| text.is_needed) {
                self.refuse_empty(filled, || format!("block {} of the system prompt", text.number))?;
            }
            return Ok(blocks.with(&texts));
        }
        let system = texts.pop().unwrap_or_default();
        self.refuse_empty(&system, || "system prompt".to_owned())?;
        Ok(string_value(&system))
    }

    fn refuse_empty(&self, text: &str, what: impl Fn() -> String) -> Result<(), TemplateError> {
        let by = self.inner.form.shown();
        if text.trim().is_empty() { Err(TemplateError::Empty { what: what(), by }) } else { Ok(()) }
    }

    /// Fills in the only text of a template with the columns of a row.
    #[cfg(test)]
    pub(super) fn render(&self, columns: &[(&str, Cell<'_>)]) -> Result<String, TemplateError> {
        self.filled(columns).map(|texts| texts.concat())
    }
}

/// Runs the parser on a thread with enough stack for every accepted source.
fn on_a_deep_stack<T: Send>(parse: impl FnOnce() -> Result<T, TemplateError> + Send) -> Result<T, TemplateError> {
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(shape::PARSER_STACK_BYTES).spawn_scoped(scope, parse);
        match thread.map(thread::ScopedJoinHandle::join) {
            Ok(Ok(parsed)) => parsed,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(TemplateError::Syntax {
                line: 1.into(),
                message: format!("no thread can be started to read it: {error}"),
            }),
        }
    })
}

/// Returns whether a valid template has a block whose content is plain text.
fn has_raw_block(text: &str) -> bool {
    text.match_indices("{%").any(|(at, _)| text[at + 2..].trim_start_matches(['-', '+', ' ']).starts_with("raw"))
}

/// Returns advice on what to write in a template that names no column.
fn remedy(placeholder: Option<&Placeholder>) -> String {
    match placeholder {
        Some(Placeholder { written, column }) => {
            format!("write {{{{ {} }}}} instead of {}", Template::expression(column), shortened(written))
        }
        None => "write {{ name }} where the text of the column `name` belongs".to_owned(),
    }
}

/// Adds a hint to an error: what the author of the template probably meant.
fn with_remedy(error: TemplateError, text: &str, config: &SyntaxConfig) -> TemplateError {
    let TemplateError::Syntax { line, message } = error else { return error };
    let hint = blocks::remedy(text, config).or_else(|| uses::misspelt(text).map(|meant| remedy(Some(&meant))));
    let message = hint.map_or(message.clone(), |hint| format!("{message}; {hint}"));
    TemplateError::Syntax { line, message }
}

/// Returns the columns that a template uses but an input does not have.
pub(super) fn missing_columns(template: &Template, has: impl Fn(&str) -> bool) -> Option<Vec<&str>> {
    let missing: Vec<&str> = template.names().filter(|name| !has(name)).collect();
    (!missing.is_empty()).then_some(missing)
}

#[cfg(test)]
mod tests {
    use minijinja::ErrorKind;

    use super::error::Line;
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
    fn json_is_written_as_spelled_and_templates_still_calculate() {
        let columns = [
            ("price", "2.50"),
            ("wei", "1.000000000000000001"),
            ("uuid", "340282366920938463463374607431768211455"),
            ("q", r#"{ "z":1, "a": 1.20, "list": [1e3, 0.10, {"b":-0}], "t":"\u00e9" }"#),
            ("items", r#"[{"name":"x","n":2.0},{"name":"y","n":1.50}]"#),
            ("prices", "[2.50,1.20]"),
            ("huge", r#"{"label":"keep","score":1e400}"#),
        ];
        for (text, expected) in [
            ("{{price}} | {{wei}} | {{uuid}}", "2.50 | 1.000000000000000001 | 340282366920938463463374607431768211455"),
            ("{{q}}", r#"{"z":1,"a":1.20,"list":[1e3,0.10,{"b":-0}],"t":"é"}"#),
            ("{{q.a}} {{q['list'][0]}} {{q.list[2].b}} {{row.q.a}}", "1.20 1e3 -0 1.20"),
            ("{% for k, v in q|items %}{{k}}={{v}};{% endfor %}", r#"z=1;a=1.20;list=[1e3,0.10,{"b":-0}];t=é;"#),
            ("{% for k in row %}{{k}} {% endfor %}", "price wei uuid q items prices huge "),
            ("{{ price * 2 }} {{ (price) * 2 }} {{ -price }} {{ price|default(0) + 1 }}", "5.0 5.0 -2.5 3.5"),
            ("{{ (price or 0) * 2 }} {{ (price if price else 0) * 2 }}", "5.0 5.0"),
            ("{{ 'more' if price > 2 else 'less' }} {{ price if price > 2 else '' }}", "more 2.50"),
            ("{% if price > 2 and price < 3 and price == 2.5 %}{{ price }}{% endif %}", "2.50"),
            ("{% if price in [2.5] and price is number and price is ge 2 %}{{ price ~ ' $' }}{% endif %}", "2.50 $"),
            ("{{ price|default('none') }} {{ gone|default('none') }} {{ price|string }}", "2.50 none 2.50"),
            ("{{ price|round(1) }} {{ price|int }} {{ prices|sum }} {{ prices|sort|first }}", "2.5 2 3.7 1.2"),
            (
                "{{ prices|join(', ') }}: {% for p in prices %}{{ p }} {{ p * 2 }};{% endfor %}",
                "2.50, 1.20: 2.50 5.0;1.20 2.4;",
            ),
            ("{% for p in prices if p > 2 %}{{ p }}{% endfor %}", "2.50"),
            (
                "{% for i in items|sort(attribute='n') %}{{ i.name }} {{ i.n }} {{ i.n * 2 }};{% endfor %}",
                "y 1.50 3.0;x 2.0 4.0;",
            ),
            ("{{ items|map(attribute='n')|join(' ') }} {{ items|map(attribute='n')|sum }}", "2.0 1.50 3.5"),
            (
                "{% set p = price %}{{ p }} {{ p * 2 }}{% set o = q|fromjson %} {{ o.a }} {{ (q|fromjson).a * 2 }}",
                "2.50 5.0 1.20 2.4",
            ),
            ("{% with p = price, d = price * 2 %}{{ p }} {{ d }}{% endwith %}", "2.50 5.0"),
            (
                "{{ [price, q.a] }} {{ {'p': price} }} {{ prices[1] }} {{ prices[-1] }}",
                r#"[2.50,1.20] {"p":2.5} 1.20 1.2"#,
            ),
            (
                "{{ huge.label|default('none') }} {{ huge.score }} {{ huge }}",
                r#"keep 1e400 {"label":"keep","score":1e400}"#,
            ),
            (
                "{{ 4 is divisibleby price }}{{ 5.0 is divisibleby(price) }} {{ {'recursive': price}.recursive * 2 }}",
                "falsetrue 5.0",
            ),
            ("{% if huge.label == 'keep' %}{{ huge.label }}{% endif %}", "keep"),
        ] {
            let filled = parse(text).render(&columns.map(|(name, json)| (name, Cell::Json(json))));

            assert_eq!(filled.as_deref(), Ok(expected), "{text}");
        }
        for text in ["{{ huge.score * 2 }}", "{% if huge.score > 2 %}x{% endif %}"] {
            let error = parse(text).render(&columns.map(|(name, json)| (name, Cell::Json(json)))).expect_err(text);

            assert!(error.to_string().contains("the number 1e400 is too large to calculate with"), "{error}");
        }
    }

    #[test]
    fn an_unknown_column_is_an_error_that_names_it() {
        let error = parse("{{text}} {{titel}}").render(&[("text", Cell::Text("x")), ("title", Cell::Text("y"))]);

        let message = error.expect_err("titel is missing").to_string();
        assert_eq!(message, "has no titel, which the template uses (found: text, title; did you mean title?)");
        assert!(parse("{{ row['nope'] }}").render(&[("text", Cell::Text("x"))]).is_err());
    }

    #[test]
    fn the_columns_that_a_template_names_are_found() {
        let template = parse("{% for n in range(3) %}{{ n }}{{ b }}{% endfor %}{{ a.x }}{{ row['c d'] }}");

        assert_eq!(template.columns().collect::<Vec<_>>(), ["a", "b", "c d"]);
        assert_eq!(missing_columns(&template, |name| name == "a"), Some(vec!["b"]));
        assert!(!template.is_of_whole_row() && parse("{{ row|items }}").is_of_whole_row());
    }

    #[test]
    fn a_template_without_a_column_is_refused_with_advice() {
        let cases = [
            ("Classify {body}", "write {{ body }} instead of {body}"),
            ("Classify {body}}", "write {{ body }} instead of {body}}"),
            ("Classify ${body}", "write {{ body }} instead of ${body}"),
            ("Classify $body", "write {{ body }} instead of $body"),
            ("Classify %body%", "write {{ body }} instead of %body%"),
            ("Classify <body>", "write {{ body }} instead of <body>"),
            ("Classify [body]", "write {{ body }} instead of [body]"),
            ("Classify {first name}", "write {{ row[\"first name\"] }} instead of {first name}"),
            ("Classify this", "write {{ name }} where the text of the column `name` belongs"),
            ("", "write {{ name }}"),
            ("{{ 'body' }}", "write {{ name }}"),
            ("{% raw %}{{ body }}{% endraw %}", "write {{ name }}"),
            ("{# {{ body }} #}Classify", "write {{ name }}"),
            ("{% for x in [] %}{{ x }}{% endfor %}", "write {{ name }}"),
            ("{% for n in range(3) %}{{ n }}{% endfor %}", "write {{ name }}"),
            ("{% set body = 'x' %}{{ body }}", "write {{ name }}"),
        ];

        for (text, remedy) in cases {
            let error = Template::parse(text).expect_err(text);

            assert!(matches!(error, TemplateError::NoColumn { .. }), "{text}: {error}");
            assert!(error.to_string().contains(remedy), "{text}: {error}");
        }
        for text in ["{{ row['x'] }}", "{{ row.x }}", "{% for n, v in row|items %}{{ v }}{% endfor %}", "{x} {{ y }}"] {
            assert!(Template::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn the_error_for_a_source_that_can_not_be_parsed_says_what_was_probably_meant() {
        for (text, remedy) in [
            ("Classify {{body}", "write {{ body }} instead of {{body}"),
            ("Classify {{{body}}}", "write {{ body }} instead of {{{body}}}"),
            ("Classify {% body %}", "write {{ body }} instead of {% body %}"),
            ("Classify {% if body %}{{ body }}", "add {% endif %}: it ends {% if body %} on line 1"),
            ("Classify {{ first name }}", "write {{ row[\"first name\"] }} instead of {{ first name }}"),
        ] {
            let error = Template::parse(text).expect_err(text).to_string();

            assert!(error.contains("the template is wrong on line 1") && error.contains(remedy), "{text}: {error}");
        }
    }

    #[test]
    fn an_unknown_filter_is_reported_before_any_row_is_read() {
        for (text, message) in [
            ("{{ body|uper }}", "line 1: there is no filter uper; did you mean `upper`?"),
            ("a\n{{ body | summarize }}", "line 2: there is no filter summarize"),
            ("{% if false %}{{ body|nope }}{% endif %}", "there is no filter nope"),
            ("{{ body|map('upper')|jion(', ') }}", "there is no filter jion"),
            ("{% if body is not defind %}{% endif %}", "there is no test defind; did you mean `defined`?"),
        ] {
            let error = Template::parse(text).expect_err(text).to_string();

            assert!(error.contains(message), "{text}: {error}");
        }
        for text in [
            "{{ 'a | nope' ~ body }}",
            "{{ body|default('x')|upper }}",
            "{% if body is defined %}{% endif %}",
            "{{ a.is }}",
        ] {
            assert!(Template::parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn every_suggested_name_is_a_filter_or_a_test() {
        let environment = engine::environment(&SyntaxConfig::default());
        let mut state = environment.empty_state();

        let unknown = filters::KNOWN.iter().filter(|name| {
            let filter = state.apply_filter(name, &[]).err().map(|error| error.kind());
            let test = state.perform_test(name, &[]).err().map(|error| error.kind());
            filter == Some(ErrorKind::UnknownFilter) && test == Some(ErrorKind::UnknownTest)
        });

        assert_eq!(unknown.collect::<Vec<_>>(), Vec::<&&str>::new());
    }

    #[test]
    fn the_error_for_a_broken_template_names_its_line() {
        let error = Template::parse("fine\n{{ oops").expect_err("it is not closed");

        assert!(matches!(error, TemplateError::Syntax { line: Line { part: None, number: 2 }, .. }), "{error}");
    }

    #[test]
    fn a_template_can_not_read_a_file() {
        for text in ["{% include '/etc/passwd' %}", "{% import 'template' as t %}", "{% extends '/etc/passwd' %}"] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_template_with_an_endless_loop_is_stopped() {
        let text = "{% for a in range(100000) %}{% for b in range(100000) %}{{ x }}{% endfor %}{% endfor %}";

        let error = parse(text).render(&[("x", Cell::Text(&"x".repeat(1 << 20)))]);

        assert_eq!(error, Err(TemplateError::TooLong));
    }

    #[test]
    fn templates_that_multiply_text_end_with_a_message() {
        let doubled = format!("{{% set s = 'ab' %}}{}{{{{ s|length }}}}", "{% set s = s ~ s %}".repeat(60));
        let shared = format!("{{% set s = [x] %}}{}{{{{ s }}}}", "{% set s = [s, s] %}".repeat(60));
        for text in [
            "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
            "{% for a in range(99999) %}{% if a in range(99999) %}{% endif %}{% endfor %}",
            "{{ ('x' * 1000000000)|length }}",
            "{{ [1] * 1000000000 }}",
            "{{ range(1000000000) }}",
            "{{ 'x\ny'|indent(1000000000) }}",
            "{{ '%1000000000d'|format(1) }}",
            "{{ [1]|batch(1000000000, 0)|list }}",
            "{{ [1]|slice(1000000000, 0)|list }}",
            "{{ ('x' * 1000)|replace('x', 'y' * 1000000) }}",
            "{{ range(99999)|join('y' * 100000) }}",
            "{{ namespace(a=1) }}",
            &doubled,
            &shared,
        ] {
            let begun = std::time::Instant::now();

            let error = parse(text).render(&[("x", Cell::Text("x"))]).expect_err(text);

            let message = error.to_string();
            assert!(
                message.contains("when filled into the template") || message.contains("can't be filled"),
                "{message}"
            );
            assert!(begun.elapsed().as_secs() < 30, "{text}: {:?}", begun.elapsed());
        }
    }

    #[test]
    fn ordinary_templates_over_large_rows_are_filled() {
        let list = format!("[{}]", vec![r#"{"name":"a name","n":17}"#; 10_000].join(","));
        let (cell, document) = ("word ".repeat(20_000), format!("[{}]", vec!["\"word\""; 400_000].join(",")));
        let columns = [
            ("items", Cell::Json(&list)),
            ("cell", Cell::Text(&cell)),
            ("document", Cell::Json(&document)),
            ("huge", Cell::Text(&"x".repeat(8 << 20))),
        ];
        for text in [
            "{% for i in items %}{{ loop.index }}. {{ i.name|upper|trim }}: {{ i.n * 2 }}{% if not loop.last %}, {% endif %}\n{% endfor %}",
            "{{ items|map(attribute='name')|unique|join(', ') }}{{ items|groupby('n')|length }}{{ items|sort(attribute='name')|length }}",
            "{{ cell }}{{ cell|upper }}{{ cell|replace('word', 'term') }}{% set c = cell ~ cell %}{{ c|length }}{{ c|indent(4) }}",
            "{{ document }}",
            "{{ huge }}{{ huge|upper }}{{ huge|trim }}",
            "{% for w in cell|split(' ') %}{{ w }};{% endfor %}",
        ] {
            let filled = parse(text).render(&columns);

            assert!(filled.is_ok(), "{text}: {}", filled.expect_err("it is not filled"));
        }
    }

    #[test]
    fn an_expression_can_name_any_column() {
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
        Template::read(text).expect("the test writes valid templates")
    }
}
