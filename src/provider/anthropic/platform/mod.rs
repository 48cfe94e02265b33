//! What the errors of each platform mean, where they differ from those of the Claude API.
//!
//! There is one file for each family of platforms. A file has the platform's names of errors, its words and its headers,
//! with their sources. An error that a file does not know means the same as an error of the API with this status.

pub(super) mod aws;
mod google;
mod litellm;
pub(super) mod openrouter;
mod servers;

use std::time::Duration;

use crate::domain::{ErrorClass, Failure, HaltReason, LimitKind, ProviderKind, Verdict};
use crate::provider::ReplyHead;

/// What an error of a platform means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A limit is used up. `None` if the platform does not say how long.
    Limit(Option<Duration>),
    /// The platform has no capacity at the moment, whoever asks.
    Overload,
    /// Another try may succeed.
    Fault(ErrorClass),
    /// This row can't succeed.
    Row(ErrorClass),
    /// The platform does not serve this model, or not to this account.
    Model,
    /// The key, the token or its signature is not accepted.
    Key,
    /// The account has no credit or quota left.
    Account,
    /// The address does not lead to the Messages API.
    Address,
}

/// What an error means, and what is added to its message.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    meaning: Meaning,
    note: Option<String>,
}

impl From<Meaning> for Finding {
    fn from(meaning: Meaning) -> Self {
        Self { meaning, note: None }
    }
}

impl Meaning {
    /// Returns this meaning with text that is added to the message of the error.
    fn because(self, note: impl Into<String>) -> Finding {
        Finding { meaning: self, note: Some(note.into()) }
    }
}

/// Returns the verdict on an error that this platform uses in a way of its own; otherwise the failure itself. `status` is
/// the status of the head, or the one that the body names. `retry_after` is the wait that the server asks for.
pub(super) fn verdict(
    kind: ProviderKind,
    status: u16,
    mut failure: Failure,
    head: &ReplyHead,
    retry_after: Option<Duration>,
) -> Result<Verdict, Failure> {
    let Some(Finding { meaning, note }) = finding(kind, status, &failure, head) else { return Err(failure) };
    if let Some(note) = note {
        failure.message = format!("{}; {note}", failure.message.trim_end_matches('.'));
    }
    Ok(match meaning {
        Meaning::Limit(wait) => Verdict::Limited { kind: LimitKind::Rate, retry_after: retry_after.max(wait), failure },
        Meaning::Overload => Verdict::Overloaded { retry_after, maybe_paid: false, failure },
        Meaning::Fault(class) => Verdict::Transient { class, retry_after, maybe_paid: false, failure },
        Meaning::Row(class) => Verdict::Rejected { class, failure },
        Meaning::Model => Verdict::NoModel(failure),
        Meaning::Key => Verdict::Halt(HaltReason::Key(failure)),
        Meaning::Account => Verdict::Halt(HaltReason::Account(failure)),
        Meaning::Address => Verdict::Halt(HaltReason::Endpoint(failure)),
    })
}

fn finding(kind: ProviderKind, status: u16, failure: &Failure, head: &ReplyHead) -> Option<Finding> {
    match kind {
        ProviderKind::Anthropic => None,
        ProviderKind::Aws | ProviderKind::Bedrock | ProviderKind::BedrockMantle => aws::finding(failure, head),
        ProviderKind::Google => google::finding(status, failure),
        ProviderKind::OpenRouter => openrouter::finding(status, failure),
        ProviderKind::LiteLlm => litellm::finding(status, failure),
        ProviderKind::Foundry | ProviderKind::Messages => servers::finding(status, failure),
    }
}

/// Returns the status of an error that came after a 200 head: the one that its body names. `usual` is the status that the
/// API's own name of the error has.
pub(super) fn status_in_body(kind: ProviderKind, failure: &Failure, usual: Option<u16>) -> u16 {
    let named = match kind {
        ProviderKind::Anthropic => None,
        ProviderKind::Aws | ProviderKind::Bedrock | ProviderKind::BedrockMantle => {
            failure.kind.as_deref().and_then(aws::status_of)
        }
        ProviderKind::Google => failure.kind.as_deref().and_then(google::status_of),
        ProviderKind::OpenRouter | ProviderKind::LiteLlm | ProviderKind::Foundry | ProviderKind::Messages => None,
    };
    let number = || failure.code.as_deref().and_then(|code| code.parse().ok()).filter(|code| (400..600).contains(code));
    let by_number = || (kind != ProviderKind::Anthropic).then(number).flatten();
    usual.or(named).or_else(by_number).unwrap_or(500)
}

/// Returns whether a message says that the input does not fit the context window of the model.
fn is_too_long(failure: &Failure) -> bool {
    /// Words of vLLM, llama.cpp, Ollama, SGLang, LM Studio, LiteLLM and Bedrock (2026).
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
fn is_for_a_day(failure: &Failure) -> bool {
    has_any(failure, &["per day", "per-day", "perday", "daily", "per month", "monthly"])
}

/// What is added to the message if a quota for a day is used up.
const DAY_IS_OVER: &str = "this is a quota for a day or longer: resume the run when the quota is renewed, or ask the platform for a higher one";

/// Returns whether the message, the kind or the code of a failure has one of these words. Case does not matter.
fn has_any(failure: &Failure, words: &[&str]) -> bool {
    let texts = [Some(&failure.message), failure.kind.as_ref(), failure.code.as_ref()];
    texts
        .into_iter()
        .flatten()
        .map(|text| text.to_ascii_lowercase())
        .any(|text| words.iter().any(|word| text.contains(word)))
}

/// A failure with this kind and this message.
#[cfg(test)]
fn failure(kind: &str, message: &str) -> Failure {
    let kind = (!kind.is_empty()).then(|| kind.to_owned());
    Failure { kind, message: message.to_owned(), ..Failure::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_follows_the_message() {
        let head = ReplyHead { status: 429, headers: http::HeaderMap::new() };
        let daily = failure("ThrottlingException", "Too many tokens per day.");

        let Ok(Verdict::Halt(HaltReason::Account(failure))) = verdict(ProviderKind::Bedrock, 429, daily, &head, None)
        else {
            panic!("the account is halted")
        };

        assert_eq!(failure.message, format!("Too many tokens per day; {DAY_IS_OVER}"));
    }

    #[test]
    fn the_usual_provider_has_no_errors_of_other_platforms() {
        let head = ReplyHead { status: 429, headers: http::HeaderMap::new() };
        let daily = failure("ThrottlingException", "Too many tokens per day.");

        assert!(verdict(ProviderKind::Anthropic, 429, daily.clone(), &head, None).is_err());
        let numbered = Failure { code: Some("429".to_owned()), ..daily };
        assert_eq!(status_in_body(ProviderKind::Anthropic, &numbered, None), 500);
        assert_eq!(status_in_body(ProviderKind::OpenRouter, &numbered, None), 429);
    }
}
