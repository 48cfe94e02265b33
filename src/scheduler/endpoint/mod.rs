//! What the scheduler knows about each endpoint.
//!
//! An endpoint is one account at one provider. Each endpoint has its own health, window, models and halt, and its own
//! pools of limits. A run has one or more endpoints. When one endpoint halts, the rows of the other endpoints are still
//! sent.

mod access;
mod blame;
mod cap;
mod health;
mod marking;
mod probe;
mod retries;
mod streaming;
mod window;

use std::sync::Arc;

use crate::clock::Instant;
use crate::domain::{Failure, FallbackCase, HaltReason, PoolId, Reason};

use access::Access;
use health::Health;
use marking::Marking;
use probe::CanaryState;
use retries::RetryQuota;
use streaming::Streaming;

pub(super) use access::Forbidden;
pub(super) use blame::{Blame, Tally};
pub(super) use health::Sign;
pub(super) use marking::{CacheNews, RefusedMarks};
pub use window::Window;

/// The identity of an endpoint: the provider and the account in a pool's id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointId {
    /// The provider that answers the requests.
    pub provider: Arc<str>,
    /// The account at this provider.
    pub account: Arc<str>,
}

impl EndpointId {
    /// Returns the endpoint that a pool belongs to.
    pub fn of(pool: &PoolId) -> Self {
        Self { provider: pool.provider.clone(), account: pool.account.clone() }
    }
}

/// What is known about one endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: EndpointId,
    pub(super) window: Window,
    pub(super) health: Health,
    pub(super) streaming: Streaming,
    pub(super) in_flight: usize,
    /// The number of rows in the ready queues of the endpoint's pools.
    pub(super) ready: usize,
    /// The reason why nothing more is sent to the endpoint; `None` while it has not halted.
    pub(super) halted: Option<HaltReason>,
    pub(super) access: Access,
    /// Whether the endpoint accepts cache marks, and whether its prompt cache works.
    pub(super) marking: Marking,
    /// How many attempts at the endpoint have ended in each way so far.
    pub(super) tally: Tally,
    /// The canary (a test request) of the endpoint.
    pub(super) canary: CanaryState,
    /// Whether the endpoint is assumed to work although all remaining rows met faults there. If the value is true, each
    /// row fails at its next fault.
    pub(super) has_last_tries: bool,
    pub(super) retries: RetryQuota,
    pub(super) last_fault: Failure,
    /// Whether the endpoint's window and health allow one more request at present.
    pub(super) is_open: bool,
    /// The reason why the endpoint's rows are sent to the next endpoint of the chain; `None` if its rows are not sent
    /// there.
    pub(super) detour: Option<Detour>,
}

/// The reason why rows of an endpoint are sent to the next endpoint of the chain. Reporters get an event when the
/// detour begins, and another event when the detour ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detour {
    pub(super) why: FallbackCase,
    /// The earliest instant at which the detour can end.
    pub(super) until: Instant,
}

impl Endpoint {
    /// Returns an endpoint about which nothing is known.
    pub(super) fn new(id: EndpointId, window: Window) -> Self {
        Self {
            id,
            window,
            health: Health::default(),
            streaming: Streaming::default(),
            in_flight: 0,
            ready: 0,
            halted: None,
            access: Access::default(),
            marking: Marking::default(),
            tally: Tally::default(),
            canary: CanaryState::default(),
            has_last_tries: false,
            retries: RetryQuota::default(),
            last_fault: Failure::default(),
            is_open: true,
            detour: None,
        }
    }

    /// Decides whether requests can be sent to the endpoint at present. If requests can't be sent, returns the instant
    /// of the next check, and the reason. `next_wake` says when the next waiting row is tried again.
    pub(super) fn check(&mut self, next_wake: Instant, now: Instant) -> Option<(Instant, Reason)> {
        let closed = self.closed(next_wake, now);
        self.is_open = closed.is_none();
        closed
    }

    fn closed(&mut self, next_wake: Instant, now: Instant) -> Option<(Instant, Reason)> {
        if self.health.is_failing() {
            let probe_at = self.health.probe_at();
            let until = if self.in_flight > 0 { Instant::NEVER } else { probe_at };
            return (self.in_flight > 0 || now < probe_at).then_some((until, Reason::Probe));
        }
        // One request at a time shows whether the endpoint forbids everything.
        if self.access.is_unclear() && self.in_flight > 0 {
            return Some((Instant::NEVER, Reason::Draining));
        }
        if self.in_flight >= self.window.size() {
            self.window.on_full();
            return Some((next_wake, Reason::Window));
        }
        None
    }
}
