//! A content block of a stream, put together from its deltas.

use serde_json::value::RawValue;

use super::growth::Growing;
use super::kinds;
use super::members::{self, MOST_MEMBERS, inside_quotes};
use crate::domain::{Params, Quality};

const NOT_UTF8: &str = "the message of the stream is not UTF-8";

/// How many bytes of memory a citation uses in addition to its text.
const CITATION_BYTES: usize = 32;
/// A content block, with the deltas received so far.
#[derive(Default)]
pub(super) struct Block {
    members: Params,
    /// The strings that deltas extend, in escaped form. Each string begins with a quotation mark. The quotation mark at
    /// its end is added when the block is written.
    strings: Vec<(Box<str>, Growing)>,
    /// The joined pieces of `partial_json`: a quotation mark, followed by escaped text.
    input: Growing,
    citations: Vec<Box<RawValue>>,
}

impl Block {
    /// Returns a new block with the members of the event that starts the block.
    pub(super) fn new(members: Params) -> Self {
        Self { members, ..Self::default() }
    }

    /// Adds a delta to the block, and returns by how many bytes the block grew.
    pub(super) fn on_delta(&mut self, delta: Params) -> Result<usize, String> {
        match delta.get("type") {
            Some(r#""input_json_delta""#) => {
                let piece = delta.get("partial_json").and_then(inside_quotes);
                let piece = piece.ok_or("an input_json_delta without partial_json")?;
                if self.input.is_empty() && !piece.is_empty() {
                    self.input.push(b"\"");
                }
                self.input.push(piece.as_bytes());
                Ok(piece.len())
            }
            Some(r#""citations_delta""#) => {
                let citation = delta.0.into_iter().find(|(name, _)| &**name == "citation");
                let (_, citation) = citation.ok_or("a citations_delta without citation")?;
                let bytes = CITATION_BYTES + citation.get().len();
                self.citations.push(citation);
                Ok(bytes)
            }
            _ => self.on_plain_delta(delta),
        }
    }

    fn on_plain_delta(&mut self, delta: Params) -> Result<usize, String> {
        let mut bytes = 0;
        for (name, value) in delta.0.into_iter().filter(|(name, _)| &**name != "type") {
            bytes += value.get().len();
            match inside_quotes(value.get()) {
                Some(piece) => self.string(name)?.push(piece.as_bytes()),
                None => overlay(&mut self.members, Params(vec![(name, value)]))?,
            }
        }
        Ok(bytes)
    }

    /// Returns a member's string, so that a delta can add text to this string. At first, the string is the value that
    /// the member had when the block started.
    fn string(&mut self, name: Box<str>) -> Result<&mut Growing, String> {
        let known = self.strings.iter().position(|(own, _)| *own == name);
        let at = match known {
            Some(at) => at,
            None if self.strings.len() == MOST_MEMBERS => return Err(too_many_members()),
            None => {
                let start = self.members.get(&name).and_then(inside_quotes).unwrap_or_default();
                let mut text = Growing::default();
                text.push(b"\"");
                text.push(start.as_bytes());
                self.strings.push((name, text));
                self.strings.len() - 1
            }
        };
        Ok(&mut self.strings[at].1)
    }

    fn calls_a_tool(&self) -> bool {
        self.members.get("type").and_then(inside_quotes).is_some_and(|kind| kinds::is_call(kind.as_bytes()))
    }

    /// Returns the approximate length that the block has as JSON.
    pub(super) fn bytes(&self) -> usize {
        let members = self.members.0.iter().map(|(name, value)| name.len() + value.get().len() + 8);
        let strings = self.strings.iter().map(|(name, text)| name.len() + text.len() + 8);
        let citations = self.citations.iter().map(|citation| citation.get().len() + 8);
        self.input.len() + members.chain(strings).chain(citations).sum::<usize>()
    }

    /// Writes the block as JSON. One part of the block can be most of the answer, so no part is copied before it is
    /// written.
    pub(super) fn write(mut self, input: Input, out: &mut Vec<u8>) -> Result<(), String> {
        if !self.input.is_empty() {
            self.strings.retain(|(name, _)| &**name != "input");
            let input = if self.calls_a_tool() { input } else { Input::MayBeCut };
            self.members.set("input", input.parse(std::mem::take(&mut self.input))?);
        }
        if !self.citations.is_empty() {
            self.strings.retain(|(name, _)| &**name != "citations");
            let items = citations(self.members.get("citations"), &self.citations);
            self.members.set("citations", raw(items)?);
        }
        for (name, text) in &mut self.strings {
            text.push(b"\"");
            if self.members.get(name).is_none() {
                self.members.set(name, place()?);
            }
        }
        members::write(&self.members, out, |name, out| {
            let string = self.strings.iter_mut().find(|(own, _)| &**own == name);
            string.map(|(_, text)| text.move_into(out)).is_some()
        });
        Ok(())
    }
}

/// Returns a placeholder value for a member. The real value of the member is written later.
pub(super) fn place() -> Result<Box<RawValue>, String> {
    raw("null".to_owned())
}

/// The rule that says whether the text of a tool call's input must be JSON.
#[derive(Clone, Copy)]
pub(super) enum Input {
    /// The model stopped on its own, so the input of the tool call must be JSON.
    IsWhole,
    /// The model was cut off, so the input can be incomplete.
    MayBeCut,
}

impl Input {
    /// Returns the rule for the inputs of tool calls in a message with this stop reason.
    pub(super) fn of(stop_reason: Option<&str>) -> Self {
        let stop_reason = stop_reason.and_then(inside_quotes).unwrap_or_default();
        match kinds::quality(stop_reason.as_bytes()) {
            Some(Quality::Ok) => Self::IsWhole,
            Some(Quality::Truncated | Quality::Refused | Quality::Unknown) | None => Self::MayBeCut,
        }
    }

    /// Parses the input of a tool call. The caller has joined the pieces of the input.
    ///
    /// The input is unfinished if the answer ended at `max_tokens` in the middle of the call. The text of an unfinished
    /// input is kept as `{"INVALID_JSON": "…"}`. The API documentation gives this form for sending such input back to
    /// the model ("Fine-grained tool streaming", 2026-08-22).
    fn parse(self, mut escaped: Growing) -> Result<Box<RawValue>, String> {
        escaped.push(b"\"");
        let bytes = escaped.into_bytes();
        let escaped = str::from_utf8(&bytes).map_err(|_| NOT_UTF8)?;
        let json: String =
            serde_json::from_str(escaped).map_err(|error| format!("a tool's input is not text: {error}"))?;
        if json.trim().is_empty() {
            return raw("{}".to_owned());
        }
        members::raw(json).or_else(|error| match self {
            Self::IsWhole => Err(format!("the input of a tool call is not JSON: {error}")),
            Self::MayBeCut => raw(format!("{{\"INVALID_JSON\":{escaped}}}")),
        })
    }
}

fn citations(started_with: Option<&str>, added: &[Box<RawValue>]) -> String {
    let start: Vec<&RawValue> = started_with.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let items = start.into_iter().chain(added.iter().map(|item| &**item)).map(RawValue::get);
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

/// Copies the members of `over` into `under`. A null in `over` never replaces a value, because null means that the
/// value did not change.
pub(super) fn overlay(under: &mut Params, over: Params) -> Result<(), String> {
    for (name, value) in over.0 {
        if value.get() != "null" || under.get(&name).is_none() {
            under.set(&name, value);
        }
    }
    match under.0.len() {
        0..=MOST_MEMBERS => Ok(()),
        _ => Err(too_many_members()),
    }
}

fn too_many_members() -> String {
    format!("an object of a stream grows to more than {MOST_MEMBERS} members")
}

pub(super) fn raw(json: String) -> Result<Box<RawValue>, String> {
    members::raw(json).map_err(|error| format!("the message of the stream is not JSON: {error}"))
}

pub(super) fn string(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|_| NOT_UTF8.to_owned())
}
