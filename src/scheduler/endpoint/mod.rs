//! Endpoints: what the scheduler knows about each of them.
//!
//! An endpoint is one account at one provider. Each endpoint has its own health, window, models and halt, and its own
//! pools of limits. A run has one or more endpoints. When one endpoint halts, the rows of the other endpoints are sent
//! as before.

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

/// The name of an endpoint: the part of a pool's id that identifies the endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointId {
    /// The provider that answers.
    pub provider: Arc<str>,
    /// The account at that provider.
    pub account: Arc<str>,
}

impl EndpointId {
    /// Returns the endpoint that a pool belongs to.
    pub fn of(pool: &PoolId) -> Self {
        Self { provider: pool.provider.clone(), account: pool.account.clone() }
    }
}

/// What is known about an endpoint.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) id: EndpointId,
    pub(super) window: Window,
    pub(super) health: Health,
    pub(super) streaming: Streaming,
    pub(super) in_flight: usize,
    /// The number of rows in the ready queues of its pools.
    pub(super) ready: usize,
    /// Why nothing more is sent to the endpoint; `None` while it has not halted.
    pub(super) halted: Option<HaltReason>,
    pub(super) access: Access,
    /// Whether its prompt cache works.
    pub(super) marking: Marking,
    /// Counts of how the attempts have ended so far.
    pub(super) tally: Tally,
    /// The canary that probes the endpoint.
    pub(super) canary: CanaryState,
    /// Whether the endpoint is assumed to work. If so, each row fails at its next fault.
    pub(super) has_last_tries: bool,
    pub(super) retries: RetryQuota,
    pub(super) last_fault: Failure,
    /// Whether its window and its health allow another request at this moment.
    pub(super) is_open: bool,
    /// Why its rows are sent to the next endpoint of the chain; `None` while they stay.
    pub(super) detour: Option<Detour>,
}

/// Why rows of an endpoint are sent to the next one. Reporters are told when this begins and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detour {
    pub(super) why: FallbackCase,
    /// The detour lasts at least until then.
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

    /// Notes whether requests may be sent to the endpoint at this moment. If not, returns the moment of the next check,
    /// and the reason why no request may be sent. `next_wake` is the moment when the next waiting row is tried again.
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
        if self.in_flight >= self.window.size() {
            self.window.on_full();
            return Some((next_wake, Reason::Window));
        }
        None
    }
}
