//! Writes the bytes of an answer: one JSON object, or the events of a stream. Each event also comes with the number of
//! tokens that have been sent so far.
//!
//! The events of a stream add up to the JSON object of the same answer, except for the ids. Source: API documentation,
//! "Messages" and "Streaming messages" (2026-08-22).

use super::blocks::{Answer, OutBlock};
use super::cache::Split;
use super::deltas::{self, Delta, escaped};
use super::diagnostics::{self, Miss};
use super::out::{Out, id};
use super::server_tools::Served;

/// How the first event of a stream begins.
pub(super) const MESSAGE_START: &[u8] = b"event: message_start\n";
/// The last event of a stream.
pub(super) const MESSAGE_STOP: &[u8] = b"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

/// The approximate maximum number of events for an answer's text.
const PIECES: u64 = 48;
/// The minimum number of tokens in an event for an answer's text.
const PIECE: u64 = 4;

/// The parts of an answer that do not come from the model.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame<'a> {
    /// `id`.
    pub id: &'a str,
    /// The value of `model`, escaped for a JSON string.
    pub model: &'a str,
    /// The tokens of the prompt, split by how the cache handles them.
    pub split: Split,
    /// `usage.service_tier`.
    pub service_tier: &'static str,
    /// The serial number of the call. Ids inside the answer are made from this unique number.
    pub serial: u64,
    /// Why the prompt was not read from the cache; `None` if the request has no `diagnostics`.
    pub diagnostics: Option<Option<Miss>>,
}

/// Returns the answer as one JSON object.
pub(super) fn json(answer: &Answer, frame: Frame<'_>) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(768 + answer.output_tokens as usize * 6));
    out.add(r#"{"id":""#).add(frame.id).add(r#"","type":"message","role":"assistant","model":""#).add(frame.model);
    out.add(r#"","content":["#);
    for (at, block) in answer.blocks.iter().enumerate() {
        if at > 0 {
            out.add(",");
        }
        whole_block(&mut out, block, frame.serial + at as u64);
    }
    out.add(r#"],"stop_reason":"#).add(&quoted(&answer.stop_reason)).add(r#","stop_sequence":"#);
    stop_sequence(&mut out, answer);
    out.add(r#","stop_details":"#).add(&stop_details(answer)).add(r#","usage":"#);
    usage(&mut out, frame, answer.output_tokens);
    out.0.pop();
    usage_details(&mut out, answer).add("}");
    if let Some(miss) = frame.diagnostics {
        diagnostics::write(&mut out, miss);
    }
    out.add("}");
    out.0
}

/// A piece of a stream: one event, or several events that are sent together.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    /// The events.
    pub bytes: Vec<u8>,
    /// The number of the answer's tokens in this piece and all earlier pieces together.
    pub tokens: u64,
}

/// Returns the answer as events of a stream.
pub(super) fn events(answer: &Answer, frame: Frame<'_>) -> Vec<Piece> {
    let size = PIECE.max(answer.output_tokens / PIECES);
    let mut tokens = 0;
    let mut pieces = vec![Piece { bytes: start(frame), tokens: 0 }];
    for (index, block) in answer.blocks.iter().enumerate() {
        if let Some(last) = pieces.last_mut() {
            block_start(&mut last.bytes, index, block, frame.serial + index as u64);
            if index == 0 {
                last.bytes.extend_from_slice(b"event: ping\ndata: {\"type\":\"ping\"}\n\n");
            }
        }
        deltas::for_each(block, size, |count, sent| {
            tokens += count;
            pieces.push(Piece { bytes: delta(index, sent), tokens });
        });
        if let Some(last) = pieces.last_mut() {
            block_stop(&mut last.bytes, index, block);
        }
    }
    let mut last = Out(message_delta(answer));
    last.0.extend_from_slice(MESSAGE_STOP);
    pieces.push(Piece { bytes: last.0, tokens });
    pieces
}

/// Returns the event that reports an error inside a stream.
pub(super) fn error_event(body: &[u8]) -> Vec<u8> {
    [b"event: error\ndata: ", body, b"\n\n"].concat()
}

fn start(frame: Frame<'_>) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(700));
    out.add("event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"").add(frame.id);
    out.add(r#"","type":"message","role":"assistant","model":""#).add(frame.model);
    out.add(r#"","content":[],"stop_reason":null,"stop_sequence":null,"stop_details":null,"usage":"#);
    usage(&mut out, frame, 1);
    if let Some(miss) = frame.diagnostics {
        diagnostics::write(&mut out, miss);
    }
    out.add("}}\n\n");
    out.0
}

fn block_start(bytes: &mut Vec<u8>, index: usize, block: &OutBlock, serial: u64) {
    let mut out = Out(std::mem::take(bytes));
    out.add("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":").number(index as u64);
    out.add(r#","content_block":"#);
    match block {
        OutBlock::Thinking(_) => out.add(r#"{"type":"thinking","thinking":"","signature":""}"#),
        OutBlock::Text(_) | OutBlock::Written(..) => out.add(r#"{"type":"text","text":""}"#),
        OutBlock::ToolUse(name, ..) => tool_head(&mut out, name, serial).add(r#","input":{}}"#),
        OutBlock::ServerToolUse(served) => server_tool_head(&mut out, served.name, serial).add(r#","input":{}}"#),
        // The whole result of a server tool is sent in one event.
        OutBlock::ServerToolResult(served) => server_tool_result(&mut out, served, serial),
    };
    out.add("}\n\n");
    *bytes = out.0;
}

fn block_stop(bytes: &mut Vec<u8>, index: usize, block: &OutBlock) {
    if let OutBlock::Thinking(_) = block {
        bytes.extend_from_slice(&delta(index, Delta::signature(SIGNATURE)));
    }
    let mut out = Out(std::mem::take(bytes));
    out.add("event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":").number(index as u64);
    out.add("}\n\n");
    *bytes = out.0;
}

fn delta(index: usize, sent: Delta<'_>) -> Vec<u8> {
    let Delta { kind, field, text } = sent;
    let mut out = Out(Vec::with_capacity(140 + text.len()));
    out.add("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":").number(index as u64);
    out.add(r#","delta":{"type":""#).add(kind).add(r#"",""#).add(field).add(r#"":""#).add(text).add("\"}}\n\n");
    out.0
}

fn message_delta(answer: &Answer) -> Vec<u8> {
    let mut out = Out(Vec::with_capacity(300));
    out.add("event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":");
    out.add(&quoted(&answer.stop_reason)).add(r#","stop_sequence":"#);
    stop_sequence(&mut out, answer);
    out.add(r#","stop_details":"#).add(&stop_details(answer)).add(r#"},"usage":{"output_tokens":"#);
    out.number(answer.output_tokens);
    usage_details(&mut out, answer);
    out.add("}}\n\n");
    out.0
}

fn whole_block(out: &mut Out, block: &OutBlock, serial: u64) {
    match block {
        OutBlock::Thinking(passage) => {
            out.add(r#"{"type":"thinking","thinking":""#);
            passage.pieces(u64::MAX).for_each(|(_, text)| {
                out.add(text);
            });
            out.add(r#"","signature":""#).add(SIGNATURE).add("\"}");
        }
        OutBlock::Text(passage) => {
            out.add(r#"{"type":"text","text":""#);
            passage.pieces(u64::MAX).for_each(|(_, text)| {
                out.add(text);
            });
            out.add("\"}");
        }
        OutBlock::Written(text, _) => {
            out.add(r#"{"type":"text","text":""#).add(&escaped(text)).add("\"}");
        }
        OutBlock::ToolUse(name, input, _) => {
            tool_head(out, name, serial).add(r#","input":"#).add(input).add("}");
        }
        OutBlock::ServerToolUse(served) => {
            server_tool_head(out, served.name, serial).add(r#","input":"#).add(served.input).add("}");
        }
        OutBlock::ServerToolResult(served) => {
            server_tool_result(out, served, serial);
        }
    }
}

fn tool_head<'o>(out: &'o mut Out, name: &str, serial: u64) -> &'o mut Out {
    out.add(r#"{"type":"tool_use","id":""#).add(&id("toolu_01", 0, serial)).add(r#"","name":"#).add(&quoted(name))
}

fn server_tool_head<'o>(out: &'o mut Out, name: &str, serial: u64) -> &'o mut Out {
    out.add(r#"{"type":"server_tool_use","id":""#).add(&server_tool_id(serial)).add(r#"","name":""#).add(name).add("\"")
}

/// Writes the block with the result of a server tool (a tool that the API runs). The block comes after the block with
/// the call.
fn server_tool_result<'o>(out: &'o mut Out, served: &Served, serial: u64) -> &'o mut Out {
    out.add(r#"{"type":""#).add(served.result_kind).add(r#"","tool_use_id":""#).add(&server_tool_id(serial - 1));
    out.add(r#"","content":"#).add(served.result).add("}")
}

fn server_tool_id(serial: u64) -> String {
    id("srvtoolu_01", 0, serial)
}

fn stop_sequence(out: &mut Out, answer: &Answer) {
    match &answer.stop_sequence {
        Some(stop) => out.add(&quoted(stop)),
        None => out.add("null"),
    };
}

fn stop_details(answer: &Answer) -> String {
    if answer.stop_reason != "refusal" {
        return "null".to_owned();
    }
    let category = answer.category.as_deref().map_or_else(|| "null".to_owned(), quoted);
    format!(r#"{{"type":"refusal","category":{category},"explanation":null}}"#)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Appends to `usage` the members that only some answers have.
fn usage_details<'o>(out: &'o mut Out, answer: &Answer) -> &'o mut Out {
    if answer.thinking_tokens > 0 {
        out.add(r#","output_tokens_details":{"thinking_tokens":"#).number(answer.thinking_tokens).add("}");
    }
    if answer.searches > 0 {
        out.add(r#","server_tool_use":{"web_search_requests":"#).number(answer.searches);
        out.add(r#","web_fetch_requests":0}"#);
    }
    out
}

fn usage(out: &mut Out, frame: Frame<'_>, output_tokens: u64) {
    let split = frame.split;
    out.add(r#"{"input_tokens":"#).number(split.uncached);
    out.add(r#","cache_creation_input_tokens":"#).number(split.write_5m + split.write_1h);
    out.add(r#","cache_read_input_tokens":"#).number(split.read);
    out.add(r#","cache_creation":{"ephemeral_5m_input_tokens":"#).number(split.write_5m);
    out.add(r#","ephemeral_1h_input_tokens":"#).number(split.write_1h);
    out.add(r#"},"output_tokens":"#).number(output_tokens);
    out.add(r#","service_tier":""#).add(frame.service_tier).add(r#"","inference_geo":"global"}"#);
}

const SIGNATURE: &str = "c2ltdWxhdGVkLXNpZ25hdHVyZQ==";
