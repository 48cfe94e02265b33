//! Runs the real program against the simulated API. The API runs on a socket of this process and records all requests.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::journal::{RealDisk, read_manifest};
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::sim::transport::{SharedModel, lock};
use serde_json::Value;

/// The number of rows of an input.
pub const ROWS: usize = 200;
/// The largest number of requests in flight.
pub const IN_FLIGHT: usize = 16;

/// The simulated API on a socket, on a thread of its own.
pub struct Api {
    url: String,
    model: SharedModel,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Api {
    /// Starts an API without limits. The API answers within milliseconds and has these faults.
    pub fn start(faults: &str) -> Self {
        let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");
        let latency = Latency {
            first_token: Duration::from_millis(3),
            jitter: 0.5,
            tokens_per_second: 20_000.0,
            error: Duration::from_millis(2),
        };
        let config = SimConfig::new(presets::models())
            .with_limits(RateLimits::NONE)
            .with_latency(latency)
            .with_lengths(OutputLengths::fixed(40))
            .with_faults(faults);
        Self::serve(config)
    }

    /// Starts an API with these settings.
    pub fn serve(config: SimConfig) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(async move {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
                let (server, model) = SimServer::serve(config, address).await.expect("there is a free port");
                tell.send((server.url().to_owned(), model)).expect("the test waits");
                // An error means that the sender was dropped, which also stops the server.
                let _ = stopped.await;
            });
        });
        let (url, model) = told.recv().expect("the server starts");
        Self { url, model, _stop: stop }
    }

    /// Returns the base URL of the API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns how many accepted requests have not ended.
    pub fn in_flight(&self) -> u64 {
        lock(&self.model).books().in_flight
    }

    /// Waits until the server has read and billed all requests that its clients sent before they were killed.
    pub fn settle(&self) {
        loop {
            // The server checks its sockets one after the other, so a server that has answered two newer sockets has
            // read all older sockets.
            self.knock();
            self.knock();
            if lock(&self.model).is_idle() {
                return;
            }
        }
    }

    fn knock(&self) {
        let address = self.url.trim_start_matches("http://");
        let mut socket = TcpStream::connect(address).expect("the server listens");
        let request = format!("GET /__sim/stats HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        socket.write_all(request.as_bytes()).expect("the server reads");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("the server answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Returns how many calls were charged.
    pub fn billed(&self) -> u64 {
        lock(&self.model).books().billed_calls
    }

    /// Returns how many complete answers were repeated. An answer counts as repeated if the API had already answered a
    /// request with the same body.
    pub fn answered_again(&self) -> u64 {
        lock(&self.model).books().answered_again
    }

    /// Returns how many requests arrived.
    pub fn requests(&self) -> u64 {
        lock(&self.model).books().requests
    }
}

/// A folder with an input and the files of its runs.
pub struct Workspace {
    folder: tempfile::TempDir,
}

impl Workspace {
    /// Makes a workspace with `rows` rows. Every second row has no id. Every tenth row contains the word "tenth", so
    /// that faults can select it.
    pub fn with_rows(rows: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let line = |row: usize| {
            let word = if row % 10 == 7 { "tenth" } else { "plain" };
            let prompt = format!("{word} row {row}: “quoted”, \\u2028 and 日本");
            match row % 2 {
                0 => format!("{{\"custom_id\":\"row-{row}\",\"prompt\":\"{prompt}\"}}\n"),
                _ => format!("{{\"prompt\":\"{prompt}\"}}\n"),
            }
        };
        fs::write(folder.path().join("in.jsonl"), (0..rows).map(line).collect::<String>()).expect("it can be written");
        Self { folder }
    }

    /// Returns the path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the command `run in.jsonl -o out.jsonl`, which sends to `api`. The command does not inherit the
    /// environment variables of this process.
    pub fn run(&self, api: &Api) -> Command {
        self.command(api, &["run", "in.jsonl", "-o", "out.jsonl"])
    }

    /// Returns the command `resume out.errors.jsonl`, which sends to `api`.
    pub fn resume(&self, api: &Api) -> Command {
        self.command(api, &["resume", "out.errors.jsonl"])
    }

    /// Returns three commands: a run, and two `resume` commands that answer the failed rows of the run. The first
    /// `resume` sends only the rows of one error class, so other rows stay in the log.
    pub fn run_and_resumes(&self, api: &Api) -> [Command; 3] {
        let of_class = ["resume", "out.errors.jsonl", "--only", "invalid_request"];
        [self.run(api), self.command(api, &of_class), self.resume(api)]
    }

    /// Returns a command that has these arguments and `-q`, and sends its requests to `api`.
    pub fn command(&self, api: &Api, args: &[&str]) -> Command {
        let mut command = self.command_with_messages(api, args);
        command.arg("-q");
        command
    }

    /// Returns a command that has these arguments and sends its requests to `api`. The command has no `-q`, so it
    /// prints its messages.
    pub fn command_with_messages(&self, api: &Api, args: &[&str]) -> Command {
        let mut command = self.plain_command(args);
        command.args(["--tier", "none", "--base-url", &api.url, "--concurrency", &IN_FLIGHT.to_string()]);
        command
    }

    /// Returns the command with these arguments and no others.
    pub fn plain_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-batch"));
        command.args(args).current_dir(self.folder.path()).env_clear().env("ANTHROPIC_API_KEY", "sk-test");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs and resumes until every row has its answer. If a row gets no answer, returns the messages of the commands.
    pub fn finish(&self, api: &Api) -> Result<(), String> {
        let run = Outcome::of(self.run(api));
        if !matches!(run.code, Some(0 | 3)) {
            return Err(format!("run again: {run:?}"));
        }
        if run.code == Some(3) {
            let resumed = Outcome::of(self.resume(api));
            if resumed.code != Some(0) {
                return Err(format!("resume: {resumed:?}"));
            }
        }
        Ok(())
    }

    /// Returns how many rows have a complete result line. All other lines of the file are ignored.
    pub fn whole_answers(&self) -> u64 {
        let content = fs::read(self.path("out.jsonl")).unwrap_or_default();
        let whole = content.split_inclusive(|&byte| byte == b'\n').filter(|line| line.ends_with(b"\n"));
        whole.filter(|line| serde_json::from_slice::<Value>(line).is_ok()).count() as u64
    }

    /// Returns how many slots are filled. A filled slot is the record of a request that was in flight when the run
    /// died.
    pub fn marked(&self) -> u64 {
        let content = fs::read(self.path("out.jsonl.run/inflight")).unwrap_or_default();
        content.chunks_exact(64).skip(1).filter(|slot| slot.iter().any(|&byte| byte != 0)).count() as u64
    }

    /// Returns how many attempts were possibly billed twice, according to the run folder.
    pub fn reported(&self) -> u64 {
        let manifest = read_manifest(&self.path("out.jsonl.run"), &RealDisk::default()).expect("it can be read");
        manifest.map_or(0, |manifest| manifest.carried.maybe_paid)
    }

    /// Returns the answers by label. The ids of the messages are left out, because the simulator numbers messages in
    /// the order of arrival.
    ///
    /// # Errors
    /// Panics if a line is half-written, repeated, or not a result.
    pub fn answers(&self) -> Result<BTreeMap<String, Value>, String> {
        read_answers(&self.path("out.jsonl"))
    }
}

/// Reads a results file in full; see [`Workspace::answers`].
pub fn read_answers(path: &Path) -> Result<BTreeMap<String, Value>, String> {
    let content = fs::read_to_string(path).map_err(|error| error.to_string())?;
    if !content.is_empty() && !content.ends_with('\n') {
        return Err("the last line is half-written".to_owned());
    }
    let mut answers = BTreeMap::new();
    for line in content.lines() {
        let mut line: Value = serde_json::from_str(line).map_err(|error| format!("a half-written line: {error}"))?;
        let label = line["custom_id"].as_str().ok_or("a line without a label")?.to_owned();
        let mut message = line["result"]["message"].take();
        message.as_object_mut().ok_or("a line without a message")?.remove("id");
        if answers.insert(label.clone(), message).is_some() {
            return Err(format!("{label} is there twice"));
        }
    }
    Ok(answers)
}

/// The exit code and the messages of a process that has ended.
#[derive(Debug)]
pub struct Outcome {
    /// The exit code of the process; `None` when a signal ended the process.
    pub code: Option<i32>,
    /// The messages of the process.
    pub stderr: String,
}

impl Outcome {
    /// Runs a command to its end.
    pub fn of(mut command: Command) -> Self {
        let output = command.output().expect("the program can be started");
        Self { code: output.status.code(), stderr: String::from_utf8_lossy(&output.stderr).into_owned() }
    }
}
