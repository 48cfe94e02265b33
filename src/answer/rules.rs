//! The rules for answers, as the user set them.

use super::schema::Schema;
use crate::domain::{Job, ProviderFeatures, Usage};

/// The rules for answers.
pub struct Rules {
    /// The form that every answer must have.
    pub form: Form,
    /// The conditions that answers must meet, apart from having the right form. Each condition can say why an answer
    /// does not meet it.
    pub conditions: Vec<Condition>,
    /// The action after an invalid answer: an answer that has the wrong form or does not meet a condition.
    pub on_invalid: OnInvalid,
    /// The action after a truncated answer.
    pub on_truncate: OnTruncate,
    /// The action after the model refuses to answer.
    pub on_refusal: OnRefusal,
    /// How many more requests a row may have after its first answer.
    pub max_follow_ups: u32,
    /// The features of the provider. If a request goes to another model, these features decide how the schema is put
    /// into the request.
    pub features: ProviderFeatures,
}

/// A condition on an answer. If the answer does not meet the condition, the function returns a text that says why.
pub type Condition = Box<dyn Fn(&Answer<'_>) -> Result<(), String> + Send>;

/// The parts of an answer that a condition can use.
pub struct Answer<'a> {
    /// The row.
    pub job: &'a Job,
    /// The text of the answer.
    pub text: &'a str,
    /// The part of the answer that should be JSON. If the schema was sent as a tool, this part is the input of the tool
    /// call. Otherwise, this part is the text of the answer, without a code block around the text. This part is not
    /// always JSON.
    pub json: &'a str,
    /// The total usage of all answers to the row.
    pub usage: Usage,
    /// The reason that the API gives for the end of the answer.
    pub stop_reason: Option<&'a str>,
    /// The model to which the request was sent.
    pub model: &'a str,
}

/// The form that every answer must have.
pub enum Form {
    /// Any text.
    Any,
    /// JSON of any kind.
    Json,
    /// JSON that matches a schema.
    Schema(Schema),
}

/// The form that an answer must have if no schema is given (`--expect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any JSON.
    Json,
}

/// What the run does if an answer does not match its schema, is not JSON, or does not meet a condition
/// (`--on-invalid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// A request tells the model what is wrong and asks for a corrected answer.
    Repair,
    /// The same request is sent again.
    Retry,
    /// The row fails.
    Fail,
    /// The answer is kept.
    Keep,
}

impl OnInvalid {
    /// Every choice.
    pub const ALL: [Self; 4] = [Self::Repair, Self::Retry, Self::Fail, Self::Keep];

    /// Returns the name of the action, as the user types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Keep => "keep",
        }
    }
}

/// The action after a truncated answer (`--on-truncate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTruncate {
    /// The answer is kept.
    Keep,
    /// The row fails.
    Fail,
    /// The same request is sent one more time, with a larger `max_tokens`.
    Grow {
        /// The new `max_tokens`. If no number is given, `max_tokens` becomes four times as large as in the first
        /// request. The new `max_tokens` is never above the highest value that the model accepts.
        max_tokens: Option<u32>,
    },
    /// The model is asked to continue the answer. If the model can't continue an answer, the request is sent again with
    /// a larger `max_tokens`.
    Continue,
}

impl OnTruncate {
    /// Returns the action as the user types it.
    pub(crate) fn typed(self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Fail => "fail".to_owned(),
            Self::Grow { max_tokens: None } => "grow".to_owned(),
            Self::Grow { max_tokens: Some(most) } => format!("grow={most}"),
            Self::Continue => "continue".to_owned(),
        }
    }
}

/// The action after the model refuses to answer (`--on-refusal`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// The refusal is kept as the answer.
    Keep,
    /// The row fails.
    Fail,
    /// The request is sent to another model, but only once.
    Model(String),
}

impl OnRefusal {
    /// Returns the action as the user types it.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Fail => "fail".to_owned(),
            Self::Model(name) => format!("model={name}"),
        }
    }
}
