//! Tests which host names the simulator accepts, and which web pages can send requests to it. The tests generate names,
//! and send them in every part of a request that can contain a host name.

use std::io::Write;
use std::net::SocketAddr;

use super::super::super::page::{Seen, Size};
use super::wire::{Answer, Simulator, ask, connect, message, prompt, rest};

const SEED: u64 = 20_261_126;

pub fn page(size: Size) -> Vec<Seen> {
    let simulator = Simulator::start(&[]);
    let count = size.pick(500, 10_000);
    let mut rng = fastrand::Rng::with_seed(SEED);
    let mut answered = 0;
    for number in 0..count {
        let (local, foreign) = (local_host(&mut rng), foreign_host(&mut rng));
        for way in WAYS {
            let (good, bad) = (by(simulator.address, way, &local), by(simulator.address, way, &foreign));
            assert_eq!(good.status, 200, "seed {SEED}, {number}, {way:?}: {local:?} is this machine: {}", good.text());
            assert!([400, 403].contains(&bad.status), "seed {SEED}, {number}, {way:?}: {foreign:?}: {bad:?}");
            assert!(!good.has_cors() && !bad.has_cors(), "seed {SEED}, {number}, {way:?}");
            answered += 1;
        }
    }
    let by_h2 = over_http2(&simulator, &mut rng, size.pick(100, 1_000));
    let by_origin = origins(&simulator, &mut rng, size.pick(300, 5_000));
    let odd = odd_heads(&simulator);
    let stats = simulator.stats();
    assert_eq!(stats["requests"], 2 * by_origin.0, "refused requests are not counted: {stats}");
    vec![
        Seen::new(
            "hosts in `Host`, absolute targets and `:authority`, which mean this machine or another machine",
            "only hosts that mean this machine are answered, all others are refused (400, 403); no CORS header",
            format!("{} answered, {} refused", answered + by_h2, answered + by_h2),
        ),
        Seen::new(
            "`Origin` and `Sec-Fetch-Site` of messages and resets",
            "other origins and `null` are refused (403) and not counted; no CORS header",
            format!("{} requests of local origins answered, {} of others refused", 3 * by_origin.0, by_origin.1),
        ),
        Seen::new(
            "missing, repeated and contradictory hosts; web forms that send a reset",
            "all refused",
            format!("{odd} refused"),
        ),
    ]
}

#[derive(Clone, Copy, Debug)]
enum Way {
    Host,
    AbsoluteTarget,
    HostOfAbsoluteTarget,
    OldVersion,
}

const WAYS: [Way; 4] = [Way::Host, Way::AbsoluteTarget, Way::HostOfAbsoluteTarget, Way::OldVersion];

fn by(address: SocketAddr, way: Way, host: &[u8]) -> Answer {
    let path = b"/__sim/stats".as_slice();
    let (target, named, version): (Vec<u8>, &[u8], &[u8]) = match way {
        Way::Host => (path.to_vec(), host, b"1.1"),
        Way::AbsoluteTarget => ([b"http://", host, path].concat(), b"localhost", b"1.1"),
        Way::HostOfAbsoluteTarget => ([b"http://localhost", path].concat(), host, b"1.1"),
        Way::OldVersion => (path.to_vec(), host, b"1.0"),
    };
    let lines = [b"GET ", &*target, b" HTTP/", version, b"\r\nHost: ", named, b"\r\nConnection: close\r\n\r\n"];
    ask(address, &lines.concat())
}

fn pick<'a>(rng: &mut fastrand::Rng, all: &[&'a str]) -> &'a str {
    all[rng.usize(..all.len())]
}

/// Returns a name that consists of letters and digits.
fn label(rng: &mut fastrand::Rng) -> String {
    (0..1 + rng.usize(..12)).map(|_| rng.alphanumeric()).collect()
}

fn any_case(rng: &mut fastrand::Rng, text: &str) -> String {
    text.chars().map(|letter| if rng.bool() { letter.to_ascii_uppercase() } else { letter }).collect()
}

fn port(rng: &mut fastrand::Rng) -> String {
    if rng.bool() { String::new() } else { format!(":{}", rng.u16(..)) }
}

fn local_host(rng: &mut fastrand::Rng) -> Vec<u8> {
    let dot = if rng.bool() { "." } else { "" };
    let name = match rng.u8(..4) {
        0 => any_case(rng, "localhost") + dot,
        1 => format!("{}.{}{dot}", label(rng), any_case(rng, "localhost")),
        2 => format!("127.{}.{}.{}{dot}", rng.u8(..), rng.u8(..), rng.u8(..)),
        _ => "[::1]".to_owned(),
    };
    (name + &port(rng)).into_bytes()
}

/// Returns a host that is not this machine. Many of these hosts look like names of this machine.
fn foreign_host(rng: &mut fastrand::Rng) -> Vec<u8> {
    let local = String::from_utf8(local_host(rng)).expect("the name is ASCII");
    let name = local.split(':').next().filter(|name| !name.starts_with('[')).unwrap_or("localhost").to_owned();
    let other = match rng.u8(..14) {
        0 => format!("{}.example.invalid", label(rng)),
        1 => format!("{}.example.invalid", name.trim_end_matches('.')),
        2 => format!("{}{}", label(rng), any_case(rng, "localhost")),
        3 => format!(
            "{}.{}.{}.{}",
            [0, 1, 10, 126, 128, 169, 192, 255][rng.usize(..8)],
            rng.u8(..),
            rng.u8(..),
            rng.u8(..)
        ),
        4 => pick(rng, &["0177.0.0.1", "0x7f.0.0.1", "127.1", "2130706433", "0", "127.0.0.256", "127.0.0.1.1"])
            .to_owned(),
        5 => format!("[{:x}::{:x}]", rng.u16(2..), rng.u16(..)),
        6 => {
            pick(rng, &["[::]", "[::ffff:127.0.0.1]", "[::127.0.0.1]", "[::1%251]", "[::1", "::1", "[::2]"]).to_owned()
        }
        7 => format!("{}@{name}", label(rng)),
        8 => format!("{name}..example.invalid"),
        9 => format!("{}..localhost", label(rng)),
        10 => format!("{name}%2eexample.invalid"),
        11 => format!("localhost:{}x", rng.u16(..)),
        12 => format!("{name},example.invalid"),
        _ => format!("{}.localhost.{}", label(rng), label(rng)),
    };
    let mut bytes = (other + if rng.u8(..3) == 0 { ":8080" } else { "" }).into_bytes();
    if bytes.len() > 1 && rng.u8(..8) == 0 {
        // A byte that a host name can't contain is inserted into the name. The changed name is never a name of this
        // machine.
        let at = rng.usize(1..bytes.len());
        bytes.insert(at, [b'\\', b'|', b'^', 0x80, 0xC3, 0xFF, b'"', b'<'][rng.usize(..8)]);
    }
    bytes
}

/// Sends requests with `:authority` over HTTP/2. Half of the requests have a local host, and half have a foreign host.
/// Returns the number of requests in each half.
fn over_http2(simulator: &Simulator, rng: &mut fastrand::Rng, count: u64) -> u64 {
    for number in 0..count {
        let (local, foreign) = (local_host(rng), foreign_host(rng));
        let (good, bad) = (http2(simulator.address, &local), http2(simulator.address, &foreign));
        let holds = |bytes: &[u8], text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(holds(&good, "\"too_early\""), "seed {SEED}, {number}: {:?}", String::from_utf8_lossy(&local));
        assert!(!holds(&bad, "\"too_early\""), "seed {SEED}, {number}: {:?}", String::from_utf8_lossy(&foreign));
    }
    count
}

/// Sends one request over HTTP/2 and returns every byte that comes back.
fn http2(address: SocketAddr, authority: &[u8]) -> Vec<u8> {
    let frame = |kind: u8, flags: u8, stream: u8, payload: &[u8]| {
        let length = u32::try_from(payload.len()).expect("the payload is short").to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
    };
    // Each HTTP/2 header is written as a literal, without a table and without a Huffman code.
    let literal = |name: &[u8], value: &[u8]| {
        let length =
            |bytes: &[u8]| u8::try_from(bytes.len()).ok().filter(|length| *length < 127).expect("the text is short");
        [&[0, length(name)], name, &[length(value)], value].concat()
    };
    let headers = [
        literal(b":method", b"GET"),
        literal(b":scheme", b"http"),
        literal(b":path", b"/__sim/stats"),
        literal(b":authority", authority),
    ];
    let go_away = frame(7, 0, 0, &[0; 8]);
    let all =
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(4, 0, 0, b""), frame(1, 5, 1, &headers.concat()), go_away];
    let mut stream = connect(address);
    stream.write_all(&all.concat()).expect("sent");
    rest(&mut stream)
}

/// Sends requests with an `origin` header. Returns the number of local origins, and the number of requests that were
/// refused.
fn origins(simulator: &Simulator, rng: &mut fastrand::Rng, count: u64) -> (u64, u64) {
    let address = simulator.address;
    let reset =
        |lines: &str| format!("POST /__sim/reset HTTP/1.1\r\n{lines}\r\ncontent-length: 0\r\n\r\n").into_bytes();
    let options = |lines: &str| format!("OPTIONS /v1/messages HTTP/1.1\r\n{lines}\r\n\r\n").into_bytes();
    let mut refused = 0;
    for number in 0..count {
        for cross in ["", "\r\nsec-fetch-site: cross-site", "\r\nSec-Fetch-Site:  Cross-Site "] {
            let origin = if cross.is_empty() { foreign_origin(rng) } else { local_origin(rng) };
            let lines = [b"host: localhost\r\nconnection: close\r\norigin: ", &*origin, cross.as_bytes()].concat();
            let lines = String::from_utf8_lossy(&lines);
            for request in [message(&lines, &prompt("Hi")), reset(&lines), options(&lines)] {
                let answer = ask(address, &request);
                assert_eq!(answer.status, 403, "seed {SEED}, {number}: {lines:?}: {answer:?}");
                assert!(!answer.has_cors(), "seed {SEED}, {number}: {answer:?}");
                refused += 1;
            }
        }
    }
    // A reset clears the records of the simulator, so the reset is sent before the requests that are counted.
    let local = |rng: &mut fastrand::Rng| {
        let origin = String::from_utf8(local_origin(rng)).expect("the name is ASCII");
        format!("host: localhost\r\nconnection: close\r\norigin: {origin}\r\nsec-fetch-site: same-site")
    };
    for _ in 0..count {
        let answer = ask(address, &reset(&local(rng)));
        assert!(answer.status == 200 && !answer.has_cors(), "{answer:?}");
    }
    for _ in 0..count {
        for request in [message(&local(rng), &prompt("Hi")), options(&local(rng))] {
            let answer = ask(address, &request);
            assert!([200, 401, 429].contains(&answer.status) && !answer.has_cors(), "{answer:?}");
        }
    }
    (count, refused)
}

fn local_origin(rng: &mut fastrand::Rng) -> Vec<u8> {
    let scheme = pick(rng, &["http://", "https://"]);
    let scheme = any_case(rng, scheme);
    [scheme.into_bytes(), local_host(rng)].concat()
}

fn foreign_origin(rng: &mut fastrand::Rng) -> Vec<u8> {
    match rng.u8(..4) {
        0 => b"null".to_vec(),
        1 => {
            let scheme = pick(rng, &["file://", "chrome-extension://", "data:", "", "//", "ws://", "http:/"]);
            [scheme.as_bytes(), &local_host(rng)].concat()
        }
        // The test sends header lines as text. `foreign_host` can return bytes that are not ASCII. Such bytes are
        // removed.
        _ => {
            [b"https://".to_vec(), foreign_host(rng).into_iter().filter(u8::is_ascii).collect(), b"x".to_vec()].concat()
        }
    }
}

/// Sends request lines and headers that no ordinary program sends. Returns how many of these requests the simulator
/// rejected.
fn odd_heads(simulator: &Simulator) -> usize {
    let none = "";
    let form = |kind: &str| format!("host: localhost\r\ncontent-type: {kind}\r\n");
    let cases: Vec<(&str, &str, String)> = vec![
        ("GET", "/__sim/stats", none.to_owned()),
        ("GET", "http://localhost/__sim/stats", none.to_owned()),
        ("GET", "/__sim/stats", "host: localhost\r\nhost: localhost\r\n".to_owned()),
        ("GET", "/__sim/stats", "host: localhost\r\nhost: example.invalid\r\n".to_owned()),
        ("GET", "/__sim/stats", "host: \r\n".to_owned()),
        ("GET", "http://localhost/__sim/stats", "host: example.invalid\r\n".to_owned()),
        ("GET", "http://example.invalid/__sim/stats", "host: localhost\r\n".to_owned()),
        ("GET", "http://localhost@example.invalid/__sim/stats", "host: localhost\r\n".to_owned()),
        ("CONNECT", "example.invalid:80", "host: localhost\r\n".to_owned()),
        ("POST", "/__sim/reset", form("application/x-www-form-urlencoded")),
        ("POST", "/__sim/reset", form("multipart/form-data; boundary=x")),
        ("POST", "/__sim/reset", form("Text/Plain;charset=UTF-8")),
        ("POST", "/__sim/reset", form("application/json\r\ncontent-type: text/plain")),
        ("POST", "/__sim/reset", "host: localhost\r\norigin: http://localhost\r\norigin: null\r\n".to_owned()),
    ];
    for (method, target, headers) in &cases {
        let request = format!("{method} {target} HTTP/1.1\r\n{headers}connection: close\r\n\r\n");
        let answer = ask(simulator.address, request.as_bytes());
        assert!([400, 403, 415].contains(&answer.status), "{request:?}: {answer:?}");
        assert!(!answer.has_cors(), "{request:?}: {answer:?}");
    }
    cases.len()
}
