//! Runs the real program against the simulator, which is a separate process. A long input is sent in many batches, with
//! faults. The program is killed after it has created a batch and before it has written down the id of this batch.

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use crate::page::{Seen, Size};

const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-batch");

/// The size of a test run.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub rows: usize,
    pub batch_rows: usize,
    /// The time that a batch takes.
    pub batch_time: &'static str,
    /// Whether the creation of a batch fails without effect, and whether rows expire. A test with one of these faults
    /// takes minutes.
    pub is_slow: bool,
}

impl Scale {
    /// Five thousand rows, for the tests.
    pub const SHORT: Self = Self { rows: 5_000, batch_rows: 700, batch_time: "200ms", is_slow: false };
    /// A quarter of a million rows.
    pub const LONG: Self = Self { rows: 250_000, batch_rows: 10_000, batch_time: "5s..20s", is_slow: true };
}

/// The results of a test run.
#[derive(Clone, Copy, Debug, Default)]
pub struct Played {
    pub rows: usize,
    pub batches: u64,
    pub errored: u64,
    pub expired: u64,
    /// The number of rows that were charged twice.
    pub billed_again: u64,
    /// The peak memory of a run, in MB; 0 if it is not known.
    pub peak_mb: u64,
    pub seconds: u64,
}

/// The simulator.
struct Simulator {
    child: Child,
    url: String,
    _lines: BufReader<std::process::ChildStdout>,
}

impl Simulator {
    fn start(folder: &Path, scale: Scale) -> Self {
        fs::write(folder.join("faults.json"), faults(scale)).expect("it can be written");
        let mut command = Command::new(PROGRAM);
        command.current_dir(folder).args(["simulate", "--port", "0", "--faults", "faults.json", "--tier", "4"]);
        command.args(["--latency", "zero", "--output-tokens", "20", "--batch-time", scale.batch_time]);
        command.args(["--batch-expiry", "45s"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is a pipe"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("the simulator prints its address");
        let url = first.split_whitespace().find(|word| word.starts_with("http://")).expect("an address").to_owned();
        Self { child, url, _lines: lines }
    }

    fn get(&self, path: &str) -> Value {
        let address = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut socket = TcpStream::connect(address).expect("the simulator listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the simulator reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the simulator answers");
        let body = answer.split_once("\r\n\r\n").expect("a body").1;
        serde_json::from_str(&body[body.find(['{', '[']).expect("JSON")..]).expect("JSON")
    }

    /// Returns how many batches were created.
    fn created(&self) -> u64 {
        self.get("/__sim/stats")["batches"]["created"].as_u64().expect("a number")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One of the calls that create batches never gets a reply. This constant is the number of the call without a reply.
/// The client is killed during this call.
const STALLED: u64 = 5;

fn faults(scale: Scale) -> String {
    // After each 404, the client waits for some seconds.
    let quick = r#"{"status": 404, "calls": ["retrieve", "results"], "times": 1}"#;
    let slow = r#"{"status": 404, "calls": ["retrieve", "results"], "share": 0.3, "draw": "attempt"},
        {"status": 500, "calls": "create", "arrivals": [8]},
        {"kind": "request_expired", "contains": "slow", "first_attempts_only": true}"#;
    format!(
        r#"{{"rules": [
        {{"kind": "request_errored", "share": 0.03, "first_attempts_only": true}},
        {{"kind": "reset_before", "calls": "create", "arrivals": [3], "takes_effect": true}},
        {{"kind": "stall", "calls": "create", "arrivals": [{STALLED}]}},
        {}
    ]}}"#,
        if scale.is_slow { slow } else { quick }
    )
}

fn write_input(path: &Path, scale: Scale) {
    let mut file = BufWriter::new(fs::File::create(path).expect("it can be created"));
    let slow = scale.rows * 2 / 5..scale.rows * 2 / 5 + scale.batch_rows;
    for row in 0..scale.rows {
        let word = if slow.contains(&row) { "slow" } else { "plain" };
        let line = format!(
            "{{\"custom_id\":\"row-{row}\",\"params\":{{\"model\":\"claude-haiku-4-5\",\"max_tokens\":50,\"metadata\":\
             {{\"user_id\":\"row-{row}\"}},\"messages\":[{{\"role\":\"user\",\"content\":\"{word} row {row}\"}}]}}}}\n"
        );
        file.write_all(line.as_bytes()).expect("it can be written");
    }
    file.flush().expect("it can be written");
}

fn run(folder: &Path, simulator: &Simulator, scale: Scale) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).env_clear().env("ANTHROPIC_API_KEY", "sk-test").env("HOME", folder);
    command.args(["run", "in.jsonl", "-o", "out.jsonl", "--lane", "batch", "--tier", "4", "--yes", "-q"]);
    command.args(["--batch-rows", &scale.batch_rows.to_string(), "--base-url", &simulator.url]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Returns the most memory that a process has used so far, in MB.
fn peak_mb(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kilobytes.unwrap_or_default() / 1024
}

/// Runs the program, kills it, and runs it again. Checks the results file and the counts of the simulator at the end.
pub fn play(scale: Scale) -> Played {
    let begun = Instant::now();
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let folder: PathBuf = folder.path().to_owned();
    fs::create_dir_all(&folder).expect("it can be created");
    write_input(&folder.join("in.jsonl"), scale);
    let simulator = Simulator::start(&folder, scale);

    let mut killed = run(&folder, &simulator, scale).spawn().expect("the program starts");
    while simulator.created() < STALLED {
        assert!(killed.try_wait().expect("it can be asked").is_none(), "the run ends before it can be killed");
    }
    let mut peak = peak_mb(killed.id());
    killed.kill().expect("it can be killed");
    killed.wait().expect("it is dead");
    let log = fs::read_to_string(folder.join("out.jsonl.batches/log.jsonl")).expect("there is a log");
    let noted = |kind: &str| log.lines().filter(|line| line.contains(&format!("\"type\":\"{kind}\""))).count() as u64;
    assert_eq!(
        (noted("intent"), noted("created")),
        (STALLED, STALLED - 1),
        "the id of the last batch was noted: {log}"
    );

    // A second run of the command finishes the rows that the first run left.
    let mut child = run(&folder, &simulator, scale).spawn().expect("the program starts");
    let mut stderr = child.stderr.take().expect("it is a pipe");
    let watched = child.id();
    let reader = std::thread::spawn(move || {
        let mut said = String::new();
        // The pipe ends when the process ends. While this thread reads, the loop below measures the peak memory of the
        // process.
        stderr.read_to_string(&mut said).expect("it says text");
        said
    });
    let status = loop {
        peak = peak.max(peak_mb(watched));
        if let Some(status) = child.try_wait().expect("it can be asked") {
            break status;
        }
        // This sleep sets how often the memory is measured. The sleep does not wait for an event.
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let said = reader.join().expect("it reads");
    assert_eq!(status.code(), Some(0), "{said}");
    judge(&folder, &simulator, scale, peak, begun)
}

fn judge(folder: &Path, simulator: &Simulator, scale: Scale, peak_mb: u64, begun: Instant) -> Played {
    let mut seen = vec![0_u8; scale.rows];
    for line in BufReader::new(fs::File::open(folder.join("out.jsonl")).expect("results")).lines() {
        let line: Value = serde_json::from_str(&line.expect("UTF-8")).expect("each line is whole");
        let id = line["custom_id"].as_str().and_then(|id| id.strip_prefix("row-")).expect("a row");
        seen[id.parse::<usize>().expect("a number")] += 1;
    }
    assert!(seen.iter().all(|&lines| lines == 1), "rows are lost or have two lines");
    let stats = simulator.get("/__sim/stats");
    let by_id = stats["by_id"].as_object().expect("books of each row");
    assert_eq!(by_id.len(), scale.rows);
    let again = |books: &Value| books["calls"].as_u64().unwrap_or_default().saturating_sub(1);
    let billed_again: u64 = by_id.values().map(again).sum();
    let mut open: HashMap<String, (f64, String)> = HashMap::new();
    let mut overlaps = 0;
    for batch in simulator.get("/__sim/batches").as_array().expect("batches") {
        let [created, ended] = ["created_at_s", "ended_at_s"].map(|name| batch[name].as_f64());
        for request in batch["requests"].as_array().expect("requests") {
            let row = request["custom_id"].as_str().and_then(|id| id.rsplit('-').next()).expect("an id").to_owned();
            let result = request["result"].as_str().unwrap_or_default().to_owned();
            if let Some((end, before)) = open.get(&row) {
                overlaps += u64::from(before == "succeeded" || *end > created.unwrap_or_default());
            }
            open.insert(row, (ended.unwrap_or(f64::INFINITY), result));
        }
    }
    assert_eq!((billed_again, overlaps), (0, 0), "rows are billed or submitted twice");
    let left: Vec<_> = fs::read_dir(folder.join("out.jsonl.batches"))
        .expect("the folder")
        .map(|entry| entry.expect("an entry").file_name())
        .filter(|name| name != "log.jsonl")
        .collect();
    assert!(left.is_empty(), "{left:?}");
    let number = |name: &str| stats["batches"][name].as_u64().unwrap_or_default();
    Played {
        rows: scale.rows,
        batches: number("created"),
        errored: number("errored"),
        expired: number("expired"),
        billed_again,
        peak_mb,
        seconds: begun.elapsed().as_secs(),
    }
}

/// Runs this loop. Returns the results as lines for `benches/BATCHES.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let Played { rows, batches, errored, expired, billed_again, peak_mb, seconds } =
        play(size.pick(Scale::SHORT, Scale::LONG));
    assert!(peak_mb < 150, "the client uses {peak_mb} MB");
    vec![Seen::new(
        "the real program: 3 % errored rows, an expired batch, a lost reply, a refused creation, 404s, and a kill -9 between \
         the creation of a batch and the note of its id",
        "each row has one line and is billed once; no batch is submitted twice; memory under 150 MB",
        format!(
            "{rows} rows in {batches} batches, {errored} errored, {expired} expired: {billed_again} billed twice; peak \
             {peak_mb} MB; {seconds} s"
        ),
    )]
}
