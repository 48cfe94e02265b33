//! Why a whole run stops.

use std::time::Duration;

use super::{ErrorClass, Failure, WriteFault};

/// Why a whole run stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HaltReason {
    /// The key is wrong or may not do anything (401, or 403 before any success).
    Key(Failure),
    /// Several rows in a row were forbidden (403).
    Forbidden(Failure),
    /// Billing, credit, spend cap or an organization on hold.
    Account(Failure),
    /// No model of the run is available (404 on each).
    Models(Failure),
    /// The server asks to wait longer than the user allows.
    RetryAfter {
        /// How long.
        wait: Duration,
        /// The longest the user allows: `--retry-for`.
        allowed: Duration,
    },
    /// The TLS connection or its certificates are not valid.
    Tls(Failure),
    /// The proxy refuses to pass requests on (407).
    Proxy(Failure),
    /// The server says that the API is at another address (3xx).
    Redirect {
        /// That address, without user name, password, query and fragment; `None` when the server gives none.
        to: Option<String>,
        /// What came.
        failure: Failure,
    },
    /// The endpoint can't be reached or answers nothing but faults.
    Endpoint(Failure),
    /// As many rows failed as the user's rule allows: the first ten in the same way, a number, or a share.
    AllFail {
        /// How many.
        rows: u64,
        /// How many rows were finished.
        finished: u64,
        /// The class of the last.
        class: ErrorClass,
        /// The last of them.
        failure: Failure,
    },
    /// Results could not be written.
    Disk(WriteFault),
    /// Interrupted: INT, TERM or HUP, by its number.
    Signal(i32),
    /// A limit the user set: requests, tokens, time or cost.
    Budget(String),
}

impl HaltReason {
    /// Returns whether it concerns only one endpoint. Then the run may continue at the others.
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
            Self::AllFail { .. } | Self::Disk(_) | Self::Signal(_) | Self::Budget(_) => false,
        }
    }
}
