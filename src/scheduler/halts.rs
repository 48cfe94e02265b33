//! Halts the run or an endpoint. After a halt, no more requests are sent to the halted endpoints. The waiting rows of a
//! halted endpoint are left for a later run or sent to another endpoint.

use crate::answer::{Decision, RequestResult};
use crate::clock::Instant;
use crate::domain::{ErrorClass, EventBody, Failure, HaltReason};

use super::chain::Leaves;
use super::entry::Entry;
use super::fallback::case_of_halt;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

impl Scheduler {
    /// Stops the run: no more requests are sent, and the waiting rows are set aside (left for a later run). If this
    /// function is called several times, the first reason is kept.
    pub fn halt(&mut self, reason: HaltReason) {
        if self.halted.is_some() {
            return;
        }
        self.halted = Some(reason);
        self.take_waiting(|_| true).into_iter().for_each(|entry| self.put_aside(entry));
    }

    /// Stops an endpoint of the run. A policy or a chain can send the endpoint's rows to another endpoint. The other
    /// rows of the endpoint are set aside (left for a later run). When the last endpoint stops, the run stops.
    pub(super) fn halt_endpoint(&mut self, at: usize, reason: HaltReason, now: Instant) {
        if self.halted.is_some() || self.endpoints[at].halted.is_some() {
            return;
        }
        self.endpoints[at].halted = Some(reason.clone());
        if !self.is_endpoint_left() {
            return self.halt(reason);
        }
        let provider = self.endpoints[at].id.provider.clone();
        self.events.push(EventBody::ProviderStopped { provider, reason: Box::new(reason.clone()) });
        if let (Some(case), Some(next)) = (case_of_halt(&reason), self.next_endpoint(at))
            && self.falls_back(case)
        {
            let to = self.endpoints[next].id.provider.clone();
            self.note_detour(at, &to, case, Instant::NEVER);
        }
        let id = self.endpoints[at].id.clone();
        let waiting = self.take_waiting(|entry| id.is_of(entry));
        waiting.into_iter().for_each(|entry| self.reroute(entry, &reason, now));
    }

    /// Stops a run that can answer no more rows. Each remaining row belongs to a halted endpoint, or to a model that
    /// was not found. The remaining rows stay pending for a later run. If a run with a chain leaves no row pending, the
    /// run ends normally.
    pub(super) fn halt_for_endpoints(&mut self) {
        if self.config.fallback.is_some() && self.left == 0 {
            return;
        }
        if let Some(reason) = self.endpoints.iter().find_map(|endpoint| endpoint.halted.clone()) {
            return self.halt(reason);
        }
        if let Some(reason) = self.left_because.take() {
            return self.halt(reason);
        }
        let missing: Vec<_> = self.endpoints.iter().flat_map(|endpoint| endpoint.access.missing()).collect();
        if !missing.is_empty() {
            let message = format!("not found: {}", missing.join(", "));
            self.halt(HaltReason::Models(Failure { status: Some(404), message, ..Failure::default() }));
        }
    }

    /// Halts the run if its time is over. If nothing has worked at an endpoint for too long, halts this endpoint.
    pub(super) fn halt_if_overdue(&mut self, now: Instant) {
        if self.halted.is_some() {
            return;
        }
        if let Some(why) = self.config.budget.time_is_up(now) {
            return self.halt(HaltReason::Budget(why));
        }
        self.judge_endpoints(now);
    }

    /// Stops the endpoint of a row. The row stays pending unless a policy or a chain sends it to another endpoint.
    pub(super) fn halt_with(&mut self, entry: Box<Entry>, reason: HaltReason, end: &End) -> Next {
        self.halt_endpoint(end.endpoint, reason, end.now);
        self.leave_halted(entry, end)
    }

    /// Returns what happens to a row after its endpoint or the whole run has halted.
    pub(super) fn leave_halted(&mut self, entry: Box<Entry>, end: &End) -> Next {
        let Some(reason) = self.endpoints[end.endpoint].halted.clone() else { return self.pending(entry) };
        if let Decision::Ask(ask) = self.decision(&entry, RequestResult::Halt(&reason)) {
            return self.more(entry, *ask, end);
        }
        let Some(case) = case_of_halt(&reason).filter(|_| self.may_send_again(&entry)) else {
            return self.pending(entry);
        };
        let Some(ask) = self.ask_elsewhere(&entry, end.endpoint, case) else { return self.pending(entry) };
        let status = reason.failure().and_then(|failure| failure.status);
        self.leave(entry, *ask, &Leaves { case, class: class_of(&reason), status, limit: None }, end)
    }

    /// Returns whether the run or the endpoint of an attempt has halted.
    pub(super) fn is_halted(&self, end: &End) -> bool {
        self.halted.is_some() || self.endpoints[end.endpoint].halted.is_some()
    }

    /// Decides what happens to a waiting row of a halted endpoint. This function first asks the policy, and then the
    /// chain.
    fn reroute(&mut self, entry: Box<Entry>, reason: &HaltReason, now: Instant) {
        match self.decision(&entry, RequestResult::Halt(reason)) {
            Decision::Ask(ask) => self.ask_again(entry, *ask, now),
            Decision::Keep | Decision::Fail { .. } | Decision::Answer(_) | Decision::FollowUp { .. } => {
                self.queue_last(entry, now)
            }
        }
    }
}

/// Returns the error class of an attempt that failed because its endpoint halted.
pub(super) fn class_of(reason: &HaltReason) -> ErrorClass {
    match reason {
        HaltReason::Key(_) | HaltReason::Forbidden(_) => ErrorClass::Auth,
        HaltReason::Account(_) => ErrorClass::Billing,
        HaltReason::Models(_) => ErrorClass::InvalidRequest,
        HaltReason::RetryAfter { .. } => ErrorClass::RateLimit,
        HaltReason::Tls(_) | HaltReason::Proxy(_) | HaltReason::Redirect { .. } | HaltReason::Endpoint(_) => {
            ErrorClass::Network
        }
        HaltReason::AllFail { class, .. } => *class,
        HaltReason::Batches(_)
        | HaltReason::OtherWorkspace
        | HaltReason::Disk(_)
        | HaltReason::Signal(_)
        | HaltReason::Ctl { .. }
        | HaltReason::Budget(_) => ErrorClass::Canceled,
    }
}
