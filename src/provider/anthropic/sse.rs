//! Reads streams: splits bytes into events, and makes a reply from all events of a stream.
//!
//! This file splits bytes into events. [`Fold`] puts the events together.
//!
//! The lines that begin with `event:` are not read, because the data of each event contains the event's type. Some
//! proxies also leave out these lines.

use bytes::Bytes;

use super::error_body::error;
use super::fold::{End, Fold};
use super::growth::Growing;
use super::reply::{self, broken, broken_stream};
use crate::domain::{Request, StreamFault, Usage};
use crate::provider::{Decoder, Reply, ReplyHead};

/// The maximum length of an event in bytes; a longer event is not read. An event needs much memory, because the event
/// and the parts that are read from it are in memory together. The API's own events are about a thousand times shorter.
const LONGEST_EVENT_BYTES: usize = 16 << 20;

fn too_long() -> String {
    format!("an event is longer than {} MiB", LONGEST_EVENT_BYTES >> 20)
}

/// Decodes a stream of events.
#[derive(Default)]
pub(super) struct SseDecoder {
    lines: Lines,
    fold: Fold,
    end: Option<End>,
}

impl Decoder for SseDecoder {
    fn push(&mut self, chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while self.end.is_none() && !rest.is_empty() {
            let (taken, data) = self.lines.take(rest);
            rest = &rest[taken..];
            self.end = match data {
                Some(data) => self.fold.on_event(&data),
                None if self.lines.held() > LONGEST_EVENT_BYTES => Some(End::Broken(too_long())),
                None => None,
            };
        }
        self.end.is_some()
    }

    fn first_usage(&self) -> Option<Usage> {
        self.fold.has_begun().then(|| self.fold.usage())
    }

    fn held_bytes(&self) -> usize {
        // When the stream ends, the parts of the message and the whole message are in memory at the same time.
        self.lines.held() + 2 * self.fold.held_bytes()
    }

    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply {
        let Self { fold, end, .. } = *self;
        let usage = fold.usage();
        match end {
            Some(End::Stop) => match fold.into_message() {
                Ok(message) => reply::answer(message, head, asked),
                Err(why) => broken(head, why, usage),
            },
            Some(End::Error(event)) => in_stream(error(&event, head), usage),
            Some(End::Broken(why)) => broken_stream(head, why, usage, StreamFault::Foreign),
            None => broken_stream(head, "the stream ended without message_stop", usage, StreamFault::Cut),
        }
    }
}

fn in_stream(reply: Reply, usage: Usage) -> Reply {
    match reply {
        Reply::Error { mut failure, retry_after, .. } => {
            failure.usage = usage;
            Reply::Error { failure, is_in_stream: true, retry_after }
        }
        other @ (Reply::Message(_) | Reply::Broken { .. } | Reply::Unfinished { .. }) => other,
    }
}

/// Splits bytes into lines, and lines into events. A line ends with LF, CR or CRLF.
///
/// Source: HTML standard, section 9.2.6. An event without data is ignored, and so is an event without a blank line at
/// its end.
#[derive(Default)]
struct Lines {
    line: Growing,
    data: Growing,
    has_data: bool,
    is_after_cr: bool,
    is_past_first_line: bool,
}

impl Lines {
    /// Reads bytes up to the end of the next line. Returns the number of bytes that were read. If the line completes an
    /// event, also returns the data of the event.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<Bytes>) {
        if std::mem::take(&mut self.is_after_cr) && bytes.first() == Some(&b'\n') {
            return (1, None);
        }
        let Some(end) = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')) else {
            self.line.push(bytes);
            return (bytes.len(), None);
        };
        self.is_after_cr = bytes[end] == b'\r';
        if self.line.is_empty() {
            return (end + 1, self.on_line(&bytes[..end]));
        }
        let mut line = std::mem::take(&mut self.line);
        line.push(&bytes[..end]);
        (end + 1, self.on_line(&line.into_bytes()))
    }

    /// Returns how many bytes of an unfinished event are in memory.
    fn held(&self) -> usize {
        self.line.len() + self.data.len()
    }

    fn on_line(&mut self, line: &[u8]) -> Option<Bytes> {
        let is_first = !std::mem::replace(&mut self.is_past_first_line, true);
        let line = if is_first { line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line) } else { line };
        if line.is_empty() {
            let data = std::mem::take(&mut self.data).into_bytes();
            self.has_data = false;
            return (!data.is_empty()).then_some(data);
        }
        let value = match line.strip_prefix(b"data") {
            Some(b"") => b"",
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => value,
            _ => return None,
        };
        if self.has_data {
            self.data.push(b"\n");
        }
        self.data.push(value);
        self.has_data = true;
        None
    }
}
