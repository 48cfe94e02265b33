//! Decides what a connection failure means for the row and for the run.
//!
//! This module is pure: it reads no clock, file or socket. The module returns a verdict for every connection failure.
//! Providers differ only in their replies, and after a connection failure there is no complete reply. So the verdict
//! does not depend on the provider. If a reply came, the provider decides what it means
//! ([`crate::provider::Provider::judge`]).
//!
//! A connection can also break in the middle of a reply. If the reply has an error status, callers finish the decoder
//! and judge the error that the decoder returns. An error status says more than a broken connection. If the status is
//! 200, callers call [`on_wire`].

use crate::domain::{ErrorClass, Failure, HaltReason, Verdict};
use crate::transport::{WireError, WireErrorKind};

/// The status with which a proxy asks for a user name and a password.
const PROXY_AUTHENTICATION_REQUIRED: u16 = 407;

/// Returns the verdict on an attempt whose connection failed before a whole reply came.
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
