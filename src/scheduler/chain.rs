//! Sends rows to the next endpoint of a chain.
//!
//! A row begins at the first endpoint. It moves only forward, and never back in this run. An endpoint is skipped if it
//! has halted, does not have the row's model, or can't be sent the row. At its new endpoint, the row has all its tries
//! again, and keeps the attempts so far.
//!
//! Most rows do not move on their own: the next endpoint takes them from the queue (`pull`).

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{
    Ask, ErrorClass, EventBody, Failure, FallbackCase, HaltReason, Job, LimitKind, Message, Purpose, Quality,
};

use super::endpoint::{Detour, Endpoint, EndpointId};
use super::entry::Entry;
use super::fallback::case_of_halt;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

/// After a row has moved on its own, reporters are told for at least this long that rows go to the next endpoint.
const SHOWN: Duration = Duration::from_secs(60);
/// A row moves at this overload.
const OVERLOADS: u32 = 2;

/// Why a row that was sent leaves its endpoint.
pub(super) struct Leaves {
    pub(super) case: FallbackCase,
    pub(super) class: ErrorClass,
    /// The HTTP status of the last attempt.
    pub(super) status: Option<u16>,
    /// The kind of limit, if a limit was the reason.
    pub(super) limit: Option<LimitKind>,
}

impl Scheduler {
    /// Returns how many endpoints the chain has; 0 without a chain. They are the first of all endpoints.
    pub(super) fn chain_len(&self) -> usize {
        if self.config.fallback.is_some() { self.config.endpoints.len() } else { 0 }
    }

    /// Returns whether rows are sent to the next endpoint in this case.
    pub(super) fn falls_back(&self, case: FallbackCase) -> bool {
        self.config.fallback.as_ref().is_some_and(|fallback| fallback.on.has(case))
    }

    /// Returns the longest time that a row waits because of limits while another endpoint is left for it.
    pub(super) fn longest_wait(&self) -> Option<Duration> {
        self.config.fallback.as_ref()?.on.limit
    }

    /// Returns the next endpoint that has not halted.
    pub(super) fn next_endpoint(&self, from: usize) -> Option<usize> {
        (from + 1..self.chain_len()).find(|at| self.endpoints[*at].halted.is_none())
    }

    /// Returns whether rows of the input can be sent to an endpoint that has not halted.
    pub(super) fn is_endpoint_left(&self) -> bool {
        if self.config.fallback.is_none() {
            return self.endpoints.iter().any(|endpoint| endpoint.halted.is_none());
        }
        let leads_on = |reason: &HaltReason| case_of_halt(reason).is_some_and(|case| self.falls_back(case));
        let chain = &self.endpoints[..self.chain_len()];
        let first = chain.iter().find(|endpoint| !endpoint.halted.as_ref().is_some_and(leads_on));
        first.is_some_and(|endpoint| endpoint.halted.is_none())
    }

    /// Returns the request of a row for the next endpoint that takes it.
    ///
    /// # Errors
    /// Why no endpoint takes the row; `None` if there is nothing to say, because rows do not move in this case or no
    /// endpoint is left.
    pub(super) fn next_ask(&self, entry: &Entry, from: usize, case: FallbackCase) -> Result<Box<Ask>, Option<String>> {
        if self.halted.is_some() || !self.falls_back(case) {
            return Err(None);
        }
        let mut why = None;
        for to in from + 1..self.chain_len() {
            if self.endpoints[to].halted.is_some() {
                continue;
            }
            match self.ask_at(&entry.planned.job, to) {
                Ok(ask) => return Ok(ask),
                Err(words) => why = Some(words),
            }
        }
        Err(why)
    }

    /// Returns the request of a row for an endpoint of the chain.
    ///
    /// # Errors
    /// Why the endpoint does not take the row.
    ///
    /// # Panics
    /// If there is no chain, or if the request is for another endpoint.
    pub(super) fn ask_at(&self, job: &Job, to: usize) -> Result<Box<Ask>, String> {
        let fallback = self.config.fallback.as_ref().expect("rows move only along a chain");
        let Endpoint { id, access, .. } = &self.endpoints[to];
        match (fallback.ask_for)(job, id) {
            Ok(ask) if access.lacks(&ask.model) => {
                Err(format!("{} does not have the model {}", id.provider, ask.model))
            }
            Ok(ask) => {
                assert_eq!(EndpointId::of(&ask.pool), *id, "the request is for the endpoint that was named");
                Ok(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
            }
            Err(failure) => Err(format!("{} can't be sent this row: {}", id.provider, failure.message)),
        }
    }

    /// Returns the request of a row for the next endpoint. If no endpoint takes the row, says why, once in a run.
    pub(super) fn ask_elsewhere(&mut self, entry: &Entry, from: usize, case: FallbackCase) -> Option<Box<Ask>> {
        match self.next_ask(entry, from, case) {
            Ok(ask) => Some(ask),
            Err(why) => {
                why.into_iter().for_each(|why| self.tell_stay(&why));
                None
            }
        }
    }

    /// Says why a row can't be sent to another endpoint, once in a run.
    pub(super) fn tell_stay(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_stay_told, true) {
            self.events.push(EventBody::Warned(format!("some rows can't be sent to another provider: {why}")));
        }
    }

    /// Returns the case in which a row moves although it has tries left: it would wait until `at`, and waits since
    /// `since`.
    pub(super) fn early_case(&self, entry: &Entry, since: Instant, at: Instant, end: &End) -> Option<FallbackCase> {
        let next = self.next_endpoint(end.endpoint)?;
        // The row can't come back, so it is not sent to an endpoint that fails.
        if entry.must_stay || self.endpoints[next].health.is_failing() {
            return None;
        }
        let is_long = |wait: Duration| self.longest_wait().is_some_and(|longest| wait > longest);
        if entry.overloads >= OVERLOADS && self.falls_back(FallbackCase::Overload) {
            return Some(FallbackCase::Overload);
        }
        (is_long(end.now.since(since)) || is_long(at.since(end.now))).then_some(FallbackCase::Limit)
    }

    /// Returns whether a row may be sent again: the user may have forbidden to send again what may have been billed.
    pub(super) fn may_send_again(&self, entry: &Entry) -> bool {
        self.config.retry_ambiguous || !entry.attempts.last().is_some_and(|attempt| attempt.maybe_paid)
    }

    /// Sends a row whose attempt has ended without an answer to another endpoint.
    pub(super) fn leave(&mut self, entry: Entry, ask: Ask, leaves: &Leaves, end: &End) -> Next {
        self.note_detour(end.endpoint, &ask.pool.provider, leaves.case, end.now + SHOWN);
        self.leave_untold(entry, ask, leaves, end)
    }

    /// Does the same as [`Scheduler::leave`], but does not tell reporters.
    pub(super) fn leave_untold(&mut self, entry: Entry, ask: Ask, leaves: &Leaves, end: &End) -> Next {
        let maybe_paid = entry.attempts.last().is_some_and(|attempt| attempt.maybe_paid);
        let keeps_mark = entry.keeps_mark();
        let row = entry.retried(leaves.status, Duration::ZERO);
        self.ask_again(entry, ask, end.now);
        Next::Again { row, class: leaves.class, limit: leaves.limit, maybe_paid, keeps_mark }
    }

    /// Handles a row that can't be tried again at its endpoint: it moves, or it fails.
    pub(super) fn leave_or_fail(
        &mut self,
        entry: Entry,
        leaves: &Leaves,
        failure: Failure,
        is_retryable: bool,
        end: &End,
    ) -> Next {
        let mut failure = failure;
        if self.may_send_again(&entry) {
            match self.next_ask(&entry, end.endpoint, leaves.case) {
                Ok(ask) => return self.leave(entry, *ask, leaves, end),
                Err(Some(why)) => failure.message = format!("{}; {why}", failure.message),
                Err(None) => {}
            }
        }
        self.fail(entry, leaves.class, failure, is_retryable, end)
    }

    /// If the model refused to answer and another endpoint is to be asked, returns the request for it and the failure
    /// that the refused answer is recorded with. `provider` got the answer.
    pub(super) fn after_refusal(
        &self,
        entry: &Entry,
        provider: &str,
        message: &Message,
    ) -> Option<(Box<Ask>, Box<Failure>)> {
        if message.quality != Quality::Refused || !self.falls_back(FallbackCase::Refusal) {
            return None;
        }
        let chain = &self.endpoints[..self.chain_len()];
        let from = chain.iter().position(|endpoint| *endpoint.id.provider == *provider)?;
        let ask = self.next_ask(entry, from, FallbackCase::Refusal).ok()?;
        let failure = Failure {
            status: Some(200),
            message: "the model refused to answer".to_owned(),
            request_id: entry.attempts.last().and_then(|attempt| attempt.request_id.clone()),
            answer: Some(message.json.clone()),
            ..Failure::default()
        };
        Some((ask, Box::new(failure)))
    }

    /// Notes that rows of an endpoint are sent to another one, at least until `until`. Reporters are told when this
    /// begins, and once more when the endpoint has halted.
    pub(super) fn note_detour(&mut self, from: usize, to: &Arc<str>, why: FallbackCase, until: Instant) {
        let endpoint = &mut self.endpoints[from];
        if let Some(detour) = &mut endpoint.detour
            && (endpoint.halted.is_none() || detour.why == why)
        {
            detour.until = detour.until.max(until);
            return;
        }
        endpoint.detour = Some(Detour { why, until });
        self.events.push(EventBody::Diverted { from: endpoint.id.provider.clone(), to: to.clone(), why });
    }

    /// Notes the endpoints that get their own rows again.
    pub(super) fn end_detours(&mut self, now: Instant) {
        for at in 0..self.chain_len() {
            let Endpoint { id, health, halted, detour, .. } = &self.endpoints[at];
            let is_over = detour.is_some_and(|detour| now >= detour.until) && !health.is_failing() && halted.is_none();
            if is_over && !self.pools.iter().any(|state| state.endpoint == at && state.closed_until.is_some()) {
                self.events.push(EventBody::Returned { to: id.provider.clone() });
                self.endpoints[at].detour = None;
            }
        }
    }
}
