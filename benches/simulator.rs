//! Measures how many small answers per second the simulator gives on one core. Also measures how much memory the
//! simulator needs in a soak (a very long run).
//!
//! Run this benchmark with `cargo bench --bench simulator`. On Linux, speed is measured by the processor time of the
//! thread that answers. So the time of the client and of other programs on the machine is not measured. The soak runs
//! first, because the system reports the peak memory since the start of the process. If other measurements ran before
//! the soak, this peak would include their memory.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant as Wall};

use claude_batch::clock::Instant;
use claude_batch::domain::RateLimits;
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::{Ending, Model, Request};
use claude_batch::sim::presets;
use claude_batch::sim::server::SimServer;
use claude_batch::sim::transport::lock;
use http::{HeaderMap, HeaderValue, Method};

/// The number of answers in the soak. The simulator's records can distinguish at most a million request bodies. So the
/// records are full after the first million requests.
const SOAK: u64 = 2_000_000;
/// The number of answers in the measurement over HTTP.
const SERVED: u64 = 60_000;
/// The number of connections.
const CONNECTIONS: usize = 8;
/// The number of requests that a client sends on a connection before it reads the answers.
const PIPELINED: u64 = 16;

fn main() {
    soak();
    let (answers, by) = model(200_000);
    println!("model:  {answers:>9.0} answers a second, by {by}");
    let (answers, by) = server();
    println!("server: {answers:>9.0} answers a second, by {by}");
}

fn config() -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(u32::MAX, u32::MAX, u32::MAX))
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(16))
}

fn body(number: u64) -> String {
    format!(
        r#"{{"model":"claude-haiku-4-5","max_tokens":64,"metadata":{{"user_id":"row-{number}"}},"messages":[{{"role":"user","content":"Sort this ticket: the parcel {number} never came."}}]}}"#
    )
}

/// Returns how many answers per second the simulated API gives without HTTP, and the name of the clock that measured
/// the time.
fn model(count: u64) -> (f64, &'static str) {
    let mut model = Model::new(config());
    let bodies: Vec<String> = (0..count).map(body).collect();
    let headers = headers();
    let (before, began) = (processor_time(), Wall::now());
    for (number, body) in (0..).zip(&bodies) {
        ask(&mut model, &headers, body, number);
    }
    let spent = before.zip(processor_time()).map(|(before, after)| after - before);
    rate(count, spent, began.elapsed())
}

/// Returns a rate and the name of the clock that measured the time. Processor time is used where the system reports it.
fn rate(count: u64, spent: Option<Duration>, wall: Duration) -> (f64, &'static str) {
    let by = if spent.is_some() {
        "the processor time of its thread"
    } else {
        "wall time, which other programs may have lengthened"
    };
    (count as f64 / spent.unwrap_or(wall).as_secs_f64(), by)
}

fn headers() -> HeaderMap {
    let pairs = [("x-api-key", "made-up"), ("anthropic-version", "2023-06-01")];
    pairs
        .into_iter()
        .map(|(name, value)| (http::HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect()
}

/// Sends one request and reads its whole answer. Each request is sent a tenth of a millisecond after the previous one.
fn ask(model: &mut Model, headers: &HeaderMap, body: &str, number: u64) {
    let now = Instant::from_nanos(number * 100_000);
    let request = Request { method: &Method::POST, path: "/v1/messages", query: None, headers, body: body.as_bytes() };
    let mut arrival = model.arrive(&request, now);
    let head = model.head(&mut arrival, now);
    assert_eq!(head.status, 200, "every request is answered");
    model.finish(arrival.ticket, Ending::Played, now);
}

/// Returns how many answers per second the server gives over HTTP, and the name of the clock that measured the time.
fn server() -> (f64, &'static str) {
    let (url_in, url) = mpsc::channel();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let (server, model) = SimServer::serve(config(), address).await.expect("a free port");
            url_in.send(server.address()).expect("somebody waits");
            let before = processor_time();
            // If the sender of the channel was dropped, the result is an error, and the server ends.
            let _ = stopped.await;
            let after = processor_time();
            assert_eq!(lock(&model).books().statuses.get(&200), Some(&SERVED), "every request is answered");
            before.zip(after).map(|(before, after)| after - before)
        })
    });
    let address = url.recv().expect("the server starts");
    let began = Wall::now();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|own| std::thread::spawn(move || drive(address, own as u64, SERVED / CONNECTIONS as u64)))
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("the client ends"));
    let wall = began.elapsed();
    stop.send(()).expect("the server waits");
    rate(SERVED, thread.join().expect("the server ends"), wall)
}

/// Runs a small client. The client sends several requests, reads their answers, and repeats this until it has sent
/// `count` requests.
fn drive(address: SocketAddr, own: u64, count: u64) {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let mut received = vec![0; 1 << 16];
    let mut done = 0;
    while done < count {
        let now = PIPELINED.min(count - done);
        let requests: Vec<u8> = (done..done + now).flat_map(|number| request(own * 1_000_000 + number)).collect();
        stream.write_all(&requests).expect("sent");
        let mut text = Vec::new();
        while answers(&text) < now {
            let read = stream.read(&mut received).expect("an answer");
            assert!(read > 0, "the connection stays open");
            text.extend_from_slice(&received[..read]);
        }
        done += now;
    }
}

fn request(number: u64) -> Vec<u8> {
    let body = body(number);
    format!(
        "POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: made-up\r\nanthropic-version: 2023-06-01\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Returns the number of whole answers in a text. Each whole answer contains `END` once.
fn answers(text: &[u8]) -> u64 {
    const END: &[u8] = br#""inference_geo":"global"}}"#;
    text.windows(END.len()).filter(|window| *window == END).count() as u64
}

/// Makes the simulated API give many answers, and prints by how much the memory of the process grew.
fn soak() {
    let mut model = Model::new(config());
    let headers = headers();
    let mut grown = Vec::new();
    let mut last = resident_kib();
    for number in 0..SOAK {
        ask(&mut model, &headers, &body(number), number);
        if (number + 1) % (SOAK / 4) == 0 {
            let resident = resident_kib();
            grown.push(match (last, resident) {
                (Some(before), Some(after)) => format!("{:+.1} MiB", (after as f64 - before as f64) / 1024.0),
                _ => "unknown".to_owned(),
            });
            last = resident;
        }
    }
    println!("soak:   {SOAK} answers, growth of peak memory in each quarter: {}", grown.join(", "));
}

/// Returns the processor time of this thread.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

/// Returns the peak memory of this process.
fn resident_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?.parse().ok()
}
