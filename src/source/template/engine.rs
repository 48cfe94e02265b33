//! Sets up the template engine: which features it has, and how it writes values.

use std::collections::BTreeSet;
use std::io;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Rest, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Output, State, UndefinedBehavior, Value};

use super::columns_as_json;
use super::error::{FUEL, JSON_BYTES_OF_FUEL, TemplateError, syntax};
use super::spelling;
use super::values::write_json;

/// Returns an environment without templates.
pub(super) fn environment(config: &SyntaxConfig) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_syntax(config.clone());
    environment.set_formatter(show);
    environment.set_fuel(Some(FUEL));
    environment.add_function("namespace", no_namespace);
    columns_as_json::add_filters(&mut environment);
    spelling::add_functions(&mut environment);
    environment
}

/// One text of a template.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    /// The position of the text among the texts of the template, counted from 0.
    pub at: usize,
    pub text: &'a str,
}

/// Returns the name of a text inside the environment. The name has no file extension, because the engine would use the
/// extension to choose how the text is escaped.
pub(super) fn name(at: usize) -> String {
    at.to_string()
}

/// Adds a text to an environment. Returns the names that the text uses.
pub(super) fn add(
    environment: &mut Environment<'static>,
    source: Source<'_>,
    config: &SyntaxConfig,
) -> Result<BTreeSet<String>, TemplateError> {
    let name = name(source.at);
    let mut add = |text: String| -> Result<BTreeSet<String>, minijinja::Error> {
        environment.add_template_owned(name.clone(), text)?;
        let globals: BTreeSet<&str> = environment.globals().map(|(name, _)| name).collect();
        let named = environment.get_template(&name)?.undeclared_variables(false);
        Ok(named.into_iter().filter(|name| !globals.contains(&**name)).collect())
    };
    let names = add(source.text.to_owned()).map_err(|error| syntax(&error))?;
    let changed = columns_as_json::with_json_loops(source.text, config, &names).map_err(|error| syntax(&error))?;
    let changed = spelling::with_views(&changed, config).map_err(|error| syntax(&error))?;
    if changed != source.text {
        add(changed).map_err(|error| syntax(&error))?;
    }
    Ok(names)
}

fn no_namespace(_: Rest<Value>) -> Result<Value, minijinja::Error> {
    let message = "namespace is not supported: no value is kept from one turn of a loop to the next";
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// Writes a value into the prompt. Null becomes an empty text. Booleans, lists and objects are written as JSON, as in
/// the row.
fn show(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    match value.kind() {
        ValueKind::None => Ok(()),
        ValueKind::Bool | ValueKind::Seq | ValueKind::Map => {
            let json = json_of(value, state)?;
            out.write_str(&json).map_err(|_| ErrorKind::WriteFailure.into())
        }
        _ => minijinja::escape_formatter(out, state, value),
    }
}

/// Returns a value as JSON, if enough fuel is left for the length of the JSON. Even a short list can become long JSON,
/// because all its elements can be the same long list.
fn json_of(value: &Value, state: &State<'_, '_>) -> Result<String, minijinja::Error> {
    let left = state.fuel_levels().map_or(FUEL, |(_, left)| left).saturating_mul(JSON_BYTES_OF_FUEL);
    let mut json = Bounded::new(usize::try_from(left).unwrap_or(usize::MAX));
    let written = write_json(value, &mut json);
    state.consume_fuel(json.bytes.len() as u64 / JSON_BYTES_OF_FUEL)?;
    match written {
        Ok(()) => Ok(String::from_utf8(json.bytes).expect("JSON is UTF-8")),
        Err(_) if json.is_over => Err(ErrorKind::OutOfFuel.into()),
        Err(error) => Err(minijinja::Error::new(ErrorKind::BadSerialization, error.to_string())),
    }
}

/// A buffer that accepts at most `most` bytes.
pub(super) struct Bounded {
    pub bytes: Vec<u8>,
    most: usize,
    pub is_over: bool,
}

impl Bounded {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: Vec::new(), most, is_over: false }
    }
}

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.most - self.bytes.len();
        self.is_over |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if self.is_over { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
