//! Adds cache marks to random requests, and compares the sent request with the request of the row. Two differences are
//! allowed: marks, and a list of blocks in place of a plain string with the same text. No mark is allowed in a place
//! where the API rejects it.

use std::sync::Arc;

use claude_batch::catalog::Catalog;
use claude_batch::domain::{
    Caching, JobId, Level, MarkPlace, Marked, Marks, Origin, Params, Planned, PoolId, Prefixes,
};
use claude_batch::plan::{Dialect, Planner, RequestDefaults};
use claude_batch::provider::Provider;
use claude_batch::provider::anthropic::Anthropic;
use claude_batch::source::Row;
use fastrand::Rng;
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// The number of requests that are tried. `ROWS=200000 cargo test --test marks` tries 200,000 requests.
const ROWS: u64 = 3_000;

#[test]
fn a_marked_request_differs_from_its_row_only_in_its_marks() {
    let rows = std::env::var("ROWS").ok().and_then(|rows| rows.parse().ok()).unwrap_or(ROWS);
    let catalog = Arc::new(Catalog::builtin());
    let provider = Anthropic::new("2023-06-01", &[], http::HeaderMap::new()).expect("the version is valid");
    let mut kinds = [0_u64; 3];
    for seed in 0..rows {
        let mut random = Rng::with_seed(seed);
        let Some((planned, starts)) = planned(&mut random, &catalog) else { continue };
        let Some(all) = &planned.ask.prefixes else { continue };
        let prefixes = some_of(all, &mut random);
        for level in &prefixes.levels {
            match level.place {
                MarkPlace::Block { .. } => kinds[0] += 1,
                MarkPlace::Text { .. } => kinds[1] += 1,
                MarkPlace::Cut { .. } => kinds[2] += 1,
                MarkPlace::Own => {}
            }
        }
        let last = random.usize(0..prefixes.levels.len());
        let (one, other) = (marks(last, &mut random), marks(last, &mut random));
        let [one, other] = [one, other].map(|marks| {
            let stream = random.bool();
            let body = sent(&provider, &planned, &prefixes, marks, stream);
            check(seed, &planned, &prefixes, marks, stream, &body);
            body
        });
        let bare = |body: &str| {
            let body = body.replace(MARK_5M, "").replace(MARK_1H, "");
            body.strip_suffix(r#","stream":true}"#).map_or_else(|| body.clone(), |body| format!("{body}}}"))
        };
        if !all.levels.iter().any(|level| level.place == MarkPlace::Own) {
            assert_eq!(bare(&one), bare(&other), "seed {seed}: the form depends on the marks; starts {starts:?}");
        }
    }
    assert!(kinds.iter().all(|places| *places > rows / 20), "each kind of place is tried: {kinds:?}");
}

const MARK_5M: &str = r#","cache_control":{"type":"ephemeral"}"#;
const MARK_1H: &str = r#","cache_control":{"type":"ephemeral","ttl":"1h"}"#;

/// Returns some of the prefix levels, as a plan would choose them.
fn some_of(all: &Prefixes, random: &mut Rng) -> Arc<Prefixes> {
    let mut levels: Vec<Level> = all.levels.iter().filter(|_| random.u8(0..3) > 0).copied().collect();
    if levels.is_empty() {
        levels.push(all.levels[0]);
    }
    levels.truncate(Prefixes::MOST);
    let hours = random.usize(0..=levels.len());
    for (at, level) in levels.iter_mut().enumerate() {
        level.lifetime = if at < hours { Caching::Hour } else { Caching::FiveMinutes };
    }
    Arc::new(Prefixes { levels, ..all.clone() })
}

/// Returns up to four marks. The last mark is on the level `last`.
fn marks(last: usize, random: &mut Rng) -> Marks {
    (0..random.usize(0..4)).fold(Marks::NONE.with(last), |marks, _| marks.with(random.usize(0..=last)))
}

fn sent(provider: &Anthropic, planned: &Planned, prefixes: &Arc<Prefixes>, marks: Marks, stream: bool) -> String {
    let marked = Marked { prefixes: prefixes.clone(), marks };
    let route: &Arc<PoolId> = &planned.ask.pool;
    let body = provider.encode(&planned.ask.request, Some(&marked), route, stream).body;
    String::from_utf8(body.into_bytes().to_vec()).expect("a body is UTF-8")
}

fn check(seed: u64, planned: &Planned, prefixes: &Prefixes, marks: Marks, stream: bool, body: &str) {
    let row = std::str::from_utf8(planned.ask.request.json()).expect("a request is UTF-8");
    let about = || format!("seed {seed}: {row}\nis sent as {body}");
    let mut sent: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}, {}", about()));
    let mut own: Value = serde_json::from_str(row).expect("a row is JSON");
    if stream {
        assert_eq!(sent.as_object_mut().and_then(|sent| sent.remove("stream")), Some(json!(true)), "{}", about());
    }
    let places = found(&sent);
    let count = |mark: &str| body.matches(mark).count() - row.matches(mark).count();
    let wanted = prefixes.marked(marks).filter(|level| level.place != MarkPlace::Own).count();
    assert_eq!(count(MARK_5M) + count(MARK_1H), wanted, "{}", about());
    assert!(places.len() <= 4 || found(&own).len() > 4, "{}", about());
    for (block, _) in &places {
        let kind = block["type"].as_str().unwrap_or("tool");
        let is_own = found(&own).iter().any(|(own, _)| own == block);
        let is_blank = kind == "text" && block["text"].as_str().is_none_or(|text| text.trim().is_empty());
        let is_refused = is_blank || matches!(kind, "thinking" | "redacted_thinking") || block["defer_loading"] == true;
        assert!(!is_refused || is_own, "{block} has a mark, {}", about());
    }
    let lifetimes: Vec<bool> = places.iter().map(|(_, is_hour)| *is_hour).collect();
    assert!(lifetimes.is_sorted_by(|one, next| one >= next) || wanted == 0, "{lifetimes:?}, {}", about());
    if wanted > 0 {
        unmark(&mut sent);
        unmark(&mut own);
        blocks_like(&mut sent, &own);
    }
    assert_eq!(sent, own, "{}", about());
}

/// Returns the marked tools and the marked blocks, in the order in which the API reads them. The `bool` says whether
/// the mark keeps the prefix for an hour.
fn found(request: &Value) -> Vec<(Value, bool)> {
    let lists = [&request["tools"], &request["system"]].into_iter();
    let contents = request["messages"].as_array().into_iter().flatten().map(|message| &message["content"]);
    let blocks = lists.chain(contents).filter_map(Value::as_array).flatten();
    let marked = blocks.filter(|block| block["cache_control"].is_object());
    marked.map(|block| (block.clone(), block["cache_control"]["ttl"] == "1h")).collect()
}

/// Removes all marks.
fn unmark(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.remove("cache_control");
            members.values_mut().for_each(unmark);
        }
        Value::Array(elements) => elements.iter_mut().for_each(unmark),
        _ => {}
    }
}

/// If a text is a plain string in `own`, makes this text a plain string in `sent` as well. Every block of such a text
/// must have only `type` and `text`.
fn blocks_like(sent: &mut Value, own: &Value) {
    let joined = |sent: &mut Value, own: &Value| {
        let (Some(blocks), true) = (sent.as_array(), own.is_string()) else { return };
        let is_text =
            |block: &&Value| block.as_object().is_some_and(|block| block.len() == 2 && block["type"] == "text");
        let texts: Option<String> =
            blocks.iter().map(|block| is_text(&block).then(|| block["text"].as_str())?).collect();
        let is_short = (1..=2).contains(&blocks.len());
        *sent = texts.filter(|_| is_short).map_or(Value::Null, Value::from);
    };
    joined(&mut sent["system"], &own["system"]);
    if own.get("system").is_none() {
        sent.as_object_mut().expect("a request is an object").remove("system");
    }
    let messages = sent["messages"].as_array_mut().into_iter().flatten();
    for (message, own) in messages.zip(own["messages"].as_array().into_iter().flatten()) {
        if let Some(content) = message.get_mut("content") {
            joined(content, &own["content"]);
        }
    }
}

// ---- random requests ------------------------------------------------------------------------------------------------

fn planned(random: &mut Rng, catalog: &Arc<Catalog>) -> Option<(Planned, Vec<String>)> {
    let (start, start_json) = text(random, 0);
    let starts = if random.bool() {
        vec![start.clone(), start.chars().take(start.chars().count() / 2).collect()]
    } else {
        Vec::new()
    };
    let mut texts = Texts { random, start: if starts.is_empty() { String::new() } else { start_json } };
    let own = texts.members();
    let more = match texts.chance(3) {
        true => params(vec![("a\"é", format!("[1,{}2]", texts.blank())), ("top_k", "3".to_owned())]),
        false => Params::default(),
    };
    let defaults = RequestDefaults {
        system: texts.chance(5).then(|| text(texts.random, 600).0),
        params: more,
        ..RequestDefaults::default()
    };
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let planner = Planner::new(defaults, dialect, catalog.clone(), "anthropic".into(), "".into());
    let origin = Origin { source: "rows.jsonl".into(), line: 1 };
    let row = Row { origin, custom_id: None, params: params(own), extra: Params::default(), error: None, input: None };
    let planned = planner.finding_prefixes(&starts).plan(row, JobId(0)).ok()?;
    Some((planned, starts))
}

fn params(members: Vec<(&str, String)>) -> Params {
    let raw = |json: String| RawValue::from_string(json).expect("the test writes valid JSON");
    Params(members.into_iter().map(|(name, json)| (name.into(), raw(json))).collect())
}

/// Returns a text, and the same text as JSON without its quotation marks. The text has about `words` words.
fn text(random: &mut Rng, words: usize) -> (String, String) {
    const PIECES: [&str; 22] = [
        "a",
        "é",
        "\u{301}",
        r"\u0041",
        r"\ud83d\ude00",
        "😀",
        r"\n",
        r#"\""#,
        r"\\",
        r"\/",
        r"\u00a0",
        " ",
        "  ",
        r"\t",
        "中文",
        "}",
        "]",
        "{",
        r#"\"cache_control\":null"#,
        r"\u2028",
        ",",
        r"\u005c",
    ];
    let mut json = String::new();
    for _ in 0..random.usize(0..8) {
        json.push_str(PIECES[random.usize(0..PIECES.len())]);
    }
    if words > 0 {
        json.push_str(&"some words ".repeat(words / 2));
    }
    for _ in 0..random.usize(0..8) {
        json.push_str(PIECES[random.usize(0..PIECES.len())]);
    }
    let text = serde_json::from_str(&format!("\"{json}\"")).expect("the pieces are valid");
    (text, json)
}

/// A generator of random requests.
struct Texts<'r> {
    random: &'r mut Rng,
    /// The fixed start of a template, as JSON.
    start: String,
}

impl Texts<'_> {
    fn chance(&mut self, of: usize) -> bool {
        self.random.usize(0..of) == 0
    }

    fn blank(&mut self) -> &'static str {
        ["", "", "", " ", "\n", "\r\n  ", "\t"][self.random.usize(0..7)]
    }

    fn pick(&mut self, choices: &[&str]) -> String {
        choices[self.random.usize(0..choices.len())].to_owned()
    }

    /// Writes an object with these members in random order and with random blanks.
    fn object(&mut self, mut members: Vec<(&str, String)>) -> String {
        self.random.shuffle(&mut members);
        let parts: Vec<String> = members
            .into_iter()
            .map(|(name, value)| {
                format!("{}\"{name}\"{}:{}{value}{}", self.blank(), self.blank(), self.blank(), self.blank())
            })
            .collect();
        format!("{{{}}}", parts.join(","))
    }

    fn list(&mut self, elements: Vec<String>) -> String {
        let parts: Vec<String> =
            elements.into_iter().map(|element| format!("{}{element}{}", self.blank(), self.blank())).collect();
        format!("[{}{}]", parts.join(","), self.blank())
    }

    fn string(&mut self) -> String {
        let words = [0, 0, 5, 900][self.random.usize(0..4)];
        let (start, rest) = (self.start.clone(), text(self.random, words).1);
        if !start.is_empty() && self.chance(2) {
            // The program itself writes the texts of a template as JSON, so the program chooses the escapes.
            let whole: String = serde_json::from_str(&format!("\"{start}{rest}\"")).expect("both are JSON");
            return serde_json::to_string(&whole).expect("a text becomes JSON");
        }
        match self.random.u8(0..12) {
            0 => r#""""#.to_owned(),
            1 => r#"" \n\u3000""#.to_owned(),
            _ => format!("\"{rest}\""),
        }
    }

    fn block(&mut self, may_be_own: bool) -> String {
        let text = self.string();
        let mut members = match self.random.u8(0..9) {
            0 => vec![("type", r#""thinking""#.into()), ("thinking", text), ("signature", r#""x""#.into())],
            1 => vec![("type", r#""redacted_thinking""#.into()), ("data", text)],
            2 => vec![
                ("type", r#""tool_use""#.into()),
                ("id", r#""t""#.into()),
                ("name", r#""n""#.into()),
                ("input", format!("{{\"a\":{text}}}")),
            ],
            3 => {
                let content = if self.chance(2) {
                    text
                } else {
                    let inner = self.object(vec![("type", r#""text""#.into()), ("text", text)]);
                    self.list(vec![inner])
                };
                vec![("type", r#""tool_result""#.into()), ("tool_use_id", r#""t""#.into()), ("content", content)]
            }
            4 => vec![
                ("type", r#""image""#.into()),
                ("source", r#"{"type":"url","url":"https://example.invalid/a.png"}"#.into()),
            ],
            _ => vec![("type", r#""text""#.into()), ("text", text)],
        };
        if may_be_own && self.chance(60) {
            members.push((
                "cache_control",
                self.pick(&["null", r#"{"type":"ephemeral"}"#, r#"{"type":"ephemeral","ttl":"1h"}"#]),
            ));
        }
        if self.chance(30) {
            members.push((r#"n\u006fte \" }"#, r#"{"}":"]"}"#.into()));
        }
        self.object(members)
    }

    fn blocks(&mut self) -> String {
        let count = self.random.usize(0..5);
        let blocks = (0..count).map(|_| self.block(true)).collect();
        self.list(blocks)
    }

    fn content(&mut self) -> String {
        match self.random.u8(0..20) {
            0 => self.pick(&["null", "5", "[]", "{}", "true", r#"["text"]"#]),
            1 => self.block(false),
            2..10 => self.blocks(),
            _ => self.string(),
        }
    }

    fn tools(&mut self) -> String {
        let count = self.random.usize(0..4);
        let tools = (0..count)
            .map(|_| {
                let text = self.string();
                let mut tool =
                    vec![("name", r#""n""#.to_owned()), ("description", text), ("input_schema", "{ }".to_owned())];
                if self.chance(4) {
                    tool.push(("defer_loading", self.pick(&["true", "false"])));
                }
                if self.chance(20) {
                    tool.push(("cache_control", self.pick(&["null", r#"{"type":"ephemeral"}"#])));
                }
                self.object(tool)
            })
            .collect();
        self.list(tools)
    }

    fn members(&mut self) -> Vec<(&'static str, String)> {
        let count = self.random.usize(1..6);
        let messages = (0..count)
            .map(|number| {
                let role = if number % 2 == 0 { r#""user""# } else { r#""assistant""# };
                let content = self.content();
                self.object(vec![("role", role.to_owned()), ("content", content)])
            })
            .collect();
        let messages = self.list(messages);
        let mut members = vec![("messages", messages), ("max_tokens", "9".to_owned())];
        if self.chance(2) {
            members.push(("tools", self.tools()));
        }
        if self.chance(2) {
            members.push(("system", self.content()));
        }
        if self.chance(4) {
            members.push(("o\"ä\u{1}", "[1,\n 2 ]".to_owned()));
        }
        self.random.shuffle(&mut members);
        members
    }
}
