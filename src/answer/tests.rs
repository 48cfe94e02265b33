//! Tests of the policy for answers: its decision about each kind of answer, and the next request.

use std::sync::Arc;

use serde_json::{Value, json};

use super::schema::Schema;
use super::*;
use crate::catalog::Catalog;
use crate::domain::{
    ANSWER_TOOL, Cost, Identity, Interval, JobId, JobKey, ModelClass, Origin, Params, PoolId, ProviderFeatures,
    Purpose, Quality, Request, RowId, SchemaMethod, Speed, Terms, Usage,
};

const HAIKU: &str = "claude-haiku-4-5";
const OPUS: &str = "claude-opus-5";
/// A model that does not support structured output.
const OLD: &str = "claude-opus-4-20250514";
const SCHEMA: &str = r#"{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}"#;

/// A row with its current request and its attempts.
struct Row {
    rules: fn(&mut Rules),
    job: Job,
    ask: Ask,
    attempts: Vec<AttemptRecord>,
}

/// The decision of the policy.
#[derive(Debug)]
enum Did {
    Kept,
    Joined(Value),
    Failed(ErrorClass, String),
    Asked { purpose: Purpose, class: ErrorClass, request: Value },
}

impl Did {
    fn request(self) -> Value {
        match self {
            Self::Asked { request, .. } => request,
            other => panic!("{other:?}"),
        }
    }

    fn purpose(&self) -> Option<Purpose> {
        match self {
            Self::Asked { purpose, .. } => Some(*purpose),
            Self::Kept | Self::Joined(_) | Self::Failed(..) => None,
        }
    }

    fn failed(&self) -> Option<ErrorClass> {
        match self {
            Self::Failed(class, _) => Some(*class),
            Self::Kept | Self::Joined(_) | Self::Asked { .. } => None,
        }
    }
}

impl Row {
    /// Makes a row with a model, `max_tokens`, messages and these parameters.
    fn new(model: &str, rules: fn(&mut Rules), params: &str) -> Self {
        let own = format!(
            r#"{{"model":"{model}","max_tokens":100,"messages":[ {{"role":"user","content":"Hi  \u0041"}} ]{}{}"#,
            if params == "{}" { "" } else { "," },
            &params[1..]
        );
        Self::of_request(&own, rules)
    }

    fn of_request(own: &str, rules: fn(&mut Rules)) -> Self {
        let params = Params::of_object(own).unwrap_or_else(|| panic!("{own}"));
        let request = Request::of(&params);
        let ask = match rules_of(rules).form {
            Form::Schema(schema) => {
                let (params, schema_method) =
                    shaped(&schema, &Catalog::builtin(), ProviderFeatures::ALL, (&params).into());
                Ask { schema_method: Some(schema_method), ..ask_of(&params, Purpose::First) }
            }
            Form::Any | Form::Json => Ask { request: request.clone(), ..ask_of(&params, Purpose::First) },
        };
        let job = Job {
            id: JobId(0),
            custom_id: "r".to_owned(),
            key: JobKey([0; 16]),
            identity: Identity::Named,
            row: RowId { label: 0, key: 0 },
            request,
            extra: Params::default(),
            origin: Origin { source: "test".into(), line: 1 },
            index: 0,
        };
        Self { rules, job, ask, attempts: Vec::new() }
    }

    /// Gives the policy an answer. If the policy decides to send another request, that request becomes the current
    /// request.
    fn gets(&mut self, content: &str, stop_reason: &str) -> Did {
        let quality = match stop_reason {
            "end_turn" | "tool_use" | "stop_sequence" => Quality::Ok,
            "max_tokens" | "model_context_window_exceeded" => Quality::Truncated,
            "refusal" => Quality::Refused,
            _ => Quality::Unknown,
        };
        self.attempts.push(attempt_of(&self.ask, quality));
        self.judged(&message(content, stop_reason, quality))
    }

    fn judged(&mut self, message: &Message) -> Did {
        let came = match message.stop_reason().as_deref() {
            Some("pause_turn") => RequestResult::Pause(message),
            _ => RequestResult::Answer(message),
        };
        let measure: Measure = Box::new(|params, schema_method, purpose, _| match params.get("max_tokens") {
            Some("7777") => Err("it is too long".to_owned()),
            _ => Ok(Ask { schema_method, ..ask_of(params, purpose) }),
        });
        let policy = policy(rules_of(self.rules), Arc::new(Catalog::builtin()), measure);
        match policy(&self.job, &self.ask, came, &self.attempts) {
            Decision::Keep => Did::Kept,
            Decision::Answer(message) => Did::Joined(serde_json::from_slice(&message.json).expect("JSON")),
            Decision::Fail { class, failure } => {
                assert!(failure.answer.is_some(), "a rejected answer is kept whole");
                Did::Failed(class, failure.message)
            }
            Decision::Ask(_) => panic!("every answer that is not accepted is recorded"),
            Decision::FollowUp { ask, class, failure } => {
                assert!(failure.answer.is_some(), "a rejected answer is kept whole");
                self.ask = *ask;
                let request = serde_json::from_slice(self.ask.request.json()).expect("JSON");
                Did::Asked { purpose: self.ask.purpose, class, request }
            }
        }
    }

    /// Changes the row to the state in which a later run finds it. In this state, the row's request is the first
    /// request, and the row's attempts are known.
    fn restarted(mut self) -> Self {
        let first = Self::of_request(str::from_utf8(self.job.request.json()).expect("JSON"), self.rules);
        self.ask = first.ask;
        self
    }
}

fn rules_of(change: fn(&mut Rules)) -> Rules {
    let mut rules = Rules {
        form: Form::Any,
        conditions: Vec::new(),
        on_invalid: OnInvalid::Repair,
        on_truncate: OnTruncate::Keep,
        on_refusal: OnRefusal::Keep,
        max_follow_ups: 2,
        features: ProviderFeatures::ALL,
    };
    change(&mut rules);
    rules
}

fn schema(rules: &mut Rules) {
    rules.form = Form::Schema(Schema::parse(SCHEMA).expect("it is a schema"));
    (rules.on_truncate, rules.on_refusal) = (OnTruncate::Fail, OnRefusal::Fail);
}

fn grows(rules: &mut Rules) {
    rules.on_truncate = OnTruncate::Grow { max_tokens: None };
}

fn continues(rules: &mut Rules) {
    rules.on_truncate = OnTruncate::Continue;
}

fn ask_of(params: &Params, purpose: Purpose) -> Ask {
    let text = |name: &str| params.get(name).map(|json| serde_json::from_str::<String>(json).expect("a text"));
    let max_tokens = params.get("max_tokens").and_then(|json| json.parse().ok()).expect("a number");
    Ask {
        request: Request::of(params),
        model: text("model").expect("it has a model").into(),
        terms: Terms::default(),
        pool: Arc::new(PoolId {
            provider: "anthropic".into(),
            account: "".into(),
            class: ModelClass("any".into()),
            speed: Speed::Standard,
        }),
        cost: Cost { requests: 1, input_tokens: 9, output_tokens: max_tokens },
        input_tokens: Interval::exact(9),
        expense: None,
        max_tokens,
        template: 0,
        body_bytes: 100,
        purpose,
        base: None,
        schema_method: None,
        prefixes: None,
        has_own_marks: false,
    }
}

fn attempt_of(ask: &Ask, quality: Quality) -> AttemptRecord {
    AttemptRecord {
        usage: Usage { output_tokens: 5, ..Usage::default() },
        purpose: ask.purpose,
        schema_method: ask.schema_method,
        max_tokens: ask.max_tokens,
        quality: Some(quality),
        estimated_input: 9,
        ..AttemptRecord::new("anthropic", ask.model.clone())
    }
}

fn message(content: &str, stop_reason: &str, quality: Quality) -> Message {
    let json =
        format!(r#"{{"id":"m","content":{content},"stop_reason":"{stop_reason}","usage":{{"output_tokens":5}}}}"#);
    Message { json: json.into_bytes().into(), usage: Usage::default(), quality, content: 0..0 }
}

fn text(text: &str) -> String {
    json!([{"type": "text", "text": text}]).to_string()
}

/// Asserts that a follow-up (a later request for the row) can read the prompt cache of the first request. The first
/// messages and all other members must have the same bytes and the same order.
fn assert_same_prefix(first: &Request, next: &Request) {
    let [first, next] = [first, next].map(|request| {
        let json = str::from_utf8(request.json()).expect("JSON is text");
        Params::of_object(json).expect("it is an object")
    });
    let names = |params: &Params| params.0.iter().map(|(name, _)| name.to_string()).collect::<Vec<_>>();
    assert_eq!(names(&first), names(&next));
    for (name, value) in &first.0 {
        let other = next.get(name).expect("it has the same names");
        match &**name {
            "max_tokens" | "model" => {}
            "messages" => {
                let own = value.get().trim_end_matches(']').trim_end().trim_start_matches('[').trim_start();
                assert!(other.trim_start_matches(['[', ' ']).starts_with(own), "{other}");
            }
            _ => assert_eq!(value.get(), other, "{name}"),
        }
    }
}

#[test]
fn without_rules_every_answer_is_kept_and_is_not_read() {
    for (content, stop_reason) in [("5", "end_turn"), ("5", "max_tokens"), ("5", "refusal"), ("[]", "bored")] {
        assert!(matches!(Row::new(HAIKU, |_| (), "{}").gets(content, stop_reason), Did::Kept), "{stop_reason}");
    }
}

#[test]
fn truncated_answers_and_refusals_that_the_user_keeps_are_not_checked() {
    let rules: fn(&mut Rules) = |rules| (rules.form, rules.on_invalid) = (Form::Json, OnInvalid::Fail);

    for stop_reason in ["max_tokens", "refusal"] {
        assert!(matches!(Row::new(HAIKU, rules, "{}").gets(&text("{"), stop_reason), Did::Kept), "{stop_reason}");
    }
}

#[test]
fn rules_that_fail_say_why_and_keep_the_answer() {
    let rules: fn(&mut Rules) = |rules| {
        (rules.form, rules.on_invalid) = (Form::Json, OnInvalid::Fail);
        (rules.on_truncate, rules.on_refusal) = (OnTruncate::Fail, OnRefusal::Fail);
    };
    let cases = [
        (text("no"), "end_turn", ErrorClass::InvalidOutput, "not JSON"),
        ("[]".to_owned(), "end_turn", ErrorClass::InvalidOutput, "the model wrote no text"),
        (text("no"), "bored", ErrorClass::InvalidOutput, "not JSON"),
        (text("{"), "max_tokens", ErrorClass::Truncated, "max_tokens (100)"),
        (text("{"), "model_context_window_exceeded", ErrorClass::Truncated, "context window"),
        (r#"[{"type":"thinking","thinking":"x"}]"#.to_owned(), "max_tokens", ErrorClass::Truncated, "thinking used"),
        ("[]".to_owned(), "refusal", ErrorClass::Refused, "refused"),
    ];

    for (content, stop_reason, class, words) in cases {
        let did = Row::new(HAIKU, rules, "{}").gets(&content, stop_reason);
        assert!(matches!(&did, Did::Failed(own, said) if *own == class && said.contains(words)), "{content}: {did:?}");
    }
    assert!(matches!(Row::new(HAIKU, rules, "{}").gets(&text("[1]"), "bored"), Did::Kept));
}

#[test]
fn a_truncated_answer_is_asked_for_once_more_with_four_times_the_max_tokens() {
    let mut row = Row::new(HAIKU, grows, r#"{"stop_sequences":["END"],"system":"x"}"#);
    let first = row.ask.request.clone();

    let request = row.gets(&text("a"), "max_tokens").request();

    assert_eq!((&request["max_tokens"], row.ask.purpose), (&json!(400), Purpose::MoreRoom));
    assert_same_prefix(&first, &row.ask.request);
    assert_eq!(row.gets(&text("a"), "max_tokens").failed(), Some(ErrorClass::Truncated));
}

#[test]
fn an_answer_grows_to_the_given_number_but_not_beyond_what_the_model_accepts() {
    let room = |rules, params: &str| {
        let own = format!(r#"{{"model":"{HAIKU}",{params}"messages":[{{"role":"user","content":"x"}}]}}"#);
        match Row::of_request(&own, rules).gets(&text("a"), "max_tokens") {
            Did::Asked { request, .. } => request["max_tokens"].as_u64(),
            Did::Kept | Did::Joined(_) | Did::Failed(..) => None,
        }
    };
    let to = |rules: &mut Rules| rules.on_truncate = OnTruncate::Grow { max_tokens: Some(500) };
    let far = |rules: &mut Rules| rules.on_truncate = OnTruncate::Grow { max_tokens: Some(u32::MAX) };

    assert_eq!(room(to, r#""max_tokens":100,"#), Some(500));
    assert_eq!(room(to, r#""max_tokens":500,"#), None);
    assert_eq!(room(to, r#""max_tokens":0,"#), Some(500));
    assert_eq!(room(far, r#""max_tokens":100,"#), Some(64_000));
    assert_eq!(room(grows, r#""max_tokens":20000,"#), Some(64_000));
    assert_eq!(room(grows, r#""max_tokens":64000,"#), None);
    assert_eq!(room(grows, r#""max_tokens":0,"#), None, "four times nothing is nothing");
}

#[test]
fn an_answer_that_is_only_thinking_grows_with_the_same_budget_unless_it_fills_the_window() {
    let thinking = r#"{"thinking":{"type":"enabled","budget_tokens":1024}}"#;
    let only = r#"[{"type":"thinking","thinking":"hm","signature":"s"}]"#;

    let request = Row::new(HAIKU, continues, thinking).gets(only, "max_tokens").request();

    assert_eq!((&request["max_tokens"], &request["thinking"]["budget_tokens"]), (&json!(400), &json!(1024)));
    assert_eq!(request["messages"].as_array().map(Vec::len), Some(1));
    let window = Row::new(HAIKU, grows, "{}").gets(&text("a"), "model_context_window_exceeded");
    assert_eq!(window.failed(), Some(ErrorClass::Truncated));
}

#[test]
fn a_continued_answer_is_joined_over_two_continuations() {
    let mut row = Row::new(HAIKU, continues, "{}");
    let first = row.ask.request.clone();

    let one = row.gets(&text("One \n"), "max_tokens").request();
    assert_same_prefix(&first, &row.ask.request);
    let two = row.gets(&text(" two"), "max_tokens").request();
    let done = row.gets(&text(" three"), "end_turn");

    assert_eq!(one["messages"][1], json!({"role": "assistant", "content": "One"}));
    assert_eq!(two["messages"][1], json!({"role": "assistant", "content": "One two"}));
    assert_eq!(two["messages"].as_array().map(Vec::len), Some(2));
    let Did::Joined(joined) = done else { panic!("{done:?}") };
    assert_eq!(joined["content"], json!([{"type": "text", "text": "One two three"}]));
}

#[test]
fn an_answer_that_can_not_be_continued_grows() {
    let user = r#""messages":[{"role":"user","content":"x"}"#;
    let begun = format!(r#"{{"model":"{HAIKU}","max_tokens":100,{user},{{"role":"assistant","content":"a"}}]}}"#);
    let cited = r#"[{"type":"text","text":"a","citations":[{"type":"char_location"}]}]"#.to_owned();
    let cases = [
        ("a later model", Row::new(OPUS, continues, "{}"), text("a")),
        ("an unknown model", Row::new("my-model", continues, "{}"), text("a")),
        ("thinking", Row::new(HAIKU, continues, r#"{"thinking":{"type":"enabled","budget_tokens":50}}"#), text("a")),
        ("tools", Row::new(HAIKU, continues, r#"{"tools":[{"name":"t","input_schema":{}}]}"#), text("a")),
        ("a format", Row::new(HAIKU, continues, r#"{"output_config":{"format":{"type":"json_schema"}}}"#), text("a")),
        ("a begun answer", Row::of_request(&begun, continues), text("a")),
        ("a blank text", Row::new(HAIKU, continues, "{}"), text(" \n")),
        ("no text", Row::new(HAIKU, continues, "{}"), "[]".to_owned()),
        ("citations", Row::new(HAIKU, continues, "{}"), cited),
        ("a schema", Row::new(HAIKU, |rules| (schema(rules), continues(rules)).1, "{}"), text(r#"{"a":"#)),
    ];

    for (why, mut row, content) in cases {
        let did = row.gets(&content, "max_tokens");
        assert_eq!(did.purpose(), Some(Purpose::MoreRoom), "{why}: {did:?}");
    }
    let off = r#"{"thinking":{"type":"disabled"},"tools":[ ],"output_config":{"effort":"low"}}"#;
    assert_eq!(Row::new(HAIKU, continues, off).gets(&text("a"), "max_tokens").purpose(), Some(Purpose::Continue));
}

#[test]
fn a_paused_answer_is_continued_with_all_its_blocks_a_limited_number_of_times() {
    let block = |n: u32| format!(r#"{{"type":"server_tool_use","id":"s{n}","name":"web_search","input":{{}}}}"#);
    let mut row = Row::new(HAIKU, |_| (), r#"{"tools":[{"type":"web_search_20250305","name":"web_search"}]}"#);
    let first = row.ask.request.clone();

    let one = row.gets(&format!("[{}]", block(1)), "pause_turn");
    assert_eq!(one.purpose(), Some(Purpose::Unpause));
    assert_same_prefix(&first, &row.ask.request);
    let two = row.gets(&format!("[{}]", block(2)), "pause_turn").request();
    assert_eq!(two["messages"][1]["content"].as_array().map(Vec::len), Some(2));
    assert_eq!(two["messages"].as_array().map(Vec::len), Some(2));
    let three = row.gets(&format!("[{}]", block(3)), "pause_turn");

    assert!(
        matches!(&three, Did::Failed(ErrorClass::InvalidOutput, words) if words.contains("pause_turn")),
        "{three:?}"
    );
    let mut row = Row::new(HAIKU, |_| (), "{}");
    row.gets(&format!("[{}]", block(1)), "pause_turn");
    let Did::Joined(joined) = row.gets(&text("done"), "end_turn") else { panic!("it is joined") };
    assert_eq!(joined["content"].as_array().map(Vec::len), Some(2));
    assert_eq!(Row::new(HAIKU, |_| (), "{}").gets("[]", "pause_turn").failed(), Some(ErrorClass::InvalidOutput));
}

#[test]
fn a_paused_answer_of_an_earlier_run_is_continued() {
    let mut row = Row::new(HAIKU, |_| (), "{}");
    row.attempts.push(attempt_of(&row.ask, Quality::Unknown));
    let paused = message(r#"[{"type":"server_tool_use","id":"s"}]"#, "pause_turn", Quality::Unknown);
    let policy = policy(
        rules_of(|_| ()),
        Arc::new(Catalog::builtin()),
        Box::new(|params, _, purpose, _| Ok(ask_of(params, purpose))),
    );

    let then = policy(&row.job, &row.ask, RequestResult::Answer(&paused), &row.attempts);

    assert!(matches!(then, Decision::FollowUp { ask, .. } if ask.purpose == Purpose::Unpause));
}

#[test]
fn another_model_is_asked_once_after_a_refusal_with_its_own_form_of_the_schema() {
    let rules: fn(&mut Rules) = |rules| {
        schema(rules);
        rules.on_refusal = OnRefusal::Model(OLD.to_owned());
    };
    let mut row = Row::new(HAIKU, rules, r#"{"system":"x"}"#);
    assert_eq!(row.ask.schema_method, Some(SchemaMethod::Format));

    let request = row.gets("[]", "refusal").request();

    assert_eq!(
        (&request["model"], row.ask.purpose, row.ask.schema_method),
        (&json!(OLD), Purpose::Fallback, Some(SchemaMethod::Tool))
    );
    assert_eq!(request["tool_choice"]["name"], json!(ANSWER_TOOL));
    assert!(request.get("output_config").is_none() && request["system"] == json!("x"), "{request}");
    assert_eq!(row.gets("[]", "refusal").failed(), Some(ErrorClass::Refused));
}

#[test]
fn a_refusal_by_the_other_model_fails_and_that_model_gets_no_more_room_than_it_accepts() {
    let rules: fn(&mut Rules) = |rules| rules.on_refusal = OnRefusal::Model(OLD.to_owned());
    let large = format!(r#"{{"model":"{HAIKU}","max_tokens":64000,"messages":[{{"role":"user","content":"x"}}]}}"#);

    assert_eq!(Row::new(OLD, rules, "{}").gets("[]", "refusal").failed(), Some(ErrorClass::Refused));
    let request = Row::of_request(&large, rules).gets("[]", "refusal").request();
    assert_eq!(request["max_tokens"], json!(32_000));
}

#[test]
fn parameters_that_resume_replaced_stay_replaced_for_the_other_model() {
    let rules: fn(&mut Rules) = |rules| {
        schema(rules);
        rules.on_refusal = OnRefusal::Model(OLD.to_owned());
    };
    let mut row = Row::new(HAIKU, rules, r#"{"system":"old"}"#);
    let replaced = str::from_utf8(row.job.request.json()).expect("JSON").replace("\"old\"", "\"new\"");
    row.ask = Row::of_request(&replaced, rules).ask;

    let request = row.gets("[]", "refusal").request();

    assert_eq!((&request["system"], row.ask.schema_method), (&json!("new"), Some(SchemaMethod::Tool)));
}

#[test]
fn the_answer_of_the_other_model_is_repaired_by_the_other_model() {
    let rules: fn(&mut Rules) = |rules| {
        schema(rules);
        rules.on_refusal = OnRefusal::Model(OLD.to_owned());
    };
    let call = format!(r#"[{{"type":"tool_use","id":"t1","name":"{ANSWER_TOOL}","input":{{"a":"x"}}}}]"#);
    for is_restarted in [false, true] {
        let mut row = Row::new(HAIKU, rules, "{}");
        row.gets("[]", "refusal");
        row.attempts.push(attempt_of(&row.ask, Quality::Ok));
        let mut row = if is_restarted { row.restarted() } else { row };

        let request = row.judged(&message(&call, "tool_use", Quality::Ok)).request();

        assert_eq!(
            (&request["model"], row.ask.schema_method),
            (&json!(OLD), Some(SchemaMethod::Tool)),
            "{is_restarted}"
        );
        assert_eq!(request["tool_choice"]["name"], json!(ANSWER_TOOL));
        assert!(request.get("output_config").is_none(), "{request}");
        let result = &request["messages"][2]["content"][0];
        assert_eq!((&result["type"], &result["tool_use_id"]), (&json!("tool_result"), &json!("t1")));
        let base = row.ask.base.as_ref().expect("it is a later request").json();
        assert!(str::from_utf8(base).is_ok_and(|base| base.contains(OLD) && base.contains(ANSWER_TOOL)));
    }
}

#[test]
fn a_repair_quotes_the_finding_and_sends_the_answer_back_unchanged() {
    let thinking = r#"{"type":"thinking","thinking":"h\u0041","signature":"s"}"#;
    let content = format!(r#"[{thinking},{{"type":"text","text":" "}},{{"type":"text","text":"{{\"a\":\"x\"}}"}}]"#);
    let mut row = Row::new(HAIKU, schema, r#"{"thinking":{"type":"enabled","budget_tokens":50}}"#);
    let first = row.ask.request.clone();

    let did = row.gets(&content, "end_turn");

    let Did::Asked { purpose: Purpose::Repair, class: ErrorClass::InvalidOutput, request } = did else {
        panic!("{did:?}")
    };
    assert_same_prefix(&first, &row.ask.request);
    let json = str::from_utf8(row.ask.request.json()).expect("JSON is text");
    assert!(json.contains(thinking), "{json}");
    assert_eq!(request["messages"][1]["content"].as_array().map(Vec::len), Some(2), "a blank text is not sent back");
    assert!(request["messages"][2]["content"].as_str().is_some_and(|words| words.contains("/a")), "{request}");
    assert_eq!(row.gets(&text(r#"{"a":1}"#), "end_turn").failed(), None);
}

#[test]
fn an_answer_that_can_not_be_sent_back_is_asked_for_again() {
    for content in ["[]", r#"[{"type":"text","text":""}]"#, r#"[{"type":"thinking","thinking":"x","signature":"s"}]"#] {
        let mut row = Row::new(HAIKU, schema, "{}");
        let first = row.ask.request.clone();

        let did = row.gets(content, "end_turn");

        assert_eq!(did.purpose(), Some(Purpose::Again), "{content}");
        assert_eq!(row.ask.request.json(), first.json());
    }
}

#[test]
fn calls_of_the_rows_own_tools_get_results_in_a_repair() {
    let tools = r#"{"tools":[{"name":"search","input_schema":{"type":"object"}}]}"#;
    let calls = r#"[{"type":"tool_use","id":"a","name":"search","input":{}},{"type":"tool_use","id":"b","name":"search","input":{}}]"#;

    let request = Row::new(HAIKU, schema, tools).gets(calls, "tool_use").request();

    let results = request["messages"][2]["content"].as_array().expect("a list");
    assert_eq!(results.iter().map(|result| &result["tool_use_id"]).collect::<Vec<_>>(), ["a", "b"]);
    assert!(
        results[0]["content"].as_str().is_some_and(|words| words.contains(r#"the model called the tool "search""#))
    );
}

#[test]
fn a_model_that_does_not_call_the_tool_is_told_so() {
    let request = Row::new(OLD, schema, "{}").gets(&text(r#"{"a":1}"#), "end_turn").request();

    let words = request["messages"][2]["content"].as_str().expect("there is no call to answer");
    assert!(words.contains("did not call the tool"), "{words}");
}

#[test]
fn each_choice_for_invalid_answers_is_followed() {
    let did = |rules| Row::new(HAIKU, rules, "{}").gets(&text("no"), "end_turn");

    assert!(matches!(did(|rules| (schema(rules), rules.on_invalid = OnInvalid::Keep).1), Did::Kept));
    let again = did(|rules| (schema(rules), rules.on_invalid = OnInvalid::Retry).1);
    assert_eq!(again.purpose(), Some(Purpose::Again));
    let failed = did(|rules| (schema(rules), rules.on_invalid = OnInvalid::Fail).1);
    assert_eq!(failed.failed(), Some(ErrorClass::InvalidOutput));
}

#[test]
fn a_row_has_at_most_the_given_number_of_follow_ups_also_across_restarts() {
    let rules: [fn(&mut Rules); 3] = [
        |rules| (schema(rules), rules.max_follow_ups = 0).1,
        |rules| (schema(rules), rules.max_follow_ups = 1).1,
        |rules| (schema(rules), rules.max_follow_ups = 2).1,
    ];
    for (most, rules) in rules.into_iter().enumerate() {
        for is_restarted in [false, true] {
            let mut row = Row::new(HAIKU, rules, "{}");
            // A failed request is not an answer.
            row.attempts.push(AttemptRecord { failed: Some(ErrorClass::Server), ..attempt_of(&row.ask, Quality::Ok) });
            for _ in 0..most {
                assert_eq!(row.gets(&text("no"), "end_turn").purpose(), Some(Purpose::Repair), "{most}");
                row = if is_restarted { row.restarted() } else { row };
            }
            assert_eq!(row.gets(&text("no"), "end_turn").failed(), Some(ErrorClass::InvalidOutput), "{most}");
        }
    }
}

#[test]
fn a_row_of_an_earlier_run_keeps_the_room_that_its_last_answer_had() {
    let rules: fn(&mut Rules) = |rules| (schema(rules), grows(rules)).1;
    let mut row = Row::new(HAIKU, rules, "{}");
    row.gets(&text("{"), "max_tokens");
    row.attempts.push(attempt_of(&row.ask, Quality::Ok));
    let mut row = row.restarted();

    let request = row.judged(&message(&text("no"), "end_turn", Quality::Ok)).request();

    assert_eq!((&request["max_tokens"], row.ask.purpose), (&json!(400), Purpose::Repair));
}

#[test]
fn a_truncated_repair_grows_with_its_conversation() {
    let mut row = Row::new(HAIKU, |rules| (schema(rules), grows(rules)).1, "{}");
    row.gets(&text("no"), "end_turn");
    let first = row.ask.base.clone().expect("it is a later request");

    let request = row.gets(&text("{"), "max_tokens").request();

    assert_eq!((&request["max_tokens"], row.ask.purpose), (&json!(400), Purpose::MoreRoom));
    assert_eq!(request["messages"].as_array().map(Vec::len), Some(3));
    assert_eq!(row.ask.base.as_ref().map(|base| base.json()), Some(first.json()));
}

#[test]
fn a_request_that_can_not_be_sent_fails_the_row_and_says_why() {
    let rules: fn(&mut Rules) = |rules| rules.on_truncate = OnTruncate::Grow { max_tokens: Some(7777) };

    let did = Row::new(HAIKU, rules, "{}").gets(&text("a"), "max_tokens");

    assert!(
        matches!(&did, Did::Failed(ErrorClass::Truncated, words)
            if words == "the answer was truncated at max_tokens (100); it can't be asked for again: it is too long"),
        "{did:?}"
    );
}

#[test]
fn conditions_see_the_usage_of_all_answers_and_their_words_reach_the_model() {
    let rules: fn(&mut Rules) = |rules| {
        rules.conditions = vec![Box::new(|answer| match answer.usage.output_tokens {
            10 => Ok(()),
            other => Err(format!("{} used {other} for {} in {}", answer.model, answer.json, answer.text)),
        })];
    };
    let mut row = Row::new(HAIKU, rules, "{}");

    let request = row.gets(&text("```\n1\n```"), "end_turn").request();

    let words = request["messages"][2]["content"].as_str().expect("a text");
    assert!(words.contains("claude-haiku-4-5 used 5 for 1 in ```"), "{words}");
    assert!(matches!(row.gets(&text("x"), "end_turn"), Did::Kept));
}

#[test]
fn failures_and_halts_are_kept() {
    let row = Row::new(HAIKU, schema, "{}");
    let policy = policy(rules_of(schema), Arc::new(Catalog::builtin()), Box::new(|_, _, _, _| Err("no".to_owned())));
    let failure = Failure::default();

    let came = RequestResult::Failure { class: ErrorClass::InvalidRequest, failure: &failure };

    assert!(matches!(policy(&row.job, &row.ask, came, &row.attempts), Decision::Keep));
}
