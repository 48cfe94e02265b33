//! The settings for sending rows to the next provider of a chain.

use crate::domain::{Ask, ErrorClass, Failure, FallbackCase, FallbackOn, HaltReason, Job};

use super::endpoint::EndpointId;

/// A function that converts the request of a row into a request for another endpoint.
///
/// # Errors
/// The reason why the row can't be sent to that endpoint.
pub type AskFor = Box<dyn Fn(&Job, &EndpointId) -> Result<Ask, Box<Failure>> + Send>;

/// The settings of a chain: its endpoints are used in the order of [`super::Config::endpoints`].
pub struct Fallback {
    /// The cases in which a row is sent to the next endpoint.
    pub on: FallbackOn,
    /// The function that makes the row's request for the next endpoint.
    pub ask_for: AskFor,
}

/// Returns the case of `--fallback-on` that covers this halt of an endpoint; `None` if the halt concerns the whole run.
pub(super) fn case_of_halt(reason: &HaltReason) -> Option<FallbackCase> {
    match reason {
        HaltReason::Key(_) | HaltReason::Forbidden(_) | HaltReason::Account(_) => Some(FallbackCase::Account),
        HaltReason::Models(_) => Some(FallbackCase::Model),
        HaltReason::RetryAfter { .. } => Some(FallbackCase::Limit),
        HaltReason::Tls(_) | HaltReason::Proxy(_) | HaltReason::Redirect { .. } | HaltReason::Endpoint(_) => {
            Some(FallbackCase::Endpoint)
        }
        HaltReason::AllFail { .. }
        | HaltReason::Batches(_)
        | HaltReason::OtherWorkspace
        | HaltReason::Disk(_)
        | HaltReason::Signal(_)
        | HaltReason::Ctl { .. }
        | HaltReason::Budget(_) => None,
    }
}

/// Returns the case of `--fallback-on` for a row that has used up its tries; `None` if the row itself caused the
/// failures.
pub(super) fn case_of_failure(class: ErrorClass) -> Option<FallbackCase> {
    match class {
        ErrorClass::RateLimit => Some(FallbackCase::Limit),
        ErrorClass::Overloaded => Some(FallbackCase::Overload),
        ErrorClass::Server | ErrorClass::Timeout | ErrorClass::Network => Some(FallbackCase::Endpoint),
        ErrorClass::InvalidInput
        | ErrorClass::InvalidRequest
        | ErrorClass::TooLarge
        | ErrorClass::Auth
        | ErrorClass::Billing
        | ErrorClass::Refused
        | ErrorClass::Truncated
        | ErrorClass::InvalidOutput
        | ErrorClass::Canceled
        | ErrorClass::Expired => None,
    }
}
