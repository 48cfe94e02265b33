//! Makes the model's answers. An answer depends only on the seed and the content of the request, so a second attempt
//! gets the same answer.
//!
//! This module decides the length, the ending and the content of an answer. `reply` writes the bytes of the answer.

use serde::Deserialize;
use serde_json::Value;

use crate::sim::config::{Endings, OutputLengths, SimConfig, SimModel};

use super::hash::Hash;
use super::schema;
use super::server_tools::{self, Served};
use super::text::Passage;
use super::tokens;
use super::validate::{Form, Prompt};

/// Tokens of a tool call in addition to its input.
const TOOL_CALL: u64 = 12;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// Its blocks.
    pub blocks: Vec<OutBlock>,
    /// Why it ended.
    pub stop_reason: &'static str,
    /// The stop sequence that ended the answer.
    pub stop_sequence: Option<String>,
    /// Output tokens as `usage` reports them.
    pub output_tokens: u64,
    /// The part of the output tokens that was thinking.
    pub thinking_tokens: u64,
    /// Web searches that the API made for it.
    pub searches: u64,
}

/// One block of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OutBlock {
    /// Thinking.
    Thinking(Passage),
    /// Text.
    Text(Passage),
    /// Text that is JSON, escaped as inside a JSON string; and the number of its tokens.
    Json(String, u64),
    /// A tool call: its name, its input as JSON, and its tokens.
    ToolUse(String, String, u64),
    /// A call of a tool that the API runs.
    ServerToolUse(Served),
    /// The result of the call in the block before it.
    ServerToolResult(Served),
}

impl OutBlock {
    /// Returns how many tokens the block has, by the simulator's own counter.
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Thinking(passage) | Self::Text(passage) => passage.tokens,
            Self::Json(_, tokens) | Self::ToolUse(_, _, tokens) => *tokens,
            Self::ServerToolUse(served) => served.tokens(),
            Self::ServerToolResult(_) => 0,
        }
    }
}

/// Returns the answer to a prompt. `hash` is the hash of its content and the seed.
pub(super) fn to(prompt: &Prompt<'_>, model: &SimModel, config: &SimConfig, hash: Hash) -> Answer {
    if prompt.max_tokens == 0 {
        return ended(Vec::new(), "max_tokens");
    }
    if hash.word(1).unit() < config.endings.refusal {
        return ended(Vec::new(), "refusal");
    }
    let room = Room::of(prompt, model, config.token_skew);
    let thinking = thinking(prompt, room.tokens, hash);
    let said = match &prompt.form {
        Form::Json(schema) => json_text(schema, room.less(thinking), hash),
        Form::Tool(name) => tool_use(prompt, name.as_deref(), config, room.less(thinking), hash),
        Form::Free { has_tools: true } if hash.word(2).unit() < config.endings.tool_use => {
            tool_use(prompt, None, config, room.less(thinking), hash)
        }
        Form::Free { .. } => text(prompt, config, room.less(thinking), hash),
    };
    let mut answer = with_thinking(said, thinking, config.token_skew, hash);
    // Rounding up may have added a token.
    answer.output_tokens = answer.output_tokens.min(prompt.max_tokens);
    answer
}

/// The maximum number of tokens in an answer, by the simulator's own counter. `full` is the stop reason of an answer
/// with this many tokens.
#[derive(Clone, Copy)]
struct Room {
    tokens: u64,
    full: &'static str,
}

impl Room {
    fn of(prompt: &Prompt<'_>, model: &SimModel, skew: f64) -> Self {
        let window = model.context_tokens.saturating_sub(prompt.tokens);
        let (tokens, full) = if prompt.max_tokens <= window {
            (prompt.max_tokens, "max_tokens")
        } else {
            (window, "model_context_window_exceeded")
        };
        Self { tokens: ((tokens as f64 / skew) as u64).max(1), full }
    }

    fn less(self, tokens: u64) -> Self {
        Self { tokens: self.tokens.saturating_sub(tokens).max(1), ..self }
    }
}

fn ended(blocks: Vec<OutBlock>, stop_reason: &'static str) -> Answer {
    Answer { blocks, stop_reason, stop_sequence: None, output_tokens: 0, thinking_tokens: 0, searches: 0 }
}

fn thinking(prompt: &Prompt<'_>, room: u64, hash: Hash) -> u64 {
    if prompt.thinking_budget == 0 {
        return 0;
    }
    let part = 0.1 + 0.5 * hash.word(3).unit();
    ((prompt.thinking_budget as f64 * part) as u64).min(room / 2)
}

fn with_thinking(mut answer: Answer, thinking: u64, skew: f64, hash: Hash) -> Answer {
    if thinking > 0 {
        answer.blocks.insert(0, OutBlock::Thinking(Passage::new(hash.word(4).end(), thinking)));
        answer.thinking_tokens = tokens::skewed(thinking, skew);
    }
    let said = answer.blocks.iter().map(OutBlock::tokens).sum();
    answer.output_tokens = tokens::skewed(said, skew);
    answer
}

fn text(prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    let wanted = length(&config.lengths, prompt, hash);
    let passage = |tokens| vec![OutBlock::Text(Passage::new(hash.word(5).end(), tokens))];
    if wanted > room.tokens {
        return ended(passage(room.tokens), room.full);
    }
    match stop_sequence(&config.endings, prompt, hash) {
        Some(stop) => Answer {
            stop_sequence: Some(stop),
            ..ended(passage((wanted as f64 * hash.word(6).unit()).ceil().max(1.0) as u64), "stop_sequence")
        },
        None => ended(passage(wanted), "end_turn"),
    }
}

fn stop_sequence(endings: &Endings, prompt: &Prompt<'_>, hash: Hash) -> Option<String> {
    let count = prompt.stop_sequences.len() as u64;
    if count == 0 || hash.word(7).unit() >= endings.stop_sequence {
        return None;
    }
    Some(prompt.stop_sequences[(hash.word(8).end() % count) as usize].to_string())
}

/// Returns how long an answer would be without limits. The length has a lognormal distribution (by Box and Muller).
fn length(lengths: &OutputLengths, prompt: &Prompt<'_>, hash: Hash) -> u64 {
    let mean = lengths.mean
        + lengths.per_prompt_token * prompt.tokens as f64
        + lengths.per_max_token * prompt.max_tokens as f64;
    if lengths.sigma == 0.0 {
        return mean.round().max(1.0) as u64;
    }
    let radius = (-2.0 * (1.0 - hash.word(9).unit()).ln()).sqrt();
    let normal = radius * (std::f64::consts::TAU * hash.word(10).unit()).cos();
    let length = (mean.max(1.0).ln() - lengths.sigma * lengths.sigma / 2.0 + lengths.sigma * normal).exp();
    length.round().max(1.0) as u64
}

fn json_text(schema: &Value, room: Room, hash: Hash) -> Answer {
    let mut text = schema::example(schema, hash.word(11).end()).to_string();
    let mut count = tokens::of_text(&text);
    let mut stop_reason = "end_turn";
    if count > room.tokens {
        text = cut(&text, room.tokens, count);
        count = room.tokens;
        stop_reason = room.full;
    }
    let quoted = Value::String(text).to_string();
    ended(vec![OutBlock::Json(quoted[1..quoted.len() - 1].to_owned(), count)], stop_reason)
}

/// Returns roughly the first `kept` of the `count` tokens of a text.
fn cut(text: &str, kept: u64, count: u64) -> String {
    let wanted = (text.len() as u64 * kept / count.max(1)) as usize;
    let end = (0..=wanted).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

fn tool_use(prompt: &Prompt<'_>, name: Option<&str>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    #[derive(Deserialize)]
    struct Tool {
        #[serde(rename = "type", default)]
        kind: Option<String>,
        #[serde(default)]
        name: String,
        #[serde(default)]
        input_schema: Value,
    }
    let tools: Vec<Tool> =
        prompt.fields.get("tools").and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let chosen = match name {
        Some(name) => tools.iter().find(|tool| tool.name == name),
        None => tools.get((hash.word(12).end() % tools.len().max(1) as u64) as usize),
    };
    let Some(tool) = chosen else { return ended(Vec::new(), "end_turn") };
    if let Some(kind) = tool.kind.as_deref().filter(|kind| server_tools::is_served(Some(kind))) {
        return server_use(kind, prompt, config, room, hash);
    }
    let input = match schema::example(&tool.input_schema, hash.word(13).end()) {
        Value::Object(members) => Value::Object(members).to_string(),
        _ => "{}".to_owned(),
    };
    let count = tokens::of_text(&input) + TOOL_CALL;
    if count > room.tokens {
        return ended(vec![OutBlock::ToolUse(tool.name.clone(), "{}".to_owned(), room.tokens)], room.full);
    }
    ended(vec![OutBlock::ToolUse(tool.name.clone(), input, count)], "tool_use")
}

/// Returns an answer for which the API runs one of its own tools. The answer has the call, the result of the call, and
/// a text.
fn server_use(kind: &str, prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    let Some(served) = Served::of(kind).filter(|served| served.tokens() < room.tokens) else {
        return text(prompt, config, room, hash);
    };
    let mut answer = text(prompt, config, room.less(served.tokens()), hash);
    answer.blocks.splice(0..0, [OutBlock::ServerToolUse(served), OutBlock::ServerToolResult(served)]);
    answer.searches = u64::from(served.is_search());
    answer
}
