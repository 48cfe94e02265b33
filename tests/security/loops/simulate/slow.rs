//! Tests clients that begin a request and never finish it. The server must disconnect each slow client in bounded time.
//! While slow clients are connected, the server must still answer all other clients.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use claude_batch::clock::RunClock;
use claude_batch::sim::model::Model;
use claude_batch::sim::server::{Bounds, SimServer};

use super::super::super::page::{Seen, Size};
use super::super::super::support::quick;
use super::wire::{Simulator, answer_of, ask, connect, message, prompt, rest};

/// How long a client can stay silent before the server in this process disconnects it.
const QUIET: Duration = Duration::from_millis(300);
/// How much too late the server is allowed to close a connection. Other programs on the machine can cause a delay.
const GRACE: Duration = Duration::from_secs(10);

pub fn page(size: Size) -> Vec<Seen> {
    let bounds = Bounds { quiet: QUIET, body: QUIET, connections: 64, ..Bounds::default() };
    let longest = let_go(serve(bounds), 2 * QUIET);
    let mut seen = vec![Seen::new(
        "headers and bodies that stop or arrive very slowly, over HTTP/1.1 and HTTP/2, with bounds of 0.3 s",
        "each is disconnected; other clients are answered meanwhile",
        format!("{} ways, the longest took {:.1} s", ways().len(), longest.as_secs_f64()),
    )];
    let few = Bounds { connections: 16, ..bounds };
    let (opened, took) = crowd(serve(few), 48);
    seen.push(Seen::new(
        "more silent connections than the 16 that the server takes at the same time",
        "a client that sends a request is answered",
        format!("{opened} connections, answered after {:.1} s", took.as_secs_f64()),
    ));
    if size == Size::Full {
        let simulator = Simulator::start(&[]);
        let longest = let_go(simulator.address, 2 * Bounds::default().quiet);
        seen.push(Seen::new(
            "headers and bodies that stop or arrive very slowly, sent to the program, with its own bounds of 60 s",
            "each is disconnected; other clients are answered meanwhile",
            format!("{} ways, the longest took {:.0} s", ways().len(), longest.as_secs_f64()),
        ));
    }
    seen
}

/// The beginning of a request, and the bytes that the client sends repeatedly after this beginning.
type Way = (Vec<u8>, &'static [u8]);

fn ways() -> Vec<Way> {
    let head = b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nx-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
    let whole = message("host: localhost", &prompt("Hi"));
    let with = |rest: &[u8]| [head, rest].concat();
    vec![
        (Vec::new(), b""),
        (Vec::new(), b"P"),
        (b"P".to_vec(), b""),
        (b"PRI * HTTP/2.0\r\n".to_vec(), b""),
        (b"POST /v1/mess".to_vec(), b""),
        (b"GET /".to_vec(), b"x"),
        (head.to_vec(), b""),
        (head.to_vec(), b"x-more: 1\r\n"),
        (with(b"x-long: "), b"x"),
        (with(b"content-length: 1000\r\n\r\n{"), b""),
        (with(b"content-length: 1000000\r\n\r\n{"), b" "),
        (with(b"content-length: 99999999999\r\n\r\n"), b" "),
        (with(b"transfer-encoding: chunked\r\n\r\n"), b""),
        (with(b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"), b"1\r\nx\r\n"),
        (with(b"expect: 100-continue\r\ncontent-length: 10\r\n\r\n"), b""),
        (whole.clone(), b""),
        ([&*whole, b"POST /v1/mess"].concat(), b""),
        ([&*whole, head].concat(), b"x"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), b""),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0\0\0\x10\x01\0\0\0\0\x01".to_vec(), b""),
        // PING frames do not keep a connection open.
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(), b"\0\0\x08\x06\0\0\0\0\0pingpong"),
    ]
}

/// Tries all kinds of slow clients in parallel. Returns the longest time that a connection stayed open.
fn let_go(address: SocketAddr, bound: Duration) -> Duration {
    let drop_every = bound / 20;
    let clients: Vec<_> = ways()
        .into_iter()
        .map(|(beginning, drops)| std::thread::spawn(move || held(address, &beginning, drops, drop_every)))
        .collect();
    let good = ask(address, &message("host: localhost\r\nconnection: close", &prompt("Hi")));
    assert_eq!(good.status, 200, "others are answered meanwhile: {good:?}");
    let times = clients.into_iter().map(|client| client.join().expect("the connection was closed"));
    let longest = times.max().expect("there are ways");
    assert!(longest < bound + GRACE, "a connection stayed open for {longest:?}");
    longest
}

/// Sends the beginning of a request, and then the same bytes again and again, until the server closes the connection.
/// Returns how long it took until the server closed the connection.
fn held(address: SocketAddr, beginning: &[u8], drops: &'static [u8], every: Duration) -> Duration {
    let mut stream = connect(address);
    let began = Instant::now();
    stream.write_all(beginning).expect("sent");
    if drops.is_empty() {
        rest(&mut stream);
        return began.elapsed();
    }
    let mut writing = stream.try_clone().expect("a second handle");
    stream.set_read_timeout(Some(every)).expect("a timeout can be set");
    while !is_closed(&mut stream) {
        assert!(
            began.elapsed() < Duration::from_secs(300),
            "never closed after {:?}",
            String::from_utf8_lossy(beginning)
        );
        if writing.write_all(drops).is_err() {
            break;
        }
    }
    began.elapsed()
}

/// Reads from a connection. Waits for data, but not longer than the pause between two writes. Returns whether the other
/// end has closed the connection.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut some = [0; 4096];
    match stream.read(&mut some) {
        Ok(count) => count == 0,
        Err(error) => !matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
    }
}

/// Opens silent connections and then sends a request. Returns the number of connections, and the time until the answer
/// came.
fn crowd(address: SocketAddr, count: usize) -> (usize, Duration) {
    let silent: Vec<TcpStream> = (0..count).map(|_| connect(address)).collect();
    let began = Instant::now();
    let mut asking = connect(address);
    asking.write_all(&message("host: localhost\r\nconnection: close", &prompt("Hi"))).expect("sent");
    let answer = answer_of(&rest(&mut asking));
    assert_eq!(answer.status, 200, "{answer:?}");
    (silent.len(), began.elapsed())
}

/// Runs a server on its own thread until the process ends.
fn serve(bounds: Bounds) -> SocketAddr {
    let (ready, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let model = Arc::new(Mutex::new(Model::new(quick())));
            let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            let server = SimServer::start_within(any, model, RunClock::start(), bounds).await.expect("a free port");
            ready.send(server.address()).expect("somebody waits");
            std::future::pending::<()>().await;
        });
    });
    address.recv().expect("the server starts")
}
