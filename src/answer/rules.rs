//! The rules for answers, as the user set them.

use super::schema::Schema;
use crate::domain::{Job, ProviderFeatures, Usage};

/// The rules for answers.
pub struct Rules {
    /// Which text every answer must be.
    pub form: Form,
    /// Further conditions. Each one says in words why an answer does not meet it.
    pub conditions: Vec<Condition>,
    /// What happens after an answer that is not as required.
    pub on_invalid: OnInvalid,
    /// What happens after a truncated answer.
    pub on_truncate: OnTruncate,
    /// What happens after a refusal.
    pub on_refusal: OnRefusal,
    /// How many requests a row may have after its first answer.
    pub max_follow_ups: u32,
    /// What the provider can do. It decides how a schema is put into a request to another model.
    pub features: ProviderFeatures,
}

/// A condition on an answer. If the answer does not meet it, the condition returns why, in words.
pub type Condition = Box<dyn Fn(&Answer<'_>) -> Result<(), String> + Send>;

/// An answer, as a condition sees it.
pub struct Answer<'a> {
    /// The row.
    pub job: &'a Job,
    /// The text of the answer.
    pub text: &'a str,
    /// The JSON text of the answer: its text without a fence around it, or the input of the tool call that a schema asks
    /// for. It need not be JSON.
    pub json: &'a str,
    /// What all answers to the row have used.
    pub usage: Usage,
    /// The API's reason why the answer ended.
    pub stop_reason: Option<&'a str>,
    /// The model that was asked.
    pub model: &'a str,
}

/// Which text every answer must be.
pub enum Form {
    /// Any text.
    Any,
    /// JSON of any kind.
    Json,
    /// JSON that matches a schema.
    Schema(Schema),
}

/// What an answer must be, if there is no schema for it (`--expect`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Any JSON.
    Json,
}

/// What happens after an answer that does not match its schema, is not JSON, or does not meet a condition
/// (`--on-invalid`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnInvalid {
    /// The model is told what is wrong, and asked for a corrected answer.
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

    /// Returns the name as it is typed.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Repair => "repair",
            Self::Retry => "retry",
            Self::Fail => "fail",
            Self::Keep => "keep",
        }
    }
}

/// What happens after a truncated answer (`--on-truncate`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTruncate {
    /// The answer is kept.
    Keep,
    /// The row fails.
    Fail,
    /// The same request is sent once more, with a larger `max_tokens`.
    Grow {
        /// The new `max_tokens`. If it is not given, `max_tokens` is four times as large as in the first request. It is
        /// never above the highest value that the model accepts.
        max_tokens: Option<u32>,
    },
    /// The model is asked to continue the answer. If the model can't do that, the answer grows.
    Continue,
}

impl OnTruncate {
    /// Returns the choice as it is typed.
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

/// What happens after a refusal (`--on-refusal`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnRefusal {
    /// The refusal is kept as the answer.
    Keep,
    /// The row fails.
    Fail,
    /// Another model is asked once.
    Model(String),
}

impl OnRefusal {
    /// Returns the choice as it is typed.
    pub(crate) fn typed(&self) -> String {
        match self {
            Self::Keep => "keep".to_owned(),
            Self::Fail => "fail".to_owned(),
            Self::Model(name) => format!("model={name}"),
        }
    }
}
