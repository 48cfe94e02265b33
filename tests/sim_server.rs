//! Tests the simulated API over real sockets: the answers, streams, limits and broken connections that a client sees.
#![cfg(feature = "sim")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use claude_batch::clock::RunClock;
use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{BatchConfig, BatchTime, Latency, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::sim::transport::{SharedModel, lock};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn a_plain_answer_has_its_length_its_limits_and_its_body() {
    let (server, _) = start(config()).await;

    let answer = post(&server, "/v1/messages", &prompt("Hi", false)).await.expect("an answer");

    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-length"), Some(answer.body.len().to_string().as_str()));
    assert_eq!(answer.header("anthropic-ratelimit-requests-limit"), Some("1000"));
    assert_eq!(answer.json()["type"], "message");
}

#[tokio::test]
async fn a_stream_comes_in_chunks_and_ends_with_its_last_event() {
    let (server, model) = start(config().with_latency(quick())).await;

    let answer = post(&server, "/v1/messages?beta=true", &prompt("Hi", true)).await.expect("an answer");

    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    assert!(answer.text().starts_with("event: message_start\n"));
    assert!(answer.text().ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
    assert_eq!(lock(&model).books().in_flight, 0);
}

#[tokio::test]
async fn injected_errors_are_sent_as_the_fault_file_says() {
    let plan = r#"{"rules":[
        {"status":529,"contains":"overloaded"},
        {"kind":"html","contains":"page"},
        {"kind":"empty","contains":"nothing"},
        {"status":429,"contains":"wait","retry_after":"0.5","retry_after_ms":500,"should_retry":true}
    ]}"#;
    let (server, _) = start(config().with_faults(faults(plan))).await;
    let ask = async |word| post(&server, "/v1/messages", &prompt(word, false)).await.expect("an answer");

    let (busy, page, nothing, wait) =
        (ask("overloaded").await, ask("page").await, ask("nothing").await, ask("wait").await);

    assert_eq!((busy.status, busy.json()["error"]["type"].as_str()), (529, Some("overloaded_error")));
    assert_eq!((page.status, page.header("content-type")), (502, Some("text/html; charset=UTF-8")));
    assert_eq!((nothing.status, nothing.body.len()), (520, 0));
    assert_eq!(
        (wait.status, wait.header("retry-after"), wait.header("retry-after-ms")),
        (429, Some("0.5"), Some("500"))
    );
    assert_eq!(wait.header("x-should-retry"), Some("true"));
}

#[tokio::test]
async fn a_reset_breaks_the_connection_before_the_head_or_inside_the_body() {
    let plan =
        r#"{"rules":[{"kind":"reset_before","contains":"before"},{"kind":"reset_mid","contains":"inside","at":0.5}]}"#;
    let (server, model) = start(config().with_faults(faults(plan))).await;

    let before = post(&server, "/v1/messages", &prompt("before", false)).await;
    let inside = post(&server, "/v1/messages", &prompt("inside", false)).await;

    let before = before.expect_err("there is no answer");
    assert!(before.received.is_empty(), "{before:?}");
    let inside = inside.expect_err("half an answer");
    assert!(inside.received.starts_with(b"HTTP/1.1 200 OK\r\n"), "{inside:?}");
    assert_eq!(lock(&model).stats(claude_batch::clock::Instant::from_secs(9)).books.billed_and_lost, 1);
}

#[tokio::test]
async fn truncated_and_unfinished_bodies_end_early_with_a_clean_close() {
    let plan = r#"{"rules":[
        {"kind":"truncated_json","contains":"cut"},
        {"kind":"no_message_stop","contains":"endless"},
        {"kind":"error_event","contains":"break"}
    ]}"#;
    let (server, _) = start(config().with_faults(faults(plan))).await;

    let cut = post(&server, "/v1/messages", &prompt("cut", false)).await.expect("an answer");
    let endless = post(&server, "/v1/messages", &prompt("endless", true)).await.expect("an answer");
    let broken = post(&server, "/v1/messages", &prompt("break", true)).await.expect("an answer");
    let plain = post(&server, "/v1/messages", &prompt("break", false)).await.expect("an answer");

    assert!(serde_json::from_slice::<Value>(&cut.body).is_err());
    assert!(endless.text().contains("message_delta") && !endless.text().contains("message_stop"));
    assert!(broken.text().starts_with("event: error\ndata: {"), "{}", broken.text());
    assert_eq!((broken.status, plain.status), (200, 529));
}

#[tokio::test]
async fn a_client_that_leaves_a_stalled_answer_is_no_longer_in_flight() {
    let plan = r#"{"rules":[{"kind":"stall","at":0.5}]}"#;
    let (server, model) = start(config().with_faults(faults(plan))).await;

    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(&request("POST", "/v1/messages", &prompt("Hi", true))).await.expect("sent");
    let mut some = [0; 64];
    stream.read_exact(&mut some).await.expect("the head");
    let during = lock(&model).books().in_flight;
    drop(stream);
    while lock(&model).books().in_flight > 0 {
        tokio::task::yield_now().await;
    }

    assert_eq!(during, 1);
}

#[tokio::test]
async fn a_body_over_32_mb_is_a_413() {
    let (server, _) = start(config()).await;

    let small = post(&server, "/v1/messages", &prompt(&"x".repeat(3 << 20), false)).await.expect("an answer");
    let large = post(&server, "/v1/messages", &prompt(&"x".repeat(33 << 20), false)).await.expect("an answer");

    assert_eq!(small.json()["error"]["type"], "invalid_request_error", "too many tokens, not too many bytes");
    assert_eq!((large.status, large.json()["error"]["type"].as_str()), (413, Some("request_too_large")));
}

#[tokio::test]
async fn models_token_counts_and_limits_are_served() {
    let (server, _) = start(config()).await;
    let mut counted = serde_json::from_str::<Value>(&prompt("Capital of France?", false)).expect("JSON");
    counted.as_object_mut().expect("an object").retain(|name, _| !["max_tokens", "stream"].contains(&name.as_str()));

    let count = post(&server, "/v1/messages/count_tokens", &counted.to_string()).await.expect("an answer");
    let answer = post(&server, "/v1/messages", &prompt("Capital of France?", false)).await.expect("an answer");
    let page = get(&server, "/v1/models?limit=2").await;
    let one = get(&server, "/v1/models/claude-haiku-4-5").await;
    let none = get(&server, "/v1/models/claude-x").await;
    let limits = get(&server, "/v1/organizations/rate_limits?model=claude-opus-4-8").await;

    assert_eq!(count.json()["input_tokens"], answer.json()["usage"]["input_tokens"]);
    assert_eq!(count.header("anthropic-ratelimit-requests-remaining"), Some("1999"));
    assert_eq!(
        (page.json()["data"].as_array().map(Vec::len), page.json()["has_more"].as_bool()),
        (Some(2), Some(true))
    );
    assert_eq!(one.json()["id"], "claude-haiku-4-5-20251001");
    assert_eq!((none.status, none.json()["error"]["message"].as_str()), (404, Some("model: claude-x")));
    let group = &limits.json()["data"][0];
    assert_eq!(
        (group["group"]["display_name"].as_str(), group["models"].as_array().map(Vec::len)),
        (Some("Claude Opus 4.x"), Some(5))
    );
    assert_eq!(group["limits"][0], json!({"type": "requests_per_minute", "value": 1000}));
}

#[tokio::test]
async fn a_batch_is_created_polled_read_and_deleted() {
    let (server, model) = start(at_once()).await;
    let params = serde_json::from_str::<Value>(&prompt("Hi", false)).expect("JSON");
    let body = json!({"requests": [{"custom_id": "a", "params": params}]}).to_string();

    let created = post(&server, "/v1/messages/batches", &body).await.expect("an answer").json();
    let path = format!("/v1/messages/batches/{}", created["id"].as_str().expect("an id"));
    let ended = get(&server, &path).await.json();
    let list = get(&server, "/v1/messages/batches?limit=1&beta=true").await.json();
    let results = get(&server, &format!("{path}/results")).await;
    let shown = get(&server, "/__sim/batches").await.json();
    let deleted = call(&server, "DELETE", &path, "").await.expect("an answer");
    let gone = get(&server, &path).await;

    assert_eq!(
        (created["processing_status"].as_str(), ended["processing_status"].as_str()),
        (Some("in_progress"), Some("ended"))
    );
    assert_eq!(ended["results_url"], format!("http://localhost{path}/results"), "the Host header of these tests");
    assert_eq!((list["data"].as_array().map(Vec::len), list["has_more"].as_bool()), (Some(1), Some(false)));
    assert_eq!(results.header("content-type"), Some("application/x-jsonl"));
    assert_eq!(results.header("content-length"), Some(results.body.len().to_string().as_str()));
    assert_eq!(results.json()["result"]["type"], "succeeded");
    assert_eq!(
        (shown[0]["id"].as_str(), shown[0]["requests"][0]["custom_id"].as_str()),
        (created["id"].as_str(), Some("a"))
    );
    assert_eq!((deleted.json()["type"].as_str(), gone.status), (Some("message_batch_deleted"), 404));
    assert_eq!(lock(&model).books().batches.succeeded, 1);
}

#[tokio::test]
async fn the_results_of_a_large_batch_come_in_parts() {
    let (server, _) = start(at_once()).await;
    let params = prompt("Hi", false);
    let requests: Vec<String> =
        (0..1_000).map(|number| format!(r#"{{"custom_id":"row-{number}","params":{params}}}"#)).collect();

    let body = format!(r#"{{"requests":[{}]}}"#, requests.join(","));
    let created = post(&server, "/v1/messages/batches", &body).await.expect("an answer").json();
    let path = format!("/v1/messages/batches/{}/results", created["id"].as_str().expect("an id"));
    let results = get(&server, &path).await;

    assert_eq!(results.header("transfer-encoding"), Some("chunked"));
    let lines: Vec<Value> = results.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let ids: std::collections::BTreeSet<&str> = lines.iter().filter_map(|line| line["custom_id"].as_str()).collect();
    assert_eq!((lines.len(), ids.len()), (1_000, 1_000));
}

#[tokio::test]
async fn a_lost_answer_leaves_a_batch_behind_and_a_large_batch_is_accepted() {
    let plan = r#"{"rules":[{"kind":"reset_before","calls":"create","takes_effect":true,"times":1}]}"#;
    let (server, model) = start(at_once().with_faults(faults(plan))).await;
    let body = |padding: usize| format!(r#"{{"requests":[{{"custom_id":"a","params":{{}}}}]}}{}"#, " ".repeat(padding));

    let lost = post(&server, "/v1/messages/batches", &body(0)).await.expect_err("no answer comes");
    let large = post(&server, "/v1/messages/batches", &body(33 << 20)).await.expect("an answer");

    assert!(lost.received.is_empty());
    assert_eq!(large.status, 200);
    assert_eq!(lock(&model).books().batches.created, 2);
}

#[tokio::test]
async fn the_statistics_can_be_read_and_reset() {
    let (server, _) = start(config()).await;
    post(&server, "/v1/messages", &prompt("Hi", false)).await.expect("an answer");

    let stats = get(&server, "/__sim/stats").await.json();
    call(&server, "POST", "/__sim/reset", "").await.expect("an answer");
    let after = get(&server, "/__sim/stats").await.json();

    assert_eq!((stats["requests"].as_u64(), stats["billed_calls"].as_u64()), (Some(1), Some(1)));
    assert_eq!(stats["limits"][0]["class"], "haiku-4.5");
    assert_eq!(after["requests"], 0);
}

#[tokio::test]
async fn a_first_request_with_the_method_head_is_answered_without_a_body() {
    let (server, _) = start(config()).await;

    let root = call(&server, "HEAD", "/", "").await.expect("an answer");
    let hello = call(&server, "HEAD", "/api/hello", "").await.expect("an answer");

    assert_eq!((root.status, root.body.len()), (404, 0));
    assert_eq!((hello.status, hello.body.len()), (200, 0));
}

#[tokio::test]
async fn a_port_that_is_taken_is_an_error() {
    let (server, model) = start(config()).await;

    let second = SimServer::start(server.address(), model, RunClock::start()).await;

    assert_eq!(second.expect_err("the port is taken").kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_stopped_server_accepts_no_connections() {
    let (server, _) = start(config()).await;
    let address = server.address();

    server.stop().await.expect("the server ran until it was stopped");

    assert!(TcpStream::connect(address).await.is_err());
}

fn config() -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(1_000, 450_000, 90_000))
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(60))
}

/// The settings of batches that end immediately.
fn at_once() -> SimConfig {
    config().with_batches(BatchConfig { time: BatchTime::Fixed(Duration::ZERO), ..BatchConfig::default() })
}

fn quick() -> Latency {
    Latency { first_token: Duration::from_millis(5), tokens_per_second: 6_000.0, ..Latency::ZERO }
}

fn faults(text: &str) -> FaultPlan {
    FaultPlan::parse(text, "faults.json").expect("a good plan")
}

async fn start(config: SimConfig) -> (SimServer, SharedModel) {
    SimServer::serve(config, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.expect("a free port")
}

fn prompt(text: &str, is_stream: bool) -> String {
    let messages = json!([{"role": "user", "content": text}]);
    json!({"model": "claude-haiku-4-5", "max_tokens": 256, "messages": messages, "stream": is_stream}).to_string()
}

/// A complete answer, as the client received it.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }
}

/// The bytes that arrived before a connection ended in the middle of an answer.
#[derive(Debug)]
struct Broken {
    received: Vec<u8>,
}

async fn post(server: &SimServer, path: &str, body: &str) -> Result<Answer, Broken> {
    call(server, "POST", path, body).await
}

async fn get(server: &SimServer, path: &str) -> Answer {
    call(server, "GET", path, "").await.expect("an answer")
}

fn request(method: &str, path: &str, body: &str) -> Vec<u8> {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost\r\nx-api-key: sk-ant-admin-k\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn call(server: &SimServer, method: &str, path: &str, body: &str) -> Result<Answer, Broken> {
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(&request(method, path, body)).await.expect("sent");
    let mut received = Vec::new();
    // If the connection is reset after the whole answer, the received bytes show that the answer is complete.
    let _ = stream.read_to_end(&mut received).await;
    parse(&received).ok_or(Broken { received })
}

fn parse(received: &[u8]) -> Option<Answer> {
    let head_end = received.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&received[..head_end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut answer = Answer { status, headers, body: received[head_end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body)?;
    } else if answer.header("content-length").map_or(Ok(0), str::parse) != Ok(answer.body.len()) {
        // An answer to HEAD has no length.
        return None;
    }
    Some(answer)
}

fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line_end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line_end]).ok()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(line_end + 2..line_end + 2 + size)?);
        rest = rest.get(line_end + 2 + size + 2..)?;
    }
}
