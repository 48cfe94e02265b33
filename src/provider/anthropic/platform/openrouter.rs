//! Errors of OpenRouter: `{"error":{"code","message","metadata"}}`.
//!
//! The member `code` is the HTTP status of the error. If an error happens after a model has begun to answer, the
//! response has status 200, and the error is in its body or stream.
//!
//! Source: OpenRouter documentation, "Errors and debugging" and "Limits" (2026); earendil-works/pi#7995 (the Messages
//! path, 2026-08-21).

use serde_json::Value;

use super::meaning::{DAY_IS_OVER, Finding, Meaning, has_any, is_for_a_day, is_too_long};
use crate::domain::{ErrorClass, Failure};

/// Returns the special meaning of an error of OpenRouter; `None` if the error has only the meaning of its status.
pub(super) fn finding(status: u16, failure: &Failure) -> Option<Finding> {
    let has = |words: &[&str]| has_any(failure, words);
    Some(match status {
        400 | 413 | 422 if is_too_long(failure) => Meaning::Row(ErrorClass::TooLarge).into(),
        400 if has(&["not a valid model", "no models provided"]) => Meaning::Model.into(),
        403 if has(&["key limit", "limit exceeded"]) => Meaning::Account.into(),
        // A moderation check flagged the input.
        403 => Meaning::Row(ErrorClass::Refused).into(),
        408 => Meaning::Fault(ErrorClass::Timeout).into(),
        429 if is_for_a_day(failure) => Meaning::Account.because(DAY_IS_OVER),
        _ => return None,
    })
}

/// Returns the facts in `error.metadata` that are added to the message. `error.metadata` can say whose limit is used
/// up, and why the input was flagged. `error.metadata` can also contain the message of the provider behind OpenRouter.
pub(in crate::provider::anthropic) fn more(json: &Value) -> Option<String> {
    let metadata = json.pointer("/error/metadata")?;
    let string = |name: &str| metadata.get(name).and_then(Value::as_str);
    let reasons = || {
        let reasons = metadata.get("reasons")?.as_array()?.iter().filter_map(Value::as_str).collect::<Vec<_>>();
        (!reasons.is_empty()).then(|| format!("flagged for {}", reasons.join(", ")))
    };
    let limit = || string("limit_source").map(|source| format!("this is the limit of the {source}"));
    let raw = || string("raw").filter(|raw| !raw.is_empty()).map(str::to_owned);
    limit().or_else(reasons).or_else(raw)
}

#[cfg(test)]
mod tests {
    use super::super::meaning::failure;
    use super::*;

    #[test]
    fn each_error_of_openrouter_has_its_meaning() {
        let cases = [
            (400, "claude-x is not a valid model ID", Some(Meaning::Model)),
            (400, "This endpoint's maximum context length is 200000 tokens", Some(Meaning::Row(ErrorClass::TooLarge))),
            (400, "messages: too short", None),
            (402, "Insufficient credits", None),
            (403, "Input was flagged", Some(Meaning::Row(ErrorClass::Refused))),
            (403, "Key limit exceeded (total limit)", Some(Meaning::Account)),
            (408, "Timed out", Some(Meaning::Fault(ErrorClass::Timeout))),
            (429, "Rate limit exceeded: free-models-per-day", Some(Meaning::Account)),
            (429, "Rate limit exceeded: free-models-per-min", None),
            (502, "Provider returned error", None),
        ];

        for (status, message, expected) in cases {
            let found = finding(status, &failure("", message)).map(|finding| finding.meaning);
            assert_eq!(found, expected, "{status} {message}");
        }
    }

    #[test]
    fn the_metadata_says_whose_fault_it_is() {
        let of = |metadata: &str| {
            more(&serde_json::from_str(&format!(r#"{{"error":{{"metadata":{metadata}}}}}"#)).expect("JSON"))
        };

        assert_eq!(of(r#"{"limit_source":"key"}"#).as_deref(), Some("this is the limit of the key"));
        assert_eq!(of(r#"{"reasons":["hate","x"],"raw":"y"}"#).as_deref(), Some("flagged for hate, x"));
        assert_eq!(of(r#"{"provider_name":"Amazon","raw":"overloaded"}"#).as_deref(), Some("overloaded"));
        assert_eq!(of("{}"), None);
    }
}
