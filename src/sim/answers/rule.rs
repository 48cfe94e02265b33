//! The values of answer rules.

use crate::sim::rules::Selection;

/// The answers to give.
#[derive(Clone, Debug, Default)]
pub struct AnswerPlan {
    /// The seed for choosing the rows of a share; `None` uses the simulator's seed.
    pub seed: Option<u64>,
    /// The rules. The first rule that selects a request is applied.
    pub rules: Vec<AnswerRule>,
}

/// One rule of an answer plan.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerRule {
    /// The requests that it answers.
    pub selection: Selection,
    /// Only requests with these turns, which are counted from 1. If the list is empty, the rule selects all requests.
    pub turns: Vec<u64>,
    /// Only requests whose `max_tokens` is below this number.
    pub max_tokens_below: Option<u64>,
    /// What the answer contains.
    pub content: Content,
    /// Why the answer ends; `None` for the usual reason.
    pub stop_reason: Option<String>,
    /// The part of the answer that is sent, from 0 to 1, as if `max_tokens` had cut it; `None` for the whole answer.
    pub truncated: Option<f64>,
    /// The refusal with which the answer ends.
    pub refusal: Option<Refusal>,
    /// The number of tokens for thinking, if the request asks for thinking.
    pub thinking: Option<u64>,
}

/// What an answer contains.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// What the model would answer without the rule.
    #[default]
    Usual,
    /// A text, if it is not empty, and then calls of tools.
    Said {
        /// The text.
        text: String,
        /// The calls.
        calls: Vec<ToolCall>,
    },
    /// JSON that the schema of the request does not allow: a required property is missing, or the type is wrong.
    BrokenSchema,
    /// Text that is not JSON, although the request asks for JSON.
    NotJson,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The tool's name.
    pub name: String,
    /// Its input: a JSON object.
    pub input: String,
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `stop_details.category`.
    pub category: Option<String>,
    /// The number of tokens of the answer that come before it. If there are no such tokens, the refusal is free.
    pub after: u64,
}
