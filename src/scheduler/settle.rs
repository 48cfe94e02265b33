//! What an event means for the run: heads, ends of attempts, what follows from them, overdue halts.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{
    Ask, AttemptRecord, Cost, Ended, ErrorClass, EventBody, Failure, HaltReason, Lane, LimitKind, Message, Money,
    Outcome, RateSignals, Usage, Verdict,
};

use super::backoff::{Backoff, jittered_hold, jittered_unsaid_hold};
use super::entry::{Entry, Flight, Head, Sent};
use super::faults::{Fault, QUOTA_PER_SUCCESS, RETRY_QUOTA};
use super::{Next, Scheduler, Ticket};
use crate::answer::{Came, Then};
use crate::limiter::Pool;

/// Forbidden rows in a row that stop a run which has had a success.
const FORBIDDEN: u32 = 3;
/// Attempts that a row remembers; further ones replace the last, with what it used and cost.
const REMEMBERED: usize = 64;

impl Scheduler {
    /// Takes in the head of a response, before its body is read. Call it once at most for each attempt.
    pub fn on_head(
        &mut self,
        ticket: Ticket,
        status: u16,
        signals: &RateSignals,
        request_id: Option<String>,
        now: Instant,
    ) {
        let Some(flight) = self.flights[ticket.0 as usize].as_mut() else { return };
        if flight.head.is_some() {
            return;
        }
        let pool = &mut self.pools[flight.pool].pool;
        let was_admitted = status != 429;
        let limit_changed = pool.observe(flight.reservation.cost(), signals, was_admitted, now);
        if was_admitted && status < 500 {
            pool.on_let_in(flight.reservation.cost(), flight.sent_at, now);
        }
        flight.head = Some(Head { signals: *signals, limit_changed, request_id });
        let leads = flight.row().and_then(|entry| entry.leads).filter(|_| (200..300).contains(&status));
        if limit_changed {
            let (pool, limits) = (pool.id().clone(), pool.limits());
            self.events.push(EventBody::LimitsChanged { pool, limits });
        }
        if let Some(gate) = leads {
            self.open_gate(gate, now);
        }
    }

    /// Takes in the end of an attempt and says what becomes of its row.
    ///
    /// # Panics
    /// When the ticket is not in flight: an attempt ends once.
    pub fn on_end(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) -> Next {
        let flight = self.flights[ticket.0 as usize].take().expect("an attempt ends once, while it is in flight");
        self.free.push(ticket.0);
        let Flight { sent, pool, reservation, money, sent_at, stream, mut head } = flight;
        let endpoint = self.pools[pool].endpoint;
        self.endpoints[endpoint].in_flight -= 1;
        if stream {
            self.on_stream_end(endpoint, &verdict);
        }

        let used = used(&verdict, reservation.cost());
        let reserved = reservation.cost();
        self.pools[pool].pool.settle(reservation, used, head.is_some(), now);
        let ask = match &sent {
            Sent::Row(entry) => &entry.planned.ask,
            Sent::Canary(ask) => ask,
        };
        let cost = (self.config.real_cost)(ask, &verdict.usage());
        self.config.budget.settle(money, charged(&verdict, cost, money));
        let mut entry = match sent {
            Sent::Row(entry) => entry,
            Sent::Canary(_) => {
                self.on_canary_end(verdict, &End { pool, endpoint, reserved, sent_at, head, now });
                return Next::NoRow;
            }
        };
        remember(&mut entry, &verdict, cost, head.as_mut(), sent_at, now);

        let end = End { pool, endpoint, reserved, sent_at, head, now };
        let (leads, bytes) = (entry.leads, entry.bytes);
        let next = self.on_verdict(entry, verdict, &end);
        if matches!(next, Next::Finished(_) | Next::Pending(_)) {
            self.row_bytes -= bytes;
            leads.into_iter().for_each(|gate| self.open_gate(gate, now));
        }
        next
    }

    fn on_verdict(&mut self, entry: Entry, verdict: Verdict, end: &End) -> Next {
        match verdict {
            Verdict::Answered(message) => self.on_answer(entry, message, end),
            Verdict::Limited { kind, retry_after, failure } => self.on_limit(entry, kind, retry_after, failure, end),
            Verdict::Overloaded { retry_after, maybe_paid, failure } => {
                if self.endpoints[end.endpoint].window.on_overload(end.sent_at, end.now) {
                    self.calm_down(end);
                }
                self.on_fault(entry, Fault { class: ErrorClass::Overloaded, retry_after, maybe_paid, failure }, end)
            }
            Verdict::Transient { class, retry_after, maybe_paid, failure } => {
                self.on_fault(entry, Fault { class, retry_after, maybe_paid, failure }, end)
            }
            Verdict::Rejected { class, failure } => {
                self.on_works(entry.at_fault.is_some(), end);
                self.fail(entry, class, failure, false, end)
            }
            Verdict::Forbidden(failure) => self.on_forbidden(entry, failure, end),
            Verdict::NoModel(failure) => self.on_no_model(entry, failure, end),
            Verdict::Halt(reason) if reason.is_of_endpoint() => self.halt_with(entry, reason, end),
            Verdict::Halt(reason) => {
                self.halt(reason);
                self.pending(entry)
            }
            Verdict::Aborted => self.pending(entry),
        }
    }

    /// Halts when the run's time is over, or an endpoint has been dead for too long.
    pub(super) fn halt_if_overdue(&mut self, now: Instant) {
        if self.halted.is_some() {
            return;
        }
        if let Some(why) = self.config.budget.time_is_up(now) {
            return self.halt(HaltReason::Budget(why));
        }
        self.judge_endpoints(now);
    }

    pub(super) fn halt_for_parked(&mut self) {
        let parked = self.endpoints.iter().flat_map(|endpoint| &endpoint.parked);
        let models: Vec<_> = parked.map(|model| &**model).collect();
        let message = format!("not found: {}", models.join(", "));
        self.halt(HaltReason::Models(Failure { status: Some(404), message, ..Failure::default() }));
    }

    fn on_answer(&mut self, entry: Entry, message: Message, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.successes += 1;
        endpoint.forbidden_in_a_row = 0;
        endpoint.retry_quota = (endpoint.retry_quota + QUOTA_PER_SUCCESS).min(RETRY_QUOTA);
        if !endpoint.answered_models.contains(&entry.planned.ask.model) {
            endpoint.answered_models.insert(entry.planned.ask.model.clone());
        }
        self.pools[end.pool].prediction.learn(&entry.planned.ask, &message.usage);
        match self.then(&entry, Came::Answer(&message)) {
            Then::Keep => {
                self.halt_watch.on_answer();
                self.tell_unknown_end(&message);
                finished(entry, Ended::Succeeded(message))
            }
            Then::Fail { class, failure } => self.give_up(entry, class, failure, false),
            Then::Ask(ask) => self.more(entry, *ask, end),
        }
    }

    /// Notes that the endpoint handled a request, whatever it said; `had_failed` for a row that had met a fault before.
    pub(super) fn on_works(&mut self, had_failed: bool, end: &End) {
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.tally.answer(had_failed, end.sent_at);
        endpoint.has_last_tries = false;
        self.on_reply(end);
    }

    /// Notes that the endpoint replies, though it may only have said that it is too early.
    pub(super) fn on_reply(&mut self, end: &End) {
        let endpoint = &mut self.endpoints[end.endpoint];
        let was_failing = endpoint.health.on_answer(end.now);
        if was_failing {
            endpoint.window.restart(end.now);
        }
        endpoint.window.on_answer(end.now);
        let was_outage = was_failing && endpoint.health.recovered_at() == end.now;
        if was_failing {
            self.calm_down(end);
        }
        if was_outage {
            self.pools_of(end.endpoint).for_each(Pool::on_outage_end);
        }
    }

    /// Lets every pool of an endpoint start over slowly: while it was in trouble their buckets filled up.
    fn calm_down(&mut self, end: &End) {
        self.pools_of(end.endpoint).for_each(|pool| pool.restart_slowly(end.now));
    }

    fn pools_of(&mut self, endpoint: usize) -> impl Iterator<Item = &mut Pool> {
        self.pools.iter_mut().filter(move |state| state.endpoint == endpoint).map(|state| &mut state.pool)
    }

    fn on_limit(
        &mut self,
        mut entry: Entry,
        kind: LimitKind,
        retry_after: Option<Duration>,
        failure: Failure,
        end: &End,
    ) -> Next {
        if let Some(wait) = retry_after.filter(|wait| *wait > self.config.retry_for) {
            return self.halt_with(entry, HaltReason::RetryAfter { wait, allowed: self.config.retry_for }, end);
        }
        self.on_reply(end);
        entry.turns += 1;
        if self.is_halted(end) {
            return self.stranded(entry, end);
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
                let held = self.pools[end.pool].pool.held_until().since(end.now);
                self.next_try(&mut entry, held, Some(held), end)
            }
        };
        match (next, kind) {
            (None, _) => return self.fail(entry, ErrorClass::RateLimit, failure, true, end),
            (Some(at), LimitKind::Concurrency) => self.queue_later(entry, at),
            // The pool is held for as long.
            (Some(_), LimitKind::Rate | LimitKind::Acceleration) => self.queue_in_turn(entry, end.now),
        }
        Next::Again { class: ErrorClass::RateLimit, limit: Some(kind), maybe_paid: false }
    }

    /// Tells a concurrency refusal from a rate refusal whose headers a proxy hides: with nothing else in flight there is
    /// no concurrency to refuse.
    fn refine(&self, kind: LimitKind, end: &End) -> LimitKind {
        let is_alone = self.endpoints[end.endpoint].in_flight == 0;
        match kind {
            LimitKind::Concurrency if is_alone || !self.pools[end.pool].pool.has_seen_limits() => LimitKind::Rate,
            LimitKind::Concurrency | LimitKind::Rate | LimitKind::Acceleration => kind,
        }
    }

    pub(super) fn hold(&mut self, kind: LimitKind, retry_after: Option<Duration>, end: &End) {
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

    fn on_forbidden(&mut self, entry: Entry, failure: Failure, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.forbidden_in_a_row += 1;
        if endpoint.successes == 0 {
            self.halt_with(entry, HaltReason::Key(failure), end)
        } else if endpoint.forbidden_in_a_row >= FORBIDDEN {
            self.halt_with(entry, HaltReason::Forbidden(failure), end)
        } else {
            self.fail(entry, ErrorClass::Auth, failure, false, end)
        }
    }

    /// Parks a model; its queued rows are set aside. The run goes on: it halts for that once nothing else is left to do.
    fn on_no_model(&mut self, entry: Entry, failure: Failure, end: &End) -> Next {
        self.on_works(entry.at_fault.is_some(), end);
        let model = entry.planned.ask.model.clone();
        let endpoint = &mut self.endpoints[end.endpoint];
        if endpoint.answered_models.contains(&model) {
            // It answered before, so this 404 is not about the model.
            return self.fail(entry, ErrorClass::InvalidRequest, failure, false, end);
        }
        if endpoint.parked.insert(model.clone()) {
            let (model, message) = (model.to_string(), failure.message.clone());
            self.events.push(EventBody::Parked { model, message });
        }
        self.set_model_aside(&model, end);
        self.pending(entry)
    }

    fn set_model_aside(&mut self, model: &str, end: &End) {
        let mut parked: Vec<Entry> = Vec::new();
        for state in self.pools.iter_mut().filter(|state| state.endpoint == end.endpoint) {
            let (its, kept): (Vec<_>, Vec<_>) =
                std::mem::take(&mut state.ready).into_iter().partition(|entry| &*entry.planned.ask.model == model);
            state.ready = kept.into();
            self.endpoints[end.endpoint].ready -= its.len();
            parked.extend(its);
        }
        for entry in parked {
            let leads = entry.leads;
            self.put_aside(entry);
            leads.into_iter().for_each(|gate| self.open_gate(gate, end.now));
        }
    }

    /// Fails a row for which nothing more can be tried, unless a policy asks for something else.
    pub(super) fn fail(
        &mut self,
        entry: Entry,
        class: ErrorClass,
        failure: Failure,
        is_retryable: bool,
        end: &End,
    ) -> Next {
        match self.then(&entry, Came::Failure { class, failure: &failure }) {
            Then::Keep => self.give_up(entry, class, failure, is_retryable),
            Then::Fail { class, failure } => self.give_up(entry, class, failure, is_retryable),
            Then::Ask(ask) => self.more(entry, *ask, end),
        }
    }

    fn give_up(&mut self, entry: Entry, class: ErrorClass, failure: Failure, is_retryable: bool) -> Next {
        if let Some(reason) = self.halt_watch.on_failure(class, &failure) {
            self.halt(reason);
        }
        finished(entry, Ended::Failed { class, failure, is_retryable })
    }

    /// Returns what follows from what came for a row.
    pub(super) fn then(&self, entry: &Entry, came: Came<'_>) -> Then {
        match &self.config.policy {
            Some(policy) => policy(&entry.planned.job, &entry.planned.ask, came, &entry.attempts),
            None => Then::Keep,
        }
    }

    fn more(&mut self, entry: Entry, ask: Ask, end: &End) -> Next {
        if self.halted.is_some() {
            return self.pending(entry);
        }
        let job = entry.planned.job.id;
        self.ask_again(entry, ask, end.now);
        Next::More { job }
    }

    /// Stops the endpoint of a row, and the row with it unless a policy sends it elsewhere.
    pub(super) fn halt_with(&mut self, entry: Entry, reason: HaltReason, end: &End) -> Next {
        self.halt_endpoint(end.endpoint, reason, end.now);
        self.stranded(entry, end)
    }

    /// Returns what becomes of a row whose endpoint has halted.
    pub(super) fn stranded(&mut self, entry: Entry, end: &End) -> Next {
        let Some(reason) = self.endpoints[end.endpoint].halted.clone() else { return self.pending(entry) };
        match self.then(&entry, Came::Halt(&reason)) {
            Then::Ask(ask) => self.more(entry, *ask, end),
            Then::Keep | Then::Fail { .. } => self.pending(entry),
        }
    }

    pub(super) fn is_halted(&self, end: &End) -> bool {
        self.halted.is_some() || self.endpoints[end.endpoint].halted.is_some()
    }

    fn pending(&mut self, entry: Entry) -> Next {
        self.unkept += u64::from(entry.holds_answer());
        Next::Pending(Box::new(entry.planned))
    }
}

/// The end of an attempt, beside its row.
pub(super) struct End {
    pub(super) pool: usize,
    pub(super) endpoint: usize,
    pub(super) reserved: Cost,
    pub(super) sent_at: Instant,
    head: Option<Head>,
    pub(super) now: Instant,
}

fn finished(entry: Entry, ended: Ended) -> Next {
    Next::Finished(Box::new(Outcome { job: entry.planned.job, attempts: entry.attempts, ended }))
}

/// Returns what an attempt took from the limits: a refused one keeps its request, one that may have run its input too.
///
/// An answer that broke off does not say what it used. Half of what was predicted is kept, as it may have broken off
/// anywhere; without that, broken answers were let through twice and their output was refused later.
fn used(verdict: &Verdict, reserved: Cost) -> Cost {
    let small = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
    match verdict {
        Verdict::Answered(message) => Cost {
            requests: reserved.requests,
            input_tokens: small(message.usage.limited_input_tokens()),
            output_tokens: small(message.usage.output_tokens),
        },
        _ if verdict.is_maybe_paid() => {
            let known = small(verdict.usage().output_tokens);
            Cost { output_tokens: known.max(reserved.output_tokens / 2), ..reserved }
        }
        _ => Cost { requests: reserved.requests, ..Cost::default() },
    }
}

/// Returns what an attempt is charged to the budget: what it cost, or all that was reserved when it may have run.
fn charged(verdict: &Verdict, cost: Option<Money>, reserved: Money) -> Money {
    match verdict {
        Verdict::Answered(_) => cost.unwrap_or(Money::ZERO),
        _ if verdict.is_maybe_paid() => reserved,
        _ => Money::ZERO,
    }
}

fn remember(
    entry: &mut Entry,
    verdict: &Verdict,
    cost: Option<Money>,
    head: Option<&mut Head>,
    started_at: Instant,
    ended_at: Instant,
) {
    let (failed, request_id, usage) = match verdict {
        Verdict::Answered(message) => (None, None, message.usage),
        Verdict::Limited { failure, .. } => of(ErrorClass::RateLimit, failure),
        Verdict::Overloaded { failure, .. } => of(ErrorClass::Overloaded, failure),
        Verdict::Transient { class, failure, .. } | Verdict::Rejected { class, failure } => of(*class, failure),
        Verdict::Forbidden(failure) => of(ErrorClass::Auth, failure),
        Verdict::NoModel(failure) => of(ErrorClass::InvalidRequest, failure),
        Verdict::Halt(_) | Verdict::Aborted => (Some(ErrorClass::Canceled), None, Usage::default()),
    };
    let maybe_paid = verdict.is_maybe_paid();
    let request_id = request_id.or_else(|| head?.request_id.take());
    if entry.attempts.len() >= REMEMBERED {
        entry.attempts.pop();
    }
    // Nearly every row has one, and a list that grows begins with room for four.
    entry.attempts.reserve_exact(1);
    let Ask { purpose, model, pool, .. } = &entry.planned.ask;
    entry.attempts.push(AttemptRecord {
        started_at,
        ended_at,
        failed,
        maybe_paid,
        usage,
        cost,
        request_id,
        purpose: *purpose,
        lane: Lane::Online,
        provider: pool.provider.clone(),
        model: model.clone(),
    });
}

fn of(class: ErrorClass, failure: &Failure) -> (Option<ErrorClass>, Option<String>, Usage) {
    (Some(class), failure.request_id.clone(), failure.usage)
}
