//! JSON lines: one row a line, in one of five shapes (see [`super::shape`]).
//!
//! Owns what holds for any line: a blank one is no row, a string is a prompt, an entry that an earlier run wrote for a
//! broken row is known again. A fault keeps the label, as far as the line could be read.

use super::error::short;
use super::fields::Warnings;
use super::json::{self, Object, ParamsMember};
use super::prompt;
use super::raw::{Fault, Place, RawRow, Splitter, row_text};
use super::shape::{Label, Line, Parts};
use super::template::{Cell, Template};
use super::{BrokenRow, Item, Options, Row, Rows, SourceError};
use crate::domain::{Params, shortened};

/// An input of JSON lines.
pub(super) struct Jsonl {
    lines: Splitter,
    reading: Reading,
}

/// How lines are read.
struct Reading {
    place: Place,
    label: Label,
    template: Option<Template>,
    max_bytes: usize,
}

impl Jsonl {
    /// Begins an input.
    pub fn new(lines: Splitter, place: Place, options: &Options) -> Self {
        let max_bytes = lines.max_bytes();
        let label = Label { asked: options.id_column.clone() };
        Self { lines, reading: Reading { place, label, template: options.template.clone(), max_bytes } }
    }
}

impl Rows for Jsonl {
    fn splitter(&mut self) -> &mut Splitter {
        &mut self.lines
    }

    fn next_item(&mut self, warnings: &mut Warnings) -> Result<Option<Item>, SourceError> {
        while let Some(raw) = self.lines.next_line()? {
            if !raw.is_blank() {
                return Ok(Some(self.reading.item(&raw, warnings)));
            }
        }
        Ok(None)
    }
}

/// What a line turned out to be.
enum Seen {
    Parts(Parts),
    Unusable(Box<BrokenRow>),
}

impl Reading {
    fn item(&self, raw: &RawRow<'_>, warnings: &mut Warnings) -> Item {
        let mut object = Object::default();
        let seen = row_text(raw, self.max_bytes).and_then(|text| self.read(text, &mut object, raw, warnings));
        match seen {
            Ok(Seen::Parts(Parts { custom_id, params, extra, error })) => {
                Item::Row(Box::new(Row { origin: self.place.origin(raw), custom_id, params, extra, error }))
            }
            Ok(Seen::Unusable(row)) => Item::Unusable(row),
            Err(fault) => {
                let custom_id = self.label.of(&object).ok().flatten();
                Item::Broken(self.place.broken(raw, custom_id, fault))
            }
        }
    }

    fn read<'a>(
        &self,
        text: &'a str,
        object: &mut Object<'a>,
        raw: &RawRow<'_>,
        warnings: &mut Warnings,
    ) -> Result<Seen, Fault> {
        let first = text.len() - text.trim_ascii_start().len();
        match text.as_bytes().get(first) {
            Some(b'{') => {}
            Some(b'"') => return self.bare_string(text).map(Seen::Parts),
            _ => return Err(not_a_row(text, first)),
        }

        let params = if self.template.is_some() { ParamsMember::Closed } else { ParamsMember::Open };
        object.read(text, params)?;
        if let Some(row) = self.unusable(object, raw) {
            return Ok(Seen::Unusable(row));
        }
        let mut line = Line { text, object, label: &self.label, warnings, line: raw.line };
        let parts = match &self.template {
            Some(template) => line.templated(template),
            None => line.shaped(),
        }?;
        prompt::check_size(&parts.params)?;
        if object.may_be_deep {
            json::check_depth(&parts.params)?;
        }
        Ok(Seen::Parts(parts))
    }

    fn bare_string(&self, text: &str) -> Result<Parts, Fault> {
        let prompt = json::read_string(text)?;
        if let Some(name) = &self.label.asked {
            return Err(Fault::new(format!("is a string and so has no member {}, which --id names", short(name))));
        }
        let messages = match &self.template {
            Some(template) => {
                let cell = Cell::Text(&prompt);
                prompt::templated_message(template, &[("line", cell), ("prompt", cell)])?
            }
            None if prompt.trim().is_empty() => return Err(Fault::new("has an empty prompt")),
            None => prompt::user_message(json::read_value(text)?),
        };
        let params = Params(vec![("messages".into(), messages)]);
        prompt::check_size(&params)?;
        Ok(Parts { params, ..Parts::default() })
    }

    /// Returns the entry that an earlier run wrote for a row it could not read.
    fn unusable(&self, object: &Object<'_>, raw: &RawRow<'_>) -> Option<Box<BrokenRow>> {
        let (text, error) = (json::as_string(object.get("raw")?)?, json::members(object.get("error")?)?);
        if ["params", "prompt", "messages", "body"].into_iter().any(|name| object.has(name)) {
            return None;
        }
        let detail = |wanted: &str| error.iter().find(|(name, _)| name == wanted).map(|(_, value)| *value);
        let message = match detail("message").and_then(json::as_string) {
            Some(told) => format!("was broken in an earlier run already: {}", shortened(&told)),
            None => "was broken in an earlier run already".to_owned(),
        };
        let column = detail("column").and_then(|value| value.get().parse().ok());
        let custom_id = self.label.of(object).ok().flatten();
        let original = RawRow { bytes: text.as_bytes(), ..*raw };
        Some(self.place.broken(&original, custom_id, Fault { column, message }))
    }
}

/// Tells a line that is JSON of another kind from one that is no JSON.
fn not_a_row(text: &str, first: usize) -> Fault {
    match json::read_value(text) {
        Ok(value) => Fault::at(first, format!("is {}; a row is an object or a string", json::kind(value.get()))),
        Err(mut fault) => {
            if text.as_bytes().get(first).is_some_and(u8::is_ascii_alphabetic) {
                fault.message.push_str(" (for plain text say --format lines)");
            }
            fault
        }
    }
}
