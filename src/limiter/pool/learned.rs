//! Connects a pool with its hidden limits (limits that no response header shows). The pool tells `hidden` what happens,
//! and applies the limits that `hidden` learns.
//!
//! A proxy can have a limit that is lower than those of the API, and pass on the headers of the API. The headers then
//! show enough room, but requests are refused. After [`UNEXPLAINED`] such refusals, limits are learned as if there were
//! no headers. They apply until the rate has risen to the limits in the headers.

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};

use super::super::dimension::DimensionState;
use super::super::hidden::LONGEST;
use super::Pool;

/// After this many holds (waits after a refusal) that the limits in the headers can't explain, limits are learned from
/// refusals. One refusal has other causes too: a limit that has just changed, or another client.
const UNEXPLAINED: u32 = 2;

impl Pool {
    /// Call this after a refusal if no header shows which limit was exceeded.
    pub(super) fn on_unexplained_refusal(&mut self, now: Instant) {
        let is_first_of_hold = self.held_until <= now;
        if !self.learns && is_first_of_hold {
            let (count, last_at) = self.unexplained;
            let count = if now.since(last_at) > LONGEST { 1 } else { count + 1 };
            self.unexplained = (count, now);
            self.learns = count >= UNEXPLAINED;
        }
        if !self.learns {
            return;
        }
        self.empty(now);
        if is_first_of_hold {
            self.hidden.on_refusal(now);
            self.follow_hidden(now);
        }
    }

    /// Call this when the server has accepted a request that was sent at `sent_at`. The request can fail after it was
    /// accepted.
    pub(crate) fn on_accepted(&mut self, cost: Cost, sent_at: Instant, now: Instant) {
        if self.learns {
            self.hidden.on_accepted(cost, sent_at, now);
        }
    }

    /// Call this after a fault (an error other than a refusal with status 429). Returns whether the pool treats the
    /// fault as a hidden refusal. If the pool treats the fault as a refusal, the caller makes the pool wait, as after
    /// any other refusal.
    pub(crate) fn on_fault(&mut self, now: Instant) -> bool {
        if !self.learns || self.held_until > now {
            return false;
        }
        let is_refusal = self.hidden.on_fault(now);
        if is_refusal {
            self.empty(now);
        }
        self.follow_hidden(now);
        is_refusal
    }

    /// Call this when an outage of the endpoint has ended. The faults of an outage say nothing about limits.
    pub(crate) fn on_outage_end(&mut self) {
        self.hidden.on_outage_end();
    }

    /// Call this function if the server accepts some requests while other requests meet faults. In this case, the
    /// faults are not refusals.
    pub(crate) fn on_proof_of_room(&mut self, now: Instant) {
        self.hidden.on_proof_of_room(now);
    }

    /// Returns whether the current faults could be hidden refusals. The cause of a hidden refusal is a limit, not the
    /// row.
    pub(crate) fn may_be_refusing(&self, now: Instant) -> bool {
        self.learns && self.hidden.may_be_refusing(now)
    }

    /// Applies the learned rates if at least one of them is lower than the known limit.
    pub(super) fn follow_hidden(&mut self, now: Instant) {
        let Some(per_minute) = self.hidden.per_minute(now) else { return self.unlearn(now) };
        // Hidden limits are learned for requests and for input tokens.
        let is_lower = |(dimension, per_minute): (&DimensionState, f64)| dimension.is_below_known(per_minute);
        if !self.dimensions.iter().zip(per_minute).any(is_lower) {
            self.hidden.forget_limit();
            (self.learns, self.unexplained.0) = (!self.has_seen_limits, 0);
            return self.unlearn(now);
        }
        let learned = self.dimensions.iter_mut().zip(per_minute);
        learned.for_each(|(dimension, per_minute)| dimension.learn(per_minute, now));
        self.set_pace(now);
    }

    /// Forgets the learned limits of the pool, so its known limits apply again.
    pub(super) fn unlearn(&mut self, now: Instant) {
        if self.has_learned() {
            self.dimensions.iter_mut().for_each(|dimension| dimension.unlearn(now));
            self.set_pace(now);
        }
    }

    /// Returns whether learned limits apply in this pool. Learned limits for requests and for input tokens always apply
    /// together.
    pub(super) fn has_learned(&self) -> bool {
        self.dimensions[Dimension::Requests.index()].has_learned()
    }
}
