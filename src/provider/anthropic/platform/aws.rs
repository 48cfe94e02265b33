//! Errors of AWS: Claude Platform on AWS, and both Messages endpoints of Amazon Bedrock.
//!
//! An AWS error has a body `{"message":"…"}`. The name of the error is in the header `x-amzn-errortype` or in the
//! member `__type`. The Messages endpoints also send errors in the form of the Claude API. These errors mean the same
//! as errors of the Claude API.
//!
//! If the path of a request is unknown, AWS answers with status 200 and a body that names `UnknownOperationException`.
//!
//! AWS sends no headers about limits, and often no `retry-after`. If the tokens per day are used up, the program stops
//! using the account. Waiting a few minutes would not help, and the platform does not say when the quota is renewed.
//!
//! Sources: botocore 1.44.8, service model bedrock-runtime (errors and their statuses); Aider-AI/aider#4143,
//! anthropics/claude-code#77 and #1466, cline/cline#4196 (messages); a public record of live tests of 2026-09-05
//! (unknown operations in a 200); AWS General Reference, "Signature Version 4 troubleshooting" (words about clocks).

use http::header::DATE;
use jiff::civil::DateTime;
use serde_json::Value;

use super::super::text;
use super::meaning::{DAY_IS_OVER, Finding, Meaning, has_any, is_for_a_day, is_too_long};
use crate::domain::{ErrorClass, Failure};
use crate::provider::ReplyHead;

/// The text that is added to an error message if only an inference profile serves the model.
const NEEDS_PROFILE: &str = "this model needs the name of an inference profile, such as global.anthropic.…: write that \
                             name in `models` of the provider";
/// The text that is added to an error message if the server does not know the path.
const NO_MESSAGES_HERE: &str = "there is no Messages API at this address: check the base-url of the provider";

/// Returns the meaning of an AWS error; `None` if the failure is not an AWS error.
pub(super) fn finding(failure: &Failure, head: &ReplyHead) -> Option<Finding> {
    let name = failure.kind.as_deref().unwrap_or_default();
    let has = |words: &[&str]| has_any(failure, words);
    Some(match name {
        "ThrottlingException" | "TooManyRequestsException" | "rate_limit_error" if is_for_a_day(failure) => {
            Meaning::Account.because(DAY_IS_OVER)
        }
        "ThrottlingException" | "TooManyRequestsException" | "Throttling" | "ThrottledException" => {
            Meaning::Limit(None).into()
        }
        "ModelNotReadyException" => Meaning::Fault(ErrorClass::Server).into(),
        "ServiceQuotaExceededException" => Meaning::Account.into(),
        "ValidationException" if has(&["on-demand throughput"]) => Meaning::Model.because(NEEDS_PROFILE),
        "ValidationException" if has(&["model identifier is invalid", "model id is not supported"]) => {
            Meaning::Model.into()
        }
        "ValidationException" if is_too_long(failure) => Meaning::Row(ErrorClass::TooLarge).into(),
        "ValidationException" | "ConflictException" => Meaning::Row(ErrorClass::InvalidRequest).into(),
        "AccessDeniedException" if has(&["access to the model", "model access"]) => Meaning::Model.into(),
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" | "RequestTimeTooSkewed" => {
            key(failure, head)
        }
        _ if has(&["signature expired", "signature not yet current"]) => key(failure, head),
        "AccessDeniedException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "UnrecognizedClientException" => Meaning::Key.into(),
        "ResourceNotFoundException" => Meaning::Model.into(),
        "ModelTimeoutException" => Meaning::Fault(ErrorClass::Timeout).into(),
        "ModelErrorException" | "ModelStreamErrorException" | "InternalServerException" | "InternalFailure" => {
            Meaning::Fault(ErrorClass::Server).into()
        }
        "ServiceUnavailableException" | "ServiceUnavailable" => Meaning::Fault(ErrorClass::Server).into(),
        "UnknownOperationException" => Meaning::Address.because(NO_MESSAGES_HERE),
        _ => return None,
    })
}

/// Returns the real status of an AWS error that was sent with status 200.
pub(super) fn status_of(name: &str) -> Option<u16> {
    Some(match name {
        "ValidationException" | "ConflictException" | "ServiceQuotaExceededException" => 400,
        "AccessDeniedException" => 403,
        "ResourceNotFoundException" | "UnknownOperationException" => 404,
        "ModelTimeoutException" => 408,
        "ModelErrorException" | "ModelStreamErrorException" => 424,
        "ThrottlingException" | "ModelNotReadyException" => 429,
        "ServiceUnavailableException" => 503,
        _ => return None,
    })
}

/// Returns the name of an AWS error from the response headers.
pub(in crate::provider::anthropic) fn name_in_head(head: &ReplyHead) -> Option<String> {
    head.headers.get("x-amzn-errortype").and_then(|value| value.to_str().ok()).and_then(name)
}

/// Returns the name of an AWS error from the response body.
pub(in crate::provider::anthropic) fn name_in_body(json: &Value) -> Option<String> {
    ["/__type", "/Output/__type"].into_iter().find_map(|place| json.pointer(place)?.as_str()).and_then(name)
}

/// Returns the name of an error without its namespace and its address. For example, returns `Name` for
/// `com.amazon.coral.service#Name:http://…`.
fn name(text: &str) -> Option<String> {
    let local = text.split(':').next().unwrap_or_default();
    text::name(local.rsplit('#').next().unwrap_or_default().trim())
}

/// Returns what the rejection of a signature means. If the message or the server's date shows that a clock is wrong, a
/// text about the clock is added to the error message.
fn key(failure: &Failure, head: &ReplyHead) -> Finding {
    let server_date = || head.headers.get(DATE).and_then(|date| date.to_str().ok());
    match (clock_words(&failure.message), server_date()) {
        (Some(words), _) => Meaning::Key.because(words),
        (None, Some(date)) if has_any(failure, &["expired", "not yet current", "skewed"]) => Meaning::Key.because(
            format!("the server's clock says {}: compare it with the clock of this machine", text::clean(date)),
        ),
        (None, _) => Meaning::Key.into(),
    }
}

/// Reads a message about a signature, and returns what it shows about the clock of this machine. The first time in the
/// message is the time of the signature, and the last time is the time of the server.
fn clock_words(message: &str) -> Option<String> {
    let is_early = message.contains("Signature not yet current");
    if !is_early && !message.contains("Signature expired") {
        return None;
    }
    let mut times = message.split(|c: char| !c.is_ascii_alphanumeric()).filter_map(time);
    let signed = times.next()?;
    let server = times.next_back()?;
    let seconds = signed.duration_since(server).as_secs().unsigned_abs();
    let apart = if seconds < 120 { format!("{seconds} s") } else { format!("{} min", seconds / 60) };
    Some(match is_early {
        true => format!("the clock of this machine is wrong: it is {apart} ahead of the server's; set the clock"),
        false => format!(
            "the request was signed {apart} before the server's time: the clock of this machine is wrong (set it), or \
             the token is older than that"
        ),
    })
}

/// Reads a time such as `20261127T090000Z`.
fn time(text: &str) -> Option<DateTime> {
    (text.len() == 16).then(|| DateTime::strptime("%Y%m%dT%H%M%SZ", text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::super::meaning::failure;
    use super::*;

    fn head(headers: &[(&'static str, &str)]) -> ReplyHead {
        let headers = headers.iter().map(|(name, value)| {
            (http::HeaderName::from_static(name), http::HeaderValue::from_str(value).expect("a value"))
        });
        ReplyHead { status: 403, headers: HeaderMap::from_iter(headers) }
    }

    fn meaning(kind: &str, message: &str) -> Option<Meaning> {
        finding(&failure(kind, message), &head(&[])).map(|finding| finding.meaning)
    }

    #[test]
    fn each_error_of_aws_has_its_meaning() {
        let cases = [
            ("ThrottlingException", "Too many tokens, please wait before trying again.", Meaning::Limit(None)),
            ("ThrottlingException", "Too many tokens per day, please wait before trying again.", Meaning::Account),
            ("ModelNotReadyException", "The model is not ready.", Meaning::Fault(ErrorClass::Server)),
            ("ServiceQuotaExceededException", "x", Meaning::Account),
            (
                "ValidationException",
                "messages: Extra inputs are not permitted",
                Meaning::Row(ErrorClass::InvalidRequest),
            ),
            ("ValidationException", "Input is too long for requested model.", Meaning::Row(ErrorClass::TooLarge)),
            ("ValidationException", "The provided model identifier is invalid.", Meaning::Model),
            (
                "ValidationException",
                "Invocation of model ID x with on-demand throughput isn't supported.",
                Meaning::Model,
            ),
            ("AccessDeniedException", "User: x is not authorized to perform: bedrock:InvokeModel", Meaning::Key),
            (
                "AccessDeniedException",
                "You don't have access to the model with the specified model ID.",
                Meaning::Model,
            ),
            ("ResourceNotFoundException", "Model use case details have not been submitted", Meaning::Model),
            ("ModelTimeoutException", "x", Meaning::Fault(ErrorClass::Timeout)),
            ("ModelErrorException", "x", Meaning::Fault(ErrorClass::Server)),
            ("ModelStreamErrorException", "x", Meaning::Fault(ErrorClass::Server)),
            ("InternalServerException", "x", Meaning::Fault(ErrorClass::Server)),
            ("ServiceUnavailableException", "x", Meaning::Fault(ErrorClass::Server)),
            ("ExpiredTokenException", "The security token included in the request is expired", Meaning::Key),
            ("UnknownOperationException", "", Meaning::Address),
        ];

        for (kind, message, expected) in cases {
            assert_eq!(meaning(kind, message), Some(expected), "{kind} {message}");
        }
        assert_eq!(meaning("invalid_request_error", "messages: too short"), None);
    }

    #[test]
    fn names_are_read_without_namespace_and_address() {
        let in_head = |text: &str| name_in_head(&head(&[("x-amzn-errortype", text)]));
        let in_body = |text: &str| name_in_body(&serde_json::from_str(text).expect("JSON"));

        let long = "ThrottlingException:http://internal.amazon.com/coral/com.amazon.bedrock/";
        assert_eq!(in_head(long).as_deref(), Some("ThrottlingException"));
        let body = r#"{"Output":{"__type":"com.amazon.coral.service#UnknownOperationException"},"Version":"1.0"}"#;
        assert_eq!(in_body(body).as_deref(), Some("UnknownOperationException"));
        assert_eq!(in_body(r#"{"__type":"x#y#Name"}"#).as_deref(), Some("Name"));
        assert_eq!((in_body("{}"), in_head("")), (None, None));
    }

    #[test]
    fn a_signature_that_is_not_current_tells_how_wrong_the_clock_is() {
        let late =
            "Signature expired: 20261127T090000Z is now earlier than 20261127T094500Z (20261127T100000Z - 15 min.)";
        let early = "Signature not yet current: 20261127T100000Z is still later than 20261127T094500Z (20261127T093000Z + 15 min.)";
        let note = |message: &str, headers: &[(&'static str, &str)]| {
            let finding = finding(&failure("InvalidSignatureException", message), &head(headers)).expect("it is known");
            (finding.meaning, finding.note.unwrap_or_default())
        };

        assert_eq!(note(late, &[]).0, Meaning::Key);
        assert!(note(late, &[]).1.contains("signed 60 min before the server's time"), "{:?}", note(late, &[]));
        assert!(note(early, &[]).1.contains("30 min ahead of the server's"), "{:?}", note(early, &[]));
        let dated = note("Signature has expired", &[("date", "Fri, 27 Nov 2026 10:00:00 GMT")]);
        assert!(dated.1.contains("Fri, 27 Nov 2026 10:00:00 GMT"), "{dated:?}");
        assert_eq!(note("The request signature we calculated does not match", &[]).1, "");
    }
}
