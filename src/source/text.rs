//! Plain text: each line that is not blank is a prompt.

use super::error::{found_list, name_list};
use super::fields::Warnings;
use super::prompt;
use super::raw::{Fault, Place, RawRow, Splitter, row_text};
use super::template::{Cell, Template, missing_columns};
use super::{Item, Options, Row, Rows, SourceError};
use crate::domain::Params;

/// The columns a template finds in a line: both are the line.
const COLUMNS: [&str; 2] = ["line", "prompt"];

/// An input of plain lines.
pub(super) struct Text {
    lines: Splitter,
    place: Place,
    template: Option<Template>,
}

impl Text {
    /// Begins an input.
    ///
    /// # Errors
    /// [`SourceError::NoIdColumn`] and [`SourceError::TemplateColumn`]: a line has no columns but itself.
    pub fn new(lines: Splitter, place: Place, options: &Options) -> Result<Self, SourceError> {
        let (name, columns) = (place.name.to_string(), |wrong: &[&str]| found_list(COLUMNS, wrong));
        if let Some(column) = options.id_column.clone() {
            let columns = columns(&[&column]);
            return Err(SourceError::NoIdColumn { name, column, columns });
        }
        let missing = options.template.as_ref().and_then(|own| missing_columns(own, |name| COLUMNS.contains(&name)));
        if let Some(missing) = missing {
            let (columns, missing) = (columns(&missing), name_list(missing));
            return Err(SourceError::TemplateColumn { name, missing, columns });
        }
        Ok(Self { lines, place, template: options.template.clone() })
    }
}

impl Rows for Text {
    fn splitter(&mut self) -> &mut Splitter {
        &mut self.lines
    }

    fn next_item(&mut self, _: &mut Warnings) -> Result<Option<Item>, SourceError> {
        let max_bytes = self.lines.max_bytes();
        while let Some(raw) = self.lines.next_line()? {
            if !raw.is_blank() {
                let params = params(&raw, max_bytes, self.template.as_ref());
                return Ok(Some(match params {
                    Ok(params) => Item::Row(Box::new(Row {
                        origin: self.place.origin(&raw),
                        custom_id: None,
                        params,
                        extra: Params::default(),
                        error: None,
                    })),
                    Err(fault) => Item::Broken(self.place.broken(&raw, None, fault)),
                }));
            }
        }
        Ok(None)
    }
}

fn params(raw: &RawRow<'_>, max_bytes: usize, template: Option<&Template>) -> Result<Params, Fault> {
    let line = row_text(raw, max_bytes)?;
    refuse_nul(line)?;
    let messages = match template {
        Some(template) => prompt::templated_message(template, &COLUMNS.map(|name| (name, Cell::Text(line))))?,
        None => prompt::text_message(line)?,
    };
    let params = Params(vec![("messages".into(), messages)]);
    prompt::check_size(&params)?;
    Ok(params)
}

/// Refuses NUL bytes: in text they are damage, or a file of another kind.
pub(super) fn refuse_nul(text: &str) -> Result<(), Fault> {
    match text.find('\0') {
        Some(at) => Err(Fault::at(at, "holds a NUL byte, which is no text")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{items, reader, row, shown, with_template};
    use super::*;

    #[test]
    fn each_line_is_a_prompt() {
        let found = items("stdin", "Say \"hi\"\r\n \n\tindented\n", &Options::default());

        let [Item::Row(first), Item::Row(second)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(shown(&first.params), r#"{"messages":[{"role":"user","content":"Say \"hi\""}]}"#);
        assert_eq!(shown(&second.params), r#"{"messages":[{"role":"user","content":"\tindented"}]}"#);
        assert_eq!((first.origin.line, second.origin.line), (1, 3));
    }

    #[test]
    fn a_template_knows_the_line_by_two_names() {
        let row = row("w.txt", "cat", &with_template("{{line}}, {{prompt}}!"));

        assert_eq!(row.params.get("messages"), Some(r#"[{"role":"user","content":"cat, cat!"}]"#));
    }

    #[test]
    fn columns_that_lines_have_not_stop_the_input() {
        let id = Options { id_column: Some("nr".to_owned()), ..Options::default() };

        assert!(matches!(reader("w.txt", "x", &id), Err(SourceError::NoIdColumn { .. })));
        assert!(matches!(reader("w.txt", "x", &with_template("{{word}}")), Err(SourceError::TemplateColumn { .. })));
    }

    #[test]
    fn a_nul_byte_breaks_its_line_only() {
        let found = items("w.txt", "a\nb\0c\nd\n", &Options::default());

        let [Item::Row(_), Item::Broken(row), Item::Row(_)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((row.origin.line, row.column, row.byte_offset), (2, Some(2), 2));
    }
}
