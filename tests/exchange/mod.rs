//! Loads recorded exchanges and decodes them.

use claude_batch::domain::{Params, Request};
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::provider::{Provider, Reply, ReplyHead};

/// One recorded response: its status line and headers with LF line ends, a blank line, and its body byte for byte.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub head: ReplyHead,
    pub body: Vec<u8>,
}

impl Exchange {
    pub fn new(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a header name"), value.parse().expect("a header value")));
        Self { head: ReplyHead { status, headers: headers.collect() }, body: body.to_vec() }
    }

    pub fn load(name: &str) -> Self {
        Self::load_path(&folder().join(format!("{name}.http")))
    }

    pub fn load_path(path: &std::path::Path) -> Self {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let end = bytes.windows(2).position(|pair| pair == b"\n\n").expect("a head ends in a blank line");
        let head = str::from_utf8(&bytes[..end]).expect("a head is text");
        let (first, lines) = head.split_once('\n').unwrap_or((head, ""));
        let status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status line");
        let headers: Vec<_> = lines.lines().map(|line| line.split_once(": ").expect("name: value")).collect();
        Self::new(status, &headers, &bytes[end + 2..])
    }

    /// Decodes the body in pieces of these `sizes`. After the last size, the first size comes again. Returns the reply,
    /// and whether the decoder reported that the reply was complete.
    pub fn decode_in(&self, sizes: &[usize]) -> (Reply, bool) {
        let mut decoder = provider().decoder(&self.head);
        let mut rest = &self.body[..];
        let mut sizes = sizes.iter().cycle();
        let mut is_complete = false;
        while !rest.is_empty() && !is_complete {
            let size = (*sizes.next().expect("at least one size")).clamp(1, rest.len());
            is_complete = decoder.push(&rest[..size]);
            rest = &rest[size..];
        }
        (decoder.finish(&self.head, &asked()), is_complete)
    }

    pub fn decode(&self) -> Reply {
        self.decode_in(&[usize::MAX]).0
    }
}

pub fn provider() -> Anthropic {
    Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("plain values fit in headers")
}

/// Returns the request to which all recorded replies are answers. The request offers the tools that the replies call.
pub fn asked() -> Request {
    let tools = r#"[{"name":"get_weather","input_schema":{}},{"name":"now"},{"type":"custom","name":"save"}]"#;
    let tools = serde_json::value::RawValue::from_string(tools.to_owned()).expect("it is JSON");
    Request::of(&Params(vec![("tools".into(), tools)]))
}

pub fn folder() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/replies")
}
