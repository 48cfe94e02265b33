//! What a failure on the wire means for its row and the run.
//!
//! Pure and total, and the same for every provider: no reply came whose form could matter. What a reply means is its
//! provider's to say ([`crate::provider::Provider::judge`]).
//!
//! When a body breaks off after a head without success, finish the decoder and judge its error: the status says more than
//! the broken connection. After a 200 head the failure on the wire is what counts.

use crate::domain::{ErrorClass, Failure, HaltReason, Verdict};
use crate::transport::{WireError, WireErrorKind};

/// The status under which a proxy asks for a user name and a password.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Returns what came of an attempt to which no whole reply came.
pub fn on_wire(error: WireError) -> Verdict {
    let failure = Failure { wire: Some(error.kind), message: error.message, ..Failure::default() };
    match error.kind {
        WireErrorKind::Authorization | WireErrorKind::Connect | WireErrorKind::Proxy | WireErrorKind::Broken => {
            transient(ErrorClass::Network, error.maybe_sent, failure)
        }
        WireErrorKind::Timeout | WireErrorKind::Idle => transient(ErrorClass::Timeout, error.maybe_sent, failure),
        WireErrorKind::Tls => Verdict::Halt(HaltReason::Tls(failure)),
        WireErrorKind::ProxyAuth => {
            Verdict::Halt(HaltReason::Proxy(Failure { status: Some(PROXY_AUTHENTICATION_REQUIRED), ..failure }))
        }
        WireErrorKind::TooLarge => Verdict::Rejected { class: ErrorClass::InvalidOutput, failure },
    }
}

fn transient(class: ErrorClass, maybe_paid: bool, failure: Failure) -> Verdict {
    Verdict::Transient { class, retry_after: None, maybe_paid, failure }
}
