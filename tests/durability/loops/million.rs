//! Tests a long input with bad lines among good lines. Each bad line gets one entry in the error log. All good lines
//! are answered, and the memory of the run stays bounded.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use claude_batch::catalog::Catalog;
use claude_batch::clock::RunClock;
use claude_batch::domain::{Identity, RateLimits, RowId};
use claude_batch::journal::{
    Fsync, InputRead, Journal, JournalOptions, Manifest, RealDisk, RowState, RunPaths, Start, Threading,
};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{ReplyHead, WireRequest};
use claude_batch::runner::input::{Earlier, InputOrder, InputPlan, feed, survey};
use claude_batch::runner::{JournalLedger, Parts, Progress, Routes, commits, drive};
use claude_batch::scheduler::{Config, Scheduler, StreamMode, Window};
use claude_batch::source::{Input, Options};
use claude_batch::transport::{Exchange, Transport, WireError};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{Seen, Size};
use crate::support;

/// Twelve kinds of lines that are not valid rows.
const BAD: [&[u8]; 12] = [
    b"{\"id\":\"utf8\",\"prompt\":\"caf\xe9\"}",
    b"{\"id\":\"nul\",\"prompt\":\"a\0b\"}",
    b"{\"id\":\"half\",\"prompt\":\"a\\ud800b\"}",
    b"{\"id\":\"nan\",\"prompt\":\"a\",\"temperature\":NaN}",
    b"{\"id\":\"cut\",\"prompt\":\"a",
    b"{\"id\":\"two\",\"prompt\":\"a\"} {\"id\":\"three\",\"prompt\":\"b\"}",
    b"[\"array\"]",
    b"42",
    b"null",
    b"{\"id\":\"twice\",\"prompt\":\"a\",\"prompt\":\"b\"}",
    b"{\"nothing\":\"to ask\"}",
    b"not json at all",
];

/// The result of a run.
#[derive(Clone, Copy, Debug)]
pub struct Long {
    /// The number of bad lines in the input.
    pub bad: u64,
    /// The number of entries in the error log.
    pub entries: u64,
    /// The number of lines in the results.
    pub answered: u64,
    /// The peak memory of the process so far, in KiB; 0 if the system does not report it.
    pub most_kib: u64,
    /// The duration of the run, in seconds.
    pub seconds: f64,
}

/// A transport that answers every request immediately.
struct AtOnce;

struct Answered {
    head: ReplyHead,
    body: Option<Bytes>,
}

impl Exchange for Answered {
    fn head(&self) -> &ReplyHead {
        &self.head
    }
    async fn chunk(&mut self) -> Result<Option<Bytes>, WireError> {
        Ok(self.body.take())
    }
}

impl Transport for AtOnce {
    type Exchange = Answered;

    async fn send(&self, _request: WireRequest) -> Result<Answered, WireError> {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
        let body = r#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":1}}"#;
        Ok(Answered { head: ReplyHead { status: 200, headers }, body: Some(Bytes::from_static(body.as_bytes())) })
    }
}

/// Plays a run over an input of `rows` lines. One line in a thousand is bad.
pub fn long(rows: u64) -> Long {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let input = folder.path().join("in.jsonl");
    let bad = write_input(&input, rows);
    let begun = Instant::now();
    run(&input, folder.path());
    let (seconds, most_kib) = (begun.elapsed().as_secs_f64(), most_kib());
    let entries = check_entries(&folder.path().join("out.errors.jsonl"), &input);
    let results = fs::read(folder.path().join("out.jsonl")).expect("it is there");
    let answered = results.iter().filter(|&&byte| byte == b'\n').count() as u64;
    Long { bad, entries, answered, most_kib, seconds }
}

fn write_input(path: &Path, rows: u64) -> u64 {
    let mut out = BufWriter::new(File::create(path).expect("it can be made"));
    let mut bad = 0;
    for row in 0..rows {
        let written = match row % 1_000 == 517 {
            true => {
                bad += 1;
                out.write_all(BAD[(bad as usize - 1) % BAD.len()])
            }
            false => {
                write!(out, "{{\"custom_id\":\"row-{row}\",\"prompt\":\"a prompt of some length, number {row}\"}}")
            }
        };
        written.and_then(|()| out.write_all(b"\n")).expect("it can be written");
    }
    out.flush().expect("it can be written");
    bad
}

fn run(input: &Path, folder: &Path) {
    let plan = InputPlan {
        inputs: vec![Input::File(input.to_owned())],
        options: Options::default(),
        skip: 0,
        limit: None,
        requests: 0,
        is_copy_of_log: false,
    };
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let catalog = Arc::new(Catalog::builtin());
    let planner =
        || Planner::new(RequestDefaults::default(), dialect.clone(), catalog.clone(), "anthropic".into(), "".into());
    let looked = survey(&plan, &mut planner(), &Earlier::none(), 1, &Progress::default()).expect("it can be read");
    assert!(looked.duplicate.is_none());
    let clock = RunClock::start_at(jiff::Timestamp::UNIX_EPOCH);
    let (on_commit, commits) = commits();
    let options = JournalOptions {
        disk: Arc::new(RealDisk::default()),
        paths: RunPaths::given(Some(folder.join("out.jsonl")), folder.join("out.errors.jsonl")),
        inputs: vec![input.to_owned()],
        run: "long".into(),
        clock,
        price_date: None,
        manifest: Manifest { origin: "https://api.example.invalid".to_owned(), ..Manifest::default() },
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Group,
        threading: Threading::Thread,
        stdout: None,
    };
    let (journal, recovered) = Journal::open(options, on_commit).expect("the disk works");
    let done = recovered.done;
    let earlier = Earlier {
        known: Box::new(move |row: RowId, identity: &Identity| -> RowState { done.state(row, identity) }),
        ..Earlier::none()
    };
    let (rows_in, rows) = mpsc::channel(256);
    let mut reading = planner().with_repeats(looked.repeats);
    let reader = std::thread::spawn(move || feed(&plan, InputOrder::AsWritten, &mut reading, &earlier, &rows_in));
    let (_interrupts_in, interrupts) = mpsc::channel(1);
    let config = support::config(RateLimits::NONE, Window::fixed(64), 1);
    let parts = Parts {
        routes: Routes::single(
            Arc::new(AtOnce),
            Arc::new(Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("it is a header")),
        ),
        scheduler: Scheduler::new(Config { stream: StreamMode::Off, ..config }),
        ledger: JournalLedger::new(journal, clock),
        commits,
        feed: rows,
        lane: None,
        unfinished: Default::default(),
        equal: None,
        interrupts,
        reporter: Box::new(support::Counts::default()),
        clock,
        run: "long".into(),
        grace: None,
        keep_pending: false,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("it can be built");
    let (finish, ledger, _) = runtime.block_on(drive(parts));
    assert_eq!((finish.halted, finish.pending), (None, 0));
    ledger.close(InputRead::Whole, false).expect("the disk works");
    reader.join().expect("the reader ends");
}

/// Counts entries. Each entry must contain the number of its input line and the offset where this line begins.
fn check_entries(log: &Path, input: &Path) -> u64 {
    let text = fs::read(input).expect("it is there");
    let mut begins = BTreeMap::new();
    let (mut line, mut offset) = (1_u64, 0);
    for bytes in text.split_inclusive(|&byte| byte == b'\n') {
        if (line - 1) % 1_000 == 517 {
            begins.insert(line, offset);
        }
        offset += bytes.len() as u64;
        line += 1;
    }
    let mut entries = 0;
    for entry in fs::read_to_string(log).expect("it is text").lines() {
        let entry: Value = serde_json::from_str(entry).expect("each entry is JSON");
        let error = &entry["error"];
        let line = error["line"].as_u64().expect("each entry names its line");
        let begin = begins.remove(&line).unwrap_or_else(|| panic!("line {line} is not bad, or has two entries"));
        if let Some(offset) = error["byte_offset"].as_u64() {
            assert_eq!(offset, begin, "line {line}");
        }
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
        entries += 1;
    }
    entries
}

fn most_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Runs in a separate process, so that only the memory of this run is measured. The command is `durability
/// million-child ROWS`.
pub fn child(rows: u64) {
    let Long { bad, entries, answered, most_kib, seconds } = long(rows);
    println!("{bad} {entries} {answered} {most_kib} {seconds}");
}

fn in_a_child(rows: u64) -> Long {
    let own = std::env::current_exe().expect("this program has a path");
    let output = std::process::Command::new(own).args(["million-child", &rows.to_string()]).output();
    let output = output.expect("this program can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("it is text");
    let words: Vec<f64> = text.split_whitespace().map(|word| word.parse().expect("it is a number")).collect();
    let whole = |at: usize| words[at] as u64;
    Long { bad: whole(0), entries: whole(1), answered: whole(2), most_kib: whole(3), seconds: words[4] }
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let rows = size.pick(100_000, 1_000_000);
    let (short, long) = (in_a_child(10_000), in_a_child(rows));
    assert_eq!((long.entries, long.answered), (long.bad, rows - long.bad));
    let more = long.most_kib.saturating_sub(short.most_kib) * 1024;
    let allowed = (4 << 20) + 16 * rows;
    let verdict = if more <= allowed { "within" } else { "OVER" };
    vec![Seen::new(
        "million-line input with 1,000 bad lines of 12 kinds",
        "exactly 1,000 error entries; memory at most 4 MB and 16 bytes a row more than with 10,000 rows",
        format!(
            "{rows} lines: {} entries for {} bad lines, all others answered, {:.0} s; {:.1} MB at 10,000 rows, {:.1} MB \
             more at {rows}: {verdict} {:.1} MB",
            long.entries,
            long.bad,
            long.seconds,
            short.most_kib as f64 / 1024.0,
            more as f64 / 1048576.0,
            allowed as f64 / 1048576.0
        ),
    )]
}
