//! The rows of text files: each file is a row, and its path is the label.
//!
//! A file that can't be read is a broken row and does not affect the other rows.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use super::fields::Warnings;
use super::format::Rows;
use super::raw::{End, Fault, RawRow};
use super::sniff::Peeked;
use super::text::Text;
use super::texts::Texts;
use super::{InputFormat, Item, Options, Position, SourceError};

/// The rows of text files, in order.
pub(super) struct TextFiles {
    texts: Texts,
    text: Text,
    /// The index of the next file in the list.
    next: usize,
    /// The total length of the files before the next file, plus one byte per file.
    offset: u64,
}

impl TextFiles {
    /// Returns the rows of the text files, beginning with the first file.
    ///
    /// # Errors
    /// The errors of [`Text::new`].
    pub(super) fn new(texts: Texts, options: &Options) -> Result<Self, SourceError> {
        let text = Text::new(texts.name(), options)?;
        Ok(Self { texts, text, next: 0, offset: 0 })
    }

    /// Returns a file's text, or the reason why it can't be used.
    fn load(&self, path: &Path, name: &str) -> Result<Vec<u8>, Fault> {
        let file = File::open(path).map_err(|error| Fault::new(format!("can't be opened: {error}")))?;
        let peeked = Peeked::new(name, Box::new(file)).map_err(fault)?;
        self.text.load(peeked.into_read()).map_err(|error| fault(SourceError::reading(name, 1, error)))
    }
}

impl Rows for TextFiles {
    fn format(&self) -> InputFormat {
        InputFormat::Text
    }

    fn position(&mut self) -> Option<Position> {
        let is_left = self.next < self.texts.labels().len();
        is_left.then_some(Position { line: self.next as u64 + 1, byte_offset: self.offset })
    }

    fn next(&mut self, _: &Arc<str>, _: &mut Warnings) -> Result<Option<Item>, SourceError> {
        let Some(label) = self.texts.labels().get(self.next) else { return Ok(None) };
        let path = self.texts.root().join(&**label);
        let source: Arc<str> = self.texts.shown(label).into();
        let loaded = self.load(&path, &source);
        self.next += 1;
        self.offset += 1 + loaded.as_ref().map_or(0, Vec::len) as u64;
        let item = match loaded {
            Ok(text) => self.text.row(&text, label, Some(label), &source),
            Err(fault) => {
                let raw = RawRow { line: 1, lines: 1, byte_offset: 0, bytes: b"", end: End::Whole };
                Item::Broken(Box::new(raw.broken(&source, fault.of(Some(label.to_string())))))
            }
        };
        Ok(Some(item))
    }
}

/// Turns the error of a file into the fault of its row.
fn fault(error: SourceError) -> Fault {
    Fault::new(match error {
        SourceError::Binary { what, remedy, .. } => format!("looks like {what}, not like text in UTF-8; {remedy}"),
        SourceError::Damaged { message, .. } => format!("is damaged: {message}"),
        SourceError::Read { source, .. } => format!("can't be read: {source}"),
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::testing::{shown, with_template};
    use super::super::texts::{Expanded, expand};
    use super::super::{Input, open};
    use super::*;

    fn texts(folder: &Path) -> Input {
        match expand(folder, Path::new(""), InputFormat::Auto) {
            Ok(Expanded::Texts(texts)) => Input::Texts(texts),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_file_is_a_row_and_an_unreadable_file_does_not_affect_other_files() {
        let folder = tempfile::tempdir().expect("there is room");
        let write = |name: &str, text: &[u8]| fs::write(folder.path().join(name), text).expect("there is room");
        write("1.txt", "\u{feff}one\n".as_bytes());
        write("2.txt", b" \n");
        write("3.txt", b"caf\xe9");
        write("4.txt", b"%PDF-1.7");
        write("5.txt", &[b'x'; 100]);
        write("6.txt", b"gone");
        write("7.txt.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc");
        write("8.md", b"last");
        let input = texts(folder.path());
        fs::remove_file(folder.path().join("6.txt")).expect("it is there");
        let options = Options { max_line_bytes: 50, ..with_template("{{name}}: {{text}}") };

        let mut reader = open(&input, &options).expect("the folder is there");
        let found: Vec<Item> = reader.by_ref().collect::<Result<_, _>>().expect("no file ends the input");

        let [Item::Row(first), broken @ .., Item::Row(last)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(shown(&first.params), r#"{"messages":[{"role":"user","content":"1.txt: one\n"}]}"#);
        assert_eq!((first.custom_id.as_deref(), last.custom_id.as_deref()), (Some("1.txt"), Some("8.md")));
        assert!(first.origin.source.ends_with("1.txt") && first.origin.line == 1, "{:?}", first.origin);
        let expected = [
            ("2.txt", "empty prompt"),
            ("3.txt", "is not UTF-8"),
            ("4.txt", "looks like a PDF"),
            ("5.txt", "is longer than"),
            ("6.txt", "can't be opened"),
            ("7.txt.gz", "is damaged: the gzip data"),
        ];
        assert_eq!(broken.len(), expected.len());
        for (item, (label, message)) in broken.iter().zip(expected) {
            let Item::Broken(row) = item else { panic!("{item:?}") };
            assert!(
                row.custom_id.as_deref() == Some(label) && row.message.contains(message),
                "{label}: {}",
                row.message
            );
        }
        assert!(reader.take_warnings().is_empty());
    }

    #[test]
    fn the_position_of_a_file_counts_the_bytes_before_it() {
        let folder = tempfile::tempdir().expect("there is room");
        for name in ["a.txt", "b.txt", "c.txt"] {
            fs::write(folder.path().join(name), name).expect("there is room");
        }
        let (input, options) = (texts(folder.path()), Options::default());
        let mut reader = open(&input, &options).expect("the folder is there");
        let mut offsets = Vec::new();
        while let Some(position) = reader.position() {
            offsets.push((position.line, position.byte_offset));
            reader.next();
        }

        assert_eq!(offsets, [(1, 0), (2, 6), (3, 12)]);
    }
}
