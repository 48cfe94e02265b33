//! Prepares the messages of a request for the checks, as blocks with their places. The API reads consecutive messages
//! with the same role as one message.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::sim::model::errors::ApiError;
use crate::sim::model::fields::Text;
use crate::sim::model::request::Turn;

/// A content block, and its place in the request.
pub(super) struct Block<'a> {
    /// The index of the block's message in the request.
    pub message: usize,
    at: usize,
    /// The members of the block.
    pub own: Members<'a>,
}

/// The members of a block that the checks read.
#[derive(Default, Deserialize)]
pub(super) struct Members<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    #[serde(borrow, default)]
    pub id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub tool_use_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub text: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub content: Option<&'a RawValue>,
}

impl Block<'_> {
    /// Returns an error about the block.
    pub(super) fn error(&self, problem: &str) -> ApiError {
        ApiError::invalid(format!("messages.{}.content.{}{problem}", self.message, self.at))
    }

    /// Returns whether the block has this type.
    pub(super) fn is(&self, kind: &str) -> bool {
        self.own.kind == kind
    }
}

/// Consecutive messages with the same role.
pub(super) struct Said<'a> {
    /// The role of the messages.
    pub role: Cow<'a, str>,
    /// The blocks of the messages, in order.
    pub blocks: Vec<Block<'a>>,
}

impl Said<'_> {
    /// Returns whether the messages are from the assistant.
    pub(super) fn is_of_assistant(&self) -> bool {
        self.role == "assistant"
    }

    /// Returns the blocks that call the client's own tools.
    pub(super) fn calls(&self) -> impl Iterator<Item = &Block<'_>> {
        self.blocks.iter().filter(|block| block.is("tool_use"))
    }
}

/// Joins consecutive messages with the same role. Each message in `turns` comes with its index in the request.
pub(super) fn join(turns: Vec<(usize, Turn<'_>)>) -> Result<Vec<Said<'_>>, ApiError> {
    let mut said: Vec<Said<'_>> = Vec::with_capacity(turns.len());
    for (message, turn) in turns {
        let blocks = blocks(message, turn.content)?;
        match said.last_mut() {
            Some(last) if last.role == turn.role => last.blocks.extend(blocks),
            _ => said.push(Said { role: turn.role, blocks }),
        }
    }
    Ok(said)
}

fn blocks(message: usize, content: &RawValue) -> Result<Vec<Block<'_>>, ApiError> {
    if let Ok(Text(text)) = serde_json::from_str::<Text<'_>>(content.get()) {
        let own = Members { kind: Cow::Borrowed("text"), text: Some(text), ..Members::default() };
        return Ok(vec![Block { message, at: 0, own }]);
    }
    let all: Vec<&RawValue> = serde_json::from_str(content.get()).unwrap_or_default();
    let block = |(at, raw)| {
        serde_json::from_str(RawValue::get(raw)).map(|own| Block { message, at, own }).map_err(|_| {
            let place = format!("messages.{message}.content.{at}");
            ApiError::invalid(format!("{place}: Input should be a valid dictionary or object to extract fields from"))
        })
    };
    all.into_iter().enumerate().map(block).collect()
}
