//! The canary: a tiny test request that this program makes on its own. The canary shows whether the whole endpoint
//! fails or only some rows fail.
//!
//! If a row makes the server fail, the server answers every attempt of that row with 500. If the endpoint is in
//! trouble, the server answers every row with 500. So after several faults with no answer between them, the program
//! can't know whether the rows or the endpoint caused them. For this reason, an endpoint that seems to fail is probed
//! (tested) with a canary and a row alternately. The canary has a prompt of one word and `max_tokens` 1, and uses the
//! model of a row that failed. The result of the canary has one of three meanings:
//!
//! - If the canary is answered, the endpoint works. If a row fails after the answer to the canary, the row is the
//!   cause.
//! - If the canary fails in the same way as the rows, the whole endpoint fails. As long as the endpoint fails, a fault
//!   of a row does not use up one of the row's tries.
//! - If the canary is rejected, or if it does not fail in the same way as the rows, the result shows nothing. The
//!   reason is that some gateways accept only certain requests.
//!
//! A gateway that hides its limits can also reject requests with status 500. After a short pause, a gateway with hidden
//! limits has room again, and can answer the canary. So if a gateway hides its limits, an answered canary does not
//! prove that the rows caused the faults. For this reason, one row is sent alone after each of three canaries. The
//! program treats the rows as the cause only if all three rows fail.
//!
//! An answered canary costs about a thousandth of a cent. The limits and the budget apply to a canary, as they apply to
//! a row. When the limits or the budget have no room, the canary is not sent. No line is written for a canary.
//!
//! Rejected idea: probe a failing endpoint with good rows of the input that were kept back for this purpose. At the end
//! of a run, none of these rows were left. So an outage at the end of a run caused good rows to be written to the error
//! log.

use std::time::Duration;

use crate::clock::Instant;
use crate::domain::{Cost, ErrorClass, Failure, Money, Usage, Verdict};
use crate::limiter::Admission;

use super::budget::Room;
use super::faults::Fault;
use super::flights::{End, Flight, Sent};
use super::state::Scheduler;
use super::step::Step;
use super::warmth::Plan;

/// If the canary's pool has no room, the scheduler checks the pool again after `ASK_AGAIN` at the latest.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// After each answered canary, one row is sent alone. If `PROOF` rows have failed although they were sent alone, the
/// faults are not hidden refusals (refusals that look like faults).
const PROOF: u32 = 3;

impl Scheduler {
    /// Sends a canary (a test request) if an endpoint fails and the time for its next probe has come.
    pub(super) fn send_canary(&mut self, now: Instant) -> Option<Step> {
        let at = (0..self.endpoints.len()).find(|at| self.canary_due(*at).is_some_and(|due| due <= now))?;
        let (pool, ask) = self.endpoints[at].canary.ask.clone()?;
        let reservation = match self.pools[pool].pool.reserve(ask.cost, now) {
            Admission::Granted(reservation) => reservation,
            Admission::Wait { until, .. } => {
                // Other events can make room in the pool before `until`.
                self.endpoints[at].canary.not_before = until.min(now + ASK_AGAIN);
                return None;
            }
        };
        let usage = Usage { input_tokens: ask.cost.input_tokens.into(), output_tokens: 1, ..Usage::default() };
        let money = (self.config.real_cost)(&ask, &usage).filter(|_| self.config.budget.max_cost.is_some());
        let money = money.unwrap_or(Money::ZERO);
        if self.config.budget.reserve(money) != Room::Yes {
            self.pools[pool].pool.settle(reservation, Cost::default(), false, now);
            self.endpoints[at].canary.is_rows_turn = true;
            return None;
        }
        let sent = Sent::Canary(Box::new(ask));
        let flight =
            Flight { sent, pool, reservation, money, sent_at: now, stream: false, head: None, plan: Plan::default() };
        Some(Step::Canary { ticket: self.board(flight) })
    }

    /// Returns when the next canary (a test request) is due.
    pub(super) fn next_canary(&self) -> Instant {
        (0..self.endpoints.len()).filter_map(|at| self.canary_due(at)).min().unwrap_or(Instant::NEVER)
    }

    fn canary_due(&self, at: usize) -> Option<Instant> {
        let endpoint = &self.endpoints[at];
        self.wants_canary(at).then(|| endpoint.health.probe_at().max(endpoint.canary.not_before))
    }

    /// Returns whether the next probe of an endpoint is a canary.
    fn wants_canary(&self, at: usize) -> bool {
        let endpoint = &self.endpoints[at];
        endpoint.health.is_failing()
            && endpoint.halted.is_none()
            && endpoint.in_flight == 0
            && endpoint.canary.ask.is_some()
            && !endpoint.canary.is_useless
            && (!endpoint.canary.is_rows_turn || endpoint.ready == 0)
            && (endpoint.ready > 0 || self.later.rows().any(|entry| self.endpoint_of_entry(entry) == Some(at)))
    }

    /// Handles the end of a canary (a test request).
    pub(super) fn on_canary_end(&mut self, verdict: Verdict, end: &End) {
        let canary = &mut self.endpoints[end.endpoint].canary;
        canary.is_rows_turn = true;
        match verdict {
            Verdict::Answered(_) | Verdict::Paused { .. } => self.on_canary_answer(end),
            Verdict::Limited { kind, retry_after, .. } => {
                self.on_reply(end);
                self.hold(kind, retry_after.map(|wait| wait.min(self.config.retry_for)), end);
            }
            Verdict::Overloaded { retry_after, maybe_paid, failure } => {
                self.on_canary_fault(&Fault { class: ErrorClass::Overloaded, retry_after, maybe_paid, failure }, end);
            }
            Verdict::Transient { class, retry_after, maybe_paid, failure } => {
                self.on_canary_fault(&Fault { class, retry_after, maybe_paid, failure }, end);
            }
            Verdict::Rejected { .. } | Verdict::Forbidden(_) | Verdict::NoModel(_) => canary.is_useless = true,
            Verdict::Halt(reason) if reason.is_of_endpoint() => self.halt_endpoint(end.endpoint, reason, end.now),
            Verdict::Halt(reason) => self.halt(reason),
            Verdict::Aborted => {}
        }
    }

    /// Handles an answered canary (a test request). If the faults of the rows can't be hidden refusals, the answer to
    /// the canary proves that the endpoint works. If hidden refusals are possible, the next row is sent alone, because
    /// the canary was also sent alone. A gateway that has room for the canary also has room for this row.
    fn on_canary_answer(&mut self, end: &End) {
        let pool = &mut self.pools[end.pool].pool;
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.canary.fails_alike = false;
        if !pool.may_be_refusing(end.now) {
            return self.on_works(false, end);
        }
        if endpoint.canary.answered < PROOF {
            endpoint.canary.answered += 1;
            endpoint.tally.answer(false, end.sent_at);
            return endpoint.health.probe_again(end.now);
        }
        pool.on_proof_of_room(end.now);
        self.on_works(false, end);
    }

    fn on_canary_fault(&mut self, fault: &Fault, end: &End) {
        let endpoint = &mut self.endpoints[end.endpoint];
        endpoint.canary.answered = 0;
        endpoint.canary.fails_alike |= is_alike(&fault.failure, &endpoint.last_fault);
        endpoint.health.on_fault(fault.sign(), end.now);
        if fault.class == ErrorClass::Server {
            self.hold_if_refused(end);
        }
        self.halt_if_overdue(end.now);
    }
}

/// Returns whether two failures look the same: they have the same kind and the same message.
fn is_alike(one: &Failure, other: &Failure) -> bool {
    (one.status, one.wire, &one.message) == (other.status, other.wire, &other.message)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{answer, config, planned};
    use super::super::{Budget, Config, Next, Ticket};
    use super::*;
    use std::sync::Arc;

    use crate::domain::{
        Caching, Ended, Expense, HaltReason, Level, MarkPlace, Planned, PrefixId, Prefixes, RateLimits,
    };

    const RETRY_FOR: u64 = 1_800;

    /// The result of a simulated run.
    #[derive(Debug, Default, PartialEq)]
    struct RunResult {
        answered: usize,
        failed: usize,
        pending: usize,
        canaries: usize,
        seconds: u64,
    }

    fn server_fault(message: &str) -> Verdict {
        let failure = Failure { status: Some(500), message: message.to_owned(), ..Failure::default() };
        Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: false, failure }
    }

    /// Simulates a run in which each request ends after a tenth of a second. The verdict on a row depends on the id of
    /// the row and on the time in whole seconds. The verdict on a canary depends only on the time.
    fn play(
        rows: usize,
        config: Config,
        row: impl Fn(usize, u64) -> Verdict,
        canary: impl Fn(u64) -> Verdict,
    ) -> (RunResult, Scheduler) {
        play_rows(rows, |_, planned| planned, config, row, canary)
    }

    /// Simulates a run, as [`play`] does. `made` can change each row before the row is offered.
    fn play_rows(
        rows: usize,
        made: impl Fn(usize, Planned) -> Planned,
        config: Config,
        row: impl Fn(usize, u64) -> Verdict,
        canary: impl Fn(u64) -> Verdict,
    ) -> (RunResult, Scheduler) {
        let mut scheduler = Scheduler::new(config);
        let (mut came, mut offered, mut now) = (RunResult::default(), 0, Instant::ZERO);
        let mut in_flight: Vec<(Ticket, Option<usize>)> = Vec::new();
        loop {
            while scheduler.wants() > 0 {
                match offered < rows {
                    true => {
                        let mut row = planned(&offered.to_string(), 100, 100);
                        row.ask.expense = Some(Expense { most: Money(10), ..Expense::default() });
                        scheduler.offer(made(offered, row), now);
                    }
                    false => scheduler.close_input(),
                }
                offered += 1;
            }
            let is_drained = loop {
                match scheduler.poll(now) {
                    Step::Dispatch { ticket, .. } => {
                        let number = scheduler.sent(ticket).job.custom_id.parse().expect("rows have numbers");
                        in_flight.push((ticket, Some(number)));
                    }
                    Step::Canary { ticket } => {
                        assert_eq!(scheduler.ask(ticket).max_tokens, 1);
                        came.canaries += 1;
                        in_flight.push((ticket, None));
                    }
                    Step::Wait { .. } => break false,
                    Step::Drained => break true,
                }
            };
            if is_drained {
                break;
            }
            now = now + Duration::from_millis(100);
            let second = now.since(Instant::ZERO).as_secs();
            for (ticket, number) in in_flight.drain(..) {
                let verdict = number.map_or_else(|| canary(second), |number| row(number, second));
                match scheduler.on_end(ticket, verdict, now) {
                    Next::Finished(outcome) if matches!(outcome.ended, Ended::Succeeded(_)) => came.answered += 1,
                    Next::Finished(_) => came.failed += 1,
                    Next::Pending { .. } => came.pending += 1,
                    Next::NoRow => assert_eq!(number, None),
                    Next::Again { .. } | Next::More { .. } | Next::FollowUp { .. } => {}
                }
            }
            assert!(second < 3 * RETRY_FOR, "the run must end: {came:?}");
        }
        came.pending += scheduler.take_set_aside().len();
        came.seconds = now.since(Instant::ZERO).as_secs();
        (came, scheduler)
    }

    fn usual() -> Config {
        Config { max_retries: 8, ..config(RateLimits::NONE, 20) }
    }

    fn down(second: u64, until: u64) -> Verdict {
        if second < until { server_fault("down") } else { answer() }
    }

    #[test]
    fn rows_that_always_fail_go_into_the_error_log_and_all_other_rows_are_answered() {
        for (rows, bad) in [(225, 200..225), (105, 30..45), (11, 0..11), (400, 0..300), (1, 0..1)] {
            let row = |number, _| if bad.contains(&number) { server_fault("bad") } else { answer() };

            let (came, scheduler) = play(rows, usual(), row, |_| answer());

            assert_eq!((came.answered, came.failed, came.pending), (rows - bad.len(), bad.len(), 0), "{rows} {bad:?}");
            assert!(came.seconds < 600, "{rows} {bad:?}: {came:?}");
            assert_eq!(scheduler.halted(), None);
        }
    }

    #[test]
    fn an_outage_puts_no_row_into_the_error_log_even_if_few_rows_are_left() {
        for (rows, until) in [(1, 1_700), (5, 600), (30, 100), (200, 1_700)] {
            let (came, _) = play(rows, usual(), |_, second| down(second, until), |second| down(second, until));

            assert_eq!((came.answered, came.failed), (rows, 0), "{rows} rows, {until} s");
            assert!(came.seconds < until + 60, "{rows} rows, {until} s: {came:?}");
        }
    }

    #[test]
    fn an_endpoint_that_fails_for_good_leaves_its_rows_pending_even_if_it_answered_rows_before() {
        let row = |number, _| if number < 200 { answer() } else { server_fault("down") };

        let (came, scheduler) = play(225, usual(), row, |_| server_fault("down"));

        assert_eq!((came.answered, came.failed, came.pending), (200, 0, 25));
        assert!(matches!(scheduler.halted(), Some(HaltReason::Endpoint(_))));
        assert!((RETRY_FOR..RETRY_FOR + 30).contains(&came.seconds), "{came:?}");
    }

    #[test]
    fn a_canary_that_is_rejected_or_fails_in_another_way_than_the_rows_shows_nothing() {
        let rejected = || Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() };
        let row = |number, _| if number < 200 { answer() } else { server_fault("bad") };

        let (other, _) = play(225, usual(), row, |_| server_fault("unknown request"));
        let (refused, _) = play(225, usual(), row, |_| rejected());

        assert_eq!((other.answered, other.failed), (200, 25), "the bad rows fail after a minute and a half");
        assert_eq!((refused.answered, refused.failed, refused.canaries), (200, 25, 1));
    }

    #[test]
    fn rows_that_share_a_prefix_and_always_fail_go_into_the_error_log_as_soon_as_other_rows() {
        let level = Level {
            id: PrefixId(7),
            tokens: 4_000,
            place: MarkPlace::Block { brace: 0 },
            lifetime: Caching::FiveMinutes,
        };
        let prefixes = Prefixes { levels: vec![level], least_tokens: 1_024, extra_most: [Money::ZERO; 2] };
        let shared = |number: usize, mut planned: Planned| {
            planned.ask.prefixes = (number >= 200).then(|| Arc::new(prefixes.clone()));
            planned
        };
        let rejected = || Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() };
        let row = |number, _| if number < 200 { answer() } else { server_fault("bad") };

        let (alone, _) = play(225, usual(), row, |_| rejected());
        let (sharing, _) = play_rows(225, shared, usual(), row, |_| rejected());

        assert_eq!((sharing.answered, sharing.failed, sharing.pending), (200, 25, 0), "{sharing:?}");
        assert!(sharing.seconds < 2 * alone.seconds, "{sharing:?}, {alone:?}");
    }

    #[test]
    fn a_canary_counts_against_the_budget() {
        let row = |number, _| if number < 20 { answer() } else { server_fault("bad") };
        let with = |most: u128| Config {
            budget: Budget::new(Some(Money(most)), None, None, Money::ZERO),
            real_cost: Box::new(|_, _| Some(Money(10))),
            ..usual()
        };

        let (some, scheduler) = play(25, with(200 + 10), row, |_| answer());
        let (none, poor) = play(25, with(200 + 9), row, |_| answer());

        assert!(some.canaries == 1 && scheduler.spent() == Money(210), "{some:?} {:?}", scheduler.spent());
        assert!(none.canaries == 0 && poor.spent() == Money(200), "{none:?} {:?}", poor.spent());
    }
}
