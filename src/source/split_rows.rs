//! The rows of an input that consists of lines or CSV records. A [`Splitter`] cuts the rows out of the input, and a
//! [`Format`] parses them.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use super::cells::InputRow;
use super::fields::Warnings;
use super::format::{Columns, Format, Rows};
use super::identity::open_error;
use super::raw::Parts;
use super::splitter::Splitter;
use super::{BrokenRow, InputFormat, Item, Position, Row, SourceError};

/// Rows that are lines or CSV records.
pub(super) struct SplitRows<F> {
    pub(super) splitter: Splitter,
    format: F,
    kind: InputFormat,
    keeps_input: bool,
    /// The path of the file; `None` if reading can begin only at the start of the input.
    file: Option<PathBuf>,
}

impl<F: Format> SplitRows<F> {
    /// Returns the rows that `splitter` cuts out of the input. If `keeps_input` is true, each returned row contains its
    /// [`InputRow`]. `file` is the path of the input; it is `None` if the input can be read only from its start.
    pub(super) fn new(
        splitter: Splitter,
        format: F,
        kind: InputFormat,
        keeps_input: bool,
        file: Option<PathBuf>,
    ) -> Self {
        Self { splitter, format, kind, keeps_input, file }
    }
}

impl<F: Format> Rows for SplitRows<F> {
    fn format(&self) -> InputFormat {
        self.kind
    }

    fn columns(&self) -> Option<Columns> {
        self.format.columns()
    }

    fn header(&self) -> Option<&[Arc<str>]> {
        self.format.header()
    }

    fn is_random_access(&self) -> bool {
        self.file.is_some()
    }

    fn position(&mut self) -> Option<Position> {
        Some(self.splitter.position())
    }

    fn next(&mut self, name: &Arc<str>, warnings: &mut Warnings) -> Result<Option<Item>, SourceError> {
        while let Some(raw) = self.splitter.next_row()? {
            let read = self.format.read(&raw, warnings);
            let input = || -> Option<InputRow> { self.keeps_input.then(|| self.format.input(&raw)).flatten() };
            let item = match read {
                Ok(None) => continue,
                Ok(Some(Parts { custom_id, params, extra, error })) => {
                    let (origin, input) = (raw.origin(name), input());
                    Item::Row(Box::new(Row { origin, custom_id, params, extra, error, input }))
                }
                Err(fault) => Item::Broken(Box::new(BrokenRow { input: input(), ..raw.broken(name, fault) })),
            };
            self.splitter.free_row();
            return Ok(Some(item));
        }
        Ok(None)
    }

    fn seek(&mut self, position: Position, name: &Arc<str>) -> Result<(), SourceError> {
        if self.splitter.position() == position {
            return Ok(());
        }
        match &self.file {
            Some(path) => {
                let mut file = File::open(path).map_err(|source| open_error(path, source))?;
                if !is_behind_a_line(&mut file, position, name)? {
                    return Err(SourceError::Moved { name: name.to_string(), line: position.line });
                }
                self.splitter.continue_at(position, Box::new(file));
                Ok(())
            }
            None => self.skip_to(position, name),
        }
    }
}

impl<F> SplitRows<F> {
    /// Reads up to `position` without parsing the rows before it.
    fn skip_to(&mut self, position: Position, name: &Arc<str>) -> Result<(), SourceError> {
        while self.splitter.position().byte_offset < position.byte_offset && self.splitter.next_row()?.is_some() {}
        if self.splitter.position() != position {
            return Err(SourceError::Moved { name: name.to_string(), line: position.line });
        }
        Ok(())
    }
}

/// Moves to `position`. Returns whether a line ends just before this position.
fn is_behind_a_line(file: &mut File, position: Position, name: &Arc<str>) -> Result<bool, SourceError> {
    let read_error = |source| SourceError::Read { name: name.to_string(), line: position.line, source };
    let Some(before) = position.byte_offset.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    file.seek(SeekFrom::Start(before)).map_err(read_error)?;
    Ok(file.read(&mut byte).map_err(read_error)? == 1 && byte == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::super::testing::{items, reader};
    use super::super::{InputCell, Options};
    use super::*;

    fn inputs(name: &str, text: &str, format: InputFormat) -> Vec<Option<InputRow>> {
        let options = Options { keeps_input: true, format, ..Options::default() };
        let input = |item| match item {
            Item::Row(row) => row.input,
            Item::Broken(row) => row.input,
        };
        items(name, text, &options).into_iter().map(input).collect()
    }

    fn cells(texts: &[&str]) -> Option<InputRow> {
        Some(InputRow::Cells(texts.iter().map(|text| InputCell::Text((*text).into())).collect()))
    }

    #[test]
    fn with_keeps_input_each_row_has_its_content_from_the_input() {
        let csv = "prompt,,note\na,b,c\nshort\n,d,\n\"open\n";
        let json = "{\"prompt\": \"a\"}\n\"b\"\n{\"no prompt\": 1}\n{broken\n";

        let of_csv = inputs("t.csv", csv, InputFormat::Auto);
        let of_json = inputs("t.jsonl", json, InputFormat::Auto);

        assert_eq!(of_csv, [cells(&["a", "b", "c"]), cells(&["short"]), cells(&["", "d", ""]), None]);
        let written = [Some(r#"{"prompt": "a"}"#), Some(r#""b""#), Some(r#"{"no prompt": 1}"#), None];
        assert_eq!(of_json, written.map(|line| line.map(|line| InputRow::Json(line.into()))));
        let expected = InputRow::Json(r#"{"line":"say \"x\""}"#.into());
        assert_eq!(inputs("t.txt", "say \"x\"\n", InputFormat::Lines), [Some(expected)]);
    }

    #[test]
    fn without_keeps_input_no_row_has_its_content_from_the_input() {
        for text in ["prompt,note\na,b\n", "prompt,note\na\n"] {
            match items("t.csv", text, &Options::default()).pop() {
                Some(Item::Row(row)) => assert_eq!(row.input, None),
                Some(Item::Broken(row)) => assert_eq!(row.input, None),
                None => panic!("there is a row"),
            }
        }
    }

    #[test]
    fn the_header_names_every_column_in_order() {
        let read = |name, text: &str| {
            let reader = reader(name, text, &Options::default()).expect("sound");
            reader.header().map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>())
        };

        assert_eq!(read("t.csv", "note,,prompt\n"), Some(["note", "", "prompt"].map(str::to_owned).to_vec()));
        assert_eq!(read("t.jsonl", "\"x\"\n"), None);
    }
}
