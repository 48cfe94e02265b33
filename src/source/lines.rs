//! Plain text: each line that is not blank is a prompt.

use super::cells::InputRow;
use super::fields::Warnings;
use super::fixed::check_columns;
use super::format::Format;
use super::json::string_value;
use super::prompt;
use super::raw::{Fault, Parts, RawRow};
use super::template::{Cell, Template};
use super::{Options, SourceError};
use crate::domain::Params;

/// The columns that a template can use. Each column contains the whole line.
const COLUMNS: [&str; 2] = ["line", "prompt"];

/// An input of plain lines.
pub(super) struct Lines {
    template: Option<Template>,
    /// The template of `--system`; it is set only if the prompt has a template too.
    system: Option<Template>,
}

impl Lines {
    /// Starts to read the input called `input`.
    ///
    /// # Errors
    /// The errors of [`check_columns`].
    pub(super) fn new(input: &str, options: &Options) -> Result<Self, SourceError> {
        let system = check_columns(input, options, &COLUMNS)?;
        Ok(Self { template: options.template.clone(), system })
    }
}

impl Format for Lines {
    fn read(&mut self, raw: &RawRow<'_>, _: &mut Warnings) -> Result<Option<Parts>, Fault> {
        let line = raw.plain_text()?;
        let columns = COLUMNS.map(|name| (name, Cell::Text(line)));
        let messages = match &self.template {
            Some(template) => prompt::templated_message(template, &columns)?,
            None => prompt::text_message(line)?,
        };
        let mut params = Params(vec![("messages".into(), messages)]);
        prompt::set_templated_system(&mut params, self.system.as_ref(), &columns)?;
        prompt::check_size(&params)?;
        Ok(Some(Parts { params, ..Parts::default() }))
    }

    fn input(&self, raw: &RawRow<'_>) -> Option<InputRow> {
        let line = raw.plain_text().ok()?;
        Some(InputRow::Json(format!("{{\"line\":{}}}", string_value(line)).into()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{items, reader, row, shown, with_template};
    use super::super::{InputFormat, Item};
    use super::*;

    fn lines() -> Options {
        Options { format: InputFormat::Lines, ..Options::default() }
    }

    #[test]
    fn each_line_is_a_prompt() {
        let found = items("stdin", "Say \"hi\"\r\n \n\tindented\n", &lines());

        let [Item::Row(first), Item::Row(second)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(shown(&first.params), r#"{"messages":[{"role":"user","content":"Say \"hi\""}]}"#);
        assert_eq!(shown(&second.params), r#"{"messages":[{"role":"user","content":"\tindented"}]}"#);
        assert_eq!((first.origin.line, second.origin.line), (1, 3));
    }

    #[test]
    fn a_template_can_use_the_line_under_two_names() {
        let row =
            row("w.txt", "cat", &Options { format: InputFormat::Lines, ..with_template("{{line}}, {{prompt}}!") });

        assert_eq!(row.params.get("messages"), Some(r#"[{"role":"user","content":"cat, cat!"}]"#));
    }

    #[test]
    fn unknown_columns_of_plain_lines_stop_the_input() {
        let id = Options { id_column: Some("nr".to_owned()), ..lines() };

        assert!(matches!(reader("w.txt", "x", &id), Err(SourceError::NoIdColumn { .. })));
        assert!(matches!(
            reader("w.txt", "x", &Options { format: InputFormat::Lines, ..with_template("{{word}}") }),
            Err(SourceError::TemplateColumn { .. })
        ));
    }

    #[test]
    fn a_nul_byte_breaks_its_line_only() {
        let found = items("w.txt", "a\nb\0c\nd\n", &lines());

        let [Item::Row(_), Item::Broken(row), Item::Row(_)] = &found[..] else { panic!("{found:?}") };
        assert_eq!((row.origin.line, row.column, row.byte_offset), (2, Some(2), 2));
    }
}
