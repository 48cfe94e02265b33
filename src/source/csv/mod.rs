//! CSV and TSV: a header, and then one record for each row. Only this folder uses the csv crate.
//!
//! The module [`super::header`] decides what columns mean. [`Splitter`] cuts the input into records, and the csv crate
//! parses one record at a time. The docs of the module `splitter` explain why cutting and parsing are separate.

mod parser;

use std::sync::Arc;

use self::parser::Parser;
use super::cells::{CellRef, InputRow, Record};
use super::fields::Warnings;
use super::format::{Columns, Format};
use super::header::Header;
use super::raw::{Fault, Parts, RawRow};
use super::splitter::Splitter;
use super::template::Template;
use super::{Options, SourceError};

/// An input of CSV records.
pub(super) struct Csv {
    parser: Parser,
    /// The header; `None` if the input is empty.
    header: Option<Header>,
    template: Option<Template>,
}

impl Csv {
    /// Starts to read an input, and reads its header. `input` is the name of the input.
    ///
    /// # Errors
    /// If the header has a fault: [`SourceError::Header`], [`SourceError::DuplicateColumns`],
    /// [`SourceError::NoPromptColumn`], [`SourceError::NoIdColumn`], [`SourceError::TemplateColumn`]. If the input
    /// can't be read: [`SourceError::Read`].
    pub(super) fn new(
        records: &mut Splitter,
        input: &str,
        delimiter: u8,
        options: &Options,
    ) -> Result<Self, SourceError> {
        let mut parser = Parser::new(delimiter);
        let columns = read_header(records, &mut parser, input)?;
        let header = columns.map(|columns| Header::new(columns, input, options)).transpose()?;
        Ok(Self { parser, header, template: options.template.clone() })
    }
}

impl Format for Csv {
    fn columns(&self) -> Option<Columns> {
        self.header.as_ref().map(|header| header.grouped_columns(self.template.as_ref()))
    }

    fn header(&self) -> Option<&[Arc<str>]> {
        self.header.as_ref().map(Header::columns)
    }

    fn read(&mut self, raw: &RawRow<'_>, _: &mut Warnings) -> Result<Option<Parts>, Fault> {
        let Some(header) = &self.header else { return Ok(None) };
        self.parser.forget();
        let record = self.parser.parse(raw.plain_text()?)?;
        header.parts(record, self.template.as_ref()).map(Some)
    }

    fn input(&self, _: &RawRow<'_>) -> Option<InputRow> {
        Some(InputRow::Cells(self.parser.last()?.cells().map(CellRef::owned).collect()))
    }
}

impl Record for ::csv::StringRecord {
    fn count(&self) -> usize {
        self.len()
    }

    fn cell(&self, at: usize) -> CellRef<'_> {
        CellRef::Text(&self[at])
    }
}

fn read_header(records: &mut Splitter, parser: &mut Parser, input: &str) -> Result<Option<Vec<Arc<str>>>, SourceError> {
    let Some(raw) = records.next_row()? else { return Ok(None) };
    let raw = match named_delimiter(raw.bytes) {
        Some(_) => match records.next_row()? {
            Some(raw) => raw,
            None => return Ok(None),
        },
        None => raw,
    };
    match raw.plain_text().and_then(|text| parser.parse(text)) {
        Ok(record) => Ok(Some(record.iter().map(|name| name.trim().into()).collect())),
        Err(Fault { message, .. }) => Err(SourceError::Header { name: input.to_owned(), line: raw.line, message }),
    }
}

/// Returns the separator that a line such as `sep=;` names. Excel writes and reads this line before the header.
fn named_delimiter(line: &[u8]) -> Option<u8> {
    match line.trim_ascii_start() {
        [name @ .., delimiter] if name.eq_ignore_ascii_case(b"sep=") && DELIMITERS.contains(delimiter) => {
            Some(*delimiter)
        }
        _ => None,
    }
}

/// The possible separators. If a header has several of them, the first one in this list is the separator.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Returns the separator that the first line of a file names or uses. Bytes inside quotes are ignored. A header without
/// any separator has one column. In a TSV file, the separator is a tab if the first line names no other.
pub(super) fn sniff_delimiter(first_line: &[u8], is_tsv: bool) -> u8 {
    if let Some(delimiter) = named_delimiter(first_line) {
        return delimiter;
    }
    if is_tsv {
        return b'\t';
    }
    let mut is_quoted = false;
    let mut found = [false; DELIMITERS.len()];
    for byte in first_line {
        is_quoted ^= *byte == b'"';
        if let Some(at) = DELIMITERS.iter().position(|own| own == byte && !is_quoted) {
            found[at] = true;
        }
    }
    found.iter().position(|is_found| *is_found).map_or(DELIMITERS[0], |at| DELIMITERS[at])
}

#[cfg(test)]
mod tests {
    use super::super::Item;
    use super::super::testing::{broken, items, reader, row, shown, with_template};
    use super::*;

    #[test]
    fn columns_with_known_names_are_used_and_other_columns_are_kept() {
        let text = "custom_id,prompt,system,model,max_tokens,note\na1,Hi,Be brief,m,50,=1+1\n,Ho,,,,\n";

        let found = items("t.csv", text, &Options::default());

        let [Item::Row(first), Item::Row(second)] = &found[..] else { panic!("{found:?}") };
        let expected =
            r#"{"model":"m","system":"Be brief","max_tokens":50,"messages":[{"role":"user","content":"Hi"}]}"#;
        assert_eq!((first.custom_id.as_deref(), &*shown(&first.params)), (Some("a1"), expected));
        assert_eq!(shown(&first.extra), r#"{"note":"=1+1"}"#);
        assert_eq!(shown(&second.params), r#"{"messages":[{"role":"user","content":"Ho"}]}"#);
        assert_eq!((second.custom_id.as_deref(), &*shown(&second.extra)), (None, r#"{"note":""}"#));
    }

    #[test]
    fn a_template_makes_variables_of_all_columns() {
        let options = with_template("{{model}} in {{row[\"made in\"]}}?");

        let row = row("cars.csv", "id,model,made in\n3,Golf,Wolfsburg\n", &options);

        assert_eq!(shown(&row.params), r#"{"messages":[{"role":"user","content":"Golf in Wolfsburg?"}]}"#);
        assert_eq!(shown(&row.extra), r#"{"model":"Golf","made in":"Wolfsburg"}"#);
        assert_eq!(row.custom_id.as_deref(), Some("3"));
    }

    #[test]
    fn a_quoted_cell_can_contain_line_ends_separators_and_quotes() {
        let text = "id,prompt\r\n1,\"a\r\nb, \"\"c\"\"\"\r\n\r\n2,5\" screen\r\n3,last";

        let found = items("t.csv", text, &Options::default());

        let seen: Vec<_> = found
            .iter()
            .map(|item| match item {
                Item::Row(row) => (row.origin.line, row.params.get("messages").unwrap_or_default().to_owned()),
                other => panic!("{other:?}"),
            })
            .collect();
        let message = |content: &str| format!(r#"[{{"role":"user","content":"{content}"}}]"#);
        let expected = [(2, message(r#"a\r\nb, \"c\""#)), (5, message(r#"5\" screen"#)), (6, message("last"))];
        assert_eq!(seen, expected);
    }

    #[test]
    fn the_separator_follows_the_header() {
        let content =
            |name: &str, text: &str| row(name, text, &Options::default()).params.get("messages").map(str::to_owned);
        let expected = Some(r#"[{"role":"user","content":"x, y"}]"#.to_owned());

        assert_eq!(content("t.csv", "id;prompt\n1;x, y\n"), expected);
        assert_eq!(content("t.csv", "id\tprompt\n1\tx, y\n"), expected);
        assert_eq!(content("t.tsv", "a,id\tprompt\n1\tx, y\n"), expected);
        assert_eq!(content("t.csv", "\"a;b\",prompt\n1,\"x, y\"\n"), expected);
        assert_eq!(content("t.csv", "\u{feff}prompt\n\"x, y\"\n"), expected);
        assert_eq!(content("t.csv", "id|prompt\n1|x, y\n"), expected);
        assert_eq!(content("t.csv", "\u{feff}sep=;\r\na,id;prompt\r\n1;x, y\r\n"), expected);
        assert_eq!(content("t.csv", "sep=\t\nid\tprompt\n1\tx, y\n"), expected);
        assert_eq!(content("t.tsv", "SEP=,\nid,prompt\n1,\"x, y\"\n"), expected);
        assert_eq!(row("t.csv", "sep=;\nid;prompt\n1;a\n", &Options::default()).origin.line, 3);
        assert_eq!(items("t.csv", "sep=;\n", &Options::default()).len(), 0);
    }

    #[test]
    fn unusable_headers_stop_the_input() {
        let error = |text: &str, options: &Options| reader("t.csv", text, options).expect_err(text).to_string();
        let id = Options { id_column: Some("nr".to_owned()), ..Options::default() };

        let no_prompt = error("id,Body text\n1,x\n", &Options::default());
        assert!(no_prompt.contains(r#"columns: id, "Body text""#), "{no_prompt}");
        assert!(no_prompt.contains(r#"-t '{{row["Body text"]}}'"#), "{no_prompt}");
        assert!(error("a,Prompt\n", &Options::default()).contains("-t '{{Prompt}}'"));
        assert!(error("prompt,a,b,a,b\n", &Options::default()).contains("names a, b more than once"));
        assert!(error("prompt,id\n", &id).contains("--id names the column \"nr\""));
        let template = error("id,text\n1,x\n", &with_template("{{text}} {{txt}}"));
        assert!(
            template.contains("names txt, which is not there; the columns are: id, text; did you mean text?"),
            "{template}"
        );
        assert!(error("prompt,\"open\nx\n", &Options::default()).contains("never closed"));
        assert!(error("\n\nprompt,\0\nx\n", &Options::default()).contains("line 3"));
    }

    #[test]
    fn columns_without_a_name_are_left_out() {
        let row = row("t.csv", ",prompt,\n0,x,y\n", &Options::default());

        assert!(row.extra.0.is_empty());
    }

    #[test]
    fn a_broken_record_does_not_affect_other_records() {
        let mut text = b"id,prompt,max_tokens\n1,a,\n2,b\n3,c,1,x\n4,\xff,\n5,e,-1\n6,\"\",\n7,\0,\n".to_vec();
        text.extend_from_slice(b"8,h,\n9,\"open,\n10,x,\n");

        let found = items("t.csv", &text, &Options::default());

        let seen: Vec<(u64, u64, &str)> = found
            .iter()
            .filter_map(|item| match item {
                Item::Broken(row) => Some((row.origin.line, row.byte_offset, &*row.message)),
                Item::Row(_) => None,
            })
            .collect();
        let expected = [
            (3, 26, "has 2 cells where the header has 3"),
            (4, 30, "has 4 cells where the header has 3; quote cells that hold the separator"),
            (5, 38, "is not UTF-8: byte 0xff; if the file is Latin-1, convert it with: iconv -f LATIN1 -t UTF-8"),
            (6, 43, "has max_tokens -1; it must be a whole number above 0"),
            (7, 50, "has an empty prompt"),
            (8, 56, "holds a NUL byte, which is not text"),
            (
                10,
                66,
                "has a quote that is never closed, so the last 2 lines of the input are read as one record; close the \
                 quote",
            ),
        ];
        assert_eq!(seen, expected);
        assert_eq!(found.len(), expected.len() + 2);
    }

    #[test]
    fn a_record_of_a_million_cells_is_broken() {
        let text = format!("id,prompt\n{}\n2,b\n", ",".repeat(1_000_000));

        let row = items("t.csv", &text, &Options::default());

        let [Item::Broken(broken), Item::Row(_)] = &row[..] else { panic!("two rows") };
        assert!(broken.message.starts_with("has 1000001 cells"), "{}", broken.message);
    }

    #[test]
    fn a_broken_record_keeps_its_label_if_it_could_be_split_into_cells() {
        let row = broken("t.csv", "id,prompt\nx7,\" \"\n", &Options::default());

        assert_eq!(row.custom_id.as_deref(), Some("x7"));
    }

    #[test]
    fn an_empty_input_has_no_rows_and_no_faults() {
        for text in ["", "\u{feff}", "\r\n\n"] {
            assert_eq!(items("t.csv", text, &Options::default()).len(), 0);
        }
        assert_eq!(items("t.csv", "id,prompt\n", &Options::default()).len(), 0);
    }
}
