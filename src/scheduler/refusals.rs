//! Handles a refusal by a limit (status 429). This file decides three things: which limit was exceeded, how long
//! nothing is sent, and what happens to the row.

use std::time::Duration;

use crate::domain::{ErrorClass, EventBody, Failure, FallbackCase, HaltReason, LimitKind};

use super::backoff::{Backoff, jittered_hold, jittered_unsaid_hold};
use super::chain::Leaves;
use super::entry::Entry;
use super::flights::End;
use super::state::Scheduler;
use super::step::Next;

impl Scheduler {
    /// Handles a refusal: the pool is held (sends nothing for a while) or the window becomes smaller, and the row
    /// waits.
    pub(super) fn on_limit(
        &mut self,
        mut entry: Box<Entry>,
        kind: LimitKind,
        retry_after: Option<Duration>,
        failure: Failure,
        end: &End,
    ) -> Next {
        if let Some(reason) = self.asks_too_long(retry_after, end) {
            return self.halt_with(entry, reason, end);
        }
        self.on_reply(end);
        entry.turns += 1;
        // The attempt was possibly billed if the refusal came inside a stream, after a response head with status 200.
        let maybe_paid = entry.attempts.last().is_some_and(|attempt| attempt.maybe_paid);
        let keeps_mark = entry.keeps_mark();
        if self.is_halted(end) {
            return self.leave_halted(entry, end);
        }
        let kind = self.refine(kind, end);
        let next = match kind {
            LimitKind::Concurrency => {
                let endpoint = &mut self.endpoints[end.endpoint];
                endpoint.window.on_concurrency_refusal(endpoint.in_flight, end.sent_at, end.now);
                let delay = Backoff::OVERLOADED.delay(1, retry_after, &mut self.rng);
                self.next_try(&mut entry, delay, retry_after, end)
            }
            LimitKind::Rate | LimitKind::Acceleration => {
                self.hold(kind, retry_after, end);
                let until = self.pools[end.pool].pool.held_until();
                let held = until.since(end.now);
                // If another endpoint can send the row, that endpoint takes the row from the queue.
                let stays = retry_after.is_some_and(|wait| wait > self.config.retry_for);
                let next = if stays { Some(until) } else { self.next_try(&mut entry, held, Some(held), end) };
                let longer = self.longer_wait(&entry, retry_after, end);
                next.map(|at| at + longer)
            }
        };
        let leaves = Leaves {
            case: FallbackCase::Limit,
            class: ErrorClass::RateLimit,
            status: failure.status,
            limit: Some(kind),
        };
        // While a pool is held (must wait), another endpoint takes rows from the pool's queue. So this code counts only
        // the time that the row has already waited, and not the coming wait.
        let since = self.waits_since(&mut entry, end);
        if next.is_some()
            && let Some(case) = self.early_case(&entry, since, end.now, end)
            && let Some(ask) = self.ask_elsewhere(&entry, end.endpoint, case)
        {
            return self.leave(entry, *ask, &Leaves { case, ..leaves }, end);
        }
        let wait = next.map_or(Duration::ZERO, |at| at.since(end.now));
        let row = entry.retried(failure.status, wait);
        match (next, kind) {
            (None, _) => return self.leave_or_fail(entry, &leaves, failure, true, end),
            (Some(at), LimitKind::Concurrency) => self.later.insert(entry, at),
            (Some(at), _) if at > self.pools[end.pool].pool.held_until() => self.later.insert(entry, at),
            // The pool is held (sends nothing) at least until the row's next try, so the row can be queued immediately.
            (Some(_), LimitKind::Rate | LimitKind::Acceleration) => self.queue_in_turn(entry, end.now),
        }
        Next::Again { row, class: ErrorClass::RateLimit, limit: Some(kind), maybe_paid, keeps_mark }
    }

    /// Returns how long a refused row waits in addition to the wait of its pool. If the server does not say how long to
    /// wait, the server possibly refused this row for a reason that concerns only this row. For this reason, each
    /// further refusal of the row doubles the row's wait, and other rows are sent in that time. If the server refuses
    /// all rows, the row's wait does not grow. Instead of the single row, the whole pool waits longer.
    fn longer_wait(&mut self, entry: &Entry, retry_after: Option<Duration>, end: &End) -> Duration {
        let grows = self.pools[end.pool].pool.is_refused_in_a_row();
        if retry_after.is_some() || entry.turns < 2 || grows {
            return Duration::ZERO;
        }
        Backoff::REFUSED_AGAIN.delay(entry.turns, None, &mut self.rng)
    }

    /// Returns the kind of limit that really caused a refusal. A rate refusal without headers looks like a concurrency
    /// refusal. A concurrency refusal is treated as a rate refusal in two cases: no other request was in flight, or the
    /// pool learns its limits from refusals (a proxy removes the rate headers, or has limits of its own).
    fn refine(&self, kind: LimitKind, end: &End) -> LimitKind {
        let is_alone = self.endpoints[end.endpoint].in_flight == 0;
        match kind {
            LimitKind::Concurrency if is_alone || self.pools[end.pool].pool.learns() => LimitKind::Rate,
            LimitKind::Concurrency | LimitKind::Rate | LimitKind::Acceleration => kind,
        }
    }

    /// If the server asks for a longer wait than the user allows, returns the reason to stop the endpoint. If rows can
    /// be sent to the next endpoint, returns `None`: the endpoint that refused the request is not stopped, but is used
    /// again after the wait.
    pub(super) fn asks_too_long(&self, retry_after: Option<Duration>, end: &End) -> Option<HaltReason> {
        let allowed = self.config.retry_for;
        let wait = retry_after.filter(|wait| *wait > allowed)?;
        if self.falls_back(FallbackCase::Limit) && self.next_endpoint(end.endpoint).is_some() {
            return None;
        }
        Some(HaltReason::RetryAfter { wait, allowed })
    }

    /// Holds the pool of a refused attempt: the pool sends nothing for as long as the server asks. If the server does
    /// not say how long to wait, the pool chooses the time.
    pub(super) fn hold(&mut self, kind: LimitKind, retry_after: Option<Duration>, end: &End) {
        self.pools[end.pool].held_since.get_or_insert(end.now);
        let pool = &mut self.pools[end.pool].pool;
        let dimension = match &end.head {
            Some(head) => pool.on_refusal(end.reserved, &head.signals, head.limit_changed, end.now),
            None => None,
        };
        if kind == LimitKind::Acceleration {
            pool.on_acceleration(end.now);
        }
        let was_held = pool.held_until() > end.now;
        let wait = match retry_after {
            Some(wait) => wait,
            None if was_held => Duration::ZERO,
            None => pool.next_unsaid_hold(),
        };
        let held = match retry_after {
            Some(wait) => jittered_hold(wait, &mut self.rng),
            None => jittered_unsaid_hold(wait, &mut self.rng),
        };
        pool.hold_until(end.now + held, end.reserved, end.now);
        if !was_held {
            self.events.push(EventBody::Held { pool: pool.id().clone(), wait, kind, dimension });
        }
    }
}
