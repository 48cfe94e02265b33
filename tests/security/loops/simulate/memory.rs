//! Tests clients that try to use up the simulator's memory. These clients use new keys, models, ids and prompts all the
//! time, or send bodies that never end.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, Organizations, SimConfig};
use claude_batch::sim::model::{Model, Request};
use http::{HeaderMap, HeaderValue, Method};

use super::super::super::page::{Seen, Size};
use super::super::super::support::quick;
use super::wire::{Simulator, ask, connect, message, message_of, prompt};

/// The number of connections, and the number of requests that each connection has in flight.
const CLIENTS: u64 = 4;
const PIPELINED: u64 = 50;

pub fn page(size: Size) -> Vec<Seen> {
    let mut seen = vec![many_names(size), many_bodies(size), many_heads(size)];
    if size == Size::Full {
        seen.extend([many_organizations(), many_running()]);
    }
    seen
}

/// Sends requests with more and more keys. Each key belongs to an organization of its own, with a limit of one request
/// a minute.
fn many_organizations() -> Seen {
    let config =
        SimConfig { organizations: Organizations::PerKey, ..quick() }.with_limits(RateLimits::new(1, 9_999, 9_999));
    let mut model = Model::new(config);
    let statuses: Vec<u16> = (0..30_000).map(|number| arrive(&mut model, number, &number.to_string())).collect();
    let (own, late) = statuses.split_at(20_000);
    assert!(own.iter().all(|status| *status == 200), "each of the first organizations has limits of its own");
    assert_eq!(
        late.iter().filter(|status| **status == 200).count(),
        1,
        "the later organizations share one set of limits"
    );
    Seen::new(
        "organizations",
        "20,000 have limits of their own; all later ones share one set of limits",
        format!("{} keys", statuses.len()),
    )
}

/// Sends many requests whose answers take long, and does not wait for the answers.
fn many_running() -> Seen {
    let mut model =
        Model::new(quick().with_latency(Latency { first_token: Duration::from_secs(3_600), ..Latency::ZERO }));
    let statuses: Vec<u16> = (0..110_000).map(|number| arrive(&mut model, number, "k")).collect();
    let refused = statuses.iter().filter(|status| **status == 529).count();
    assert_eq!((statuses.len(), refused), (110_000, 10_000));
    model.reset(Instant::ZERO);
    assert_eq!(arrive(&mut model, 0, "k"), 200, "a reset removes the running calls");
    Seen::new(
        "calls that run at the same time",
        "at most 100,000 run, further requests are answered with 529",
        format!("{} asked, {refused} refused", statuses.len()),
    )
}

fn arrive(model: &mut Model, number: u64, key: &str) -> u16 {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_str(key).expect("a header"));
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    let (body, path) = (prompt(&number.to_string()), "/v1/messages");
    let request = Request { method: &Method::POST, path, query: None, headers: &headers, body: body.as_bytes() };
    let arrival = model.arrive(&request, Instant::ZERO);
    // If the simulator accepts a call, the reply begins later, with status 200.
    arrival.head.map_or(200, |head| head.status)
}

fn many_names(size: Size) -> Seen {
    let simulator = Simulator::start(&["--tier", "none", "--any-model", "--key-limits", "--rpm", "1000000"]);
    let (count, before) = (size.pick(2_000, 100_000), simulator.peak_mb());
    let address = simulator.address;
    let clients: Vec<_> =
        (0..CLIENTS).map(|own| std::thread::spawn(move || ask_many(address, own, count / CLIENTS))).collect();
    clients.into_iter().for_each(|client| client.join().expect("every request is answered"));
    let peak = simulator.peak_mb();
    let stats = simulator.stats();
    assert_eq!(stats["requests"], count, "each arrived");
    let ids = stats["by_id"].as_object().map_or(0, serde_json::Map::len) as u64;
    assert!(ids >= count * 3 / 4, "most requests were admitted, so their ids are in the statistics: {ids}");
    let grown = grown(before, peak, 192);
    let what = "requests, each with its own key, `user_id` of 256 letters, cached prefix and prompt; every fourth also with its own model";
    Seen::new(what, "peak memory grows by at most 192 MB", format!("{count} requests, {grown}"))
}

/// Asserts that the peak memory grew by at most `most_mb`. Returns this growth as text.
fn grown(before: Option<u64>, after: Option<u64>, most_mb: u64) -> String {
    let Some((before, after)) = before.zip(after) else {
        return "not measured: the system does not report it".to_owned();
    };
    assert!(after - before <= most_mb, "from {before} to {after} MB, at most {most_mb} more are allowed");
    format!("{} MB", after - before)
}

fn ask_many(address: SocketAddr, own: u64, count: u64) {
    let mut stream = connect(address);
    let mut done = 0;
    while done < count {
        let now = PIPELINED.min(count - done);
        let requests: Vec<u8> = (done..done + now).flat_map(|number| odd_request(own, number)).collect();
        stream.write_all(&requests).expect("sent");
        read_answers(&mut stream, now);
        done += now;
    }
}

fn odd_request(own: u64, number: u64) -> Vec<u8> {
    let name = format!("{own}-{number}");
    let text = format!("{name} {}", "long ".repeat(if number % 20 == 1 { 5_000 } else { 10 }));
    // The simulator accepts only a limited number of unknown models. The other requests use a known model, so that the
    // later checks are not affected.
    let model = if number.is_multiple_of(4) {
        format!("model-{name}-{}", "m".repeat(200))
    } else {
        "claude-haiku-4-5".to_owned()
    };
    let body = serde_json::json!({
        "model": model,
        "max_tokens": 16,
        "system": [{ "type": "text", "text": text, "cache_control": { "type": "ephemeral" } }],
        "metadata": { "user_id": format!("{name:x>256}") },
        "messages": [{ "role": "user", "content": name }],
    });
    message_of(&format!("authorization: Bearer {name}"), "host: localhost", &body.to_string())
}

/// Reads `count` answers of any kind.
fn read_answers(stream: &mut TcpStream, count: u64) {
    let (mut text, mut some, mut found) = (Vec::new(), vec![0; 1 << 16], 0);
    while found < count {
        let read = stream.read(&mut some).expect("an answer");
        assert!(read > 0, "the connection stays open");
        text.extend_from_slice(&some[..read]);
        const BEGINNING: &[u8] = b"HTTP/1.1 ";
        found = text.windows(BEGINNING.len()).filter(|part| *part == BEGINNING).count() as u64;
    }
    // The last answer is complete when its body ends with a brace, because the body is JSON.
    while text.last() != Some(&b'}') {
        let read = stream.read(&mut some).expect("the rest of an answer");
        text.extend_from_slice(&some[..read]);
    }
}

fn many_bodies(size: Size) -> Seen {
    let simulator = Simulator::start(&[]);
    let (count, before) = (size.pick(14, 64), simulator.peak_mb());
    let held: Vec<TcpStream> = (0..count).map(|_| begin_body(simulator.address)).collect();
    let during = ask_message(&simulator);
    assert!([200, 529].contains(&during), "{during}");
    let grown = grown(before, simulator.peak_mb(), 256 + 64);
    drop(held);
    // The simulator frees the memory after it notices that its clients have disconnected.
    while ask_message(&simulator) != 200 {
        std::thread::yield_now();
    }
    Seen::new(
        "bodies of 32 MB, of which the clients send 30 MB and not the rest",
        "peak memory grows by at most 320 MB; after these clients are gone, other clients are answered",
        format!("{count} bodies, {grown}"),
    )
}

fn ask_message(simulator: &Simulator) -> u16 {
    ask(simulator.address, &message("host: localhost\r\nconnection: close", &prompt("Hi"))).status
}

/// Sends the headers of a request and most of its body.
fn begin_body(address: SocketAddr) -> TcpStream {
    let mut stream = connect(address);
    stream.set_write_timeout(Some(Duration::from_secs(60))).expect("a timeout can be set");
    let head = format!("POST /v1/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n", 32 << 20);
    stream.write_all(head.as_bytes()).expect("sent");
    let piece = vec![b' '; 1 << 20];
    (0..30).for_each(|_| stream.write_all(&piece).expect("the server reads the body, even if it drops it"));
    stream
}

fn many_heads(size: Size) -> Seen {
    let simulator = Simulator::start(&[]);
    let (count, before) = (size.pick(200, 800), simulator.peak_mb());
    let begin = |long: usize| {
        let mut stream = connect(simulator.address);
        let head = format!("GET /__sim/stats HTTP/1.1\r\nhost: localhost\r\nx-long: {}", "x".repeat(long));
        // If the headers are too long, the server can reject them before all of them are sent.
        let _ = stream.write_all(head.as_bytes());
        stream
    };
    let held: Vec<TcpStream> = (0..count).map(|_| begin(31 << 10)).collect();
    let mut refused = Vec::new();
    // The error response can be lost, because the server resets the connection if it has not read everything.
    let _ = begin(64 << 10).read_to_end(&mut refused);
    assert!(refused.is_empty() || refused.starts_with(b"HTTP/1.1 431"), "{:?}", String::from_utf8_lossy(&refused));
    let grown = grown(before, simulator.peak_mb(), 64);
    assert_eq!(held.len(), count);
    Seen::new(
        "headers of 31 KB that never end, and headers of 64 KB",
        "peak memory grows by at most 64 MB; the headers of 64 KB are refused",
        format!("{count} heads, {grown}"),
    )
}
