//! JSON lines: each line is a row, in one of five shapes (see [`super::shape`]).
//!
//! Two rules apply to all lines. A line that is a JSON string is a prompt. An error-log entry about a broken row is not
//! a row. The label of a broken line is kept if it could be read.

use super::Options;
use super::cells::InputRow;
use super::fields::Warnings;
use super::format::Format;
use super::json::{self, Object, ParamsMember};
use super::names::short;
use super::prompt;
use super::raw::{Fault, Parts, RawRow};
use super::shape::{Label, Line, MAX_LABEL_BYTES};
use super::template::{Cell, Template};
use crate::domain::Params;
use crate::domain::json::{Cursor, DEEPEST};

/// An input of JSON lines.
pub(super) struct Jsonl {
    label: Label,
    template: Option<Template>,
    /// The template of `--system`; it is set only if the prompt has a template too.
    system: Option<Template>,
    /// Whether only the labels of rows are read.
    labels_only: bool,
    /// Whether the line that was read last is known to be JSON.
    is_json: bool,
}

impl Format for Jsonl {
    fn read(&mut self, raw: &RawRow<'_>, warnings: &mut Warnings) -> Result<Option<Parts>, Fault> {
        let mut object = Object::default();
        let parts = raw.text().and_then(|text| self.parts(text, &mut object, raw.line, warnings));
        self.is_json = parts.is_ok();
        parts.map_err(|fault| fault.of(self.label.of(&object).ok().flatten()))
    }

    fn input(&self, raw: &RawRow<'_>) -> Option<InputRow> {
        let text = raw.text().ok()?;
        let is_json = self.is_json || json::read_value(text).is_ok();
        is_json.then(|| InputRow::Json(text.trim_ascii().into()))
    }
}

impl Jsonl {
    /// Starts to read an input.
    pub(super) fn new(options: &Options) -> Self {
        let (label, template) = (Label { asked: options.id_column.clone() }, options.template.clone());
        let system = options.system.clone().filter(|_| template.is_some());
        Self { label, template, system, labels_only: options.labels_only, is_json: false }
    }

    fn parts<'a>(
        &self,
        text: &'a str,
        object: &mut Object<'a>,
        line: u64,
        warnings: &mut Warnings,
    ) -> Result<Option<Parts>, Fault> {
        let first = text.len() - text.trim_ascii_start().len();
        match text.as_bytes().get(first) {
            Some(b'{') => {}
            Some(b'"') => return self.bare_string(text).map(Some),
            _ => return Err(not_a_row(text, first)),
        }

        if self.labels_only
            && let Some(label) = self.quick_label(text)
        {
            return Ok(Some(Parts { custom_id: Some(label.to_owned()), ..Parts::default() }));
        }
        let params = if self.template.is_some() { ParamsMember::Closed } else { ParamsMember::Open };
        object.read(text, params)?;
        if is_entry_of_broken_row(object) {
            return Ok(None);
        }
        if self.labels_only {
            let error = object.get("error").map(ToOwned::to_owned);
            return Ok(Some(Parts { custom_id: self.label.of(object)?, error, ..Parts::default() }));
        }
        let mut line = Line { text, object, label: &self.label, warnings, line };
        let parts = match &self.template {
            Some(template) => line.templated(template, self.system.as_ref()),
            None => line.shaped(),
        }?;
        prompt::check_size(&parts.params)?;
        if object.may_be_deep {
            json::check_depth(&parts.params)?;
        }
        Ok(Some(parts))
    }

    /// Returns the label of a simple row without parsing the row. A simple row is an object that has `custom_id` or
    /// `id`, but not both. The value of this member is a string without escapes. Even if this function returns `None`,
    /// the row can have a label.
    fn quick_label<'a>(&self, text: &'a str) -> Option<&'a str> {
        if self.label.asked.is_some() {
            return None;
        }
        let mut label = None;
        let mut at = Cursor::new(text.as_bytes());
        at.plain_object(|at, name| match name {
            b"custom_id" | b"id" if label.is_none() => {
                label = Some(at.plain_string().filter(|label| !label.is_empty() && label.len() < MAX_LABEL_BYTES)?);
                Some(())
            }
            // An object with `error` must be parsed, because it can be an error-log entry instead of a row.
            b"custom_id" | b"id" | b"error" => None,
            _ => at.skip_value(DEEPEST),
        })?;
        at.end()?;
        std::str::from_utf8(label?).ok()
    }

    fn bare_string(&self, text: &str) -> Result<Parts, Fault> {
        let prompt = json::read_string(text)?;
        if let Some(name) = &self.label.asked {
            return Err(Fault::new(format!("is a string and so has no member {}, which --id asks for", short(name))));
        }
        let columns = ["line", "prompt"].map(|name| (name, Cell::Text(&prompt)));
        let messages = match &self.template {
            Some(template) => prompt::templated_message(template, &columns)?,
            None if prompt.trim().is_empty() => return Err(Fault::new("has an empty prompt")),
            None => prompt::user_message(json::read_value(text)?),
        };
        let mut params = Params(vec![("messages".into(), messages)]);
        prompt::set_templated_system(&mut params, self.system.as_ref(), &columns)?;
        prompt::check_size(&params)?;
        Ok(Parts { params, ..Parts::default() })
    }
}

/// Returns whether this object is the error-log entry of a row that was broken in an earlier run. Such an entry is
/// `{"custom_id", "raw", "error"}` without a request. This entry is not sent, and does not count as a broken row.
fn is_entry_of_broken_row(object: &Object<'_>) -> bool {
    let begins_with = |name: &str, byte| object.get(name).is_some_and(|value| value.get().starts_with(byte));
    begins_with("raw", '"')
        && begins_with("error", '{')
        && !["params", "prompt", "messages", "body"].into_iter().any(|name| object.has(name))
}

/// Returns the fault of a line that is not JSON, or whose JSON value can't be a row.
fn not_a_row(text: &str, first: usize) -> Fault {
    match json::read_value(text) {
        Ok(value) => Fault::at(first, format!("is {}; a row is an object or a string", json::kind(value.get()))),
        Err(mut fault) => {
            if text.as_bytes().get(first).is_some_and(u8::is_ascii_alphabetic) {
                fault.message.push_str(" (for plain text, use --format lines)");
            }
            fault
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Item;
    use super::super::testing::items;
    use super::*;

    #[test]
    fn a_label_that_is_read_quickly_is_the_label_of_the_row() {
        let lines = [
            r#"{"custom_id":"a","prompt":"p"}"#,
            r#" { "prompt" : "p" , "id" : "b\u0063" } "#,
            r#"{"id":7,"prompt":"p"}"#,
            r#"{"id":"x","custom_id":"y","prompt":"p"}"#,
            r#"{"custom_id":null,"prompt":"p"}"#,
            r#"{"prompt":"p"}"#,
            r#""bare""#,
            r#"{"custom_id":"c","params":{"messages":[{"role":"user","content":"p"}]},"error":{"occurrence":1}}"#,
            r#"{"custom_id":"日本","prompt":"p"}"#,
        ];
        let text = lines.join("\n");
        let labels = |options: &Options| -> Vec<Option<String>> {
            let items = items("t.jsonl", &text, options).into_iter();
            items
                .map(|item| match item {
                    Item::Row(row) => row.custom_id,
                    Item::Broken(row) => panic!("{row:?}"),
                })
                .collect()
        };

        let quick = labels(&Options::default().without_prompts());

        assert_eq!(quick, labels(&Options::default()));
        assert_eq!(quick.iter().flatten().count(), 6);
    }
}
