//! Handles the two reports about an attempt: its response head (the status line and headers), and its end.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{AttemptRecord, Cost, ErrorClass, EventBody, Failure, Money, RateSignals, Usage, Verdict};

use super::config::StreamMode;
use super::entry::Entry;
use super::faults::Fault;
use super::flights::{End, Flight, Head, Sent};
use super::halts::class_of;
use super::state::Scheduler;
use super::step::{Next, Ticket};
use super::warm_up::SentPlan;

/// The highest number of attempts in the history of a row. If the history is full, each further attempt replaces the
/// last attempt in it. The new attempt then includes the usage and the money of the attempt that it replaces.
const REMEMBERED: usize = 64;

impl Scheduler {
    /// Handles a response head (the status line and headers), before the body of the response is read. Call this at
    /// most once for each attempt.
    pub fn on_head(
        &mut self,
        ticket: Ticket,
        status: u16,
        signals: &RateSignals,
        request_id: Option<String>,
        now: Instant,
    ) {
        let Some(flight) = self.flights.get_mut(ticket) else { return };
        if flight.head.is_some() {
            return;
        }
        let pool = &mut self.pools[flight.pool].pool;
        let was_admitted = status != 429;
        let limit_changed = pool.observe(flight.reservation.cost(), signals, was_admitted, now);
        if was_admitted && status < 500 {
            pool.on_accepted(flight.reservation.cost(), flight.sent_at, now);
        }
        flight.head = Some(Head { at: now, signals: *signals, limit_changed, request_id });
        if limit_changed {
            let (pool, limits) = (pool.id().clone(), pool.limits());
            self.events.push(EventBody::LimitsChanged { pool, limits });
        }
    }

    /// Handles the end of an attempt, and returns what happens to its row.
    ///
    /// # Panics
    /// Panics if the ticket is not in flight. An attempt ends only once, so call this function once for each attempt.
    pub fn on_end(&mut self, ticket: Ticket, verdict: Verdict, now: Instant) -> Next {
        let flight = self.flights.remove(ticket).expect("an attempt ends once, while it is in flight");
        let usage = verdict.usage();
        let is_free = matches!(&verdict, Verdict::Answered(message) if message.is_free());
        let cost_of = |usage: &Usage| {
            let cost = if usage.is_unknown { None } else { (self.config.real_cost)(flight.ask(), usage) };
            cost.map(|cost| if is_free { Money::ZERO } else { cost })
        };
        let cost = cost_of(&usage);
        let is_cached = usage.cache_read_tokens > 0 || usage.cache_write_tokens() > 0;
        let without_cache = if is_cached { cost_of(&usage.without_cache()) } else { None };
        let Flight { sent, pool, reservation, money, sent_at, stream, mut head, plan } = flight;
        let endpoint = self.pools[pool].endpoint;
        self.endpoints[endpoint].in_flight -= 1;
        if stream {
            self.on_stream_end(endpoint, &verdict);
        }

        let used = used(&verdict, reservation.cost());
        let reserved = reservation.cost();
        self.pools[pool].pool.settle(reservation, used, head.is_some(), now);
        let costs_most = verdict.is_maybe_paid() || usage.is_unknown;
        self.tell_unknown_usage(usage);
        match costs_most {
            true => self.config.budget.settle_lost(money),
            false => self.config.budget.settle(money, charged(&verdict, cost)),
        }
        let mut entry = match sent {
            Sent::Row(entry) => entry,
            Sent::Canary(_) => {
                self.canary_spend += if costs_most { money } else { charged(&verdict, cost) };
                self.on_canary_end(verdict, &End { pool, endpoint, reserved, sent_at, head, plan, now });
                return Next::NoRow;
            }
        };
        let money = Charge { cost, without_cache, most: money };
        remember(&mut entry, &verdict, money, head.as_mut(), sent_at, now);

        let end = End { pool, endpoint, reserved, sent_at, head, plan, now };
        let bytes = entry.bytes;
        if let Some(next) = self.on_cached_end(&mut entry, &verdict, &end) {
            self.queue_first(entry, now);
            return next;
        }
        let still_leads = (!entry.leads.is_empty()).then(|| (entry.planned.ask.prefixes.clone(), entry.leads));
        let next = self.on_verdict(entry, verdict, &end);
        if matches!(next, Next::Finished(_) | Next::Pending { .. }) {
            self.row_bytes -= bytes;
            if let Some((Some(prefixes), leads)) = still_leads {
                self.end_lead(&prefixes, leads, endpoint, now);
            }
        }
        next
    }

    /// Handles the end of an attempt, if the row of the attempt shares prefixes with other rows. If the row must be
    /// sent again without cache marks, returns what happens to the row; otherwise returns `None`.
    fn on_cached_end(&mut self, entry: &mut Entry, verdict: &Verdict, end: &End) -> Option<Next> {
        entry.planned.ask.prefixes.as_ref()?;
        let sent = SentPlan { endpoint: end.endpoint, plan: end.plan, sent_at: end.sent_at };
        match verdict {
            Verdict::Answered(message) => self.on_cached_answer(entry, sent, message, end.now),
            // The row is sent again after a short delay. If the row leads prefixes (writes them to the prompt cache),
            // the row stays their leader.
            Verdict::Limited { .. } if !self.is_halted(end) => {}
            Verdict::Rejected { class, failure } if self.retries_unmarked(entry, sent, *class, failure) => {
                let (class, keeps_mark) = (*class, entry.keeps_mark());
                self.on_works(entry.at_fault.is_some(), end);
                let row = entry.retried(failure.status, Duration::ZERO);
                return Some(Next::Again { row, class, limit: None, maybe_paid: false, keeps_mark });
            }
            _ => self.give_up_lead(entry, end.endpoint, end.now),
        }
        None
    }

    /// Handles the end of a request that asked for a stream.
    fn on_stream_end(&mut self, endpoint: usize, verdict: &Verdict) {
        if self.config.stream == StreamMode::Auto {
            let told = self.endpoints[endpoint].streaming.on_end(verdict);
            self.events.extend(told.map(EventBody::Warned));
        }
    }

    /// Decides what happens to a row after the verdict on its attempt.
    fn on_verdict(&mut self, entry: Box<Entry>, verdict: Verdict, end: &End) -> Next {
        match verdict {
            Verdict::Answered(message) => self.on_answer(entry, message, end),
            Verdict::Paused { message, failure } => self.on_pause(entry, &message, failure, end),
            Verdict::Limited { kind, retry_after, failure } => self.on_limit(entry, kind, retry_after, failure, end),
            Verdict::Overloaded { retry_after, maybe_paid, failure } => {
                if self.endpoints[end.endpoint].window.on_overload(end.sent_at, end.now) {
                    self.restart_slowly(end);
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
}

/// Returns how much of each limit an attempt used. If the attempt was answered, the amounts are the usage of the
/// answer. If the server refused the attempt, the attempt counts as one request and no tokens. If an attempt has no
/// answer but was possibly processed, or its answer has no usage that can be read, the attempt counts as one request,
/// its input tokens, and a part of its predicted output tokens.
///
/// An answer can break off at any point, so the number of output tokens that it used is not known. Half of the
/// predicted output counts as used. If no output counted as used, the program would send the row again too early. The
/// server would then reject the row because of the output limit.
fn used(verdict: &Verdict, reserved: Cost) -> Cost {
    let small = |tokens: u64| u32::try_from(tokens).unwrap_or(u32::MAX);
    let usage = verdict.usage();
    match verdict {
        Verdict::Answered(message) | Verdict::Paused { message, .. } if !usage.is_unknown => Cost {
            requests: reserved.requests,
            input_tokens: small(message.usage.limited_input_tokens()),
            output_tokens: small(message.usage.output_tokens),
        },
        _ if verdict.is_maybe_paid() || usage.is_unknown => {
            let known = small(usage.output_tokens);
            Cost { output_tokens: known.max(reserved.output_tokens / 2), ..reserved }
        }
        _ => Cost { requests: reserved.requests, ..Cost::default() },
    }
}

/// Returns the part of the budget that an attempt used. If the attempt was answered, this part is the cost of the
/// attempt.
fn charged(verdict: &Verdict, cost: Option<Money>) -> Money {
    match verdict {
        Verdict::Answered(_) | Verdict::Paused { .. } => cost.unwrap_or(Money::ZERO),
        _ => Money::ZERO,
    }
}

/// The money of an attempt: the cost of the reported usage, the cost without a prompt cache, and the highest possible
/// cost.
struct Charge {
    cost: Option<Money>,
    without_cache: Option<Money>,
    most: Money,
}

/// Adds an attempt that has ended to the history of its row.
fn remember(
    entry: &mut Entry,
    verdict: &Verdict,
    Charge { cost, without_cache, most }: Charge,
    head: Option<&mut Head>,
    started_at: Instant,
    ended_at: Instant,
) {
    let (failed, request_id, usage) = match verdict {
        Verdict::Answered(message) | Verdict::Paused { message, .. } => (None, None, message.usage),
        Verdict::Limited { failure, .. } => of(ErrorClass::RateLimit, failure),
        Verdict::Overloaded { failure, .. } => of(ErrorClass::Overloaded, failure),
        Verdict::Transient { class, failure, .. } | Verdict::Rejected { class, failure } => of(*class, failure),
        Verdict::Forbidden(failure) => of(ErrorClass::Auth, failure),
        Verdict::NoModel(failure) => of(ErrorClass::InvalidRequest, failure),
        Verdict::Halt(reason) => (Some(class_of(reason)), None, Usage::default()),
        Verdict::Aborted => (Some(ErrorClass::Canceled), None, Usage::default()),
    };
    let quality = match verdict {
        Verdict::Answered(message) | Verdict::Paused { message, .. } => Some(message.quality),
        Verdict::Limited { .. }
        | Verdict::Overloaded { .. }
        | Verdict::Transient { .. }
        | Verdict::Rejected { .. }
        | Verdict::Forbidden(_)
        | Verdict::NoModel(_)
        | Verdict::Halt(_)
        | Verdict::Aborted => None,
    };
    let maybe_paid = verdict.is_maybe_paid();
    let head_at = head.as_ref().map(|head| head.at);
    let request_id = request_id.or_else(|| head?.request_id.take());
    // If an attempt has its own line, the attempt is never replaced, because the line contains the attempt's usage.
    let is_full = entry.attempts.len() >= REMEMBERED;
    let replaced = if is_full { entry.attempts.pop_if(|last| !last.is_recorded) } else { None };
    let maybe_cost = if maybe_paid || usage.is_unknown { most.less(cost.unwrap_or(Money::ZERO)) } else { Money::ZERO };
    // Nearly every row has only one attempt. Without `reserve_exact`, the list would have room for four attempts.
    entry.attempts.reserve_exact(1);
    let mut record = AttemptRecord {
        started_at,
        ended_at,
        head_at,
        failed,
        maybe_paid,
        maybe_cost,
        usage,
        cost,
        without_cache,
        request_id,
        quality,
        ..AttemptRecord::of(&entry.planned.ask)
    };
    if let Some(replaced) = replaced {
        record.take_over(&replaced);
    }
    entry.attempts.push(record);
}

/// Returns the class, the request id and the usage of a failed attempt, for the history of its row.
fn of(class: ErrorClass, failure: &Failure) -> (Option<ErrorClass>, Option<String>, Usage) {
    (Some(class), failure.request_id.clone(), failure.usage)
}
