//! Connects a pool with its hidden limits (limits that no response header shows). The pool tells `hidden` what happens,
//! and applies the limits that `hidden` learns.

use crate::clock::Instant;
use crate::domain::{Cost, Dimension};

use super::super::dimension::DimensionState;
use super::Pool;

impl Pool {
    /// Call this when the server has accepted a request that was sent at `sent_at`. The request can fail after it was
    /// accepted.
    pub(crate) fn on_accepted(&mut self, cost: Cost, sent_at: Instant, now: Instant) {
        if !self.has_seen_limits {
            self.hidden.on_accepted(cost, sent_at, now);
        }
    }

    /// Call this after a fault (an error other than a refusal with status 429). Returns whether the pool treats the
    /// fault as a hidden refusal. If the pool treats the fault as a refusal, the caller makes the pool wait, as after
    /// any other refusal.
    pub(crate) fn on_fault(&mut self, now: Instant) -> bool {
        if self.has_seen_limits || self.held_until > now {
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
        !self.has_seen_limits && self.hidden.may_be_refusing(now)
    }

    /// Applies the learned rates if at least one of them is lower than the known limit.
    pub(super) fn follow_hidden(&mut self, now: Instant) {
        let Some(per_minute) = self.hidden.per_minute(now) else { return self.unlearn(now) };
        // Hidden limits are learned for requests and for input tokens.
        let is_lower = |(dimension, per_minute): (&DimensionState, f64)| dimension.is_below_known(per_minute);
        if !self.dimensions.iter().zip(per_minute).any(is_lower) {
            self.hidden.forget_limit();
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
