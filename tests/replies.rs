//! Decodes recorded replies: whole, byte by byte, cut off at every byte, and in random pieces.

mod exchange;
#[path = "exchange/odd.rs"]
mod odd;
#[path = "exchange/platforms.rs"]
mod platforms;

use std::collections::BTreeMap;

use claude_batch::domain::{ErrorClass, Quality, RateSignals, StreamFault, Usage, Verdict};
use claude_batch::provider::{Provider, Reply};
use exchange::Exchange;
use odd::Expected;
use proptest::prelude::*;

fn all() -> Vec<(String, Exchange)> {
    let entries = std::fs::read_dir(exchange::folder()).expect("the folder of recorded replies is there");
    let names = entries.filter_map(|entry| {
        let path = entry.expect("a readable entry").path();
        let is_exchange = path.extension().is_some_and(|extension| extension == "http");
        is_exchange.then(|| path.file_stem().expect("a name").to_string_lossy().into_owned())
    });
    let mut all: Vec<_> = names.map(|name| (name.clone(), Exchange::load(&name))).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert!(all.len() > 50, "the recorded replies are there");
    all
}

fn cut(exchange: &Exchange, length: usize) -> Exchange {
    Exchange { head: exchange.head.clone(), body: exchange.body[..length].to_vec() }
}

/// Describes a recorded reply in words.
fn shown(reply: &Reply) -> String {
    match reply {
        Reply::Message(message) => {
            format!("message {} {:?} {}", message.quality.name(), message.usage, String::from_utf8_lossy(&message.json))
        }
        Reply::Error { failure, is_in_stream, retry_after } => {
            format!("error in_stream={is_in_stream} after={retry_after:?} {failure:?}")
        }
        Reply::Broken { failure } => format!("broken {failure:?}"),
        Reply::Unfinished { failure, .. } => format!("unfinished {failure:?}"),
    }
}

/// Returns how many bytes at the start of the body are enough for a complete reply. The line breaks at the end of the
/// body are not needed. But a stream needs one line break at its end.
fn needed(name: &str, exchange: &Exchange) -> usize {
    let text = exchange.body.trim_ascii_end().len();
    if name.starts_with("stream") && text < exchange.body.len() { text + 1 } else { text }
}

#[test]
fn a_reply_is_the_same_no_matter_how_it_is_cut_into_pieces() {
    for (name, exchange) in all() {
        let whole = shown(&exchange.decode());

        for size in [1, 2, 3, 7, 64, 1000] {
            assert_eq!(shown(&exchange.decode_in(&[size]).0), whole, "{} in pieces of {size}", name);
        }
    }
}

#[test]
fn a_reply_that_is_cut_is_never_a_message() {
    for (name, exchange) in all() {
        for length in 0..needed(&name, &exchange) {
            let reply = cut(&exchange, length).decode();

            assert!(!matches!(reply, Reply::Message(_)), "{} cut at {length}: {reply:?}", name);
        }
    }
}

#[test]
fn each_recorded_reply_is_what_its_name_says() {
    for (name, exchange) in all() {
        let reply = exchange.decode();
        let (is_right, kind) = match name.split('_').next().expect("a first word") {
            "ok" => (matches!(reply, Reply::Message(_)), "a message"),
            "broken" => (matches!(reply, Reply::Broken { .. }), "broken"),
            "unfinished" => (matches!(reply, Reply::Unfinished { .. }), "unfinished"),
            "stream" => continue,
            _ => (matches!(reply, Reply::Error { .. }), "an error"),
        };

        assert!(is_right, "{} is not {kind}: {reply:?}", name);
    }
}

#[test]
fn whole_messages_keep_every_byte() {
    for (name, exchange) in all().into_iter().filter(|(name, _)| name.starts_with("ok")) {
        let Reply::Message(message) = exchange.decode() else { panic!("{} is not a message", name) };

        let on_one_line = String::from_utf8(exchange.body.clone()).expect("text").trim().replace('\n', " ");
        assert_eq!(String::from_utf8_lossy(&message.json), on_one_line, "{name}");
    }
}

#[test]
fn a_line_of_results_is_one_line_of_json() {
    for (name, exchange) in all() {
        if let Reply::Message(message) = exchange.decode() {
            assert!(!message.json.iter().any(|byte| matches!(byte, b'\n' | b'\r')), "{name}");
            serde_json::from_slice::<serde_json::Value>(&message.json).expect("any JSON reader can parse the message");
        }
    }
}

#[test]
fn usage_is_read_from_whole_answers() {
    let Reply::Message(message) = Exchange::load("ok_cache").decode() else { panic!("ok_cache is not a message") };

    let expected = Usage {
        input_tokens: 120,
        cache_write_5m_tokens: 1000,
        cache_write_1h_tokens: 2000,
        cache_read_tokens: 20_000,
        output_tokens: 14,
        web_searches: 0,
        is_unknown: false,
    };
    assert_eq!(message.usage, expected);
}

/// For each stream, the table gives the content, the stop reason and the usage of its message.
#[test]
fn the_events_of_a_stream_add_up_to_the_whole_message() {
    let head = |id: &str, content: &str, rest: &str| {
        format!(
            r#"{{"id":"msg_01{id}","type":"message","role":"assistant","model":"claude-haiku-4-5-20251001","content":{content},{rest}}}"#
        )
    };
    let plain = |stop: &str, output: u32| {
        format!(
            r#""stop_reason":"{stop}","stop_sequence":null,"usage":{{"input_tokens":25,"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":{output}}}"#
        )
    };
    let hello = r#"[{"type":"text","text":"Hello, 世界!\n"}]"#;
    let rows = [
        ("stream", head("St1", hello, &plain("end_turn", 15))),
        ("stream_crlf", head("St1", hello, &plain("end_turn", 15))),
        ("stream_cr", head("St1", hello, &plain("end_turn", 15))),
        ("stream_bom_comments", head("St1", hello, &plain("end_turn", 15))),
        ("stream_multi_line_data", head("St1", hello, &plain("end_turn", 15))),
        (
            "stream_tool_use",
            head(
                "St6",
                r#"[{"type":"text","text":"I'll look."},{"type":"tool_use","id":"toolu_01B7","name":"get_weather","input":{"city": "Zürich", "days": [1, 2.50]}},{"type":"tool_use","id":"toolu_01B8","name":"now","input":{}}]"#,
                &plain("tool_use", 48),
            ),
        ),
        (
            "stream_tool_use_cut_by_max_tokens",
            head(
                "St7",
                r#"[{"type":"tool_use","id":"toolu_01C1","name":"save","input":{"INVALID_JSON":"{\"text\": \"half a sen"}}]"#,
                &plain("max_tokens", 16),
            ),
        ),
        (
            "stream_thinking",
            head(
                "St8",
                r#"[{"type":"thinking","thinking":"17 * 3 is 51.","signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3h"},{"type":"text","text":"51"}]"#,
                &plain("end_turn", 40).replace("40}", r#"40,"output_tokens_details":{"thinking_tokens":21}}"#),
            ),
        ),
        (
            "stream_citations",
            head(
                "St9",
                r#"[{"type":"text","text":"Green.","citations":[{"type":"char_location","cited_text":"Grass is green.","document_index":0,"start_char_index":0,"end_char_index":15},{"type":"char_location","cited_text":"Sky.","document_index":1,"start_char_index":3,"end_char_index":7}]}]"#,
                &plain("end_turn", 9),
            ),
        ),
        (
            "stream_usage_updates",
            head(
                "St10",
                r#"[{"type":"text","text":"ok"}]"#,
                r#""stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":10682,"cache_creation_input_tokens":0,"cache_read_input_tokens":7,"output_tokens":510,"server_tool_use":{"web_search_requests":2}}"#,
            ),
        ),
        (
            "stream_unknown_parts",
            head(
                "St11",
                r#"[{"type":"hologram","frames":"abc","depth":4,"tint":{"r":1}}]"#,
                &format!(r#"{},"mood":"good","context_management":{{"applied_edits":[]}}"#, plain("pondered", 3)),
            ),
        ),
        (
            "stream_split_surrogates",
            head("St12", r#"[{"type":"text","text":"smile \ud83d\ude00 done"}]"#, &plain("end_turn", 4)),
        ),
        (
            "stream_refusal",
            head(
                "St13",
                "[]",
                &format!(
                    r#"{},"stop_details":{{"type":"refusal","category":"bio","explanation":"no"}}"#,
                    plain("refusal", 2)
                ),
            ),
        ),
    ];
    for (name, expected) in rows {
        let (reply, is_complete) = Exchange::load(name).decode_in(&[usize::MAX]);

        let Reply::Message(message) = reply else { panic!("{name} is not a message: {reply:?}") };
        assert_eq!(String::from_utf8_lossy(&message.json), expected, "{name}");
        assert!(is_complete, "{name}");
    }
}

#[test]
fn streams_give_quality_and_usage() {
    let of = |name: &str| match Exchange::load(name).decode() {
        Reply::Message(message) => (message.quality, message.usage),
        other => panic!("{name} is not a message: {other:?}"),
    };

    assert_eq!(of("stream_refusal").0, Quality::Refused);
    assert_eq!(of("stream_tool_use_cut_by_max_tokens").0, Quality::Truncated);
    let (quality, usage) = of("stream_usage_updates");
    assert_eq!(quality, Quality::Ok);
    let expected =
        Usage { input_tokens: 10_682, cache_read_tokens: 7, output_tokens: 510, web_searches: 2, ..Usage::default() };
    assert_eq!(usage, expected);
}

#[test]
fn a_stream_request_can_be_answered_with_plain_json() {
    assert!(matches!(Exchange::load("stream_answered_whole").decode(), Reply::Message(_)));
}

#[test]
fn an_error_event_is_an_error_with_the_usage_so_far() {
    let Reply::Error { failure, is_in_stream, .. } = Exchange::load("stream_error_first").decode() else {
        panic!("an error")
    };
    assert!(is_in_stream);
    assert_eq!((failure.status, failure.kind.as_deref()), (Some(200), Some("overloaded_error")));
    assert_eq!(failure.usage, Usage::default());

    let Reply::Error { failure, is_in_stream, .. } = Exchange::load("stream_error_after_text").decode() else {
        panic!("an error")
    };
    assert!(is_in_stream);
    assert_eq!((failure.usage.input_tokens, failure.usage.output_tokens), (25, 1));
}

#[test]
fn incomplete_streams_are_broken_and_say_why() {
    let rows = [
        ("stream_without_end", "without message_stop", 15, Some(StreamFault::Cut)),
        ("stream_lone_surrogate", "half a character", 4, None),
        ("stream_not_json", "unreadable", 1, Some(StreamFault::Foreign)),
        ("stream_delta_without_block", "content block 3", 1, Some(StreamFault::Foreign)),
        ("stream_empty", "without message_stop", 0, Some(StreamFault::Cut)),
        ("stream_no_message_delta", "before message_delta", 1, Some(StreamFault::Foreign)),
        ("stream_no_message_start", "content_block_start before message_start", 0, Some(StreamFault::Foreign)),
        ("stream_ends_in_done", "ends in [DONE]", 15, Some(StreamFault::Foreign)),
        ("stream_chat_completion", "unreadable: missing field `type`", 0, Some(StreamFault::Foreign)),
        ("stream_tool_input_not_json", "the input of a tool call is not JSON", 15, None),
        ("stream_no_stop_reason", "no stop_reason", 15, None),
    ];
    for (name, why, output_tokens, stream) in rows {
        let reply = Exchange::load(name).decode();

        let Reply::Broken { failure } = reply else { panic!("{name} is not broken: {reply:?}") };
        assert!(failure.message.contains(why), "{name}: {}", failure.message);
        assert_eq!((failure.usage.output_tokens, failure.stream), (output_tokens, stream), "{name}");
    }
}

#[test]
fn a_stream_that_pauses_is_not_finished() {
    let reply = Exchange::load("stream_pause_turn").decode();

    let Reply::Unfinished { failure, .. } = reply else { panic!("the answer counts as finished: {reply:?}") };
    assert_eq!((failure.usage.output_tokens, failure.stream), (15, None));
}

#[test]
fn tool_input_that_is_not_json_is_kept_only_if_the_model_did_not_end_by_itself() {
    let exchange = Exchange::load("stream_tool_input_not_json");
    let body = String::from_utf8(exchange.body.clone()).expect("text");
    let of = |stop_reason: &str, kind: &str| {
        let body = body.replace(r#""stop_reason":"tool_use""#, &format!(r#""stop_reason":"{stop_reason}""#));
        let body = body.replace(r#""type":"tool_use""#, &format!(r#""type":"{kind}""#));
        Exchange { body: body.into_bytes(), ..exchange.clone() }.decode()
    };

    for stop_reason in ["max_tokens", "model_context_window_exceeded", "refusal", "pondered"] {
        let reply = of(stop_reason, "tool_use");
        let Reply::Message(message) = reply else { panic!("the answer with {stop_reason} is not kept: {reply:?}") };
        let json = String::from_utf8_lossy(&message.json);
        assert!(json.contains(r#""input":{"INVALID_JSON":"{\"text\": oops}"}"#), "{json}");
    }
    for stop_reason in ["end_turn", "stop_sequence", "tool_use"] {
        for kind in ["tool_use", "server_tool_use", "mcp_tool_use"] {
            let reply = of(stop_reason, kind);
            assert!(matches!(reply, Reply::Broken { .. }), "{stop_reason}, {kind}: {reply:?}");
        }
        assert!(matches!(of(stop_reason, "novel_use"), Reply::Message(_)));
    }
}

/// The tools that [`exchange::asked`] offers.
const OFFERED: [&str; 3] = ["get_weather", "now", "save"];

#[test]
fn odd_answers_are_kept_or_refused_as_the_table_says_both_plain_and_streamed() {
    let seed = 15;
    let mut random = fastrand::Rng::with_seed(seed);
    let mut seen: BTreeMap<Expected, usize> = BTreeMap::new();
    for odd in odd::answers(1_000, &mut random) {
        for (is_stream, exchange) in [(false, odd.plain(&mut random)), (true, odd.streamed(&mut random))] {
            let what = || format!("seed {seed}, stream {is_stream}: {}", String::from_utf8_lossy(&exchange.body));
            let expected = odd::expected(&odd, is_stream, &OFFERED);
            *seen.entry(expected).or_default() += 1;
            let reply = exchange.decode();

            assert_eq!(result_of(&exchange, &reply), expected, "{}\n{reply:?}", what());
            if let Reply::Message(message) = &reply {
                let sent = String::from_utf8_lossy(exchange.body.trim_ascii()).replace(['\n', '\r'], " ");
                let json = str::from_utf8(&message.json).expect("JSON is UTF-8");
                assert!(if is_stream { is_same(json, &odd.json()) } else { json == sent }, "{}\n{json}", what());
                let content = &json[message.content.clone()];
                assert!(content.starts_with('[') && content.ends_with(']'), "{}\n{content}", what());
            }
            assert_eq!(shown(&exchange.decode_in(&[1]).0), shown(&reply), "{}", what());
            for _ in 0..3 {
                let length = random.usize(0..needed(if is_stream { "stream" } else { "" }, &exchange));
                let reply = cut(&exchange, length).decode();
                assert!(matches!(reply, Reply::Broken { .. }), "cut at {length}, {}\n{reply:?}", what());
            }
        }
    }
    let of = |expected| seen.get(&expected).copied().unwrap_or_default();
    assert!(
        ["ok", "truncated", "refused", "unknown"].iter().all(|quality| of(Expected::Kept(quality)) > 60),
        "{seen:?}"
    );
    assert!(of(Expected::Refused) > 600 && of(Expected::Paused) > 60, "{seen:?}");
}

/// Returns what the program does with an answer: it keeps the answer, rejects it, or treats it as unfinished.
fn result_of(exchange: &Exchange, reply: &Reply) -> Expected {
    match exchange::provider().judge(&exchange.head, reply.clone(), &RateSignals::default()) {
        Verdict::Answered(message) => Expected::Kept(message.quality.name()),
        Verdict::Transient { class: ErrorClass::InvalidOutput, retry_after: None, maybe_paid: true, .. } => {
            Expected::Refused
        }
        Verdict::Paused { .. } => Expected::Paused,
        verdict => panic!("no such verdict: {verdict:?}"),
    }
}

/// Returns whether two JSON texts are equal except for the order of members and the spelling of strings.
fn is_same(left: &str, right: &str) -> bool {
    let tree = |json: &str| serde_json::from_str::<serde_json::Value>(&json.replace("1e999", "1")).expect("JSON");
    tree(left) == tree(right)
}

#[test]
fn hostile_streams_give_a_broken_reply_and_never_panic() {
    let start = r#"data: {"type":"message_start","message":{"id":"m","type":"message","content":[],"usage":{"output_tokens":1}}}"#;
    let end = "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\ndata: {\"type\":\"message_stop\"}";
    let block = r#"data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
    let many = (0..300).map(|n| format!("\"m{n}\":0")).collect::<Vec<_>>().join(",");
    let bodies = [
        end.to_owned(),
        format!("{start}\n\n{start}\n\n{end}"),
        format!("{start}\n\n{block}\n\n{block}\n\n{end}"),
        format!("{start}\n\ndata: {{\"type\":\"content_block_start\",\"index\":-1,\"content_block\":{{}}}}\n\n{end}"),
        format!("{start}\n\ndata: {{\"type\":\"content_block_start\",\"content_block\":{{}}}}\n\n{end}"),
        format!("{start}\n\ndata: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":[]}}\n\n{end}"),
        format!("{start}\n\n{block}\n\ndata: {{\"type\":\"content_block_delta\",\"index\":0}}\n\n{end}"),
        format!("{start}\n\ndata: {{\"type\":\"message_delta\",\"delta\":{{\"a\":1,\"a\":2}}}}\n\n{end}"),
        format!("{start}\n\ndata: {{\"type\":\"message_delta\",\"delta\":{{{many}}}}}\n\n{end}"),
        format!("{start}\n\ndata: {}\n\n{end}", "[".repeat(100_000)),
        format!("{start}\n\ndata: null\n\n{end}"),
        "data: {\"type\":\"message_start\"}\n\n".to_owned() + end,
        "data: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"usage\":3}}\n\n".to_owned() + end,
    ];
    for body in bodies {
        let stream = Exchange::new(200, &[("content-type", "text/event-stream")], format!("{body}\n\n").as_bytes());

        let reply = stream.decode();

        assert!(matches!(reply, Reply::Broken { .. }), "{body:.200}\n{reply:?}");
    }
    let not_text = Exchange::new(200, &[("content-type", "text/event-stream")], b"data: \"\xff\"\n\n");
    assert!(matches!(not_text.decode(), Reply::Broken { .. }));
}

/// Returns a stream that sends these texts, one after the other, as parts of the answer.
fn stream_of(pieces: &[String]) -> Exchange {
    let mut body = String::from(
        "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"type\":\"message\",\"content\":[],\
         \"usage\":{\"input_tokens\":1,\"output_tokens\":1}}}\n\nevent: content_block_start\ndata: \
         {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    );
    for piece in pieces {
        let text = serde_json::to_string(piece).expect("a string can be written");
        body += &format!(
            "event: content_block_delta\ndata: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"type\":\
             \"text_delta\",\"text\":{text}}}}}\n\n"
        );
    }
    body += "data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":9}}\
             \n\ndata: {\"type\":\"message_stop\"}\n\n";
    Exchange::new(200, &[("content-type", "text/event-stream")], body.as_bytes())
}

fn text_of(reply: &Reply) -> Option<String> {
    let Reply::Message(message) = reply else { return None };
    let json: serde_json::Value = serde_json::from_slice(&message.json).ok()?;
    json.pointer("/content/0/text")?.as_str().map(str::to_owned)
}

proptest! {
    #[test]
    fn any_text_in_any_pieces_comes_out_the_same(
        pieces in prop::collection::vec(any::<String>(), 0..8),
        sizes in prop::collection::vec(1_usize..40, 1..20),
    ) {
        let (reply, is_complete) = stream_of(&pieces).decode_in(&sizes);

        prop_assert_eq!(text_of(&reply), Some(pieces.concat()));
        prop_assert!(is_complete);
    }

    #[test]
    fn a_stream_cut_at_random_is_not_a_message(
        pieces in prop::collection::vec(any::<String>(), 0..4),
        at in any::<prop::sample::Index>(),
    ) {
        let exchange = stream_of(&pieces);
        let length = at.index(exchange.body.len() - 1);

        let reply = cut(&exchange, length).decode();

        prop_assert!(matches!(reply, Reply::Broken { .. }), "{:?}", reply);
    }

    #[test]
    fn random_bytes_never_panic_and_are_not_a_message(
        body in prop::collection::vec(any::<u8>(), 0..300),
        status in prop::sample::select(vec![200_u16, 400, 429, 500, 529]),
        kind in prop::sample::select(vec!["text/event-stream", "application/json"]),
    ) {
        let exchange = Exchange::new(status, &[("content-type", kind)], &body);

        prop_assert!(!matches!(exchange.decode(), Reply::Message(_)));
    }
}
