//! Decides what happens to the endpoint and to the row after an answer, or after a rejection with status 403 or 404.

use std::sync::Arc;
use std::time::Duration;

use crate::answer::{Decision, RequestResult};
use crate::clock::Instant;
use crate::domain::{Ask, ErrorClass, EventBody, Failure, FallbackCase, HaltReason, Message};
use crate::limiter::Pool;

use super::chain::Leaves;
use super::endpoint::{Endpoint, Forbidden};
use super::entry::Entry;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

impl Scheduler {
    /// Handles an answer to a row. The row is finished, unless a policy sends another request for it.
    pub(super) fn on_answer(&mut self, entry: Box<Entry>, message: Message, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.retries.on_success();
        endpoint.access.on_answer(&entry.planned.ask.model);
        endpoint.canary.on_row_answer();
        self.queue_forbidden(end.endpoint, end.now);
        if !message.usage.is_unknown {
            self.pools[end.pool].prediction.learn(&entry.planned.ask, &message.usage);
        }
        let then = self.decision(&entry, RequestResult::Answer(&message));
        if matches!(then, Decision::Keep | Decision::Fail { class: ErrorClass::Refused, .. })
            && let Some((ask, failure)) = self.after_refusal(&entry, &entry.planned.ask.pool.provider, &message)
        {
            return self.follow_up(entry, *ask, ErrorClass::Refused, *failure, end.now);
        }
        match then {
            Decision::Keep => self.keep_answer(entry, message),
            Decision::Answer(message) => self.keep_answer(entry, *message),
            Decision::Fail { class, failure } => self.give_up(entry, class, failure, class.may_pass()),
            Decision::Ask(ask) => self.more(entry, *ask, end),
            Decision::FollowUp { ask, class, failure } => self.follow_up(entry, *ask, class, *failure, end.now),
        }
    }

    /// Handles an answer that the API paused before the answer was complete. The row fails, unless a policy sends a
    /// request that continues the answer.
    pub(super) fn on_pause(&mut self, entry: Box<Entry>, message: &Message, failure: Failure, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        match self.decision(&entry, RequestResult::Pause(message)) {
            Decision::Keep => self.give_up(entry, ErrorClass::InvalidOutput, failure, false),
            Decision::Fail { class, failure } => self.give_up(entry, class, failure, class.may_pass()),
            Decision::Answer(message) => self.keep_answer(entry, *message),
            Decision::Ask(ask) => self.more(entry, *ask, end),
            Decision::FollowUp { ask, class, failure } => self.follow_up(entry, *ask, class, *failure, end.now),
        }
    }

    /// Records that the endpoint processed a request. A request counts as processed even if its row failed.
    /// `had_failed` says whether the row had met a fault before this answer.
    pub(super) fn on_works(&mut self, had_failed: bool, end: &End) {
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.tally.answer(had_failed, end.sent_at);
        endpoint.has_last_tries = false;
        self.pools[end.pool].held_since = None;
        self.on_reply(end);
    }

    /// Records that the endpoint replied, even if it rejected the request because of a limit.
    pub(super) fn on_reply(&mut self, end: &End) {
        let endpoint = &mut self.endpoints[end.endpoint];
        let was_failing = endpoint.health.on_answer(end.now);
        if was_failing {
            endpoint.window.restart(end.now);
        }
        endpoint.window.on_answer(end.sent_at, end.now);
        let was_outage = was_failing && endpoint.health.recovered_at() == end.now;
        if was_failing {
            self.restart_slowly(end);
        }
        if was_outage {
            self.pools_of(end.endpoint).for_each(Pool::on_outage_end);
        }
    }

    /// Makes all pools of an endpoint restart slowly. During the endpoint's trouble, the run sent few requests, so the
    /// server's buckets are full. Without the slow restart, the run would use all tokens in these buckets in one burst.
    pub(super) fn restart_slowly(&mut self, end: &End) {
        self.pools_of(end.endpoint).for_each(|pool| pool.restart_slowly(end.now));
    }

    fn pools_of(&mut self, endpoint: usize) -> impl Iterator<Item = &mut Pool> {
        self.pools.iter_mut().filter(move |state| state.endpoint == endpoint).map(|state| &mut state.pool)
    }

    /// Handles a 403: either the server accepts no request with this key, or it forbids only this row. Before the first
    /// answer, this is unclear, and the row waits: see [`Scheduler::judge_forbidden`].
    pub(super) fn on_forbidden(&mut self, entry: Box<Entry>, failure: Failure, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let forbidden = self.endpoints[end.endpoint].access.on_forbidden(&failure);
        let leaves = Leaves { case: FallbackCase::Model, class: ErrorClass::Auth, status: failure.status, limit: None };
        match forbidden {
            Forbidden::Unclear if self.is_halted(end) => self.leave_halted(entry, end),
            Forbidden::Unclear => {
                let row = entry.retried(failure.status, Duration::ZERO);
                let (maybe_paid, keeps_mark) = (failure.status == Some(200), entry.keeps_mark());
                self.forbidden.push(entry);
                Next::Again { row, class: ErrorClass::Auth, limit: None, maybe_paid, keeps_mark }
            }
            Forbidden::All => self.halt_with(entry, HaltReason::Forbidden(failure), end),
            Forbidden::Row => {
                let access = &self.endpoints[end.endpoint].access;
                let may_have_model = access.has_answered(&entry.planned.ask.model);
                if !may_have_model && let Ok(ask) = self.next_ask(&entry, end.endpoint, leaves.case) {
                    return self.leave_with_model(entry, *ask, &leaves, end);
                }
                self.leave_or_fail(entry, &leaves, failure, false, end)
            }
        }
    }

    /// Decides what the forbidden requests of endpoints without an answer show. Nothing is decided while requests are
    /// in flight, because a firewall forbids a row sooner than a model answers. After that, further rows are sent one
    /// at a time. If several rows in a row are forbidden, or no other row is left, the endpoint forbids everything. If
    /// an earlier run got answers, a few forbidden rows at the end are the cause themselves.
    pub(super) fn judge_forbidden(&mut self, now: Instant) {
        if self.forbidden.is_empty() {
            return;
        }
        let may_get_rows = !self.is_input_closed && !self.is_full();
        for at in 0..self.endpoints.len() {
            let is_last = !may_get_rows && self.ready() == 0 && self.later.len() == 0 && self.in_flight() == 0;
            let endpoint = &mut self.endpoints[at];
            let Some(failure) = endpoint.access.forbids_all(is_last).filter(|_| endpoint.in_flight == 0) else {
                continue;
            };
            let failure = failure.clone();
            if !self.config.has_worked_before {
                self.halt_endpoint(at, HaltReason::Key(failure), now);
            } else if endpoint.access.are_few_forbidden() {
                endpoint.access.blame_rows();
                self.queue_forbidden(at, now);
            } else {
                self.halt_endpoint(at, HaltReason::Forbidden(failure), now);
            }
        }
    }

    /// Queues the rows that an endpoint has forbidden before its first answer. The endpoint now shows whether it
    /// forbids only these rows.
    fn queue_forbidden(&mut self, endpoint: usize, now: Instant) {
        if self.forbidden.is_empty() {
            return;
        }
        let id = self.endpoints[endpoint].id.clone();
        let its: Vec<_> = self.forbidden.extract_if(.., |entry| id.is_of(entry)).collect();
        its.into_iter().for_each(|entry| self.queue_last(entry, now));
    }

    /// Handles a 404 for a model. The ready rows of that model are sent to the next endpoint of the chain. If no
    /// endpoint can take these rows, the rows are set aside (left for a later run) and the run continues. When only the
    /// rows that were set aside are left, the run halts because of the 404.
    pub(super) fn on_no_model(&mut self, entry: Box<Entry>, failure: Failure, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let model = entry.planned.ask.model.clone();
        let access = &mut self.endpoints[end.endpoint].access;
        if access.has_answered(&model) {
            // The model has answered before, so this 404 has a different cause.
            return self.fail(entry, ErrorClass::InvalidRequest, failure, false, end);
        }
        if let Some(ask) = self.ask_elsewhere(&entry, end.endpoint, FallbackCase::Model) {
            let (class, status) = (ErrorClass::InvalidRequest, failure.status);
            let leaves = Leaves { case: FallbackCase::Model, class, status, limit: None };
            return self.leave_with_model(entry, *ask, &leaves, end);
        }
        if self.endpoints[end.endpoint].access.on_missing(&model) {
            let (model, message) = (model.to_string(), failure.message);
            self.events.push(EventBody::Parked { model, message });
        }
        self.queue_rows_again(&model, end);
        self.pending(entry)
    }

    /// Sends a row to the next endpoint. The row's own endpoint does not have the model or does not allow the row. From
    /// this moment on, all rows of the model are sent to the next endpoint.
    fn leave_with_model(&mut self, entry: Box<Entry>, ask: Ask, leaves: &Leaves, end: &End) -> Next {
        let model = entry.planned.ask.model.clone();
        let Endpoint { access, id, .. } = &mut self.endpoints[end.endpoint];
        if access.on_missing(&model) {
            let (from, to) = (id.provider.clone(), ask.pool.provider.clone());
            self.events.push(EventBody::Diverted { from, to, why: leaves.case });
        }
        let next = self.leave_untold(entry, ask, leaves, end);
        self.queue_rows_again(&model, end);
        next
    }

    /// Queues the ready rows of a model again, because their endpoint does not have this model. The queued rows are
    /// sent to another endpoint, or are set aside (left for a later run).
    fn queue_rows_again(&mut self, model: &Arc<str>, end: &End) {
        let id = self.endpoints[end.endpoint].id.clone();
        let its = self.take_ready(|entry| entry.planned.ask.model == *model && id.is_of(entry));
        its.into_iter().for_each(|entry| self.queue_last(entry, end.now));
    }
}
