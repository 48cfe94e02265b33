//! Checks the stated cost bounds. Before the program sends a request, it states a bound for the cost. Every bill of the
//! simulated API must be within this bound. The bound must also be high enough for every other usage that the request
//! can have.
//!
//! There are two judges. The first judge is the simulator, which counts tokens with its own code. The test also uses
//! larger counts, up to the highest possible count: one token per byte. The second judge assumes the most expensive
//! usage that is possible. This usage has one token per byte of text. All tokens are written to the cache. The lifetime
//! of these tokens in the cache is the longest lifetime that a cache mark names. If the API itself runs a tool, each
//! turn of this tool uses a whole context window. This file computes the cost of each usage with its own code.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use claude_batch::catalog::{Catalog, TokenizerFamily};
use claude_batch::clock::Instant;
use claude_batch::domain::{Expense, JobId, Money, Origin, Params, Planned, RateLimits, Usage};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::sim::config::{Endings, Latency, OutputLengths, SimConfig, UnknownModels};
use claude_batch::sim::model::{Model, Request};
use claude_batch::sim::presets;
use claude_batch::source::Row;
use http::{HeaderMap, HeaderValue, Method};
use serde_json::value::RawValue;
use serde_json::{Value, json};

const MODELS: [&str; 10] = [
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-sonnet-5-5",
    "claude-opus-4-8",
    "claude-opus-5",
    "claude-opus-5-5",
    "claude-fable-5-1",
    // Only the price file has this model.
    "my-proxy-model",
];
/// The number of rows that are tried. `ROWS=20000 cargo test --test costs` tries more rows.
const ROWS: u64 = 1_000;
/// The number of rows in a run.
const RUN: usize = 10;

#[test]
fn no_answer_of_the_simulated_api_is_billed_above_the_bound() {
    let (mut billed, mut close, mut longer) = (0, 0, 0);
    for run in rows().chunks(RUN) {
        let (mut all, mut most_of_all) = (Money::ZERO, Money::ZERO);
        for row in run {
            let most = row.expense().most;
            let mut random = fastrand::Rng::with_seed(row.seed);
            let usual = row.answers(&mut random, 1.0);
            let skew = row.physical_skew(usual.iter().map(prompt_tokens).max().unwrap_or(0));
            let skew = skew.min(1.0 + 1.5 * random.f64());
            let skewed = row.answers(&mut random, skew);
            for (number, usage) in usual.iter().chain(&skewed).enumerate() {
                let cost = row.tariff.cost(usage);
                let (seed, body) = (row.seed, &row.body);
                assert!(cost <= most, "row {seed}, answer {number}: {usage:?} costs {cost}, at most {most} for {body}");
                assert!(usage.output_tokens <= u64::from(row.planned.ask.max_tokens), "row {seed}: {usage:?}");
                billed += 1;
                close += u64::from(cost.times(2) > most);
                longer += u64::from(number >= usual.len() && skew > 1.1);
            }
            // In a run without faults, at most one answer per row is paid for.
            let dearest = usual.iter().chain(&skewed).map(|usage| row.tariff.cost(usage)).max();
            all += dearest.unwrap_or_default();
            most_of_all += most;
        }
        assert!(all <= most_of_all, "{all} billed for {} rows, at most {most_of_all} said", run.len());
    }
    let rows = rows().len() as u64;
    assert!(
        billed > 3 * rows && close > rows / 10 && longer > rows,
        "{billed} answers to {rows} rows were billed, {close} close to the bound, {longer} with more tokens"
    );
}

#[test]
fn no_possible_usage_of_a_request_costs_more_than_the_bound() {
    for row in rows() {
        let mut random = fastrand::Rng::with_seed(row.seed);
        let Expense { input, output_token, most, most_in_batch } = row.expense();
        let prompt = row.prompt();
        for _ in 0..20 {
            let usage = prompt.usage(prompt.most_tokens, &mut random);
            let in_batch = prompt.usage(prompt.most_tokens_in_batch, &mut random);
            let (cost, half) = (row.tariff.cost(&usage), row.tariff.cost_in_batch(&in_batch));
            let (seed, body) = (row.seed, &row.body);

            assert!(cost <= most, "row {seed}: {usage:?} costs {cost}, at most {most} was said for {body}");
            assert!(
                half <= most_in_batch,
                "row {seed}: {in_batch:?} costs {half} in a batch, at most {most_in_batch} was said for {body}"
            );
        }
        assert!(input.low <= input.likely && input.likely <= input.high, "row {}: {input:?}", row.seed);
        let whole = input.high.max(output_token.times(row.planned.ask.max_tokens.into()));
        assert!(whole <= most, "row {}: {whole} for one half of {}, at most {most}", row.seed, row.body);
    }
}

// ---- rows -----------------------------------------------------------------------------------------------------------

/// A random row, and the plan for it.
struct PlannedRow {
    seed: u64,
    body: Value,
    planned: Planned,
    tariff: Tariff,
}

/// Returns the rows of all tests. The rows are planned only once, because planning takes most of the time.
fn rows() -> &'static [PlannedRow] {
    static ALL: OnceLock<Vec<PlannedRow>> = OnceLock::new();
    ALL.get_or_init(|| {
        let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
        let mut price_lists = [None; 4].map(|_: Option<()>| PriceList::default());
        price_lists[2] = PriceList::random(&mut fastrand::Rng::with_seed(2));
        price_lists[3] = PriceList::random(&mut fastrand::Rng::with_seed(3));
        let mut planners = [0, 1, 2, 3].map(|at: usize| planner(&Arc::new(price_lists[at].catalog())));
        (0..rows)
            .filter_map(|seed| {
                let mut random = fastrand::Rng::with_seed(seed);
                let at = (seed % 4) as usize;
                let body = request(&mut random, price_lists[at].is_of_user);
                let tariff = price_lists[at].tariff(&body);
                Some(PlannedRow { seed, planned: planned(&body, &mut planners[at])?, body, tariff })
            })
            .collect()
    })
}

impl PlannedRow {
    fn expense(&self) -> Expense {
        self.planned.ask.expense.expect("every model of these has a price")
    }

    fn prompt(&self) -> Prompt {
        static CATALOG: OnceLock<Catalog> = OnceLock::new();
        Prompt::of(&self.body, CATALOG.get_or_init(Catalog::builtin))
    }

    /// Returns the usage of two answers. The first request writes to the cache. The second request can read from the
    /// cache. `skew` is how many tokens the API counts per token of the simulator.
    fn answers(&self, random: &mut fastrand::Rng, skew: f64) -> Vec<Usage> {
        let lengths = OutputLengths { per_max_token: 1.2 * random.f64(), ..OutputLengths::default() };
        let endings = Endings { tool_use: 0.5, stop_sequence: 0.3, refusal: 0.02 };
        let unknown_models = UnknownModels::LikeTheFirst;
        let mut api = Model::new(SimConfig { lengths, endings, unknown_models, token_skew: skew, ..api() });
        let mut answers = Vec::new();
        for second in [0, 30] {
            let before = (api.books().billed, api.books().billed_money, api.books().billed_calls);
            send(&mut api, self.planned.ask.request.json(), Instant::from_secs(second));
            let (books, usage) = (api.books(), difference(api.books().billed, before.0));
            if books.billed_calls > before.2 {
                if self.tariff.is_usual {
                    let money = books.billed_money.less(before.1);
                    assert_eq!(money, self.tariff.cost(&usage), "row {}: the simulator charges {usage:?}", self.seed);
                }
                answers.push(usage);
            }
        }
        answers
    }

    /// Returns the largest possible ratio of a real tokenizer's count to the simulator's count. A tokenizer makes at
    /// most one token per byte, and a picture has a limited number of tokens.
    fn physical_skew(&self, tokens: u64) -> f64 {
        let Prompt { own_tokens, picture, .. } = self.prompt();
        let text = self.body.to_string();
        // The simulator rounds up the token count of each part.
        let parts =
            text.matches(r#""type":"#).count() as u64 + self.body["messages"].as_array().map_or(0, Vec::len) as u64;
        let by_bytes = own_tokens.saturating_sub(parts + 2) as f64 / tokens.max(1) as f64;
        let by_pictures = if text.contains(r#""image""#) { picture as f64 / 1_500.0 } else { f64::INFINITY };
        by_bytes.min(by_pictures).max(1.0)
    }
}

fn prompt_tokens(usage: &Usage) -> u64 {
    usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens + usage.cache_read_tokens
}

fn difference(after: Usage, before: Usage) -> Usage {
    Usage {
        input_tokens: after.input_tokens - before.input_tokens,
        cache_write_5m_tokens: after.cache_write_5m_tokens - before.cache_write_5m_tokens,
        cache_write_1h_tokens: after.cache_write_1h_tokens - before.cache_write_1h_tokens,
        cache_read_tokens: after.cache_read_tokens - before.cache_read_tokens,
        output_tokens: after.output_tokens - before.output_tokens,
        web_searches: after.web_searches - before.web_searches,
        is_unknown: after.is_unknown,
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
    // When the statistics are read, the API finishes and bills the answers that are due.
    api.stats(now);
}

fn planner(catalog: &Arc<Catalog>) -> Planner {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    Planner::new(RequestDefaults::default(), dialect, catalog.clone(), "anthropic".into(), "".into())
}

/// Plans a request. Returns `None` if the request has too many cache marks, or marks in the wrong order. The API
/// rejects such requests.
fn planned(body: &Value, planner: &mut Planner) -> Option<Planned> {
    let members: BTreeMap<Box<str>, Box<RawValue>> =
        serde_json::from_str(&body.to_string()).expect("a request is an object");
    let params = Params(members.into_iter().collect());
    let origin = Origin { source: "test".into(), line: 1 };
    let row = Row { origin, custom_id: None, params, extra: Params::default(), error: None, input: None };
    match planner.plan(row, JobId(0)) {
        Ok(planned) => Some(planned),
        Err(rejected) if rejected.message.contains("cache mark") => None,
        Err(rejected) => panic!("{}: {body}", rejected.message),
    }
}

// ---- prices ---------------------------------------------------------------------------------------------------------

/// Dollars per million tokens: input, output, write to the five-minute cache, write to the one-hour cache, and cache
/// read.
type Dollars = [f64; 5];

/// The prices of the API documentation (2026-11), copied into this file.
const PRICES: [(&str, u64, Dollars); 10] = [
    ("claude-haiku-4-5", 0, [1.0, 5.0, 1.25, 2.0, 0.1]),
    ("claude-haiku-5-5", 0, [0.1, 0.5, 0.125, 0.2, 0.01]),
    ("claude-haiku-5-5", 100_000, [0.5, 2.5, 0.625, 1.0, 0.05]),
    ("claude-sonnet-4-5", 0, [3.0, 15.0, 3.75, 6.0, 0.3]),
    ("claude-sonnet-4-6", 0, [3.0, 15.0, 3.75, 6.0, 0.3]),
    ("claude-sonnet-5-5", 0, [2.0, 10.0, 2.5, 4.0, 0.1]),
    ("claude-opus-4-8", 0, [5.0, 25.0, 6.25, 10.0, 0.5]),
    ("claude-opus-5", 0, [5.0, 25.0, 6.25, 10.0, 0.5]),
    ("claude-opus-5-5", 0, [4.0, 20.0, 5.0, 8.0, 0.2]),
    ("claude-fable-5-1", 0, [10.0, 50.0, 12.5, 20.0, 0.25]),
];
/// The prices of Opus 5 and Opus 4.8 in fast mode.
const FAST: Dollars = [10.0, 50.0, 12.5, 20.0, 1.0];
const HAS_FAST: [&str; 2] = ["claude-opus-4-8", "claude-opus-5"];

/// The prices of all models. Some of these prices can come from a price file.
struct PriceList {
    steps: Vec<(String, u64, Dollars)>,
    dollars_for_a_thousand_searches: f64,
    /// Whether a price file gives some of the prices.
    is_of_user: bool,
}

impl Default for PriceList {
    fn default() -> Self {
        let steps = PRICES.map(|(model, above, dollars)| (model.to_owned(), above, dollars)).into();
        Self { steps, dollars_for_a_thousand_searches: 10.0, is_of_user: false }
    }
}

impl PriceList {
    /// Returns a price list in which a price file gives random prices for some models.
    fn random(random: &mut fastrand::Rng) -> Self {
        let mut steps = Self::default().steps;
        for model in ["claude-haiku-5-5", "claude-opus-5", "my-proxy-model"] {
            steps.retain(|(own, ..)| own != model);
            for above in [0, random.u64(500..50_000), 200_000] {
                let dollars = [0; 5].map(|_: u8| f64::from(random.u32(1..4_000)) / 100.0);
                steps.push((model.to_owned(), above, dollars));
            }
        }
        Self { steps, dollars_for_a_thousand_searches: f64::from(random.u32(1..50)), is_of_user: true }
    }

    fn catalog(&self) -> Catalog {
        if !self.is_of_user {
            return Catalog::builtin();
        }
        let mut file = format!("web_search_per_thousand = {}\n", self.dollars_for_a_thousand_searches);
        for (model, above, [input, output, write_5m, write_1h, read]) in &self.steps {
            file.push_str(&format!(
                "[[price]]\nmodel = {model:?}\nabove = {above}\ninput = {input}\noutput = {output}\n\
                 write_5m = {write_5m}\nwrite_1h = {write_1h}\nread = {read}\n"
            ));
        }
        Catalog::builtin().with_prices(&file).expect("the price file is right")
    }

    fn tariff(&self, body: &Value) -> Tariff {
        let model = body["model"].as_str().expect("a name");
        let own = self.steps.iter().filter(|(own, ..)| own == model).map(|(_, above, dollars)| (*above, *dollars));
        let (is_fast, is_us) = (body.get("speed").is_some(), body.get("inference_geo") == Some(&json!("us")));
        Tariff {
            steps: if is_fast { vec![(0, FAST)] } else { own.collect() },
            dollars_for_a_thousand_searches: self.dollars_for_a_thousand_searches,
            is_us,
            is_usual: !is_fast && !is_us && !self.is_of_user,
        }
    }
}

/// The prices that apply to a request.
struct Tariff {
    /// The prices for long prompts. Each entry has a number of tokens, and the prices for prompts with more than this
    /// number of tokens. The entries are sorted by the number of tokens.
    steps: Vec<(u64, Dollars)>,
    dollars_for_a_thousand_searches: f64,
    is_us: bool,
    /// Whether the simulator charges these prices. The simulator knows no price file, no fast mode and no region.
    is_usual: bool,
}

impl Tariff {
    fn cost(&self, usage: &Usage) -> Money {
        Money(self.tokens(usage) + self.searches(usage))
    }

    /// Returns the cost of an answer from a batch: half of the price of its tokens.
    fn cost_in_batch(&self, usage: &Usage) -> Money {
        Money(self.tokens(usage).div_ceil(2) + self.searches(usage))
    }

    fn searches(&self, usage: &Usage) -> u128 {
        (self.dollars_for_a_thousand_searches * 1e9).round() as u128 * u128::from(usage.web_searches)
    }

    fn tokens(&self, usage: &Usage) -> u128 {
        let prompt = prompt_tokens(usage);
        let [input, output, write_5m, write_1h, read] =
            self.steps.iter().rev().find(|(above, _)| *above < prompt || *above == 0).expect("there is a base price").1;
        let pico = |dollars: f64, tokens: u64| (dollars * 1e6).round() as u128 * u128::from(tokens);
        let tokens = pico(input, usage.input_tokens)
            + pico(output, usage.output_tokens)
            + pico(write_5m, usage.cache_write_5m_tokens)
            + pico(write_1h, usage.cache_write_1h_tokens)
            + pico(read, usage.cache_read_tokens);
        if self.is_us { tokens * 11 / 10 } else { tokens }
    }
}

// ---- requests -----------------------------------------------------------------------------------------------------

/// Returns a random request. The request can have texts of any script and length, pictures, documents, and tools of
/// clients or of the API. The request can also have a forced tool, an output schema, thinking, cache marks, and options
/// that change the price. If `has_price_file` is true, the request can also use the model that only the price file has.
fn request(random: &mut fastrand::Rng, has_price_file: bool) -> Value {
    let models = if has_price_file { &MODELS[..] } else { &MODELS[..MODELS.len() - 1] };
    let model = models[random.usize(0..models.len())];
    let max_tokens = match random.u8(0..20) {
        0 => random.u32(1..64_000),
        1..5 => random.u32(1..40),
        _ => random.u32(1..3_000),
    };
    let mut body = json!({ "model": model, "max_tokens": max_tokens, "messages": messages(random) });
    if random.bool() {
        body["system"] = content(random);
    }
    if model == "claude-haiku-5-5" && random.u8(0..4) == 0 {
        body["messages"] = around_the_step(random);
    }
    match random.u8(0..8) {
        0 | 1 => tools(random, &mut body),
        2 | 3 => {
            let schema =
                json!({"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": false});
            body["output_config"] = json!({"format": {"type": "json_schema", "schema": schema}});
        }
        4 if THINKS.contains(&model) && max_tokens > 1_024 => {
            body["thinking"] = json!({"type": "enabled", "budget_tokens": 1_024});
        }
        5 => body["stop_sequences"] = json!(["END", "\n\n"]),
        _ => {}
    }
    if random.u8(0..6) == 0 {
        body["cache_control"] = mark(random);
    }
    if HAS_FAST.contains(&model) && random.bool() {
        body["speed"] = "fast".into();
    }
    if random.u8(0..5) == 0 {
        body["inference_geo"] = "us".into();
    }
    body
}

/// Models that accept a budget for thinking.
const THINKS: [&str; 3] = ["claude-haiku-4-5", "claude-sonnet-4-5", "claude-sonnet-4-6"];
/// Models that accept a forced tool.
const FORCED: [&str; 6] = [
    "claude-haiku-4-5",
    "claude-haiku-5-5",
    "claude-sonnet-4-5",
    "claude-sonnet-4-6",
    "claude-opus-4-8",
    "claude-opus-5",
];

/// Adds tools: of the client, of the API, or of both. Some requests force the use of one of these tools.
fn tools(random: &mut fastrand::Rng, body: &mut Value) {
    let mut tools = Vec::new();
    for at in 0..random.usize(1..4) {
        let tool = match random.u8(0..6) {
            0 => json!({"type": "web_search_20250305", "name": "web_search"}),
            1 => json!({"type": "web_search_20250305", "name": "web_search", "max_uses": random.u8(1..30)}),
            2 => json!({"type": "web_fetch_20250910", "name": "web_fetch", "max_uses": random.u8(1..5)}),
            _ => {
                let schema = json!({"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]});
                json!({"name": format!("tool_{at}"), "description": text(random), "input_schema": schema})
            }
        };
        if tools.iter().all(|other: &Value| other["name"] != tool["name"]) {
            tools.push(marked(random, tool));
        }
    }
    body["tools"] = tools.into();
    if FORCED.contains(&body["model"].as_str().unwrap_or_default()) && random.bool() {
        body["tool_choice"] = json!({"type": "any"});
    }
}

/// Returns a prompt whose length (in tokens of the simulator) is close to the length at which the prices of Haiku 5.5
/// change.
fn around_the_step(random: &mut fastrand::Rng) -> Value {
    let words = random.usize(99_900..100_100);
    json!([{"role": "user", "content": "a ".repeat(words)}])
}

fn messages(random: &mut fastrand::Rng) -> Value {
    let turns = 2 * random.usize(0..3) + 1;
    let mut contents: Vec<Value> = (0..turns).map(|_| content(random)).collect();
    for turn in (1..turns).step_by(2) {
        if random.u8(0..3) == 0 {
            let id = format!("toolu_{turn}");
            let input = json!({"a": text(random), "b": [1, 2.5e3]});
            let call = marked(random, json!({"type": "tool_use", "id": id, "name": "f", "input": input}));
            let said = json!([{"type": "text", "text": text(random)}]);
            let result = marked(random, json!({"type": "tool_result", "tool_use_id": id, "content": said}));
            blocks(&mut contents[turn]).push(call);
            blocks(&mut contents[turn + 1]).insert(0, result);
        }
    }
    let role = |turn: usize| if turn.is_multiple_of(2) { "user" } else { "assistant" };
    let turns = contents.into_iter().enumerate();
    turns.map(|(turn, content)| json!({"role": role(turn), "content": content})).collect::<Vec<_>>().into()
}

/// Returns the content blocks of a message. A content that is a text becomes one block.
fn blocks(content: &mut Value) -> &mut Vec<Value> {
    if content.is_string() {
        *content = json!([{"type": "text", "text": content.take()}]);
    }
    content.as_array_mut().expect("a content is a text or a list")
}

fn content(random: &mut fastrand::Rng) -> Value {
    match random.u8(0..3) {
        0 => text(random).into(),
        _ => (0..random.usize(1..5)).map(|_| block(random)).collect::<Vec<_>>().into(),
    }
}

fn block(random: &mut fastrand::Rng) -> Value {
    let data = || "QUJD".repeat(500);
    let block = match random.u8(0..10) {
        0 => json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data()}}),
        1 => json!({"type": "image", "source": {"type": "url", "url": "https://example.invalid/a.png"}}),
        2 => json!({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data()}}),
        3 => json!({"type": "document", "title": "t", "source": {"type": "text", "data": text(random)}}),
        4 => {
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

/// Returns text of one kind: words, punctuation (one token for each character), digits, text in another script, or
/// characters that JSON escapes.
fn text(random: &mut fastrand::Rng) -> String {
    const PIECES: [&str; 8] = ["word ", "{}[];:,.!?", "1234567890", "日本語", "слово ", "\"\\\n\t", "😀", "a b c d "];
    let piece = PIECES[random.usize(0..PIECES.len())];
    let bytes = match random.u8(0..40) {
        0 => random.usize(1..20_000),
        1..8 => random.usize(1..4_000),
        _ => random.usize(1..200),
    };
    piece.repeat(bytes.div_ceil(piece.len()))
}

// ---- the most expensive usage ---------------------------------------------------------------------------------------

/// The highest usage that a request can cause: one token per byte of text, in each turn that the API can take. Usually
/// only a prompt with cache marks can use the cache. A tool that the API runs can use the cache even without cache
/// marks.
struct Prompt {
    /// The number of tokens of the prompt itself.
    own_tokens: u64,
    /// The number of tokens of a picture.
    picture: u64,
    most_tokens: u64,
    /// The largest number of input tokens that the request can use in a batch. In a batch, the API takes one turn for
    /// each tool call, and the usual limit on turns does not apply.
    most_tokens_in_batch: u64,
    is_marked: bool,
    is_for_an_hour: bool,
    max_tokens: u64,
    most_searches: u64,
}

impl Prompt {
    fn of(body: &Value, catalog: &Catalog) -> Self {
        let model = catalog.model(body["model"].as_str().expect("a name"));
        let picture = if model.is_some_and(|model| model.family == TokenizerFamily::Old) { 1_568 } else { 4_784 };
        let hidden = model.map_or(0, |model| u64::from(model.tool_prompt.forced));
        let hidden = if body.get("tools").is_some() { hidden } else { 0 };
        let parts = ["system", "messages", "tools", "output_config"];
        let prompt: u64 = parts.iter().map(|name| bytes(&body[name], picture)).sum();
        let own_tokens = prompt + 8 * body["messages"].as_array().map_or(0, Vec::len) as u64 + hidden;
        let window = model.map_or(u64::MAX, |model| u64::from(model.context_tokens));
        let max_tokens = body["max_tokens"].as_u64().expect("a number");
        let tools: Vec<&Value> = body["tools"].as_array().map_or(Vec::new(), |tools| tools.iter().collect());
        let kind = |tool: &Value, start: &str| tool["type"].as_str().is_some_and(|kind| kind.starts_with(start));
        // If a tool has no limit on its uses, the API takes ten turns and then one last turn.
        let uses = |start: &str| -> u64 {
            tools.iter().filter(|tool| kind(tool, start)).map(|tool| tool["max_uses"].as_u64().unwrap_or(1_000)).sum()
        };
        let calls = uses("web_search") + uses("web_fetch");
        // Each tool call uses at least 16 output tokens.
        let turns_in_batch = calls.min(max_tokens / 16 + 1) + 1;
        let most_in = |turns: u64| if calls > 0 { turns * window.min(1_000_000) } else { own_tokens.min(window) };
        let text = body.to_string();
        Self {
            own_tokens,
            picture,
            most_tokens: most_in((calls + 1).min(11)),
            most_tokens_in_batch: most_in(turns_in_batch),
            is_marked: text.contains(r#""cache_control":{"#) || calls > 0,
            is_for_an_hour: text.contains(r#""ttl":"1h""#),
            max_tokens,
            most_searches: uses("web_search").min(max_tokens / 16 + 1),
        }
    }

    /// Returns a random usage with at most `most_tokens` input tokens.
    fn usage(&self, most_tokens: u64, random: &mut fastrand::Rng) -> Usage {
        let input = if random.bool() { most_tokens } else { random.u64(0..=most_tokens) };
        let cached = if self.is_marked { [input, random.u64(0..=input)][random.usize(0..2)] } else { 0 };
        let hour = if self.is_for_an_hour { [cached, random.u64(0..=cached)][random.usize(0..2)] } else { 0 };
        let read = random.u64(0..=cached - hour);
        let output = if random.bool() { self.max_tokens } else { random.u64(0..=self.max_tokens) };
        Usage {
            input_tokens: input - cached,
            cache_write_1h_tokens: hour,
            cache_read_tokens: read,
            cache_write_5m_tokens: cached - hour - read,
            output_tokens: output,
            web_searches: random.u64(0..=self.most_searches),
            is_unknown: false,
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
