//! The rows of text files: each file is a row, and its path is the label.
//!
//! A file that can't be read is a broken row, so it costs no other row.

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

/// Text files, in order.
pub(super) struct TextFiles {
    texts: Texts,
    text: Text,
    /// The place of the next file in the list.
    next: usize,
    /// How long the files before it are, and one byte more for each.
    offset: u64,
}

impl TextFiles {
    /// Begins with the first file.
    ///
    /// # Errors
    /// As of [`Text::new`].
    pub(super) fn new(texts: Texts, options: &Options) -> Result<Self, SourceError> {
        let text = Text::new(texts.name(), options)?;
        Ok(Self { texts, text, next: 0, offset: 0 })
    }

    /// Returns a file's text, or why it can't be used.
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
        let source: Arc<str> = path.display().to_string().into();
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

/// Returns an error of one file as the fault of its row.
fn fault(error: SourceError) -> Fault {
    Fault::new(match error {
        SourceError::Binary { what, remedy, .. } => format!("looks like {what}, not like text in UTF-8; {remedy}"),
        SourceError::Damaged { message, .. } => format!("is damaged: {message}"),
        SourceError::Read { source, .. } => format!("can't be read: {source}"),
        other => other.to_string(),
    })
}
