//! Classes of failure. The error log names a class for each failed row, and `--only` selects rows by their class.

use std::fmt;

/// Classes of failure, as written in the error log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ErrorClass {
    /// The row can't be sent: for example, it is not JSON, has no prompt, or repeats a label.
    InvalidInput,
    /// The API rate-limited the row for longer than `--retry-for`.
    RateLimit,
    /// The service was overloaded for longer than `--retry-for`.
    Overloaded,
    /// The server did not process the request because of an error of its own.
    Server,
    /// No answer came in time.
    Timeout,
    /// The connection failed.
    Network,
    /// The API rejected the request as invalid.
    InvalidRequest,
    /// The request is too large.
    TooLarge,
    /// The key does not permit this request.
    Auth,
    /// There is a problem with billing, credit or a spend limit.
    Billing,
    /// The model refused to answer.
    Refused,
    /// The answer stopped at `max_tokens` or at the end of the model's context window.
    Truncated,
    /// The status is 200, but the body is not a whole answer.
    InvalidOutput,
    /// The run ended before the row was finished.
    Canceled,
    /// A batch expired before the row was answered.
    Expired,
}

impl ErrorClass {
    /// All classes.
    pub const ALL: [Self; 15] = [
        Self::InvalidInput,
        Self::RateLimit,
        Self::Overloaded,
        Self::Server,
        Self::Timeout,
        Self::Network,
        Self::InvalidRequest,
        Self::TooLarge,
        Self::Auth,
        Self::Billing,
        Self::Refused,
        Self::Truncated,
        Self::InvalidOutput,
        Self::Canceled,
        Self::Expired,
    ];

    /// Returns the name of the class in files and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidInput => "invalid_input",
            Self::RateLimit => "rate_limit",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout => "timeout",
            Self::Network => "network",
            Self::InvalidRequest => "invalid_request",
            Self::TooLarge => "too_large",
            Self::Auth => "auth",
            Self::Billing => "billing",
            Self::Refused => "refused",
            Self::Truncated => "truncated",
            Self::InvalidOutput => "invalid_output",
            Self::Canceled => "canceled",
            Self::Expired => "expired",
        }
    }

    /// Returns the class with this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == text)
    }

    /// Returns whether an unchanged row that failed with this class can succeed in another run. Call this function only
    /// if the class is all that is known about the failure.
    pub(crate) fn may_pass(self) -> bool {
        match self {
            Self::RateLimit
            | Self::Overloaded
            | Self::Server
            | Self::Timeout
            | Self::Network
            | Self::Billing
            | Self::InvalidOutput
            | Self::Canceled
            | Self::Expired => true,
            Self::InvalidInput
            | Self::InvalidRequest
            | Self::TooLarge
            | Self::Auth
            | Self::Refused
            | Self::Truncated => false,
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
