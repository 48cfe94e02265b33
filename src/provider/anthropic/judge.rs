//! Decides what a reply of the Messages API means for its row, for its pool (the requests that share its limits), and
//! for the run.
//!
//! The judge is a pure function, and returns exactly one verdict on every reply. The verdict depends on the status,
//! `error.type` and `details.error_code`. The text of a message matters only if it begins like an entry of
//! [`ACCOUNT_MESSAGES`]. Errors that only other platforms send are judged in [`super::platform`]. The scheduler knows
//! the earlier replies, so the scheduler decides how to act on a verdict. The scheduler decides how long to wait, when
//! to give up, and what a 403 before the first success means.
//!
//! Sources: the fact sheet of the API of 2026-11 (errors, and the retry policy of the official clients), and the policy
//! table, whose rows are listed in `tests/exchange/policy.rs`.

use std::time::Duration;

use http::header::LOCATION;

use super::platform;
use crate::domain::{ErrorClass, Failure, HaltReason, LimitKind, ProviderKind, RateSignals, Verdict, shortened};
use crate::provider::{Reply, ReplyHead};

/// Prefixes of error messages. If an error has status 400 and its message begins with one of these prefixes, the
/// account has no credit left (2026-08-22).
///
/// Errors about credit have the same status and type as ordinary bad requests, so only the text of the message shows
/// the difference. For all other errors of the Claude API, the text does not matter.
const ACCOUNT_MESSAGES: [&str; 3] = [
    "Your credit balance is too low",
    "You have reached your specified API usage limits",
    "You have reached your specified workspace API usage limits",
];

/// If `details.error_code` has one of these values, no request of the account can succeed.
const ACCOUNT_CODES: [&str; 5] = [
    "enforced_spend_limit_reached",
    "contract_spend_limit_reached",
    "linked_organization_spend_limit_reached",
    "linked_organization_billing_unavailable",
    "organization_on_hold",
];

const RAMP_CODE: &str = "ramp_limit_exceeded";

/// Returns the verdict on a reply of a provider of this kind: what the reply means for its row, its pool and the run.
/// `signals` are the rate signals in the reply's headers.
pub(super) fn judge(kind: ProviderKind, head: &ReplyHead, reply: Reply, signals: &RateSignals) -> Verdict {
    match reply {
        Reply::Message(message) => Verdict::Answered(message),
        Reply::Broken { failure } => {
            Verdict::Transient { class: ErrorClass::InvalidOutput, retry_after: None, maybe_paid: true, failure }
        }
        Reply::Unfinished { message, failure } => Verdict::Paused { message, failure },
        Reply::Error { failure, is_in_stream, retry_after } => {
            let waits = signals.retry_after.max(retry_after);
            if is_in_stream || head.is_success() {
                return after_success(kind, head, failure, waits, signals);
            }
            if (300..400).contains(&head.status) {
                return Verdict::Halt(redirect(failure, head));
            }
            let verdict = by_platform(kind, head, head.status, failure, waits, signals);
            obey_should_retry(verdict, head.status, signals.should_retry)
        }
    }
}

/// Judges an error in a response with status 200. The type of the error shows which status the error would have in an
/// ordinary error response.
///
/// The answer had begun, so the attempt may have been billed. The advice on retries in the headers is ignored, because
/// the headers were sent before the error happened.
fn after_success(
    kind: ProviderKind,
    head: &ReplyHead,
    failure: Failure,
    waits: Option<Duration>,
    signals: &RateSignals,
) -> Verdict {
    let status = platform::status_in_body(kind, &failure, known_status_of(failure.kind.as_deref()));
    match by_platform(kind, head, status, failure, waits, signals) {
        Verdict::Overloaded { retry_after, failure, .. } => {
            Verdict::Overloaded { retry_after, maybe_paid: true, failure }
        }
        Verdict::Transient { class, retry_after, failure, .. } => {
            Verdict::Transient { class, retry_after, maybe_paid: true, failure }
        }
        other => other,
    }
}

/// If an error has a special meaning at this kind of provider, judges the error by this meaning. An error without a
/// special meaning is judged by its status.
fn by_platform(
    kind: ProviderKind,
    head: &ReplyHead,
    status: u16,
    failure: Failure,
    retry_after: Option<Duration>,
    signals: &RateSignals,
) -> Verdict {
    let usual = |failure| by_status(status, failure, retry_after, signals);
    platform::verdict(kind, status, failure, head, retry_after, usual)
}

/// Returns the HTTP status that the API uses for errors of this type.
pub(super) fn status_of(kind: Option<&str>) -> u16 {
    known_status_of(kind).unwrap_or(500)
}

fn known_status_of(kind: Option<&str>) -> Option<u16> {
    Some(match kind {
        Some("invalid_request_error") => 400,
        Some("authentication_error") => 401,
        Some("billing_error") => 402,
        Some("permission_error") => 403,
        Some("not_found_error") => 404,
        Some("conflict_error") => 409,
        Some("request_too_large") => 413,
        Some("rate_limit_error") => 429,
        Some("timeout_error") => 504,
        Some("overloaded_error") => 529,
        _ => return None,
    })
}

fn by_status(status: u16, failure: Failure, retry_after: Option<Duration>, signals: &RateSignals) -> Verdict {
    if is_account_fault(status, &failure, retry_after) {
        return Verdict::Halt(HaltReason::Account(failure));
    }
    match status {
        401 => Verdict::Halt(HaltReason::Key(failure)),
        402 => Verdict::Halt(HaltReason::Account(failure)),
        403 => Verdict::Forbidden(failure),
        404 => Verdict::NoModel(failure),
        // A 407 comes only from a proxy. If a proxy answers with 407, it blocks every request.
        407 => Verdict::Halt(HaltReason::Proxy(failure)),
        408 => transient(ErrorClass::Timeout, retry_after, false, failure),
        409 | 425 => transient(ErrorClass::Server, retry_after, false, failure),
        413 => Verdict::Rejected { class: ErrorClass::TooLarge, failure },
        429 => limited(failure, retry_after, signals),
        500.. if is_overload(status, &failure) => Verdict::Overloaded { retry_after, maybe_paid: false, failure },
        500.. => {
            let maybe_paid = is_lost_behind_a_gateway(status, &failure);
            transient(class_of_fault(status), retry_after, maybe_paid, failure)
        }
        _ => Verdict::Rejected { class: ErrorClass::InvalidRequest, failure },
    }
}

/// Returns whether the failure means that no request of this account can succeed.
fn is_account_fault(status: u16, failure: &Failure, retry_after: Option<Duration>) -> bool {
    let code = failure.code.as_deref().unwrap_or_default();
    if ACCOUNT_CODES.contains(&code) {
        return true;
    }
    let is_other_spend_limit = status == 429 && retry_after.is_none() && code.contains("spend");
    let says_so = status == 400 && ACCOUNT_MESSAGES.iter().any(|start| failure.message.starts_with(start));
    is_other_spend_limit || says_so
}

/// Returns the most likely reason for a 429, judged from a single response. If needed, the scheduler corrects the
/// reason `Concurrency`, because the scheduler knows whether its own token buckets had room.
fn limited(failure: Failure, retry_after: Option<Duration>, signals: &RateSignals) -> Verdict {
    let kind = if failure.code.as_deref() == Some(RAMP_CODE) {
        LimitKind::Acceleration
    } else if signals.has_limits() || retry_after.is_some() {
        LimitKind::Rate
    } else {
        LimitKind::Concurrency
    };
    Verdict::Limited { kind, retry_after, failure }
}

fn is_overload(status: u16, failure: &Failure) -> bool {
    status == 529 || failure.kind.as_deref() == Some("overloaded_error")
}

fn class_of_fault(status: u16) -> ErrorClass {
    match status {
        504 | 522 | 524 => ErrorClass::Timeout,
        _ => ErrorClass::Server,
    }
}

/// Returns true if a gateway gave up on the request while the API may still be processing the request.
///
/// The API's own errors have a type, and a request that ends with such an error is not billed. An error page of a
/// gateway does not say whether the API processes the request. Only 503, 521, 522 and 523 mean that the gateway never
/// passed the request on.
fn is_lost_behind_a_gateway(status: u16, failure: &Failure) -> bool {
    matches!(status, 502 | 504 | 520 | 524) && failure.kind.is_none()
}

/// If the failure concerns a single row, changes the verdict as `x-should-retry` says. `x-should-retry` has no effect
/// on rate limits, overload and failures that stop the run, because these have rules of their own.
fn obey_should_retry(verdict: Verdict, status: u16, should_retry: Option<bool>) -> Verdict {
    match (verdict, should_retry) {
        (Verdict::Rejected { class, failure }, Some(true)) if (400..500).contains(&status) => {
            transient(class, None, false, failure)
        }
        (Verdict::Transient { class, failure, .. }, Some(false)) => Verdict::Rejected { class, failure },
        (verdict, _) => verdict,
    }
}

/// Returns the reason to stop the run after a redirect (a reply that names another address of the API). A redirect does
/// not depend on the row, so the whole run stops. Nothing is sent to the address in the redirect, because the key would
/// be sent along.
fn redirect(failure: Failure, head: &ReplyHead) -> HaltReason {
    let location = head.headers.get(LOCATION).and_then(|value| value.to_str().ok());
    // The body of the redirect is not kept, because it repeats the whole address, including the parts that this
    // function leaves out.
    HaltReason::Redirect { to: location.and_then(place), failure: Failure { message: String::new(), ..failure } }
}

/// Returns the address to which a redirect leads: scheme, host, port and path. If the redirect stays on the same
/// server, returns only the path.
///
/// User name, password, query and fragment are left out, because they can contain secrets.
fn place(location: &str) -> Option<String> {
    let bare = location.split(['?', '#']).next().unwrap_or_default();
    let uri: http::Uri = bare.parse().ok()?;
    let place = match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some(scheme), Some(host), Some(port)) => format!("{scheme}://{host}:{port}{}", uri.path()),
        (Some(scheme), Some(host), None) => format!("{scheme}://{host}{}", uri.path()),
        (None, None, None) if bare.starts_with('/') && !bare.starts_with("//") => bare.to_owned(),
        _ => return None,
    };
    Some(shortened(&place).into_owned())
}

fn transient(class: ErrorClass, retry_after: Option<Duration>, maybe_paid: bool, failure: Failure) -> Verdict {
    Verdict::Transient { class, retry_after, maybe_paid, failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_names_its_address_without_parts_that_may_be_secret() {
        for (location, expected) in [
            ("https://other.example:8443/p/v1/messages?key=1", Some("https://other.example:8443/p/v1/messages")),
            ("https://user:pass@other.example/p#part", Some("https://other.example/p")),
            ("https://other.example", Some("https://other.example/")),
            ("/login?next=%2Fv1%2Fmessages", Some("/login")),
            ("//other.example/p", None),
            ("elsewhere", None),
            ("?key=1", None),
            ("", None),
            ("::", None),
        ] {
            assert_eq!(place(location).as_deref(), expected, "{location}");
        }
        assert!(place(&format!("/{}", "x".repeat(5_000))).is_some_and(|place| place.chars().count() <= 201));
    }
}
