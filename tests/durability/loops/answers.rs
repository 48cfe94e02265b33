//! Tests answers of all kinds. The program writes each answer as one line, which contains the bytes that the server
//! sent. Large answers need only bounded memory.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{
    AttemptRecord, Ended, Identity, Job, JobId, JobKey, Message, Origin, Outcome as RowOutcome, Params, Quality,
    Request, RowId, Usage,
};
use claude_batch::sink::{RecordContext, line_around, outcome_line};

use super::program::{Outcome, Workspace};
use super::{Seen, Size};

/// Makes an output line for each answer; `cases` is the number of answers. Checks that the output is exactly one line
/// and contains the bytes that the server sent. The first answer is 32 MB long.
pub fn every_line(cases: u64, seed: u64) {
    let context = RecordContext {
        run: "r".into(),
        clock: RunClock::start_at(jiff::Timestamp::UNIX_EPOCH),
        price_date: None,
        results: None,
    };
    let mut random = fastrand::Rng::with_seed(seed);
    for case in 0..cases {
        let text = match case {
            0 => "x".repeat(32 << 20),
            _ => escaped(&mut random),
        };
        let json = format!(r#"{{"id":"m","content":[{{"type":"text","text":"{text}"}}]}}"#);
        let mut line = Vec::new();

        let outcome = answered(json.clone());
        outcome_line(&outcome, &context, &mut line);
        assert_eq!(in_parts(&outcome, &context), line, "case {case} is the same in parts");

        let body = line.strip_suffix(b"\n").unwrap_or_else(|| panic!("case {case} ends in a line break"));
        assert!(!body.contains(&b'\n') && !body.contains(&b'\r'), "case {case} is one line");
        let found = body.windows(json.len()).position(|part| part == json.as_bytes());
        assert!(found.is_some() && str::from_utf8(body).is_ok(), "case {case}: {text:?}");
        let raw: std::collections::HashMap<&str, &serde_json::value::RawValue> =
            serde_json::from_slice(body).unwrap_or_else(|error| panic!("case {case}: {error}"));
        assert!(raw.contains_key("custom_id") && raw.contains_key("result") && raw.contains_key("meta"));
    }
}

/// Makes the line of a long answer in the same two steps as the program. The first step makes the line without the
/// message, and the second step inserts the message.
fn in_parts(outcome: &RowOutcome, context: &RecordContext) -> Vec<u8> {
    let Ended::Succeeded(message) = &outcome.ended else { panic!("it has an answer") };
    let mut line = Vec::new();
    let at = line_around(outcome, message, context, &mut line);
    line.splice(at..at, message.json.iter().copied());
    line
}

/// Returns a random text for an answer. The text is escaped in one of the ways that a server can use.
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
        row: RowId::named("row", Some(JobKey([7; 16]))),
        request: Request::default(),
        extra: Params::default(),
        origin: Origin { source: "in.jsonl".into(), line: 1 },
        index: 0,
    };
    let attempt = AttemptRecord {
        ended_at: Instant::from_millis(5),
        max_tokens: 5,
        template: 7,
        estimated_input: 12,
        ..AttemptRecord::new("anthropic", "claude-haiku-4-5")
    };
    let message =
        Message { json: json.into_bytes().into(), usage: Usage::default(), quality: Quality::Ok, content: 0..0 };
    RowOutcome { job: Box::new(job), attempts: vec![attempt], ended: Ended::Succeeded(message) }
}

/// The input of a run, and a server whose answers have ten megabytes each. The server sends `at_once` answers at the
/// same time.
pub struct Large {
    at_once: usize,
    workspace: Workspace,
    run: Command,
}

impl Large {
    /// Makes the input and the server.
    pub fn new(at_once: usize) -> Self {
        let workspace = Workspace::with_rows(at_once);
        let url = serve_large(at_once);
        let mut run = workspace.plain_command(&[
            "run",
            "in.jsonl",
            "-o",
            "out.jsonl",
            "-q",
            "--tier",
            "none",
            "-c",
            "64",
            "--base-url",
            &url,
        ]);
        run.args(["--stream", "off"]);
        Self { at_once, workspace, run }
    }

    /// Runs the program with a limit of `address_kib` KiB on its address space. The address space of a program is
    /// larger than the memory that the program uses.
    pub fn within(self, address_kib: u64) {
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -v {address_kib}; exec \"$0\" \"$@\"")]);
        limited.arg(self.run.get_program()).args(self.run.get_args()).current_dir(self.workspace.path(""));
        limited.env("ANTHROPIC_API_KEY", "sk-test").stdin(Stdio::null());

        let run = Outcome::of(limited);

        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(self.workspace.answers().map(|answers| answers.len()), Ok(self.at_once));
    }

    /// Runs without a memory limit. Returns the peak memory in KiB.
    pub fn peak_kib(mut self) -> u64 {
        let mut child =
            self.run.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the program can be started");
        let mut peak = 0;
        let status = loop {
            peak = peak.max(high_water_kib(&child));
            match child.try_wait().expect("it can be asked") {
                Some(status) => break status,
                // This sleep sets how often memory is measured. The sleep does not wait for an event.
                None => std::thread::sleep(Duration::from_millis(2)),
            }
        };
        assert!(status.success());
        assert_eq!(self.workspace.answers().map(|answers| answers.len()), Ok(self.at_once));
        peak
    }
}

fn high_water_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// A server that waits for all requests, and then answers each request with ten megabytes.
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
                // The server must read the body of the request. If the server left the body unread, the connection
                // would be reset before the answer is complete.
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
                // If a client disconnects, the server has made no error.
                let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes()));
            });
        }
    });
    url
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let cases = size.pick(5_000, 100_000);
    every_line(cases, 4);
    let at_once = size.pick(16, 64);
    let peak = Large::new(at_once).peak_kib();
    assert!(peak <= 1 << 20, "{peak} KiB for {at_once} answers of 10 MB at once");
    let memory = match peak {
        0 => "NOT MEASURED here (it is read from /proc)".to_owned(),
        peak => format!("{:.0} MB at most", peak as f64 / 1024.0),
    };
    vec![
        Seen::new(
            "hostile texts in answers (U+2028, NUL, half surrogates, 32 MB, …)",
            "100,000 answers: each one line of JSON, with the bytes that were sent",
            format!("{cases} answers, all as expected"),
        ),
        Seen::new(
            "answers of 10 MB at the same time (real program)",
            "64 answers in at most 1 GB of memory",
            format!("{at_once} at once, all written completely: {memory}"),
        ),
    ]
}
