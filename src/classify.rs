//! What a failure on the wire means for its row and the run.
//!
//! Pure and total, and the same for every provider: no reply came whose form could matter. What a reply means is its
//! provider's to say ([`crate::provider::Provider::judge`]).
//!
//! After a body that broke off behind a head that is no success, finish the decoder and have its error judged: the status
//! tells more than the cut. Behind a 200 head the failure on the wire is what counts.

use crate::domain::{ErrorClass, Failure, HaltReason, Verdict};
use crate::transport::{WireError, WireErrorKind};

/// Returns what came of an attempt to which no whole reply came.
pub fn on_wire(error: WireError) -> Verdict {
    let failure = Failure { message: error.message, ..Failure::default() };
    match error.kind {
        WireErrorKind::Authorization | WireErrorKind::Connect | WireErrorKind::Broken => {
            transient(ErrorClass::Network, error.maybe_sent, failure)
        }
        WireErrorKind::Timeout | WireErrorKind::Idle => transient(ErrorClass::Timeout, error.maybe_sent, failure),
        WireErrorKind::Tls => Verdict::Halt(HaltReason::Tls(failure)),
        WireErrorKind::TooLarge => Verdict::Rejected { class: ErrorClass::InvalidOutput, failure },
    }
}

fn transient(class: ErrorClass, maybe_paid: bool, failure: Failure) -> Verdict {
    Verdict::Transient { class, retry_after: None, maybe_paid, failure }
}

/// Returns what a person can do about a failed row, for the error log.
pub fn hint(class: ErrorClass, failure: &Failure) -> &'static str {
    match class {
        ErrorClass::InvalidInput => "correct this line of the input and run it again",
        ErrorClass::RateLimit => {
            "the limit outlasted --retry-for: run `resume` later, or lower --rpm, --itpm or --tier"
        }
        ErrorClass::Overloaded => "the service was overloaded for longer than --retry-for: run `resume` later",
        ErrorClass::Server => "the server failed on every try: run `resume` later; support asks for the request_id",
        ErrorClass::Timeout => "no answer came in time: run `resume` with a longer --timeout, or with --stream on",
        ErrorClass::Network => {
            "the connection failed on every try: check network, proxy and --base-url, then run `resume`"
        }
        ErrorClass::InvalidRequest => invalid_request_hint(failure),
        ErrorClass::TooLarge => "the request is too large for the API: shorten or split the prompt",
        ErrorClass::Auth => "the key may not do this: check its workspace and its access to the model",
        ErrorClass::Billing => "the account has no money or reached a spend limit: see the console, then run `resume`",
        ErrorClass::Refused => "the model refused: change the prompt or use another model",
        ErrorClass::Truncated => "the answer ended at its limit: raise --max-tokens for this row or shorten the prompt",
        ErrorClass::InvalidOutput => {
            "no usable answer came and it may have been billed: run `resume`, or use --stream on"
        }
        ErrorClass::Canceled => "the run ended before this row was answered: run `resume`",
        ErrorClass::Expired => "the batch expired before this row was answered: run `resume`",
    }
}

fn invalid_request_hint(failure: &Failure) -> &'static str {
    match failure.status {
        Some(300..400) => "the base URL redirects: set --base-url to the place you trust",
        Some(405 | 415) => "this address does not take Messages requests: check --base-url",
        _ => "the API refuses this row as it is: correct its parameters and run it again",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_has_a_hint_that_fits_after_a_colon() {
        for class in ErrorClass::ALL {
            let hint = hint(class, &Failure::default());

            assert!(hint.len() > 20 && !hint.ends_with('.'), "{class}: {hint}");
            assert!(hint.starts_with(|first: char| first.is_ascii_lowercase()), "{class}: {hint}");
        }
    }

    #[test]
    fn hints_of_refused_requests_follow_the_status() {
        let hint = |status| hint(ErrorClass::InvalidRequest, &Failure { status: Some(status), ..Failure::default() });

        assert!(hint(302).contains("redirects"));
        assert!(hint(405).contains("--base-url"));
        assert!(hint(400).contains("parameters"));
    }
}
