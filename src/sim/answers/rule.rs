//! The types for the rules of scripted answers.

use crate::sim::rules::Selection;

/// The scripted answers: a list of rules and a seed.
#[derive(Clone, Debug, Default)]
pub struct AnswerPlan {
    /// The seed that chooses the rows of a share; with `None`, the simulator's seed is used.
    pub seed: Option<u64>,
    /// The rules. The first rule that selects a request is applied.
    pub rules: Vec<AnswerRule>,
}

/// One rule for scripted answers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AnswerRule {
    /// The requests that get the answer of this rule.
    pub selection: Selection,
    /// The turns that the rule applies to, counted from 1; empty if the turn does not matter. A request's turn is its
    /// number of assistant messages plus 1.
    pub turns: Vec<u64>,
    /// If set, the rule selects only requests with a `max_tokens` below this number.
    pub max_tokens_below: Option<u64>,
    /// The content of the answer.
    pub content: Content,
    /// The stop reason of the answer; `None` for the usual reason.
    pub stop_reason: Option<String>,
    /// Which share of the answer is sent, from 0 to 1; `None` for the whole answer. The answer ends as if `max_tokens`
    /// had truncated it.
    pub truncated: Option<f64>,
    /// The refusal at the end of the answer.
    pub refusal: Option<Refusal>,
    /// The number of thinking tokens, if the request asks for thinking.
    pub thinking: Option<u64>,
}

/// The content of a scripted answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// The answer has the content that it would have without the rule.
    #[default]
    Usual,
    /// The answer has the text, followed by the tool calls. An empty text is left out.
    Said {
        /// The text.
        text: String,
        /// The calls.
        calls: Vec<ToolCall>,
    },
    /// The answer is JSON that breaks the schema of the request: a required property is missing, or a type is wrong.
    BrokenSchema,
    /// The answer is text that is not JSON, although the request asks for JSON.
    NotJson,
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    /// The name of the called tool.
    pub name: String,
    /// The input of the tool, as JSON text of an object.
    pub input: String,
}

/// A refusal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// The value of `stop_details.category`.
    pub category: Option<String>,
    /// How many tokens of the answer come before the refusal. If the value is 0, the answer is free.
    pub after: u64,
}
