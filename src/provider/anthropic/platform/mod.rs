//! Says what the errors of other platforms mean if these errors differ from the errors of the Claude API.
//!
//! There is one file per family of platforms. Each file lists a platform's error names, message texts and headers, and
//! the sources for them. If an error is not in the platform's file, the error's status has the same meaning as at the
//! Claude API.

pub(super) mod aws;
mod google;
mod litellm;
mod meaning;
pub(super) mod openrouter;
mod servers;

use std::time::Duration;

use self::meaning::{Finding, Meaning};
use crate::domain::{Failure, HaltReason, LimitKind, ProviderKind, Verdict};
use crate::provider::ReplyHead;

/// Returns the verdict on an error. If the error has no special meaning on this platform, `usual` makes the verdict.
/// `status` is the HTTP status of the response, or the status that is written in its body. `retry_after` is the wait
/// that the server asks for.
pub(super) fn verdict(
    kind: ProviderKind,
    status: u16,
    mut failure: Failure,
    head: &ReplyHead,
    retry_after: Option<Duration>,
    usual: impl FnOnce(Failure) -> Verdict,
) -> Verdict {
    let Some(Finding { meaning, note }) = finding(kind, status, &failure, head) else { return usual(failure) };
    if let Some(note) = note {
        failure.message = format!("{}; {note}", failure.message.trim_end_matches('.'));
    }
    match meaning {
        Meaning::Limit(wait) => Verdict::Limited { kind: LimitKind::Rate, retry_after: retry_after.max(wait), failure },
        Meaning::Overload => Verdict::Overloaded { retry_after, maybe_paid: false, failure },
        Meaning::Fault(class) => Verdict::Transient { class, retry_after, maybe_paid: false, failure },
        Meaning::Row(class) => Verdict::Rejected { class, failure },
        Meaning::Model => Verdict::NoModel(failure),
        Meaning::Key => Verdict::Halt(HaltReason::Key(failure)),
        Meaning::Account => Verdict::Halt(HaltReason::Account(failure)),
        Meaning::Address => Verdict::Halt(HaltReason::Endpoint(failure)),
    }
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

/// For an error in a response with status 200, returns the status that the body of the error names. `usual` is the
/// status that the Claude API uses for errors of this name.
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

#[cfg(test)]
mod tests {
    use super::meaning::{DAY_IS_OVER, failure};
    use super::*;

    #[test]
    fn a_note_follows_the_message() {
        let head = ReplyHead { status: 429, headers: http::HeaderMap::new() };
        let daily = failure("ThrottlingException", "Too many tokens per day.");

        let found = verdict(ProviderKind::Bedrock, 429, daily, &head, None, Verdict::Forbidden);
        let Verdict::Halt(HaltReason::Account(failure)) = found else { panic!("the account is halted") };

        assert_eq!(failure.message, format!("Too many tokens per day; {DAY_IS_OVER}"));
    }

    #[test]
    fn the_usual_provider_has_no_errors_of_other_platforms() {
        let head = ReplyHead { status: 429, headers: http::HeaderMap::new() };
        let daily = failure("ThrottlingException", "Too many tokens per day.");

        let found = verdict(ProviderKind::Anthropic, 429, daily.clone(), &head, None, Verdict::Forbidden);
        assert!(matches!(found, Verdict::Forbidden(_)), "the usual verdict is used");
        let numbered = Failure { code: Some("429".to_owned()), ..daily };
        assert_eq!(status_in_body(ProviderKind::Anthropic, &numbered, None), 500);
        assert_eq!(status_in_body(ProviderKind::OpenRouter, &numbered, None), 429);
    }
}
