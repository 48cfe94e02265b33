//! A server on the loopback address. The server answers each request with the bytes that the test chooses.

#![allow(dead_code, reason = "each test file uses only some of these items")]

use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A request as the server received it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The number of the request, counted from 0.
    pub number: u64,
    /// The request line and the headers. Each line ends with CR LF.
    pub head: String,
    /// Its body.
    pub body: Vec<u8>,
}

/// What happens to the connection after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request can use the connection.
    Keep,
    /// The server closes the connection.
    Close,
}

/// The server. When this value is dropped, the server stops accepting connections.
pub struct Hostile {
    /// The base URL of the server.
    pub url: String,
    requests: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
}

impl Hostile {
    /// Starts a server. `answer` writes the whole response (status line, headers and body) to the connection. The
    /// thread of the connection calls `answer`.
    pub fn new(answer: impl Fn(&Asked, &mut TcpStream) -> io::Result<Then> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("the listener is bound"));
        let (requests, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (answer, numbers, over) = (Arc::new(answer), requests.clone(), is_over.clone());
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if over.load(Ordering::Acquire) {
                    break;
                }
                let (answer, numbers) = (answer.clone(), numbers.clone());
                std::thread::spawn(move || serve(connection, &*answer, &numbers));
            }
        });
        Self { url, requests, is_over }
    }

    /// Starts a server that gives each request the same response.
    pub fn always(response: impl Into<Vec<u8>>) -> Self {
        let response = response.into();
        Self::new(move |_, connection| connection.write_all(&response).map(|()| Then::Keep))
    }

    /// Returns how many requests the server has received.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Acquire)
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Release);
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
    }
}

/// Returns a response with a `content-length`. `headers` contains the names and values of the other headers.
pub fn response(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
    let mut all = format!("HTTP/1.1 {status} Made\r\ncontent-length: {}\r\n", body.len());
    headers.iter().for_each(|(name, value)| all.push_str(&format!("{name}: {value}\r\n")));
    all.push_str("\r\n");
    [all.as_bytes(), body].concat()
}

fn serve(mut connection: TcpStream, answer: &dyn Fn(&Asked, &mut TcpStream) -> io::Result<Then>, numbers: &AtomicU64) {
    // If a test does not close a connection, the thread of the connection ends after this time.
    let _ = connection.set_read_timeout(Some(Duration::from_secs(120)));
    let Ok(reading) = connection.try_clone() else { return };
    let mut reading = BufReader::new(reading);
    while let Ok(Some((head, body))) = read_request(&mut reading) {
        let asked = Asked { number: numbers.fetch_add(1, Ordering::AcqRel), head, body };
        // The program is allowed to close the connection at any moment, so a failed write is ignored.
        match answer(&asked, &mut connection) {
            Ok(Then::Keep) => {}
            Ok(Then::Close) | Err(_) => return,
        }
    }
}

fn read_request(reading: &mut impl BufRead) -> io::Result<Option<(String, Vec<u8>)>> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reading.read_line(&mut head)? == 0 {
            return Ok(None);
        }
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok()).flatten()
    });
    let mut body = vec![0; length.unwrap_or(0)];
    reading.read_exact(&mut body)?;
    Ok(Some((head, body)))
}
