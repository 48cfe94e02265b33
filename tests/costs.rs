//! Checks the stated cost bounds. Before a request is sent, the program states a bound for its cost. No bill of the
//! simulated API, and no usage that is possible for the request, may cost more than this bound.
//!
//! There are two judges. One is the simulator, which counts tokens and money with its own code. The other is the most
//! expensive usage that is possible: one token for each byte of text, written to the cache with the longest lifetime
//! that a cache mark asks for.

use std::collections::BTreeMap;
use std::sync::Arc;

use claude_batch::catalog::{Catalog, TokenizerFamily};
use claude_batch::clock::Instant;
use claude_batch::domain::{Expense, JobId, Origin, Params, Planned, RateLimits, Usage};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::sim::config::{Endings, Latency, OutputLengths, SimConfig};
use claude_batch::sim::model::{Model, Request};
use claude_batch::sim::presets;
use claude_batch::source::Row;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const MODELS: [&str; 6] = [
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5-5",
    "claude-opus-5",
    "claude-fable-5-1",
];
const SEEDS: u64 = 300;

#[test]
fn no_answer_of_the_simulated_api_is_billed_above_the_bound() {
    let mut planner = planner(&Arc::new(Catalog::builtin()));
    let (mut billed, mut close) = (0, 0);
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let body = request(&mut random);
        let planned = planned(&body, &mut planner);
        let most = expense(&planned).most;
        let lengths = OutputLengths { per_max_token: random.f64(), ..OutputLengths::default() };
        let endings = Endings { tool_use: 0.5, ..Endings::default() };
        let config = SimConfig { lengths, endings, ..api() };
        let mut api = Model::new(config);

        // The first request writes to the cache. The second can read from it.
        for second in 0..2 {
            let before = api.books().billed_money;
            send(&mut api, planned.ask.request.json(), Instant::from_secs(second * 30));
            let cost = api.books().billed_money.less(before);
            assert!(cost <= most, "seed {seed}, answer {second}: {cost} billed, at most {most} said for {body}");
            billed += u64::from(api.books().billed_calls > second);
            close += u64::from(cost.times(2) > most);
        }
        assert!(api.books().billed.output_tokens <= 2 * u64::from(planned.ask.max_tokens), "seed {seed}");
    }
    assert!(billed > SEEDS && close > SEEDS / 20, "{billed} of {} were billed, {close} close to the bound", 2 * SEEDS);
}

#[test]
fn no_possible_usage_of_a_request_costs_more_than_the_bound() {
    let catalog = Arc::new(Catalog::builtin());
    let mut planner = planner(&catalog);
    for seed in 0..SEEDS {
        let mut random = fastrand::Rng::with_seed(seed);
        let body = request(&mut random);
        let planned = planned(&body, &mut planner);
        let Expense { input, output_token, most } = expense(&planned);
        let prompt = Prompt::of(&body, &catalog);
        for _ in 0..20 {
            let usage = prompt.usage(&mut random);
            let cost = catalog.cost_on(planned.ask.terms, &planned.ask.model, &usage).expect("it has a price");

            assert!(cost <= most, "seed {seed}: {usage:?} costs {cost}, at most {most} was said for {body}");
        }
        assert!(input.low <= input.likely && input.likely <= input.high, "seed {seed}: {input:?}");
        let whole = input.high.max(output_token.times(planned.ask.max_tokens.into()));
        assert!(whole <= most, "seed {seed}: {whole} for one half of {body}, at most {most}");
    }
}

fn api() -> SimConfig {
    SimConfig::new(presets::models()).with_limits(RateLimits::NONE).with_latency(Latency::ZERO)
}

fn send(api: &mut Model, body: &[u8], now: Instant) {
    let mut headers = HeaderMap::new();
    headers.insert("x-api-key", HeaderValue::from_static("k"));
    headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
    api.arrive(&Request { method: &Method::POST, path: "/v1/messages", query: None, headers: &headers, body }, now);
    // Reading the statistics makes the API finish and bill the answers that are due.
    api.stats(now);
}

fn planner(catalog: &Arc<Catalog>) -> Planner {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    Planner::new(RequestDefaults::default(), dialect, catalog.clone(), "anthropic".into(), "".into())
}

fn planned(body: &Value, planner: &mut Planner) -> Planned {
    let members: BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_str(&body.to_string()).expect("a request is an object");
    let params = Params(members.into_iter().collect());
    let origin = Origin { source: "test".into(), line: 1 };
    let row = Row { origin, custom_id: None, params, extra: Params::default(), error: None, input: None };
    planner.plan(row, JobId(0)).unwrap_or_else(|rejected| panic!("{}: {body}", rejected.message))
}

fn expense(planned: &Planned) -> Expense {
    planned.ask.expense.expect("every model of these has a price")
}

// ---- requests -----------------------------------------------------------------------------------------------------

/// Returns a random request: texts of any script and length, pictures, documents, tools, an output schema, cache marks,
/// and options that change the price.
fn request(random: &mut fastrand::Rng) -> Value {
    let model = MODELS[random.usize(0..MODELS.len())];
    let mut body = json!({ "model": model, "max_tokens": random.u32(1..3_000), "messages": messages(random) });
    if random.bool() {
        body["system"] = content(random);
    }
    if random.u8(0..4) == 0 {
        let tools = (0..random.usize(1..4)).map(|at| {
            let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
            let tool = json!({"name": format!("tool_{at}"), "description": text(random), "input_schema": schema});
            marked(random, tool)
        });
        body["tools"] = tools.collect::<Vec<_>>().into();
    } else if random.u8(0..4) == 0 {
        let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
        body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
    }
    if random.u8(0..6) == 0 {
        body["cache_control"] = mark(random);
    }
    if model == "claude-opus-5" && random.bool() {
        body["speed"] = "fast".into();
    }
    if random.u8(0..5) == 0 {
        body["inference_geo"] = "us".into();
    }
    body
}

fn messages(random: &mut fastrand::Rng) -> Value {
    let turns = 2 * random.usize(0..3) + 1;
    let role = |turn: usize| if turn.is_multiple_of(2) { "user" } else { "assistant" };
    (0..turns).map(|turn| json!({"role": role(turn), "content": content(random)})).collect::<Vec<_>>().into()
}

fn content(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..3) {
        0 => text(random).into(),
        _ => (0..random.usize(1..5)).map(|_| block(random)).collect::<Vec<_>>().into(),
    }
}

fn block(random: &mut fastrand::Rng) -> Value {
    let data = || "QUJD".repeat(500);
    let block = match random.u8(0..12) {
        0 => json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data()}}),
        1 => json!({"type": "image", "source": {"type": "url", "url": "https://example.invalid/a.png"}}),
        2 => json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data()}}),
        3 => json!({"type": "document", "title": "t", "source": {"type": "text", "data": text(random)}}),
        4 => json!({"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": text(random), "b": [1, 2.5e3]}}),
        5 => {
            json!({"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": text(random)}]})
        }
        6 => {
            json!({"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": text(random)}]})
        }
        _ => json!({"type": "text", "text": text(random)}),
    };
    marked(random, block)
}

fn marked(random: &mut fastrand::Rng, mut block: Value) -> Value {
    if random.u8(0..8) == 0 {
        block["cache_control"] = mark(random);
    }
    block
}

fn mark(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..3) {
        0 => json!({"type": "ephemeral"}),
        1 => json!({"type": "ephemeral", "ttl": "5m"}),
        _ => json!({"type": "ephemeral", "ttl": "1h"}),
    }
}

/// Returns text of one kind: words, punctuation (one token for each character), digits, another script, or characters
/// that are escaped.
fn text(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 8] = ["word ", "{}[];:,.!?", "1234567890", "日本語", "слово ", "\"\\\n\t", "😀", "a b c d "];
    let piece = PIECES[random.usize(0..PIECES.len())];
    let bytes = match random.u8(0..40) {
        0 => random.usize(1..150_000),
        1..8 => random.usize(1..12_000),
        _ => random.usize(1..200),
    };
    piece.repeat(bytes.div_ceil(piece.len()))
}

// ---- the most expensive usage ---------------------------------------------------------------------------------------

/// The most that a prompt can use: one token for each byte of text. Only a prompt with cache marks can use the cache.
struct Prompt {
    most_tokens: u64,
    is_marked: bool,
    is_for_an_hour: bool,
    max_tokens: u64,
}

impl Prompt {
    fn of(body: &Value, catalog: &Catalog) -> Self {
        let model = catalog.model(body["model"].as_str().expect("a name")).expect("it is listed");
        let picture = if model.family == TokenizerFamily::Old { 1_568 } else { 4_784 };
        let hidden = if body.get("tools").is_some() { u64::from(model.tool_prompt.forced) } else { 0 };
        let parts = ["system", "messages", "tools", "output_config"];
        let prompt: u64 = parts.iter().map(|name| bytes(&body[name], picture)).sum();
        let around = 8 * body["messages"].as_array().map_or(0, Vec::len) as u64;
        let text = body.to_string();
        Self {
            most_tokens: (prompt + around + hidden).min(u64::from(model.context_tokens)),
            is_marked: text.contains(r#""cache_control":{"#),
            is_for_an_hour: text.contains(r#""ttl":"1h""#),
            max_tokens: body["max_tokens"].as_u64().expect("a number"),
        }
    }

    fn usage(&self, random: &mut fastrand::Rng) -> Usage {
        let input = if random.bool() { self.most_tokens } else { random.u64(0..=self.most_tokens) };
        let cached = if self.is_marked { random.u64(0..=input) } else { 0 };
        let hour = if self.is_for_an_hour { [cached, random.u64(0..=cached)][random.usize(0..2)] } else { 0 };
        let read = random.u64(0..=cached - hour);
        Usage {
            input_tokens: input - cached,
            cache_write_1h_tokens: hour,
            cache_read_tokens: read,
            cache_write_5m_tokens: cached - hour - read,
            output_tokens: random.u64(0..=self.max_tokens),
            web_searches: 0,
        }
    }
}

/// Returns the number of bytes in all texts of a value, including the names of members. A picture counts as `picture`
/// bytes. A document that is not text counts as more than a whole context window.
fn bytes(value: &Value, picture: u64) -> u64 {
    match value {
        Value::Object(block) if block.get("type") == Some(&json!("image")) => picture,
        Value::Object(block) if block.get("type") == Some(&json!("document")) => match &block["source"]["type"] {
            Value::String(kind) if kind == "text" => bytes(&block["source"]["data"], picture),
            _ => 1_000_000,
        },
        Value::Object(members) => members.iter().map(|(name, value)| name.len() as u64 + bytes(value, picture)).sum(),
        Value::Array(values) => values.iter().map(|value| bytes(value, picture)).sum(),
        Value::String(text) => text.len() as u64,
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}
