//! Bad inputs through the program: each costs a clear message, never a request for another row, never a hang.
//!
//! What each broken row's message says, and CSV's corners, are tried closer to the code, in `tests/inputs.rs`.

#[path = "durability/loops/program.rs"]
#[allow(dead_code, reason = "these tests use their part")]
mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    AttemptRecord, Ended, Identity, Job, JobId, JobKey, Message, Origin, Outcome as RowOutcome, Params, Quality, Usage,
};
use claude_batch::sink::{RecordContext, outcome_line};
use program::{Api, Outcome, Place};
use serde_json::Value;

const NO_FAULTS: &str = r#"{"rules":[]}"#;

/// An input, and what comes of it: exit code, requests sent, and a part of what is said.
struct Case(&'static str, Vec<u8>, i32, u64, &'static str);

fn text(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}

fn nested(depth: usize) -> Vec<u8> {
    format!("{{\"prompt\":\"x\",\"metadata\":{}{}}}\n\"ok\"\n", "[".repeat(depth), "]".repeat(depth)).into_bytes()
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
        Case("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03abc".to_vec(), 2, 0, "gzip"),
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
fn each_bad_input_is_answered_as_the_table_says() {
    let mut wrong = Vec::new();
    for Case(name, content, code, sent, says) in cases() {
        let (api, place) = (Api::start(NO_FAULTS), Place::with_rows(0));
        fs::write(place.path("in.jsonl"), content).expect("it can be written");

        let run = Outcome::of(place.loud(&api, &["run", "in.jsonl", "-o", "out.jsonl"]));

        let entries = fs::read_to_string(place.path("out.errors.jsonl")).unwrap_or_default();
        let are_entries = entries.lines().all(|line| serde_json::from_str::<Value>(line).is_ok());
        let is_as_told = run.code == Some(code) && api.requests() == sent && run.stderr.contains(says) && are_entries;
        if !is_as_told || (code == 3) != (entries.lines().count() == 1) {
            wrong.push(format!("{name}: {} sent, {run:?}, {} entries", api.requests(), entries.lines().count()));
        }
        let names = fs::read_dir(place.path("")).expect("it is there").count();
        assert!(names <= 4, "{name}: ids name no files");
    }

    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn what_is_no_file_is_refused_or_read() {
    let (api, place) = (Api::start(NO_FAULTS), Place::with_rows(3));
    fs::create_dir(place.path("folder")).expect("it can be made");
    let cases: [(&[&str], i32, &str); 6] = [
        (&["run", "folder", "-o", "out.jsonl"], 2, "folder"),
        (&["run", "missing.jsonl"], 2, "missing.jsonl"),
        (&["run", "in.jsonl", "-o", "in.jsonl"], 2, "is the input"),
        (&["run", "in.jsonl", "-o", "nowhere/out.jsonl"], 2, "does not exist"),
        (&["run", "in.jsonl", "-o", "folder"], 2, "a folder"),
        (&["run", "-", "-o", "out.jsonl"], 0, "nothing to do"),
    ];
    for (args, code, says) in cases {
        let run = Outcome::of(place.loud(&api, args));
        let is_as_told = run.code == Some(code) && (code == 0 || run.stderr.contains(says));
        assert!(is_as_told && api.requests() == 0, "{args:?}: {run:?}");
    }
}

#[cfg(unix)]
#[test]
fn devices_pipes_and_sparse_files_cost_neither_time_nor_memory() {
    let (api, place) = (Api::start(NO_FAULTS), Place::with_rows(3));
    fs::File::create(place.path("sparse.jsonl")).and_then(|file| file.set_len(10 << 30)).expect("it can be made");
    for input in ["/dev/zero", "sparse.jsonl"] {
        let run = Outcome::of(place.loud(&api, &["run", input, "-o", "out.jsonl"]));
        assert!(run.code == Some(2) && api.requests() == 0, "{input}: {run:?}");
    }
    let fifo = place.path("fifo.jsonl");
    assert!(Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()));
    let rows = fs::read(place.path("in.jsonl")).expect("it is there");
    let writer = std::thread::spawn(move || fs::write(fifo, rows));

    let run = Outcome::of(place.loud(&api, &["run", "fifo.jsonl", "-o", "fifo.out.jsonl"]));

    writer.join().expect("it ends").expect("it is read");
    assert!(run.code == Some(0) && api.requests() == 3, "{run:?}");
}

#[test]
fn flags_that_make_no_sense_are_refused_before_anything_is_sent() {
    let place = Place::with_rows(3);
    for flags in [
        &["--rpm", "0"][..],
        &["--rpm", "-1"],
        &["--rpm", "1e309"],
        &["--rpm", "10/sec"],
        &["--concurrency", "0"],
        &["--max-tokens", "-5"],
        &["--timeout", "5"],
        &["--max-cost", "NaN"],
        &["--base-url", "ftp://example.invalid"],
        &["--base-url", "http://example.invalid"],
        &["--base-url", "https://user:pass-word@example.invalid"],
        &["--base-url", "https://example.invalid/?q=1"],
    ] {
        let run = Outcome::of(place.bare(&[&["run", "in.jsonl", "-o", "out.jsonl"], flags].concat()));

        assert!(run.code == Some(2) && !run.stderr.contains("pass-word"), "{flags:?}: {run:?}");
        assert!(!place.path("out.jsonl").exists(), "{flags:?}");
    }
}

// ---- answers ------------------------------------------------------------------------------------------------------

/// Any text an answer may hold, escaped as a server may escape it, and its bytes as they are sent.
fn escaped(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 16] = [
        "word ",
        "\u{2028}",
        "\u{2029}",
        "\u{85}",
        "\\u0000",
        "\\ud800",
        "\\udc00\\ud800",
        "\\ud83d\\ude00",
        "\\n",
        "\\r\\n",
        "\\\"",
        "\\\\",
        "\\/",
        "日本",
        "\u{feff}",
        "\u{1f600}",
    ];
    (0..random.usize(0..30)).map(|_| PIECES[random.usize(0..PIECES.len())]).collect()
}

fn answered(json: String) -> RowOutcome {
    let job = Job {
        id: JobId(1),
        custom_id: "row".to_owned(),
        key: JobKey([7; 16]),
        identity: Identity::Named,
        model: "m".into(),
        params: Params::default(),
        extra: Params::default(),
        origin: Origin { source: "in.jsonl".into(), line: 1 },
    };
    let attempt = AttemptRecord {
        started_at: Instant::ZERO,
        ended_at: Instant::from_millis(5),
        failed: None,
        maybe_paid: false,
        usage: Usage::default(),
        request_id: None,
    };
    let message = Message {
        json: json.into_bytes().into(),
        usage: Usage::default(),
        stop_reason: Some("end_turn".to_owned()),
        quality: Quality::Ok,
    };
    RowOutcome { job: Box::new(job), attempts: vec![attempt], ended: Ended::Succeeded(message) }
}

#[test]
fn every_answer_is_one_line_with_the_bytes_that_the_server_sent() {
    // The whole property is `CASES=100000 cargo test --release --test bad_inputs every_answer`.
    let cases = std::env::var("CASES").ok().and_then(|text| text.parse().ok()).unwrap_or(5_000);
    let context = RecordContext {
        run: "r".into(),
        lane: "online",
        provider: "anthropic".into(),
        clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
        price_date: None,
        results: None,
    };
    let mut random = fastrand::Rng::with_seed(4);
    for case in 0..cases {
        let text = match case {
            0 => "x".repeat(32 << 20),
            _ => escaped(&mut random),
        };
        let json = format!(r#"{{"id":"m","content":[{{"type":"text","text":"{text}"}}]}}"#);
        let mut line = Vec::new();

        outcome_line(&answered(json.clone()), None, &context, &mut line);

        let body = line.strip_suffix(b"\n").unwrap_or_else(|| panic!("case {case} ends in a line break"));
        assert!(!body.contains(&b'\n') && !body.contains(&b'\r'), "case {case} is one line");
        let found = body.windows(json.len()).position(|part| part == json.as_bytes());
        assert!(found.is_some() && str::from_utf8(body).is_ok(), "case {case}: {text:?}");
        let raw: std::collections::HashMap<&str, &serde_json::value::RawValue> =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert!(raw.contains_key("custom_id") && raw.contains_key("result") && raw.contains_key("meta"));
    }
}

/// A server that answers each request with ten megabytes once all have come.
fn serve_large(requests: usize) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("there is a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    let all_here = std::sync::Arc::new(std::sync::Barrier::new(requests));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), all_here) = (stream, all_here.clone()) else { break };
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0; 1]);
                while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count == 1) {
                    head.push(byte[0]);
                }
                // A body left unread would reset the connection under the answer.
                let head = String::from_utf8_lossy(&head).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                let mut body = vec![0; length.unwrap_or(0)];
                let _ = stream.read_exact(&mut body);
                all_here.wait();
                let text = "word ".repeat(2 << 20);
                let body = format!(
                    r#"{{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[{{"type":"text","text":"{text}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":5,"output_tokens":1}}}}"#
                );
                let head = format!(
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                    body.len()
                );
                // A client that has left is its own affair.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            });
        }
    });
    url
}

#[cfg(target_os = "linux")]
#[test]
fn large_answers_at_once_fit_in_bounded_memory() {
    // 64 of them take 0.9 GB; so many take a while to make and read without optimization.
    const AT_ONCE: usize = 16;
    let place = Place::with_rows(AT_ONCE);
    let url = serve_large(AT_ONCE);
    let run =
        place.bare(&["run", "in.jsonl", "-o", "out.jsonl", "-q", "--tier", "none", "-c", "64", "--base-url", &url]);
    let mut limited = Command::new("sh");
    // The limit is on addresses, which are more than the memory in use.
    limited.args(["-c", "ulimit -v 1048576; exec \"$0\" \"$@\""]).arg(run.get_program()).args(run.get_args());
    limited.args(["--stream", "off"]).current_dir(place.path("")).env("ANTHROPIC_API_KEY", "sk-test");

    let run = Outcome::of({
        limited.stdin(Stdio::null());
        limited
    });

    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(place.answers().map(|answers| answers.len()), Ok(AT_ONCE));
}
