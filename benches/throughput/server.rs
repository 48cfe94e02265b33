//! A server that uses as little CPU time as possible: it reads a request, waits for the given latency, and writes one
//! fixed answer.
//!
//! The server uses no HTTP library, so the measured time is mostly the time of the client. The server runs in a
//! separate process. The server's standard input is a pipe that the parent process holds open, so the server ends when
//! the parent ends.

use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const BODY: &str = r#"{"id":"msg_01XFDUDYJgAACzvnptvVoYEL","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":[{"type":"text","text":"The committee agreed that the roof should be looked at by an engineer before anything else is decided about it."}],"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":61,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":24,"service_tier":"standard"}}"#;

/// A server that runs in a separate process.
pub struct Server {
    child: Child,
    /// The address at which the server listens.
    pub url: String,
}

impl Server {
    /// Starts a server that waits for `latency` before each answer.
    pub fn start(latency: Duration) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &latency.as_millis().to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut url = String::new();
        let stdout = child.stdout.take().expect("standard output is a pipe");
        BufReader::new(stdout).read_line(&mut url)?;
        Ok(Self { child, url: url.trim().to_owned() })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The results are ignored, because the server has possibly ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Answers requests until standard input ends.
pub fn serve(latency: Duration) -> io::Result<()> {
    std::thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    super::raise_open_files();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let Err(error) = runtime.block_on(accept(latency));
    Err(error)
}

async fn accept(latency: Duration) -> Result<Infallible, io::Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("http://{}", listener.local_addr()?);
    io::stdout().flush()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // If a connection fails, for example because the client has closed it, only this connection ends.
        tokio::spawn(async move { answer_all(stream, latency).await });
    }
}

async fn answer_all(mut stream: TcpStream, latency: Duration) -> io::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_011CSHoEeqs5C35K2UUqR7Fy\r\n\
         date: Sat, 22 Aug 2026 10:00:00 GMT\r\ncontent-length: {}\r\n\r\n{BODY}",
        BODY.len()
    );
    let mut buffer = vec![0; 16 << 10];
    let mut filled = 0;
    loop {
        let count = stream.read(&mut buffer[filled..]).await?;
        if count == 0 {
            return Ok(());
        }
        filled += count;
        while let Some(end) = request_end(&buffer[..filled]) {
            buffer.copy_within(end..filled, 0);
            filled -= end;
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
            stream.write_all(answer.as_bytes()).await?;
        }
        if filled == buffer.len() {
            buffer.resize(2 * filled, 0);
        }
    }
}

/// Returns the position where the first request ends; `None` while the request is not complete.
fn request_end(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")? + 4;
    let text = str::from_utf8(&bytes[..head]).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok()).flatten()
    });
    let end = head + length.unwrap_or(0);
    (end <= bytes.len()).then_some(end)
}
