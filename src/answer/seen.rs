//! Reads an answer: its texts, its tool calls, and the reason why it ended.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::domain::Message;
use crate::domain::json::is_filled_array;

/// The parts of an answer that the rules for answers need.
#[derive(Debug, Default)]
pub(super) struct Seen<'a> {
    /// The content blocks of the answer, in order, each as JSON text.
    pub(super) blocks: Vec<&'a RawValue>,
    /// The content blocks that the API accepts in a request: all blocks except blank texts.
    pub(super) sendable: Vec<&'a RawValue>,
    /// The text of all text blocks together.
    pub(super) text: String,
    /// The ids of the tool calls that need a result from the client.
    pub(super) tool_calls: Vec<Cow<'a, str>>,
    /// The names of the tools that are called.
    pub(super) tool_names: Vec<Cow<'a, str>>,
    /// Whether a text block of the answer has citations.
    pub(super) has_citations: bool,
    /// The type of the last content block.
    pub(super) last_kind: Cow<'a, str>,
    /// The reason that the API gives for the end of the answer.
    pub(super) stop_reason: Option<Cow<'a, str>>,
    /// Whether the answer has any block other than thinking blocks and blank texts.
    has_words: bool,
    /// The number of output tokens that the model used for thinking.
    thinking_tokens: u64,
}

/// The reason why an answer ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    /// The answer reached `max_tokens`.
    MaxTokens,
    /// The answer reached `max_tokens`, and consists of thinking blocks only.
    Thinking,
    /// The prompt and the answer together fill the context window of the model.
    Window,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow, default)]
    content: Vec<&'a RawValue>,
    #[serde(borrow, default)]
    stop_reason: Option<Cow<'a, str>>,
    #[serde(default)]
    usage: Option<BodyUsage>,
}

#[derive(Deserialize)]
struct BodyUsage {
    output_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    thinking_tokens: Option<u64>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
}

/// The `stop_reason` of an answer that the API paused.
const PAUSED: &str = "pause_turn";
/// The `stop_reason` of an answer that filled the context window.
const WINDOW: &str = "model_context_window_exceeded";

impl<'a> Seen<'a> {
    /// Reads a message. The provider's code has checked that the message is an object with a list of blocks. If the
    /// message has any other form, the result is empty.
    pub(super) fn of(message: &'a Message) -> Self {
        let Ok(Body { content, stop_reason, usage }) = serde_json::from_slice::<Body<'a>>(&message.json) else {
            return Self::default();
        };
        let details = usage.and_then(|usage| usage.output_tokens_details);
        let mut seen = Self {
            stop_reason,
            thinking_tokens: details.and_then(|details| details.thinking_tokens).unwrap_or(0),
            ..Self::default()
        };
        for block in content {
            let Ok(Block { kind, text, id, name, citations }) = serde_json::from_str::<Block<'a>>(block.get()) else {
                continue;
            };
            let is_blank = kind == "text" && text.as_ref().is_none_or(|text| text.trim().is_empty());
            match (&*kind, text, id) {
                ("text", Some(text), _) => seen.text.push_str(&text),
                ("tool_use", _, Some(id)) => {
                    seen.tool_calls.push(id);
                    seen.tool_names.extend(name);
                }
                _ => {}
            }
            seen.has_citations |= citations.is_some_and(|citations| is_filled_array(citations.get().as_bytes()));
            seen.has_words |= !is_blank && !kind.contains("thinking");
            seen.last_kind = kind;
            seen.blocks.push(block);
            if !is_blank {
                seen.sendable.push(block);
            }
        }
        seen
    }

    /// Returns whether the API paused the answer.
    pub(super) fn is_paused(&self) -> bool {
        self.stop_reason.as_deref() == Some(PAUSED)
    }

    /// Returns whether the next request can contain the answer, followed by a message about the answer. The API rejects
    /// an answer that has no content or consists of thinking blocks only.
    pub(super) fn can_be_discussed(&self) -> bool {
        self.has_words
    }

    /// Returns why a truncated answer ended too early.
    pub(super) fn cut(&self) -> Cut {
        let has_thought = self.thinking_tokens > 0 || self.last_kind.contains("thinking");
        match self.stop_reason.as_deref() {
            Some(WINDOW) => Cut::Window,
            _ if has_thought && !self.has_words => Cut::Thinking,
            _ => Cut::MaxTokens,
        }
    }
}
