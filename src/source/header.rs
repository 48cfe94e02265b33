//! The columns of an input with a header, and what happens to them.
//!
//! Without a template, the columns `prompt`, `system`, `model`, `max_tokens` and the label column mean what their names
//! say. If a cell in one of these columns is empty or missing, the row does not have that field. Other columns are kept
//! with the row.
//!
//! With a template, every column is a variable. Only the label column keeps its special meaning. A column such as
//! `model` can then be ordinary data, although its name is known.
//!
//! CSV cells are always text. Cells of other formats can also be numbers or other JSON values.

use std::sync::Arc;

use serde_json::value::RawValue;

use super::cells::{CellRef, Record};
use super::format::Columns;
use super::names::{LONGEST_NAME, found_list, name_list, short};
use super::raw::{Fault, Parts};
use super::shape::{MAX_LABEL_BYTES, label_too_long};
use super::template::{Cell, Template, missing_columns};
use super::{Options, SourceError, json, prompt};
use crate::domain::Params;

/// The columns of an input, and what each column means.
#[derive(Debug)]
pub(super) struct Header {
    columns: Vec<Arc<str>>,
    label: Option<usize>,
    prompt: Option<usize>,
    system: Option<usize>,
    model: Option<usize>,
    max_tokens: Option<usize>,
    /// The template of `--system`; `None` if the value of the flag is a plain text.
    system_template: Option<Template>,
    /// Whether only the labels of rows are read.
    labels_only: bool,
}

impl Header {
    /// Finds the columns whose names have a meaning.
    ///
    /// # Errors
    /// A [`SourceError`] about the header.
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
        let (system_template, labels_only) = (options.system.clone(), options.labels_only);
        let missing = system_template.as_ref().and_then(|own| missing_columns(own, |wanted| find(wanted).is_some()));
        if let Some(missing) = missing {
            let (columns, missing) = (list(&missing), name_list(missing));
            return Err(SourceError::SystemColumn { name: name(), missing, columns });
        }
        match &options.template {
            Some(template) => {
                if let Some(missing) = missing_columns(template, |wanted| find(wanted).is_some()) {
                    let (columns, missing) = (list(&missing), name_list(missing));
                    return Err(SourceError::TemplateColumn { name: name(), missing, columns });
                }
                let (prompt, system, model, max_tokens) = (None, None, None, None);
                Ok(Self { label, prompt, system, model, max_tokens, columns, system_template, labels_only })
            }
            None => {
                let Some(prompt) = find("prompt") else {
                    let example = example(&columns);
                    return Err(SourceError::NoPromptColumn { name: name(), columns: list(&[]), example });
                };
                let named = |wanted| find(wanted).filter(|at| Some(*at) != label && *at != prompt);
                let (system, model, max_tokens) = (named("system"), named("model"), named("max_tokens"));
                Ok(Self {
                    label,
                    prompt: Some(prompt),
                    system,
                    model,
                    max_tokens,
                    columns,
                    system_template,
                    labels_only,
                })
            }
        }
    }

    /// Returns the columns, grouped by what happens to them.
    pub(super) fn grouped_columns(&self, template: Option<&Template>) -> Columns {
        let by_name = [self.prompt, self.system, self.model, self.max_tokens];
        let is_sent = |at: usize, name: &str| {
            let mut templates = template.into_iter().chain(&self.system_template);
            by_name.contains(&Some(at)) || templates.any(|own| own.can_send(name))
        };
        let is_whole_row = template.into_iter().chain(&self.system_template).any(Template::is_of_whole_row);
        let mut columns = Columns { is_whole_row, ..Columns::default() };
        for (at, name) in self.columns.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            match (is_sent(at, name), self.label == Some(at)) {
                (true, _) => columns.sent.push(name.to_string()),
                (false, true) => columns.label = Some(name.to_string()),
                (false, false) => columns.unsent.push(name.to_string()),
            }
        }
        columns
    }

    /// Returns the names of all columns, in order.
    pub(super) fn columns(&self) -> &[Arc<str>] {
        &self.columns
    }

    /// Returns the parts of a record: its label, its request parameters and the members that are kept. If the record is
    /// broken, the fault contains the record's label.
    pub(super) fn parts<R: Record + ?Sized>(&self, record: &R, template: Option<&Template>) -> Result<Parts, Fault> {
        let (expected, found) = (self.columns.len(), record.count());
        if found != expected {
            let hint = if found > expected { "; quote cells that hold the separator" } else { "" };
            return Err(Fault::new(format!("has {found} cells where the header has {expected}{hint}")));
        }
        let label = self.label(record)?;
        if self.labels_only {
            return Ok(Parts { custom_id: label, ..Parts::default() });
        }
        let parts = match template {
            Some(template) => self.templated(record, template),
            None => self.named(record),
        };
        let parts = parts.and_then(|mut parts| match &self.system_template {
            None => Ok(parts),
            system => {
                let columns = self.for_template(record);
                prompt::set_templated_system(&mut parts.params, system.as_ref(), &columns).map(|()| parts)
            }
        });
        let checked = parts.and_then(|parts| prompt::check_size(&parts.params).map(|()| parts));
        match checked {
            Ok(parts) => Ok(Parts { custom_id: label, ..parts }),
            Err(fault) => Err(fault.of(label)),
        }
    }

    fn label<R: Record + ?Sized>(&self, record: &R) -> Result<Option<String>, Fault> {
        let Some((name, cell)) = self.filled(record, self.label) else { return Ok(None) };
        let (CellRef::Text(text) | CellRef::Json(text)) = cell else { return Ok(None) };
        if let CellRef::Json(json) = cell
            && json::kind(json) != "a number"
        {
            let (kind, name) = (json::kind(json), short(name));
            return Err(Fault::new(format!("has {kind} as {name}; it must be a string or a number")));
        }
        if text.len() > MAX_LABEL_BYTES {
            return Err(label_too_long(name));
        }
        Ok(Some(text.to_owned()))
    }

    /// Returns the parts of a row if there is no template. The columns with known names become its parameters.
    fn named<R: Record + ?Sized>(&self, record: &R) -> Result<Parts, Fault> {
        let mut params = Params::default();
        for column in [self.model, self.system] {
            if let Some((name, cell)) = self.filled(record, column) {
                params.set(name, text_or_list(cell));
            }
        }
        if let Some((_, CellRef::Text(text) | CellRef::Json(text))) = self.filled(record, self.max_tokens) {
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
        params.set("messages", messages(self.filled(record, self.prompt).map(|(_, cell)| cell))?);
        let used = [self.label, self.prompt, self.system, self.model, self.max_tokens];
        Ok(Parts { params, extra: self.extra(record, &used), ..Parts::default() })
    }

    /// Fills a template with the record.
    fn templated<R: Record + ?Sized>(&self, record: &R, template: &Template) -> Result<Parts, Fault> {
        let messages = prompt::templated_message(template, &self.for_template(record))?;
        let params = Params(vec![("messages".into(), messages)]);
        Ok(Parts { params, extra: self.extra(record, &[self.label]), ..Parts::default() })
    }

    /// Returns the cells with the names of their columns, as templates see them.
    fn for_template<'r, R: Record + ?Sized>(&'r self, record: &'r R) -> Vec<(&'r str, Cell<'r>)> {
        self.columns.iter().zip(record.cells()).map(|(name, cell)| (&**name, cell.for_template())).collect()
    }

    /// Returns the name and the cell of a column, if there is such a column and the cell is not empty.
    fn filled<'r, R: Record + ?Sized>(
        &'r self,
        record: &'r R,
        column: Option<usize>,
    ) -> Option<(&'r str, CellRef<'r>)> {
        let at = column?;
        let cell = record.cell(at);
        (!matches!(cell, CellRef::Missing | CellRef::Text(""))).then(|| (&*self.columns[at], cell))
    }

    fn extra<R: Record + ?Sized>(&self, record: &R, used: &[Option<usize>]) -> Params {
        let columns = self.columns.iter().zip(record.cells()).enumerate();
        let others = columns.filter(|(at, (name, _))| !used.contains(&Some(*at)) && !name.is_empty());
        Params(others.map(|(_, (name, cell))| (Box::from(&**name), value(cell))).collect())
    }
}

/// Returns a cell as a JSON value.
fn value(cell: CellRef<'_>) -> Box<RawValue> {
    match cell {
        CellRef::Missing => json::raw_value("null".to_owned()),
        CellRef::Text(text) => json::string_value(text),
        CellRef::Json(text) => json::raw_value(text.to_owned()),
    }
}

/// Returns a cell as a JSON string, array or object. Any other value becomes a string, because a column of numbers can
/// be meant as text.
fn text_or_list(cell: CellRef<'_>) -> Box<RawValue> {
    match cell {
        CellRef::Json(text) if !matches!(json::kind(text), "an array" | "an object") => json::string_value(text),
        cell => value(cell),
    }
}

/// Returns the messages for a `prompt` cell.
fn messages(cell: Option<CellRef<'_>>) -> Result<Box<RawValue>, Fault> {
    match cell {
        Some(CellRef::Json(text)) if matches!(json::kind(text), "an array" | "an object") => {
            let list = json::raw_value(text.to_owned());
            prompt::prompt_messages(list.get(), &list).map_err(|fault| Fault { column: None, ..fault })
        }
        Some(CellRef::Text(text) | CellRef::Json(text)) => prompt::text_message(text),
        Some(CellRef::Missing) | None => prompt::text_message(""),
    }
}

fn repeated(columns: &[Arc<str>]) -> Option<String> {
    let mut sorted: Vec<&str> = columns.iter().map(|column| &**column).filter(|name| !name.is_empty()).collect();
    sorted.sort_unstable();
    let mut repeated: Vec<&str> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    (!repeated.is_empty()).then(|| name_list(repeated))
}

/// Finds the column that most likely contains the prompt text. Returns the name of this column as it must be written in
/// a template.
fn example(columns: &[Arc<str>]) -> String {
    let named = |wanted: &str| columns.iter().find(|column| column.eq_ignore_ascii_case(wanted));
    let likely = ["prompt", "text", "question", "body", "content", "message", "input"].into_iter().find_map(named);
    let likely = likely.or_else(|| columns.iter().rfind(|column| !column.is_empty() && column.len() <= LONGEST_NAME));
    likely.map_or_else(|| "column".to_owned(), |column| Template::expression(column))
}

#[cfg(test)]
mod tests {
    use super::super::cells::InputCell;
    use super::super::testing::shown;
    use super::*;

    const COLUMNS: [&str; 6] = ["id", "prompt", "system", "max_tokens", "note", ""];

    fn header(options: &Options) -> Header {
        Header::new(COLUMNS.map(Arc::from).to_vec(), "t.parquet", options).expect("it has a prompt")
    }

    fn json(text: &str) -> InputCell {
        InputCell::Json(text.into())
    }

    fn text(text: &str) -> InputCell {
        InputCell::Text(text.into())
    }

    #[test]
    fn cells_that_are_json_keep_their_type() {
        let cells = [json("7"), text("Hi"), InputCell::Missing, json("50"), json("[1.50,null]"), InputCell::Missing];

        let parts = header(&Options::default()).parts(&cells[..], None).expect("a usable row");

        let expected = r#"{"max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!((parts.custom_id.as_deref(), &*shown(&parts.params)), (Some("7"), expected));
        assert_eq!(shown(&parts.extra), r#"{"note":[1.50,null]}"#);
    }

    #[test]
    fn a_prompt_can_be_a_number_or_a_list_of_content_blocks() {
        let content = |prompt: InputCell| {
            let cells = [text("a"), prompt, json("[{}]"), InputCell::Missing, InputCell::Missing, text("x")];
            header(&Options::default()).parts(&cells[..], None).map(|parts| shown(&parts.params))
        };

        let list = content(json(r#"[{"type":"text","text":"Hi"}]"#)).expect("a usable row");
        let number = content(json("42")).expect("a usable row");

        assert!(
            list.contains(r#""system":[{}]"#) && list.contains(r#""content":[{"type":"text","text":"Hi"}]"#),
            "{list}"
        );
        assert!(number.contains(r#""content":"42""#), "{number}");
        assert_eq!(content(json("[1]")).expect_err("no blocks").column, None);
        assert!(content(InputCell::Missing).expect_err("no prompt").message.contains("empty prompt"));
    }

    #[test]
    fn a_label_is_a_text_or_a_number() {
        let label = |id: InputCell| {
            let cells =
                [id, text("Hi"), InputCell::Missing, InputCell::Missing, InputCell::Missing, InputCell::Missing];
            header(&Options::default()).parts(&cells[..], None).map(|parts| parts.custom_id)
        };

        assert_eq!(label(InputCell::Missing), Ok(None));
        assert_eq!(label(text("")), Ok(None));
        assert_eq!(label(json("1.5")), Ok(Some("1.5".to_owned())));
        assert_eq!(
            label(json("true")).expect_err("no label").message,
            "has true or false as id; it must be a string or a number"
        );
    }

    #[test]
    fn a_template_sees_a_missing_cell_as_nothing_and_lists_as_lists() {
        let template = Template::parse("{{prompt}}{{system}}|{% for n in note %}{{n}};{% endfor %}").expect("good");
        let options = Options { template: Some(template.clone()), ..Options::default() };
        let cells = [json("7"), text("Hi"), InputCell::Missing, InputCell::Missing, json("[1,2]"), InputCell::Missing];

        let parts = header(&options).parts(&cells[..], Some(&template)).expect("a usable row");

        assert_eq!(parts.params.get("messages"), Some(r#"[{"role":"user","content":"Hi|1;2;"}]"#));
        assert_eq!(shown(&parts.extra), r#"{"prompt":"Hi","system":null,"max_tokens":null,"note":[1,2]}"#);
    }
}
