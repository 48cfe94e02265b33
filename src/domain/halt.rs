//! Why a whole run stops.

use std::time::Duration;

use super::{ErrorClass, Failure, WriteFault};

/// Why a whole run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// The key is wrong, or the key permits nothing (401, or 403 before any success).
    Key(Failure),
    /// The API forbade several consecutive rows (403).
    Forbidden(Failure),
    /// There is a problem with billing, credit or a spend cap, or the API has put the organization on hold.
    Account(Failure),
    /// No model of the run is available: the API answered 404 for each model.
    Models(Failure),
    /// The server asks to wait longer than the user allows.
    RetryAfter {
        /// How long the server asks to wait.
        wait: Duration,
        /// The longest wait that the user allows: `--retry-for`.
        allowed: Duration,
    },
    /// The TLS connection or its certificates are not valid.
    Tls(Failure),
    /// The proxy refuses to pass requests on (407).
    Proxy(Failure),
    /// The server says that the API is at another address (3xx).
    Redirect {
        /// The other address, without user name, password, query and fragment; `None` when the server names no address.
        to: Option<String>,
        /// The failure that the response describes.
        failure: Failure,
    },
    /// The endpoint can't be reached or answers nothing but faults.
    Endpoint(Failure),
    /// The API refuses to create batches, or does not have them.
    Batches(Failure),
    /// The open batches belong to another organization or workspace than the key.
    OtherWorkspace,
    /// The `--halt` rule stops the run, because too many rows failed. Depending on the rule, the first ten rows failed
    /// in the same way, or the number or share of failed rows is too large.
    AllFail {
        /// How many rows failed.
        rows: u64,
        /// How many rows were finished.
        finished: u64,
        /// The class of the last failure.
        class: ErrorClass,
        /// The last failure.
        failure: Failure,
    },
    /// Results could not be written.
    Disk(WriteFault),
    /// The run was interrupted by a signal (INT, TERM or HUP). The value is the number of the signal.
    Signal(i32),
    /// The command `ctl` ended the run. `is_drain` says whether the requests in flight were waited for.
    Ctl {
        /// Whether the run waits for the requests in flight.
        is_drain: bool,
    },
    /// A limit that the user set is reached: requests, tokens, time or cost.
    Budget(String),
}

impl HaltReason {
    /// Returns the failure that the reason is about; `None` if there is none.
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

    /// Returns whether the reason concerns only one endpoint. If so, the run may continue at the other endpoints.
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
