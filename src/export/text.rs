//! Text output: each line is the value of one field.
//!
//! A line break in a text would make two lines. So a line feed is written as `\n`, a carriage return as `\r`, and `\`
//! as `\\`. With `--null`, each text is written unchanged and ends in a NUL byte instead of a line feed.

use std::io::{self, Write};

use super::output::Output;
use super::{TableWriter, Value};

/// A writer of text output, which writes the first cell of each row.
pub(crate) struct Text {
    out: Box<dyn Output>,
    /// Whether texts end in a NUL byte.
    ends_in_null: bool,
}

impl Text {
    pub(crate) fn new(out: Box<dyn Output>, ends_in_null: bool) -> Self {
        Self { out, ends_in_null }
    }
}

impl TableWriter for Text {
    fn row(&mut self, cells: &[Value<'_>]) -> io::Result<()> {
        let text = match cells.first() {
            Some(Value::Text(text) | Value::Json(text)) => &**text,
            Some(Value::Missing) | None => "",
        };
        if self.ends_in_null {
            self.out.write_all(text.as_bytes())?;
            return self.out.write_all(b"\0");
        }
        let mut rest = text.as_bytes();
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r' | b'\\')) {
            self.out.write_all(&rest[..at])?;
            self.out.write_all(match rest[at] {
                b'\n' => b"\\n",
                b'\r' => b"\\r",
                _ => b"\\\\",
            })?;
            rest = &rest[at + 1..];
        }
        self.out.write_all(rest)?;
        self.out.write_all(b"\n")
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::written;
    use super::*;

    #[test]
    fn every_text_is_one_line_that_can_be_read_back() {
        let rows: [&[Value<'_>]; 3] =
            [&[Value::Text("a\nb\r\\n".into())], &[Value::Missing], &[Value::Json("[1]".into())]];

        assert_eq!(written(|out| Ok(Box::new(Text::new(out, false))), &rows), b"a\\nb\\r\\\\n\n\n[1]\n");
        assert_eq!(written(|out| Ok(Box::new(Text::new(out, true))), &rows), b"a\nb\r\\n\0\0[1]\0");
    }
}
