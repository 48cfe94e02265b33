//! Tells people what to do about a failed row. The text is the member `hint` of the row's line in the error log.
//!
//! The hint agrees with the member `retryable` of that line. If the unchanged row can succeed in another run, the hint
//! says to run `resume`. If the row can't succeed unchanged, the hint begins with the necessary change.

use crate::domain::{ErrorClass, Failure};

/// Returns the hint for a failed row.
///
/// The hint begins in lower case and ends without a full stop, because it is shown after a colon.
pub(super) fn hint(class: ErrorClass, failure: &Failure, is_retryable: bool) -> &'static str {
    let of_answer = failure.answer.as_ref().and_then(|_| after_answer(class));
    match (is_retryable, of_answer) {
        (true, Some((again, _))) => again,
        (true, None) => again(class),
        (false, Some((_, change))) => change,
        (false, None) => first_change(class, failure.status),
    }
}

/// Returns the hint for a row that can succeed without a change.
fn again(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::RateLimit => {
            "the rate limit lasted longer than --retry-for: run `resume` later, or lower --rpm, --itpm or --tier"
        }
        ErrorClass::Overloaded => "the service was overloaded for longer than --retry-for: run `resume` later",
        ErrorClass::Server => "the server failed on every try: run `resume` later; support asks for the request_id",
        ErrorClass::Timeout => "no answer came in time: run `resume` with a longer --timeout, or with --stream on",
        ErrorClass::Network => {
            "the connection failed on every try: check network, proxy and --base-url, then run `resume`"
        }
        ErrorClass::InvalidOutput => {
            "no usable answer came, but the request may have been billed: run `resume`, or set --stream on"
        }
        ErrorClass::Canceled => "the run ended before this row was answered: run `resume`",
        ErrorClass::Expired => "the batch expired before this row was answered: run `resume`",
        ErrorClass::Billing => "the account has no money or reached a spend limit: see the console, then run `resume`",
        ErrorClass::InvalidInput
        | ErrorClass::InvalidRequest
        | ErrorClass::TooLarge
        | ErrorClass::Auth
        | ErrorClass::Refused
        | ErrorClass::Truncated => {
            "the server asked to try this row again, and failed on every try: run `resume` later"
        }
    }
}

/// Returns two hints for a row whose answer was not accepted. The first hint is for a row that may still succeed with
/// one more request. The second hint is for a row that can't succeed unchanged. The answer is in the same line as the
/// hint. If failures of this class have no answer, returns `None`.
fn after_answer(class: ErrorClass) -> Option<(&'static str, &'static str)> {
    match class {
        ErrorClass::Truncated => Some((
            ENDED_BEFORE,
            "raise max_tokens or shorten the prompt: `resume --only truncated --max-tokens N` asks for an answer of up to N \
             tokens",
        )),
        ErrorClass::Refused => Some((
            ENDED_BEFORE,
            "change the prompt or the model: the model refused to answer, and would most likely refuse again",
        )),
        ErrorClass::InvalidOutput => Some((
            "`error.message` says what is wrong with the answer in `message`: run `resume`, which asks once more",
            "change what is asked or required: `error.message` says what is wrong with the answer in `message`; \
             `resume --only invalid_output` asks once more",
        )),
        ErrorClass::InvalidInput
        | ErrorClass::RateLimit
        | ErrorClass::Overloaded
        | ErrorClass::Server
        | ErrorClass::Timeout
        | ErrorClass::Network
        | ErrorClass::InvalidRequest
        | ErrorClass::TooLarge
        | ErrorClass::Auth
        | ErrorClass::Billing
        | ErrorClass::Canceled
        | ErrorClass::Expired => None,
    }
}

const ENDED_BEFORE: &str =
    "the run ended before this row was asked for again: run `resume`, which continues from this answer";

/// Returns the hint for a row that can't succeed until something changes.
fn first_change(class: ErrorClass, status: Option<u16>) -> &'static str {
    match (class, status) {
        (ErrorClass::InvalidInput, _) => "correct this line of the input and run it again",
        (ErrorClass::InvalidRequest, Some(404)) => {
            "correct the name of the model or --base-url: the API did not find what this row asks for"
        }
        (ErrorClass::InvalidRequest, Some(405 | 415)) => {
            "correct --base-url: this address does not accept requests for messages"
        }
        (ErrorClass::InvalidRequest, _) => "correct the parameters of this row: the API refuses it as it is",
        (ErrorClass::TooLarge, _) => "shorten or split the prompt: the request is too large for the API",
        (ErrorClass::Auth, _) => "change the permissions of the key: check its workspace and its access to the model",
        (ErrorClass::Billing, _) => "raise credit or spend limits in the console: the account can't pay for this row",
        (ErrorClass::Refused, _) => "change the prompt or the model: the model refused to answer",
        (ErrorClass::Truncated, _) => {
            "raise --max-tokens for this row or shorten the prompt: the answer ended at its limit"
        }
        (ErrorClass::InvalidOutput, _) => {
            "change what this row asks for: its answer can't be used, and may have been billed"
        }
        (ErrorClass::RateLimit | ErrorClass::Overloaded | ErrorClass::Server | ErrorClass::Timeout, _) => {
            "change this row, or send its request_id to support: the server says that a retry would not help"
        }
        (ErrorClass::Network | ErrorClass::Canceled | ErrorClass::Expired, _) => {
            "check network, proxy and --base-url: this row did not get through"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = (ErrorClass, Option<u16>, bool)> {
        let statuses = [None, Some(200), Some(400), Some(404), Some(405), Some(415), Some(429), Some(500), Some(529)];
        ErrorClass::ALL
            .into_iter()
            .flat_map(move |class| statuses.into_iter().map(move |status| (class, status)))
            .flat_map(|(class, status)| [false, true].map(|is_retryable| (class, status, is_retryable)))
    }

    #[test]
    fn a_hint_says_resume_if_the_row_may_succeed_and_otherwise_what_to_change() {
        const CHANGES: [&str; 5] = ["correct ", "shorten ", "change ", "raise ", "check "];
        let answers = [None, Some(bytes::Bytes::from("{}"))];
        let all = all().flat_map(|one| answers.clone().map(|answer| (one, answer)));
        for ((class, status, is_retryable), answer) in all {
            let hint = hint(class, &Failure { status, answer, ..Failure::default() }, is_retryable);

            assert_eq!(hint.contains("run `resume`"), is_retryable, "{class} {status:?}: {hint}");
            assert_eq!(
                CHANGES.iter().any(|change| hint.starts_with(change)),
                !is_retryable,
                "{class} {status:?}: {hint}"
            );
        }
    }

    #[test]
    fn every_class_has_its_hints() {
        let told = |class: ErrorClass| {
            let of = |is_retryable| hint(class, &Failure::default(), is_retryable);
            format!("{class}\n  again: {}\n  first: {}\n", of(true), of(false))
        };

        insta::assert_snapshot!(ErrorClass::ALL.map(told).concat(), @"
        invalid_input
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: correct this line of the input and run it again
        rate_limit
          again: the rate limit lasted longer than --retry-for: run `resume` later, or lower --rpm, --itpm or --tier
          first: change this row, or send its request_id to support: the server says that a retry would not help
        overloaded
          again: the service was overloaded for longer than --retry-for: run `resume` later
          first: change this row, or send its request_id to support: the server says that a retry would not help
        server
          again: the server failed on every try: run `resume` later; support asks for the request_id
          first: change this row, or send its request_id to support: the server says that a retry would not help
        timeout
          again: no answer came in time: run `resume` with a longer --timeout, or with --stream on
          first: change this row, or send its request_id to support: the server says that a retry would not help
        network
          again: the connection failed on every try: check network, proxy and --base-url, then run `resume`
          first: check network, proxy and --base-url: this row did not get through
        invalid_request
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: correct the parameters of this row: the API refuses it as it is
        too_large
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: shorten or split the prompt: the request is too large for the API
        auth
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: change the permissions of the key: check its workspace and its access to the model
        billing
          again: the account has no money or reached a spend limit: see the console, then run `resume`
          first: raise credit or spend limits in the console: the account can't pay for this row
        refused
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: change the prompt or the model: the model refused to answer
        truncated
          again: the server asked to try this row again, and failed on every try: run `resume` later
          first: raise --max-tokens for this row or shorten the prompt: the answer ended at its limit
        invalid_output
          again: no usable answer came, but the request may have been billed: run `resume`, or set --stream on
          first: change what this row asks for: its answer can't be used, and may have been billed
        canceled
          again: the run ended before this row was answered: run `resume`
          first: check network, proxy and --base-url: this row did not get through
        expired
          again: the batch expired before this row was answered: run `resume`
          first: check network, proxy and --base-url: this row did not get through
        ");
    }

    #[test]
    fn hints_for_answers_that_were_not_accepted_say_what_to_type() {
        let answer = Some(bytes::Bytes::from("{}"));
        let classes = [ErrorClass::Truncated, ErrorClass::Refused, ErrorClass::InvalidOutput, ErrorClass::Server];
        let failure = Failure { answer, ..Failure::default() };

        let told = |class| {
            let of = |is_retryable| hint(class, &failure, is_retryable);
            format!("{class}\n  again: {}\n  first: {}\n", of(true), of(false))
        };

        insta::assert_snapshot!(classes.map(told).concat(), @"
        truncated
          again: the run ended before this row was asked for again: run `resume`, which continues from this answer
          first: raise max_tokens or shorten the prompt: `resume --only truncated --max-tokens N` asks for an answer of up to N tokens
        refused
          again: the run ended before this row was asked for again: run `resume`, which continues from this answer
          first: change the prompt or the model: the model refused to answer, and would most likely refuse again
        invalid_output
          again: `error.message` says what is wrong with the answer in `message`: run `resume`, which asks once more
          first: change what is asked or required: `error.message` says what is wrong with the answer in `message`; `resume --only invalid_output` asks once more
        server
          again: the server failed on every try: run `resume` later; support asks for the request_id
          first: change this row, or send its request_id to support: the server says that a retry would not help
        ");
    }

    #[test]
    fn every_hint_fits_after_a_colon() {
        for (class, status, is_retryable) in all() {
            let hint = hint(class, &Failure { status, ..Failure::default() }, is_retryable);

            assert!(hint.len() > 20 && !hint.ends_with('.'), "{class}: {hint}");
            assert!(hint.starts_with(|first: char| first.is_ascii_lowercase()), "{class}: {hint}");
        }
    }

    #[test]
    fn hints_of_refused_requests_follow_the_status() {
        let of =
            |status| hint(ErrorClass::InvalidRequest, &Failure { status: Some(status), ..Failure::default() }, false);

        assert!(of(404).contains("model"));
        assert!(of(405).contains("--base-url"));
        assert!(of(400).contains("parameters"));
    }
}
