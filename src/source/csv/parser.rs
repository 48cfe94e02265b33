//! Parses one record at a time with the csv crate.

use std::io::{self, Read};

use super::super::raw::Fault;

/// A parser that passes one record at a time to the reader of the csv crate.
///
/// One reader is used for all records. A new reader would first build the tables of its automaton, and this takes
/// longer than parsing a record.
pub(super) struct Parser {
    delimiter: u8,
    reader: csv::Reader<Feed>,
    record: csv::StringRecord,
    /// Whether the last record was parsed, so that `record` contains it.
    is_parsed: bool,
}

impl Parser {
    pub(super) fn new(delimiter: u8) -> Self {
        Self { delimiter, reader: reader(delimiter), record: csv::StringRecord::new(), is_parsed: false }
    }

    /// Returns the record that was parsed last. Returns `None` if this record could not be parsed, or if `forget`
    /// removed it.
    pub(super) fn last(&self) -> Option<&csv::StringRecord> {
        self.is_parsed.then_some(&self.record)
    }

    /// Forgets the last record.
    pub(super) fn forget(&mut self) {
        self.is_parsed = false;
    }

    /// Parses one record; `text` has no line end.
    pub(super) fn parse(&mut self, text: &str) -> Result<&csv::StringRecord, Fault> {
        self.is_parsed = false;
        self.reader.get_mut().load(text);
        let is_read = self.reader.read_record(&mut self.record);
        let is_whole = self.reader.get_ref().is_empty() && !self.reader.is_done();
        if !is_whole {
            // If the record is incomplete, the parser and the splitter disagree about where the record ends. The rest
            // of the incomplete record must not get into the next record.
            self.reader = reader(self.delimiter);
            return Err(Fault::new("can't be read as a record; check its quotes"));
        }
        match is_read {
            Ok(true) => {
                self.is_parsed = true;
                Ok(&self.record)
            }
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

/// The bytes of one record, and the line end after it.
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

#[cfg(test)]
mod tests {
    use super::super::super::splitter::{Cut, Splitter};
    use super::*;

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
        fn records_equal_the_records_that_the_csv_crate_finds_in_the_whole_text(
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

    /// Returns the records, and whether the last record is incomplete because a quote is not closed.
    fn split_and_parse(text: &str) -> (Vec<csv::StringRecord>, bool) {
        let input = Box::new(io::Cursor::new(text.as_bytes().to_vec()));
        let mut splitter = Splitter::new("test".into(), input, Cut::Records(b','), 1 << 20, 0);
        let (mut parser, mut found) = (Parser::new(b','), Vec::new());
        while let Some(raw) = splitter.next_row().expect("a read from memory never fails") {
            let Ok(text) = raw.text() else {
                return (found, true);
            };
            found.push(parser.parse(text).expect("the splitter cuts where the parser does").clone());
        }
        (found, false)
    }
}
