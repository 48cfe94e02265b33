//! Turns a whole text into the prompt of one row.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use super::cells::InputRow;
use super::fields::Warnings;
use super::fixed::check_columns;
use super::format::Rows;
use super::json::string_value;
use super::prompt;
use super::raw::{End, Fault, Parts, RawRow};
use super::template::{Cell, Template};
use super::{BrokenRow, InputFormat, Item, Options, Position, Row, SourceError};
use crate::domain::Params;

/// The columns that a template can use. The columns `text` and `prompt` both contain the text. The columns `path` and
/// `name` contain the path and the name of the file.
const COLUMNS: [&str; 4] = ["text", "prompt", "path", "name"];

/// The settings for turning a text into a row.
pub(super) struct Text {
    template: Option<Template>,
    /// The template of `--system`; it is set only if the prompt has a template too.
    system: Option<Template>,
    most_bytes: usize,
    keeps_input: bool,
}

impl Text {
    /// Starts to read the input called `input`.
    ///
    /// # Errors
    /// The errors of [`check_columns`].
    pub(super) fn new(input: &str, options: &Options) -> Result<Self, SourceError> {
        let system = check_columns(input, options, &COLUMNS)?;
        let (template, most_bytes) = (options.template.clone(), options.max_line_bytes);
        Ok(Self { template, system, most_bytes, keeps_input: options.keeps_input })
    }

    /// Reads a whole text. If the text is too long, reading stops just after the limit.
    ///
    /// # Errors
    /// The errors of reading from `input`.
    pub(super) fn load(&self, input: impl Read) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        input.take(self.most_bytes as u64 + 1).read_to_end(&mut text)?;
        Ok(text)
    }

    /// Returns the row for a text that was loaded from `path`. `label` is the label of the row, and `source` is the
    /// name of the text in messages.
    pub(super) fn row(&self, text: &[u8], path: &str, label: Option<&str>, source: &Arc<str>) -> Item {
        let end = if text.len() > self.most_bytes { End::TooLong(self.most_bytes) } else { End::Whole };
        let raw = RawRow { line: 1, lines: 1, byte_offset: 0, bytes: text, end };
        match self.parts(&raw, path) {
            Ok(Parts { params, .. }) => {
                let (origin, custom_id) = (raw.origin(source), label.map(str::to_owned));
                let input = raw.text().ok().filter(|_| self.keeps_input).map(|text| input(text, path));
                Item::Row(Box::new(Row { origin, custom_id, params, extra: Params::default(), error: None, input }))
            }
            Err(fault) => {
                let fault = fault.of(label.map(str::to_owned));
                let input = self.keeps_input.then(|| input(&String::from_utf8_lossy(raw.kept()), path));
                Item::Broken(Box::new(BrokenRow { input, ..raw.broken(source, fault) }))
            }
        }
    }

    fn parts(&self, raw: &RawRow<'_>, path: &str) -> Result<Parts, Fault> {
        let text = raw.plain_text()?;
        let columns: Vec<_> = COLUMNS.into_iter().zip([text, text, path, file_name(path)].map(Cell::Text)).collect();
        let messages = match &self.template {
            // With an empty text, the prompt would be only the words of the template, and the user would pay for a
            // useless answer.
            Some(_) if text.trim().is_empty() => return Err(Fault::new("has an empty prompt")),
            Some(template) => prompt::templated_message(template, &columns)?,
            None => prompt::text_message(text)?,
        };
        let mut params = Params(vec![("messages".into(), messages)]);
        prompt::set_templated_system(&mut params, self.system.as_ref(), &columns)?;
        prompt::check_size(&params)?;
        Ok(Parts { params, ..Parts::default() })
    }
}

/// Returns the content of the row for outputs.
fn input(text: &str, path: &str) -> InputRow {
    let (name, path, text) = (string_value(file_name(path)), string_value(path), string_value(text));
    InputRow::Json(format!("{{\"path\":{path},\"name\":{name},\"text\":{text}}}").into())
}

fn file_name(path: &str) -> &str {
    Path::new(path).file_name().and_then(|name| name.to_str()).unwrap_or(path)
}

/// An input that is one text, and so has one row.
pub(super) struct OneText {
    text: Text,
    input: Option<Box<dyn Read + Send>>,
    is_named: bool,
}

impl OneText {
    /// Starts to read the input called `name`. If `is_named` is true, the name is also the label of the row.
    ///
    /// # Errors
    /// The errors of [`Text::new`].
    pub(super) fn new(
        input: Box<dyn Read + Send>,
        name: &str,
        is_named: bool,
        options: &Options,
    ) -> Result<Self, SourceError> {
        Ok(Self { text: Text::new(name, options)?, input: Some(input), is_named })
    }
}

impl Rows for OneText {
    fn format(&self) -> InputFormat {
        InputFormat::Text
    }

    fn position(&mut self) -> Option<Position> {
        self.input.is_some().then_some(Position { line: 1, byte_offset: 0 })
    }

    fn next(&mut self, name: &Arc<str>, _: &mut Warnings) -> Result<Option<Item>, SourceError> {
        let Some(input) = self.input.take() else { return Ok(None) };
        let text = self.text.load(input).map_err(|source| SourceError::reading(name, 1, source))?;
        Ok(Some(self.text.row(&text, name, self.is_named.then_some(name), name)))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broken, row, shown, with_template};
    use super::super::{Reader, SourceError};
    use super::*;

    fn options() -> Options {
        Options { format: InputFormat::Text, ..Options::default() }
    }

    #[test]
    fn a_text_is_one_prompt() {
        let row = row("notes/a.txt", "one\n\ntwo\r\n", &options());

        assert_eq!(shown(&row.params), r#"{"messages":[{"role":"user","content":"one\n\ntwo\r\n"}]}"#);
        assert_eq!((row.origin.line, row.custom_id), (1, None));
    }

    #[test]
    fn a_template_can_use_the_text_the_path_and_the_name() {
        let options =
            Options { format: InputFormat::Text, ..with_template("{{name}} of {{path}}: {{text}}{{prompt}}") };

        let row = row("notes/a.txt", "cat", &options);

        assert_eq!(shown(&row.params), r#"{"messages":[{"role":"user","content":"a.txt of notes/a.txt: catcat"}]}"#);
    }

    #[test]
    fn texts_that_can_not_be_used_are_broken_rows() {
        let small = Options { max_line_bytes: 8, ..options() };
        for (text, options, message) in [
            (&b" \n"[..], options(), "has an empty prompt"),
            (b"caf\xe9", options(), "is not UTF-8: byte 0xe9"),
            (b"a\0b", options(), "holds a NUL byte"),
            (b"123456789", small, "is longer than"),
            (b"", Options { format: InputFormat::Text, ..with_template("Say {{text}}") }, "has an empty prompt"),
        ] {
            let row = broken("a.txt", text, &options);

            assert!(row.message.contains(message), "{}", row.message);
        }
    }

    #[test]
    fn columns_that_a_text_does_not_have_stop_the_input() {
        let id = Options { id_column: Some("nr".to_owned()), ..options() };
        let template = Options { format: InputFormat::Text, ..with_template("{{body}}") };
        let open = |options: &Options| Reader::from_read("a.txt", InputFormat::Text, Box::new(&b"x"[..]), options);

        assert!(matches!(open(&id), Err(SourceError::NoIdColumn { .. })));
        assert!(matches!(open(&template), Err(SourceError::TemplateColumn { .. })));
    }
}
