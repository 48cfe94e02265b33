//! Tests undamaged files, as other programs write them.

use std::io::Cursor;
use std::path::Path;

use claude_batch::source::{Input, InputFormat, Item, Options, Position, Reader, SourceError, open, open_at};

use super::support::{broken, cells, keeping, line, messages, read, row, table, with_template};

#[test]
fn a_csv_a_parquet_file_and_a_sheet_with_the_same_cells_give_the_same_rows() {
    let options = with_template("{{subject}}\n{{body}}");
    let rows = |name: &str| -> Vec<(Option<String>, String)> {
        let items = read(&Path::new("fixtures").join(name), &options);
        items.iter().map(|item| (row(item).custom_id.clone(), messages(row(item)))).collect()
    };

    let expected = rows("tickets.csv");

    assert_eq!(expected.len(), 116);
    assert_eq!(rows("tickets.parquet"), expected);
    assert_eq!(rows("tickets.xlsx"), expected);
}

/// The cells of `fixtures/tables/every-type.*.parquet`, column by column. pyarrow made the files from these values.
const EVERY_TYPE: [(&str, [&str; 5]); 25] = [
    ("id", ["J:1", "J:2", "J:3", "J:4", "J:5"]),
    ("prompt", ["T:plain", "T:", "T:é 漢 𝄞 \0 end", "", "T:a\nb \"c\""]),
    ("u64", ["J:0", "J:18446744073709551615", "", "J:1", "J:2"]),
    ("i8", ["J:-128", "J:127", "J:0", "", "J:1"]),
    ("u32", ["J:4294967295", "J:0", "J:1", "J:2", ""]),
    ("f32", ["J:0.1", "J:1.0", "T:NaN", "", "J:-2.5e-8"]),
    ("f64", ["J:0.1", "J:1e300", "T:inf", "", "J:-0.0"]),
    ("flag", ["J:true", "J:false", "", "J:true", "J:false"]),
    ("dec", ["J:12.34", "J:-0.01", "", "J:0.00", "J:99999999999999999999.99"]),
    ("small_dec", ["J:1.5", "J:-1.5", "", "J:0.0", "J:9.9"]),
    ("day", ["T:2024-05-02", "T:1969-12-31", "", "T:0001-01-01", "T:9999-12-31"]),
    ("at", ["T:2024-05-02T12:30:00Z", "", "T:1960-01-01T00:00:00.000001Z", "T:2000-01-01T00:00:00Z", ""]),
    ("local", ["T:2024-05-02T12:30:00", "", "T:1960-01-01T00:00:00.001", "T:2000-01-01T00:00:00", ""]),
    ("clock", ["T:12:34:56.789", "", "T:00:00:00", "T:23:59:59", ""]),
    ("tags", [r#"J:["a","b"]"#, "J:[]", "", r#"J:["x",null]"#, r#"J:[""]"#]),
    ("grid", ["J:[[1,2],[]]", "J:[]", "", "J:[null,[3]]", "J:[[4]]"]),
    (
        "who",
        [
            r#"J:{"name":"Ann","age":3,"at":{"x":1.5}}"#,
            r#"J:{"name":null,"age":null,"at":null}"#,
            "",
            r#"J:{"name":"B","age":0,"at":{"x":null}}"#,
            r#"J:{"name":"","age":7,"at":{"x":2.0}}"#,
        ],
    ),
    ("people", [r#"J:[{"n":"a","k":[1]},{"n":null,"k":[]}]"#, "J:[]", "", "J:[null]", r#"J:[{"n":"z","k":null}]"#]),
    ("sizes", [r#"J:{"s":1,"m":2}"#, "J:{}", "", r#"J:{"l":null}"#, r#"J:{"x":5}"#]),
    ("codes", [r#"J:{"1":"one"}"#, "J:{}", "", r#"J:{"2":null}"#, r#"J:{"3":"t"}"#]),
    ("raw", ["T:text", "T:", "", "T:ü", "T:z"]),
    // In a column that is not sent, a cell whose bytes are not text counts as missing.
    ("blob", ["", "T:ok", "", "", "T:fine"]),
    ("fixed", ["T:abcd", "T:efgh", "", "T:ijkl", "T:mnop"]),
    ("kind", ["T:red", "T:blue", "", "T:red", "T:red"]),
    ("nothing", ["", "", "", "", ""]),
];

#[test]
fn values_of_every_type_are_read_in_every_encoding() {
    for name in ["snappy", "gzip", "delta", "delta-v2", "int96"] {
        let items = read(&table(&format!("every-type.{name}.parquet")), &keeping());

        assert_eq!(items.len(), 5, "{name}");
        for (at, item) in items.iter().enumerate() {
            let found = cells(item);
            assert_eq!(found.len(), EVERY_TYPE.len());
            for ((column, expected), found) in EVERY_TYPE.iter().zip(&found) {
                let mut expected = expected[at].to_owned();
                // Parquet times of 96 bits don't say whether they are in UTC.
                if name == "int96" && *column == "at" {
                    expected = expected.replace('Z', "");
                }
                assert_eq!(found.as_deref().unwrap_or_default(), expected, "{name}, column {column}, row {}", at + 1);
            }
        }
    }
}

#[test]
fn a_value_that_is_not_text_breaks_its_row_if_its_column_is_sent() {
    let items = read(&table("every-type.snappy.parquet"), &with_template("{{blob}}|{{id}}"));

    assert_eq!(broken(&items[0]).message, "has a column blob that holds bytes that are not text");
    for (at, prompt) in [(1, "\"ok|2\""), (2, "\"|3\""), (4, "\"fine|5\"")] {
        let messages = messages(row(&items[at]));
        assert!(messages.contains(prompt), "{messages}");
    }
}

#[test]
fn reading_a_file_can_begin_at_any_row() {
    for name in ["every-type.gzip.parquet", "every-type.delta.parquet", "every-type.int96.parquet", "sheets.xlsx"] {
        let (path, options) = (table(name), keeping());
        let mut rows = Vec::new();
        let mut reader = open(&Input::File(path.clone()), &options).expect("a good file");
        while let Some(place) = reader.position() {
            let item = reader.next().expect("there is a row").expect("a good file");
            rows.push((place, cells(&item)));
        }

        for (at, (place, _)) in rows.iter().enumerate() {
            let rest = open_at(&path, &options, *place).expect("the row is there");
            let rest: Vec<_> = rest.map(|item| cells(&item.expect("a good file"))).collect();
            let expected: Vec<_> = rows[at..].iter().map(|(_, cells)| cells.clone()).collect();
            assert_eq!(rest, expected, "{name} from row {}", at + 1);
        }
        let last = rows.last().expect("there are rows").0;
        let beyond = Position { line: last.line + 1, byte_offset: last.byte_offset + 1 };
        assert!(matches!(open_at(&path, &options, beyond), Err(SourceError::Moved { .. })), "{name}");
    }
}

#[test]
fn a_sheet_is_read_as_excel_shows_it() {
    let items = read(&table("sheets.xlsx"), &keeping());

    assert_eq!(items.iter().map(line).collect::<Vec<_>>(), [3, 5, 6, 8, 9]);
    let expected = [
        [
            "J:1",
            "T:one",
            "T:2024-05-02",
            "T:2024-05-02T12:30:00",
            "T:18:00:00",
            "J:true",
            "J:3",
            "T:a\nb",
            "T:30:05:00",
        ],
        ["J:2.5", "T:two", "", "", "", "J:false", "J:-0.125", "", ""],
        ["T:x-3", "", "", "", "", "", "", "", ""],
        ["J:4", "T:four & <five> \"six\" é 漢 𝄞", "", "", "", "", "J:1000000000000000", "T:merged", ""],
        ["J:5", "J:12", "", "", "", "", "", "", ""],
    ];
    for (item, expected) in items.iter().zip(expected) {
        let found: Vec<String> = cells(item).into_iter().map(Option::unwrap_or_default).collect();
        assert_eq!(found, expected);
    }
    assert_eq!(broken(&items[2]).message, "has a column prompt that shows the error #REF!");
    assert!(messages(row(&items[4])).contains("\"12\""));
}

#[test]
fn another_sheet_can_be_read_by_its_name() {
    let sheet = |name: &str| Options { sheet: Some(name.to_owned()), ..Options::default() };
    let opened = |name: &str| open(&Input::File(table("sheets.xlsx")), &sheet(name));

    let second: Vec<Item> = opened("Second sheet").expect("it is there").map(|item| item.expect("a row")).collect();
    assert_eq!(second.len(), 1);
    assert!(messages(row(&second[0])).contains("from the second"));

    let missing = opened("Secondsheet").expect_err("there is none").to_string();
    assert!(
        missing.contains("the sheets are: Orders, \"Second sheet\", Empty; did you mean \"Second sheet\"?"),
        "{missing}"
    );
    let empty = opened("Empty").expect_err("it has no header").to_string();
    assert!(
        empty.ends_with("the sheet Empty is empty; its first row must contain the names of the columns"),
        "{empty}"
    );

    let csv = Options { sheet: Some("x".to_owned()), ..with_template("{{body}}") };
    let mut csv = open(&Input::File("fixtures/tickets.csv".into()), &csv).expect("a good file");
    assert!(csv.take_warnings()[0].contains("--sheet has no effect"));
}

#[test]
fn a_sheet_can_come_from_a_pipe_and_a_parquet_file_can_not() {
    let piped = |format, name: &str| {
        let bytes = std::fs::read(Path::new("fixtures").join(name)).expect("a fixture");
        Reader::from_read("stdin", format, Box::new(Cursor::new(bytes)), &with_template("{{body}}"))
    };

    assert_eq!(piped(InputFormat::Excel, "tickets.xlsx").expect("a sheet").count(), 116);
    let error = piped(InputFormat::Auto, "tickets.parquet").expect_err("it can't be read from its end").to_string();
    assert!(error.contains("can't be read from a pipe"), "{error}");
}
