//! Sends bad and odd requests to the simulated API. Every answer must be possible for the real API.
#![cfg(feature = "sim")]

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::{Model, Request, Step};
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::sim::transport::{SharedModel, lock};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const GOOD: [(&str, &str); 2] = [("x-api-key", "k"), ("anthropic-version", "2023-06-01")];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_get_an_answer_of_the_api(body in prop::collection::vec(any::<u8>(), 0..200)) {
        is_of_the_api(&ask(&Method::POST, "/v1/messages", None, &GOOD, &body))?;
    }

    #[test]
    fn any_change_to_a_good_body_gets_an_answer_of_the_api(
        changes in prop::collection::vec((0_usize..14, value()), 1..4),
        counts in any::<bool>(),
    ) {
        let mut body = good_body();
        for (field, value) in changes {
            let places = [
                "/model", "/max_tokens", "/messages", "/messages/0", "/messages/0/role", "/messages/0/content",
                "/messages/1/content/0", "/messages/1/content/0/text", "/messages/1/content/0/cache_control", "/system",
                "/tools/0", "/tools/0/input_schema", "/tool_choice", "/thinking",
            ];
            if let Some(place) = body.pointer_mut(places[field]) {
                *place = value;
            }
        }
        let path = if counts { "/v1/messages/count_tokens" } else { "/v1/messages" };

        is_of_the_api(&ask(&Method::POST, path, None, &GOOD, body.to_string().as_bytes()))?;
    }

    #[test]
    fn any_body_that_creates_a_batch_gets_an_answer_of_the_api(
        ids in prop::collection::vec(value(), 0..3),
        params in value(),
        requests in prop::option::of(value()),
    ) {
        let request = |id: &Value| json!({"custom_id": id, "params": params});
        let requests = requests.unwrap_or_else(|| ids.iter().map(request).collect());
        let body = json!({ "requests": requests }).to_string();

        is_of_the_api(&ask(&Method::POST, "/v1/messages/batches", None, &GOOD, body.as_bytes()))?;
    }

    #[test]
    fn any_path_method_and_query_get_an_answer_of_the_api(
        method in prop::sample::select(vec!["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW"]),
        path in prop::sample::select(vec![
            "/", "", "/v1", "/v1/", "/v1/models", "/v1/models/", "/v1/models/%00", "/v1/models/claude-x/y", "//v1/messages",
            "/v1/messages/", "/v1/messages/batches", "/v1/messages/batches/", "/v1/messages/batches/x/results", "/v1/messages/batches/x/cancel",
            "/v1/messages/batches//", "/v1/organizations/rate_limits", "/v1/complete", "*",
        ]),
        query in prop::option::of("[a-z_&=%0-9é]{0,40}"),
    ) {
        let method = Method::from_bytes(method.as_bytes()).expect("a token");
        let key = [("x-api-key", "sk-ant-admin-k"), GOOD[1]];

        let answer = ask(&method, path, query.as_deref(), &key, b"{}");

        if method == Method::HEAD {
            prop_assert_eq!((answer.body, answer.request_id.starts_with("req_")), (Value::Null, true));
        } else {
            is_of_the_api(&answer)?;
        }
    }
}

#[test]
fn each_wrong_request_has_its_status_and_message() {
    let message = good_body().to_string();
    let count = json!({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi"}]});
    let with = |mut body: Value, name: &str, value: Value| {
        body[name] = value;
        body.to_string()
    };
    let late = json!([
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "b", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]);
    let odd = |control: Value| json!([{"type": "text", "text": "a", "cache_control": control}]);
    let (messages, counts) = ("/v1/messages", "/v1/messages/count_tokens");
    let post = |path, body: &str| ask(&Method::POST, path, Some("beta=true&unknown=1"), &GOOD, body.as_bytes());
    let get = |path, query, key| ask(&Method::GET, path, query, &[("x-api-key", key), GOOD[1]], b"");
    let limits = "/v1/organizations/rate_limits";
    let admin = "sk-ant-admin-k";

    let cases = [
        (post(messages, "{"), 400, "not valid JSON"),
        (post(messages, "[]"), 400, "not valid JSON"),
        (post(messages, &with(good_body(), "max_token", json!(5))), 400, "max_token: Extra inputs are not permitted"),
        (
            post(messages, &with(good_body(), "model", json!("m".repeat(257)))),
            400,
            "model: String should have at most 256",
        ),
        (
            post(counts, &with(count.clone(), "model", json!("é".repeat(257)))),
            400,
            "model: String should have at most 256",
        ),
        (post(messages, &with(good_body(), "model", json!("é".repeat(256)))), 404, "model: é"),
        (
            post(messages, &with(good_body(), "metadata", json!({"user_id": "u".repeat(257)}))),
            400,
            "metadata.user_id: String should have at most 256",
        ),
        (post(messages, &with(good_body(), "max_tokens", json!(-1))), 400, "max_tokens: Input should be greater"),
        (
            post(messages, &with(good_body(), "max_tokens", json!("5"))),
            400,
            "max_tokens: Input should be a valid integer",
        ),
        (post(messages, &with(good_body(), "system", late)), 400, "ttl='1h' cache_control block must not come after"),
        (
            post(messages, &with(good_body(), "system", odd(json!({"type": "forever"})))),
            400,
            "expected tags: 'ephemeral'",
        ),
        (
            post(messages, &with(good_body(), "system", odd(json!({"type": "ephemeral", "ttl": "2h"})))),
            400,
            "'5m' or '1h'",
        ),
        (
            post(messages, &with(good_body(), "tools", json!([{"name": "t"}]))),
            400,
            "tools.0.custom.input_schema: Field required",
        ),
        (
            post(messages, &with(good_body(), "tool_choice", json!({"type": "tool", "name": "x"}))),
            400,
            "Tool 'x' not found",
        ),
        (post(messages, &with(good_body(), "stop_sequences", json!([" "]))), 400, "must contain non-whitespace"),
        (post(counts, &with(count.clone(), "max_tokens", json!(5))), 400, "max_tokens: Extra inputs are not permitted"),
        (post(counts, &with(count.clone(), "model", json!("claude-x"))), 404, "model: claude-x"),
        (post("/v1/messages/batches", "{}"), 400, "requests: Field required"),
        (post("/v1/messages/batch", "{}"), 404, "Not found"),
        (ask(&Method::GET, messages, None, &GOOD, b""), 405, "Method Not Allowed"),
        (
            ask(&Method::POST, messages, None, &GOOD[..1], message.as_bytes()),
            400,
            "anthropic-version: header is required",
        ),
        (ask(&Method::POST, messages, None, &GOOD[1..], message.as_bytes()), 401, "x-api-key header is required"),
        (
            ask(&Method::POST, messages, None, &[("content-encoding", "gzip"), GOOD[0], GOOD[1]], b"x"),
            400,
            "content-encoding",
        ),
        (get("/v1/models", Some("limit=0"), "k"), 400, "limit: "),
        (get("/v1/models", Some("limit=1001"), "k"), 400, "limit: "),
        (get("/v1/models", Some("after_id=claude-x"), "k"), 400, "after_id: claude-x"),
        (get("/v1/models/claude-x", None, "k"), 404, "model: claude-x"),
        (get(limits, Some("model=claude-x"), admin), 404, "model: claude-x"),
        (get(limits, None, "k"), 403, "Admin API key"),
    ];

    for (answer, status, words) in cases {
        assert_eq!(answer.status, status, "{words}: {}", answer.body);
        let said = answer.body["error"]["message"].as_str().expect("a message");
        assert!(said.contains(words), "{words:?} is not in {said:?}");
        is_of_the_api(&answer).expect("the answer has the shape of the API's answers");
    }
}

#[test]
fn both_ways_to_send_a_key_are_good_and_thinking_can_be_counted() {
    let bearer = [("authorization", "Bearer k"), GOOD[1]];
    let both = [("authorization", "Bearer other"), GOOD[0], GOOD[1]];
    let thinking = json!({"type": "enabled", "budget_tokens": 2_000});
    let count =
        json!({"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "Hi"}], "thinking": thinking});
    let body = good_body().to_string();

    let [one, two] =
        [&bearer[..], &both].map(|headers| ask(&Method::POST, "/v1/messages", None, headers, body.as_bytes()));
    let counted = ask(&Method::POST, "/v1/messages/count_tokens", None, &GOOD, count.to_string().as_bytes());

    assert_eq!((one.status, two.status, counted.status), (200, 200, 200), "{}", counted.body);
}

#[tokio::test]
async fn bytes_that_are_not_a_request_do_no_harm() {
    let (server, model) = start(Latency::ZERO).await;
    let key = "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
    let huge = "x".repeat(600_000);
    let attacks = [
        "\r\n\r\n\r\n".to_owned(),
        "GET\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}hello".to_owned(),
        format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\nx-huge: {huge}\r\n\r\n"),
        format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{key}content-length: 99999\r\n\r\n{{"),
        format!("POST /v1/messages HTTP/1.1\r\nhost: x\r\n{key}transfer-encoding: chunked\r\n\r\nzz\r\nabc\r\n"),
        format!("POST /v1/messages HTTP/1.0\r\n{key}content-length: 2\r\n\r\n{{}}"),
        format!("HEAD /v1/models HTTP/1.1\r\nhost: x\r\n{key}connection: close\r\n\r\n"),
        format!("OPTIONS * HTTP/1.1\r\nhost: x\r\n{key}connection: close\r\n\r\n"),
        format!("GET http://other.example/v1/models HTTP/1.1\r\nhost: x\r\n{key}connection: close\r\n\r\n"),
    ];

    for attack in &attacks {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        // The server can close the connection before everything is sent.
        let _ = stream.write_all(attack.as_bytes()).await;
        let _ = stream.shutdown().await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        let answer = String::from_utf8_lossy(&answer);
        let is_answer = answer.is_empty() || answer.starts_with("HTTP/1.");
        assert!(is_answer && !answer.starts_with("HTTP/1.1 5"), "{:.60}: {answer:.200}", attack.escape_debug());
        assert!(!answer.starts_with("HTTP/1.1 200") || answer.contains("\r\nrequest-id: "), "{answer:.200}");
    }

    let after = send(&server, &good_body().to_string()).await;
    assert!(after.starts_with("HTTP/1.1 200 OK"), "{after}");
    assert_eq!(lock(&model).books().in_flight, 0);
}

#[tokio::test]
async fn streams_that_clients_leave_end_and_only_their_output_so_far_is_charged() {
    let (server, model) =
        start(Latency { first_token: Duration::ZERO, tokens_per_second: 50.0, ..Latency::ZERO }).await;
    let mut body = good_body();
    body["stream"] = json!(true);

    let mut streams = Vec::new();
    for _ in 0..50 {
        let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
        stream.write_all(&request(&body.to_string())).await.expect("sent");
        streams.push(stream);
    }
    for stream in &mut streams {
        stream.read_exact(&mut [0; 64]).await.expect("the head");
    }
    let during = lock(&model).books().in_flight;
    drop(streams);
    while lock(&model).books().in_flight > 0 {
        tokio::task::yield_now().await;
    }

    let model = lock(&model);
    let books = model.books();
    assert_eq!((during, books.billed_calls, books.billed_and_lost), (50, 50, 50));
    assert!(books.billed.output_tokens < 50 * 200, "{} tokens", books.billed.output_tokens);
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a-z]{0,8}".prop_map(Value::from),
        prop::sample::select(vec![
            "user",
            "assistant",
            "tool",
            "any",
            "enabled",
            "adaptive",
            "ephemeral",
            "object",
            "array"
        ])
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let name = prop::sample::select(vec![
            "type",
            "text",
            "name",
            "ttl",
            "budget_tokens",
            "content",
            "role",
            "items",
            "minItems",
            "properties",
            "minimum",
            "required",
            "$ref",
            "anyOf",
            "multipleOf",
            "minLength",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((name, inner), 0..4)
                .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()),
        ]
    })
}

fn good_body() -> Value {
    json!({
        "model": "claude-haiku-4-5",
        "max_tokens": 4_000,
        "system": "Be brief.",
        "messages": [
            {"role": "user", "content": "Weather?"},
            {"role": "user", "content": [{"type": "text", "text": "In Lyon.", "cache_control": {"type": "ephemeral"}}]}
        ],
        "tools": [{"name": "weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}}],
        "tool_choice": {"type": "auto"},
        "thinking": {"type": "disabled"},
    })
}

fn config() -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(1_000, 450_000, 90_000))
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(200))
}

#[derive(Debug)]
struct Answer {
    status: u16,
    request_id: String,
    body: Value,
}

/// Sends a request to a new simulated API, without sockets.
fn ask(method: &Method, path: &str, query: Option<&str>, headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
    let pairs = headers
        .iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a header's value")));
    let headers: HeaderMap = pairs.collect();
    let mut model = Model::new(config());
    let mut arrival = model.arrive(&Request { method, path, query, headers: &headers, body }, Instant::ZERO);
    let head = model.head(&mut arrival, Instant::ZERO);
    let bytes: Vec<u8> = arrival
        .body
        .iter()
        .flat_map(|step| match step {
            Step::Bytes { bytes, .. } => bytes.to_vec(),
            Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
        })
        .collect();
    let request_id = head.headers.get("request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    Answer { status: head.status, request_id, body: serde_json::from_slice(&bytes).unwrap_or(Value::Null) }
}

/// Checks an answer. A good answer is JSON. An error has the form of the API's errors, and the request id in its body
/// is the same as in its headers.
fn is_of_the_api(answer: &Answer) -> Result<(), TestCaseError> {
    prop_assert!(answer.body.is_object(), "{:?}", answer);
    prop_assert!(answer.request_id.starts_with("req_"), "{:?}", answer);
    if answer.status == 200 {
        return Ok(());
    }
    prop_assert!([400, 401, 403, 404, 405, 413, 429].contains(&answer.status), "{:?}", answer);
    prop_assert_eq!(&answer.body["type"], "error");
    prop_assert!(answer.body["error"]["type"].as_str().is_some_and(|kind| kind.ends_with("_error")), "{:?}", answer);
    prop_assert!(answer.body["error"]["message"].as_str().is_some_and(|words| !words.is_empty()), "{:?}", answer);
    prop_assert_eq!(answer.body["request_id"].as_str(), Some(answer.request_id.as_str()));
    Ok(())
}

async fn start(latency: Latency) -> (SimServer, SharedModel) {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    SimServer::serve(config().with_latency(latency), address).await.expect("a free port")
}

fn request(body: &str) -> Vec<u8> {
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

async fn send(server: &SimServer, body: &str) -> String {
    let mut stream = TcpStream::connect(server.address()).await.expect("a connection");
    stream.write_all(&request(body)).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}
