//! Tests that texts of any kind reach the API byte for byte, and that the answers come back byte for byte, in every
//! format.
//!
//! The server looks up each request by its bytes. So the server does not find a request that was changed on the way.
//! This file has its own short readers for the outputs. These readers share no code with the program. `.ci/judges`
//! makes the same test with many more rows, with Parquet and Excel, and with readers from other authors.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::slice::from_ref;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::value::RawValue;

use crate::hostile::{Hostile, Then, response};
use crate::odd_rows::{number, object, quoted, text, value};
use crate::support::*;

/// A row, and its answer.
struct Row {
    label: String,
    /// The key by which the server finds the row: the body of the request, or the text of the prompt.
    asked: String,
    /// The cells of the row. For a JSON row, these are a text and a number that are not sent.
    cells: Vec<String>,
    /// The answer as the server sends it, as JSON.
    message: String,
    text: String,
}

impl Row {
    fn new(label: String, asked: String, cells: Vec<String>, random: &mut fastrand::Rng) -> Self {
        let texts: Vec<String> = (0..random.usize(1..4)).map(|_| text(random)).collect();
        let block = |text: &String, random: &mut fastrand::Rng| {
            let mut members = [("\"type\"".into(), "\"text\"".into()), ("\"text\"".into(), quoted(text, random))];
            random.shuffle(&mut members);
            object(&members, ":")
        };
        let content: Vec<String> = texts.iter().map(|text| block(text, random)).collect();
        let mut members = [
            ("id", "\"msg_1\"".to_owned()),
            ("type", "\"message\"".to_owned()),
            ("role", "\"assistant\"".to_owned()),
            ("model", "\"claude-haiku-4-5\"".to_owned()),
            ("content", format!("[{}]", content.join(","))),
            ("stop_reason", "\"end_turn\"".to_owned()),
            ("usage", r#"{"output_tokens":1,"input_tokens":2,"unknown":1e400}"#.to_owned()),
            ("container", value(random, 3)),
        ]
        .map(|(name, value)| (format!("\"{name}\""), value));
        random.shuffle(&mut members);
        Self { label, asked, cells, message: object(&members, ":"), text: texts.concat() }
    }
}

/// A server that knows all rows. The server rejects a request that belongs to no row.
struct Server {
    hostile: Hostile,
    arrived: Arc<Vec<AtomicU32>>,
    strange: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `asked` returns the key of a row from the body of its request.
    fn new(rows: &[Row], asked: fn(&[u8]) -> String) -> Self {
        let known: HashMap<String, usize> = rows.iter().enumerate().map(|(at, row)| (row.asked.clone(), at)).collect();
        assert_eq!(known.len(), rows.len(), "rows differ");
        let messages: Vec<String> = rows.iter().map(|row| row.message.clone()).collect();
        let arrived: Arc<Vec<_>> = Arc::new(rows.iter().map(|_| AtomicU32::new(0)).collect());
        let strange = Arc::new(Mutex::new(Vec::new()));
        let (counts, odd) = (arrived.clone(), strange.clone());
        let hostile = Hostile::new(move |request, connection| {
            let found = known.get(&asked(&request.body));
            let reply = match found {
                Some(&at) => {
                    counts[at].fetch_add(1, Ordering::AcqRel);
                    response(200, &[("content-type", "application/json")], messages[at].as_bytes())
                }
                None => {
                    let mut odd = odd.lock().expect("nobody panics here");
                    odd.push(String::from_utf8_lossy(&request.body).into_owned());
                    let error = br#"{"type":"error","error":{"type":"invalid_request_error","message":"unknown"}}"#;
                    response(400, &[("content-type", "application/json")], error)
                }
            };
            connection.write_all(&reply).map(|()| Then::Keep)
        });
        Self { hostile, arrived, strange }
    }

    /// Runs `input`, and checks that each row arrived exactly once and unchanged.
    fn run(&self, folder: &Folder, input: &str) {
        let mut command = folder.command(&["run", input, "-o", "out.jsonl", "--stream", "off", "--tier", "none"]);
        command.args(["-q", "-c", "8"]).env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &self.hostile.url);
        let said = Said::of(command.output().expect("the program starts"));
        let strange = self.strange.lock().expect("nobody panics here");
        assert!(strange.is_empty(), "{input}: {} requests are no row, one is {:?}", strange.len(), strange[0]);
        said.ends_with(0);
        let counts: Vec<u32> = self.arrived.iter().map(|count| count.swap(0, Ordering::AcqRel)).collect();
        assert!(counts.iter().all(|count| *count == 1), "{input}: each row is sent once");
    }
}

#[test]
fn json_lines_and_their_answers_arrive_byte_for_byte() {
    let seed = 5;
    let mut random = fastrand::Rng::with_seed(seed);
    for (input, count) in [("rows.jsonl", 1_500), ("rows.jsonl.gz", 200), ("rows.jsonl.zst", 200)] {
        let (rows, lines): (Vec<Row>, Vec<String>) = (0..count).map(|at| json_row(at, &mut random)).unzip();

        round_trip(input, &lines.concat(), &rows, |body| String::from_utf8_lossy(body).into_owned());
    }
}

#[test]
fn tables_and_their_answers_arrive_byte_for_byte() {
    let seed = 6;
    let mut random = fastrand::Rng::with_seed(seed);
    for (input, count) in [("rows.csv", 1_000), ("rows.tsv", 500), ("rows.csv.gz", 200), ("rows.tsv.zst", 200)] {
        let delimiter = if input.contains(".csv") { "," } else { "\t" };
        let rows: Vec<Row> = (0..count).map(|at| table_row(at, &mut random)).collect();
        let header = record(&["id", "note", "prompt", "number"].map(str::to_owned), delimiter);
        let records = rows.iter().map(|row| {
            let cells = [&row.label, &row.cells[0], &row.asked, &row.cells[1]];
            record(&cells.map(String::clone), delimiter)
        });
        let table = header + &records.collect::<String>();

        round_trip(input, &table, &rows, |body| {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            body["messages"][0]["content"].as_str().unwrap_or_default().to_owned()
        });
    }
}

/// Runs an input and checks the requests that arrive. Also makes every output and checks its content. `asked` returns
/// the key of a row from the body of its request.
#[track_caller]
fn round_trip(input: &str, content: &str, rows: &[Row], asked: fn(&[u8]) -> String) {
    let folder = Folder::new();
    std::fs::write(folder.path(input), packed(input, content.as_bytes())).expect("it can be written");

    Server::new(rows, asked).run(&folder, input);

    assert_outputs(&folder, rows);
}

/// Returns a row in the shape of Message Batches, and its line. The members are in a random order.
fn json_row(at: usize, random: &mut fastrand::Rng) -> (Row, String) {
    let name = |name: &str| format!("\"{name}\"");
    let label = format!("{}{at}", text(random));
    let prompt = quoted(&format!("{}{at}{}", text(random), text(random)), random);
    let mut params = vec![
        (name("model"), name("claude-haiku-4-5")),
        (name("max_tokens"), "1".repeat(random.usize(1..4))),
        (name("messages"), format!(r#"[ {{"content":{prompt} ,"role":"user"}}]"#)),
        (name("metadata"), value(random, 3)),
        (name("temperature"), number(random)),
        (name("unknown"), value(random, 3)),
    ];
    random.shuffle(&mut params);
    let (note, number) = (text(random), number(random));
    let body = object(&params, ":");
    let mut members = vec![
        (name("custom_id"), quoted(&label, random)),
        (name("params"), object(&params, [":", ": "][at % 2])),
        (name("note"), quoted(&note, random)),
        (name("number"), number.clone()),
    ];
    random.shuffle(&mut members);
    (Row::new(label, body, vec![note, number], random), object(&members, ":") + ["\n", "\r\n"][at % 2])
}

/// Returns a row of a table. The cells are texts. The program rejects a table with a NUL byte, because such a table is
/// not text. Only the answer can have a NUL byte.
fn table_row(at: usize, random: &mut fastrand::Rng) -> Row {
    let mut cell = || text(random).replace('\0', "\u{1}");
    let (label, prompt, note) = (format!("{}{at}", cell()), format!("{}{at}{}", cell(), cell()), cell());
    Row::new(label, prompt, vec![note, number(random)], random)
}

/// Makes every output of the run, and compares its content with the expected content.
#[track_caller]
fn assert_outputs(folder: &Folder, rows: &[Row]) {
    assert_journal(&folder.read("out.jsonl"), rows);
    let expected: Vec<Vec<String>> =
        rows.iter().map(|row| [from_ref(&row.label), &*row.cells, from_ref(&row.text)].concat()).collect();
    let fields = "id,input.note,input.number,text";
    for output in ["o.csv", "o.tsv", "o.csv.zst", "o.tsv.gz"] {
        folder.run(&["results", "out.jsonl", "-o", output, "--fields", fields, "--raw-cells"]).ends_with(0);
        let table = records(&unpacked(folder, output), if output.contains(".csv") { ',' } else { '\t' });
        assert_rows(output, &table[1..], &expected);
    }
    folder.run(&["results", "out.jsonl", "-o", "o.jsonl.gz", "--fields", fields, "--order", "input"]).ends_with(0);
    let lines = unpacked(folder, "o.jsonl.gz");
    let cells = |line: &str| -> Vec<String> {
        // `serde_json` sorts members by name, and the fields of the output are in the same order.
        let cells = members(line).into_values();
        cells.map(|raw| serde_json::from_str(raw.get()).unwrap_or_else(|_| raw.get().to_owned())).collect()
    };
    assert_rows("o.jsonl.gz", &lines.lines().map(cells).collect::<Vec<_>>(), &expected);
    let texts: Vec<Vec<String>> = rows.iter().map(|row| vec![row.text.clone()]).collect();
    folder.run(&["results", "out.jsonl", "-o", "o.txt.zst", "--order", "input"]).ends_with(0);
    let lines = unpacked(folder, "o.txt.zst");
    let read: Vec<_> = lines.split_terminator('\n').map(|line| vec![unescaped(line)]).collect();
    assert_rows("o.txt.zst", &read, &texts);
    // In this output, each text ends with a NUL byte. The text itself can also contain NUL bytes. The test therefore
    // compares the whole output at once, not text by text.
    folder.run(&["results", "out.jsonl", "-o", "o.txt", "--null", "--order", "input"]).ends_with(0);
    let all: String = rows.iter().map(|row| row.text.clone() + "\0").collect();
    assert!(folder.read("o.txt") == all, "o.txt with --null");
}

/// Compares rows. Panics if a row differs, and shows the first such row.
#[track_caller]
fn assert_rows(output: &str, found: &[Vec<String>], expected: &[Vec<String>]) {
    assert_eq!(found.len(), expected.len(), "{output}: rows");
    let differing = found.iter().zip(expected).enumerate().find(|(_, (found, expected))| found != expected);
    assert!(differing.is_none(), "{output}: {differing:?}");
}

/// Checks that each line of the results file contains the answer, byte for byte.
#[track_caller]
fn assert_journal(results: &str, rows: &[Row]) {
    let by_label: HashMap<&str, &Row> = rows.iter().map(|row| (&*row.label, row)).collect();
    let lines: Vec<&str> = results.split_terminator('\n').collect();
    assert_eq!((lines.len(), by_label.len()), (rows.len(), rows.len()));
    for line in lines {
        let label: String = serde_json::from_str(members(line)["custom_id"].get()).expect("a label");
        let row = by_label[&*label];
        assert!(line.contains(&format!(r#""message":{}"#, row.message)), "{line}");
    }
}

/// Returns the members of an object. The values keep their spelling.
fn members(line: &str) -> BTreeMap<String, Box<RawValue>> {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

// ---- writers and readers of the formats ---------------------------------------------------------------------------

/// Returns a record with every cell quoted.
fn record(cells: &[String], delimiter: &str) -> String {
    let quoted: Vec<String> = cells.iter().map(|cell| format!("\"{}\"", cell.replace('"', "\"\""))).collect();
    quoted.join(delimiter) + "\r\n"
}

/// Reads the records of a table by RFC 4180. Each record ends in a line feed.
fn records(table: &str, delimiter: char) -> Vec<Vec<String>> {
    let mut records = vec![vec![String::new()]];
    let mut is_quoted = false;
    let mut rest = table.chars().peekable();
    while let Some(char) = rest.next() {
        let record = records.last_mut().expect("there is one");
        let cell = record.last_mut().expect("there is one");
        match char {
            '"' if is_quoted && rest.next_if_eq(&'"').is_some() => cell.push('"'),
            '"' if is_quoted || cell.is_empty() => is_quoted = !is_quoted,
            '\n' if !is_quoted => records.push(vec![String::new()]),
            char if char == delimiter && !is_quoted => record.push(String::new()),
            char => cell.push(char),
        }
    }
    assert!(!is_quoted && records.pop() == Some(vec![String::new()]), "the table ends in a line feed");
    records
}

/// Reads a line of text output.
fn unescaped(line: &str) -> String {
    let mut chars = line.chars();
    let mut text = String::new();
    while let Some(char) = chars.next() {
        text.push(match (char, char == '\\') {
            (_, true) => match chars.next() {
                Some('n') => '\n',
                Some('r') => '\r',
                other => other.unwrap_or_else(|| panic!("{line:?} ends in half an escape")),
            },
            (char, false) => char,
        });
    }
    text
}

/// Compresses bytes if the file name has the ending of a compressed file.
fn packed(name: &str, bytes: &[u8]) -> Vec<u8> {
    match name.rsplit('.').next() {
        Some("gz") => {
            let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            packed.write_all(bytes).and_then(|()| packed.finish()).expect("a write to memory never fails")
        }
        Some("zst") => zstd::encode_all(bytes, 1).expect("a write to memory never fails"),
        _ => bytes.to_vec(),
    }
}

/// Reads a file. If the file is compressed, it is unpacked.
fn unpacked(folder: &Folder, name: &str) -> String {
    let bytes = std::fs::read(folder.path(name)).expect("it was made");
    let mut text = String::new();
    match name.rsplit('.').next() {
        Some("gz") => flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text),
        Some("zst") => zstd::Decoder::new(&*bytes).and_then(|mut packed| packed.read_to_string(&mut text)),
        _ => (&*bytes).read_to_string(&mut text),
    }
    .expect("it is whole");
    text
}
