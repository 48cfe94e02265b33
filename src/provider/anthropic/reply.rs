//! Reads a response that is not a stream. The body of the response is either a message as JSON or an error
//! ([`super::error_body`]).
//!
//! Invariant: the bytes of a message stay as the server sent them. White space around the message is removed, and line
//! breaks become blanks, so that the message fits on one line. A message is checked, but never rebuilt.
//! [`super::shape`] lists what a message must have. Unknown block types, stop reasons and members are kept.

use std::ops::Range;

use bytes::Bytes;
use http::header::CONTENT_ENCODING;

use super::error_body::{error, failure_of, is_error};
use super::growth::Growing;
use super::scan::Scanned;
use super::shape::{Refused, Shape, first_not_offered};
use super::{scan, text};
use crate::domain::json::{Traits, lone_surrogate, put_on_one_line};
use crate::domain::{Failure, Message, Quality, Request, StreamFault, Usage};
use crate::provider::{Decoder, Reply, ReplyHead};

/// The error message for an answer that ended with the stop reason `pause_turn`.
const PAUSED: &str = "the answer is not finished: the API paused it (stop_reason \"pause_turn\"), which it does after many \
                      calls of server tools; let the row use fewer of them (max_uses) or ask for less in one row, and run \
                      it again";

/// Decodes a response that is not a stream of events.
#[derive(Default)]
pub(super) struct WholeDecoder {
    /// The first piece of the body; most bodies have only one piece.
    first: Bytes,
    /// All pieces of the body, if the body has more than one piece.
    body: Growing,
}

impl Decoder for WholeDecoder {
    fn push(&mut self, chunk: &[u8]) -> bool {
        self.body.push(&std::mem::take(&mut self.first));
        self.body.push(chunk);
        false
    }

    fn push_bytes(&mut self, chunk: Bytes) -> bool {
        if !self.first.is_empty() || !self.body.is_empty() {
            return self.push(&chunk);
        }
        self.first = chunk;
        false
    }

    fn held_bytes(&self) -> usize {
        self.first.len() + self.body.len()
    }

    fn finish(self: Box<Self>, head: &ReplyHead, asked: &Request) -> Reply {
        let Self { first, mut body } = *self;
        // A large body is put on one line here. If the body were put on one line later, it would have to be copied.
        body.large_mut().into_iter().for_each(put_on_one_line);
        let body = if body.is_empty() { first } else { body.into_bytes() };
        // Some gateways begin the body with a byte order mark.
        let body = body.strip_prefix(b"\xef\xbb\xbf").map_or(body.clone(), |rest| body.slice_ref(rest));
        if head.is_success() { answer(body, head, asked) } else { error(&body, head) }
    }
}

/// Returns the reply for a broken answer.
pub(super) fn broken(head: &ReplyHead, why: impl std::fmt::Display, usage: Usage) -> Reply {
    let message = text::clean(&format!("the answer is not a whole message: {why}"));
    Reply::Broken { failure: Failure { message, usage, ..failure_of(head) } }
}

/// Returns the reply for a broken stream.
pub(super) fn broken_stream(head: &ReplyHead, why: impl std::fmt::Display, usage: Usage, fault: StreamFault) -> Reply {
    match broken(head, why, usage) {
        Reply::Broken { failure } => Reply::Broken { failure: Failure { stream: Some(fault), ..failure } },
        other => other,
    }
}

/// Reads a message, or the error that came instead of a message.
pub(super) fn answer(body: Bytes, head: &ReplyHead, asked: &Request) -> Reply {
    let body = trimmed(body);
    if body.is_empty() {
        return broken(head, "the body is empty", Usage::default());
    }
    let traits = Traits::of(&body);
    let body = if traits.has_line_breaks { on_one_line(body) } else { body };
    if let Some(message) = scanned(&body, traits, asked) {
        return Reply::Message(message);
    }
    let Ok(json) = str::from_utf8(&body) else { return broken(head, not_utf8(head), Usage::default()) };
    let shape: Shape<'_> = match serde_json::from_str(json) {
        Ok(shape) => shape,
        Err(error) => return broken(head, unreadable(&body, &error), Usage::default()),
    };
    if !shape.is_message() && (shape.is_error() || is_error(&body, head)) {
        return error(&body, head);
    }
    let usage = shape.usage().unwrap_or_default();
    match shape.judge(json, asked) {
        Ok(quality) => Reply::Message(Message { usage, quality, content: content_of(&shape, json), json: body }),
        Err(Refused::Broken(why)) => broken(head, why, usage.so_far()),
        Err(Refused::Paused) => Reply::Unfinished {
            message: Message {
                usage,
                quality: Quality::Unknown,
                content: content_of(&shape, json),
                json: body.clone(),
            },
            failure: Failure { message: PAUSED.to_owned(), usage, answer: Some(body), ..failure_of(head) },
        },
    }
}

/// Reads a message that has the usual form; returns `None` for a message of another form.
fn scanned(body: &Bytes, traits: Traits, asked: &Request) -> Option<Message> {
    let Scanned { quality, usage, content, calls } = scan::message(body)?;
    let needs_look = !traits.is_ascii || traits.has_backslashes;
    if needs_look && lone_surrogate(str::from_utf8(body).ok()?).is_some() {
        return None;
    }
    let are_offered = first_not_offered(&calls, asked).is_none();
    are_offered.then(|| Message { usage, quality, json: body.clone(), content })
}

/// Returns the position of a message's content in the text of the message.
fn content_of(shape: &Shape<'_>, json: &str) -> Range<usize> {
    shape.content.map_or(0..0, |content| place(content.get(), json))
}

/// Returns the position of `part` in `whole`; `part` must be a slice of `whole`.
fn place(part: &str, whole: &str) -> Range<usize> {
    let start = part.as_ptr().addr() - whole.as_ptr().addr();
    start..start + part.len()
}

/// Returns JSON with blanks instead of line breaks. The JSON is changed in place if nothing else uses its memory.
fn on_one_line(body: Bytes) -> Bytes {
    match body.try_into_mut() {
        Ok(mut body) => {
            put_on_one_line(&mut body);
            body.freeze()
        }
        Err(body) => {
            let mut line = body.to_vec();
            put_on_one_line(&mut line);
            line.into()
        }
    }
}

fn trimmed(body: Bytes) -> Bytes {
    let range = body.trim_ascii();
    body.slice_ref(range)
}

fn not_utf8(head: &ReplyHead) -> String {
    // The transport removes this header when it unpacks a body.
    match head.headers.get(CONTENT_ENCODING).map(|packed| String::from_utf8_lossy(packed.as_bytes())) {
        Some(packed) => {
            format!("the body is packed with the content-encoding {packed:?}, and only \"gzip\" can be read")
        }
        None => "the body is not UTF-8".to_owned(),
    }
}

pub(super) fn unreadable(body: &[u8], error: &serde_json::Error) -> String {
    if body.starts_with(b"{") {
        return error.to_string();
    }
    let mut excerpt = text::excerpt(body);
    if let Some((end, _)) = excerpt.char_indices().nth(200) {
        excerpt.truncate(end);
    }
    format!("the body is not a JSON object but begins {excerpt:?}")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    const WHOLE: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":2}}"#;

    fn decode(status: u16, body: &[u8]) -> Reply {
        let mut decoder = Box::new(WholeDecoder::default());
        decoder.push(body);
        decoder.finish(&head(status), &Request::default())
    }

    fn head(status: u16) -> ReplyHead {
        let id = (HeaderName::from_static("request-id"), HeaderValue::from_static("req_1"));
        ReplyHead { status, headers: HeaderMap::from_iter([id]) }
    }

    fn message(body: &str) -> Message {
        match decode(200, body.as_bytes()) {
            Reply::Message(message) => message,
            other => panic!("not a message: {other:?}"),
        }
    }

    fn broken(body: &[u8]) -> Failure {
        match decode(200, body) {
            Reply::Broken { failure } => failure,
            other => panic!("not broken: {other:?}"),
        }
    }

    fn failed(status: u16, body: &str) -> (Failure, Option<Duration>) {
        match decode(status, body.as_bytes()) {
            Reply::Error { failure, retry_after, .. } => (failure, retry_after),
            other => panic!("not an error: {other:?}"),
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_message_or_an_error() {
        let marked = |body: &str| format!("\u{feff}{body}");

        assert_eq!(message(&marked(WHOLE)).json, WHOLE.as_bytes());
        let (failure, _) = failed(400, &marked(r#"{"type":"error","error":{"type":"a","message":"b"}}"#));
        assert_eq!((failure.kind.as_deref(), &*failure.message), (Some("a"), "b"));
    }

    #[test]
    fn a_packed_body_that_can_not_be_read_names_its_encoding() {
        let mut decoder = Box::new(WholeDecoder::default());
        decoder.push(b"\x1f\x8b\x08");
        let mut head = head(200);
        head.headers.insert(CONTENT_ENCODING, HeaderValue::from_static("br"));

        let Reply::Broken { failure } = decoder.finish(&head, &Request::default()) else { panic!("not broken") };

        assert!(failure.message.contains("content-encoding \"br\""), "{}", failure.message);
    }

    #[test]
    fn an_answer_without_a_readable_usage_is_kept_and_its_usage_is_unknown() {
        let usage = r#"{"input_tokens":1,"output_tokens":2}"#;
        for (counts, is_unknown) in [("{}", true), (r#"{"prompt_tokens":1}"#, true), (usage, false)] {
            assert_eq!(message(&WHOLE.replace(usage, counts)).usage.is_unknown, is_unknown, "{counts}");
        }
    }

    #[test]
    fn a_message_keeps_the_servers_own_bytes() {
        let message = message(WHOLE);

        assert_eq!(message.json, WHOLE.as_bytes());
        assert_eq!((message.usage.input_tokens, message.usage.output_tokens), (1, 2));
        assert_eq!(message.quality, Quality::Ok);
    }

    #[test]
    fn a_body_gives_the_same_reply_in_one_piece_and_in_many_pieces() {
        for pieces in [&[WHOLE][..], &[&WHOLE[..5], &WHOLE[5..]], &["", &WHOLE[..40], "", &WHOLE[40..90], &WHOLE[90..]]]
        {
            let mut decoder = Box::new(WholeDecoder::default());
            for piece in pieces {
                assert!(!decoder.push_bytes(Bytes::copy_from_slice(piece.as_bytes())));
            }

            let reply = decoder.finish(&head(200), &Request::default());

            assert!(matches!(&reply, Reply::Message(message) if message.json == WHOLE.as_bytes()), "{reply:?}");
        }
    }

    #[test]
    fn a_pretty_message_fits_on_one_line() {
        let pretty = format!("\n{}\r\n", WHOLE.replace(',', ",\r\n  "));

        let message = message(&pretty);

        assert!(!message.json.contains(&b'\n') && !message.json.contains(&b'\r'));
        assert_eq!(String::from_utf8_lossy(&message.json).replace(",    ", ","), WHOLE);
    }

    #[test]
    fn unknown_types_and_members_are_kept() {
        let odd = r#"{"zzz":[1e999,{"a":null}],"type":"message","content":[{"type":"hologram","depth":3}],"stop_reason":"bored","usage":{"input_tokens":1,"output_tokens":2,"moons":7}}"#;

        let message = message(odd);

        assert_eq!(message.json, odd.as_bytes());
        assert_eq!(message.quality, Quality::Unknown);
    }

    #[test]
    fn the_stop_reason_decides_the_quality() {
        let of = |reason: &str| message(&WHOLE.replace("end_turn", reason)).quality;

        assert_eq!(of("refusal"), Quality::Refused);
        assert_eq!(of("max_tokens"), Quality::Truncated);
        assert_eq!(of("model_context_window_exceeded"), Quality::Truncated);
        assert_eq!(of("tool_use"), Quality::Ok);
        assert_eq!(of("stop_sequence"), Quality::Ok);
        assert_eq!(of("end\\u005fturn"), Quality::Ok);
        assert_eq!(of("bored"), Quality::Unknown);
    }

    #[test]
    fn a_paired_surrogate_and_a_null_character_are_text() {
        let text = WHOLE.replace("Hi", r"\ud83d\ude00 \u0000 \\ud800 \\\u00e9");

        assert_eq!(message(&text).json, text.as_bytes());
    }

    #[test]
    fn incomplete_messages_are_broken() {
        let bodies = [
            String::new(),
            " \n ".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "OK".to_owned(),
            "<html><title>Sign in to the Wi-Fi</title></html>".to_owned(),
            "{}".to_owned(),
            WHOLE[..WHOLE.len() - 1].to_owned(),
            format!("{WHOLE}{WHOLE}"),
            WHOLE.replace(r#""message""#, r#""completion""#),
            WHOLE.replace(r#""content":"#, r#""contents":"#),
            WHOLE.replace(r#"[{"type":"text","text":"Hi"}]"#, r#""Hi""#),
            WHOLE.replace(r#"[{"type":"text","text":"Hi"}]"#, "null"),
            WHOLE.replace(r#"[{"type":"text","text":"Hi"}]"#, r#"["Hi"]"#),
            WHOLE.replace(r#"[{"type":"text","text":"Hi"}]"#, r#"[{"text":"Hi"}]"#),
            WHOLE.replace(r#""usage":{"#, r#""used":{"#),
            WHOLE.replace(r#"{"input_tokens":1,"output_tokens":2}"#, "null"),
            WHOLE.replace(r#""end_turn""#, "7"),
            WHOLE.replace(r#""end_turn""#, "null"),
            WHOLE.replace(r#""end_turn""#, r#""""#),
            WHOLE.replace(r#""stop_reason":"end_turn","#, ""),
            WHOLE.replace(r#","text":"Hi""#, ""),
            WHOLE.replace(r#""Hi""#, "null"),
            WHOLE.replace(r#""Hi""#, r#"["Hi"]"#),
            WHOLE.replace(r#""text":"Hi""#, r#""text":"Hi","text":"Ho""#),
            WHOLE.replace(r#""type":"text""#, r#""type":null"#),
            WHOLE.replace(r#"{"type":"text","text":"Hi"}"#, r#"{"type":"tool_use","name":"a","input":{}}"#),
            WHOLE.replace(r#"{"type":"text","text":"Hi"}"#, r#"{"type":"server_tool_use","input":{}}"#),
            WHOLE.replace(r#"{"type":"text","text":"Hi"}"#, r#"{"type":"mcp_tool_use","name":"a","input":null}"#),
            WHOLE.replace("Hi", r"\ud83d"),
            WHOLE.replace("Hi", r"\ude00\ud83d"),
            WHOLE.replace("Hi", r"\ud83d\u0041"),
            WHOLE.replace("Hi", "a\u{1}b"),
            WHOLE.replace(r#""id":"msg_1""#, r#""type":"message""#),
        ];
        for body in bodies {
            let failure = broken(body.as_bytes());

            assert!(failure.message.starts_with("the answer is not a whole message: "), "{body}: {failure:?}");
            assert_eq!(failure.request_id.as_deref(), Some("req_1"));
        }
        assert!(broken(b"{\"type\":\"message\",\"x\":\"\xff\"}").message.ends_with("the body is not UTF-8"));
    }

    #[test]
    fn a_broken_message_keeps_its_usage() {
        for (part, odd) in [(r#""content""#, r#""contents""#), (r#""message""#, "7"), (r#""end_turn""#, "7")] {
            let failure = broken(WHOLE.replace(part, odd).as_bytes());

            assert_eq!(failure.usage.output_tokens, 2, "{odd}");
        }
    }

    #[test]
    fn the_failure_of_a_paused_answer_says_what_to_do_and_has_the_usage() {
        let reply = decode(200, WHOLE.replace("end_turn", "pause_turn").as_bytes());

        let Reply::Unfinished { failure, .. } = reply else { panic!("the answer counts as finished: {reply:?}") };
        assert!(failure.message.contains("pause_turn") && failure.message.contains("max_uses"), "{failure:?}");
        assert_eq!((failure.status, failure.usage.output_tokens), (Some(200), 2));
        assert_eq!(failure.request_id.as_deref(), Some("req_1"));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = WHOLE.replace(r#""text":"Hi""#, &format!(r#""x":{}{}"#, "[".repeat(100_000), "]".repeat(100_000)));

        assert!(broken(deep.as_bytes()).message.contains("nested more than 125 levels deep"));
        assert_eq!(failed(500, &"[".repeat(200_000)).0.kind, None);
    }

    #[test]
    fn every_member_of_an_error_of_the_api_is_read() {
        let (failure, _) = failed(
            429,
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"too\nfast","details":{"error_code":"ramp_limit_exceeded"}},"request_id":"req_2"}"#,
        );

        let expected = Failure {
            status: Some(429),
            wire: None,
            kind: Some("rate_limit_error".to_owned()),
            code: Some("ramp_limit_exceeded".to_owned()),
            message: "too fast".to_owned(),
            request_id: Some("req_1".to_owned()),
            ..Failure::default()
        };
        assert_eq!(failure, expected);
    }

    #[test]
    fn an_error_object_with_status_200_is_an_error() {
        let (failure, _) =
            failed(200, r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#);

        assert_eq!((failure.status, failure.kind.as_deref()), (Some(200), Some("overloaded_error")));
    }

    #[test]
    fn errors_of_other_platforms_with_status_200_are_errors() {
        for (body, kind, message) in [
            (
                r#"{"Output":{"__type":"a#UnknownOperationException"},"Version":"1.0"}"#,
                Some("UnknownOperationException"),
                "{",
            ),
            (r#"{"error":{"code":502,"message":"Provider returned error"}}"#, None, "Provider returned error"),
            (r#"{"message":"Too many tokens"}"#, None, "Too many tokens"),
            (r#"{"error":"no such model"}"#, None, "no such model"),
        ] {
            let (failure, _) = failed(200, body);

            assert_eq!((failure.status, failure.kind.as_deref()), (Some(200), kind), "{body}");
            assert!(failure.message.starts_with(message), "{failure:?}");
        }
        for body in [r#"{"id":"x","choices":[{"message":{"content":"Hi"}}],"error":null}"#, "{}", "[]", "[{}]"] {
            assert!(matches!(decode(200, body.as_bytes()), Reply::Broken { .. }), "{body}");
        }
    }

    #[test]
    fn errors_of_gateways_are_read_in_every_form() {
        assert_eq!(failed(502, "<html><h1>502 Bad Gateway</h1></html>").0.message, "502 Bad Gateway");
        assert_eq!(failed(520, "").0.message, "the response has no body");
        assert_eq!(failed(400, r#"{"error":"no such deployment"}"#).0.message, "no such deployment");
        assert_eq!(failed(400, r#"{"detail":"nope"}"#).0.message, "nope");
        assert_eq!(failed(400, r#"{"error":{"code":7}}"#).0.message, r#"{"error":{"code":7}}"#);
        assert_eq!(failed(404, r#"{"object":"error","message":"no x","type":"NotFoundError"}"#).0.message, "no x");
        let of_google = failed(429, r#"[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]"#).0;
        assert_eq!((of_google.message.as_str(), of_google.kind.as_deref()), ("m", Some("RESOURCE_EXHAUSTED")));
        assert_eq!(of_google.code.as_deref(), Some("429"));
        assert_eq!(failed(413, "\u{1f}\u{8b}\u{8}\u{0}").0.kind, None);
    }

    #[test]
    fn cloudflares_own_errors_say_how_long_to_wait() {
        let body = r#"{"title":"Error 522: Connection timed out","status":522,"detail":"The origin did not answer","cloudflare_error":true,"retryable":true,"retry_after":120}"#;

        let (failure, retry_after) = failed(522, body);

        assert_eq!(failure.message, "The origin did not answer");
        assert_eq!(retry_after, Some(Duration::from_secs(120)));
        assert_eq!(failed(522, &body.replace("120", "-1")).1, None);
        assert_eq!(failed(522, &body.replace("120", "31536000")).1, None);
    }

    #[test]
    fn a_key_in_an_error_body_is_cut() {
        let (failure, _) = failed(401, r#"{"error":{"message":"bad key sk-ant-api03-SECRETSECRET"}}"#);

        assert_eq!(failure.message, "bad key sk-…");
    }
}
