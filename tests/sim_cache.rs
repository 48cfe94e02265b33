//! Tests prompt caching in the simulated API from outside: each test sends bodies and looks at usage and bills.

use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::{Dimension, Money, RateLimits};
use claude_batch::sim::config::{Latency, Organizations, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::model::{Ending, Model, Request, Step};
use claude_batch::sim::presets;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::{Value, json};

/// This model caches prefixes of 1,024 tokens or more, and it accepts the parameter `thinking`.
const MODEL: &str = "claude-sonnet-4-6";
/// The number of tokens of the long text. Each word of this text is one token.
const LONG: u64 = 2_000;

#[test]
fn string_content_and_one_text_block_with_the_same_text_are_the_same_prompt() {
    let mut api = api();
    let as_block = |text: &str| json!([{"type": "text", "text": text}]);
    let question = |system: Value, first: Value, last: &str| {
        let marked = json!([{"type": "text", "text": last, "cache_control": {"type": "ephemeral"}}]);
        json!({"system": system, "messages": [
            {"role": "user", "content": first}, {"role": "assistant", "content": "Yes."}, {"role": "user", "content": marked},
        ]})
    };

    let first = api.ask(&question(json!("You help."), json!(long("a")), "one"));
    let same = api.ask(&question(as_block("You help."), as_block(&long("a")), "one"));

    assert_eq!((first.write, first.read), (same.read, same.write));
    assert!(first.write > LONG);
}

#[test]
fn a_change_at_a_level_keeps_the_entries_of_the_levels_before_it() {
    let tool = |name: &str| json!({"name": name, "input_schema": {"type": "object"}});
    let mut last_tool = tool("last");
    last_tool["description"] = json!(long("tool"));
    last_tool["cache_control"] = mark("5m");
    let plain = json!({
        "tools": [tool("first"), last_tool], "system": [marked(&long("system"))],
        "messages": [{"role": "user", "content": [marked(&long("message")), {"type": "text", "text": "Why?"}]}],
    });
    let image =
        json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}});
    let cited = json!({"type": "document", "citations": {"enabled": true},
        "source": {"type": "text", "media_type": "text/plain", "data": "A text."}});
    let cases = [
        ("nothing", 3, json!({})),
        ("the last text", 3, json!({"messages/0/content/1/text": "How?"})),
        ("max_tokens", 3, json!({"max_tokens": 17})),
        ("temperature", 3, json!({"temperature": 0.5})),
        ("tool choice", 2, json!({"tool_choice": {"type": "none"}})),
        ("thinking", 2, json!({"thinking": {"type": "adaptive"}})),
        ("effort", 2, json!({"output_config": {"effort": "low"}})),
        ("an image", 2, json!({"messages/0/content/1": image})),
        ("citations", 1, json!({"messages/0/content/1": cited})),
        ("the system prompt", 1, json!({"system/0/text": long("another")})),
        ("a tool", 0, json!({"tools/0/name": "another"})),
        ("the speed", 0, json!({"speed": "fast"})),
        (
            "the form of the answer",
            0,
            json!({"output_config": {"format": {"type": "json_schema", "schema": {"type": "string"}}}}),
        ),
        ("the model", 0, json!({"model": "claude-sonnet-4-5"})),
    ];

    for (what, levels, changes) in cases {
        let mut api = api();
        let first = api.ask(&plain);
        let mut changed = plain.clone();
        for (place, value) in changes.as_object().expect("changes") {
            match changed.pointer_mut(&format!("/{place}")) {
                Some(old) => *old = value.clone(),
                None => changed[place] = value.clone(),
            }
        }

        let second = api.ask(&changed);

        assert!(first.write > 3 * LONG && first.read == 0, "{first:?}");
        assert_eq!(second.read / LONG, levels, "{what}: {second:?}");
    }
}

#[test]
fn a_breakpoint_finds_an_entry_that_ends_within_twenty_blocks() {
    let conversation = |blocks: usize| {
        let mut content = vec![json!({"type": "text", "text": long("start")})];
        content.extend((1..blocks).map(|number| json!({"type": "text", "text": format!("block {number}")})));
        content[blocks - 1]["cache_control"] = mark("5m");
        json!({"messages": [{"role": "user", "content": content}]})
    };
    let mut api = api();

    let reads: Vec<u64> = [1, 20, 40].map(|blocks| api.ask(&conversation(blocks)).read / LONG).into();

    assert_eq!(reads, [0, 1, 0], "19 blocks later is found, 20 blocks later is not");
}

#[test]
fn breakpoints_that_the_api_does_not_accept_are_refused() {
    let text = |ttl: &str| json!({"type": "text", "text": "word", "cache_control": mark(ttl)});
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": "x", "cache_control": mark("5m")});
    let empty = json!({"type": "text", "text": "", "cache_control": mark("5m")});
    let mut four = user(json!([text("5m"), text("5m"), text("5m"), text("5m"), {"type": "text", "text": "word"}]));
    four["cache_control"] = mark("5m");
    let mut late = user(json!([text("5m"), {"type": "text", "text": "word"}]));
    late["cache_control"] = mark("1h");
    let mut in_system = user(json!([text("1h")]));
    in_system["system"] = json!([text("5m")]);
    let cases = [
        (user(json!([text("5m"), text("5m"), text("5m"), text("5m"), text("5m")])), "maximum of 4 blocks"),
        (four, "all are used"),
        (late, "must not come after"),
        (in_system, "must not come after"),
        (user(json!([text("2h")])), "'5m' or '1h'"),
        (user(json!([empty])), "cannot be set for empty text"),
        (
            json!({"messages": [
                {"role": "user", "content": "Hi"},
                {"role": "assistant", "content": [thinking, {"type": "text", "text": "Yes."}]},
                {"role": "user", "content": "Why?"},
            ]}),
            "Extra inputs are not permitted",
        ),
    ];

    for (body, message) in cases {
        let (status, answer) = api().send(&body);
        let said = answer["error"]["message"].as_str().unwrap_or_default();
        assert_eq!(status, 400, "{message}: {answer}");
        assert!(said.contains(message), "{said}");
    }
}

#[test]
fn a_prefix_below_the_minimum_is_billed_like_a_prefix_without_a_breakpoint() {
    let body = |text: String, is_marked: bool| {
        let block = if is_marked { marked(&text) } else { json!({"type": "text", "text": text}) };
        json!({"system": [block], "messages": [{"role": "user", "content": "Why?"}]})
    };
    let of = |words: usize, is_marked| api().ask(&body("word ".repeat(words), is_marked));

    assert_eq!(of(1_023, true), of(1_023, false));
    assert_eq!((of(1_024, true).write, of(1_024, false).write), (1_024, 0));
}

#[test]
fn automatic_caching_writes_the_whole_prompt_and_a_longer_conversation_reads_it() {
    let turns = |turns: usize| {
        let roles = ["user", "assistant"].iter().cycle();
        let turn = |(number, role): (usize, &&str)| json!({"role": role, "content": long(&number.to_string())});
        let messages: Vec<Value> = roles.enumerate().take(turns).map(turn).collect();
        json!({"messages": messages, "cache_control": mark("5m")})
    };
    let mut api = api();

    let [one, three, five] = [1, 3, 5].map(|number| api.ask(&turns(number)));

    assert_eq!((one.read, one.uncached), (0, 0));
    assert_eq!((three.read, three.uncached), (one.write, 0));
    assert_eq!((five.read, five.uncached), (one.write + three.write, 0));
}

#[test]
fn reads_do_not_count_against_the_input_limit_and_writes_do() {
    let mut api = api();
    let level = |api: &mut Api| api.model.level(MODEL, Dimension::InputTokens, api.now).expect("a limit");
    let body = json!({"system": [marked(&long("a"))], "messages": [{"role": "user", "content": "Why?"}]});

    let full = level(&mut api);
    let first = api.ask(&body);
    let after_write = level(&mut api);
    // A second later the bucket is full again.
    api.ask(&body);
    let after_read = level(&mut api);

    assert!((full - after_write - (first.write + first.uncached) as f64).abs() < 0.01);
    assert!((full - after_read - first.uncached as f64).abs() < 0.01);
}

#[test]
fn the_figures_show_what_was_written_and_read_and_what_it_cost() {
    let mut api = api();
    let body = |question: &str| {
        let mut message = marked(&long("document"));
        message["cache_control"] = mark("5m");
        let mut system = marked(&long("system"));
        system["cache_control"] = mark("1h");
        json!({"system": [system], "messages": [{"role": "user", "content": [message, {"type": "text", "text": question}]}]})
    };

    let first = api.ask(&body("one"));
    let second = api.ask(&body("two"));

    let books = api.model.books();
    let billed = books.billed;
    assert_eq!((books.cache_writes, books.cache_reads, books.billed_calls), (2, 1, 2));
    assert_eq!(billed.cache_write_5m_tokens + billed.cache_write_1h_tokens, first.write);
    assert_eq!((billed.cache_read_tokens, billed.input_tokens), (second.read, first.uncached + second.uncached));
    let dollars = |price: f64, tokens: u64| Money::per_token(price).times(tokens);
    let price = dollars(3.0, billed.input_tokens)
        + dollars(3.75, billed.cache_write_5m_tokens)
        + dollars(6.0, billed.cache_write_1h_tokens)
        + dollars(0.3, billed.cache_read_tokens)
        + dollars(15.0, billed.output_tokens);
    assert_eq!(books.billed_money, price);
}

#[test]
fn organizations_have_caches_of_their_own() {
    let mut config = config();
    config.organizations = Organizations::PerKey;
    let mut api = Api::new(config);
    let body = json!({"system": [marked(&long("a"))], "messages": [{"role": "user", "content": "Why?"}]});
    api.ask(&body);

    api.key = "sk-ant-another";
    let other = api.ask(&body);

    assert_eq!((other.read, other.write), (0, LONG + 1));
}

#[test]
fn diagnostics_say_why_a_prompt_was_not_read() {
    let mut api = api();
    let body = |previous: Value, system: &str, first: &str| {
        json!({"system": system, "diagnostics": {"previous_message_id": previous},
            "messages": [{"role": "user", "content": first}, {"role": "assistant", "content": "Yes."},
            {"role": "user", "content": "Why?"}]})
    };
    let mut reason = |body: &Value| {
        let (status, answer) = api.send(body);
        assert_eq!(status, 200, "{answer}");
        (answer["id"].clone(), answer["diagnostics"]["cache_miss_reason"].clone())
    };

    let (id, none) = reason(&body(Value::Null, "a", "b"));
    let (_, same) = reason(&body(id.clone(), "a", "b"));
    let (_, unknown) = reason(&body(json!("msg_unknown"), "a", "b"));
    let (_, system) = reason(&body(id.clone(), "another", "b"));
    let (_, messages) = reason(&body(id.clone(), "a", "another"));
    let mut with_tools = body(id.clone(), "a", "b");
    with_tools["tools"] = json!([{"name": "look", "input_schema": {"type": "object"}}]);
    let (_, tools) = reason(&with_tools);
    let mut other_model = body(id.clone(), "a", "b");
    other_model["model"] = json!("claude-sonnet-4-5");
    let (_, model) = reason(&other_model);
    let mut thinking = body(id, "a", "b");
    thinking["thinking"] = json!({"type": "adaptive"});
    let (_, unavailable) = reason(&thinking);
    let (_, answer) = api.send(&json!({"messages": [{"role": "user", "content": "Why?"}]}));

    assert!(none.is_null() && same.is_null() && answer.get("diagnostics").is_none());
    let kinds = [&unknown, &system, &messages, &tools, &model, &unavailable].map(|reason| &reason["type"]);
    assert_eq!(
        kinds,
        [
            "previous_message_not_found",
            "system_changed",
            "messages_changed",
            "tools_changed",
            "model_changed",
            "unavailable"
        ]
    );
    assert!(system["cache_missed_input_tokens"].as_u64() > messages["cache_missed_input_tokens"].as_u64());
}

#[test]
fn faults_can_break_the_cache_in_three_ways() {
    let marked_body = json!({"system": [marked(&long("a"))], "messages": [{"role": "user", "content": "Why?"}]});
    let plain = json!({"messages": [{"role": "user", "content": "Is \"cache_control\" a word?"}]});
    let with = |rule: Value| {
        let mut config = config();
        let plan = json!({"rules": [rule]}).to_string();
        config.faults = FaultPlan::parse(&plan, "faults.json").expect("the plan is valid");
        Api::new(config)
    };

    let mut refusing = with(json!({"kind": "cache_refused"}));
    assert_eq!((refusing.send(&marked_body).0, refusing.send(&plain).0), (400, 200));
    assert_eq!(refusing.model.books().faults, [(0, 1)].into());

    let mut ignoring = with(json!({"kind": "cache_ignored"}));
    let [first, second] = [(); 2].map(|()| ignoring.ask(&marked_body));
    assert_eq!((first.write, first.read), (0, 0));
    assert_eq!(first, second);

    let mut evicting = with(json!({"kind": "cache_evicted", "after": "30s"}));
    let first = evicting.ask(&marked_body);
    let second = evicting.ask(&marked_body);
    evicting.now = evicting.now + Duration::from_secs(30);
    let third = evicting.ask(&marked_body);
    assert_eq!((first, second.read), (third, first.write));
}

/// The token counts in the usage of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    write: u64,
    read: u64,
    uncached: u64,
}

/// A simulated API whose answers take no time. Each request comes one second after the previous one.
struct Api {
    model: Model,
    now: Instant,
    key: &'static str,
}

impl Api {
    fn new(config: SimConfig) -> Self {
        Self { model: Model::new(config), now: Instant::from_secs(60), key: "sk-ant-one" }
    }

    /// Sends a body, with the usual members added. Returns the status and the answer.
    fn send(&mut self, body: &Value) -> (u16, Value) {
        let mut whole = json!({"model": MODEL, "max_tokens": 16});
        for (name, value) in body.as_object().expect("a body is an object") {
            whole[name] = value.clone();
        }
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static(self.key));
        headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
        let body = whole.to_string().into_bytes();
        let request =
            Request { method: &Method::POST, path: "/v1/messages", query: None, headers: &headers, body: &body };
        self.now = self.now + Duration::from_secs(1);
        let mut arrival = self.model.arrive(&request, self.now);
        let head = self.model.head(&mut arrival, self.now);
        self.model.finish(arrival.ticket, Ending::Played, self.now);
        let Some(Step::Bytes { bytes, .. }) = arrival.body.first() else { panic!("a body: {arrival:?}") };
        (head.status, serde_json::from_slice(bytes).expect("JSON"))
    }

    /// Sends a body, asserts that the API answers it, and returns the usage of the answer.
    fn ask(&mut self, body: &Value) -> Usage {
        let (status, answer) = self.send(body);
        assert_eq!(status, 200, "{answer}");
        let number = |name: &str| answer["usage"][name].as_u64().expect("a number");
        Usage {
            write: number("cache_creation_input_tokens"),
            read: number("cache_read_input_tokens"),
            uncached: number("input_tokens"),
        }
    }
}

fn api() -> Api {
    Api::new(config())
}

fn config() -> SimConfig {
    SimConfig::new(presets::models())
        .with_limits(RateLimits::new(1_000, 1_000_000, 1_000_000))
        .with_latency(Latency::ZERO)
        .with_lengths(OutputLengths::fixed(5))
}

fn mark(ttl: &str) -> Value {
    json!({"type": "ephemeral", "ttl": ttl})
}

fn marked(text: &str) -> Value {
    json!({"type": "text", "text": text, "cache_control": mark("5m")})
}

fn long(start: &str) -> String {
    format!("{start} {}", "word ".repeat(LONG as usize))
}
