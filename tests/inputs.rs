//! Tests bad and odd inputs. A mistake in a row gives a clear message and does not affect other rows.

use std::io::{self, Cursor, Read, Write as _};
use std::path::PathBuf;

use claude_batch::source::{BrokenRow, Input, InputFormat, Item, Options, Reader, SourceError, open, open_at};
use proptest::prelude::*;

#[test]
fn empty_inputs_have_no_rows_and_no_fault() {
    for name in ["empty.jsonl", "bom-only.jsonl", "blank-lines.jsonl"] {
        assert_eq!(items(name).len(), 0, "{name}");
    }
}

#[test]
fn byte_order_marks_line_ends_and_a_missing_last_line_end_keep_line_numbers_right() {
    let labels: Vec<(u64, String)> = items("line-ends.jsonl").into_iter().map(label_of_row).collect();

    let expected = [(1, "bom"), (3, "cr"), (4, "u2028"), (5, "last")];
    assert_eq!(labels, expected.map(|(line, label)| (line, label.to_owned())));
}

#[test]
fn the_error_for_an_input_that_is_not_text_names_its_type() {
    for (name, looks_like) in [("utf16.jsonl", "UTF-16"), ("array.json", "JSON array")] {
        let message = refusal(name);
        assert!(message.contains(looks_like) && message.contains(name), "{message}");
    }
}

#[cfg(not(feature = "tables"))]
#[test]
fn the_error_for_a_table_says_how_to_get_a_build_that_reads_it() {
    for (name, what) in [("tickets.parquet", "Parquet files"), ("tickets.xlsx", "Excel files")] {
        let file = Input::File(PathBuf::from("fixtures").join(name));
        let message = open(&file, &Options::default()).expect_err("no reader").to_string();
        assert!(message.contains(what) && message.contains("--features tables"), "{message}");
    }
}

#[cfg(unix)]
#[test]
fn a_device_that_never_ends_is_refused_at_once() {
    let error = open(&Input::File("/dev/zero".into()), &Options::default()).expect_err("no rows");

    assert!(matches!(error, SourceError::Device { .. }), "{error}");
}

#[test]
fn a_folder_and_a_missing_file_are_refused() {
    let folder = open(&Input::File(fixture("")), &Options::default()).expect_err("a folder");
    let missing = open(&Input::File(fixture("nope.jsonl")), &Options::default()).expect_err("nothing there");

    assert!(matches!(folder, SourceError::Directory { .. }), "{folder}");
    assert!(matches!(missing, SourceError::NotFound { .. }), "{missing}");
}

#[test]
fn an_endless_line_is_one_broken_row_in_bounded_memory() {
    let endless = Cursor::new(b"{\"prompt\":\"".to_vec()).chain(io::repeat(b'x').take(300 << 20));
    let input = endless.chain(Cursor::new(b"\n\"ok\"\n".to_vec()));

    let found: Vec<Item> = read("p.jsonl", Box::new(input));

    let [Item::Broken(row), Item::Row(next)] = &found[..] else { panic!("{} items", found.len()) };
    assert!(row.message.contains("64 MiB"), "{}", row.message);
    assert_eq!((row.raw.len(), next.origin.line), (4096, 2));
}

#[test]
fn a_broken_row_affects_no_other_row_and_its_message_names_the_place() {
    let text = std::fs::read(fixture("broken-rows.jsonl")).expect("the fixture is there");
    let expected: [(u64, Option<u64>, &str); 16] = [
        (2, Some(27), "is not UTF-8: byte 0xe9; if the file is Latin-1"),
        (3, Some(24), "control character"),
        (4, Some(30), r"holds \ud800, half of a character"),
        (5, Some(40), "NaN and Infinity are not JSON"),
        (6, Some(46), "is not JSON"),
        (7, Some(29), "ends too early"),
        (8, Some(27), "has a second value after its first"),
        (9, Some(1), "is an array; a row is an object or a string"),
        (10, Some(1), "is a number; a row is an object or a string"),
        (11, Some(1), "is null; a row is an object or a string"),
        (12, None, "has the name prompt twice"),
        (13, None, "has no prompt, only id"),
        (14, Some(24), "has an empty `prompt`"),
        (15, None, "has both `prompt` and `messages`"),
        (16, Some(2), "this looks like Python"),
        (17, Some(2), "for plain text, use --format lines"),
    ];

    let found = items("broken-rows.jsonl");

    let broken: Vec<&BrokenRow> = found.iter().filter_map(broken_of).collect();
    assert_eq!((found.len(), broken.len()), (20, expected.len()));
    for (row, (line, column, message)) in broken.iter().zip(expected) {
        assert_eq!((row.origin.line, row.column), (line, column), "{}", row.message);
        assert!(row.message.contains(message), "line {line}: {}", row.message);
        assert_eq!(row.byte_offset, offset_of_line(&text, line), "line {line}");
        assert!(text[row.byte_offset as usize..].starts_with(&row.raw), "line {line}");
    }
}

#[test]
fn big_numbers_pass_through_unchanged() {
    let found = items("broken-rows.jsonl");

    let row = found.iter().find_map(|item| match item {
        Item::Row(row) if row.custom_id.as_deref() == Some("big-numbers") => Some(row),
        _ => None,
    });
    let extra = &row.expect("the row is usable").extra;
    assert_eq!(extra.get("seed_of_mine"), Some("123456789012345678901234567890123456789012"));
    assert_eq!(extra.get("huge"), Some("1e999"));
}

#[test]
fn a_misspelt_field_is_warned_about_with_file_and_line() {
    let mut reader = open_fixture("broken-rows.jsonl").expect("the file as a whole is sound");

    reader.by_ref().for_each(drop);

    let warnings = reader.take_warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("broken-rows.jsonl: `max_token`") && warnings[0].contains("line 20"), "{warnings:?}");
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let texts = [
        format!("{{\"prompt\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("{{\"params\":{}1{}}}", "{\"a\":".repeat(100_000), "}".repeat(100_000)),
        format!("{{\"prompt\":\"x\",\"metadata\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000)),
        "[".repeat(100_000),
    ];

    for text in texts {
        let found = read("p.jsonl", Box::new(Cursor::new(text.into_bytes())));

        let [Item::Broken(row)] = &found[..] else { panic!("{} items", found.len()) };
        assert!(row.column.is_some(), "{}", row.message);
    }
}

#[test]
fn labels_that_differ_in_any_way_are_different() {
    let labels: Vec<String> = items("ids.jsonl").into_iter().map(|item| label_of_row(item).1).collect();

    let long = "x".repeat(10_000);
    let escape = "line\nbreak \u{1b}[31m";
    assert_eq!(labels, ["A", "a", "a ", "é", "e\u{301}", "../../x", escape, "1", "1", &long]);
}

#[test]
fn csv_follows_rfc_4180_where_possible() {
    let quotes = items("quotes.csv");
    let semicolons = items("semicolons.csv");

    let contents: Vec<(u64, String)> = quotes.iter().map(content_of).collect();
    let expected = [(2, r#""two\r\nlines""#), (5, r#""5\" screen""#), (6, r#""ends with a line end\r\n""#)];
    assert_eq!(contents, expected.map(|(line, text)| (line, text.to_owned())));
    assert_eq!(content_of(&semicolons[0]).1, r#""Übersetze; bitte""#);
}

#[test]
fn broken_csv_records_affect_no_other_record() {
    let (ragged, latin1, open_quote) = (items("ragged.csv"), items("latin1.csv"), items("open-quote.csv"));

    let faults: Vec<&BrokenRow> = ragged.iter().filter_map(broken_of).collect();
    assert_eq!((faults.len(), ragged.len()), (2, 4));
    assert_eq!((faults[0].origin.line, &*faults[0].message), (3, "has 1 cells where the header has 2"));
    assert!(faults[1].message.contains("quote cells that hold the separator"), "{}", faults[1].message);
    let faults: Vec<&BrokenRow> = latin1.iter().filter_map(broken_of).collect();
    assert_eq!((faults.len(), faults[0].origin.line, faults[0].column), (1, 3, Some(6)));
    assert!(faults[0].message.contains("Latin-1"), "{}", faults[0].message);
    let faults: Vec<&BrokenRow> = open_quote.iter().filter_map(broken_of).collect();
    assert_eq!((faults.len(), faults[0].origin.line, open_quote.len()), (1, 3, 2));
}

#[test]
fn unusable_csv_headers_are_refused_and_the_message_lists_the_columns() {
    let no_header = refusal("no-header.csv");
    let repeated = refusal("repeated-columns.csv");

    assert!(no_header.contains("no column `prompt`") && no_header.contains("capital of France"), "{no_header}");
    assert!(repeated.contains("names note more than once"), "{repeated}");
}

#[test]
fn reading_from_the_position_of_a_row_gives_the_same_rows_as_from_the_start() {
    for name in ["line-ends.jsonl", "broken-rows.jsonl", "ids.jsonl", "quotes.csv", "semicolons.csv", "open-quote.csv"]
    {
        let mut reader = open_fixture(name).unwrap_or_else(|error| panic!("{error}"));
        let all: Vec<String> = items(name).iter().map(|item| format!("{item:?}")).collect();
        for read in 0..all.len() {
            let position = reader.position().expect("there are rows left");
            let rest = open_at(&fixture(name), &Options::default(), position).expect("a row begins there");
            let rest: Vec<String> = rest.map(|item| format!("{:?}", item.expect("it can be read"))).collect();
            assert_eq!(rest, all[read..], "{name}, behind row {read}");
            reader.next();
        }
    }
}

#[test]
fn a_position_is_refused_if_no_line_begins_there_any_more() {
    let mut file = tempfile::Builder::new().suffix(".jsonl").tempfile().expect("there is room");
    file.write_all(b"\"one\"\n\"two\"\n").expect("it can be written");
    let mut reader = open(&Input::File(file.path().to_owned()), &Options::default()).expect("it can be opened");
    reader.next();
    let position = reader.position().expect("a row is left");

    for now in ["\"longer\"\n\"two\"\n", "\"s\"\n", ""] {
        std::fs::write(file.path(), now).expect("it can be written");
        let refused = open_at(file.path(), &Options::default(), position).expect_err("it moved");
        assert!(matches!(refused, SourceError::Moved { line: 2, .. }), "{now:?}: {refused}");
    }
}

#[test]
fn every_format_gives_the_same_rows_with_and_without_compression() {
    for name in ["line-ends.jsonl", "broken-rows.jsonl", "quotes.csv", "semicolons.csv", "latin1.csv"] {
        let plain = std::fs::read(fixture(name)).expect("the fixture is there");
        let expected: Vec<String> = items(name).iter().map(|item| format!("{item:?}")).collect();
        for (ending, packed) in [("gz", gzip(&plain)), ("zst", zstd(&plain))] {
            let folder = tempfile::tempdir().expect("there is room");
            let path = folder.path().join(format!("{name}.{ending}"));
            std::fs::write(&path, packed).expect("it can be written");
            let renamed = |row: String| row.replace(&path.display().to_string(), &fixture(name).display().to_string());

            let mut reader = open(&Input::File(path.clone()), &Options::default()).expect("it is sound");

            for (at, row) in expected.iter().enumerate() {
                let position = reader.position().expect("there are rows left");
                let rest = open_at(&path, &Options::default(), position).expect("a row begins there");
                assert_eq!(rest.count(), expected.len() - at, "{name}.{ending}");
                let item = reader.next().expect("there are rows left").expect("it can be read");
                assert_eq!(renamed(format!("{item:?}")), *row, "{name}.{ending}");
            }
            assert!(reader.next().is_none(), "{name}.{ending}");
        }
    }
}

#[test]
fn compressed_rows_are_recognized_by_their_first_bytes() {
    assert_eq!(items("packed.jsonl").len(), 1);
    for packed in [gzip(b"\"a\"\n\"b\"\n"), zstd(b"\"a\"\n\"b\"\n")] {
        let input = Trickle { text: packed, given: 0, chunk: 1 };
        assert_eq!(read("stdin", Box::new(input)).len(), 2);
    }
}

#[test]
fn rows_before_damage_are_read_and_a_row_cut_by_the_damage_is_not() {
    let json: String =
        (0..5_000_u64).map(|row| format!("{{\"id\":{row},\"prompt\":\"{:x}\"}}\n", row * row * 7_919)).collect();
    let csv: String = (0..5_000_u64).map(|row| format!("{row},\"a\n{:x}\"\n", row * row * 7_919)).collect();
    for (name, text) in [("p.jsonl", json), ("p.csv", format!("id,prompt\n{csv}"))] {
        for packed in [gzip(text.as_bytes()), zstd_in_frames(text.as_bytes())] {
            let cut = packed[..packed.len() / 2].to_vec();
            let whole = read(name, Box::new(Cursor::new(packed)));
            let reader = Reader::from_read(name, InputFormat::Auto, Box::new(Cursor::new(cut)), &Options::default());

            let mut found: Vec<_> = reader.expect("it begins well").collect();

            let error = found.pop().expect("there is an end").expect_err("it is damaged");
            let rows: Vec<String> = found.into_iter().map(|item| format!("{:?}", item.expect("a row"))).collect();
            let before: Vec<String> = whole.iter().take(rows.len()).map(|item| format!("{item:?}")).collect();
            assert!(rows == before && rows.len() > 1_000 && rows.len() < whole.len(), "{name}: {} rows", rows.len());
            let Item::Row(next) = &whole[rows.len()] else { panic!("every row is good") };
            let SourceError::Damaged { place, .. } = &error else { panic!("{error}") };
            assert_eq!(*place, format!("after line {}", next.origin.line - 1), "{error}");
        }
    }
}

#[test]
fn a_long_line_in_a_small_compressed_file_is_one_broken_row() {
    let mut text = b"\"one\"\n".to_vec();
    text.resize(20 << 20, b'x');
    text.extend_from_slice(b"\n\"two\"\n");
    let packed = zstd(&text);
    assert!(packed.len() < text.len() / 1_000);

    let options = Options { max_line_bytes: 1 << 20, ..Options::default() };
    let reader = Reader::from_read("p.jsonl.zst", InputFormat::Auto, Box::new(Cursor::new(packed)), &options);

    let found: Vec<Item> =
        reader.expect("sound as a whole").collect::<Result<_, _>>().expect("a read from memory never fails");
    let [Item::Row(_), Item::Broken(broken), Item::Row(last)] = &found[..] else { panic!("{} items", found.len()) };
    assert!(broken.message.contains("is longer than 1 MiB"), "{}", broken.message);
    assert_eq!((broken.raw.len(), last.origin.line), (4096, 3));
}

#[test]
fn an_input_that_is_compressed_twice_is_refused_with_advice() {
    for packed in [gzip(&gzip(b"\"a\"\n")), zstd(&gzip(b"\"a\"\n")), gzip(&zstd(b"\"a\"\n"))] {
        let refused = Reader::from_read("p", InputFormat::Auto, Box::new(Cursor::new(packed)), &Options::default());

        let message = refused.expect_err("no rows").to_string();
        assert!(message.contains("compressed twice; unpack it once"), "{message}");
    }
}

#[test]
fn a_read_error_ends_the_input_and_names_the_line() {
    let input = Cursor::new(b"\"a\"\n\"b\"\n\"c".to_vec()).chain(Failing);
    let reader = Reader::from_read("p.jsonl", InputFormat::Auto, Box::new(input), &Options::default()).expect("sound");

    let found: Vec<Result<Item, SourceError>> = reader.collect();

    let [Ok(Item::Row(_)), Ok(Item::Row(_)), Err(error)] = &found[..] else { panic!("{found:?}") };
    assert!(matches!(error, SourceError::Read { line: 3, .. }), "{error}");
}

/// A line of the input, and its expected outcome.
#[derive(Clone, Debug)]
struct Written {
    bytes: Vec<u8>,
    outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Row,
    Broken,
    Nothing,
}

/// The longest line that the property test allows. The limit is small, because the test makes many lines that are too
/// long.
const CAP: usize = 4200;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_line_is_lost_and_each_row_keeps_its_place_in_the_input(
        lines in prop::collection::vec((written(), prop::sample::select(vec!["\n", "\r\n"])), 0..30),
        has_bom in any::<bool>(),
        has_last_line_end in any::<bool>(),
        chunk in 1_usize..300,
    ) {
        let mut text = if has_bom { b"\xef\xbb\xbf".to_vec() } else { Vec::new() };
        let mut expected = Vec::new();
        for (at, (line, line_end)) in lines.iter().enumerate() {
            if line.outcome != Outcome::Nothing {
                expected.push((at as u64 + 1, text.len() as u64, line));
            }
            text.extend_from_slice(&line.bytes);
            if has_last_line_end || at + 1 < lines.len() {
                text.extend_from_slice(line_end.as_bytes());
            }
        }

        let options = Options { max_line_bytes: CAP, ..Options::default() };
        let input = Box::new(Trickle { text, given: 0, chunk });
        let reader = Reader::from_read("p", InputFormat::Jsonl, input, &options).expect("sound as a whole");
        let found: Vec<Item> = reader.collect::<Result<_, _>>().expect("a read from memory never fails");

        prop_assert_eq!(found.len(), expected.len());
        for (item, (line, offset, written)) in found.iter().zip(expected) {
            match item {
                Item::Row(row) => prop_assert_eq!((row.origin.line, written.outcome), (line, Outcome::Row)),
                Item::Broken(row) => {
                    let place = (row.origin.line, row.byte_offset, written.outcome);
                    prop_assert_eq!(place, (line, offset, Outcome::Broken));
                    prop_assert_eq!(&row.raw[..], &written.bytes[..written.bytes.len().min(4096)]);
                    let end = written.bytes.len() as u64 + 1;
                    prop_assert!(row.column.is_none_or(|column| (1..=end).contains(&column)), "{:?}", row.column);
                }
            }
        }
    }

    #[test]
    fn damage_in_compressed_rows_never_causes_a_panic_or_changes_the_rows_before_it(
        is_zstd in any::<bool>(),
        rows in 1_u64..300,
        place in any::<prop::sample::Index>(),
        wrong in prop::option::of(any::<u8>()),
    ) {
        let text: String = (0..rows).map(|row| format!("\"{:x}\"\n", row.pow(5) * 7_919)).collect();
        let mut packed = if is_zstd { zstd_in_frames(text.as_bytes()) } else { gzip(text.as_bytes()) };
        let whole: Vec<String> = read("p.jsonl", Box::new(Cursor::new(packed.clone()))).iter().map(|item| format!("{item:?}")).collect();
        // If fewer than four bytes of the compressed input remained, the program would not recognize the compression.
        let at = 4 + place.index(packed.len() - 4);
        match wrong {
            Some(wrong) => packed[at] ^= wrong,
            None => packed.truncate(at),
        }

        let reader = Reader::from_read("p.jsonl", InputFormat::Jsonl, Box::new(Cursor::new(packed)), &Options::default());

        let Ok(reader) = reader else { return Ok(()) };
        let found: Vec<_> = reader.map_while(Result::ok).map(|item| format!("{item:?}")).collect();
        prop_assert!(found.len() <= whole.len() || wrong.is_some());
        prop_assert!(wrong.is_some() || found[..] == whole[..found.len()]);
    }

    #[test]
    fn no_bytes_make_any_format_panic_or_lose_a_line(
        bytes in prop::collection::vec(
            prop::sample::select(b"{}[]\",:;\\ud8\n\r\tnul\x00\xff\xc3\xa91e-.".to_vec()), 0..200
        ),
        format in prop::sample::select(InputFormat::ALL.to_vec()),
    ) {
        let text = [b"\"prompt\"\n".as_slice(), &bytes].concat();
        let filled = text.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty()).count();

        let reader = Reader::from_read("p", format, Box::new(Cursor::new(text)), &Options::default());

        let Ok(reader) = reader else { return Ok(()) };
        let is_by_line = matches!(reader.format(), InputFormat::Jsonl | InputFormat::Lines);
        let found = reader.collect::<Result<Vec<Item>, _>>().expect("a read from memory never fails");
        prop_assert!(!is_by_line || found.len() == filled);
    }
}

fn written() -> impl Strategy<Value = Written> {
    let good = prop_oneof![
        "[a-z\u{2028}é😀 ]{1,20}x".prop_map(|text| format!("{{\"prompt\":\"{text}\",\"id\":1}}").into_bytes()),
        Just(br#""bare \ud83d\ude00""#.to_vec()),
        Just(br#" {"custom_id":"c","params":{"messages":[1e999]}}"#.to_vec()),
        Just(b"{\"messages\":\r[{}]}".to_vec()),
    ];
    let bad = prop_oneof![
        Just(b"{\"prompt\":\"caf\xe9\"}".to_vec()),
        Just(b"{\"prompt\":\"a\0\"}".to_vec()),
        Just(br#"{"prompt":"\udfff"}"#.to_vec()),
        Just(br#"{"prompt":NaN}"#.to_vec()),
        Just(br#"{"prompt":"x"#.to_vec()),
        Just(br#"{"prompt":"x"}{}"#.to_vec()),
        Just(br#"{"a":1,"a":2}"#.to_vec()),
        Just(b"[1]".to_vec()),
        Just(b"]".to_vec()),
        (CAP + 1..3 * CAP).prop_map(|length| vec![b'x'; length]),
        (130..2000_usize).prop_map(|depth| format!("{{\"prompt\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into()),
        "[!-Z^-z]{1,30}".prop_map(|text| format!("?{text}").into_bytes()),
    ];
    let blank = prop::sample::select(vec!["", " ", "\t \r"]).prop_map(|text| text.as_bytes().to_vec());
    prop_oneof![
        4 => good.prop_map(|bytes| Written { bytes, outcome: Outcome::Row }),
        3 => bad.prop_map(|bytes| Written { bytes, outcome: Outcome::Broken }),
        1 => blank.prop_map(|bytes| Written { bytes, outcome: Outcome::Nothing }),
    ]
}

/// A reader that returns its text in small pieces, like a pipe.
struct Trickle {
    text: Vec<u8>,
    given: usize,
    chunk: usize,
}

impl Read for Trickle {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.text[self.given..];
        let count = rest.len().min(self.chunk).min(into.len());
        into[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("a write to memory never fails")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 0).expect("a write to memory never fails")
}

fn zstd_in_frames(bytes: &[u8]) -> Vec<u8> {
    bytes.chunks(10_000).flat_map(zstd).collect()
}

/// A reader that fails, as if the disk had failed.
struct Failing;

impl Read for Failing {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "inputs", name].iter().collect()
}

fn open_fixture(name: &str) -> Result<Reader, SourceError> {
    open(&Input::File(fixture(name)), &Options::default())
}

fn items(name: &str) -> Vec<Item> {
    let reader = open_fixture(name).unwrap_or_else(|error| panic!("{error}"));
    reader.collect::<Result<_, _>>().expect("the fixture can be read")
}

fn read(name: &str, input: Box<dyn Read + Send>) -> Vec<Item> {
    let reader = Reader::from_read(name, InputFormat::Auto, input, &Options::default()).expect("sound as a whole");
    reader.collect::<Result<_, _>>().expect("a read from memory never fails")
}

fn refusal(name: &str) -> String {
    open_fixture(name).expect_err("it must be refused").to_string()
}

fn broken_of(item: &Item) -> Option<&BrokenRow> {
    match item {
        Item::Broken(row) => Some(row),
        Item::Row(_) => None,
    }
}

fn label_of_row(item: Item) -> (u64, String) {
    match item {
        Item::Row(row) => (row.origin.line, row.custom_id.expect("every row of the fixture has one")),
        other => panic!("{other:?}"),
    }
}

fn content_of(item: &Item) -> (u64, String) {
    let Item::Row(row) = item else { panic!("{item:?}") };
    let messages = row.params.get("messages").expect("a row has messages");
    let content = messages.strip_prefix(r#"[{"role":"user","content":"#).and_then(|rest| rest.strip_suffix("}]"));
    (row.origin.line, content.expect("one user message").to_owned())
}

fn offset_of_line(text: &[u8], line: u64) -> u64 {
    text.split_inclusive(|&byte| byte == b'\n').take(line as usize - 1).map(|line| line.len() as u64).sum()
}
