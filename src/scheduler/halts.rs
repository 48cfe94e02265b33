//! Halts the run or an endpoint: nothing more is sent, and the waiting rows are set aside or sent to another endpoint.

use crate::answer::{Came, Then};
use crate::clock::Instant;
use crate::domain::{Failure, HaltReason};

use super::entry::Entry;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

impl Scheduler {
    /// Stops the run: nothing more is sent, and the waiting rows are set aside. If this is called more than once, the
    /// first reason is kept.
    pub fn halt(&mut self, reason: HaltReason) {
        if self.halted.is_some() {
            return;
        }
        self.halted = Some(reason);
        self.take_waiting(|_| true).into_iter().for_each(|entry| self.put_aside(entry));
    }

    /// Stops an endpoint. A policy may send the endpoint's rows to another endpoint. Without a policy the rows are set
    /// aside. When the last endpoint stops, the run stops.
    pub(super) fn halt_endpoint(&mut self, at: usize, reason: HaltReason, now: Instant) {
        if self.halted.is_some() || self.endpoints[at].halted.is_some() {
            return;
        }
        self.endpoints[at].halted = Some(reason.clone());
        if self.endpoints.iter().all(|endpoint| endpoint.halted.is_some()) {
            return self.halt(reason);
        }
        let id = self.endpoints[at].id.clone();
        let waiting = self.take_waiting(|entry| id.is_of(entry));
        waiting.into_iter().for_each(|entry| self.reroute(entry, &reason, now));
    }

    /// Stops the run once it can answer no more rows: each row that is left belongs to a halted endpoint, or to a model
    /// that was not found. These rows stay pending.
    pub(super) fn halt_for_endpoints(&mut self) {
        if let Some(reason) = self.endpoints.iter().find_map(|endpoint| endpoint.halted.clone()) {
            return self.halt(reason);
        }
        let missing: Vec<_> = self.endpoints.iter().flat_map(|endpoint| endpoint.access.missing()).collect();
        if !missing.is_empty() {
            let message = format!("not found: {}", missing.join(", "));
            self.halt(HaltReason::Models(Failure { status: Some(404), message, ..Failure::default() }));
        }
    }

    /// Halts the run when its time is over. Halts an endpoint if nothing has worked there for too long.
    pub(super) fn halt_if_overdue(&mut self, now: Instant) {
        if self.halted.is_some() {
            return;
        }
        if let Some(why) = self.config.budget.time_is_up(now) {
            return self.halt(HaltReason::Budget(why));
        }
        self.judge_endpoints(now);
    }

    /// Stops the endpoint of a row. The row is left pending unless a policy sends it elsewhere.
    pub(super) fn halt_with(&mut self, entry: Entry, reason: HaltReason, end: &End) -> Next {
        self.halt_endpoint(end.endpoint, reason, end.now);
        self.leave_halted(entry, end)
    }

    /// Returns what happens to a row when its endpoint or the whole run has halted.
    pub(super) fn leave_halted(&mut self, entry: Entry, end: &End) -> Next {
        let Some(reason) = self.endpoints[end.endpoint].halted.clone() else { return self.pending(entry) };
        match self.then(&entry, Came::Halt(&reason)) {
            Then::Ask(ask) => self.more(entry, *ask, end),
            Then::Keep | Then::Fail { .. } | Then::Answer(_) | Then::FollowUp { .. } => self.pending(entry),
        }
    }

    /// Returns whether the run or the endpoint of an attempt has halted.
    pub(super) fn is_halted(&self, end: &End) -> bool {
        self.halted.is_some() || self.endpoints[end.endpoint].halted.is_some()
    }

    /// Asks the policy what to do with a waiting row of a halted endpoint.
    fn reroute(&mut self, entry: Entry, reason: &HaltReason, now: Instant) {
        match self.then(&entry, Came::Halt(reason)) {
            Then::Ask(ask) => self.ask_again(entry, *ask, now),
            Then::Keep | Then::Fail { .. } | Then::Answer(_) | Then::FollowUp { .. } => {
                self.put_aside_and_give_up_lead(entry, now);
            }
        }
    }
}
