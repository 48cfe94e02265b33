//! The events of a stream, folded to the message they stand for.
//!
//! The folded message has the shape of a whole answer: the members of `message_start`'s message in their order, with
//! the blocks, the end and the usage put in place. Strings are put together in their escaped form and never decoded, so
//! the result holds the server's own spelling, and a character whose escaped halves came in two deltas is whole again.
//!
//! One rule folds all deltas but two: strings are appended to the block's member of the same name, other values replace
//! it. So deltas of types that we do not know (as `compaction_delta` once was) are kept and not lost. The exceptions:
//! `input_json_delta` brings JSON in pieces, `citations_delta` one more item of a list. Events of unknown types are
//! ignored, as the API asks. Source: API documentation, "Streaming messages" (2026-08-22).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::members::{self, inside_quotes};
use super::usage;
use crate::domain::{Params, Usage};

/// How a stream ended.
pub(super) enum End {
    /// With `message_stop`.
    Stop,
    /// With an `error` event, whose data this is.
    Error(Vec<u8>),
    /// By saying something that makes no sense.
    Broken(String),
}

/// The parts of an event that are looked at.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: String,
    index: Option<u64>,
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

/// What has come so far.
#[derive(Default)]
pub(super) struct Fold {
    message: Option<Params>,
    usage: Params,
    blocks: BTreeMap<u64, Block>,
    has_message_delta: bool,
}

impl Fold {
    /// Takes an event's data; returns how the stream ends, when this ends it.
    pub(super) fn on_event(&mut self, data: &[u8]) -> Option<End> {
        self.apply(data).unwrap_or_else(|why| Some(End::Broken(why)))
    }

    fn apply(&mut self, data: &[u8]) -> Result<Option<End>, String> {
        let json = str::from_utf8(data).map_err(|_| "an event is not UTF-8")?;
        let event: Event<'_> =
            serde_json::from_str(json).map_err(|error| format!("an event is unreadable: {error}"))?;
        match event.kind.as_str() {
            "error" => return Ok(Some(End::Error(data.to_vec()))),
            "message_start" => self.on_start(part(event.message.map(RawValue::get), "message_start")?)?,
            "content_block_start" => self.on_block_start(&event)?,
            "content_block_delta" => {
                let delta = part(event.delta.map(RawValue::get), "content_block_delta")?;
                self.block(event.index)?.on_delta(delta)?;
            }
            "message_delta" => self.on_message_delta(part(Some(json), "message_delta")?)?,
            "message_stop" => return Ok(Some(End::Stop)),
            _ => {}
        }
        Ok(None)
    }

    fn on_start(&mut self, message: Params) -> Result<(), String> {
        if self.message.is_some() {
            return Err("a second message_start".to_owned());
        }
        self.usage = match message.get("usage") {
            Some(usage) => part(Some(usage), "message_start's usage")?,
            None => Params::default(),
        };
        self.message = Some(message);
        Ok(())
    }

    fn on_block_start(&mut self, event: &Event<'_>) -> Result<(), String> {
        let members = part(event.content_block.map(RawValue::get), "content_block_start")?;
        let index = event.index.ok_or("a content block without index")?;
        if self.blocks.insert(index, Block { members, ..Block::default() }).is_some() {
            return Err(format!("content block {index} starts twice"));
        }
        Ok(())
    }

    fn block(&mut self, index: Option<u64>) -> Result<&mut Block, String> {
        let index = index.ok_or("a delta without index")?;
        self.blocks.get_mut(&index).ok_or_else(|| format!("a delta for content block {index}, which has not started"))
    }

    /// Takes the end of the message: `delta` and members beside it belong to the message, counts replace earlier ones.
    fn on_message_delta(&mut self, event: Params) -> Result<(), String> {
        let message = self.message.as_mut().ok_or("message_delta before message_start")?;
        self.has_message_delta = true;
        for (name, value) in event.0 {
            match &*name {
                "type" => {}
                "delta" => overlay(message, part(Some(value.get()), "message_delta")?),
                "usage" if value.get() == "null" => {}
                "usage" => overlay(&mut self.usage, part(Some(value.get()), "message_delta's usage")?),
                _ => message.set(&name, value),
            }
        }
        Ok(())
    }

    /// Returns the usage known so far.
    pub(super) fn usage(&self) -> Usage {
        str::from_utf8(&members::text(&self.usage)).ok().and_then(usage::read).unwrap_or_default()
    }

    /// Returns the message, for a stream that ended with [`End::Stop`].
    pub(super) fn into_message(self) -> Result<Vec<u8>, String> {
        let mut message = self.message.ok_or("message_stop before message_start")?;
        if !self.has_message_delta {
            return Err("message_stop before message_delta".to_owned());
        }
        if !self.blocks.is_empty() {
            let blocks = self.blocks.into_values().map(Block::into_json).collect::<Result<Vec<_>, _>>()?;
            message.set("content", raw(format!("[{}]", blocks.join(",")))?);
        }
        if !self.usage.0.is_empty() {
            message.set("usage", raw(string(members::text(&self.usage))?)?);
        }
        Ok(members::text(&message))
    }
}

/// Sets what `over` brings. A null never replaces a value: it says that there is no news.
fn overlay(under: &mut Params, over: Params) {
    for (name, value) in over.0 {
        if value.get() != "null" || under.get(&name).is_none() {
            under.set(&name, value);
        }
    }
}

/// A content block as far as it has come.
#[derive(Default)]
struct Block {
    members: Params,
    /// Strings that deltas add to, escaped, without quotes.
    strings: Vec<(Box<str>, String)>,
    /// The pieces of `partial_json`, escaped.
    input: String,
    citations: Vec<Box<RawValue>>,
}

impl Block {
    fn on_delta(&mut self, delta: Params) -> Result<(), String> {
        match delta.get("type") {
            Some(r#""input_json_delta""#) => {
                let piece = delta.get("partial_json").and_then(inside_quotes);
                self.input.push_str(piece.ok_or("an input_json_delta without partial_json")?);
            }
            Some(r#""citations_delta""#) => {
                let citation = delta.0.into_iter().find(|(name, _)| &**name == "citation");
                self.citations.push(citation.ok_or("a citations_delta without citation")?.1);
            }
            _ => self.on_plain_delta(delta),
        }
        Ok(())
    }

    fn on_plain_delta(&mut self, delta: Params) {
        for (name, value) in delta.0.into_iter().filter(|(name, _)| &**name != "type") {
            match inside_quotes(value.get()) {
                Some(piece) => self.string(name).push_str(piece),
                None => overlay(&mut self.members, Params(vec![(name, value)])),
            }
        }
    }

    /// Returns the growing string of a member, which begins with what the block started with.
    fn string(&mut self, name: Box<str>) -> &mut String {
        let at = self.strings.iter().position(|(own, _)| *own == name).unwrap_or_else(|| {
            let start = self.members.get(&name).and_then(inside_quotes).unwrap_or_default().to_owned();
            self.strings.push((name, start));
            self.strings.len() - 1
        });
        &mut self.strings[at].1
    }

    fn into_json(mut self) -> Result<String, String> {
        for (name, escaped) in self.strings {
            self.members.set(&name, raw(format!("\"{escaped}\""))?);
        }
        if !self.input.is_empty() {
            self.members.set("input", input(&self.input)?);
        }
        if !self.citations.is_empty() {
            let items = citations(self.members.get("citations"), &self.citations);
            self.members.set("citations", raw(items)?);
        }
        string(members::text(&self.members))
    }
}

/// Returns a tool's input from its pieces.
///
/// An answer that ends at `max_tokens` may leave it unfinished. The text is then kept as `{"INVALID_JSON": "…"}`, the
/// form that the API documentation gives for handing such input back ("Fine-grained tool streaming", 2026-08-22).
fn input(escaped: &str) -> Result<Box<RawValue>, String> {
    let json: String = serde_json::from_str(&format!("\"{escaped}\""))
        .map_err(|error| format!("a tool's input is no text: {error}"))?;
    if json.trim().is_empty() {
        return raw("{}".to_owned());
    }
    raw(json).or_else(|_| raw(format!("{{\"INVALID_JSON\":\"{escaped}\"}}")))
}

fn citations(started_with: Option<&str>, added: &[Box<RawValue>]) -> String {
    let start: Vec<&RawValue> = started_with.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let items = start.into_iter().chain(added.iter().map(|item| &**item)).map(RawValue::get);
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn part(json: Option<&str>, of: &str) -> Result<Params, String> {
    let json = json.ok_or_else(|| format!("{of} lacks its object"))?;
    members::parse(json).map_err(|error| format!("{of} is unreadable: {error}"))
}

fn raw(json: String) -> Result<Box<RawValue>, String> {
    members::raw(json).map_err(|error| format!("the folded message is no JSON: {error}"))
}

fn string(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| "the folded message is not UTF-8".to_owned())
}
