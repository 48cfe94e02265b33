//! Tests `claude-batch simulate` as users start it: its output, its address, how it stops, and a whole run against it.
#![cfg(all(feature = "sim", unix))]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_claude-batch");

#[test]
fn the_simulator_prints_its_address_and_how_to_use_it_and_ends_cleanly_on_a_signal() {
    for signal in ["INT", "TERM"] {
        let simulator = Simulator::start(&["--tier", "2"]);

        let answer = simulator.post("/v1/messages", &prompt("Hi"));
        let (lines, end) = simulator.stop(signal);

        assert_eq!((answer.0, answer.1["type"].as_str()), (200, Some("message")));
        let text = lines.join("\n");
        assert!(text.contains("(tier 2)"), "{text}");
        assert!(text.contains("claude-batch run prompts.jsonl --tier 2 --base-url http://127.0.0.1:"), "{text}");
        assert!(text.contains("ANTHROPIC_BASE_URL=http://127.0.0.1:"), "{text}");
        assert_eq!(end.code, Some(0));
        assert!(
            end.said.contains("1 request, 1 let in, 0 refused with 429, 0 faults; billed 1 call, "),
            "{}",
            end.said
        );
    }
}

#[test]
fn wrong_arguments_give_a_message_and_exit_code_2() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let port = taken.local_addr().expect("an address").port().to_string();
    let folder = tempfile::tempdir().expect("a folder");
    let faults = folder.path().join("faults.json");
    std::fs::write(&faults, "{\n \"rules\": [\n  {\"status\": 500, \"share\": 3}\n ]\n}").expect("written");
    let faults = faults.to_str().expect("UTF-8");
    let cases: [(&[&str], &[&str]); 12] = [
        (&["--batch-time", "soon"], &["--batch-time", "1m..10m"]),
        (&["--batch-expiry", "0s"], &["--batch-expiry"]),
        (&["--port", &port], &["can't listen on 127.0.0.1", "choose another --port"]),
        (&["--faults", faults], &["faults.json, line 3", "share", "must be from 0 to 1"]),
        (&["--faults", "missing.json"], &["--faults: can't read missing.json"]),
        (&["--answers", faults], &["faults.json, line 3", "unknown field `status`", "text"]),
        (&["--tier", "9"], &["--tier", "\"9\"", "scale"]),
        (&["--host", "0.0.0.0"], &["--host", "only on this machine"]),
        (&["--rpm", "0"], &["--rpm"]),
        (&["--burst", "soon"], &["--burst", "minute, a duration such as 1s, or a number"]),
        (&["--class-limits", "haiku=1,1,1"], &["no model has the class haiku", "haiku-4.5"]),
        (&["--journal", "missing/journal.jsonl"], &["--journal: can't write"]),
    ];

    for (args, expected) in cases {
        let output = command(folder.path()).args(args).output().expect("the program starts");

        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {said}");
        assert!(expected.iter().all(|part| said.contains(part)), "{args:?}: {said}");
        assert!(output.stdout.is_empty(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn every_limit_can_be_set_and_is_enforced() {
    let flags = ["--tier", "none", "--rpm", "2", "--count-tokens-rpm", "1", "--keys", "good", "--latency", "zero"];
    let simulator = Simulator::start(&flags);

    let mut answers: Vec<u16> = (0..3).map(|_| simulator.post("/v1/messages", &prompt("Hi")).0).collect();
    answers.extend((0..2).map(|_| simulator.post("/v1/messages/count_tokens", COUNT).0));
    let bad = simulator.call("POST", "/v1/messages", "bad", &prompt("Hi"));
    let stats = simulator.call("GET", "/__sim/stats", "good", "").1;

    assert_eq!(answers, [200, 200, 429, 200, 429]);
    assert_eq!((bad.0, bad.1["error"]["type"].as_str()), (401, Some("authentication_error")));
    assert_eq!(stats["refused"]["requests"], 2);
    simulator.stop("INT");
}

#[test]
fn batches_can_be_set_are_shown_and_end() {
    let flags = ["-v", "--tier", "none", "--batch-time", "0s", "--batch-rpm", "3", "--batch-queue", "2"];
    let simulator = Simulator::start(&flags);
    let request = |id: &str| format!(r#"{{"custom_id":"{id}","params":{}}}"#, prompt("Hi"));
    let batch = |ids: &[&str]| {
        format!(r#"{{"requests":[{}]}}"#, ids.iter().map(|id| request(id)).collect::<Vec<_>>().join(","))
    };

    let too_many = simulator.post("/v1/messages/batches", &batch(&["a", "b", "c"]));
    let created = simulator.post("/v1/messages/batches", &batch(&["a", "b"]));
    let path = format!("/v1/messages/batches/{}", created.1["id"].as_str().expect("an id"));
    let polls = [(); 2].map(|()| simulator.call("GET", &path, "k", ""));
    let (_, end) = simulator.stop("INT");

    assert_eq!((too_many.0, created.0), (429, 200));
    assert_eq!(polls.each_ref().map(|poll| poll.0), [200, 429]);
    assert_eq!(polls[0].1["request_counts"]["succeeded"], 2);
    assert!(end.said.contains(" with 2 requests "), "{}", end.said);
    assert!(end.said.contains("; 1 batch with 2 requests (2 succeeded)"), "{}", end.said);
}

#[test]
fn requests_are_shown_and_written_to_a_journal() {
    let folder = tempfile::tempdir().expect("a folder");
    let journal = folder.path().join("journal.jsonl");
    let simulator = Simulator::start(&["-v", "--journal", journal.to_str().expect("UTF-8")]);

    simulator.post("/v1/messages", &prompt("Hi"));
    simulator.post("/v1/nowhere", "{}");
    let kept = std::fs::read_to_string(&journal).expect("the journal is there while the simulator runs");
    let (_, end) = simulator.stop("INT");

    let lines: Vec<Value> = kept.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((lines[0]["status"].as_u64(), lines[0]["model"].as_str()), (Some(200), Some("claude-haiku-4-5")));
    assert!(lines[0]["input_tokens"].as_u64() > Some(0) && lines[0]["output_tokens"].as_u64() > Some(0));
    assert_eq!((lines[1]["status"].as_u64(), lines[1]["path"].as_str()), (Some(404), Some("/v1/nowhere")));
    assert!(end.said.contains("s 200 POST /v1/messages claude-haiku-4-5 "), "{}", end.said);
    assert!(end.said.contains("s 404 POST /v1/nowhere"), "{}", end.said);
}

#[test]
fn all_prompts_of_the_fixture_are_answered_over_streams() {
    let folder = tempfile::tempdir().expect("a folder");
    let simulator = Simulator::start(&["--tier", "4", "--latency", "20ms,4000", "--seed", "3"]);
    let results = folder.path().join("results.jsonl");

    let mut run = Command::new(PROGRAM);
    run.current_dir(folder.path()).env_clear().env("ANTHROPIC_API_KEY", "made-up").env("HOME", folder.path());
    run.arg("run").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/prompts.jsonl"));
    run.args(["--tier", "4", "--stream", "on", "--yes", "--base-url", &simulator.url, "-o"]).arg(&results);
    let output = run.stdin(Stdio::null()).output().expect("the program starts");
    let stats = simulator.call("GET", "/__sim/stats", "k", "").1;
    simulator.stop("INT");

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let asked = include_str!("../fixtures/prompts.jsonl").lines().filter(|line| !line.trim().is_empty()).count();
    let kept = std::fs::read_to_string(results).expect("results");
    let answered = kept.lines().filter(|line| line.contains("\"stop_reason\":")).count();
    assert_eq!((answered, stats["billed_calls"].as_u64()), (asked, Some(asked as u64)));
    assert_eq!((stats["in_flight"].as_u64(), stats["answered_again"].as_u64()), (Some(0), Some(0)));
}

#[test]
fn the_simulator_plays_other_platforms() {
    let folder = tempfile::tempdir().expect("a folder");
    let simulator = Simulator::start(&["--as", "bedrock", "--tier", "4", "--latency", "zero"]);
    let rows = folder.path().join("rows.jsonl");
    std::fs::write(&rows, "{\"prompt\":\"Capital of France?\"}\n{\"prompt\":\"Capital of Peru?\"}\n").expect("written");

    let elsewhere = simulator.post("/anthropic/v1/messages/count_tokens", COUNT);
    let bare = simulator.post("/anthropic/v1/messages", &prompt("Hi"));
    let base = format!("{}/anthropic", simulator.url);
    let mut run = Command::new(PROGRAM);
    run.current_dir(folder.path()).env_clear().env("ANTHROPIC_API_KEY", "made-up").env("HOME", folder.path());
    run.args(["run", "rows.jsonl", "--tier", "4", "-m", "global.anthropic.claude-haiku-4-5", "--yes"]);
    let output = run.args(["--base-url", &base, "-o", "out.jsonl"]).stdin(Stdio::null()).output().expect("it starts");
    let (lines, _) = simulator.stop("INT");

    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let kept = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("results");
    assert_eq!(kept.lines().count(), 2, "{kept}");
    assert_eq!((elsewhere.0, bare.0), (200, 400));
    assert!(elsewhere.1["Output"]["__type"].as_str().is_some_and(|name| name.ends_with("UnknownOperationException")));
    let text = lines.join("\n");
    assert!(text.contains("simulated bedrock on http://127.0.0.1:"), "{text}");
    assert!(text.contains("--provider bedrock --base-url http://127.0.0.1:") && text.contains("/anthropic"), "{text}");
}

#[test]
fn if_the_first_provider_refuses_batches_its_rows_go_to_the_next_provider_and_an_open_batch_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..90).map(|row| format!("{{\"prompt\":\"Capital of country {row}?\"}}\n")).collect();
    std::fs::write(folder.path().join("rows.jsonl"), rows).expect("written");
    let faults =
        r#"{"rules":[{"status":401,"type":"authentication_error","message":"no","calls":"create","arrivals":[2]}]}"#;
    std::fs::write(folder.path().join("faults.json"), faults).expect("written");
    let mut run = Command::new(PROGRAM);
    run.current_dir(folder.path()).env_clear().env("HOME", folder.path()).stdin(Stdio::null());
    run.args(["run", "rows.jsonl", "-o", "out.jsonl", "--yes", "--simulate", "--simulate-faults", "faults.json"]);
    run.args(["--provider", "anthropic", "--fallback", "litellm", "--lane", "batch", "--batch-rows", "40"]);

    let output = run.output().expect("it starts");

    let said = String::from_utf8_lossy(&output.stderr);
    let kept = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("results");
    let of = |provider: &str| kept.matches(&format!(r#""provider":"{provider}""#)).count();
    let open = said.lines().find_map(|line| line.strip_suffix(" in 1 open batch")?.rsplit(' ').next()?.parse().ok());
    let open: usize = open.unwrap_or_else(|| panic!("no batch is left: {said}"));
    assert!((20..=40).contains(&open), "{said}");
    assert_eq!(of("anthropic") + of("litellm") + open, 90, "{said}");
    assert!(of("litellm") >= 40, "{said}");
    assert_eq!(output.status.code(), Some(4), "{said}");
}

const COUNT: &str = r#"{"model":"claude-haiku-4-5","messages":[{"role":"user","content":"Hi"}]}"#;

fn prompt(text: &str) -> String {
    let messages = serde_json::json!([{"role": "user", "content": text}]);
    serde_json::json!({"model": "claude-haiku-4-5", "max_tokens": 16, "messages": messages}).to_string()
}

fn command(folder: &Path) -> Command {
    let mut command = Command::new(PROGRAM);
    command.current_dir(folder).arg("simulate").stdin(Stdio::null());
    command
}

/// A simulator in its own process, on a free port.
struct Simulator {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
    first: String,
    url: String,
}

impl Simulator {
    fn start(args: &[&str]) -> Self {
        let mut command = command(Path::new("."));
        command.args(["--port", "0"]).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("the stream is a pipe"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("the simulator prints its address");
        let url = first.split_whitespace().find(|word| word.starts_with("http://"));
        let url = url.expect("the first line has the address").to_owned();
        Self { child, lines, first, url }
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.call("POST", path, "good", body)
    }

    fn call(&self, method: &str, path: &str, key: &str, body: &str) -> (u16, Value) {
        let mut stream = TcpStream::connect(self.url.trim_start_matches("http://")).expect("a connection");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: {key}\r\nanthropic-version: 2023-06-01\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        (status, serde_json::from_str(body).expect("JSON"))
    }

    /// Stops the simulator with a signal. Returns the lines on standard output, and how the simulator ended.
    fn stop(mut self, signal: &str) -> (Vec<String>, End) {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args([&format!("-{signal}"), &id]).status().expect("kill is there");
        assert!(status.success());
        let mut lines = vec![self.first.clone()];
        lines.extend(self.lines.by_ref().lines().map(|line| line.expect("UTF-8")));
        let mut said = String::new();
        self.child.stderr.take().expect("the stream is a pipe").read_to_string(&mut said).expect("UTF-8");
        (lines, End { code: self.child.wait().expect("the program ends").code(), said })
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        // If a test has failed, the simulator is still running at this point, so this function stops it.
        let _ = self.child.kill();
    }
}

/// The exit code of a simulator, and what it printed on standard error.
struct End {
    code: Option<i32>,
    said: String,
}
