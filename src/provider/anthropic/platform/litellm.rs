//! Errors of a LiteLLM proxy: `{"error":{"message","type","param","code"}}`.
//!
//! The headers of the platform behind the proxy have `llm_provider-` in front of their names (`super::super::headers`).
//! On the Messages path, a 429 of the proxy has no `retry-after` header of its own.
//!
//! Sources: PyPI litellm 1.110.2; BerriAI/litellm#21553, #37754 (lost `retry-after`).

use std::time::Duration;

use super::meaning::{DAY_IS_OVER, Finding, Meaning, has_any, is_for_a_day, is_too_long};
use crate::domain::{ErrorClass, Failure};

/// Returns the special meaning of an error of the proxy; `None` if the status alone says what the error means.
pub(super) fn finding(status: u16, failure: &Failure) -> Option<Finding> {
    let has = |words: &[&str]| has_any(failure, words);
    Some(match status {
        _ if has(&["budget_exceeded", "budget has been exceeded", "exceededbudget"]) => Meaning::Account.into(),
        400 if has(&["no connected db", "no_db_connection"]) => Meaning::Key.because(ONLY_ITS_MASTER_KEY),
        400 | 401 | 403 | 404
            if has(&["invalid model name", "key_model_access_denied", "not allowed to access model"]) =>
        {
            Meaning::Model.into()
        }
        400 | 413 | 500 if is_too_long(failure) => Meaning::Row(ErrorClass::TooLarge).into(),
        429 if is_for_a_day(failure) => Meaning::Account.because(DAY_IS_OVER),
        429 => Meaning::Limit(wait(&failure.message)).into(),
        _ => return None,
    })
}

/// The text that is added to the error message when a proxy without a database rejects a key.
const ONLY_ITS_MASTER_KEY: &str = "a proxy without a database accepts only its master key: check the key";

/// Returns the waiting time in a message such as "No deployments available for selected model, Try again in 5 seconds".
fn wait(message: &str) -> Option<Duration> {
    let (_, rest) = message.split_once("ry again in ")?;
    let (number, unit) = rest.split_once(' ')?;
    let seconds: u64 = number.parse().ok().filter(|seconds| (1..=86_400).contains(seconds))?;
    unit.starts_with("second").then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::super::meaning::failure;
    use super::*;

    #[test]
    fn each_error_of_a_proxy_has_its_meaning() {
        let five = Meaning::Limit(Some(Duration::from_secs(5)));
        let cases = [
            (429, "", "litellm.RateLimitError: AnthropicException", Some(Meaning::Limit(None))),
            (429, "", "No deployments available for selected model, Try again in 5 seconds.", Some(five)),
            (
                400,
                "budget_exceeded",
                "Budget has been exceeded! Current cost: 1, Max budget: 1",
                Some(Meaning::Account),
            ),
            (400, "", "Invalid model name passed in model=x", Some(Meaning::Model)),
            (401, "key_model_access_denied", "key not allowed to access model", Some(Meaning::Model)),
            (400, "no_db_connection", "No connected db.", Some(Meaning::Key)),
            (401, "auth_error", "Authentication Error, Invalid proxy server token passed", None),
            (
                400,
                "",
                "litellm.ContextWindowExceededError: prompt is too long",
                Some(Meaning::Row(ErrorClass::TooLarge)),
            ),
            (503, "", "litellm.ServiceUnavailableError", None),
        ];

        for (status, kind, message, expected) in cases {
            let found = finding(status, &failure(kind, message)).map(|finding| finding.meaning);
            assert_eq!(found, expected, "{status} {message}");
        }
    }
}
