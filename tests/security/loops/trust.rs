//! Tests runs that somebody else made: their folders, error logs and results files. The contents of these files must
//! not redirect a request, grant a permission, start a program or spend money.
//!
//! Each try has its own folder. The folder contains `work`, which has a finished run in which rows failed. Next to
//! `work`, there are a folder that must not change, and a command that creates a file when it is run. There are two
//! servers. The user chose the first server, so requests are allowed to reach it. Every hostile value leads to the
//! second server, so no request is allowed to reach the second server.

mod mutate;
mod names;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};

use super::super::hostile::{Hostile, response};
use super::super::page::{Seen, Size};
use super::super::support::{CANARY, Folder, Said};
use mutate::Mutator;

/// The time after which a run counts as hanging.
const LONGEST: Duration = Duration::from_secs(60);
/// The flags that a run records in its manifest. The program rejects a manifest that sets any other flag.
const RECORDED: [&str; 21] = [
    "tier",
    "api-version",
    "beta",
    "simulate",
    "rpm",
    "itpm",
    "otpm",
    "dedupe",
    "prompt-cache",
    "lane",
    "batch-rows",
    "schema",
    "expect",
    "require",
    "on-invalid",
    "on-truncate",
    "on-refusal",
    "max-follow-ups",
    "provider",
    "fallback",
    "fallback-on",
];
const LOG: &str = "out.errors.jsonl";
const MANIFEST: &str = "out.jsonl.run/manifest.json";

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let servers = Servers::new();
    let base = servers.base();
    vec![settings(&servers, &base, size), names(&servers, &base, size), mutations(&servers, &base, size)]
}

/// Tries manifests that set a flag that no run records.
fn settings(servers: &Servers, base: &Files, size: Size) -> Seen {
    let place = Place::new();
    let extra = ["proxy", "https-proxy", "api_key", "base_url", "Base-Url", "base-url ", "env", "settings", "command"];
    let names: Vec<String> = flags().into_iter().chain(extra.map(str::to_owned)).collect();
    let mut tried = 0;
    for (at, name) in names.iter().enumerate() {
        if RECORDED.contains(&&**name) || at % size.pick(9, 1) != 0 {
            continue;
        }
        for value in values_of(name, servers, &place).into_iter().take(size.pick(1, 9)) {
            place.lay(base);
            let mut manifest: Value = serde_json::from_str(&place.read(MANIFEST)).expect("the text is JSON");
            manifest["settings"][name] = value;
            place.write(MANIFEST, &manifest.to_string());

            let said = place.run(servers, &["resume", LOG]);

            said.ends_with(2).tells(&[MANIFEST, &format!("settings.{}", shown(name))]);
            tried += 1;
        }
    }
    servers.assert_untouched(&place);
    let seen = format!("{tried} settings of {} names: each refused by manifest and name, nothing sent", names.len());
    Seen::new(
        "a manifest with a setting that no run records",
        "refused by name, no request is sent, no program is run",
        seen,
    )
}

/// Tries error logs that contain a hostile name of a results file.
fn names(servers: &Servers, base: &Files, size: Size) -> Seen {
    let place = Place::new();
    let tricks = names::names(&place.root());
    let step = size.pick(8, 1);
    let mut tried = 0;
    for name in tricks.iter().step_by(step) {
        place.lay(base);
        let before = place.everything();
        let log = place.read(LOG);
        let named = format!("\"results\":{}", json!(name));
        place.write(LOG, &log.replace("\"results\":\"out.jsonl\"", &named));
        let line = 1 + log.lines().position(|line| line.contains("\"results\"")).expect("a line names them");

        let said = place.run(servers, &["resume", LOG]);
        let is_own = place.root().join("work").join(name) == place.root().join("work/out.jsonl");
        // With `-o`, the program accepts each path that leads to the same results file. So the test does not use `-o`
        // with a path that leads to the same results file.
        let given = (!is_own).then(|| place.run(servers, &["resume", LOG, "-o", "out.jsonl"]));

        said.ends_with(2).tells(&[LOG, &format!("line {line} "), "error.results", "-o RESULTS"]);
        if let Some(given) = given {
            given.ends_with(2).tells(&[LOG, &format!("line {line} "), "-o out.jsonl"]);
        }
        place.write(LOG, &log);
        assert_eq!(place.everything(), before, "{name:?}");
        tried += 1;
    }
    servers.assert_untouched(&place);
    let seen = format!("{tried} names, each with and without -o: refused by log and line, no file made or changed");
    Seen::new("an error log whose results file is not a file beside the log", "refused by line, no file is made", seen)
}

/// Tries manifests, logs, results and slots (the records of requests in flight) that were changed at random.
fn mutations(servers: &Servers, base: &Files, size: Size) -> Seen {
    let seed = match std::env::var("TRUST_SEED") {
        Ok(seed) => seed.parse().expect("a number"),
        Err(_) => size.pick(5, fastrand::u64(..)),
    };
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let tries = size.pick(100, 1_000);
    for at in 0..tries {
        let place = Place::new();
        place.lay(base);
        let mut mutator = Mutator::new(seed.wrapping_add(at), &servers.evil.url, &place.root());
        let changed = mutator.change(&place.root().join("work"));
        let before = place.outside();
        let args = mutator.call();
        let what = format!("seed {seed}, try {at}: {changed:?}, {args:?}");

        let said = place.run(servers, &args);

        assert!(matches!(said.code, Some(0 | 2 | 3 | 4)), "{what}\n{said:?}");
        assert!(!said.err.chars().any(|char| char.is_control() && char != '\n'), "{what}\n{said:?}");
        assert!(said.code != Some(2) || names_its_place(&said.err), "{what}\n{}", said.err);
        assert_eq!(place.outside(), before, "{what}");
        assert!(place.strangers().is_empty(), "{what}: {:?}", place.strangers());
        servers.assert_untouched(&place);
        *counts.entry(if said.code == Some(2) { "refused" } else { "resumed" }).or_default() += 1;
    }
    let of = |what| counts.get(what).copied().unwrap_or_default();
    assert!(of("refused") > 0 && of("resumed") > 0, "{counts:?}");
    let seen = format!(
        "{tries} tries (seed {seed}): {} refused by file and field or line, {} resumed; 0 requests to another address, \
         0 programs run, 0 files made or changed outside, 0 crashes",
        of("refused"),
        of("resumed")
    );
    Seen::new(
        "changed manifests, error logs, results and slots, read by the real program",
        "no request to another address, no program run, no file changed outside, no crash",
        seen,
    )
}

/// Returns whether an error message names the faulty file of the run, and the place in this file.
fn names_its_place(text: &str) -> bool {
    let files = ["out.jsonl", "out.errors.jsonl", "manifest.json", "resume.jsonl", "prompts.jsonl"];
    let places = ["line ", "settings.", "origin", "format version ", "the first is ", "larger than", ".jsonl:"];
    files.iter().any(|file| text.contains(file)) && places.iter().any(|place| text.contains(place))
}

/// Returns the names of all flags of `run`.
fn flags() -> Vec<String> {
    let help = Folder::new().run(&["run", "--help"]).out;
    let is_name = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
    let words = help.split(|char: char| !is_name(char)).filter_map(|word| word.strip_prefix("--"));
    let mut names: Vec<String> = words.filter(|name| name.len() > 1).map(str::to_owned).collect();
    names.extend(["api-key", "max-concurrency", "budget", "tpm"].map(str::to_owned));
    names.sort();
    names.dedup();
    assert!(names.len() > 40, "{names:?}");
    names
}

fn shown(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_plain { name.to_owned() } else { format!("{name:?}") }
}

/// Returns values for a flag. Each value would do harm if the program used it.
fn values_of(name: &str, servers: &Servers, place: &Place) -> Vec<Value> {
    let root = place.root();
    let command = root.join("canary.sh").display().to_string();
    match name {
        "header" => vec![json!(["x-evil: 1"]), json!("x-evil: 1")],
        "api-key-cmd" => vec![json!(command), json!([command])],
        "prices" | "ca-file" | "config" | "simulate-faults" | "simulate-answers" | "api-key-file" => {
            vec![json!(root.join("sibling/file.json").display().to_string()), json!("../sibling/file.json")]
        }
        _ => vec![json!(servers.evil.url), json!(true), json!(1), json!(null), json!({}), json!([])],
    }
}

/// A map from the path of a file in the folder of a run to the content of the file.
type Files = BTreeMap<PathBuf, Vec<u8>>;

/// The server to which runs are allowed to send requests, and the server that must get no requests.
struct Servers {
    good: Hostile,
    evil: Hostile,
    is_refusing: Arc<AtomicBool>,
}

impl Servers {
    fn new() -> Self {
        let is_refusing = Arc::new(AtomicBool::new(true));
        let refusing = is_refusing.clone();
        let good = Hostile::new(move |asked, connection| {
            let is_refused = refusing.load(Ordering::Acquire) && asked.body.windows(4).any(|part| part == b"fail");
            let (status, body) = if is_refused { (400, REFUSAL) } else { (200, ANSWER) };
            std::io::Write::write_all(connection, &response(status, &[("content-type", "application/json")], body))?;
            Ok(super::super::hostile::Then::Keep)
        });
        Self { good, evil: Hostile::always(response(200, &[], ANSWER)), is_refusing }
    }

    /// Makes a run in which some rows failed, and returns its files.
    fn base(&self) -> Files {
        let place = Place::new();
        let row =
            |at| format!("{{\"id\":\"r{at}\",\"prompt\":\"{} {at}\"}}\n", if at % 2 == 0 { "fail" } else { "say" });
        place.write("prompts.jsonl", &(0..6).map(row).collect::<String>());
        place.write("notes.txt", "not a file of a run\n");
        place.write("empty.txt", "");
        let said = place.run(self, &["run", "prompts.jsonl", "-o", "out.jsonl", "--tier", "2", "--beta", "b1"]);
        said.ends_with(3).tells(&["3 failed"]);
        self.is_refusing.store(false, Ordering::Release);
        let work = place.root().join("work");
        let files = place.folder.contents().into_iter();
        files.filter_map(|(path, bytes)| Some((path.strip_prefix(&work).ok()?.to_owned(), bytes))).collect()
    }

    #[track_caller]
    fn assert_untouched(&self, place: &Place) {
        assert_eq!(self.evil.requests(), 0, "a request went to another address");
        assert!(!place.root().join("sibling/canary").exists(), "a program was run");
    }
}

const ANSWER: &[u8] = br#"{"id":"msg_1","type":"message","role":"assistant","model":"claude-haiku-4-5","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":5,"output_tokens":2}}"#;
const REFUSAL: &[u8] = br#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#;

/// A folder with a run, a neighbouring folder, and a command that must not be run.
struct Place {
    folder: Folder,
}

impl Place {
    fn new() -> Self {
        let folder = Folder::new();
        let root = folder.path("");
        fs::create_dir(root.join("work"))
            .and_then(|()| fs::create_dir(root.join("sibling")))
            .expect("the folders can be created");
        folder.write("sibling/file.json", "{}");
        folder.write("sibling/empty.jsonl", "");
        let mark = root.join("sibling/canary");
        folder.write("canary.sh", &format!("#!/bin/sh\n: > '{}'\necho sk-stolen-key-00000000\n", mark.display()));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let runs = fs::Permissions::from_mode(0o755);
            fs::set_permissions(root.join("canary.sh"), runs).expect("the file is ours");
        }
        Self { folder }
    }

    fn root(&self) -> PathBuf {
        self.folder.path("").components().collect()
    }

    /// Creates the files of a run. Existing files are replaced.
    fn lay(&self, files: &Files) {
        let work = self.root().join("work");
        fs::remove_dir_all(&work).expect("the folder can be removed");
        for (name, bytes) in files {
            let path = work.join(name);
            fs::create_dir_all(path.parent().expect("the file is in a folder")).expect("the folder can be created");
            fs::write(&path, bytes).expect("the file can be written");
        }
    }

    fn read(&self, name: &str) -> String {
        self.folder.read(&format!("work/{name}"))
    }

    fn write(&self, name: &str, text: &str) {
        self.folder.write(&format!("work/{name}"), text);
    }

    /// Runs the program against the good server. If the program hangs, this function kills it and fails the test.
    fn run(&self, servers: &Servers, args: &[&str]) -> Said {
        let mut command = self.folder.command(args);
        command.args([
            "--stream",
            "off",
            "--max-retries",
            "0",
            "--retry-for",
            "1s",
            "--timeout",
            "20s",
            "--halt",
            "never",
        ]);
        command.args(["--rpm", "1000000", "--itpm", "1000000000", "--otpm", "1000000000", "--fsync", "off"]);
        command.env("ANTHROPIC_API_KEY", CANARY).env("ANTHROPIC_BASE_URL", &servers.good.url);
        command.current_dir(self.root().join("work")).stdin(Stdio::null());
        let child = command.spawn().expect("the program starts");
        let id = child.id();
        let (ended, end) = mpsc::channel();
        std::thread::spawn(move || ended.send(child.wait_with_output()));
        match end.recv_timeout(LONGEST) {
            Ok(output) => Said::of(output.expect("the program ends")),
            Err(_) => panic!("process {id} hangs: {args:?} in {}", self.root().display()),
        }
    }

    fn everything(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        self.folder.contents()
    }

    /// Returns all files outside the folder `work`, and the files in `work` that do not belong to the run.
    fn outside(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let work = self.root().join("work");
        let own = ["notes.txt", "empty.txt", "prompts.jsonl"].map(|name| work.join(name));
        let mut found = self.everything();
        found.retain(|path, _| !path.starts_with(&work) || own.contains(path));
        found
    }

    /// Returns the names in the working folder that do not belong to the run.
    fn strangers(&self) -> Vec<String> {
        let work = self.root().join("work");
        let entries =
            fs::read_dir(&work).expect("the folder can be read").map(|entry| entry.expect("an entry").file_name());
        let names = entries.map(|name| name.to_string_lossy().into_owned());
        let ours = ["out.jsonl", "out.errors.jsonl", "notes.txt", "empty.txt", "prompts.jsonl"];
        // `out.errors.jsonl` is also the default log of results files with other names, for example `out`. A command is
        // allowed to create such a results file.
        let is_ours = |name: &str| ours.contains(&name) || name == "out" || name.starts_with("out.");
        names.filter(|name| !is_ours(name) || Path::new(name).components().count() != 1).collect()
    }
}
