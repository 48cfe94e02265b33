//! Tests servers that send too much. Measures the peak memory of the real program, as the system reports it.
//!
//! Each kind of server answers every request in its own way. The program must stop reading endless bodies. If the
//! program does not stop reading, the server ends the body at a limit, so that no test runs for ever.

use std::fs;
use std::io::{self, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::super::hostile::{Asked, Hostile, Then, response};
use super::super::page::{Seen, Size};
use super::super::support::{CANARY, Folder, rows};

/// The length of an endless body, in bytes. The program never reads a body of this length to its end.
const ENDLESS: usize = 40 << 20;
/// The size of an answer in the short version, in bytes. Sixteen such answers need twice the allowed memory, so the
/// test notices if the program keeps many answers in memory at once.
const SHORT: usize = 5 << 20;
/// A run with 16 requests in flight is allowed to use this much more memory than a run with short answers.
const MOST_OVER_KIB: u64 = 64 << 10;
/// The most memory that the program is allowed to use with 64 requests in flight.
const MOST_KIB: u64 = 300 << 10;
/// The time after which a run counts as hanging.
const LONGEST: Duration = Duration::from_secs(180);

/// A kind of server: its name, whether its answers are good, and the function that writes an answer of about the given
/// number of bytes.
struct Kind(&'static str, Answers, fn(&mut TcpStream, usize) -> io::Result<()>);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Answers {
    Good,
    Bad,
}

const KINDS: &[Kind] = &[
    Kind("an endless body of text", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"type\":\"message\",\"x\":\"")?;
        repeat(to, b"x", most)
    }),
    Kind("a body of opening brackets", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")?;
        repeat(to, b"[", most)
    }),
    Kind("a body in chunks of one byte", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
        repeat(to, b"1\r\n{\r\n", most)
    }),
    Kind("a length of a terabyte", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1099511627776\r\n\r\n{")?;
        repeat(to, b" ", most)
    }),
    Kind("a body that inflates a thousandfold", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n")?;
        to.write_all(&bomb(most))
    }),
    Kind("endless headers", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\n")?;
        repeat(to, b"x-more: yes yes yes yes yes yes yes\r\n", most)
    }),
    Kind("one endless header", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\nx-more: ")?;
        repeat(to, b"y", most)
    }),
    Kind("endless interim responses", Answers::Bad, |to, most| {
        repeat(to, b"HTTP/1.1 103 Early Hints\r\nlink: </x>; rel=preload\r\n\r\n", most)
    }),
    Kind("an endless error body", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n\r\n[0")?;
        repeat(to, b",0", most)
    }),
    Kind("one line of a stream without end", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(b"data: {\"type\":\"message_start\",\"x\":\"")?;
        repeat(to, b"x", most)
    }),
    Kind("a stream of comments", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        repeat(to, b": keep me\n", most)
    }),
    Kind("a stream of pings", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        repeat(to, b"data: {\"type\":\"ping\"}\n\n", most)
    }),
    Kind("an event of many short lines", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        repeat(to, b"data: x\n", most)
    }),
    Kind("a stream of content blocks", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(START)?;
        numbered(to, most, |at| {
            format!("data: {{\"type\":\"content_block_start\",\"index\":{at},\"content_block\":{{}}}}\n\n")
        })
    }),
    Kind("deltas that each bring another member", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(START)?;
        to.write_all(BLOCK)?;
        numbered(to, most, |at| {
            format!("data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"n{at}\":\"\"}}}}\n\n")
        })
    }),
    Kind("a stream of citations", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(START)?;
        to.write_all(BLOCK)?;
        let delta =
            br#"data: {"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":1}}"#;
        repeat(to, &[&delta[..], b"\n\n"].concat(), most)
    }),
    Kind("a stream of text without end", Answers::Bad, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(START)?;
        to.write_all(BLOCK)?;
        repeat(to, text_event(10_000).as_bytes(), most)
    }),
    Kind("an answer nested a million deep", Answers::Bad, |to, _| {
        let deep = format!("{}{}", "[".repeat(1_000_000), "]".repeat(1_000_000));
        to.write_all(&response(200, &[], message(&format!("\"x\":{deep},")).as_bytes()))
    }),
    Kind("an answer that stops in the middle and stays silent", Answers::Bad, |to, most| {
        to.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"x\":\"")?;
        repeat(to, b"x", most.min(30 << 20))?;
        // Reads until the program closes the connection.
        io::copy(&mut to.try_clone()?, &mut io::sink()).map(drop)
    }),
    Kind("good answers of the largest size", Answers::Good, |to, most| {
        to.write_all(&response(200, &[], &long_message(most.min((32 << 20) - 400))))
    }),
    Kind("good answers of the largest size with a line break in every word", Answers::Good, |to, most| {
        let text = long_message(most.min((32 << 20) - 400));
        let pretty: Vec<u8> = text.iter().map(|&byte| if byte == b'\t' { b'\n' } else { byte }).collect();
        to.write_all(&response(200, &[], &pretty))
    }),
    Kind("good answers of a megabyte", Answers::Good, |to, _| {
        to.write_all(&response(200, &[], &long_message(1 << 20)))
    }),
    Kind("good streams of many megabytes", Answers::Good, |to, most| {
        to.write_all(STREAM)?;
        to.write_all(START)?;
        to.write_all(BLOCK)?;
        repeat(to, text_event(100_000).as_bytes(), most.min(15 << 20))?;
        to.write_all(STOP)
    }),
];

const STREAM: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
const START: &[u8] =
    b"data: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\
    \"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\n";
const BLOCK: &[u8] =
    b"data: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n";
const STOP: &[u8] =
    b"data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\n\n\
    data: {\"type\":\"message_stop\"}\n\n";

fn text_event(length: usize) -> String {
    let text = "y".repeat(length);
    format!(
        "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\"text_delta\",\"text\":\"{text}\"}}}}\n\n"
    )
}

fn message(member: &str) -> String {
    format!(
        "{{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",{member}\"content\":[{{\"type\":\"text\",\
         \"text\":\"Hi\"}}],\"stop_reason\":\"end_turn\",\"usage\":{{\"input_tokens\":1,\"output_tokens\":1}}}}"
    )
}

/// Returns a good message of about `bytes` bytes. About half of its bytes are tabs between the JSON tokens; the other
/// half is one long string.
fn long_message(bytes: usize) -> Vec<u8> {
    let half = bytes / 2;
    message(&format!("{}\"x\":\"{}\",", "\t".repeat(half - 300), "z".repeat(half))).into_bytes()
}

/// Writes a piece of data again and again, up to about `bytes` bytes in total.
fn repeat(to: &mut TcpStream, piece: &[u8], bytes: usize) -> io::Result<()> {
    let many = piece.repeat((64 << 10) / piece.len() + 1);
    (0..bytes.div_ceil(many.len())).try_for_each(|_| to.write_all(&many))
}

fn numbered(to: &mut TcpStream, bytes: usize, piece: impl Fn(usize) -> String) -> io::Result<()> {
    let (mut at, mut sent) = (0, 0);
    while sent < bytes {
        let many: String = (at..at + 500).map(&piece).collect();
        to.write_all(many.as_bytes())?;
        (at, sent) = (at + 500, sent + many.len());
    }
    Ok(())
}

/// Returns a gzip file that decompresses to `bytes` bytes, all of one letter. The file is one block of Huffman codes.
/// In this block, 13 bits stand for 258 letters.
fn bomb(bytes: usize) -> Vec<u8> {
    let mut out = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3];
    let (mut bits, mut count) = (0_u64, 0);
    let mut put = |value: u64, length: u32, out: &mut Vec<u8>| {
        bits |= value << count;
        count += length;
        while count >= 8 {
            out.push(bits as u8);
            bits >>= 8;
            count -= 8;
        }
    };
    // The data begins with the header of a block. This block has fixed codes, and is not the last block. The letter x
    // follows.
    put(0b010, 3, &mut out);
    put(u64::from((b'x' + 0x30).reverse_bits()), 8, &mut out);
    for _ in 0..bytes / 258 {
        // This code means: repeat the previous letter 258 times.
        put(u64::from(0b1100_0101_u8.reverse_bits()), 8, &mut out);
        put(0, 5, &mut out);
    }
    out
}

/// The result of a run.
struct Ran {
    code: Option<i32>,
    peak_kib: u64,
    took: Duration,
    err: String,
    folder: Folder,
}

/// Runs the program with `at_once` rows, which are all in flight at once.
fn run(url: &str, at_once: usize, stream: bool) -> Ran {
    let folder = Folder::new();
    folder.write("in.jsonl", &rows(at_once));
    let concurrency = at_once.to_string();
    let mut command = folder.command(&[
        "run",
        "in.jsonl",
        "-o",
        "out.jsonl",
        "--progress",
        "none",
        "--tier",
        "none",
        "-c",
        &concurrency,
        "--base-url",
        url,
        "--max-requests",
        &concurrency,
        "--halt",
        "never",
        "--timeout",
        "60s",
        "--idle-timeout",
        "2s",
    ]);
    command.args(["--stream", if stream { "on" } else { "off" }]).env("ANTHROPIC_API_KEY", CANARY);
    // Standard error is written to a file, because a pipe would have to be read during the run.
    let log = fs::File::create(folder.path("err.txt")).expect("the file can be created");
    let begun = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("the program starts");
    let (code, peak_kib) = watched(&mut child, begun);
    let err = fs::read_to_string(folder.path("err.txt")).unwrap_or_default();
    Ran { code, peak_kib, took: begun.elapsed(), err, folder }
}

/// Waits for the end of the program. Returns the exit code and the peak memory. If the program hangs, the test kills
/// it, and there is no exit code.
fn watched(child: &mut Child, begun: Instant) -> (Option<i32>, u64) {
    let mut peak = 0;
    loop {
        peak = peak.max(high_water_kib(child));
        match child.try_wait().expect("the state of the process can be read") {
            Some(status) => return (status.code(), peak),
            None if begun.elapsed() > LONGEST => {
                child.kill().expect("the process exists");
                child.wait().expect("the program ends");
                return (None, peak);
            }
            // This sleep sets how often memory is measured. The purpose of this sleep is not to wait for an event.
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    }
}

fn high_water_kib(child: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    most.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

/// Runs the program against one kind of server, and asserts that every row has a line that common parsers can read.
fn against(kind: &Kind, at_once: usize, bytes: usize) -> Ran {
    let Kind(name, answers, write) = kind;
    let write = *write;
    let server = Hostile::new(move |_: &Asked, to: &mut TcpStream| {
        to.set_write_timeout(Some(Duration::from_secs(120)))?;
        write(to, bytes).map(|()| Then::Close)
    });

    let ran = run(&server.url, at_once, name.contains("stream"));

    let is_good = *answers == Answers::Good;
    // The test allows only one request for each row, so a row that needs a retry is left for the next run.
    let codes: &[i32] = if is_good { &[0] } else { &[3, 4, 6] };
    let is_ended = ran.code.is_some_and(|code| codes.contains(&code));
    assert!(is_ended, "{name}, {at_once} at once, {:?} after {:.1?}: {}", ran.code, ran.took, ran.err);
    assert!(!ran.err.contains("panicked") && server.requests() == at_once as u64, "{name}: {}", ran.err);
    let log = ran.folder.path(if is_good { "out.jsonl" } else { "out.errors.jsonl" });
    let lines = fs::read_to_string(log).unwrap_or_default();
    assert!(!is_good || lines.lines().count() == at_once, "{name}: every answer is kept");
    for line in lines.lines() {
        let is_read = serde_json::from_str::<serde_json::Value>(line).is_ok();
        assert!(is_read, "{name}: {}", line.chars().take(300).collect::<String>());
        assert!(*answers == Answers::Good || line.len() < 8 << 10, "{name}: an entry of {} bytes", line.len());
    }
    ran
}

/// Runs the program against a server that sends short answers. Returns the peak memory.
fn plain_kib(at_once: usize) -> u64 {
    let server = Hostile::always(response(200, &[], message("").as_bytes()));
    let ran = run(&server.url, at_once, false);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    ran.peak_kib
}

/// Runs this loop. Returns the results as lines for `benches/SECURITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let bytes = size.pick(SHORT, ENDLESS);
    let plain = plain_kib(16);
    if plain == 0 {
        let told = "not run: memory is read from /proc".to_owned();
        return vec![Seen::new(
            "hostile servers, 16 and 64 requests in flight",
            "at most 64 MB more than a run with short answers; at most 300 MB in all",
            told,
        )];
    }
    // The short version tests one hostile server for each way in which the program keeps data in memory. Without
    // optimization, all kinds together would take minutes.
    let shared = |name: &str| {
        ["text", "brackets", "headers", "inflates", "without end", "largest size", "many megabytes"]
            .iter()
            .any(|part| name.contains(part))
    };
    let kinds: Vec<&Kind> = KINDS.iter().filter(|Kind(name, ..)| size == Size::Full || shared(name)).collect();
    let (over, worst) = worst_of(&kinds, 16, bytes, plain + MOST_OVER_KIB);
    let mut seen = vec![Seen::new(
        "servers that send too much, 16 requests in flight (real program)",
        "at most 64 MB more than a run with short answers",
        format!(
            "{} kinds, {} MB an answer: at most {} MB more than the {} MB of a run with short answers (worst: {worst}) \
             ({})",
            kinds.len(),
            bytes >> 20,
            (over.saturating_sub(plain)) >> 10,
            plain >> 10,
            profile(),
        ),
    )];
    if size == Size::Full {
        let (most, worst) = worst_of(&kinds, 64, bytes, MOST_KIB);
        seen.push(Seen::new(
            "servers that send too much, 64 requests in flight",
            "at most 300 MB in all",
            format!("{} kinds: at most {} MB (worst: {worst})", kinds.len(), most >> 10),
        ));
    }
    seen
}

/// Tries all kinds of servers. Returns the highest peak memory, and the name of the kind of server that caused it.
fn worst_of(kinds: &[&Kind], at_once: usize, bytes: usize, most_kib: u64) -> (u64, &'static str) {
    let all = kinds.iter().map(|kind| {
        let ran = against(kind, at_once, bytes);
        eprintln!("  {at_once} at once, {}: {} MB in {:.1?}", kind.0, ran.peak_kib >> 10, ran.took);
        (ran.peak_kib, kind.0)
    });
    let worst = all.max().expect("there are kinds");
    assert!(worst.0 <= most_kib, "{}: {} MB, {at_once} at once", worst.1, worst.0 >> 10);
    worst
}

fn profile() -> &'static str {
    if cfg!(debug_assertions) { "without optimization" } else { "optimized" }
}
