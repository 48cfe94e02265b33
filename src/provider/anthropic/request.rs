//! Writes the bodies of requests.
//!
//! Invariant: a row's parameters are sent byte for byte, so that equal prefixes stay equal for the prompt cache. Only
//! `stream` is added, at the end.

use bytes::Bytes;

use crate::domain::Request;
use crate::provider::{Body, Splice};

/// The text that asks for a stream. It begins with a comma if it follows other members.
const ASKS_FOR_STREAM: &[u8] = b",\"stream\":true";
const ASKS_ONLY_FOR_STREAM: &[u8] = b"\"stream\":true";

/// Returns the body of a request. With `stream`, the body asks for a stream.
pub(super) fn body(request: &Request, stream: bool) -> Body {
    let json = request.json();
    let body = Body::plain(json.clone());
    let Some(members) = json.strip_suffix(b"}").filter(|_| stream) else { return body };
    let text = if members.len() > 1 { ASKS_FOR_STREAM } else { ASKS_ONLY_FOR_STREAM };
    body.with(Splice { at: members.len(), text: Bytes::from_static(text) })
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::Params;

    fn text(members: &[(&str, &str)], stream: bool) -> String {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        let params = Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect());
        String::from_utf8(body(&Request::of(&params), stream).into_bytes().to_vec()).expect("a body is UTF-8")
    }

    #[test]
    fn members_keep_their_bytes_and_their_order() {
        let body =
            text(&[("temperature", "1.0e0"), ("model", r#""m""#), ("messages", r#"[ {"b":1,"a":"\u00e9"} ]"#)], false);

        assert_eq!(body, r#"{"temperature":1.0e0,"model":"m","messages":[ {"b":1,"a":"\u00e9"} ]}"#);
    }

    #[test]
    fn a_stream_is_asked_for_at_the_end() {
        assert_eq!(text(&[("model", r#""m""#)], true), r#"{"model":"m","stream":true}"#);
        assert_eq!(text(&[], true), r#"{"stream":true}"#);
    }
}
