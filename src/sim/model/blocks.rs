//! The content blocks of an answer, before they are written as JSON.

use std::borrow::Cow;

use crate::sim::config::SimModel;

use super::server_tools::Served;
use super::text::Passage;
use super::tokens;
use super::validate::Prompt;

/// How many tokens a tool call has in addition to the tokens of its input.
const TOOL_CALL: u64 = 12;

/// An answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    /// The content blocks of the answer.
    pub blocks: Vec<OutBlock>,
    /// The stop reason of the answer.
    pub stop_reason: Cow<'static, str>,
    /// The stop sequence at which the model stopped; `None` if no stop sequence stopped the model.
    pub stop_sequence: Option<String>,
    /// The category of the refusal, if the answer is a refusal with a category.
    pub category: Option<String>,
    /// The number of output tokens that `usage` reports.
    pub output_tokens: u64,
    /// How many of the output tokens belong to thinking blocks.
    pub thinking_tokens: u64,
    /// The number of web searches that the API made for the answer.
    pub searches: u64,
}

impl Answer {
    /// Returns an answer whose tokens have not been counted yet: its token counts are zero.
    pub(super) fn new(blocks: Vec<OutBlock>, stop_reason: impl Into<Cow<'static, str>>) -> Self {
        Self {
            blocks,
            stop_reason: stop_reason.into(),
            stop_sequence: None,
            category: None,
            output_tokens: 0,
            thinking_tokens: 0,
            searches: 0,
        }
    }

    /// Returns whether the answer is a refusal before the first output. A refusal before the first output is free.
    pub(super) fn is_free(&self) -> bool {
        self.stop_reason == "refusal" && self.output_tokens == 0
    }
}

/// One block of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum OutBlock {
    /// Thinking.
    Thinking(Passage),
    /// Text that the simulator makes up.
    Text(Passage),
    /// A given text and its number of tokens.
    Written(String, u64),
    /// A tool call: the name of the tool, its input as JSON, and the number of tokens of the call.
    ToolUse(String, String, u64),
    /// A call of a server tool (a tool that the API runs).
    ServerToolUse(Served),
    /// The result of the server tool that the previous block calls.
    ServerToolResult(Served),
}

impl OutBlock {
    /// Returns a text block with this content.
    pub(super) fn written(text: String) -> Self {
        let count = tokens::of_text(&text);
        Self::Written(text, count)
    }

    /// Returns a block that calls a tool. `input` is the JSON text of an object.
    pub(super) fn tool_use(name: String, input: String) -> Self {
        let count = tokens::of_text(&input) + TOOL_CALL;
        Self::ToolUse(name, input, count)
    }

    /// Returns the number of tokens in the block, by the simulator's own counter.
    pub(super) fn tokens(&self) -> u64 {
        match self {
            Self::Thinking(passage) | Self::Text(passage) => passage.tokens,
            Self::Written(_, tokens) | Self::ToolUse(_, _, tokens) => *tokens,
            Self::ServerToolUse(served) => served.tokens(),
            Self::ServerToolResult(_) => 0,
        }
    }

    /// Returns the first `kept` tokens of the block; `None` if blocks of this kind can't be truncated.
    fn cut(self, kept: u64) -> Option<Self> {
        match self {
            Self::Thinking(passage) => Some(Self::Thinking(passage.cut(kept))),
            Self::Text(passage) => Some(Self::Text(passage.cut(kept))),
            Self::Written(text, count) => Some(Self::Written(beginning(&text, kept, count), kept)),
            // A truncated tool call has an empty object as its input.
            Self::ToolUse(name, _, _) => Some(Self::ToolUse(name, "{}".to_owned(), kept)),
            Self::ServerToolUse(_) | Self::ServerToolResult(_) => None,
        }
    }
}

/// Returns the number of tokens in all blocks together.
pub(super) fn total(blocks: &[OutBlock]) -> u64 {
    blocks.iter().map(OutBlock::tokens).sum()
}

/// Keeps the first `kept` tokens of the blocks. If the last kept token is inside a block, that block is truncated.
pub(super) fn keep(blocks: &mut Vec<OutBlock>, kept: u64) {
    let mut left = kept;
    let all = std::mem::take(blocks);
    for block in all {
        let count = block.tokens();
        if count <= left {
            left -= count;
            blocks.push(block);
            continue;
        }
        blocks.extend(if left > 0 { block.cut(left) } else { None });
        break;
    }
}

/// Returns about the first `kept` tokens of a text that has `count` tokens.
fn beginning(text: &str, kept: u64, count: u64) -> String {
    let wanted = (text.len() as u64 * kept / count.max(1)) as usize;
    let end = (0..=wanted).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    text[..end].to_owned()
}

/// The maximum number of tokens of an answer, as the simulator itself counts tokens. `full` is the stop reason of an
/// answer that is truncated at this maximum.
#[derive(Clone, Copy)]
pub(super) struct Room {
    pub tokens: u64,
    pub full: &'static str,
}

impl Room {
    /// Returns the room (the maximum number of tokens) for the answer to a prompt.
    pub(super) fn of(prompt: &Prompt<'_>, model: &SimModel, skew: f64) -> Self {
        let window = model.context_tokens.saturating_sub(prompt.tokens);
        let (tokens, full) = if prompt.max_tokens <= window {
            (prompt.max_tokens, "max_tokens")
        } else {
            (window, "model_context_window_exceeded")
        };
        Self { tokens: ((tokens as f64 / skew) as u64).max(1), full }
    }

    /// Returns the room that is left after `tokens` tokens are used. At least one token is left.
    pub(super) fn less(self, tokens: u64) -> Self {
        Self { tokens: self.tokens.saturating_sub(tokens).max(1), ..self }
    }

    /// Returns an answer with `blocks`. If the room is large enough for all blocks, the stop reason is `stop_reason`.
    /// Otherwise, the blocks are truncated.
    pub(super) fn filled(self, mut blocks: Vec<OutBlock>, stop_reason: &'static str) -> Answer {
        if total(&blocks) <= self.tokens {
            return Answer::new(blocks, stop_reason);
        }
        keep(&mut blocks, self.tokens);
        Answer::new(blocks, self.full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_in_which_the_kept_tokens_end_is_cut() {
        let blocks = || {
            vec![
                OutBlock::written("one two three four".to_owned()),
                OutBlock::tool_use("look".to_owned(), r#"{"a":1}"#.to_owned()),
            ]
        };
        let kept = |tokens| {
            let mut blocks = blocks();
            keep(&mut blocks, tokens);
            blocks
        };

        assert_eq!(kept(100), blocks());
        assert_eq!(kept(4), blocks()[..1]);
        assert_eq!(kept(2), [OutBlock::Written("one two t".to_owned(), 2)]);
        assert_eq!(kept(7)[1], OutBlock::ToolUse("look".to_owned(), "{}".to_owned(), 3));
        assert_eq!(kept(0), []);
    }
}
