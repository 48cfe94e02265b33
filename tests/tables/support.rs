//! Functions that the tests share: they read tables and show the cells.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use claude_batch::source::{BrokenRow, Input, InputCell, InputRow, Item, Options, Row, Template, open};

pub fn table(name: &str) -> PathBuf {
    Path::new("fixtures/tables").join(name)
}

pub fn with_template(text: &str) -> Options {
    Options { template: Some(Template::parse(text).expect("a good template")), ..Options::default() }
}

pub fn keeping() -> Options {
    Options { keeps_input: true, ..Options::default() }
}

pub fn read(path: &Path, options: &Options) -> Vec<Item> {
    let reader = open(&Input::File(path.to_owned()), options).expect("the file as a whole is sound");
    reader.collect::<Result<_, _>>().expect("the file is sound")
}

/// Returns the cells of a row. A text has `T:` in front, and a JSON value has `J:`.
pub fn cells(item: &Item) -> Vec<Option<String>> {
    let input = match item {
        Item::Row(row) => &row.input,
        Item::Broken(row) => &row.input,
    };
    let Some(InputRow::Cells(cells)) = input else { panic!("{input:?}") };
    let shown = |cell: &InputCell| match cell {
        InputCell::Missing => None,
        InputCell::Text(text) => Some(format!("T:{text}")),
        InputCell::Json(json) => Some(format!("J:{json}")),
    };
    cells.iter().map(shown).collect()
}

pub fn line(item: &Item) -> u64 {
    match item {
        Item::Row(row) => row.origin.line,
        Item::Broken(row) => row.origin.line,
    }
}

pub fn row(item: &Item) -> &Row {
    let Item::Row(row) = item else { panic!("{item:?}") };
    row
}

pub fn broken(item: &Item) -> &BrokenRow {
    let Item::Broken(row) = item else { panic!("{item:?}") };
    row
}

pub fn messages(row: &Row) -> String {
    row.params.get("messages").expect("every row has messages").to_owned()
}

/// A file that a test makes. The file is removed at the end of the test.
pub struct Made(tempfile::NamedTempFile);

impl Made {
    pub fn new(bytes: &[u8], extension: &str) -> Self {
        let suffix = format!(".{extension}");
        let mut file = tempfile::Builder::new().suffix(&suffix).tempfile().expect("a temporary file");
        file.write_all(bytes).expect("it can be written");
        Self(file)
    }

    pub fn path(&self) -> PathBuf {
        self.0.path().to_owned()
    }
}
