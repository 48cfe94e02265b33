//! Tests scripted answers of the simulated API, and the requests that this API rejects because of their content.
//!
//! The tests call the API in the same process, without sockets and without waiting. `tests/sim_batches.rs` tests
//! scripted answers in message batches.

use claude_batch::clock::Instant;
use claude_batch::sim::answers::AnswerPlan;
use claude_batch::sim::config::{Endings, Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::{Ending, Model, Request, Step};
use claude_batch::sim::presets;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

/// A model that accepts the beginning of an answer (a prefill) and a budget for thinking.
const MODEL: &str = "claude-haiku-4-5";
/// A model that accepts neither the beginning of an answer (a prefill) nor a budget for thinking.
const LATER: &str = "claude-sonnet-4-6";

#[test]
fn a_text_or_a_value_is_answered_as_it_is_written_and_is_billed() {
    let mut api = api(json!([{"contains": "total", "json": {"total": 12.5, "b": [1]}}, {"text": "It is \"so\".\n"}]));

    let json = api.ask(&question("the total?"));
    let text = api.ask(&question("why?"));

    assert_eq!(json["content"], json!([{"type": "text", "text": r#"{"b":[1],"total":12.5}"#}]));
    assert_eq!(text["content"], json!([{"type": "text", "text": "It is \"so\".\n"}]));
    assert_eq!((&json["stop_reason"], &text["stop_reason"]), (&json!("end_turn"), &json!("end_turn")));
    let billed = [&json, &text].map(|answer| answer["usage"]["output_tokens"].as_u64().expect("a number"));
    assert!(billed[0] > 8 && billed[1] == 7, "{billed:?}");
    assert_eq!(api.model.books().billed.output_tokens, billed.iter().sum::<u64>());
    assert_eq!(api.model.books().answers, [(0, 1), (1, 1)].into());
}

#[test]
fn an_empty_text_is_an_answer_without_content() {
    let mut api = api(json!([{"text": ""}]));

    let answer = api.ask(&question("why?"));

    assert_eq!((&answer["content"], &answer["usage"]["output_tokens"]), (&json!([]), &json!(0)));
}

#[test]
fn an_answer_ends_where_max_tokens_or_a_stop_sequence_ends_it() {
    let mut api = api(json!([{"text": "one two three four STOP five"}]));
    let ask = |api: &mut Api, max_tokens: u64, stop: &str| {
        api.ask(&with(question("?"), json!({"max_tokens": max_tokens, "stop_sequences": [stop]})))
    };

    let (cut, stopped, both) = (ask(&mut api, 3, "none"), ask(&mut api, 30, "STOP"), ask(&mut api, 2, "STOP"));

    assert_eq!((&cut["stop_reason"], &cut["usage"]["output_tokens"]), (&json!("max_tokens"), &json!(3)));
    assert!("one two three four".starts_with(text(&cut)), "{cut}");
    assert_eq!((text(&stopped), &stopped["stop_reason"]), ("one two three four ", &json!("stop_sequence")));
    assert_eq!(stopped["stop_sequence"], "STOP");
    assert_eq!((&both["stop_reason"], &both["stop_sequence"]), (&json!("max_tokens"), &Value::Null));
}

#[test]
fn a_truncated_answer_becomes_whole_with_more_tokens() {
    let mut api = api(json!([{"truncated": 0.25, "max_tokens_below": 500, "text": "a b c d e f g h"}]));

    let cut = api.ask(&with(question("?"), json!({"max_tokens": 499})));
    let usual = api.ask(&with(question("?"), json!({"max_tokens": 500})));

    assert_eq!((text(&cut), &cut["stop_reason"]), ("a b", &json!("max_tokens")));
    assert_eq!(cut["usage"]["output_tokens"], 2);
    assert_eq!((&usual["stop_reason"], &usual["usage"]["output_tokens"]), (&json!("end_turn"), &json!(20)));
}

#[test]
fn turns_count_the_answers_so_far() {
    let mut api = api(json!([
        {"turn": 1, "tool": {"name": "look_up", "input": {"city": "Oslo"}}},
        {"turn": [2, 3], "text": "It rains."}
    ]));
    let look_up = json!([{"name": "look_up", "input_schema": {"type": "object"}}]);
    let first = with(question("The weather?"), json!({"tools": look_up}));

    let called = api.ask(&first);
    let result = json!([{"type": "tool_result", "tool_use_id": called["content"][0]["id"], "content": "rain"}]);
    let second = followed(&first, &called, &result);
    let said = api.ask(&second);
    let third = api.ask(&followed(&second, &said, &json!("Sure?")));
    let fourth = api.ask(&followed(&followed(&second, &said, &json!("Sure?")), &third, &json!("Really?")));

    let call = &called["content"][0];
    assert_eq!((&call["name"], &call["input"]), (&json!("look_up"), &json!({"city": "Oslo"})));
    assert_eq!(called["stop_reason"], "tool_use");
    assert_eq!((text(&said), text(&third)), ("It rains.", "It rains."));
    assert_ne!(text(&fourth), "It rains.");
}

#[test]
fn several_calls_follow_a_text_and_all_ids_differ() {
    let calls = json!([{"name": "a"}, {"name": "b", "input": {"x": 1}}, {"name": "a"}]);
    let mut api = api(json!([{"text": "I look.", "tool": calls}]));

    let answers = [api.ask(&question("one?")), api.ask(&question("two?"))];

    let kinds = |answer: &Value| list(answer).iter().map(|block| block["type"].clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&answers[0]), ["text", "tool_use", "tool_use", "tool_use"]);
    let mut ids: Vec<&str> = answers.iter().flat_map(list).filter_map(|block| block["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6);
}

#[test]
fn a_refusal_before_output_is_free_and_a_later_refusal_is_billed() {
    let mut api = api(json!([
        {"contains": "first", "refusal": "cyber"},
        {"contains": "second", "refusal": true, "after": 3, "text": "one two three four five"}
    ]));

    let first = api.ask(&question("first"));
    let second = api.ask(&question("second"));

    assert_eq!((&first["stop_reason"], &first["content"]), (&json!("refusal"), &json!([])));
    assert_eq!(first["stop_details"], json!({"type": "refusal", "category": "cyber", "explanation": null}));
    assert_eq!(second["stop_details"], json!({"type": "refusal", "category": null, "explanation": null}));
    assert_eq!((&second["stop_reason"], &second["usage"]["output_tokens"]), (&json!("refusal"), &json!(3)));
    assert_eq!((api.model.books().billed_calls, api.model.books().billed.output_tokens), (1, 3));
}

#[test]
fn a_stop_reason_can_be_any_text() {
    let mut api = api(json!([
        {"contains": "one", "stop_reason": "model_context_window_exceeded"},
        {"contains": "two", "stop_reason": "a \"new\" reason", "text": "hi"},
        {"contains": "three", "stop_reason": "stop_sequence"},
        {"stop_reason": "compaction", "text": "too long for this request"}
    ]));
    let reason = |api: &mut Api, body: &Value| api.ask(body)["stop_reason"].clone();

    assert_eq!(reason(&mut api, &question("one")), "model_context_window_exceeded");
    assert_eq!(reason(&mut api, &question("two")), "a \"new\" reason");
    let stopped = api.ask(&with(question("three"), json!({"stop_sequences": ["END"]})));
    assert_eq!((&stopped["stop_reason"], &stopped["stop_sequence"]), (&json!("stop_sequence"), &json!("END")));
    assert_eq!(reason(&mut api, &with(question("four"), json!({"max_tokens": 2}))), "max_tokens");
}

#[test]
fn a_paused_turn_can_be_continued_also_with_a_model_that_accepts_no_prefill() {
    let mut api = api(json!([{"turn": 1, "stop_reason": "pause_turn"}, {"turn": 2, "text": "Found."}]));
    let search = json!([{"type": "web_search_20250305", "name": "web_search"}]);
    let first = with(question("Search!"), json!({"model": LATER, "tools": search}));

    let paused = api.ask(&first);
    let mut second = first.clone();
    push(&mut second, "assistant", &paused["content"]);
    let end = api.ask(&second);

    let kinds: Vec<&Value> = list(&paused).iter().map(|block| &block["type"]).collect();
    assert_eq!((&paused["stop_reason"], kinds.len()), (&json!("pause_turn"), 2));
    assert_eq!(kinds, ["server_tool_use", "web_search_tool_result"]);
    assert_eq!(paused["usage"]["server_tool_use"]["web_search_requests"], 1);
    assert_eq!((text(&end), &end["stop_reason"]), ("Found.", &json!("end_turn")));
}

#[test]
fn structured_output_can_break_its_schema_or_not_be_json() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["name", "age"],
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}
    });
    let format = json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}});
    let structured = |text: &str| with(question(text), format.clone());
    let mut api = api(json!([
        {"contains": "one", "turn": 1, "schema": "broken"},
        {"contains": "two", "schema": "not_json"}
    ]));

    let (broken, words) = (api.ask(&structured("one")), api.ask(&structured("two")));
    let repaired = api.ask(&followed(&structured("one"), &broken, &json!("`name` is missing.")));
    let other = api.ask(&question("two"));

    let value: Value = serde_json::from_str(text(&broken)).expect("it is JSON");
    assert!(value["name"].is_null() && value["age"].is_i64(), "{value}");
    assert!(serde_json::from_str::<Value>(text(&words)).is_err(), "{words}");
    assert!(serde_json::from_str::<Value>(text(&repaired)).is_ok_and(|value| value["name"].is_string()));
    assert_eq!((api.model.books().answers[&1], &other["stop_reason"]), (1, &json!("end_turn")));
}

#[test]
fn the_input_of_a_forced_tool_can_break_its_schema() {
    let tools = json!([{"name": "note", "input_schema": {
        "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]
    }}]);
    let body = with(question("?"), json!({"tools": tools, "tool_choice": {"type": "tool", "name": "note"}}));
    let mut api = api(json!([{"schema": "broken", "times": 1}]));

    let (broken, good) = (api.ask(&body), api.ask(&body));

    assert_eq!(broken["content"][0]["input"], json!({}));
    assert!(good["content"][0]["input"]["n"].is_i64(), "{good}");
}

#[test]
fn thinking_has_the_given_length_and_can_use_up_all_tokens() {
    let mut api = api(json!([{"thinking": 300}]));
    let thinking = json!({"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}});
    let adaptive = json!({"model": LATER, "max_tokens": 200, "thinking": {"type": "adaptive"}});

    let (long, short) = (api.ask(&with(question("?"), thinking)), api.ask(&with(question("?"), adaptive)));
    let none = api.ask(&question("?"));

    let tokens = |answer: &Value| answer["usage"]["output_tokens_details"]["thinking_tokens"].as_u64();
    assert_eq!((tokens(&long), &long["usage"]["output_tokens"]), (Some(300), &json!(320)));
    assert_eq!((tokens(&short), &short["stop_reason"], list(&short).len()), (Some(200), &json!("max_tokens"), 1));
    assert_eq!((tokens(&none), list(&none).len()), (None, 1));
}

#[test]
fn a_row_keeps_its_share_in_all_its_turns() {
    let mut api = api(json!([{"turn": 1, "share": 0.3, "text": "one"}, {"turn": 2, "share": 0.3, "text": "two"}]));
    let mut drawn = [0, 0];

    for row in 0..400 {
        let first = question(&format!("row {row}"));
        let answer = api.ask(&first);
        let second = api.ask(&followed(&first, &answer, &json!("And now?")));
        let is_drawn = text(&answer) == "one";
        assert_eq!(is_drawn, text(&second) == "two", "row {row}");
        drawn[usize::from(is_drawn)] += 1;
    }

    assert!((90..=150).contains(&drawn[1]), "{drawn:?}");
}

#[test]
fn no_rule_means_the_usual_answer() {
    let body = question("the usual");
    let endings = Endings { tool_use: 0.0, stop_sequence: 0.0, refusal: 0.0 };
    let mut plain = Api { model: Model::new(SimConfig { endings, ..config() }) };
    let mut scripted = api(json!([{"contains": "something else", "text": "x"}]));

    let (one, other) = (plain.ask(&body), scripted.ask(&body));

    assert_eq!(one["content"], other["content"]);
}

#[test]
fn scripted_content_is_streamed_in_several_deltas_that_add_up() {
    let input = json!({"city": "Zürich", "days": [1, 2, 3], "note": "bring \"both\" umbrellas"});
    let said = json!({"customer": "someone", "lines": [{"n": 1}, {"n": 2}], "total": 12.5}).to_string();
    let mut api = api(json!([{"text": said, "tool": {"name": "look_up", "input": input}}]));

    let events = api.events(&with(question("?"), json!({"stream": true})));

    let deltas = |kind: &str, field: &str| -> Vec<String> {
        let of = events.iter().filter(|event| event["delta"]["type"] == kind);
        of.map(|event| event["delta"][field].as_str().expect("a text").to_owned()).collect()
    };
    let (text, json) = (deltas("text_delta", "text"), deltas("input_json_delta", "partial_json"));
    assert!(text.len() > 3 && json.len() > 3, "{text:?} {json:?}");
    assert_eq!(text.concat(), said);
    assert_eq!(serde_json::from_str::<Value>(&json.concat()).ok(), Some(input));
}

#[test]
fn calls_and_results_that_do_not_belong_together_are_refused() {
    let call = |id: &str| json!({"type": "tool_use", "id": id, "name": "f", "input": {}});
    let result = |id: &str| json!({"type": "tool_result", "tool_use_id": id, "content": "x"});
    let words = json!({"type": "text", "text": "x"});
    let turns = |turns: &[(&str, Value)]| {
        let mut body = json!({"model": MODEL, "max_tokens": 64, "messages": [{"role": "user", "content": "?"}]});
        turns.iter().for_each(|(role, content)| push(&mut body, role, content));
        body
    };
    let good = [
        turns(&[
            ("assistant", json!([words, call("a"), call("b")])),
            ("user", json!([result("b"), result("a"), words])),
        ]),
        turns(&[("assistant", json!([call("a")])), ("user", json!([result("a")])), ("user", json!("More."))]),
        turns(&[("assistant", json!([call("a")])), ("user", json!([result("a")])), ("assistant", json!("So"))]),
    ];
    let bad = [
        (
            turns(&[("assistant", json!([call("a")]))]),
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: a. Each",
        ),
        (
            turns(&[("assistant", json!([call("a"), call("b")])), ("user", json!([result("a")]))]),
            "immediately after: b.",
        ),
        (turns(&[("assistant", json!([call("a")])), ("user", json!([words, result("a")]))]), "immediately after: a."),
        (
            turns(&[("user", json!([result("a")]))]),
            "messages.1.content.0: unexpected `tool_use_id` found in `tool_result` blocks: a. Each",
        ),
        (
            turns(&[("assistant", json!([call("a")])), ("user", json!([result("a"), result("c")]))]),
            "messages.2.content.1: unexpected `tool_use_id`",
        ),
        (
            turns(&[("assistant", json!([call("a")])), ("user", json!([result("a"), result("a")]))]),
            "each tool_use must have a single result",
        ),
        (
            turns(&[("assistant", json!([call("a"), call("a")])), ("user", json!([result("a")]))]),
            "`tool_use` ids must be unique",
        ),
        (turns(&[("user", json!([call("a")]))]), "messages.1: `tool_use` blocks can only be in `assistant` messages"),
        (
            turns(&[("assistant", json!([{"type": "tool_use", "id": 7, "name": "f", "input": {}}]))]),
            "messages.1.content.0: Input should be a valid dictionary",
        ),
        (
            turns(&[("assistant", json!([result("a")])), ("user", json!("?"))]),
            "`tool_result` blocks can only be in `user`",
        ),
        (
            turns(&[("assistant", json!([call("a b")])), ("user", json!([result("a b")]))]),
            "messages.1.content.0.tool_use.id: String should match",
        ),
        (
            turns(&[
                ("assistant", json!([{"type": "web_search_tool_result", "tool_use_id": "s", "content": []}])),
                ("user", json!("?")),
            ]),
            "unexpected `tool_use_id` found in `web_search_tool_result` blocks: s.",
        ),
    ];

    for body in good {
        assert_eq!(refusal(&body), None, "{body}");
    }
    for (body, part) in bad {
        assert!(refusal(&body).is_some_and(|message| message.contains(part)), "{part}: {:?}", refusal(&body));
    }
}

#[test]
fn blocks_images_and_last_messages_that_the_api_does_not_accept_are_refused() {
    let block = |block: Value| with(question("?"), json!({"messages": [{"role": "user", "content": [block]}]}));
    let image = |kind: &str, data: &str| json!({"type": "image", "source": {"type": "base64", "media_type": kind, "data": data}});
    let begun = |content: Value, more: Value| {
        let mut body = with(question("?"), more);
        push(&mut body, "assistant", &content);
        body
    };
    let thinking = json!({"max_tokens": 2_000, "thinking": {"type": "enabled", "budget_tokens": 1_024}});
    let structured = json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}}});
    let inner = json!({"type": "tool_result", "tool_use_id": "a", "content": [image("image/bmp", "aGk=")]});
    let mut nested = question("?");
    push(&mut nested, "assistant", &json!([{"type": "tool_use", "id": "a", "name": "f", "input": {}}]));
    push(&mut nested, "user", &json!([inner]));
    let good = [
        block(image("image/png", "aGk=")),
        begun(json!("So it is"), json!({})),
        begun(json!([{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]), json!({})),
    ];
    let bad = [
        (
            block(json!({"type": "image_url"})),
            "messages.0.content.0: Input tag 'image_url' found using 'type' does not match any",
        ),
        (
            block(image("image/jpg", "aGk=")),
            "messages.0.content.0.image.source.base64.media_type: Input should be 'image/jpeg'",
        ),
        (block(image("image/png", "hi!")), "messages.0.content.0.image.source.base64: invalid base64 data"),
        (nested, "messages.2.content.0.tool_result.content.0.image.source.base64.media_type"),
        (begun(json!("So "), json!({})), "messages: final assistant content cannot end with trailing whitespace"),
        (begun(json!([{"type": "text", "text": "So\n"}]), json!({})), "cannot end with trailing whitespace"),
        (begun(json!("So"), json!({"model": LATER})), "does not support assistant message prefill"),
        (
            begun(json!("So"), thinking),
            "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `text`",
        ),
        (begun(json!("So"), structured), "output_config.format: not supported with assistant message prefill"),
    ];

    for body in good {
        assert_eq!(refusal(&body), None, "{body}");
    }
    for (body, part) in bad {
        assert!(refusal(&body).is_some_and(|message| message.contains(part)), "{part}: {:?}", refusal(&body));
    }
}

#[test]
fn tools_and_schemas_that_the_api_does_not_accept_are_refused() {
    let tool = |name: &str, schema: Value| json!({"name": name, "input_schema": schema});
    let strict = |schema: Value| json!({"name": "f", "input_schema": schema, "strict": true});
    let tools = |tools: Value| with(question("?"), json!({"tools": tools}));
    let format = |schema: Value| {
        with(question("?"), json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}}))
    };
    let object = json!({"type": "object"});
    let closed = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": false});
    let forced = json!({
        "model": MODEL, "max_tokens": 2_000, "tools": [tool("f", object.clone())], "tool_choice": {"type": "any"},
        "thinking": {"type": "enabled", "budget_tokens": 1_024}
    });
    let good = [
        tools(json!([tool(
            "a-B_9",
            json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}})
        )])),
        tools(json!([strict(closed.clone()), tool("g", object.clone())])),
        format(closed.clone()),
    ];
    let bad = [
        (
            tools(json!([tool("a.b", object.clone())])),
            "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
        ),
        (tools(json!([tool("", object.clone())])), "tools.0.custom.name: String should match pattern"),
        (
            tools(json!([tool(&"a".repeat(129), object.clone())])),
            "tools.0.custom.name: String should have at most 128 characters",
        ),
        (tools(json!([tool("f", object.clone()), tool("f", object.clone())])), "tools: Tool names must be unique."),
        (
            tools(json!([tool("f", json!({"anyOf": []}))])),
            "input_schema does not support oneOf, allOf, or anyOf at the top level",
        ),
        (tools(json!([tool("f", json!([]))])), "tools.0.custom.input_schema: Input should be a valid dictionary"),
        (
            tools(json!([strict(object.clone())])),
            "tools.0.custom.input_schema: For 'object' type, 'additionalProperties' must be",
        ),
        (
            format(object.clone()),
            "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly set to false",
        ),
        (format(json!({"type": "integer", "minimum": 0})), "For 'integer' type, property 'minimum' is not supported"),
        (with(question("?"), forced), "Thinking may not be enabled when tool_choice forces tool use."),
    ];

    for body in good {
        assert_eq!(refusal(&body), None, "{body}");
    }
    for (body, part) in bad {
        assert!(refusal(&body).is_some_and(|message| message.contains(part)), "{part}: {:?}", refusal(&body));
    }
}

/// The simulated API.
struct Api {
    model: Model,
}

impl Api {
    /// Returns the answer to a request. Panics if the API rejects the request.
    fn ask(&mut self, body: &Value) -> Value {
        let (status, answer) = self.answer(body);
        assert_eq!(status, 200, "{body}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).expect("JSON")
    }

    /// Returns the events of the streamed answer to a request.
    fn events(&mut self, body: &Value) -> Vec<Value> {
        let (_, answer) = self.answer(body);
        let text = String::from_utf8(answer).expect("UTF-8");
        let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
        lines.map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    fn answer(&mut self, body: &Value) -> (u16, Vec<u8>) {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("k"));
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let text = body.to_string();
        let (method, path) = (&Method::POST, "/v1/messages");
        let request = Request { method, path, query: None, headers: &headers, body: text.as_bytes() };
        let arrival = self.model.arrive(&request, Instant::ZERO);
        self.model.finish(arrival.ticket, Ending::Played, Instant::ZERO);
        let bytes = arrival.body.iter().flat_map(|step| match step {
            Step::Bytes { bytes, .. } => bytes.to_vec(),
            Step::Part { .. } | Step::Reset { .. } | Step::Stall => Vec::new(),
        });
        (arrival.head.as_ref().map_or(200, |head| head.status), bytes.collect())
    }
}

fn api(rules: Value) -> Api {
    let plan = AnswerPlan::parse(&json!({ "rules": rules }).to_string(), "answers.json").expect("the plan is good");
    Api { model: Model::new(config().with_answers(plan)) }
}

fn config() -> SimConfig {
    SimConfig::new(presets::models()).with_latency(Latency::ZERO).with_lengths(OutputLengths::fixed(20))
}

/// Returns the error message of a request that the API rejects with 400; `None` if the request is answered.
fn refusal(body: &Value) -> Option<String> {
    let (status, answer) = Api { model: Model::new(config()) }.answer(body);
    let answer: Value = serde_json::from_slice(&answer).expect("JSON");
    (status == 400).then(|| answer["error"]["message"].as_str().expect("a text").to_owned())
}

fn question(text: &str) -> Value {
    json!({"model": MODEL, "max_tokens": 1_000, "messages": [{"role": "user", "content": text}]})
}

fn with(mut body: Value, members: Value) -> Value {
    let Value::Object(members) = members else { panic!("an object") };
    members.into_iter().for_each(|(name, value)| body[name] = value);
    body
}

fn push(body: &mut Value, role: &str, content: &Value) {
    body["messages"].as_array_mut().expect("a list").push(json!({"role": role, "content": content}));
}

/// Returns the next request of a conversation.
fn followed(body: &Value, answer: &Value, reply: &Value) -> Value {
    let mut next = body.clone();
    push(&mut next, "assistant", &answer["content"]);
    push(&mut next, "user", reply);
    next
}

fn list(answer: &Value) -> &[Value] {
    answer["content"].as_array().expect("a list")
}

fn text(answer: &Value) -> &str {
    answer["content"][0]["text"].as_str().unwrap_or_else(|| panic!("a text: {answer}"))
}
