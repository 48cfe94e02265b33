//! The reasons why a whole run stops.

use std::time::Duration;

use super::{ErrorClass, Failure, WriteFault};

/// The reason why a whole run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// The key is wrong, or the key permits nothing (401, or 403 before the first success).
    Key(Failure),
    /// The API answered several consecutive rows with 403 (forbidden).
    Forbidden(Failure),
    /// The API has blocked the organization, or there is a problem with billing, credit or a spend limit.
    Account(Failure),
    /// No model of the run is available: the API answered 404 for each model.
    Models(Failure),
    /// The server asks the run to wait longer than the user allows.
    RetryAfter {
        /// The wait that the server asks for.
        wait: Duration,
        /// The longest wait that the user allows: `--retry-for`.
        allowed: Duration,
    },
    /// The TLS connection or its certificates are not valid.
    Tls(Failure),
    /// The proxy refuses to forward requests (407).
    Proxy(Failure),
    /// The server says that the API is at another address (3xx).
    Redirect {
        /// The API's address according to the server, without user name, password, query and fragment; `None` if the
        /// server names no address.
        to: Option<String>,
        /// The failure that the response describes.
        failure: Failure,
    },
    /// The endpoint can't be reached, or every request to it fails.
    Endpoint(Failure),
    /// The API does not support batches, or rejects every request to create one.
    Batches(Failure),
    /// The open batches belong to a different organization or workspace than the key.
    OtherWorkspace,
    /// The `--halt` rule stops the run, because too many rows failed. The limit of the rule is ten equal failures at
    /// the start, a fixed number of failed rows, or a share of all finished rows.
    AllFail {
        /// The number of rows that failed.
        rows: u64,
        /// The number of finished rows, including failed rows.
        finished: u64,
        /// The class of the last failure.
        class: ErrorClass,
        /// The last failure.
        failure: Failure,
    },
    /// Results could not be written.
    Disk(WriteFault),
    /// The run was interrupted by a signal (INT, TERM or HUP). The value of the variant is the number of the signal.
    Signal(i32),
    /// The command `ctl` ended the run.
    Ctl {
        /// Whether the run waits for the requests in flight before it ends.
        is_drain: bool,
    },
    /// The run has reached one of the user's limits: on requests, tokens, time or cost.
    Budget(String),
}

impl HaltReason {
    /// Returns the failure that caused the stop; `None` if the reason has no failure.
    pub(crate) fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Key(failure)
            | Self::Forbidden(failure)
            | Self::Account(failure)
            | Self::Models(failure)
            | Self::Tls(failure)
            | Self::Proxy(failure)
            | Self::Redirect { failure, .. }
            | Self::Endpoint(failure)
            | Self::Batches(failure)
            | Self::AllFail { failure, .. } => Some(failure),
            Self::RetryAfter { .. }
            | Self::OtherWorkspace
            | Self::Disk(_)
            | Self::Signal(_)
            | Self::Ctl { .. }
            | Self::Budget(_) => None,
        }
    }

    /// Returns whether the reason concerns only one endpoint. The run can then continue at its other endpoints.
    pub(crate) fn is_of_endpoint(&self) -> bool {
        match self {
            Self::Key(_)
            | Self::Forbidden(_)
            | Self::Account(_)
            | Self::Models(_)
            | Self::RetryAfter { .. }
            | Self::Tls(_)
            | Self::Proxy(_)
            | Self::Redirect { .. }
            | Self::Endpoint(_) => true,
            Self::AllFail { .. }
            | Self::Batches(_)
            | Self::OtherWorkspace
            | Self::Disk(_)
            | Self::Signal(_)
            | Self::Ctl { .. }
            | Self::Budget(_) => false,
        }
    }
}
