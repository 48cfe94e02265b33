//! Fills the texts of a template with a row.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use minijinja::{ErrorKind, Value};

use super::super::names::{found_list, name_list};
use super::engine::{self, Bounded};
use super::error::{FUEL, MAX_PROMPT_BYTES, Part, TemplateError, fill};
use super::uses::ROW;
use super::{Cell, Form, Template, columns_as_json, values};

impl Template {
    /// Fills the columns of a row into each text of the template.
    pub(super) fn filled(&self, columns: &[(&str, Cell<'_>)]) -> Result<Vec<String>, TemplateError> {
        self.inner.begun.fetch_add(1, Ordering::AcqRel);
        let filled = self.texts(columns);
        self.inner.ended.fetch_add(1, Ordering::AcqRel);
        filled
    }

    fn texts(&self, columns: &[(&str, Cell<'_>)]) -> Result<Vec<String>, TemplateError> {
        let parts: Vec<Option<Part>> = match &self.inner.form {
            Form::Prompt | Form::System => vec![None],
            form @ (Form::Messages(list) | Form::SystemBlocks(list)) => {
                list.texts.iter().map(|text| form.part(text.number)).collect()
            }
        };
        let context = self.context(columns);
        let (mut room, mut burnt, mut texts) = (MAX_PROMPT_BYTES, 0, Vec::new());
        for (at, part) in parts.into_iter().enumerate() {
            let in_part = |error: TemplateError| error.of_part(part);
            let template = self.inner.environment.get_template(&engine::name(at)).map_err(|error| fill(&error))?;
            let mut text = Bounded::new(room);
            match template.render_captured_to(context.clone(), &mut text) {
                Ok(captured) => burnt += captured.state().fuel_levels().map_or(0, |(burnt, _)| burnt),
                Err(_) if text.is_over => return Err(TemplateError::TooLong),
                Err(error) if error.kind() == ErrorKind::OutOfFuel => return Err(TemplateError::TooMuch),
                Err(error) => return Err(in_part(self.explain(&error, columns))),
            }
            // The engine gives the full fuel to each text. So a row can use up to twice its fuel before this check
            // stops the row.
            if burnt > FUEL {
                return Err(TemplateError::TooMuch);
            }
            room -= text.bytes.len();
            texts.push(String::from_utf8(text.bytes).expect("a template writes text"));
        }
        Ok(texts)
    }

    fn context(&self, columns: &[(&str, Cell<'_>)]) -> Value {
        let names = &self.inner.names;
        let named = columns.iter().filter(|(name, _)| names.contains(*name));
        let mut context: BTreeMap<String, Value> =
            named.map(|(name, cell)| ((*name).to_owned(), cell.value())).collect();
        if names.contains(ROW) {
            let row = columns.iter().map(|(name, cell)| ((*name).into(), cell.value())).collect();
            context.insert(ROW.to_owned(), values::object(row));
        }
        Value::from_object(context)
    }

    fn explain(&self, error: &minijinja::Error, columns: &[(&str, Cell<'_>)]) -> TemplateError {
        if let Some(not_json) = columns_as_json::not_json(error)
            && let Some((column, _)) = columns
                .iter()
                .find(|(name, cell)| self.columns().any(|own| own == *name) && cell.is_text(&not_json.text))
        {
            return not_json.of_column(&Self::expression(column));
        }
        let there = || columns.iter().map(|(name, _)| *name);
        let missing: Vec<&str> = self.columns().filter(|name| !there().any(|own| own == *name)).collect();
        if error.kind() == ErrorKind::UndefinedError && !missing.is_empty() {
            let (columns, missing) = (found_list(there(), &missing), name_list(missing));
            return TemplateError::MissingColumn { by: self.inner.form.shown(), missing, columns };
        }
        fill(error)
    }
}

impl Cell<'_> {
    fn is_text(&self, text: &str) -> bool {
        match self {
            Self::Text(own) => *own == text,
            Self::Json(json) => serde_json::from_str::<Cow<'_, str>>(json).is_ok_and(|own| own == text),
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text(text) => Value::from(*text),
            // JSON that can't be read, for example because it is nested too deeply, is a text.
            Self::Json(json) => values::read(json).unwrap_or_else(|| Value::from(*json)),
        }
    }
}
