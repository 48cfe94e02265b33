//! CSV and TSV: a header, then one record a row. The only user of the csv crate.
//!
//! Owns what columns mean. Without a template, `prompt`, `system`, `model`, `max_tokens` and the label are used as such,
//! and an empty cell is as good as none; with one, every column is a variable and only the label keeps its meaning,
//! since data has columns called `model` too. Other columns ride along as strings.
//!
//! Records are cut by [`Splitter`] and taken apart by the csv crate one at a time, see there for why.

use std::io::{self, Read};
use std::sync::Arc;

use super::error::{found_list, name_list, short};
use super::fields::Warnings;
use super::raw::{Fault, Place, RawRow, Splitter, row_text};
use super::shape::{MAX_LABEL_BYTES, label_too_long};
use super::template::{Cell, Template, missing_columns};
use super::text::refuse_nul;
use super::{Columns, Item, Options, Row, Rows, SourceError, json, prompt};
use crate::domain::Params;

/// An input of records.
pub(super) struct Csv {
    records: Splitter,
    place: Place,
    delimiter: u8,
    parser: Parser,
    /// `None` when the input is empty.
    header: Option<Header>,
    template: Option<Template>,
}

impl Csv {
    /// Begins an input and reads its header.
    ///
    /// # Errors
    /// Whatever is wrong with the header: [`SourceError::Header`], [`SourceError::DuplicateColumns`],
    /// [`SourceError::NoPromptColumn`], [`SourceError::NoIdColumn`], [`SourceError::TemplateColumn`]; and
    /// [`SourceError::Read`].
    pub fn new(mut records: Splitter, place: Place, delimiter: u8, options: &Options) -> Result<Self, SourceError> {
        let mut parser = Parser::new(delimiter);
        let header = read_header(&mut records, &mut parser, &place, delimiter)?;
        let header = header.map(|columns| Header::new(columns, &place.name, options)).transpose()?;
        Ok(Self { records, place, delimiter, parser, header, template: options.template.clone() })
    }
}

impl Rows for Csv {
    fn splitter(&mut self) -> &mut Splitter {
        &mut self.records
    }

    fn columns(&self) -> Option<Columns> {
        self.header.as_ref().map(|header| header.told(self.template.as_ref()))
    }

    fn next_item(&mut self, _: &mut Warnings) -> Result<Option<Item>, SourceError> {
        let Some(header) = &self.header else {
            return Ok(None);
        };
        let max_bytes = self.records.max_bytes();
        while let Some(raw) = self.records.next_record(self.delimiter)? {
            if raw.is_blank() {
                continue;
            }
            let record = record(&raw, max_bytes, &mut self.parser, header);
            let label = record.as_ref().ok().and_then(|record| header.label(record));
            let label = label.filter(|label| label.len() <= MAX_LABEL_BYTES).map(str::to_owned);
            let parts = record.and_then(|record| {
                header.check_label(record)?;
                match &self.template {
                    Some(template) => header.templated(record, template),
                    None => header.named(record),
                }
            });
            return Ok(Some(match parts {
                Ok((params, extra)) => Item::Row(Box::new(Row {
                    origin: self.place.origin(&raw),
                    custom_id: label,
                    params,
                    extra,
                    error: None,
                })),
                Err(fault) => Item::Broken(self.place.broken(&raw, label, fault)),
            }));
        }
        Ok(None)
    }
}

fn record<'p>(
    raw: &RawRow<'_>,
    max_bytes: usize,
    parser: &'p mut Parser,
    header: &Header,
) -> Result<&'p csv::StringRecord, Fault> {
    let text = row_text(raw, max_bytes)?;
    refuse_nul(text)?;
    let record = parser.parse(text)?;
    let (expected, found) = (header.columns.len(), record.len());
    if found != expected {
        let hint = if found > expected { "; quote cells that hold the separator" } else { "" };
        return Err(Fault::new(format!("has {found} cells where the header has {expected}{hint}")));
    }
    Ok(record)
}

fn read_header(
    records: &mut Splitter,
    parser: &mut Parser,
    place: &Place,
    delimiter: u8,
) -> Result<Option<Vec<Arc<str>>>, SourceError> {
    let max_bytes = records.max_bytes();
    while let Some(raw) = records.next_record(delimiter)? {
        if raw.is_blank() {
            continue;
        }
        let columns = row_text(&raw, max_bytes).and_then(|text| {
            refuse_nul(text)?;
            parser.parse(text)
        });
        return match columns {
            Ok(record) => Ok(Some(record.iter().map(|name| name.trim().into()).collect())),
            Err(Fault { message, .. }) => {
                Err(SourceError::Header { name: place.name.to_string(), line: raw.line, message })
            }
        };
    }
    Ok(None)
}

/// The columns and what they mean.
#[derive(Debug)]
struct Header {
    columns: Vec<Arc<str>>,
    label: Option<usize>,
    prompt: Option<usize>,
    system: Option<usize>,
    model: Option<usize>,
    max_tokens: Option<usize>,
}

impl Header {
    fn new(columns: Vec<Arc<str>>, input: &str, options: &Options) -> Result<Self, SourceError> {
        let name = || input.to_owned();
        let list = |wrong: &[&str]| found_list(columns.iter().map(|column| &**column), wrong);
        let find = |wanted: &str| columns.iter().position(|column| &**column == wanted);

        if let Some(repeated) = repeated(&columns) {
            return Err(SourceError::DuplicateColumns { name: name(), columns: repeated });
        }
        let label = match &options.id_column {
            Some(asked) => match find(asked) {
                None => {
                    let columns = list(&[asked]);
                    return Err(SourceError::NoIdColumn { name: name(), column: asked.clone(), columns });
                }
                label => label,
            },
            None => find("custom_id").or_else(|| find("id")),
        };
        match &options.template {
            Some(template) => {
                if let Some(missing) = missing_columns(template, |wanted| find(wanted).is_some()) {
                    let (columns, missing) = (list(&missing), name_list(missing));
                    return Err(SourceError::TemplateColumn { name: name(), missing, columns });
                }
                Ok(Self { label, prompt: None, system: None, model: None, max_tokens: None, columns })
            }
            None => {
                let Some(prompt) = find("prompt") else {
                    let example = example(&columns);
                    return Err(SourceError::NoPromptColumn { name: name(), columns: list(&[]), example });
                };
                let named = |wanted| find(wanted).filter(|at| Some(*at) != label && *at != prompt);
                let (system, model, max_tokens) = (named("system"), named("model"), named("max_tokens"));
                Ok(Self { label, prompt: Some(prompt), system, model, max_tokens, columns })
            }
        }
    }

    /// Returns the columns by what becomes of them.
    fn told(&self, template: Option<&Template>) -> Columns {
        let by_name = [self.prompt, self.system, self.model, self.max_tokens];
        let is_sent = |at: usize, name: &str| {
            by_name.contains(&Some(at)) || template.is_some_and(|own| own.columns().any(|column| column == name))
        };
        let mut told = Columns::default();
        for (at, name) in self.columns.iter().enumerate().filter(|(_, name)| !name.is_empty()) {
            match (is_sent(at, name), self.label == Some(at)) {
                (true, _) => told.sent.push(name.to_string()),
                (false, true) => told.label = Some(name.to_string()),
                (false, false) => told.unsent.push(name.to_string()),
            }
        }
        told
    }

    fn label<'r>(&self, record: &'r csv::StringRecord) -> Option<&'r str> {
        self.cell(record, self.label)
    }

    fn check_label(&self, record: &csv::StringRecord) -> Result<(), Fault> {
        match (self.label, self.label(record)) {
            (Some(at), Some(label)) if label.len() > MAX_LABEL_BYTES => Err(label_too_long(&self.columns[at])),
            _ => Ok(()),
        }
    }

    /// Returns the parameters by the columns' names, and what rides along.
    fn named(&self, record: &csv::StringRecord) -> Result<(Params, Params), Fault> {
        let mut params = Params::default();
        for (name, column) in [("model", self.model), ("system", self.system)] {
            if let Some(text) = self.cell(record, column) {
                params.set(name, json::string_value(text));
            }
        }
        if let Some(text) = self.cell(record, self.max_tokens) {
            match text.trim().parse::<u32>() {
                Ok(count) if count > 0 => params.set("max_tokens", json::raw_value(count.to_string())),
                _ => {
                    return Err(Fault::new(format!(
                        "has max_tokens {}; it must be a whole number above 0",
                        short(text)
                    )));
                }
            }
        }
        params.set("messages", prompt::text_message(self.cell(record, self.prompt).unwrap_or_default())?);
        prompt::check_size(&params)?;

        let used = [self.label, self.prompt, self.system, self.model, self.max_tokens];
        Ok((params, self.extra(record, &used)))
    }

    /// Returns the template filled with the record, and what rides along.
    fn templated(&self, record: &csv::StringRecord, template: &Template) -> Result<(Params, Params), Fault> {
        let columns: Vec<(&str, Cell<'_>)> =
            self.columns.iter().zip(record).map(|(name, text)| (&**name, Cell::Text(text))).collect();
        let params = Params(vec![("messages".into(), prompt::templated_message(template, &columns)?)]);
        prompt::check_size(&params)?;
        Ok((params, self.extra(record, &[self.label])))
    }

    fn cell<'r>(&self, record: &'r csv::StringRecord, column: Option<usize>) -> Option<&'r str> {
        record.get(column?).filter(|text| !text.is_empty())
    }

    fn extra(&self, record: &csv::StringRecord, used: &[Option<usize>]) -> Params {
        let columns = self.columns.iter().zip(record).enumerate();
        let others = columns.filter(|(at, (name, _))| !used.contains(&Some(*at)) && !name.is_empty());
        Params(others.map(|(_, (name, text))| (Box::from(&**name), json::string_value(text))).collect())
    }
}

fn repeated(columns: &[Arc<str>]) -> Option<String> {
    let mut sorted: Vec<&str> = columns.iter().map(|column| &**column).filter(|name| !name.is_empty()).collect();
    sorted.sort_unstable();
    let mut repeated: Vec<&str> = sorted.windows(2).filter(|pair| pair[0] == pair[1]).map(|pair| pair[0]).collect();
    repeated.dedup();
    (!repeated.is_empty()).then(|| name_list(repeated))
}

/// Returns the column that most likely holds the text, as a template names it.
fn example(columns: &[Arc<str>]) -> String {
    let named = |wanted: &str| columns.iter().find(|column| column.eq_ignore_ascii_case(wanted));
    let likely = ["prompt", "text", "question", "body", "content", "message", "input"].into_iter().find_map(named);
    let likely = likely.or_else(|| columns.iter().rfind(|column| !column.is_empty() && column.len() <= 40));
    likely.map_or_else(|| "column".to_owned(), |column| Template::expression(column))
}

/// The csv crate's reader, fed one record at a time.
///
/// It is made once: making one builds the tables of its automaton, which takes longer than a record.
struct Parser {
    delimiter: u8,
    reader: csv::Reader<Feed>,
    record: csv::StringRecord,
}

impl Parser {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, reader: reader(delimiter), record: csv::StringRecord::new() }
    }

    /// Takes one record apart; `text` has no line end.
    fn parse(&mut self, text: &str) -> Result<&csv::StringRecord, Fault> {
        self.reader.get_mut().load(text);
        let is_read = self.reader.read_record(&mut self.record);
        let is_whole = self.reader.get_ref().is_empty() && !self.reader.is_done();
        if !is_whole {
            // Its idea of where the record ends is another; it must not carry bytes over to the next one.
            self.reader = reader(self.delimiter);
            return Err(Fault::new("can't be read as a record; check its quotes"));
        }
        match is_read {
            Ok(true) => Ok(&self.record),
            Ok(false) => Err(Fault::new("is an empty record")),
            Err(error) => Err(Fault::new(format!("can't be read as a record: {error}"))),
        }
    }
}

fn reader(delimiter: u8) -> csv::Reader<Feed> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .terminator(csv::Terminator::Any(b'\n'))
        .from_reader(Feed::default())
}

/// One record's bytes and its line end.
#[derive(Debug, Default)]
struct Feed {
    bytes: Vec<u8>,
    given: usize,
}

impl Feed {
    fn load(&mut self, text: &str) {
        self.bytes.clear();
        self.bytes.shrink_to(1 << 20);
        self.bytes.extend_from_slice(text.as_bytes());
        self.bytes.push(b'\n');
        self.given = 0;
    }

    fn is_empty(&self) -> bool {
        self.given == self.bytes.len()
    }
}

impl Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.given..];
        let count = rest.len().min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

/// Returns the separator a header uses: tab or `;` when it has those and no comma, outside quotes.
pub(super) fn sniff_delimiter(header: &[u8]) -> u8 {
    let mut is_quoted = false;
    let mut found = [false; 3];
    for byte in header {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => found[0] = true,
            b';' if !is_quoted => found[1] = true,
            b'\t' if !is_quoted => found[2] = true,
            _ => {}
        }
    }
    match found {
        [false, true, _] => b';',
        [false, false, true] => b'\t',
        _ => b',',
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{broken, items, reader, row, shown, with_template};
    use super::*;

    #[test]
    fn named_columns_are_used_and_others_ride_along() {
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
    fn quotes_hold_line_ends_separators_and_quotes() {
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
    }

    #[test]
    fn headers_that_do_not_work_stop_the_input() {
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
            template.contains("names txt, which is not there (columns: id, text; did you mean text?)"),
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
    fn broken_records_cost_only_themselves() {
        let mut text = b"id,prompt,max_tokens\n1,a,\n2,b\n3,c,1,x\n4,\xff,\n5,e,-1\n6,\"\",\n7,\0,\n".to_vec();
        text.extend_from_slice(b"8,h,\n9,\"open,\n10,x,\n");

        let found = items("t.csv", &text, &Options::default());

        let seen: Vec<(u64, u64, &str)> = found
            .iter()
            .filter_map(|item| match item {
                Item::Broken(row) => Some((row.origin.line, row.byte_offset, &*row.message)),
                Item::Row(_) | Item::Unusable(_) => None,
            })
            .collect();
        let expected = [
            (3, 26, "has 2 cells where the header has 3"),
            (4, 30, "has 4 cells where the header has 3; quote cells that hold the separator"),
            (5, 38, "is not UTF-8: byte 0xff; if the file is Latin-1, convert it with: iconv -f LATIN1 -t UTF-8"),
            (6, 43, "has max_tokens -1; it must be a whole number above 0"),
            (7, 50, "has an empty prompt"),
            (8, 56, "holds a NUL byte, which is no text"),
            (
                10,
                66,
                "has a quote that is never closed, so that the last 2 lines of the input are one record; close it",
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
    fn a_broken_record_keeps_its_label_where_its_cells_are_known() {
        let row = broken("t.csv", "id,prompt\nx7,\" \"\n", &Options::default());

        assert_eq!(row.custom_id.as_deref(), Some("x7"));
    }

    #[test]
    fn an_empty_input_has_no_rows_and_no_fault() {
        for text in ["", "\u{feff}", "\r\n\n"] {
            assert_eq!(items("t.csv", text, &Options::default()).len(), 0);
        }
        assert_eq!(items("t.csv", "id,prompt\n", &Options::default()).len(), 0);
    }

    #[test]
    fn the_parser_and_the_splitter_agree_on_odd_quotes() {
        let records =
            ["\"a\"b,c", "a\"\"b,c", "\"\",x", "\"\"\"\",x", "\"a\"\"b\"\"\",x", "a,\"b\"\"", "\r,\"\r\"", "\"a\" ,b"];

        let mut parser = Parser::new(b',');

        for text in records {
            let cells = parser.parse(text).map(csv::StringRecord::len);
            assert!(cells == Ok(2) || text.ends_with("\"\""), "{text}: {cells:?}");
        }
        assert_eq!(parser.parse("after,all").map(csv::StringRecord::len), Ok(2));
    }

    proptest::proptest! {
        #[test]
        fn records_are_those_that_the_csv_crate_finds_in_the_whole(
            tokens in proptest::collection::vec(proptest::sample::select(vec!["a", ",", "\"", "\n", "\r\n"]), 0..40)
        ) {
            let text = tokens.concat();
            let whole = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
            let expected: Vec<csv::StringRecord> = whole.into_records().collect::<Result<_, _>>().expect("text");

            let (found, is_open) = split_and_parse(&text);

            let count = found.len() + usize::from(is_open);
            proptest::prop_assert_eq!(count, expected.len(), "{:?}", text);
            proptest::prop_assert_eq!(&found[..], &expected[..found.len()], "{:?}", text);
        }
    }

    /// Returns the records, and whether one more ended inside quotes.
    fn split_and_parse(text: &str) -> (Vec<csv::StringRecord>, bool) {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut splitter = Splitter::new("test".into(), input, 1 << 20, 0);
        let (mut parser, mut found) = (Parser::new(b','), Vec::new());
        while let Some(raw) = splitter.next_record(b',').expect("memory can be read") {
            if raw.is_blank() {
                continue;
            }
            let Ok(text) = row_text(&raw, 1 << 20) else {
                return (found, true);
            };
            found.push(parser.parse(text).expect("the splitter cuts where the parser does").clone());
        }
        (found, false)
    }
}
