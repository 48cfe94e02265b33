//! Every place in a response where a server can send back a text from the request.

use super::super::super::hostile::response;
use super::spelling::json;

/// A response, and its description for messages.
pub struct Response {
    pub what: String,
    pub bytes: Vec<u8>,
    /// Whether the connection is closed after the response.
    pub is_last: bool,
    /// Whether the response sends back a text from the request.
    pub is_echo: bool,
}

/// A place in a response: its name, and a function that makes a response with a text at this place.
pub struct Place {
    name: &'static str,
    make: fn(&Echo) -> Vec<u8>,
}

/// The text that is sent back.
pub struct Echo {
    /// The text unchanged.
    text: String,
    /// The text, escaped for JSON.
    json: String,
    /// A random number, which varies the response.
    any: usize,
}

impl Place {
    pub fn response(&self, text: &str, random: &mut fastrand::Rng) -> Response {
        let echo = Echo { text: text.to_owned(), json: json(text, random), any: random.usize(..) };
        let bytes = (self.make)(&echo);
        Response { what: format!("{}: {text}", self.name), is_last: is_last(&bytes), is_echo: true, bytes }
    }
}

/// Returns an error that has the same text in its type, its message and its request id. The program keeps the type, the
/// message and the request id.
pub fn plain(text: &str) -> Response {
    let text = text.replace('\\', "\\\\").replace('"', "\\\"");
    let body = format!(r#"{{"type":"error","error":{{"type":"{text}","message":"no {text} here"}}}}"#);
    let id = text.replace("\\\"", "\"").replace("\\\\", "\\");
    Response {
        what: id.clone(),
        bytes: response(400, &[("request-id", &id)], body.as_bytes()),
        is_last: false,
        is_echo: true,
    }
}

/// Returns an answer that does not contain the key.
pub fn harmless() -> Response {
    Response { what: "an answer".to_owned(), bytes: answer("", ""), is_last: false, is_echo: false }
}

/// Returns whether the body ends only when the connection is closed.
fn is_last(bytes: &[u8]) -> bool {
    let head = String::from_utf8_lossy(bytes);
    let head = head.split("\r\n\r\n").next().unwrap_or_default();
    !head.starts_with("HTTP/1.1 2") || !head.contains("content-length")
}

const CONTENT: &str = r#"[{"type":"text","text":"Hi \u00e9"}]"#;
const USAGE: &str = r#"{"input_tokens":3,"output_tokens":2}"#;

/// Returns a complete answer with additional members before and after its content.
fn answer(before: &str, behind: &str) -> Vec<u8> {
    let body = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant"{before},"content":{CONTENT}{behind},"stop_reason":"end_turn","usage":{USAGE}}}"#
    );
    response(200, &[("content-type", "application/json"), ("request-id", "req_1")], body.as_bytes())
}

fn broken(body: &str) -> Vec<u8> {
    response(200, &[("content-type", "application/json")], body.as_bytes())
}

fn error(status: u16, body: &str) -> Vec<u8> {
    response(status, &[("content-type", "application/json")], body.as_bytes())
}

fn with_header(name: &str, value: &str, status: u16) -> Vec<u8> {
    let body = match status {
        200 => {
            return [answer("", "")
                .strip_prefix(b"HTTP/1.1 200 Made\r\n")
                .map(|rest| [format!("HTTP/1.1 200 Made\r\n{name}: {value}\r\n").as_bytes(), rest].concat())
                .expect("the response begins with a status line")]
            .concat();
        }
        _ => r#"{"type":"error","error":{"type":"invalid_request_error","message":"no"}}"#,
    };
    response(status, &[(name, value)], body.as_bytes())
}

/// Returns a stream of these events, with chunked transfer encoding.
fn stream(events: &[String]) -> Vec<u8> {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = events.iter().map(|event| format!("{:x}\r\n{event}\r\n", event.len()));
    [head.to_owned()].into_iter().chain(chunks).chain(["0\r\n\r\n".to_owned()]).collect::<String>().into_bytes()
}

fn event(data: &str) -> String {
    format!("event: x\ndata: {data}\n\n")
}

fn start(more: &str) -> String {
    event(&format!(
        r#"{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","content":[],"usage":{USAGE}{more}}}}}"#
    ))
}

fn text() -> [String; 3] {
    [
        event(r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#),
        event(r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#),
        event(r#"{"type":"content_block_stop","index":0}"#),
    ]
}

fn end(more: &str) -> [String; 2] {
    [
        event(&format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"end_turn"{more}}},"usage":{{"output_tokens":2}}}}"#
        )),
        event(r#"{"type":"message_stop"}"#),
    ]
}

/// Returns a complete stream that contains the text `put`. The text is at the start, after the first event, after the
/// text of the answer, or at the end.
fn stream_with(put: &str, at: usize) -> Vec<u8> {
    let [first, second, third] = text();
    let [delta, stop] = end("");
    let mut events = vec![start(""), first, second, third, delta, stop];
    events.insert([0, 1, 4, 6][at % 4], put.to_owned());
    stream(&events)
}

/// Error statuses that affect only the row of the request.
const ROW_ERRORS: [u16; 9] = [400, 405, 409, 413, 415, 422, 500, 502, 503];

macro_rules! places {
    ($($name:literal: $make:expr,)*) => { &[$(Place { name: $name, make: $make }),*] };
}

/// Places in a response. A text at one of these places affects only the row of the request.
pub const PLACES: &[Place] = places! {
    "request-id of an answer": |echo| with_header("request-id", &echo.text, 200),
    "x-request-id of an answer": |echo| {
        let bytes = with_header("x-request-id", &echo.text, 200);
        String::from_utf8_lossy(&bytes).replace("request-id: req_1\r\n", "").into_bytes()
    },
    "request-id of an error": |echo| with_header("request-id", &echo.text, 400),
    "x-request-id of an error": |echo| with_header("x-request-id", &echo.text, 500),
    "request_id in a body": |echo| {
        error(400, &format!(r#"{{"type":"error","error":{{"type":"t","message":"m"}},"request_id":"{}"}}"#, echo.json))
    },
    "retry-after": |echo| with_header("retry-after", &echo.text, 400),
    "retry-after-ms": |echo| with_header("retry-after-ms", &echo.text, 200),
    "content-type": |echo| with_header("content-type", &format!("text/{}", echo.text), 400),
    "content-type of an answer": |echo| with_header("content-type", &format!("application/json; x={}", echo.text), 200),
    "limits": |echo| with_header("anthropic-ratelimit-requests-limit", &echo.text, 200),
    "limits reset": |echo| with_header("anthropic-ratelimit-tokens-reset", &echo.text, 200),
    "an unknown header": |echo| with_header("x-echo", &echo.text, 200),
    "a header of an error": |echo| with_header("x-should-retry", &echo.text, 400),
    "date": |echo| with_header("date", &echo.text, 400),
    "the reason phrase": |echo| {
        let bytes = error(400, r#"{"type":"error","error":{"type":"t","message":"m"}}"#);
        String::from_utf8_lossy(&bytes).replacen("Made", &echo.text, 1).into_bytes()
    },
    "the reason phrase of an answer": |echo| {
        String::from_utf8_lossy(&answer("", "")).replacen("Made", &echo.text, 1).into_bytes()
    },
    "the status line": |echo| format!("HTTP/1.1 {}\r\ncontent-length: 0\r\n\r\n", echo.text).into_bytes(),
    "the version": |echo| format!("{} 200 OK\r\ncontent-length: 0\r\n\r\n", echo.text).into_bytes(),
    "a header's name": |echo| format!("HTTP/1.1 200 OK\r\n{}: 1\r\ncontent-length: 0\r\n\r\n", echo.text).into_bytes(),
    "a header without a colon": |echo| format!("HTTP/1.1 400 No\r\n{}\r\n\r\n", echo.text).into_bytes(),
    "the length": |echo| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{{}}", echo.text).into_bytes(),
    "the transfer encoding": |echo| {
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {}\r\n\r\n{{}}", echo.text).into_bytes()
    },
    "the content encoding": |echo| {
        format!("HTTP/1.1 400 No\r\ncontent-encoding: {}\r\ncontent-length: 2\r\n\r\n{{}}", echo.text).into_bytes()
    },
    "gzip that is not valid": |echo| response(200, &[("content-encoding", "gzip")], echo.text.as_bytes()),
    "a chunk's length": |echo| {
        format!("HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n{}\r\nab\r\n0\r\n\r\n", echo.text).into_bytes()
    },
    "a chunk's extension": |echo| {
        format!("HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\n\r\n2;x={}\r\nno\r\n0\r\n\r\n", echo.text).into_bytes()
    },
    "a trailer": |echo| {
        format!(
            "HTTP/1.1 400 No\r\ntransfer-encoding: chunked\r\ntrailer: request-id\r\n\r\n2\r\nno\r\n0\r\nrequest-id: {}\r\n\r\n",
            echo.text
        )
        .into_bytes()
    },
    "an error's message": |echo| error(
        ROW_ERRORS[echo.any % ROW_ERRORS.len()],
        &format!(r#"{{"type":"error","error":{{"type":"t","message":"no {} here"}}}}"#, echo.json),
    ),
    "an error's type": |echo| error(
        ROW_ERRORS[echo.any % ROW_ERRORS.len()],
        &format!(r#"{{"type":"error","error":{{"type":"{}","message":"m"}}}}"#, echo.json),
    ),
    "an error's code": |echo| error(
        400,
        &format!(
            r#"{{"type":"error","error":{{"type":"t","message":"m","details":{{"error_code":"{}"}}}}}}"#,
            echo.json
        ),
    ),
    "an error's details": |echo| error(
        400,
        &format!(r#"{{"type":"error","error":{{"type":"t","details":{{"x":"{}"}},"more":1}}}}"#, echo.json),
    ),
    "an error's unknown member": |echo| error(500, &format!(r#"{{"{}":[1]}}"#, echo.json)),
    "an error that is a text": |echo| error(400, &format!(r#"{{"error":"{}"}}"#, echo.json)),
    "an error's detail": |echo| error(422, &format!(r#"{{"detail":"{}"}}"#, echo.json)),
    "an error's message, in its middle": |echo| error(
        400,
        &format!(
            r#"{{"error":{{"message":"{}{}"}}}}"#,
            "word ".repeat(819 - echo.json.len() / 10 % 30),
            echo.json
        ),
    ),
    "an error's message, long": |echo| error(
        400,
        &format!(r#"{{"error":{{"message":"{}{}{}"}}}}"#, "x".repeat(4096 - echo.any % 80), echo.json, "y".repeat(9000)),
    ),
    "a JSON text as body": |echo| error(400, &format!("\"{}\"", echo.json)),
    "a plain body": |echo| response(503, &[("content-type", "text/plain")], echo.text.as_bytes()),
    "a plain body, escaped": |echo| response(400, &[], format!("bad: {}", echo.json).as_bytes()),
    "a plain body, long": |echo| {
        response(400, &[], format!("{}{}", "a ".repeat(2048 - echo.any % 60), echo.text).as_bytes())
    },
    "a page": |echo| response(
        502,
        &[("content-type", "text/html")],
        format!(
            "<html><head><title>{0}</title></head><body><p class=\"{0}\">no {0}<br>{0}</p><!-- {0} --></body></html>",
            echo.text
        )
        .as_bytes(),
    ),
    "a page, long": |echo| response(
        502,
        &[("content-type", "text/html")],
        format!("<p>{}<b>{}</b>", " <i></i>".repeat(8_180 + echo.any % 20), echo.text).as_bytes(),
    ),
    "a cut error": |echo| {
        let body = format!(r#"{{"type":"error","error":{{"type":"t","message":"{}"#, echo.json);
        format!("HTTP/1.1 400 No\r\ncontent-length: 9999\r\n\r\n{body}").into_bytes()
    },
    "an answer that is not JSON": |echo| broken(&echo.text),
    "an answer that is not JSON, long": |echo| broken(&format!("{}{}", "b".repeat(200 - echo.any % 60), echo.json)),
    "an answer that is a text": |echo| broken(&format!("\"{}\"", echo.json)),
    "an answer that is a list": |echo| broken(&format!("[\"{}\"]", echo.json)),
    "an answer of another type": |echo| broken(&format!(r#"{{"type":"{}","content":[]}}"#, echo.json)),
    "an answer whose type is not text": |echo| broken(&format!(r#"{{"type":{{"{}":1}}}}"#, echo.json)),
    "an answer whose reason is not text": |echo| {
        broken(&format!(r#"{{"type":"message","content":[],"usage":{USAGE},"stop_reason":["{}"]}}"#, echo.json))
    },
    "an answer whose content is a text": |echo| {
        broken(&format!(r#"{{"type":"message","content":"{}","usage":{USAGE}}}"#, echo.json))
    },
    "an answer without usage": |echo| {
        broken(&format!(r#"{{"type":"message","content":[{{"type":"text","text":"{}"}}]}}"#, echo.json))
    },
    "an answer whose usage is a text": |echo| {
        broken(&format!(r#"{{"type":"message","content":[],"usage":"{}"}}"#, echo.json))
    },
    "an answer with half a character": |echo| {
        broken(&format!(r#"{{"type":"message","content":[],"x":"{}\ud800","usage":{USAGE}}}"#, echo.json))
    },
    "an answer that names something twice": |echo| {
        broken(&format!(r#"{{"type":"message","type":"{}","content":[],"usage":{USAGE}}}"#, echo.json))
    },
    "a cut answer": |echo| broken(&format!(r#"{{"type":"message","id":"{}","content":[{{"#, echo.json)),
    "an answer after something else": |echo| broken(&format!("{} {{}}", echo.text)),
    "an error in a 200": |echo| {
        broken(&format!(r#"{{"type":"error","error":{{"type":"{0}","message":"{0}"}}}}"#, echo.json))
    },
    "an answer's model": |echo| answer(&format!(r#","model":"{}""#, echo.json), ""),
    "an answer's id": |echo| {
        String::from_utf8_lossy(&answer("", "")).replacen("msg_1", "msg_2", 1).replacen(
            r#""role":"assistant""#,
            &format!(r#""role":"{}""#, echo.json),
            1,
        )
        .replacen("content-length: ", "x-length: ", 1)
        .into_bytes()
    },
    "an answer's stop sequence": |echo| answer("", &format!(r#","stop_sequence":"a {} b""#, echo.json)),
    "an unknown member": |echo| answer("", &format!(r#","more":{{"x":[1,"{}",{{"y":"{0}"}}]}}"#, echo.json)),
    "an unknown member's name": |echo| answer(&format!(r#","{}":null"#, echo.json), ""),
    "an unknown member before": |echo| answer(&format!(r#","more":["{0}","{0}"]"#, echo.json), ""),
    "a member that needs a closer look": |echo| {
        answer(&format!(r#","\u006dore":"{}\n""#, echo.json), &format!(r#","container":{{"id":"{}"}}"#, echo.json))
    },
    "a member of usage": |echo| {
        let bytes = answer("", "");
        let text = String::from_utf8_lossy(&bytes).replacen("content-length: ", "x-length: ", 1);
        text.replacen("\"output_tokens\":2", &format!(r#""output_tokens":2,"tier":"{}""#, echo.json), 1).into_bytes()
    },
    "a pretty answer": |echo| {
        let body = format!("{{\n \"type\": \"message\",\n \"id\":\r\n \"{}\",\n \"content\": [],\n \"usage\": {USAGE}\n}}\n", echo.json);
        broken(&body)
    },
    "an answer with large members": |echo| {
        answer(&format!(r#","a":"{}{}""#, "z\\n".repeat(12_000 + echo.any % 90), echo.json), "")
    },
    "a stream's start": |echo| {
        let [first, second, third] = text();
        let [delta, stop] = end("");
        stream(&[start(&format!(r#","model":"{0}","{0}":"{0}""#, echo.json)), first, second, third, delta, stop])
    },
    "a stream's end": |echo| {
        let [first, second, third] = text();
        let [delta, stop] = end(&format!(r#","stop_sequence":"{0}","x":["{0}"]"#, echo.json));
        stream(&[start(""), first, second, third, delta, stop])
    },
    "an error event": |echo| {
        let data = format!(r#"{{"type":"error","error":{{"type":"api_error","message":"{0}","details":{{"error_code":"{0}"}}}}}}"#, echo.json);
        stream_with(&event(&data), echo.any % 3)
    },
    "an error event's type": |echo| {
        stream_with(&event(&format!(r#"{{"type":"error","error":{{"type":"{}"}}}}"#, echo.json)), echo.any % 3)
    },
    "an unknown event": |echo| stream_with(&event(&format!(r#"{{"type":"{0}","x":"{0}"}}"#, echo.json)), echo.any),
    "an event that is not JSON": |echo| stream_with(&event(&echo.text), echo.any % 3),
    "an event without its object": |echo| {
        stream_with(&event(&format!(r#"{{"type":"content_block_delta","delta":"{}"}}"#, echo.json)), echo.any % 3)
    },
    "an event that names something twice": |echo| {
        let data = format!(r#"{{"type":"message_delta","delta":{{"{0}":1,"{0}":2}}}}"#, echo.json);
        stream_with(&event(&data), 1 + echo.any % 2)
    },
    "a comment and other lines of a stream": |echo| {
        stream_with(&format!(": {0}\nid: {0}\nretry: {0}\nevent: {0}\n{0}\n\n", echo.text), echo.any)
    },
    "a second start": |echo| stream_with(&start(&format!(r#","model":"{}""#, echo.json)), 1),
    "a stream without an end": |echo| stream(&[start(&format!(r#","model":"{}""#, echo.json))]),
};

/// Places in a response. Each response with such a place stops the run or delays it.
pub const STOPS: &[Place] = places! {
    "a 401": |echo| error(401, &format!(r#"{{"error":{{"type":"authentication_error","message":"no {} here"}}}}"#, echo.json)),
    "a 401 with a page": |echo| response(401, &[], format!("<p>{0}<i>{0}</i>", echo.text).as_bytes()),
    "a 401's request id": |echo| with_header("request-id", &echo.text, 401),
    "a 402": |echo| error(402, &format!(r#"{{"error":{{"type":"{0}","message":"{0}"}}}}"#, echo.json)),
    "a 403": |echo| error(403, &format!(r#"{{"error":{{"type":"{0}","message":"{0}"}}}}"#, echo.json)),
    "a 404": |echo| error(404, &format!(r#"{{"error":{{"type":"not_found_error","message":"model: {}"}}}}"#, echo.json)),
    "a 429": |echo| error(429, &format!(r#"{{"error":{{"type":"rate_limit_error","message":"{}"}}}}"#, echo.json)),
    "a 529": |echo| error(529, &format!(r#"{{"error":{{"type":"overloaded_error","message":"{}"}}}}"#, echo.json)),
    "a spend limit": |echo| error(
        400,
        &format!(
            r#"{{"error":{{"type":"invalid_request_error","message":"Your credit balance is too low {}"}}}}"#,
            echo.json
        ),
    ),
    "an account on hold": |echo| error(
        400,
        &format!(
            r#"{{"error":{{"type":"{0}","message":"{0}","details":{{"error_code":"organization_on_hold"}}}}}}"#,
            echo.json
        ),
    ),
    "location, the host": |echo| with_header("location", &format!("https://{}.example/", echo.text), 302),
    "location, the user": |echo| with_header("location", &format!("https://{}:x@host.example/", echo.text), 307),
    "location, the password": |echo| with_header("location", &format!("https://x:{}@host.example/", echo.text), 301),
    "location, the port": |echo| with_header("location", &format!("https://host.example:{}/", echo.text), 302),
    "location, the scheme": |echo| with_header("location", &format!("{}://host.example/", echo.text), 302),
    "location, the path": |echo| with_header("location", &format!("https://host.example/{}", echo.text), 308),
    "location, all of it": |echo| with_header("location", &echo.text, 302),
    "a text that is not HTTP": |echo| format!("{}\r\n\r\n", echo.text).into_bytes(),
};
