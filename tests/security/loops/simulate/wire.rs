//! The simulator as a separate program, and connections on which tests can send any bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use super::super::super::support::Folder;

/// A running `claude-batch simulate`. When this value is dropped, the simulator is killed.
pub struct Simulator {
    child: Child,
    pub address: SocketAddr,
    pub folder: Folder,
    pub said: String,
}

impl Simulator {
    pub fn start(args: &[&str]) -> Self {
        let folder = Folder::new();
        let mut command = folder.command(&["simulate", "--port", "0", "--latency", "0ms,1000000"]);
        // The messages of the simulator are written to a file, because a pipe without a reader would fill up.
        let errors = std::fs::File::create(folder.path("stderr")).expect("a file");
        let mut child = command.args(args).stderr(errors).stdout(Stdio::piped()).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut said = String::new();
        lines.read_line(&mut said).expect("the simulator prints its address");
        let address = said.split("http://").nth(1).and_then(|rest| rest.split(' ').next());
        let address = address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("{said}"));
        Self { child, address, folder, said }
    }

    /// Returns the peak memory in MB, if the system reports it.
    pub fn peak_mb(&self) -> Option<u64> {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let kib = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.split_whitespace().next()?;
        kib.parse::<u64>().ok().map(|kib| kib / 1024)
    }

    /// Returns the simulator's statistics.
    pub fn stats(&self) -> serde_json::Value {
        let answer = ask(self.address, b"GET /__sim/stats HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {answer:?}"))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A response: status, header lines in lower case, and the body unchanged.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn has_cors(&self) -> bool {
        self.headers.iter().any(|line| line.starts_with("access-control-"))
    }
}

/// Sends bytes on a new connection and returns the answer. The request must contain `connection: close`.
pub fn ask(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    // A write can fail, because the server can reject a request before it is sent completely.
    let _ = stream.write_all(bytes);
    answer_of(&rest(&mut stream))
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    // If the server never closes a connection, the test must fail and not hang.
    stream.set_read_timeout(Some(Duration::from_secs(150))).expect("a timeout can be set");
    stream
}

/// Reads until the connection ends or is reset.
pub fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    if let Err(error) = stream.read_to_end(&mut all) {
        let is_late = matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
        assert!(!is_late, "the connection was never closed");
    }
    all
}

pub fn answer_of(bytes: &[u8]) -> Answer {
    let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { return Answer::default() };
    let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
    let mut lines = head.split("\r\n").map(str::to_owned);
    let status = lines.next().and_then(|line| line.split(' ').nth(1).and_then(|status| status.parse().ok()));
    Answer { status: status.unwrap_or(0), headers: lines.collect(), body: bytes[end + 4..].to_vec() }
}

/// Returns a good request for a message, with these header lines added.
pub fn message(headers: &str, body: &str) -> Vec<u8> {
    message_of("x-api-key: k", headers, body)
}

/// Returns a request for a message. The first argument is the header line that contains the API key.
pub fn message_of(key: &str, headers: &str, body: &str) -> Vec<u8> {
    let own = format!("{headers}\r\n{key}\r\nanthropic-version: 2023-06-01\r\ncontent-length: {}", body.len());
    format!("POST /v1/messages HTTP/1.1\r\n{own}\r\n\r\n{body}").into_bytes()
}

pub fn prompt(text: &str) -> String {
    let messages = serde_json::json!([{ "role": "user", "content": text }]);
    serde_json::json!({ "model": "claude-haiku-4-5", "max_tokens": 16, "messages": messages }).to_string()
}
