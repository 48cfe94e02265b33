//! Runs the program with bad inputs. Each bad input must give a clear message. The program must not hang, and must send
//! all good rows.
//!
//! `tests/inputs.rs` tests the corner cases of CSV, and the message for each broken row. The tests in `tests/inputs.rs`
//! call the library directly.
#![cfg(feature = "sim")]

#[path = "durability/loops/program.rs"]
#[allow(dead_code, reason = "these tests use only some of these items")]
mod program;

use std::fs;
use std::io::Write as _;
use std::process::Command;

use program::{Api, Outcome, Workspace};
use serde_json::Value;

const NO_FAULTS: &str = r#"{"rules":[]}"#;

/// An input, and the expected result: exit code, number of requests, and a part of the messages.
struct Case(&'static str, Vec<u8>, i32, u64, &'static str);

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"prompt\":\"x\",\"metadata\":{}{}}}\n\"ok\"\n", "[".repeat(depth), "]".repeat(depth)).into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(bytes).and_then(|()| packer.finish()).expect("a write to memory never fails")
}

/// Two rows and a part of a third row, compressed with gzip. The compressed data ends too early.
fn cut_gzip() -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer
        .write_all(b"\"x\"\n\"y\"\n{\"prompt\":\"z")
        .and_then(|()| packer.flush())
        .expect("a write to memory never fails");
    packer.get_ref().clone()
}

/// A row whose blocks have cache marks with these lifetimes.
fn marked(lifetimes: &[&str]) -> Vec<u8> {
    let block =
        |ttl: &&str| format!(r#"{{"type":"text","text":"x","cache_control":{{"type":"ephemeral","ttl":"{ttl}"}}}}"#);
    let blocks = lifetimes.iter().map(block).collect::<Vec<_>>().join(",");
    format!(r#"{{"prompt":[{blocks}]}}"#).into_bytes()
}

fn cases() -> Vec<Case> {
    let two = |one: &str, other: &str| text(&format!("{one}\n{other}\n"));
    let ids = |one: &str, other: &str| {
        two(&format!(r#"{{"id":{one},"prompt":"a"}}"#), &format!(r#"{{"id":{other},"prompt":"b"}}"#))
    };
    let beside_a_good_row = |row: &[u8]| [row, b"\n\"ok\"\n"].concat();
    let utf16: Vec<u8> = "\u{feff}{\"prompt\":\"x\"}\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    vec![
        Case("an empty file", Vec::new(), 0, 0, "nothing to do"),
        Case("blank lines", text("\n \n\t\n"), 0, 0, "nothing to do"),
        Case("a byte order mark alone", text("\u{feff}"), 0, 0, "nothing to do"),
        Case("a byte order mark and a row", text("\u{feff}{\"prompt\":\"x\"}"), 0, 1, ""),
        Case("CRLF", text("{\"prompt\":\"x\"}\r\n{\"prompt\":\"y\"}\r\n"), 0, 2, ""),
        Case("no line break at the end", text("{\"prompt\":\"x\"}"), 0, 1, ""),
        Case("U+2028 and U+0085 in a string", text("{\"prompt\":\"x\u{2028}y\u{85}z\"}\n"), 0, 1, ""),
        Case("UTF-16", utf16, 2, 0, "UTF-16"),
        Case("gzip", gzip(b"{\"prompt\":\"x\"}\n\"y\"\n"), 0, 2, ""),
        Case("zstd", zstd::encode_all(&b"\"x\"\n\"y\"\n"[..], 0).expect("it can be packed"), 0, 2, ""),
        Case(
            "gzip without its end",
            cut_gzip(),
            2,
            2,
            "in.jsonl: is damaged after line 2: the gzip data ends too early",
        ),
        Case("gzip that is wrong from the start", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc".to_vec(), 2, 0, "gzip data"),
        Case("gzip in gzip", gzip(&gzip(b"\"x\"\n")), 2, 0, "unpack it once"),
        Case("zip", b"PK\x03\x04\x14\0\0\0\x08\0".to_vec(), 2, 0, "zip"),
        Case("Parquet", b"PAR1\x15\x04\x15\0\0\0PAR1".to_vec(), 2, 0, "arquet"),
        Case("a JSON array", text("[{\"prompt\":\"x\"},\n{\"prompt\":\"y\"}]\n"), 2, 0, "array"),
        Case("bytes that are not UTF-8", beside_a_good_row(b"{\"prompt\":\"caf\xe9\"}"), 3, 1, ""),
        Case("a NUL byte", beside_a_good_row(b"{\"prompt\":\"a\0b\"}"), 3, 1, ""),
        Case("half a surrogate", beside_a_good_row(b"{\"prompt\":\"\\ud800\"}"), 3, 1, ""),
        Case("NaN", beside_a_good_row(b"{\"prompt\":\"x\",\"temperature\":NaN}"), 3, 1, ""),
        Case("a cut row", beside_a_good_row(b"{\"prompt\":\"x"), 3, 1, ""),
        Case("two values on a line", beside_a_good_row(b"{\"prompt\":\"x\"} {\"prompt\":\"y\"}"), 3, 1, ""),
        Case("an array as a row", beside_a_good_row(b"{\"prompt\":\"y\"}\n[1]"), 3, 2, ""),
        Case("nesting 100,000 deep", nested(100_000), 3, 1, ""),
        Case("a name twice in a row", beside_a_good_row(b"{\"prompt\":\"x\",\"prompt\":\"y\"}"), 3, 1, ""),
        Case("no prompt", beside_a_good_row(b"{\"id\":\"x\"}"), 3, 1, ""),
        Case("an empty prompt", beside_a_good_row(b"{\"prompt\":\"\"}"), 3, 1, ""),
        Case("prompt and messages", beside_a_good_row(b"{\"prompt\":\"x\",\"messages\":[]}"), 3, 1, ""),
        Case("a near miss", text("{\"prompt\":\"x\",\"max_token\":5}\n"), 0, 1, "max_token"),
        Case(
            "a prompt of 33 MB",
            beside_a_good_row(format!("{{\"prompt\":\"{}\"}}", "x".repeat(33_000_000)).as_bytes()),
            3,
            1,
            "",
        ),
        Case("a line of 70 MB", beside_a_good_row("x".repeat(70 << 20).as_bytes()), 3, 1, ""),
        Case("a mark for 1h after one for 5m", beside_a_good_row(&marked(&["5m", "1h"])), 3, 1, "an earlier mark, on"),
        Case("five marks", beside_a_good_row(&marked(&["5m"; 5])), 3, 1, "5 cache marks"),
        Case("four marks", marked(&["1h", "1h", "5m", "5m"]), 0, 1, ""),
        Case("an id twice", ids("\"a\"", "\"a\""), 2, 0, "\"a\""),
        Case("the number 1 and the text 1", ids("1", "\"1\""), 2, 0, "\"1\""),
        Case("ids that differ in case", ids("\"a\"", "\"A\""), 0, 2, ""),
        Case("ids that differ in a blank", ids("\"a\"", "\"a \""), 0, 2, ""),
        Case("ids that differ in Unicode form", ids("\"\u{e9}\"", "\"e\u{301}\""), 0, 2, ""),
        Case("an id of 10 kB", ids(&format!("\"{}\"", "i".repeat(10_000)), "\"b\""), 0, 2, ""),
        Case("ids that look like paths and escapes", ids("\"../../x\"", "\"a/b\\u001b[31m\\n\""), 0, 2, ""),
    ]
}

#[test]
fn each_bad_input_gives_the_result_in_the_table() {
    let mut wrong = Vec::new();
    for Case(name, content, code, sent, says) in cases() {
        let (api, workspace) = (Api::start(NO_FAULTS), Workspace::with_rows(0));
        fs::write(workspace.path("in.jsonl"), content).expect("it can be written");

        let run = Outcome::of(workspace.command_with_messages(&api, &["run", "in.jsonl", "-o", "out.jsonl"]));

        let entries = fs::read_to_string(workspace.path("out.errors.jsonl")).unwrap_or_default();
        let are_entries = entries.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
        let is_as_told = run.code == Some(code) && api.requests() == sent && run.stderr.contains(says) && are_entries;
        if !is_as_told || (code == 3) != (entries.lines().count() == 1) {
            wrong.push(format!("{name}: {} sent, {run:?}, {} entries", api.requests(), entries.lines().count()));
        }
        let names = fs::read_dir(workspace.path("")).expect("it is there").count();
        assert!(names <= 4, "{name}: an id was used as a file name");
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn inputs_and_outputs_that_are_not_files_are_refused_and_an_empty_pipe_is_read() {
    let (api, workspace) = (Api::start(NO_FAULTS), Workspace::with_rows(3));
    fs::create_dir(workspace.path("folder")).expect("it can be made");
    fs::create_dir(workspace.path("rows")).expect("it can be made");
    fs::write(workspace.path("rows/a.csv"), "prompt\nx\n").expect("it can be written");
    let cases: [(&[&str], i32, &str); 10] = [
        (&["run", "folder", "-o", "out.jsonl"], 2, "folder: is an empty folder"),
        (&["run", "rows", "-o", "out.jsonl"], 2, "claude-batch run rows/a.csv"),
        (&["run", "rows", "--format", "csv", "-o", "out.jsonl"], 2, "'rows/*'"),
        (&["run", "rows/*.md", "-o", "out.jsonl"], 2, "no file matches"),
        (&["run", ".", "--format", "text"], 2, "-o"),
        (&["run", "missing.jsonl"], 2, "missing.jsonl"),
        (&["run", "in.jsonl", "-o", "in.jsonl"], 2, "is the input"),
        (&["run", "in.jsonl", "-o", "nowhere/out.jsonl"], 2, "there is no folder nowhere"),
        (&["run", "in.jsonl", "-o", "folder"], 2, "a folder"),
        (&["run", "-", "-o", "out.jsonl"], 0, "nothing to do"),
    ];
    for (args, code, says) in cases {
        let run = Outcome::of(workspace.command_with_messages(&api, args));
        let is_as_told = run.code == Some(code) && (code == 0 || run.stderr.contains(says));
        assert!(is_as_told && api.requests() == 0, "{args:?}: {run:?}");
    }
}

#[cfg(unix)]
#[test]
fn devices_pipes_and_sparse_files_cost_neither_time_nor_memory() {
    let (api, workspace) = (Api::start(NO_FAULTS), Workspace::with_rows(3));
    fs::File::create(workspace.path("sparse.jsonl")).and_then(|file| file.set_len(10 << 30)).expect("it can be made");
    for input in ["/dev/zero", "sparse.jsonl"] {
        let run = Outcome::of(workspace.command_with_messages(&api, &["run", input, "-o", "out.jsonl"]));
        assert!(run.code == Some(2) && api.requests() == 0, "{input}: {run:?}");
    }
    let fifo = workspace.path("fifo.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    let rows = fs::read(workspace.path("in.jsonl")).expect("it is there");
    let writer = std::thread::spawn(move || fs::write(fifo, rows));

    let run = Outcome::of(workspace.command_with_messages(&api, &["run", "fifo.jsonl", "-o", "fifo.out.jsonl"]));

    writer.join().expect("it ends").expect("it is read");
    assert!(run.code == Some(0) && api.requests() == 3, "{run:?}");
}

#[test]
fn flags_that_make_no_sense_are_refused_before_anything_is_sent() {
    let workspace = Workspace::with_rows(3);
    for flags in [
        &["--rpm", "0"][..],
        &["--rpm", "-1"],
        &["--rpm", "1e309"],
        &["--rpm", "10/sec"],
        &["--concurrency", "0"],
        &["--max-tokens", "-5"],
        &["--timeout", "5"],
        &["--prompt-cache", "2h"],
        &["--param", "system=[5]"],
        &["--max-cost", "NaN"],
        &["--base-url", "ftp://example.invalid"],
        &["--base-url", "http://example.invalid"],
        &["--base-url", "https://user:pass-word@example.invalid"],
        &["--base-url", "https://example.invalid/?q=1"],
    ] {
        let run = Outcome::of(workspace.plain_command(&[&["run", "in.jsonl", "-o", "out.jsonl"], flags].concat()));

        assert!(run.code == Some(2) && !run.stderr.contains("pass-word"), "{flags:?}: {run:?}");
        assert!(!workspace.path("out.jsonl").exists(), "{flags:?}");
    }
}
