//! Errors of Claude on Google Cloud: `{"error":{"code","message","status"}}`.
//!
//! Google Cloud also passes on errors of the Claude API. Such errors have the same meaning as at the Claude API. Google
//! Cloud sends no headers about limits.
//!
//! Sources: Google Cloud API design guide, "Errors" (names and statuses); Google, partner models, Claude quotas (about
//! 2026-10); anthropics/claude-code#1440, cline/cline#651, Aider-AI/aider#1912 (the 429, also inside a list); uni-api#41
//! (a model that is not enabled).

use super::meaning::{DAY_IS_OVER, Finding, Meaning, has_any, is_for_a_day, is_too_long};
use crate::domain::{ErrorClass, Failure};

/// The text that is added to an error message if the project has not enabled the model.
const NOT_ENABLED: &str = "enable the model for the project in the console of Google Cloud";

/// Returns the special meaning of an error of Google Cloud; `None` if the error has only the meaning of its status.
pub(super) fn finding(status: u16, failure: &Failure) -> Option<Finding> {
    let has = |words: &[&str]| has_any(failure, words);
    let is_about_model = || has(&["publisher model", "publishers/anthropic/models"]);
    Some(match (failure.kind.as_deref().unwrap_or_default(), status) {
        ("RESOURCE_EXHAUSTED", _) if is_for_a_day(failure) => Meaning::Account.because(DAY_IS_OVER),
        // If the quota of the project is used up, the message names this quota. If the message names no quota, all
        // projects together have used up their shared capacity.
        ("RESOURCE_EXHAUSTED", _) if has(&["quota"]) => Meaning::Limit(None).into(),
        ("RESOURCE_EXHAUSTED", _) => Meaning::Overload.into(),
        ("FAILED_PRECONDITION", _) => Meaning::Model.because(NOT_ENABLED),
        ("PERMISSION_DENIED", _) if has(&["billing"]) => Meaning::Account.into(),
        ("PERMISSION_DENIED", _) if is_about_model() => Meaning::Model.into(),
        ("PERMISSION_DENIED" | "UNAUTHENTICATED", _) => Meaning::Key.into(),
        ("NOT_FOUND", _) => Meaning::Model.into(),
        ("UNIMPLEMENTED", _) => Meaning::Address.into(),
        ("INVALID_ARGUMENT" | "OUT_OF_RANGE", _) if is_too_long(failure) => Meaning::Row(ErrorClass::TooLarge).into(),
        ("CANCELLED" | "ABORTED", _) => Meaning::Fault(ErrorClass::Server).into(),
        _ => return None,
    })
}

/// Returns the real status of an error of Google Cloud that was sent with status 200.
pub(super) fn status_of(name: &str) -> Option<u16> {
    Some(match name {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "ABORTED" | "ALREADY_EXISTS" => 409,
        "RESOURCE_EXHAUSTED" => 429,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::meaning::failure;
    use super::*;

    #[test]
    fn each_error_of_google_has_its_meaning() {
        let quota = "Quota exceeded for aiplatform.googleapis.com/online_prediction_requests_per_base_model";
        let cases = [
            ("RESOURCE_EXHAUSTED", quota, 429, Some(Meaning::Limit(None))),
            ("RESOURCE_EXHAUSTED", "Resource exhausted, please try again later.", 429, Some(Meaning::Overload)),
            ("RESOURCE_EXHAUSTED", "Quota exceeded for tokens per day", 429, Some(Meaning::Account)),
            ("FAILED_PRECONDITION", "The model is not enabled.", 400, Some(Meaning::Model)),
            ("PERMISSION_DENIED", "Permission denied on resource", 403, Some(Meaning::Key)),
            ("PERMISSION_DENIED", "This API method requires billing to be enabled", 403, Some(Meaning::Account)),
            ("UNAUTHENTICATED", "Request had invalid authentication credentials.", 401, Some(Meaning::Key)),
            ("NOT_FOUND", "Publisher Model was not found", 404, Some(Meaning::Model)),
            ("INVALID_ARGUMENT", "Request contains an invalid argument.", 400, None),
            ("UNAVAILABLE", "x", 503, None),
        ];

        for (kind, message, status, expected) in cases {
            let found = finding(status, &failure(kind, message)).map(|finding| finding.meaning);
            assert_eq!(found, expected, "{kind} {message}");
        }
    }
}
