//! Tests odd answers, which are made by random changes to a good answer. Each answer is sent plain and as a stream, and
//! has an expected result.
//!
//! [`expected`] computes the expected result from a parsed tree, and shares no code with the program. The program and
//! this function follow the table in `provider::anthropic::shape`.

use std::collections::BTreeSet;

use fastrand::Rng;
use serde_json::{Value, json};

use crate::exchange::Exchange;

/// What the program is expected to do with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Expected {
    /// The answer is kept, with this quality.
    Kept(&'static str),
    /// The program rejects the answer, and is allowed to send the row again.
    Refused,
    /// The answer is not finished, and the row is not tried again.
    Paused,
}

/// The members of an object, in order: names and JSON texts. A name can occur twice.
type Members = Vec<(String, String)>;

/// The content of an answer, from which the response is made.
#[derive(Clone, Debug)]
pub struct Odd {
    members: Members,
    /// The members of each block; `None` if `content` is not a list of objects.
    blocks: Option<Vec<Members>>,
}

impl Odd {
    /// Returns a good answer with every kind of block.
    fn sound() -> Self {
        let block = |members: &[(&str, &str)]| own(members);
        let blocks = vec![
            block(&[("type", r#""thinking""#), ("thinking", r#""Hm \u00e9""#), ("signature", r#""EqQ""#)]),
            block(&[("type", r#""text""#), ("text", r#""Zürich \"is\" \ud83d\ude00 nice\n""#)]),
            block(&[
                ("type", r#""tool_use""#),
                ("id", r#""toolu_1""#),
                ("name", r#""get_weather""#),
                ("input", r#"{"city": "Bern", "days": [1, 2.50]}"#),
            ]),
            block(&[
                ("type", r#""server_tool_use""#),
                ("id", r#""srvtoolu_1""#),
                ("name", r#""web_search""#),
                ("input", r#"{"query":"x"}"#),
            ]),
            block(&[("type", r#""mcp_tool_use""#), ("name", r#""any""#), ("input", "{}")]),
            block(&[("type", r#""hologram""#), ("text", "7"), ("name", "null"), ("input", "[1e999]")]),
        ];
        let members = own(&[
            ("id", r#""msg_1""#),
            ("type", r#""message""#),
            ("role", r#""assistant""#),
            ("model", r#""m""#),
            ("content", ""),
            ("stop_reason", r#""end_turn""#),
            ("stop_sequence", "null"),
            ("usage", r#"{"input_tokens":25,"output_tokens":3,"service_tier":"standard"}"#),
        ]);
        Self { members, blocks: Some(blocks) }
    }

    /// Returns the blocks that are sent.
    fn sent_blocks(&self) -> impl Iterator<Item = &Members> {
        let is_sent = self.members.iter().any(|(name, _)| name == "content");
        self.blocks.iter().flatten().filter(move |_| is_sent)
    }

    fn content(&self) -> String {
        let blocks = self.blocks.iter().flatten().map(object);
        format!("[{}]", blocks.collect::<Vec<_>>().join(","))
    }

    /// Returns the members of the answer, including `content` with its value.
    fn with_content(&self) -> Members {
        let mut members = self.members.clone();
        for (name, value) in &mut members {
            if name == "content" && self.blocks.is_some() {
                *value = self.content();
            }
        }
        members
    }

    /// Returns the answer as JSON.
    pub fn json(&self) -> String {
        object(&self.with_content())
    }

    /// Returns a plain response that contains the answer.
    pub fn plain(&self, random: &mut Rng) -> Exchange {
        let json = self.json();
        let body = match random.u8(0..3) {
            0 => json,
            1 => format!("\n {json}\r\n"),
            // Line breaks are added only after commas that can't be inside strings, so they are always between tokens.
            _ => json.replace(r#","stop_reason""#, ",\n  \"stop_reason\"").replace(r#"{"type""#, "{ \"type\""),
        };
        Exchange::new(200, &[("content-type", "application/json")], body.as_bytes())
    }

    /// Returns a response that streams this answer in several events.
    pub fn streamed(&self, random: &mut Rng) -> Exchange {
        let mut start = Vec::new();
        let (mut delta, mut usage) = (Vec::new(), None);
        for (name, value) in &self.members {
            match name.as_str() {
                "content" if self.blocks.is_some() => start.push((name.clone(), "[]".to_owned())),
                "stop_reason" => {
                    if random.bool() {
                        start.push((name.clone(), "null".to_owned()));
                    }
                    delta.push((name.clone(), value.clone()));
                }
                "usage" if value.starts_with('{') => {
                    let first = if value == "{}" { value } else { r#"{"input_tokens":25,"output_tokens":1}"# };
                    start.push((name.clone(), first.to_owned()));
                    usage = Some(value.clone());
                }
                _ => start.push((name.clone(), value.clone())),
            }
        }
        let mut events = vec![format!(r#"{{"type":"message_start","message":{}}}"#, object(&start))];
        for (at, block) in self.sent_blocks().enumerate() {
            events.extend(block_events(at, block, random));
        }
        let usage = usage.map_or(String::new(), |usage| format!(r#","usage":{usage}"#));
        events.push(format!(r#"{{"type":"message_delta","delta":{}{usage}}}"#, object(&delta)));
        events.push(r#"{"type":"message_stop"}"#.to_owned());
        let body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
        Exchange::new(200, &[("content-type", "text/event-stream")], body.as_bytes())
    }
}

/// Returns the events that send a block. Each string and each input is sent either in one piece or in several pieces.
fn block_events(at: usize, block: &Members, random: &mut Rng) -> Vec<String> {
    let is_twice = has_twice(block);
    let mut start = block.clone();
    let mut deltas = Vec::new();
    for (name, value) in &mut start {
        if is_twice || random.bool() {
            continue;
        }
        let text = serde_json::from_str::<String>(value).ok().filter(|_| matches!(&**name, "text" | "thinking"));
        if let Some(text) = text {
            *value = r#""""#.to_owned();
            for piece in pieces(&text, random) {
                deltas.push(format!(r#"{{"type":"{name}_delta","{name}":{}}}"#, json!(piece)));
            }
        } else if name == "input" {
            for piece in pieces(value, random) {
                deltas.push(format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, json!(piece)));
            }
            *value = "{}".to_owned();
        }
    }
    let start = object(&start);
    let start = format!(r#"{{"type":"content_block_start","index":{at},"content_block":{start}}}"#);
    let deltas = deltas.iter().map(|delta| format!(r#"{{"type":"content_block_delta","index":{at},"delta":{delta}}}"#));
    let stop = format!(r#"{{"type":"content_block_stop","index":{at}}}"#);
    [start].into_iter().chain(deltas).chain([stop]).collect()
}

fn pieces(text: &str, random: &mut Rng) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for letter in text.chars() {
        if random.u8(0..6) == 0 {
            pieces.push(String::new());
        }
        pieces.last_mut().expect("there is one").push(letter);
    }
    pieces
}

/// Returns the expected result of an answer to a request that offers these tools.
pub fn expected(odd: &Odd, is_stream: bool, offered: &[&str]) -> Expected {
    let is_twice = |members: &Members, looked_at: &[&str]| {
        let is_seen = |name: &String| is_stream || looked_at.contains(&name.as_str());
        has_twice(&members.iter().filter(|(name, _)| is_seen(name)).cloned().collect())
    };
    let is_twice =
        is_twice(&odd.members, &LOOKED_AT) || odd.sent_blocks().any(|block| is_twice(block, &LOOKED_AT_IN_BLOCKS));
    // A number can be too large for the parsed tree and still be valid JSON. The test therefore parses a small number
    // instead of the large number.
    let tree: Value = serde_json::from_str(&odd.json().replace("1e999", "1")).expect("odd answers are JSON");
    if is_twice || tree["type"] != "message" {
        return Expected::Refused;
    }
    if tree["stop_reason"] == "pause_turn" {
        return Expected::Paused;
    }
    let is_sound_block = |block: &Value| {
        let is_call = block["name"].is_string() && block["input"].is_object();
        match block["type"].as_str() {
            None => false,
            Some("text") => block["text"].is_string(),
            Some("tool_use") => is_call && offered.contains(&block["name"].as_str().unwrap_or_default()),
            Some("server_tool_use" | "mcp_tool_use") => is_call,
            Some(_) => true,
        }
    };
    let has_content = tree["content"].as_array().is_some_and(|blocks| blocks.iter().all(is_sound_block));
    if !has_content || !tree["usage"].is_object() {
        return Expected::Refused;
    }
    match tree["stop_reason"].as_str() {
        None | Some("") => Expected::Refused,
        Some("end_turn" | "stop_sequence" | "tool_use") => Expected::Kept("ok"),
        Some("max_tokens" | "model_context_window_exceeded") => Expected::Kept("truncated"),
        Some("refusal") => Expected::Kept("refused"),
        Some(_) => Expected::Kept("unknown"),
    }
}

/// Members that a plain answer must not have twice.
const LOOKED_AT: [&str; 4] = ["type", "content", "stop_reason", "usage"];
const LOOKED_AT_IN_BLOCKS: [&str; 4] = ["type", "text", "name", "input"];
/// Wrong values, which the tests put in place of correct values.
const WRONG: [&str; 8] = ["null", "7", "true", "-0.5", r#""""#, r#""x""#, "[]", "{}"];
const STOP_REASONS: [&str; 10] = [
    "end_turn",
    "stop_sequence",
    "tool_use",
    "max_tokens",
    "model_context_window_exceeded",
    "refusal",
    "pause_turn",
    "compaction",
    "End_turn",
    "",
];
const NAMES: [&str; 5] = ["get_weather", "now", "save", "Save", "send_mail"];
const TYPES: [&str; 6] = ["text", "tool_use", "server_tool_use", "mcp_tool_use", "thinking", "novel"];

/// Returns all answers that differ from a good answer by one change, and then random answers with several changes.
/// Returns at least `at_least` answers.
pub fn answers(at_least: usize, random: &mut Rng) -> Vec<Odd> {
    let mut odd = vec![Odd::sound()];
    let sound = Odd::sound();
    for at in 0..sound.members.len() {
        let change = |change: &dyn Fn(&mut Odd)| {
            let mut one = sound.clone();
            change(&mut one);
            one
        };
        odd.push(change(&|one| drop(one.members.remove(at))));
        odd.extend(WRONG.map(|wrong| change(&|one| one.replace(at, wrong))));
        odd.push(change(&|one| one.members.push(one.members[at].clone())));
    }
    odd.extend(STOP_REASONS.map(|reason| {
        let mut one = sound.clone();
        one.set("stop_reason", &json!(reason).to_string());
        one
    }));
    let blocks = sound.blocks.clone().unwrap_or_default();
    for (block, members) in blocks.iter().enumerate() {
        for at in 0..members.len() {
            let change = |change: &dyn Fn(&mut Members)| {
                let mut one = sound.clone();
                change(&mut one.blocks.as_mut().expect("it has blocks")[block]);
                one
            };
            odd.push(change(&|block| drop(block.remove(at))));
            odd.extend(WRONG.map(|wrong| change(&|block| block[at].1 = wrong.to_owned())));
            odd.push(change(&|block| block.push(block[at].clone())));
        }
    }
    while odd.len() < at_least {
        odd.push(Odd::random(random));
    }
    odd
}

impl Odd {
    fn random(random: &mut Rng) -> Self {
        let mut one = Self::sound();
        let all = one.blocks.clone().unwrap_or_default();
        let some = (0..random.usize(0..5)).map(|_| all[random.usize(0..all.len())].clone());
        one.blocks = Some(some.collect());
        one.set("stop_reason", &json!(STOP_REASONS[random.usize(0..STOP_REASONS.len() - 1)]).to_string());
        for _ in 0..random.usize(0..3) {
            one.change(random);
        }
        for block in one.blocks.iter_mut().flatten() {
            let name = json!(NAMES[random.usize(0..3)]).to_string();
            block.iter_mut().filter(|(own, _)| own == "name").for_each(|(_, value)| *value = name.clone());
            if random.u8(0..6) == 0 {
                change_block(block, random);
            }
            random.shuffle(block);
        }
        random.shuffle(&mut one.members);
        one
    }

    fn change(&mut self, random: &mut Rng) {
        let at = random.usize(0..self.members.len());
        match random.u8(0..4) {
            0 => drop(self.members.remove(at)),
            1 => self.replace(at, WRONG[random.usize(0..WRONG.len())]),
            2 => self.members.push((format!("extra{at}"), r#"[{"type":null,"stop_reason":7}]"#.to_owned())),
            _ => self.set("stop_reason", &json!(STOP_REASONS[random.usize(0..STOP_REASONS.len())]).to_string()),
        }
    }

    fn replace(&mut self, at: usize, value: &str) {
        if self.members[at].0 == "content" {
            self.blocks = None;
        }
        self.members[at].1 = value.to_owned();
    }

    fn set(&mut self, name: &str, value: &str) {
        self.members.iter_mut().filter(|(own, _)| own == name).for_each(|(_, own)| *own = value.to_owned());
    }
}

fn change_block(block: &mut Members, random: &mut Rng) {
    if block.is_empty() {
        return;
    }
    let at = random.usize(0..block.len());
    match random.u8(0..6) {
        0 => drop(block.remove(at)),
        1 => block[at].1 = WRONG[random.usize(0..WRONG.len())].to_owned(),
        2 => block.push(("extra".to_owned(), r#"{"text":null}"#.to_owned())),
        3 => block.push(block[at].clone()),
        4 => {
            let name = json!(NAMES[random.usize(0..NAMES.len())]).to_string();
            block.iter_mut().filter(|(own, _)| own == "name").for_each(|(_, value)| *value = name.clone());
        }
        _ => {
            let kind = json!(TYPES[random.usize(0..TYPES.len())]).to_string();
            block.iter_mut().filter(|(own, _)| own == "type").for_each(|(_, value)| *value = kind.clone());
        }
    }
}

fn own(members: &[(&str, &str)]) -> Members {
    members.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn object(members: &Members) -> String {
    let members = members.iter().map(|(name, value)| format!("\"{name}\":{value}"));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

fn has_twice(members: &Members) -> bool {
    let names: BTreeSet<&str> = members.iter().map(|(name, _)| name.as_str()).collect();
    names.len() < members.len()
}
