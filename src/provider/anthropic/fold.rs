//! Folds (joins) the events of a stream into one message.
//!
//! The folded message has the same form as an answer that was not streamed. The folded message has the members of the
//! message in `message_start`, in the same order. The later events fill in the content blocks, the stop reason and the
//! usage. Strings are joined in their escaped form and never decoded, so the folded message spells its strings as the
//! server spelled them. If an escaped character is split between two deltas, the folded message has the whole
//! character.
//!
//! One rule folds nearly all deltas. A string in a delta is appended to the block's member of the same name. If a value
//! in a delta is not a string, the value replaces the block's member of the same name. This rule also keeps deltas of
//! unknown types. Two types of deltas have rules of their own: `input_json_delta` contains a piece of JSON, and
//! `citations_delta` contains one more item of a list. Events of unknown types are ignored, as the API asks. Source:
//! API documentation, "Streaming messages" (2026-08-22).

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Block, Input, overlay, place, raw, string};
use super::{growth, members, usage};
use crate::domain::{Params, Usage};

/// The maximum length, in bytes, of a message that is folded. While a message is built, memory holds both its parts and
/// the whole message. So building a message of 1 MiB needs 2 MiB of memory. The longest real answers have a tenth of
/// this length.
const LONGEST_MESSAGE_BYTES: usize = 16 << 20;
/// The highest number of content blocks in a message. The number of blocks must have a maximum, because a block uses
/// more memory than the event that begins the block. Real answers have fewer than a hundred blocks.
const MOST_BLOCKS: usize = 10_000;

/// How a stream of events ended.
pub(super) enum End {
    /// The stream ended with `message_stop`.
    Stop,
    /// The stream ended with an `error` event; the value is the data of the event.
    Error(Vec<u8>),
    /// The events are not a valid stream of this API; the value is the reason.
    Broken(String),
}

/// Those members of an event that this module reads.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(rename = "type", default)]
    kind: String,
    index: Option<u64>,
    /// In the event `message_start`, the value is the message without its content. In an error of AWS, this is the text
    /// of the error.
    #[serde(borrow)]
    message: Option<&'a RawValue>,
    /// The error that is in an event if the event has no type. Some platforms send errors as events without a type.
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow)]
    content_block: Option<&'a RawValue>,
    #[serde(borrow)]
    delta: Option<&'a RawValue>,
}

impl Event<'_> {
    /// Returns whether an event without a type is an error: `{"error":{…}}`, or `{"message":"…"}`.
    fn is_error(&self) -> bool {
        let is_text = |raw: &RawValue| raw.get().starts_with('"');
        let is_object = |raw: &RawValue| raw.get().starts_with('{');
        self.error.is_some_and(|error| is_text(error) || is_object(error)) || self.message.is_some_and(is_text)
    }
}

/// The parts of the message that have been received so far.
#[derive(Default)]
pub(super) struct Fold {
    message: Option<Params>,
    usage: Params,
    blocks: BTreeMap<u64, Block>,
    has_message_delta: bool,
    /// The number of bytes in all received blocks and deltas.
    held_bytes: usize,
}

/// Events that are allowed only after `message_start`.
const FOLLOWS_START: [&str; 4] = ["content_block_start", "content_block_delta", "message_delta", "message_stop"];

/// How many bytes of memory a content block uses in addition to its members.
const BLOCK_BYTES: usize = 256;

impl Fold {
    /// Adds the data of an event. If the event ended the stream, returns how the stream ended.
    pub(super) fn on_event(&mut self, data: &[u8]) -> Option<End> {
        self.apply(data).unwrap_or_else(|why| Some(End::Broken(why)))
    }

    fn apply(&mut self, data: &[u8]) -> Result<Option<End>, String> {
        if data == b"[DONE]" {
            return Err("the stream ends in [DONE], as streams of other APIs do, instead of message_stop".to_owned());
        }
        let json = str::from_utf8(data).map_err(|_| "an event is not UTF-8")?;
        let event: Event<'_> =
            serde_json::from_str(json).map_err(|error| format!("an event is unreadable: {error}"))?;
        if self.message.is_none() && FOLLOWS_START.contains(&&*event.kind) {
            return Err(format!("{} before message_start", event.kind));
        }
        match event.kind.as_str() {
            "" if event.is_error() => return Ok(Some(End::Error(data.to_vec()))),
            "" => return Err("an event is unreadable: missing field `type`".to_owned()),
            "error" => return Ok(Some(End::Error(data.to_vec()))),
            "message_start" => self.on_start(part(event.message.map(RawValue::get), "message_start")?)?,
            "content_block_start" => self.on_block_start(&event)?,
            "content_block_delta" => {
                let delta = part(event.delta.map(RawValue::get), "content_block_delta")?;
                self.held_bytes += self.block(event.index)?.on_delta(delta)?;
            }
            "message_delta" => self.on_message_delta(part(Some(json), "message_delta")?)?,
            "message_stop" if !self.has_message_delta => {
                return Err("message_stop before message_delta".to_owned());
            }
            "message_stop" => return Ok(Some(End::Stop)),
            _ => {}
        }
        Ok(None)
    }

    fn on_start(&mut self, message: Params) -> Result<(), String> {
        if self.message.is_some() {
            return Err("a second message_start".to_owned());
        }
        // A `usage` that is not an object is kept unchanged in the message. If `message_delta` has a usage, that usage
        // replaces the earlier one.
        self.usage = match message.get("usage").filter(|usage| usage.starts_with('{')) {
            Some(usage) => part(Some(usage), "message_start's usage")?,
            None => Params::default(),
        };
        self.message = Some(message);
        Ok(())
    }

    fn on_block_start(&mut self, event: &Event<'_>) -> Result<(), String> {
        let members = part(event.content_block.map(RawValue::get), "content_block_start")?;
        self.held_bytes += BLOCK_BYTES + event.content_block.map_or(0, |block| block.get().len());
        let index = event.index.ok_or("a content block without index")?;
        if self.blocks.len() == MOST_BLOCKS {
            return Err(format!("more than {MOST_BLOCKS} content blocks"));
        }
        if self.blocks.insert(index, Block::new(members)).is_some() {
            return Err(format!("content block {index} starts twice"));
        }
        Ok(())
    }

    fn block(&mut self, index: Option<u64>) -> Result<&mut Block, String> {
        let index = index.ok_or("a delta without index")?;
        self.blocks.get_mut(&index).ok_or_else(|| format!("a delta for content block {index}, which has not started"))
    }

    /// Handles `message_delta`. The members of `delta`, and the other members of the event, become members of the
    /// message. Each count in the `usage` of the event replaces the earlier count of the same name.
    fn on_message_delta(&mut self, event: Params) -> Result<(), String> {
        let message = self.message.as_mut().ok_or("message_delta before message_start")?;
        self.has_message_delta = true;
        for (name, value) in event.0 {
            match &*name {
                "type" => {}
                "delta" => overlay(message, part(Some(value.get()), "message_delta")?)?,
                "usage" if value.get() == "null" => {}
                "usage" => overlay(&mut self.usage, part(Some(value.get()), "message_delta's usage")?)?,
                _ => message.set(&name, value),
            }
        }
        Ok(())
    }

    /// Returns the approximate number of bytes in the blocks.
    pub(super) fn held_bytes(&self) -> usize {
        self.held_bytes
    }

    /// Returns whether the event `message_start` has been received.
    pub(super) fn has_begun(&self) -> bool {
        self.message.is_some()
    }

    /// Returns the usage known so far.
    pub(super) fn usage(&self) -> Usage {
        str::from_utf8(&members::text(&self.usage)).ok().and_then(usage::read).unwrap_or_default().so_far()
    }

    /// Returns the message of a stream that ended with [`End::Stop`].
    pub(super) fn into_message(self) -> Result<Bytes, String> {
        let Self { message, usage, mut blocks, has_message_delta: _, held_bytes: _ } = self;
        let mut message = message.ok_or("message_stop before message_start")?;
        let input = Input::of(message.get("stop_reason"));
        let bytes = blocks.values().map(|block| block.bytes() + 8).sum::<usize>();
        if bytes > LONGEST_MESSAGE_BYTES {
            return Err(format!("the message of the stream is longer than {} MiB", LONGEST_MESSAGE_BYTES >> 20));
        }
        if !blocks.is_empty() {
            message.set("content", place()?);
        }
        if !usage.0.is_empty() {
            message.set("usage", raw(string(members::text(&usage))?)?);
        }
        let mut out = growth::message(bytes + 1024);
        let mut written = Ok(());
        members::write(&message, &mut out, |name, out| {
            let is_content = name == "content" && !blocks.is_empty();
            if is_content {
                written = write_list(std::mem::take(&mut blocks), input, out);
            }
            is_content
        });
        written.map(|()| growth::message_bytes(out))
    }
}

/// Writes content blocks as a JSON list. The memory of each block is freed as soon as the block is written.
fn write_list(blocks: BTreeMap<u64, Block>, input: Input, out: &mut Vec<u8>) -> Result<(), String> {
    out.push(b'[');
    for (at, block) in blocks.into_values().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        block.write(input, out)?;
    }
    out.push(b']');
    Ok(())
}

fn part(json: Option<&str>, of: &str) -> Result<Params, String> {
    let json = json.ok_or_else(|| format!("{of} lacks its object"))?;
    members::parse(json).map_err(|error| format!("{of} is unreadable: {error}"))
}
