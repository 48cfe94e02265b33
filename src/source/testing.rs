//! Functions for the tests of all formats. The functions read rows from text in memory and show them.

use std::io::Cursor;

use super::{BrokenRow, Item, Options, Reader, Row, SourceError, Template};
use crate::domain::Params;

/// Returns a reader of `text`, as if it were in a file or pipe called `name`.
pub(super) fn reader(name: &str, text: impl AsRef<[u8]>, options: &Options) -> Result<Reader, SourceError> {
    Reader::from_read(name, options.format, Box::new(Cursor::new(text.as_ref().to_vec())), options)
}

/// Reads all rows of `text`.
pub(super) fn items(name: &str, text: impl AsRef<[u8]>, options: &Options) -> Vec<Item> {
    let reader = reader(name, text, options).expect("the input can be read as a whole");
    reader.collect::<Result<_, _>>().expect("a read from memory never fails")
}

/// Reads `text`, which has one usable row.
pub(super) fn row(name: &str, text: &str, options: &Options) -> Row {
    match items(name, text, options).pop() {
        Some(Item::Row(row)) => *row,
        other => panic!("{text} gave {other:?}"),
    }
}

/// Reads `text`, and returns its last row, which must be broken.
pub(super) fn broken(name: &str, text: impl AsRef<[u8]>, options: &Options) -> BrokenRow {
    match items(name, &text, options).pop() {
        Some(Item::Broken(row)) => *row,
        other => panic!("{} gave {other:?}", String::from_utf8_lossy(text.as_ref())),
    }
}

/// Returns options with a template.
pub(super) fn with_template(text: &str) -> Options {
    let template = Template::parse(text).expect("the test writes valid templates");
    Options { template: Some(template), ..Options::default() }
}

/// Returns parameters as one object.
pub(super) fn shown(params: &Params) -> String {
    let mut out = Vec::new();
    params.write_object(&mut out);
    String::from_utf8(out).expect("JSON is text")
}
