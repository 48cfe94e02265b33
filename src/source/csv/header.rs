//! The columns of a CSV input, and what happens to them.
//!
//! Without a template, the columns `prompt`, `system`, `model`, `max_tokens` and the label have the meaning of their
//! names, and an empty cell means that the field is missing. With a template, every column is a variable. Only the
//! label keeps its meaning, since data may have a column called `model` too. Other columns are kept with the row as
//! strings.

use std::sync::Arc;

use csv::StringRecord;

use super::super::format::Columns;
use super::super::names::{LONGEST_NAME, found_list, name_list, short};
use super::super::raw::{Fault, Parts};
use super::super::shape::{MAX_LABEL_BYTES, label_too_long};
use super::super::template::{Cell, Template, missing_columns};
use super::super::{Options, SourceError, json, prompt};
use crate::domain::Params;

/// The columns and what they mean.
#[derive(Debug)]
pub(super) struct Header {
    columns: Vec<Arc<str>>,
    label: Option<usize>,
    prompt: Option<usize>,
    system: Option<usize>,
    model: Option<usize>,
    max_tokens: Option<usize>,
}

impl Header {
    /// Finds the columns that have a meaning.
    ///
    /// # Errors
    /// A [`SourceError`] about the header as a whole.
    pub(super) fn new(columns: Vec<Arc<str>>, input: &str, options: &Options) -> Result<Self, SourceError> {
        let name = || input.to_owned();
        let list = |wrong: &[&str]| found_list(columns.iter().map(|column| &**column), wrong);
        let find = |wanted: &str| columns.iter().position(|column| &**column == wanted);

        if let Some(repeated) = repeated(&columns) {
            return Err(SourceError::DuplicateColumns { name: name(), columns: repeated });
        }
        let label = match &options.id_column {
            Some(asked) => match find(asked) {
                None => {
                    let columns = list(&[asked]);
                    return Err(SourceError::NoIdColumn { name: name(), column: asked.clone(), columns });
                }
                label => label,
            },
            None => find("custom_id").or_else(|| find("id")),
        };
        if let Some(missing) =
            options.system.as_ref().and_then(|own| missing_columns(own, |wanted| find(wanted).is_some()))
        {
            let (columns, missing) = (list(&missing), name_list(missing));
            return Err(SourceError::SystemColumn { name: name(), missing, columns });
        }
        match &options.template {
            Some(template) => {
                if let Some(missing) = missing_columns(template, |wanted| find(wanted).is_some()) {
                    let (columns, missing) = (list(&missing), name_list(missing));
                    return Err(SourceError::TemplateColumn { name: name(), missing, columns });
                }
                Ok(Self { label, prompt: None, system: None, model: None, max_tokens: None, columns })
            }
            None => {
                let Some(prompt) = find("prompt") else {
                    let example = example(&columns);
                    return Err(SourceError::NoPromptColumn { name: name(), columns: list(&[]), example });
                };
                let named = |wanted| find(wanted).filter(|at| Some(*at) != label && *at != prompt);
                let (system, model, max_tokens) = (named("system"), named("model"), named("max_tokens"));
                Ok(Self { label, prompt: Some(prompt), system, model, max_tokens, columns })
            }
        }
    }

    /// Returns the columns, grouped by what happens to them.
    pub(super) fn told(&self, template: Option<&Template>, system: Option<&Template>) -> Columns {
        let by_name = [self.prompt, self.system, self.model, self.max_tokens];
        let is_sent = |at: usize, name: &str| {
            let mut templates = template.into_iter().chain(system);
            by_name.contains(&Some(at)) || templates.any(|own| own.columns().any(|column| column == name))
        };
        let mut told = Columns::default();
        for (at, name) in self.columns.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            match (is_sent(at, name), self.label == Some(at)) {
                (true, _) => told.sent.push(name.to_string()),
                (false, true) => told.label = Some(name.to_string()),
                (false, false) => told.unsent.push(name.to_string()),
            }
        }
        told
    }

    /// Returns the parts of a record. The fault of a broken record keeps its label.
    pub(super) fn parts(
        &self,
        record: &StringRecord,
        template: Option<&Template>,
        system: Option<&Template>,
    ) -> Result<Parts, Fault> {
        let (expected, found) = (self.columns.len(), record.len());
        if found != expected {
            let hint = if found > expected { "; quote cells that hold the separator" } else { "" };
            return Err(Fault::new(format!("has {found} cells where the header has {expected}{hint}")));
        }
        let label = self.label(record)?;
        let parts = match template {
            Some(template) => self.templated(record, template),
            None => self.named(record),
        };
        let checked = parts.and_then(|mut parts| {
            if system.is_some() {
                prompt::set_templated_system(&mut parts.params, system, &self.cells(record))?;
            }
            prompt::check_size(&parts.params).map(|()| parts)
        });
        match checked {
            Ok(parts) => Ok(Parts { custom_id: label, ..parts }),
            Err(fault) => Err(fault.of(label)),
        }
    }

    fn label(&self, record: &StringRecord) -> Result<Option<String>, Fault> {
        match (self.label, self.cell(record, self.label)) {
            (Some(at), Some(label)) if label.len() > MAX_LABEL_BYTES => Err(label_too_long(&self.columns[at])),
            (_, label) => Ok(label.map(str::to_owned)),
        }
    }

    /// Takes the columns by their names.
    fn named(&self, record: &StringRecord) -> Result<Parts, Fault> {
        let mut params = Params::default();
        for (name, column) in [("model", self.model), ("system", self.system)] {
            if let Some(text) = self.cell(record, column) {
                params.set(name, json::string_value(text));
            }
        }
        if let Some(text) = self.cell(record, self.max_tokens) {
            match text.trim().parse::<u32>() {
                Ok(count) if count > 0 => params.set("max_tokens", json::raw_value(count.to_string())),
                _ => {
                    return Err(Fault::new(format!(
                        "has max_tokens {}; it must be a whole number above 0",
                        short(text)
                    )));
                }
            }
        }
        params.set("messages", prompt::text_message(self.cell(record, self.prompt).unwrap_or_default())?);
        let used = [self.label, self.prompt, self.system, self.model, self.max_tokens];
        Ok(Parts { params, extra: self.extra(record, &used), ..Parts::default() })
    }

    /// Fills a template with the record.
    fn templated(&self, record: &StringRecord, template: &Template) -> Result<Parts, Fault> {
        let messages = prompt::templated_message(template, &self.cells(record))?;
        let params = Params(vec![("messages".into(), messages)]);
        Ok(Parts { params, extra: self.extra(record, &[self.label]), ..Parts::default() })
    }

    fn cells<'r>(&'r self, record: &'r StringRecord) -> Vec<(&'r str, Cell<'r>)> {
        self.columns.iter().zip(record).map(|(name, text)| (&**name, Cell::Text(text))).collect()
    }

    fn cell<'r>(&self, record: &'r StringRecord, column: Option<usize>) -> Option<&'r str> {
        record.get(column?).filter(|text| !text.is_empty())
    }

    fn extra(&self, record: &StringRecord, used: &[Option<usize>]) -> Params {
        let columns = self.columns.iter().zip(record).enumerate();
        let others = columns.filter(|(at, (name, _))| !used.contains(&Some(*at)) && !name.is_empty());
        Params(others.map(|(_, (name, text))| (Box::from(&**name), json::string_value(text))).collect())
    }
}

fn repeated(columns: &[Arc<str>]) -> Option<String> {
    let mut sorted: Vec<&str> = columns.iter().map(|column| &**column).filter(|name| !name.is_empty()).collect();
    sorted.sort_unstable();
    let mut repeated: Vec<&str> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    (!repeated.is_empty()).then(|| name_list(repeated))
}

/// Returns the column that most likely contains the text, as it would be written in a template.
fn example(columns: &[Arc<str>]) -> String {
    let named = |wanted: &str| columns.iter().find(|column| column.eq_ignore_ascii_case(wanted));
    let likely = ["prompt", "text", "question", "body", "content", "message", "input"].into_iter().find_map(named);
    let likely = likely.or_else(|| columns.iter().rfind(|column| !column.is_empty() && column.len() <= LONGEST_NAME));
    likely.map_or_else(|| "column".to_owned(), |column| Template::expression(column))
}
