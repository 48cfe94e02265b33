//! Tests notices (the messages that a run sends to a web address) and the log of events.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use serde_json::Value;

use crate::support::*;

/// A secret text that is a part of every address. This text must not appear anywhere.
const SECRET: &str = "B0-s3cret-hook-77";
/// The secret that signs the notices. This secret must not appear anywhere.
const SIGNING: &str = "0123456789abcdef-sign";

/// Receives notices. The answers of the server are good or hostile.
struct Receiver {
    url: String,
    bodies: Arc<Mutex<Vec<String>>>,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    fn new(answer: impl Fn(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let url = format!("http://{}/services/T0/{SECRET}", listener.local_addr().expect("it has an address"));
        let (bodies, heads) = (Arc::<Mutex<Vec<String>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (kept, kept_heads) = (bodies.clone(), heads.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let (head, body) = request(&mut stream);
                kept_heads.lock().expect("no panic").push(head);
                kept.lock().expect("no panic").push(body);
                answer(&mut stream);
            }
        });
        Self { url, bodies, heads }
    }

    fn good() -> Self {
        Self::new(|stream| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        })
    }

    fn documents(&self) -> Vec<Value> {
        let bodies = self.bodies.lock().expect("no panic");
        bodies.iter().map(|body| serde_json::from_str(body).expect("a notice is JSON")).collect()
    }

    fn kinds(&self) -> Vec<String> {
        let mut kinds: Vec<_> =
            self.documents().iter().map(|notice| notice["kind"].as_str().expect("it has a kind").to_owned()).collect();
        kinds.sort();
        kinds
    }
}

/// Reads a request whose headers give the length of its body.
fn request(stream: &mut TcpStream) -> (String, String) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|text| text.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    let _ = stream.read_exact(&mut body);
    (head, String::from_utf8_lossy(&body).into_owned())
}

#[track_caller]
fn assert_no_secret(folder: &Folder, said: &Said) {
    for secret in [SECRET, SIGNING] {
        assert!(!said.out.contains(secret) && !said.err.contains(secret), "{}", said.err);
        for (path, bytes) in folder.contents() {
            assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{}", path.display());
        }
    }
}

#[test]
fn each_kind_of_notice_comes_once_and_fits_the_schema() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/schemas/notice.schema.json");
    let schema = std::fs::read_to_string(schema).expect("the schema can be read");
    let schema = jsonschema::validator_for(&serde_json::from_str(&schema).expect("it is JSON")).expect("a schema");
    let api = Api::with_faults(r#"{"rules": [{"status": 400, "share": 0.3}]}"#);
    let (folder, receiver) = (Folder::with_rows(60), Receiver::good());
    let on = "finish,halt,failures=5%,limit=80,hold=5m,budget=1";
    let mut command = folder.command_at(
        &api,
        &[
            "run",
            "prompts.jsonl",
            "--notify",
            &receiver.url,
            "--notify-on",
            on,
            "--notify-format",
            "json",
            "--max-cost",
            "0.05",
        ],
    );
    command.env("CLAUDE_BATCH_NOTIFY_SECRET", SIGNING);

    let said = Said::of(command.output().expect("the program starts"));

    said.ends_with(3);
    assert_eq!(receiver.kinds(), ["budget", "failures", "finish"]);
    for notice in receiver.documents() {
        assert!(
            schema.is_valid(&notice),
            "{:?}",
            schema.iter_errors(&notice).map(|e| e.to_string()).collect::<Vec<_>>()
        );
        assert!(!notice.to_string().contains("Say the number"), "{notice}");
    }
    let heads = receiver.heads.lock().expect("no panic").concat();
    assert!(heads.contains("x-claude-batch-signature: t=") && !heads.contains("x-api-key"), "{heads}");
    assert!(!heads.contains(CANARY) && !heads.contains("anthropic"), "{heads}");
    assert!(!said.err.contains("has no effect") && !said.err.contains("0123456789abcdef"), "{}", said.err);
    assert_no_secret(&folder, &said);
}

#[test]
fn a_stopped_run_says_why_in_the_form_of_chats() {
    let (folder, api, receiver) = (Folder::with_rows(20), Api::quick(), Receiver::good());
    let mut command = folder.command_at(&api, &["run", "prompts.jsonl", "--notify", "env:HOOK", "--max-requests", "5"]);
    command.env("HOOK", &receiver.url);

    let said = Said::of(command.output().expect("the program starts"));

    assert_ne!(said.code, Some(0));
    let notices = receiver.documents();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let text = notices[0]["text"].as_str().expect("it has a text");
    assert!(
        text.starts_with("claude-batch: prompts.results.jsonl stopped: a limit that you set is reached ("),
        "{text}"
    );
    assert!(text.contains("5 of 20 rows done"), "{text}");
    assert_no_secret(&folder, &said);
}

#[test]
fn a_receiver_that_fails_changes_nothing_about_the_run() {
    let dead = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        format!("http://{}/services/T0/{SECRET}", listener.local_addr().expect("it has an address"))
    };
    let write = |text: &'static str| {
        Receiver::new(move |stream| {
            let _ = stream.write_all(text.as_bytes());
        })
    };
    let silent = Receiver::new(|stream| {
        let _ = stream.read(&mut [0]);
    });
    let endless = Receiver::new(|stream| {
        let _ = stream.write_all(b"HTTP/1.1 503 No\r\ncontent-length: 99999999999\r\n\r\n");
        while stream.write_all(&[b'x'; 4096]).is_ok() {}
    });
    let elsewhere =
        write("HTTP/1.1 307 Go\r\nlocation: http://127.0.0.1:9/B0-s3cret-hook-77\r\nconnection: close\r\n\r\n");
    let failing =
        write("HTTP/1.1 500 B0-s3cret-hook-77\r\nconnection: close\r\ncontent-length: 17\r\n\r\nB0-s3cret-hook-77");
    let garbage = write("\u{1b}[2J\r\n\r\n");
    let urls = [dead, silent.url, endless.url, elsewhere.url, failing.url, garbage.url];

    std::thread::scope(|scope| {
        for url in urls {
            scope.spawn(move || {
                let (folder, api) = (Folder::with_rows(12), Api::quick());

                let said =
                    folder.run_at(&api, &["run", "prompts.jsonl", "-v", "--notify", &url, "--log", "events.jsonl"]);

                said.ends_with(0);
                assert_each_once(&folder.read("prompts.results.jsonl"), 12);
                assert_eq!(said.err.matches("was not sent: ").count(), 1, "{}", said.err);
                let shown = url.rsplit_once("/services").expect("the address has a path").0;
                assert!(said.err.contains(&format!("warning: a notice to {shown}/… was not sent")), "{}", said.err);
                assert_no_secret(&folder, &said);
            });
        }
    });
}

#[test]
#[cfg(unix)]
fn a_program_gets_the_document_and_no_secret() {
    let (folder, api, receiver) = (Folder::with_rows(5), Api::quick(), Receiver::good());
    let tools = Folder::new();
    tools.write("hook.sh", "cat > \"$1/document\"; env > \"$1/variables\"; echo noise; echo noise >&2\n");
    let (hook, place) = (tools.path("hook.sh"), tools.path(""));
    let target = format!("cmd:sh {} {}", hook.display(), place.display());
    let mut command = folder.command_at(
        &api,
        &["run", "prompts.jsonl", "--notify", &target, "--notify", "env:HOOK", "--notify-on", "finish"],
    );
    command.env("HOOK", &receiver.url).env("CLAUDE_BATCH_NOTIFY_SECRET", "short").env("KEPT", "yes");

    let said = Said::of(command.output().expect("the program starts"));

    said.ends_with(0).tells(&["CLAUDE_BATCH_NOTIFY_SECRET has fewer than 16 characters"]);
    assert!(!said.err.contains("noise") && !said.out.contains("noise"), "{}", said.err);
    let document: Value = serde_json::from_str(&tools.read("document")).expect("the document is JSON");
    assert_eq!((document["kind"].as_str(), document["rows"]["ok"].as_u64()), (Some("finish"), Some(5)));
    let variables = tools.read("variables");
    assert!(variables.contains("KEPT=yes"), "{variables}");
    for secret in [CANARY, SECRET, "NOTIFY_SECRET"] {
        assert!(!variables.contains(secret), "{secret}");
    }
    assert_no_secret(&folder, &said);
}

#[test]
fn the_log_has_every_row_and_no_prompt() {
    let api = Api::with_faults(r#"{"rules": [{"status": 529, "share": 0.5, "first_attempts_only": true}]}"#);
    let folder = Folder::with_rows(10);

    folder.run_at(&api, &["run", "prompts.jsonl", "--log", "events.jsonl"]).ends_with(0);
    folder.run_at(&api, &["run", "prompts.jsonl", "--log", "events.jsonl", "--fresh"]).ends_with(0);

    let log = folder.read("events.jsonl");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    assert_eq!((of("started"), of("succeeded"), of("ended")), (2, 20, 2));
    assert_eq!(of("sent"), 20 + of("retried"));
    assert!(of("progress") >= 2 && !log.contains("Say the number"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(folder.path("events.jsonl")).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[test]
fn bad_targets_and_logs_are_refused_before_anything_is_sent() {
    let (folder, api) = (Folder::with_rows(3), Api::quick());
    folder.write("folder/file", "");
    for (flags, words) in [
        (
            ["--notify", "env:NO_SUCH_HOOK"],
            "--notify env:NO_SUCH_HOOK: the variable NO_SUCH_HOOK is not set or is empty",
        ),
        (["--notify", "[hidden]"], "[hidden] only replaces a secret address"),
        (["--notify", "http://hooks.example.invalid/B0-s3cret-hook-77"], "pass --allow-http"),
        (["--notify", "https://u:B0-s3cret-hook-77@hooks.example.invalid/"], "user name or password"),
        (["--notify", "B0-s3cret-hook-77"], "begins with https://"),
        (["--notify-on", "limit=90"], "limit=80, limit=95"),
        (["--log", "prompts.jsonl"], "--log prompts.jsonl would write into an input"),
        (["--log", "./prompts.results.jsonl"], "which the run writes"),
        (["--log", "prompts.results.jsonl.run/log"], "is in the run folder"),
        (["--log", "folder"], "--log folder is a folder"),
    ] {
        let said = folder.run_at(&api, &[&["run", "prompts.jsonl"][..], &flags].concat());

        said.ends_with(2).tells(&[words]);
        assert_no_secret(&folder, &said);
    }
    assert_eq!(api.books().requests, 0);
}
