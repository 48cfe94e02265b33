//! Sets up a folder in which the program runs, and an API for the program. Reads the files in the folder and the
//! records of the API.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::Books;
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::sim::transport::SharedModel;
use tempfile::TempDir;

#[path = "../support/folder.rs"]
mod folder;

/// The API key of all runs. This key must not appear anywhere.
pub const CANARY: &str = "sk-ant-canary-7f3d9b1c5e";

/// A separate folder in which the program is run.
pub struct Folder {
    folder: TempDir,
}

impl Folder {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    /// Returns a folder with a `prompts.jsonl` of `count` rows.
    pub fn with_rows(count: usize) -> Self {
        let folder = Self::new();
        folder.write("prompts.jsonl", &rows(count));
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file. Makes the folders in the path of the file if they are missing.
    pub fn write<T: AsRef<[u8]> + ?Sized>(&self, name: &str, text: &T) {
        let path = self.path(name);
        path.parent().map(fs::create_dir_all).transpose().expect("a folder can be made");
        fs::write(path, text).expect("a file can be written");
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Returns the lines of an error log. A run without failures removes its error log, so a missing log counts as a log
    /// without lines.
    pub fn read_log(&self, name: &str) -> String {
        if self.path(name).exists() { self.read(name) } else { String::new() }
    }

    /// Returns the sorted names of everything in the folder.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder.path()).expect("the folder can be read");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Returns the content of every file in the folder and in the folders below it.
    pub fn contents(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        folder::contents(self.folder.path())
    }

    /// Returns the program with these arguments. The program runs in this folder, without the settings of this process,
    /// and with an empty standard input.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_claude-batch"));
        let ours = |name: &str| {
            name.starts_with("CLAUDE_BATCH_")
                || name.starts_with("ANTHROPIC_")
                || name.to_uppercase().ends_with("_PROXY")
        };
        std::env::vars().filter(|(name, _)| ours(name)).for_each(|(name, _)| {
            command.env_remove(name);
        });
        let nowhere = std::env::temp_dir().join("claude-batch-no-such-configuration");
        command.env("XDG_CONFIG_HOME", &nowhere).env("APPDATA", &nowhere);
        command.current_dir(self.folder.path()).args(args).stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub fn run(&self, args: &[&str]) -> Said {
        Said::of(self.command(args).output().expect("the program starts"))
    }

    /// Runs the program against `api`. The key is [`CANARY`].
    pub fn run_at(&self, api: &Api, args: &[&str]) -> Said {
        Said::of(self.command_at(api, args).output().expect("the program starts"))
    }

    pub fn command_at(&self, api: &Api, args: &[&str]) -> Command {
        let mut command = self.command(args);
        command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &api.url);
        command
    }
}

/// Runs a command with `input` on its standard input.
pub fn feed<I: AsRef<[u8]> + ?Sized>(mut command: Command, input: &I) -> Said {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.as_ref().to_owned();
    let feeding = std::thread::spawn(move || {
        // A program that stops early does not read the rest of its input.
        let _ = stdin.write_all(&input);
    });
    let said = finish(child);
    feeding.join().expect("the input was written");
    said
}

/// Waits for the end of a program.
pub fn finish(child: Child) -> Said {
    Said::of(child.wait_with_output().expect("the program ends"))
}

/// The output and the exit code of a run of the program.
#[derive(Debug)]
pub struct Said {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("the program writes UTF-8");
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }

    #[track_caller]
    pub fn ends_with(&self, code: i32) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that standard error contains each of these texts. The lines of an error message count as one text, with
    /// semicolons between them.
    #[track_caller]
    pub fn tells(&self, parts: &[&str]) -> &Self {
        let joined = self.err.replace("\n  ", "; ");
        for part in parts {
            assert!(self.err.contains(part) || joined.contains(part), "{part:?} is missing in:\n{}", self.err);
        }
        self
    }

    /// Returns the number of answers that the program reported as possibly billed twice.
    pub fn billed_twice(&self) -> u64 {
        let Some((_, after)) = self.err.split_once("possibly billed twice: ") else { return 0 };
        let number: String = after.chars().take_while(|char| char.is_ascii_digit() || *char == ',').collect();
        number.replace(',', "").parse().unwrap_or_else(|_| panic!("no number of answers:\n{}", self.err))
    }

    /// Returns the number before a text on standard error, for example 3 for `3 pending`; 0 if the text is not there.
    pub fn number_before(&self, text: &str) -> u64 {
        let Some(at) = self.err.find(text) else { return 0 };
        let before = self.err[..at].trim_end();
        let start = before.rfind(|char: char| !(char.is_ascii_digit() || char == ',')).map_or(0, |at| at + 1);
        before[start..].replace(',', "").parse().unwrap_or_else(|_| panic!("no number before {text:?}:\n{}", self.err))
    }
}

/// The simulated API on a loopback port. Tests can read the records of this API about requests and charges.
pub struct Api {
    pub url: String,
    model: SharedModel,
    _runtime: tokio::runtime::Runtime,
}

impl Api {
    pub fn new(config: SimConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let (server, model) = runtime.block_on(SimServer::serve(config, address)).expect("a free port");
        Self { url: server.url().to_owned(), model, _runtime: runtime }
    }

    /// Returns an API that answers immediately. The limits of the API are so high that they do not matter.
    pub fn quick() -> Self {
        Self::new(quick())
    }

    /// Returns an API whose answers take between 2/3 and 3/2 of the given time.
    pub fn slow(first_token: Duration) -> Self {
        Self::new(quick().with_latency(Latency { first_token, jitter: 0.4, ..Latency::ZERO }))
    }

    /// Returns an API that answers immediately and has these faults.
    pub fn with_faults(faults: &str) -> Self {
        Self::new(quick().with_faults(FaultPlan::parse(faults, "faults").expect("a fault plan")))
    }

    /// Returns the requests that the API has received and charged.
    pub fn books(&self) -> Books {
        self.model.lock().expect("the model is whole").books().clone()
    }

    /// Waits until the API has received `count` requests.
    pub fn wait_for_requests(&self, count: u64) {
        while self.books().requests < count {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns the settings of an API that gives short answers immediately, with limits so high that they do not matter.
pub fn quick() -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(1_000_000, 1_000_000_000, 1_000_000_000))
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(12))
}

/// Returns `count` different rows with ids `r0`, `r1`, …
pub fn rows(count: usize) -> String {
    let row = |at| format!("{{\"custom_id\":\"r{at}\",\"prompt\":\"Say the number {at}.\",\"max_tokens\":32}}\n");
    (0..count).map(row).collect()
}

/// Returns the ids of the lines of a results file or error log, in the order of the lines.
pub fn ids(text: &str) -> Vec<String> {
    let id = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        line["custom_id"].as_str().unwrap_or("null").to_owned()
    };
    text.lines().map(id).collect()
}

/// Asserts that a results file has exactly one line for each of `r0`, `r1`, … and no other lines.
#[track_caller]
pub fn assert_each_once(results: &str, count: usize) {
    assert!(results.is_empty() || results.ends_with('\n'), "the last line is complete");
    let mut found = ids(results);
    found.sort();
    let mut expected: Vec<_> = (0..count).map(|at| format!("r{at}")).collect();
    expected.sort();
    assert_eq!(found, expected);
}

/// Returns how many complete lines a file has; 0 if there is no such file.
pub fn whole_lines(path: &Path) -> u64 {
    let bytes = fs::read(path).unwrap_or_default();
    bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}
