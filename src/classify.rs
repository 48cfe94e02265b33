//! What a failure on the wire means for its row and the run.
//!
//! This module is pure, and gives a verdict for every failure on the wire. The verdict does not depend on the provider:
//! providers differ only in the form of their replies, and here no reply came. The provider decides what a reply means
//! ([`crate::provider::Provider::judge`]).
//!
//! A body can break off after a head with an error status. In that case, callers finish the decoder and judge the error
//! that it returns, because the status says more than the broken connection. After a 200 head, the failure on the wire
//! decides, so callers call [`on_wire`].

use crate::domain::{ErrorClass, Failure, HaltReason, Verdict};
use crate::transport::{WireError, WireErrorKind};

/// The status with which a proxy asks for a user name and a password.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Returns the verdict on an attempt that failed on the wire: no whole reply came.
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
