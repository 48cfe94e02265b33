//! Makes the answers that the rules of an answer file describe.

use crate::sim::answers::{AnswerRule, Content, ToolCall};

use super::blocks::{self, Answer, OutBlock, Room, keep};
use super::hash::Hash;
use super::offered;
use super::schema;
use super::text::Passage;
use super::validate::{Form, Prompt};

/// If a text is sent instead of JSON, the text has at most this many tokens.
const NOT_JSON: u64 = 24;

/// If the rule describes a refusal before the first output, returns this refusal; otherwise returns `None`.
pub(super) fn refused_at_once(rule: &AnswerRule) -> Option<Answer> {
    let refusal = rule.refusal.as_ref().filter(|refusal| refusal.after == 0)?;
    Some(Answer { category: refusal.category.clone(), ..Answer::new(Vec::new(), "refusal") })
}

/// Returns an answer with the content that the rule describes; `None` if the rule leaves the content to the simulator.
pub(super) fn said(rule: &AnswerRule, prompt: &Prompt<'_>, room: Room, hash: Hash) -> Option<Answer> {
    match &rule.content {
        Content::Usual if rule.stop_reason.as_deref() == Some("pause_turn") => paused(prompt, room),
        Content::Usual => None,
        Content::Said { text, calls } => Some(written(text, calls, prompt, room)),
        Content::BrokenSchema => broken(prompt, room, hash),
        Content::NotJson => {
            let passage = Passage::new(hash.word(5).end(), NOT_JSON);
            Some(room.filled(vec![OutBlock::Text(passage)], "end_turn"))
        }
    }
}

/// Makes an answer stop as the rule describes. If `max_tokens` or the context window has truncated the answer, the
/// rule's stop reason is ignored.
pub(super) fn ended(rule: &AnswerRule, mut answer: Answer, prompt: &Prompt<'_>, room: Room) -> Answer {
    let is_cut = answer.stop_reason == room.full;
    if let Some(part) = rule.truncated {
        let kept = (blocks::total(&answer.blocks) as f64 * part) as u64;
        keep(&mut answer.blocks, kept.max(1));
        (answer.stop_reason, answer.stop_sequence) = ("max_tokens".into(), None);
    }
    if let Some(refusal) = &rule.refusal {
        keep(&mut answer.blocks, refusal.after);
        (answer.stop_reason, answer.stop_sequence) = ("refusal".into(), None);
        answer.category.clone_from(&refusal.category);
    }
    if let Some(reason) = rule.stop_reason.as_ref().filter(|_| !is_cut) {
        answer.stop_sequence = match prompt.stop_sequences.first() {
            Some(stop) if reason == "stop_sequence" => Some(stop.to_string()),
            _ => None,
        };
        answer.stop_reason = reason.clone().into();
    }
    answer
}

fn written(text: &str, calls: &[ToolCall], prompt: &Prompt<'_>, room: Room) -> Answer {
    let stop = prompt.stop_sequences.iter().filter_map(|stop| Some((text.find(&**stop)?, stop))).min();
    let (text, calls) = match stop {
        Some((at, _)) => (&text[..at], [].as_slice()),
        None => (text, calls),
    };
    let mut blocks = Vec::with_capacity(1 + calls.len());
    if !text.is_empty() {
        blocks.push(OutBlock::written(text.to_owned()));
    }
    blocks.extend(calls.iter().map(|call| OutBlock::tool_use(call.name.clone(), call.input.clone())));
    match stop {
        Some((_, stop)) => {
            let answer = room.filled(blocks, "stop_sequence");
            let is_stopped = answer.stop_reason == "stop_sequence";
            Answer { stop_sequence: is_stopped.then(|| stop.to_string()), ..answer }
        }
        None => room.filled(blocks, if calls.is_empty() { "end_turn" } else { "tool_use" }),
    }
}

/// Returns an answer that breaks the schema of its request.
fn broken(prompt: &Prompt<'_>, room: Room, hash: Hash) -> Option<Answer> {
    match &prompt.form {
        Form::Json(schema) => {
            let text = schema::broken(schema, hash.word(11).end()).to_string();
            Some(room.filled(vec![OutBlock::written(text)], "end_turn"))
        }
        Form::Tool(name) => {
            let tools = offered::tools(prompt);
            let tool = offered::choose(&tools, name.as_deref(), hash.word(12).end())?;
            let input = schema::object(schema::broken(&tool.input_schema, hash.word(13).end()));
            Some(room.filled(vec![OutBlock::tool_use(tool.name.clone(), input)], "tool_use"))
        }
        Form::Free { .. } => None,
    }
}

/// Returns an answer that the API pauses after a call to a server tool (a tool that the API runs). Returns `None` if
/// the request has no server tool.
fn paused(prompt: &Prompt<'_>, room: Room) -> Option<Answer> {
    let served = offered::served(&offered::tools(prompt)).filter(|served| served.tokens() < room.tokens)?;
    let blocks = vec![OutBlock::ServerToolUse(served), OutBlock::ServerToolResult(served)];
    Some(Answer { searches: u64::from(served.is_search()), ..Answer::new(blocks, "pause_turn") })
}
