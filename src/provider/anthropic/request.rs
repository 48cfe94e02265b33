//! Writes the bodies of requests to the Messages API.
//!
//! Invariant: a row's parameters are sent byte for byte, so that equal prefixes stay equal for the prompt cache. This
//! module adds only `stream`, at the end, and cache marks (`cache_control`). The rules of a provider
//! ([`super::changes`]) can replace the name of the model and leave out members. The positions of cache marks refer to
//! the row's own request, so these rules do not move the marks.
//!
//! A cache mark is a member of a content block. A plain string is the short form of a list with one text block, and has
//! no place for a mark. If a string must be marked, the equivalent list with one text block is sent instead. All rows
//! with the same prefix send this list, even the rows without a mark, so that their prefixes stay equal.

use bytes::Bytes;

use crate::domain::{Caching, Level, MarkPlace, Marked, Request};
use crate::provider::{Body, Splice};

/// The member that asks for a stream, with a comma because it follows other members.
const ASKS_FOR_STREAM: &[u8] = b",\"stream\":true";
const ASKS_ONLY_FOR_STREAM: &[u8] = b"\"stream\":true";
/// The mark for the five-minute cache, written as a member that follows other members.
const MARK_5M: &str = r#","cache_control":{"type":"ephemeral"}"#;
const MARK_1H: &str = r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#;
const NO_MARK: &str = "";

/// Returns the body of a request with its cache marks and with `changes`. If `stream` is true, the body asks for a
/// stream.
pub(super) fn body(request: &Request, marked: Option<&Marked>, stream: bool, changes: Vec<Splice>) -> Body {
    let json = request.json();
    let mut body = changes.into_iter().fold(Body::plain(json.clone()), Body::with);
    if let Some(Marked { prefixes, marks }) = marked
        && let Some(last) = marks.last()
    {
        for (at, level) in prefixes.levels.iter().enumerate().take(last + 1) {
            body = with_level(body, level, marks.has(at));
        }
    }
    let Some(members) = json.strip_suffix(b"}").filter(|_| stream) else { return body };
    let text = if members.len() > 1 { ASKS_FOR_STREAM } else { ASKS_ONLY_FOR_STREAM };
    body.with(Splice::insert(members.len(), text))
}

/// Writes the last text of a prefix as a list with text blocks. If `is_marked` is true, adds a cache mark at the end of
/// the prefix.
fn with_level(body: Body, level: &Level, is_marked: bool) -> Body {
    let mark = match level.lifetime {
        _ if !is_marked => NO_MARK,
        Caching::Hour => MARK_1H,
        Caching::None | Caching::FiveMinutes => MARK_5M,
    };
    let insert = |body: Body, at: u32, text: Bytes| body.with(Splice::insert(at as usize, text));
    let fixed = |text: &'static str| Bytes::from_static(text.as_bytes());
    const BEGIN: &str = r#"[{"type":"text","text":"#;
    match level.place {
        MarkPlace::Own => body,
        MarkPlace::Block { brace } if is_marked => insert(body, brace, fixed(mark)),
        MarkPlace::Block { .. } => body,
        // If the text is in bytes that the body leaves out, nothing is inserted. If the text is left out, an insertion
        // at its end could land inside the bytes after the text.
        MarkPlace::Text { start, .. } | MarkPlace::Cut { start, .. } if body.leaves_out(start as usize) => body,
        MarkPlace::Text { start, end } => {
            let body = insert(body, start, fixed(BEGIN));
            insert(body, end, format!("{mark}}}]").into())
        }
        MarkPlace::Cut { start, cut, end } => {
            let body = insert(body, start, fixed(BEGIN));
            let body = insert(body, cut, format!(r#""{mark}}},{{"type":"text","text":""#).into());
            insert(body, end, fixed("}]"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::value::RawValue;

    use super::*;
    use crate::domain::{Marks, Money, Params, PrefixId, Prefixes};

    fn text(members: &[(&str, &str)], stream: bool) -> String {
        let raw = |json: &str| RawValue::from_string(json.to_owned()).expect("the test writes valid JSON");
        let params = Params(members.iter().map(|(name, json)| ((*name).into(), raw(json))).collect());
        String::from_utf8(body(&Request::of(&params), None, stream, Vec::new()).into_bytes().to_vec())
            .expect("a body is UTF-8")
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

    /// Returns the body of a request with prefixes that end at `places`. `marked` has the indexes of the prefixes with
    /// a cache mark.
    fn marked(json: &str, places: Vec<MarkPlace>, marked: &[usize], stream: bool) -> String {
        let lifetime = |at: usize| if at == 0 { Caching::Hour } else { Caching::FiveMinutes };
        let level = |(at, place)| Level { id: PrefixId(at as u64), tokens: 2_000, place, lifetime: lifetime(at) };
        let levels = places.into_iter().enumerate().map(level).collect();
        let prefixes = Prefixes { levels, least_tokens: 1_024, extra_most: [Money::ZERO; 2] };
        let marks = marked.iter().fold(Marks::NONE, |marks, at| marks.with(*at));
        let params: Params = serde_json::from_str::<std::collections::BTreeMap<String, Box<RawValue>>>(json)
            .map(|members| Params(members.into_iter().map(|(name, value)| (name.into(), value)).collect()))
            .expect("the test writes valid JSON");
        let marked = Marked { prefixes: prefixes.into(), marks };
        String::from_utf8(body(&Request::of(&params), Some(&marked), stream, Vec::new()).into_bytes().to_vec())
            .expect("it is UTF-8")
    }

    #[test]
    fn marks_are_added_to_blocks_and_texts_and_nothing_else_changes() {
        let json =
            r#"{"messages":[{"role":"user","content":"start rest"}],"system":"Be kind.","tools":[{"name":"t"}]}"#;
        let at = |text: &str| json.find(text).expect("it is there") as u32;
        let tools = MarkPlace::Block { brace: at(r#""t"}"#) + 3 };
        let system = MarkPlace::Text { start: at(r#""Be"#), end: at("kind.") + 6 };
        let cut = MarkPlace::Cut { start: at(r#""start"#), cut: at("rest"), end: at("rest") + 5 };

        let all = marked(json, vec![tools, system, cut], &[0, 1, 2], true);

        let mark = r#""cache_control":{"type":"ephemeral"}"#;
        let hour = r#""cache_control":{"type":"ephemeral","ttl":"1h"}"#;
        assert_eq!(
            all,
            format!(
                r#"{{"messages":[{{"role":"user","content":[{{"type":"text","text":"start ",{mark}}},{{"type":"text","text":"rest"}}]}}],"system":[{{"type":"text","text":"Be kind.",{mark}}}],"tools":[{{"name":"t",{hour}}}],"stream":true}}"#
            )
        );
    }

    #[test]
    fn rows_write_a_shared_prefix_in_the_same_form_whichever_of_its_levels_are_marked() {
        let json = r#"{"messages":[{"role":"user","content":"start rest"}],"system":"Be kind."}"#;
        let at = |text: &str| json.find(text).expect("it is there") as u32;
        let places = || {
            vec![
                MarkPlace::Text { start: at(r#""Be"#), end: at("kind.") + 6 },
                MarkPlace::Cut { start: at(r#""start"#), cut: at("rest"), end: at("rest") + 5 },
            ]
        };
        let bare = |text: String| {
            text.replace(r#","cache_control":{"type":"ephemeral"}"#, "")
                .replace(r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#, "")
        };

        let (both, last) = (marked(json, places(), &[0, 1], false), marked(json, places(), &[1], false));
        let (first, none) = (marked(json, places(), &[0], false), marked(json, places(), &[], false));

        assert_eq!(bare(both), bare(last));
        assert!(first.contains(r#""content":"start rest""#), "the text after the last mark is sent as it was written");
        assert_eq!(none, json);
    }

    #[test]
    fn marks_of_the_row_itself_are_not_added_again() {
        let json = r#"{"system":[{"type":"text","text":"a","cache_control":{"type":"ephemeral"}}]}"#;

        assert_eq!(marked(json, vec![MarkPlace::Own], &[0], false), json);
    }
}
