//! CSV and TSV. In `export`, only this module uses the csv crate.
//!
//! If a cell begins with `=`, `+`, `-` or `@`, a spreadsheet runs it as a formula. The author of a row can make the
//! model write such a formula. So this module writes a `'` in front of text that looks like a formula. A spreadsheet
//! then shows the cell as text. Plain numbers are left as they are. With `--raw-cells`, no `'` is added.

use std::io;

use super::output::Output;
use super::{Column, TableWriter, Value};

/// The characters with which a formula can begin, and the characters that a spreadsheet removes before it looks for a
/// formula. The last four characters of `FORMULA` are full-width characters.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Writes records.
pub(crate) struct Csv {
    records: csv::Writer<Box<dyn Output>>,
    is_raw: bool,
}

impl Csv {
    /// Writes the header, and returns the writer of the rows.
    ///
    /// # Errors
    /// An error if the output can't be written.
    pub(crate) fn new(out: Box<dyn Output>, delimiter: u8, columns: &[Column], is_raw: bool) -> io::Result<Self> {
        let records = csv::WriterBuilder::new().delimiter(delimiter).buffer_capacity(64 << 10).from_writer(out);
        let mut csv = Self { records, is_raw };
        for column in columns {
            csv.text(&column.name)?;
        }
        csv.end_record()?;
        Ok(csv)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if !self.is_raw && is_formula(text) {
            return self.field(&format!("'{text}"));
        }
        self.field(text)
    }

    fn field(&mut self, text: &str) -> io::Result<()> {
        self.records.write_field(text).map_err(io_error)
    }

    fn end_record(&mut self) -> io::Result<()> {
        self.records.write_record(None::<&[u8]>).map_err(io_error)
    }
}

impl TableWriter for Csv {
    fn row(&mut self, cells: &[Value<'_>]) -> io::Result<()> {
        for cell in cells {
            match cell {
                Value::Missing => self.field("")?,
                Value::Text(text) => self.text(text)?,
                Value::Json(json) => self.field(json)?,
            }
        }
        self.end_record()
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.records.into_inner().map_err(|error| io::Error::from(error.error().kind()))?.finish()
    }
}

fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// Returns whether a spreadsheet could run this text as a formula.
fn is_formula(text: &str) -> bool {
    text.starts_with(FORMULA) && !is_plain_number(text)
}

fn is_plain_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    unsigned.starts_with(|char: char| char.is_ascii_digit() || char == '.')
        && unsigned.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte))
        && text.parse::<f64>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{columns, written};
    use super::*;

    fn lines(delimiter: u8, is_raw: bool, rows: &[&[Value<'_>]]) -> String {
        let made = |out| Csv::new(out, delimiter, &columns(&["id", "=a,b"]), is_raw).map(|csv| Box::new(csv) as _);
        String::from_utf8(written(made, rows)).expect("it is text")
    }

    fn text(text: &str) -> Value<'_> {
        Value::Text(text.into())
    }

    #[test]
    fn cells_that_need_quotes_get_quotes() {
        let rows: [&[Value<'_>]; 3] = [
            &[text("a,b"), text("say \"hi\"\nnow\r")],
            &[Value::Missing, Value::Json("-1.5".into())],
            &[text("a\tb"), Value::Json(r#"["x",1]"#.into())],
        ];

        assert_eq!(
            lines(b',', true, &rows),
            "id,\"=a,b\"\n\"a,b\",\"say \"\"hi\"\"\nnow\r\"\n,-1.5\na\tb,\"[\"\"x\"\",1]\"\n"
        );
        assert!(lines(b'\t', true, &rows).contains("\n\"a\tb\"\t"));
    }

    #[test]
    fn text_that_looks_like_a_formula_gets_a_quote_and_a_number_does_not() {
        for formula in
            ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1", "--5", "-", "+e5", "-1-1"]
        {
            assert!(is_formula(formula), "{formula:?}");
            assert!(lines(b',', false, &[&[text("x"), text(formula)]]).contains(&format!("'{formula}")), "{formula:?}");
        }
        for plain in ["", "1", "-5", "+3.25", "-.5", "-1e-9", "a=1", "'=1", " =1", "1-1"] {
            assert!(!is_formula(plain), "{plain:?}");
        }
        assert!(lines(b',', false, &[]).starts_with("id,\"'=a,b\"\n"));
    }

    #[test]
    fn a_single_empty_cell_is_a_record() {
        let made = |out| Csv::new(out, b',', &columns(&["text"]), false).map(|csv| Box::new(csv) as _);

        assert_eq!(written(made, &[&[Value::Missing], &[text("")]]), b"text\n\"\"\n\"\"\n");
    }
}
