//! Request bodies.
//!
//! Invariant: the members of `params` go out byte for byte and in their order, so that equal prefixes stay equal for
//! the prompt cache. Only `stream` is ours: it is written last.

use bytes::Bytes;

use crate::domain::Params;

const STREAM: &str = "stream";

/// Returns the body, and whether it asks for a stream: when `stream` is wanted, or the row itself asks for one.
pub(super) fn body(params: &Params, stream: bool) -> (Bytes, bool) {
    let is_stream = stream || params.get(STREAM) == Some("true");
    let mut out = Vec::with_capacity(length_hint(params));
    out.push(b'{');
    match params.get(STREAM) {
        None => params.write_members(&mut out),
        Some(_) => without_stream(params).write_members(&mut out),
    }
    if is_stream {
        if out.len() > 1 {
            out.push(b',');
        }
        out.extend_from_slice(b"\"stream\":true");
    }
    out.push(b'}');
    (Bytes::from(out), is_stream)
}

fn without_stream(params: &Params) -> Params {
    Params(params.0.iter().filter(|(name, _)| &**name != STREAM).cloned().collect())
}

fn length_hint(params: &Params) -> usize {
    let members: usize = params.0.iter().map(|(name, value)| name.len() + value.get().len() + 4).sum();
    members + 16
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;

    fn params(members: &[(&str, &str)]) -> Params {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect())
    }

    fn text(params: &Params, stream: bool) -> (String, bool) {
        let (body, is_stream) = body(params, stream);
        (String::from_utf8(body.to_vec()).expect("a body is UTF-8"), is_stream)
    }

    #[test]
    fn members_keep_their_bytes_and_their_order() {
        let params =
            params(&[("temperature", "1.0e0"), ("model", r#""m""#), ("messages", r#"[ {"b":1,"a":"\u00e9"} ]"#)]);

        let (body, is_stream) = text(&params, false);

        assert_eq!(body, r#"{"temperature":1.0e0,"model":"m","messages":[ {"b":1,"a":"\u00e9"} ]}"#);
        assert!(!is_stream);
    }

    #[test]
    fn a_stream_is_asked_for_at_the_end() {
        let params = params(&[("model", r#""m""#)]);

        assert_eq!(text(&params, true), (r#"{"model":"m","stream":true}"#.to_owned(), true));
    }

    #[test]
    fn a_rows_own_stream_member_is_never_doubled() {
        let asks = params(&[("stream", "true"), ("model", r#""m""#)]);
        let declines = params(&[("model", r#""m""#), ("stream", "false")]);

        assert_eq!(text(&asks, false), (r#"{"model":"m","stream":true}"#.to_owned(), true));
        assert_eq!(text(&declines, true), (r#"{"model":"m","stream":true}"#.to_owned(), true));
        assert_eq!(text(&declines, false), (r#"{"model":"m"}"#.to_owned(), false));
    }
}
