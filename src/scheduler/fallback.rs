//! Sends rows to the next provider of a chain.

use crate::domain::{Ask, Failure, FallbackOn, Job};

use super::endpoint::EndpointId;

/// Makes the request of a row for another endpoint, from the row's own request.
///
/// # Errors
/// Why the row can't be sent there.
pub type AskFor = Box<dyn Fn(&Job, &EndpointId) -> Result<Ask, Box<Failure>> + Send>;

/// The chain of endpoints: they are tried in the order of [`super::Config::endpoints`].
pub struct Fallback {
    /// When a row is sent to the next endpoint.
    pub on: FallbackOn,
    /// Makes the request for it.
    pub ask_for: AskFor,
}
