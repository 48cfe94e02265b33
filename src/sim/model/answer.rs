//! Makes the answers of the simulated model. An answer depends only on the seed, the content of the request and the
//! answer rule that applies to it. So a second attempt gets the same answer.
//!
//! This module decides the length, stop reason and content of an answer. For answers from an answer file, `scripted`
//! decides these three things. `reply` writes the bytes of the answer.

use serde_json::Value;

use crate::sim::answers::AnswerRule;
use crate::sim::config::{Endings, OutputLengths, SimConfig, SimModel};

use super::blocks::{Answer, OutBlock, Room, total};
use super::hash::Hash;
use super::offered;
use super::schema;
use super::scripted;
use super::server_tools::Served;
use super::text::Passage;
use super::tokens;
use super::validate::{Form, Prompt};

/// Returns the answer to a prompt. `hash` is a hash of the request's content and the seed. `rule` is the rule of the
/// answer file that applies to the prompt.
pub(super) fn to(
    prompt: &Prompt<'_>,
    model: &SimModel,
    config: &SimConfig,
    hash: Hash,
    rule: Option<&AnswerRule>,
) -> Answer {
    if prompt.max_tokens == 0 {
        return Answer::new(Vec::new(), "max_tokens");
    }
    if rule.is_none() && hash.word(1).unit() < config.endings.refusal {
        return Answer::new(Vec::new(), "refusal");
    }
    if let Some(refusal) = rule.and_then(scripted::refused_at_once) {
        return refusal;
    }
    let room = Room::of(prompt, model, config.token_skew);
    let given = rule.and_then(|rule| rule.thinking).filter(|_| prompt.thinking_budget > 0);
    let thinking = given.map_or_else(|| thinking(prompt, room.tokens, hash), |tokens| tokens.min(room.tokens));
    let said = if thinking == room.tokens {
        Answer::new(Vec::new(), room.full)
    } else {
        said(prompt, config, room.less(thinking), hash, rule)
    };
    let mut answer = with_thinking(said, thinking, config.token_skew, hash);
    // Rounding up may have made the answer one token too long.
    answer.output_tokens = answer.output_tokens.min(prompt.max_tokens);
    answer
}

/// Returns the answer without its thinking block.
fn said(prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash, rule: Option<&AnswerRule>) -> Answer {
    let Some(rule) = rule else { return usual(prompt, config, room, hash) };
    let said = scripted::said(rule, prompt, room, hash).unwrap_or_else(|| usual(prompt, config, room, hash));
    scripted::ended(rule, said, prompt, room)
}

fn usual(prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    match &prompt.form {
        Form::Json(schema) => json_text(schema, room, hash),
        Form::Tool(name) => tool_use(prompt, name.as_deref(), config, room, hash),
        Form::Free { has_tools: true } if hash.word(2).unit() < config.endings.tool_use => {
            tool_use(prompt, None, config, room, hash)
        }
        Form::Free { .. } => text(prompt, config, room, hash),
    }
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
    answer.output_tokens = tokens::skewed(total(&answer.blocks), skew);
    answer
}

fn text(prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    let wanted = length(&config.lengths, prompt, hash);
    let passage = |tokens| vec![OutBlock::Text(Passage::new(hash.word(5).end(), tokens))];
    if wanted > room.tokens {
        return Answer::new(passage(room.tokens), room.full);
    }
    match stop_sequence(&config.endings, prompt, hash) {
        Some(stop) => Answer {
            stop_sequence: Some(stop),
            ..Answer::new(passage((wanted as f64 * hash.word(6).unit()).ceil().max(1.0) as u64), "stop_sequence")
        },
        None => Answer::new(passage(wanted), "end_turn"),
    }
}

fn stop_sequence(endings: &Endings, prompt: &Prompt<'_>, hash: Hash) -> Option<String> {
    let count = prompt.stop_sequences.len() as u64;
    if count == 0 || hash.word(7).unit() >= endings.stop_sequence {
        return None;
    }
    Some(prompt.stop_sequences[(hash.word(8).end() % count) as usize].to_string())
}

/// Returns the length that an answer would have without `max_tokens` and other limits. The length has a lognormal
/// distribution, made from random numbers with the Box-Muller method.
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
    let text = schema::example(schema, hash.word(11).end()).to_string();
    room.filled(vec![OutBlock::written(text)], "end_turn")
}

fn tool_use(prompt: &Prompt<'_>, name: Option<&str>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    let tools = offered::tools(prompt);
    let Some(tool) = offered::choose(&tools, name, hash.word(12).end()) else {
        return Answer::new(Vec::new(), "end_turn");
    };
    if let Some(kind) = tool.served_kind() {
        return server_use(kind, prompt, config, room, hash);
    }
    let input = schema::object(schema::example(&tool.input_schema, hash.word(13).end()));
    room.filled(vec![OutBlock::tool_use(tool.name.clone(), input)], "tool_use")
}

/// Returns an answer that uses a server tool (a tool that the API itself runs). The answer has the call, the result of
/// the call, and a text.
fn server_use(kind: &str, prompt: &Prompt<'_>, config: &SimConfig, room: Room, hash: Hash) -> Answer {
    let Some(served) = Served::of(kind).filter(|served| served.tokens() < room.tokens) else {
        return text(prompt, config, room, hash);
    };
    let mut answer = text(prompt, config, room.less(served.tokens()), hash);
    answer.blocks.splice(0..0, [OutBlock::ServerToolUse(served), OutBlock::ServerToolResult(served)]);
    answer.searches = u64::from(served.is_search());
    answer
}
