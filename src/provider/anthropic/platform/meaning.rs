//! The meanings that platform errors can have, and the words by which the program recognizes these meanings.

use std::time::Duration;

use crate::domain::{ErrorClass, Failure};

/// The meaning of an error of a platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// A limit is used up. The value says how long the limit stays used up; `None` if the platform does not say this.
    Limit(Option<Duration>),
    /// The platform has no capacity for anybody at the moment.
    Overload,
    /// The error can be temporary: another attempt may succeed.
    Fault(ErrorClass),
    /// The error lies in the request: no attempt of this row can succeed.
    Row(ErrorClass),
    /// The platform does not serve the requested model, or does not serve it to this account.
    Model,
    /// The key, the token or its signature is not accepted.
    Key,
    /// The account has no credit or quota left.
    Account,
    /// The address does not lead to the Messages API.
    Address,
}

/// The meaning of an error, and the text that is added to its message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Finding {
    pub meaning: Meaning,
    pub note: Option<String>,
}

impl From<Meaning> for Finding {
    fn from(meaning: Meaning) -> Self {
        Self { meaning, note: None }
    }
}

impl Meaning {
    /// Returns this meaning, together with a text that is added to the error message.
    pub(super) fn because(self, note: impl Into<String>) -> Finding {
        Finding { meaning: self, note: Some(note.into()) }
    }
}

/// Returns whether a message says that the input does not fit the context window of the model.
pub(super) fn is_too_long(failure: &Failure) -> bool {
    /// The words come from messages of vLLM, llama.cpp, Ollama, SGLang, LM Studio, LiteLLM and Bedrock (2026).
    const WORDS: [&str; 10] = [
        "context length",
        "context window",
        "context size",
        "contextwindowexceeded",
        "exceed_context_size",
        "maximum context",
        "prompt is too long",
        "input is too long",
        "too many input tokens",
        "input length",
    ];
    has_any(failure, &WORDS)
}

/// Returns whether a message says that a quota for a day or a longer time is used up.
pub(super) fn is_for_a_day(failure: &Failure) -> bool {
    has_any(failure, &["per day", "per-day", "perday", "daily", "per month", "monthly"])
}

/// The text that is added to an error message if a quota for a day is used up.
pub(super) const DAY_IS_OVER: &str = "this is a quota for a day or longer: resume the run when the quota is renewed, or ask the platform for a higher one";

/// Returns whether the message, the kind or the code of a failure contains one of `words`. Upper and lower case are
/// treated alike.
pub(super) fn has_any(failure: &Failure, words: &[&str]) -> bool {
    let texts = [Some(&failure.message), failure.kind.as_ref(), failure.code.as_ref()];
    texts
        .into_iter()
        .flatten()
        .map(|text| text.to_ascii_lowercase())
        .any(|text| words.iter().any(|word| text.contains(word)))
}

/// Returns a failure with this kind and this message.
#[cfg(test)]
pub(super) fn failure(kind: &str, message: &str) -> Failure {
    let kind = (!kind.is_empty()).then(|| kind.to_owned());
    Failure { kind, message: message.to_owned(), ..Failure::default() }
}
