//! The thread that sends the notices of one target.
//!
//! The thread tries to send each notice up to three times, with waits of one and two seconds between the attempts. An
//! attempt takes at most five seconds. The first notice that can't be sent causes a warning. Later failures cause no
//! warning, because the user then knows that the receiver does not work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::command::CommandTarget;
use super::document::Notice;
use super::queue::Queue;
use super::signature::signature;
use crate::report::text::plural;
use crate::transport::http::NoticePoster;

/// The time limit of each attempt to send a notice, and the waits between the attempts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tries {
    /// The time limit of one attempt.
    pub(super) patience: Duration,
    /// The waits between attempts.
    pub(super) pauses: [Duration; 2],
}

impl Default for Tries {
    fn default() -> Self {
        Self { patience: Duration::from_secs(5), pauses: [Duration::from_secs(1), Duration::from_secs(2)] }
    }
}

/// A target of notices: an address or a program. The `Debug` form does not show the address.
#[derive(Debug)]
pub(crate) enum Target {
    /// Notices are sent to an address.
    Url(Box<NoticePoster>),
    /// Notices are passed to a program.
    Command(CommandTarget),
}

/// Shows a target without its address and arguments, because they can contain secrets.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(poster) => f.write_str(&poster.shown()),
            Self::Command(command) => f.write_str(&command.shown()),
        }
    }
}

/// Why an attempt to send a notice failed.
struct Fault {
    words: String,
    /// Whether another attempt is useless, because it would fail for the same reason.
    is_final: bool,
}

impl Target {
    fn send(&self, notice: &Notice, secret: Option<&SecretString>, patience: Duration) -> Result<(), Fault> {
        match self {
            Self::Url(poster) => {
                let seconds = jiff::Timestamp::now().as_second();
                let signed = secret.and_then(|secret| signature(secret.expose_secret(), seconds, &notice.posted));
                let posted = poster.post(notice.posted.clone(), signed, patience);
                posted.map_err(|fault| Fault { words: fault.to_string(), is_final: fault.is_final() })
            }
            Self::Command(command) => command
                .run(&notice.document, patience)
                .map_err(|fault| Fault { words: fault.to_string(), is_final: false }),
        }
    }
}

/// Sends the notices in the queue of one target.
pub(super) struct Sender {
    pub(super) target: Target,
    pub(super) queue: Arc<Queue>,
    pub(super) secret: Option<Arc<SecretString>>,
    pub(super) tries: Tries,
}

impl Sender {
    /// Sends notices until the queue is closed and empty.
    pub(super) fn run(self) {
        let (mut has_warned, mut has_told_drops) = (false, false);
        while let Some((notice, dropped)) = self.queue.next() {
            if dropped > 0 && !std::mem::replace(&mut has_told_drops, true) {
                let dropped = plural(dropped, "notice was", "notices were");
                self.queue.warn(format!("{dropped} dropped, because {} takes them too slowly", self.target));
            }
            if let Some(fault) = self.send(&notice)
                && !std::mem::replace(&mut has_warned, true)
            {
                let target = &self.target;
                self.queue.warn(format!("a notice to {target} was not sent: {fault}; this does not change the run"));
            }
        }
    }

    /// Sends a notice, and tries again after a failure. Returns the last fault if all attempts failed.
    fn send(&self, notice: &Notice) -> Option<String> {
        let mut pauses = self.tries.pauses.into_iter();
        loop {
            let fault = self.target.send(notice, self.secret.as_deref(), self.tries.patience).err()?;
            match pauses.next().filter(|_| !fault.is_final) {
                Some(pause) if self.queue.pause(pause) => {}
                Some(_) | None => return Some(fault.words),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::Mutex;

    use bytes::Bytes;

    use super::*;
    use crate::transport::parse_notice_url;

    /// A server that answers each connection and stores the requests that it received.
    struct Receiver {
        url: String,
        seen: Arc<Mutex<Vec<String>>>,
    }

    impl Receiver {
        fn new(answer: impl Fn(&mut TcpStream, usize) + Send + 'static) -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            let url = format!("http://{}/T0/s3cret-path", listener.local_addr().expect("it has an address"));
            let seen = Arc::<Mutex<Vec<String>>>::default();
            let kept = seen.clone();
            std::thread::spawn(move || {
                for (number, stream) in listener.incoming().enumerate() {
                    let mut stream = stream.expect("a connection");
                    kept.lock().expect("no panic").push(request(&mut stream));
                    answer(&mut stream, number);
                }
            });
            Self { url, seen }
        }

        fn seen(&self) -> Vec<String> {
            self.seen.lock().expect("no panic").clone()
        }
    }

    /// Reads one request with the body `{}`.
    fn request(stream: &mut TcpStream) -> String {
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"\r\n\r\n{}") && stream.read(&mut byte).is_ok_and(|length| length == 1) {
            text.push(byte[0]);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    fn say(text: &'static str) -> impl Fn(&mut TcpStream, usize) + Send + 'static {
        move |stream, _| {
            let _ = stream.write_all(text.as_bytes());
        }
    }

    /// Sends this many notices to an address, and returns the warnings.
    fn send(url: &str, notices: usize) -> Vec<String> {
        let url = parse_notice_url(url, false).expect("it is a good address");
        let poster = NoticePoster::new(url, None, None).expect("a client can be made");
        let queue = Arc::<Queue>::default();
        let body = Bytes::from_static(b"{}");
        for _ in 0..notices {
            queue.push(Notice { posted: body.clone(), document: body.clone(), is_about_the_end: true });
        }
        queue.close();
        let tries = Tries { patience: Duration::from_millis(300), pauses: [Duration::from_millis(1); 2] };
        let secret = Some(Arc::new("0123456789abcdef".to_owned().into()));
        Sender { target: Target::Url(Box::new(poster)), queue: queue.clone(), secret, tries }.run();
        queue.take_warnings()
    }

    #[test]
    fn a_notice_is_posted_once_signed_and_without_other_headers() {
        let receiver = Receiver::new(say("HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n"));

        let warnings = send(&receiver.url, 2);

        let seen = receiver.seen();
        assert_eq!((warnings.len(), seen.len()), (0, 2), "{warnings:?}");
        let head = seen[0].to_ascii_lowercase();
        assert!(head.starts_with("post /t0/s3cret-path http/1.1\r\n"), "{head}");
        assert!(head.contains("\r\nx-claude-batch-signature: t=") && head.contains("content-type: application/json"));
        assert!(!head.contains("x-api-key") && !head.contains("authorization") && !head.contains("anthropic"));
    }

    #[test]
    fn receivers_that_fail_are_tried_three_times_and_reported_once() {
        let dead = {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
            format!("http://{}/T0/s3cret-path", listener.local_addr().expect("it has an address"))
        };
        let slow = Receiver::new(|stream, _| {
            // The connection stays open until the client's time limit has passed.
            let _ = stream.read(&mut [0]);
        });
        let failing = Receiver::new(say("HTTP/1.1 500 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));
        let garbage = Receiver::new(say("\u{1b}[2J garbage\r\n\r\n"));

        for (url, words) in [
            (dead.as_str(), "the server can't be reached"),
            (&slow.url, "the server did not answer within"),
            (&failing.url, "the server answered with status 500"),
            (&garbage.url, "the response can't be read"),
        ] {
            let warnings = send(url, 2);

            assert_eq!(warnings.len(), 1, "{warnings:?}");
            assert!(warnings[0].contains(words) && !warnings[0].contains("s3cret"), "{warnings:?}");
        }
        for receiver in [slow, failing, garbage] {
            assert_eq!(receiver.seen().len(), 6);
        }
    }

    #[test]
    fn a_redirect_is_not_followed_and_a_refusal_is_not_repeated() {
        let elsewhere = Receiver::new(say("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"));
        let location = elsewhere.url.clone();
        let redirect = Receiver::new(move |stream, _| {
            let _ = write!(stream, "HTTP/1.1 307 Go\r\nlocation: {location}\r\nconnection: close\r\n\r\n");
        });
        let gone = Receiver::new(say("HTTP/1.1 404 Gone\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"));

        let told = [&redirect, &gone].map(|receiver| send(&receiver.url, 1).concat());

        assert!(told[0].contains("redirects are not followed") && told[1].contains("404"), "{told:?}");
        assert_eq!((redirect.seen().len(), gone.seen().len(), elsewhere.seen().len()), (1, 1, 0));
    }

    #[test]
    fn an_endless_body_is_not_read() {
        let endless = Receiver::new(|stream, _| {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        });

        assert_eq!(send(&endless.url, 2), Vec::<String>::new());
        assert_eq!(endless.seen().len(), 2);
    }

    #[test]
    fn a_receiver_that_is_busy_is_tried_again() {
        let busy = Receiver::new(|stream, number| {
            let status = if number == 0 { "429 Busy" } else { "200 OK" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        });

        assert_eq!(send(&busy.url, 1), Vec::<String>::new());
        assert_eq!(busy.seen().len(), 2);
    }
}
