//! JSON lines with chosen fields. Each row is an object with a member for each field.

use std::io::{self, Write};

use super::output::Output;
use super::{Column, TableWriter, Value};
use crate::domain::json::{write_json_str, write_on_one_line};

/// Writes objects.
pub(crate) struct JsonLines {
    out: Box<dyn Output>,
    /// The beginning of each member: a brace or comma, the name, a colon.
    beginnings: Vec<Vec<u8>>,
    line: Vec<u8>,
}

impl JsonLines {
    pub(crate) fn new(out: Box<dyn Output>, columns: &[Column]) -> Self {
        let beginning = |(at, column): (usize, &Column)| {
            let mut beginning = vec![if at == 0 { b'{' } else { b',' }];
            write_json_str(&column.name, &mut beginning);
            beginning.push(b':');
            beginning
        };
        Self { out, beginnings: columns.iter().enumerate().map(beginning).collect(), line: Vec::new() }
    }
}

impl TableWriter for JsonLines {
    fn row(&mut self, cells: &[Value<'_>]) -> io::Result<()> {
        self.line.clear();
        for (beginning, cell) in self.beginnings.iter().zip(cells) {
            self.line.extend_from_slice(beginning);
            match cell {
                Value::Missing => self.line.extend_from_slice(b"null"),
                Value::Text(text) => write_json_str(text, &mut self.line),
                Value::Json(json) => write_on_one_line(json.as_bytes(), &mut self.line),
            }
        }
        self.line.extend_from_slice(b"}\n");
        self.out.write_all(&self.line)
    }

    fn finish(self: Box<Self>) -> io::Result<()> {
        self.out.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{columns, written};
    use super::*;

    #[test]
    fn values_keep_their_types() {
        let rows: [&[Value<'_>]; 2] = [
            &[Value::Text("a\"\n".into()), Value::Json("1.50".into())],
            &[Value::Missing, Value::Json("{\"x\":\n1}".into())],
        ];

        let made = written(|out| Ok(Box::new(JsonLines::new(out, &columns(&["id", "n\"m"])))), &rows);

        assert_eq!(
            String::from_utf8_lossy(&made),
            "{\"id\":\"a\\\"\\n\",\"n\\\"m\":1.50}\n{\"id\":null,\"n\\\"m\":{\"x\": 1}}\n"
        );
    }
}
