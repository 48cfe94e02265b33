//! The fuzz targets. Each target is a function that takes any bytes and asserts what must be true for all inputs.
//!
//! `tests/durability` runs the targets on the corpus, and on inputs that a seeded mutator makes from the corpus. `cargo
//! fuzz` runs the targets for a long time: `cargo +nightly fuzz run --fuzz-dir tests/fuzz jsonl` (or csv, recovery,
//! headers, sse, config).

use std::io::Cursor;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use claude_batch::catalog::Catalog;
use claude_batch::cli::args::RunArgs;
use claude_batch::cli::config::Config;
use claude_batch::cli::config::world::World;
use claude_batch::clock::{Instant, RunClock};
use claude_batch::domain::{JobId, Params, Request};
use claude_batch::journal::{Fsync, Journal, JournalOptions, Manifest, MemDisk, RunPaths, Start, Threading};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Provider, Reply, ReplyHead};
use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sink::{RecordContext, broken_line};
use claude_batch::source::{InputFormat, Item, Options, Reader};

/// A target: its name and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 6] =
    [("jsonl", jsonl), ("csv", csv), ("recovery", recovery), ("headers", headers), ("sse", sse), ("config", config)];

/// JSONL rows. Tests JSON lines. Every line that is not blank becomes a row or a broken row, in the order of the input.
/// The error log entry of a broken row is one line of JSON.
pub fn jsonl(data: &[u8]) {
    let items = read(InputFormat::Jsonl, data, Options::default());
    let is_plain = !data.contains(&b'\r') && !data.starts_with(b"\xef\xbb\xbf") && !data.contains(&0);
    if let Some(items) = items
        && is_plain
    {
        let is_blank = |line: &&[u8]| line.iter().all(u8::is_ascii_whitespace);
        let lines = data.split(|&byte| byte == b'\n').filter(|line| !is_blank(line)).count();
        assert_eq!(items, lines, "a line was lost or doubled");
    }
}

/// Tests CSV and TSV rows, with named columns and with a template.
pub fn csv(data: &[u8]) {
    read(InputFormat::Csv, data, Options::default());
    read(InputFormat::Tsv, data, Options::default());
}

/// The catalog is read once, because reading it takes longer than running one input.
static CATALOG: LazyLock<Arc<Catalog>> = LazyLock::new(|| Arc::new(Catalog::builtin()));

/// Reads and plans all rows. Returns the number of rows, or `None` if the program rejects the whole input.
fn read(format: InputFormat, data: &[u8], options: Options) -> Option<usize> {
    let reader = Reader::from_read("in", format, Box::new(Cursor::new(data.to_vec())), &options).ok()?;
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let catalog = CATALOG.clone();
    let mut planner = Planner::new(RequestDefaults::default(), dialect, catalog, "anthropic".into(), "".into());
    let mut items = 0;
    let mut last_line = 0;
    for item in reader {
        let origin = match item.ok()? {
            Item::Row(row) => {
                let origin = row.origin.clone();
                // Planning must not panic, even if it rejects the row. The parameters of the row must stay on one line.
                if let Ok(planned) = planner.plan(*row, JobId(items as u64)) {
                    assert!(!planned.job.request.json().contains(&b'\n'));
                }
                origin
            }
            Item::Broken(broken) => {
                let mut line = Vec::new();
                broken_line(&broken, &context(), Instant::ZERO, &mut line);
                let line = line.strip_suffix(b"\n").expect("an entry ends in a line break");
                assert!(!line.contains(&b'\n'));
                serde_json::from_slice::<serde_json::Value>(line).expect("an entry is JSON");
                broken.origin.clone()
            }
        };
        assert!(origin.line > last_line, "lines rise");
        last_line = origin.line;
        items += 1;
    }
    Some(items)
}

fn context() -> RecordContext {
    RecordContext { run: "r".into(), clock: clock(), price_date: None, results: Some("out.jsonl".into()) }
}

/// A clock that needs no async runtime.
fn clock() -> RunClock {
    RunClock::start_at(jiff::Timestamp::UNIX_EPOCH)
}

/// Tests a results file or an error log that contains any bytes. If the journal rejects the file, the file is
/// unchanged. If the journal recovers the file, every line is complete. A second recovery finds the same rows and
/// changes nothing.
pub fn recovery(data: &[u8]) {
    let (is_known, data) = match data.split_first() {
        Some((first, rest)) => (first % 2 == 0, rest),
        None => (false, data),
    };
    for path in ["d/out.jsonl", "d/out.errors.jsonl"] {
        let disk = MemDisk::new();
        disk.put(path, data);
        if is_known {
            disk.put("d/out.jsonl.run/manifest.json", br#"{"format":1,"origin":"o"}"#);
        }
        match Journal::open(options(&disk), Box::new(|_| {})) {
            Err(_) => assert_eq!(disk.content(path).as_deref(), Some(data), "a refused file is not changed"),
            Ok((journal, recovered)) => {
                drop(journal);
                let content = disk.content(path).unwrap_or_default();
                assert!(content.is_empty() || content.ends_with(b"\n"), "no half-written line is left");
                let (_, again) = Journal::open(options(&disk), Box::new(|_| {})).expect("a second recovery works");
                assert_eq!(again.done.len(), recovered.done.len());
                assert_eq!(again.failed, recovered.failed);
                assert_eq!(disk.content(path).unwrap_or_default(), content, "a second recovery changes nothing");
            }
        }
    }
}

fn options(disk: &MemDisk) -> JournalOptions {
    JournalOptions {
        disk: Arc::new(disk.clone()),
        paths: RunPaths::given(Some("d/out.jsonl".into()), "d/out.errors.jsonl".into()),
        inputs: Vec::new(),
        run: "r".into(),
        clock: clock(),
        price_date: None,
        manifest: Manifest { origin: "o".to_owned(), ..Manifest::default() },
        start: Start::Continue,
        rerun: Vec::new(),
        fsync: Fsync::Group,
        threading: Threading::Inline,
        stdout: None,
    }
}

/// Tests response headers, as `name: value` lines. The headers can ask for a wait of any length, but the program
/// accepts only waits of up to 400 days.
pub fn headers(data: &[u8]) {
    let mut headers = http::HeaderMap::new();
    for line in data.split(|&byte| byte == b'\n') {
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { continue };
        let name = http::HeaderName::from_bytes(&line[..colon]);
        let value = http::HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    let head = ReplyHead { status: 429, headers };
    let provider = provider();
    let signals = provider.read_head(&head, &|| jiff::Timestamp::UNIX_EPOCH).signals;
    assert!(signals.retry_after.is_none_or(|wait| !wait.is_zero() && wait.as_secs() <= 400 * 86_400));
    drop(provider.decoder(&head).finish(&head, &Request::default()));
}

/// Tests response bodies, streamed and plain. The decoded reply does not depend on how the body is cut into pieces.
pub fn sse(data: &[u8]) {
    for (status, kind) in [(200, "text/event-stream"), (200, "application/json"), (529, "application/json")] {
        let mut headers = http::HeaderMap::new();
        headers.insert("content-type", kind.parse().expect("the value is valid in a header"));
        let head = ReplyHead { status, headers };
        let whole = decoded(&head, data, usize::MAX);
        for size in [1, 7] {
            assert_eq!(decoded(&head, data, size), whole, "pieces of {size}");
        }
    }
}

fn decoded(head: &ReplyHead, data: &[u8], size: usize) -> String {
    let mut decoder = provider().decoder(head);
    for piece in data.chunks(size.min(data.len().max(1))) {
        if decoder.push(piece) {
            break;
        }
    }
    let reply = decoder.finish(head, &asked());
    if let Reply::Message(message) = &reply {
        // `RawValue` checks only the grammar of the JSON. A number that is too large for all number types is valid JSON
        // too, and is passed on unchanged.
        serde_json::from_slice::<&serde_json::value::RawValue>(&message.json).expect("a message is JSON");
    }
    format!("{reply:?}")
}

/// Returns a request that allows answers with any tool call.
fn asked() -> Request {
    let toolset = serde_json::value::RawValue::from_string("[{}]".to_owned()).expect("the text is JSON");
    Request::of(&Params(vec![("tools".into(), toolset)]))
}

fn provider() -> Anthropic {
    Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the value is valid in a header")
}

/// Tests configuration files and fault files.
pub fn config(data: &[u8]) {
    let path = std::env::temp_dir().join(format!("claude-batch-fuzz-{}.toml", std::process::id()));
    std::fs::write(&path, data).expect("the temporary folder takes files");
    let variables = [("CLAUDE_BATCH_CONFIG".into(), path.clone().into())];
    let world = World { variables: variables.into(), ..World::default() };
    let args = RunArgs { inputs: vec![PathBuf::from("in.jsonl")], ..RunArgs::default() };
    if let Err(error) = Config::of_run(&args, &world) {
        assert!(!error.to_string().is_empty());
    }
    // When targets run in parallel, another target has possibly removed the file already.
    let _ = std::fs::remove_file(path);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = FaultPlan::parse(text, "faults.json");
        let _ = AnswerPlan::parse(text, "answers.json");
    }
}
