//! Tests of the whole scheduler. The tests choose all instants themselves. Tests with random histories are in
//! `tests/scheduler_model.rs`.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::*;
use crate::answer::{Decision, Policy};
use crate::catalog::Catalog;
use crate::clock::Instant;
use crate::domain::{
    Ask, Cost, Ended, ErrorClass, EventBody, Expense, Failure, HaltReason, Identity, Interval, Job, JobId, JobKey,
    LimitKind, LimitSignal, Message, ModelClass, Money, Origin, Params, Planned, PoolId, Purpose, Quality, RateLimits,
    RateSignals, Reason, Request, RowId, Speed, Terms, Usage, Verdict,
};
use crate::limiter::{Admission, Headroom};
use crate::plan::{Dialect, Planner, RequestDefaults, walks};
use crate::source::Row;

/// Returns a planned row of the pool `haiku-4.5`.
pub(crate) fn planned(label: &str, input_tokens: u32, max_tokens: u32) -> Planned {
    let mut params = Params::default();
    params.set("model", RawValue::from_string("\"claude-haiku-4-5\"".into()).expect("valid JSON"));
    let request = Request::of(&params);
    Planned {
        job: Box::new(Job {
            id: JobId(0),
            custom_id: label.to_owned(),
            key: JobKey([0; 16]),
            identity: Identity::Named,
            row: RowId { label: 0, key: 0 },
            request: request.clone(),
            extra: Params::default(),
            origin: Origin { source: "test".into(), line: 1 },
            index: 0,
        }),
        ask: Ask {
            request,
            model: "claude-haiku-4-5".into(),
            terms: Terms::default(),
            pool: Arc::new(PoolId {
                provider: "anthropic".into(),
                account: "".into(),
                class: ModelClass("haiku-4.5".into()),
                speed: Speed::Standard,
            }),
            cost: Cost { requests: 1, input_tokens, output_tokens: max_tokens },
            input_tokens: Interval::exact(input_tokens),
            expense: Some(Expense { most: Money(1000), ..Expense::default() }),
            max_tokens,
            template: 0,
            body_bytes: 100,
            purpose: Purpose::First,
            base: None,
            schema_method: None,
            prefixes: None,
            has_own_marks: false,
        },
    }
}

/// Returns a planned row of the pool `pool`. The prompt of the row has the given size in bytes, and clones of the row
/// share the prompt.
pub(crate) fn long(class: &str, bytes: usize) -> Planned {
    let mut planned = planned("row", 100, 100);
    let prompt = RawValue::from_string(format!("\"{}\"", "x".repeat(bytes))).expect("valid JSON");
    planned.job.request = Request::of(&Params(vec![("messages".into(), prompt)]));
    planned.ask.request = planned.job.request.clone();
    planned.ask.pool = Arc::new(PoolId { class: ModelClass(class.into()), ..PoolId::clone(&planned.ask.pool) });
    planned
}

pub(crate) fn config(limits: RateLimits, window: usize) -> Config {
    Config {
        limits_of: Box::new(move |_| limits),
        by_hand: RateLimits::NONE,
        headroom: Headroom::Fixed(0.0),
        endpoints: Vec::new(),
        window: Window::fixed(window),
        max_retries: 3,
        retry_for: Duration::from_secs(1800),
        has_worked_before: false,
        retry_ambiguous: true,
        stream: StreamMode::Auto,
        halt: HaltRule::AllAlike,
        budget: Budget::default(),
        real_cost: Box::new(|_, _| Some(Money(10))),
        policy: None,
        fallback: None,
        seed: 1,
    }
}

pub(crate) fn scheduler_with(rows: usize, config: Config) -> Scheduler {
    let mut scheduler = Scheduler::new(config);
    (0..rows).for_each(|row| scheduler.offer(planned(&row.to_string(), 100, 100), Instant::ZERO));
    scheduler.close_input();
    scheduler
}

pub(crate) fn dispatched(scheduler: &mut Scheduler, now: Instant) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    while let Step::Dispatch { ticket, .. } | Step::Canary { ticket, .. } = scheduler.poll(now) {
        tickets.push(ticket);
    }
    tickets
}

pub(crate) fn answer() -> Verdict {
    answered(Usage { input_tokens: 100, output_tokens: 50, ..Usage::default() })
}

fn answered(usage: Usage) -> Verdict {
    Verdict::Answered(Message { json: Bytes::from_static(b"{}"), usage, quality: Quality::Ok, content: 0..0 })
}

/// Returns a verdict for an answer that broke off after it had reported its usage.
fn broken_off(usage: Usage) -> Verdict {
    let failure = Failure { status: Some(200), usage, ..Failure::default() };
    Verdict::Transient { class: ErrorClass::Network, retry_after: None, maybe_paid: true, failure }
}

pub(crate) fn fault() -> Verdict {
    let failure = Failure { status: Some(500), ..Failure::default() };
    Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: false, failure }
}

pub(crate) fn limited(retry_after: Option<u64>) -> Verdict {
    let retry_after = retry_after.map(Duration::from_secs);
    Verdict::Limited { kind: LimitKind::Rate, retry_after, failure: Failure::default() }
}

fn rejected() -> Verdict {
    Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() }
}

#[test]
fn the_window_is_never_exceeded() {
    let mut scheduler = scheduler_with(10, config(RateLimits::NONE, 4));

    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    assert_eq!(tickets.len(), 4);
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { until: Instant::NEVER, reason: Reason::Window }));
}

#[test]
fn a_wait_for_a_limit_names_the_limit_and_the_moment_when_it_allows_more() {
    let mut scheduler = scheduler_with(10, config(RateLimits::new(60, 1_000_000, 1_000_000), 100));

    assert_eq!(dispatched(&mut scheduler, Instant::ZERO).len(), 1);

    let Step::Wait { until, reason } = scheduler.poll(Instant::ZERO) else { panic!("the scheduler does not wait") };
    assert_eq!((until, reason), (Instant::from_secs(1), Reason::Limit(crate::domain::Dimension::Requests)));
}

#[test]
fn a_held_pool_sends_nothing_before_all_of_retry_after_has_passed() {
    let mut scheduler = scheduler_with(10, config(RateLimits::NONE, 2));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let next = scheduler.on_end(tickets[0], limited(Some(180)), Instant::from_secs(1));

    assert!(matches!(next, Next::Again { limit: Some(LimitKind::Rate), .. }));
    assert!(dispatched(&mut scheduler, Instant::from_secs(180)).is_empty());
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(200)).len(), 1);
}

#[test]
fn waiting_for_limits_uses_up_no_tries() {
    let mut scheduler = scheduler_with(1, config(RateLimits::NONE, 1));
    let mut now = Instant::ZERO;
    for _ in 0..20 {
        let tickets = dispatched(&mut scheduler, now);
        let next = scheduler.on_end(tickets[0], limited(Some(1)), now);
        assert!(matches!(next, Next::Again { .. }));
        now = now + Duration::from_secs(2);
    }

    let tickets = dispatched(&mut scheduler, now);
    let Next::Finished(outcome) = scheduler.on_end(tickets[0], answer(), now) else {
        panic!("the row is not finished")
    };

    assert_eq!(outcome.attempts.len(), 21);
    assert!(matches!(scheduler.poll(now), Step::Drained));
}

#[test]
fn a_retry_after_beyond_retry_for_stops_the_run_and_keeps_the_row() {
    let mut scheduler = scheduler_with(5, config(RateLimits::NONE, 1));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let next = scheduler.on_end(tickets[0], limited(Some(7200)), Instant::ZERO);

    assert!(matches!(next, Next::Pending { .. }));
    assert!(matches!(scheduler.halted(), Some(HaltReason::RetryAfter { .. })));
    assert_eq!(scheduler.take_set_aside().len(), 4);
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
}

#[test]
fn faults_are_tried_again_as_often_as_allowed_and_then_fail_the_row() {
    let mut scheduler = scheduler_with(1, config(RateLimits::NONE, 1));
    let mut now = Instant::ZERO;
    for wait in [1, 3, 9] {
        let tickets = dispatched(&mut scheduler, now);
        assert!(matches!(scheduler.on_end(tickets[0], fault(), now), Next::Again { .. }));
        now = now + Duration::from_secs(wait);
    }

    let tickets = dispatched(&mut scheduler, now);
    let next = scheduler.on_end(tickets[0], fault(), now);

    let Next::Finished(outcome) = next else { panic!("the row is tried again") };
    assert!(matches!(outcome.ended, Ended::Failed { class: ErrorClass::Server, is_retryable: true, .. }));
    assert_eq!(outcome.attempts.len(), 4);
}

#[test]
fn the_second_wait_of_a_row_is_longer_than_the_first_even_if_the_first_was_longer_than_its_delay() {
    let mut scheduler = scheduler_with(1, config(RateLimits::NONE, 1));
    for second in [0, 3] {
        let now = Instant::from_secs(second);
        let tickets = dispatched(&mut scheduler, now);
        scheduler.on_end(tickets[0], fault(), now);
    }

    let early = dispatched(&mut scheduler, Instant::from_millis(3_000 + 3_370)).len();
    let later = dispatched(&mut scheduler, Instant::from_millis(3_000 + 3_380)).len();

    assert_eq!((early, later), (0, 1), "the first wait was three seconds, and the second is an eighth longer");
}

#[test]
fn rows_that_fail_for_good_at_the_end_do_not_look_like_an_outage() {
    let mut scheduler = scheduler_with(60, config(RateLimits::NONE, 20));
    let mut now = Instant::ZERO;
    let mut failed = 0;
    let mut ended = 0;
    while ended < 60 {
        now = now + Duration::from_millis(100);
        for ticket in dispatched(&mut scheduler, now) {
            let is_bad = scheduler.sent(ticket).job.custom_id.ends_with('3')
                || scheduler.sent(ticket).job.custom_id.ends_with('7');
            let next = scheduler.on_end(ticket, if is_bad { fault() } else { answer() }, now);
            if let Next::Finished(outcome) = next {
                ended += 1;
                failed += usize::from(matches!(outcome.ended, Ended::Failed { .. }));
            }
        }
        assert!(now < Instant::from_secs(300), "the run must end");
    }

    assert_eq!(failed, 12);
    assert_eq!(scheduler.halted(), None);
}

/// Simulates a run in which all requests have the same result. Returns when the run halted, and how many rows it left
/// pending.
fn all_meet(verdict: impl Fn() -> Verdict, retry_for: Duration) -> (Instant, usize) {
    let mut scheduler = scheduler_with(50, Config { retry_for, ..config(RateLimits::NONE, 20) });
    let mut now = Instant::ZERO;
    let mut pending = 0;
    while scheduler.halted().is_none() {
        for ticket in dispatched(&mut scheduler, now) {
            let next = scheduler.on_end(ticket, verdict(), now);
            pending += usize::from(matches!(next, Next::Pending { .. }));
        }
        now = now + Duration::from_millis(100);
        assert!(now < Instant::from_secs(7_200), "the run must stop");
    }
    assert!(matches!(scheduler.halted(), Some(HaltReason::Endpoint(_))));
    (now, pending + scheduler.take_set_aside().len())
}

#[test]
fn an_endpoint_that_can_not_be_reached_stops_the_run_after_ten_seconds_with_every_row_pending() {
    let refused = || Verdict::Transient {
        class: ErrorClass::Network,
        retry_after: None,
        maybe_paid: false,
        failure: Failure::default(),
    };

    let (halted_at, pending) = all_meet(refused, Duration::from_secs(1_800));

    assert!((10..=20).contains(&halted_at.since(Instant::ZERO).as_secs()), "{halted_at:?}");
    assert_eq!(pending, 50);
}

#[test]
fn a_row_does_not_fail_when_a_failed_connection_takes_longer_than_the_row_may_wait() {
    let refused = || Verdict::Transient {
        class: ErrorClass::Network,
        retry_after: None,
        maybe_paid: false,
        failure: Failure::default(),
    };
    let config = Config { retry_for: Duration::from_secs(1), ..config(RateLimits::NONE, 20) };
    let mut scheduler = scheduler_with(3, config);
    let (mut now, mut pending) = (Instant::ZERO, 0);
    while scheduler.halted().is_none() {
        let tickets = dispatched(&mut scheduler, now);
        // It can take this long to resolve the name of a server.
        now = now + Duration::from_millis(1_500);
        for ticket in tickets {
            let next = scheduler.on_end(ticket, refused(), now);
            assert!(!matches!(next, Next::Finished(_)), "{next:?}");
            pending += usize::from(matches!(next, Next::Pending { .. }));
        }
        assert!(now < Instant::from_secs(30), "the run must stop");
    }
    assert_eq!(pending + scheduler.take_set_aside().len(), 3);
}

#[test]
fn the_run_waits_for_an_endpoint_that_answers_with_faults_from_the_start() {
    let status = |status| Failure { status: Some(status), ..Failure::default() };
    let overloaded = || Verdict::Overloaded { retry_after: None, maybe_paid: false, failure: status(529) };
    for verdict in [&fault as &dyn Fn() -> Verdict, &overloaded] {
        let (halted_at, pending) = all_meet(verdict, Duration::from_secs(1_800));

        assert!((1_800..=1_820).contains(&halted_at.since(Instant::ZERO).as_secs()), "{halted_at:?}");
        assert_eq!(pending, 50);
    }
}

#[test]
fn an_outage_is_reported_with_its_fault_its_length_and_the_next_try_until_something_works() {
    let overloaded = || {
        let failure = Failure { status: Some(529), ..Failure::default() };
        Verdict::Overloaded { retry_after: None, maybe_paid: false, failure }
    };
    for rows in [2, 50] {
        let mut scheduler = scheduler_with(rows + 1, config(RateLimits::NONE, 20));
        let mut tickets = dispatched(&mut scheduler, Instant::ZERO);
        scheduler.on_end(tickets.remove(0), answer(), Instant::ZERO);
        let mut told = Vec::new();
        let mut now = Instant::from_secs(1);
        let probe = loop {
            if now > Instant::from_secs(20) && !tickets.is_empty() {
                break tickets[0];
            }
            tickets.drain(..).for_each(|ticket| {
                scheduler.on_end(ticket, overloaded(), now);
            });
            told.extend(scheduler.outage(now).map(|outage| (now, outage)));
            now = now + Duration::from_millis(100);
            tickets = dispatched(&mut scheduler, now);
            assert!(now < Instant::from_secs(300), "{rows} rows: nothing has reported the outage");
        };
        let probed = scheduler.outage(now).expect("nothing has worked yet");
        scheduler.on_end(probe, answer(), now);

        let first = told.first().expect("the outage was reported").0;
        assert!(first <= Instant::from_secs(3), "{rows} rows: first reported at {first:?}");
        assert!(told.iter().all(|(at, outage)| outage.lasted == at.since(Instant::from_secs(1))), "{told:?}");
        assert!(told.iter().all(|(_, outage)| outage.fault.status == Some(529)), "{told:?}");
        assert!(told.iter().any(|(_, outage)| outage.next_try.is_some()), "{told:?}");
        assert_eq!(probed.next_try, None, "a probe is in flight");
        assert_eq!(scheduler.outage(now), None, "{rows} rows: something worked");
    }
}

#[test]
fn a_wrong_key_stops_the_run_and_every_row_stays_pending() {
    let mut scheduler = scheduler_with(50, config(RateLimits::NONE, 20));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let ends: Vec<_> = tickets
        .into_iter()
        .map(|ticket| {
            let failure = Failure { status: Some(401), ..Failure::default() };
            scheduler.on_end(ticket, Verdict::Halt(HaltReason::Key(failure)), Instant::ZERO)
        })
        .collect();

    assert!(ends.iter().all(|next| matches!(next, Next::Pending { .. })));
    assert_eq!(ends.len() + scheduler.take_set_aside().len(), 50);
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
}

#[test]
fn a_403_after_the_first_success_fails_only_its_row() {
    let mut after = scheduler_with(5, config(RateLimits::NONE, 5));
    let others = dispatched(&mut after, Instant::ZERO);

    after.on_end(others[0], answer(), Instant::ZERO);
    assert!(matches!(after.on_end(others[1], forbidden(), Instant::ZERO), Next::Finished(_)));
    assert!(matches!(after.on_end(others[2], forbidden(), Instant::ZERO), Next::Finished(_)));
    assert!(matches!(after.on_end(others[3], forbidden(), Instant::ZERO), Next::Pending { .. }));
    assert!(matches!(after.halted(), Some(HaltReason::Forbidden(_))));
}

fn forbidden() -> Verdict {
    Verdict::Forbidden(Failure { status: Some(403), ..Failure::default() })
}

/// Sends all rows of a scheduler. The server forbids the rows with these labels as soon as it gets them, and answers
/// the other rows one second after they were sent. Returns the number of requests, and the labels of the failed rows.
fn run_with_forbidden(scheduler: &mut Scheduler, forbids: impl Fn(&str) -> bool) -> (usize, Vec<String>) {
    let (mut now, mut requests, mut failed) = (Instant::ZERO, 0, Vec::new());
    loop {
        let tickets = dispatched(scheduler, now);
        if tickets.is_empty() {
            assert!(matches!(scheduler.poll(now), Step::Drained), "{:?}", scheduler.poll(now));
            return (requests, failed);
        }
        requests += tickets.len();
        let is_bad = |scheduler: &Scheduler, ticket| forbids(&scheduler.sent(ticket).job.custom_id);
        let (bad, good): (Vec<_>, Vec<_>) = tickets.into_iter().partition(|ticket| is_bad(scheduler, *ticket));
        for (tickets, verdict) in [(bad, forbidden as fn() -> Verdict), (good, answer)] {
            for ticket in tickets {
                let next = scheduler.on_end(ticket, verdict(), now);
                if let Next::Finished(outcome) = next
                    && matches!(outcome.ended, Ended::Failed { .. })
                {
                    failed.push(outcome.job.custom_id.clone());
                }
            }
            now = now + Duration::from_secs(1);
        }
    }
}

#[test]
fn a_row_that_is_forbidden_before_the_first_answer_fails_alone() {
    for window in [1, 2, 5] {
        let mut scheduler = scheduler_with(20, config(RateLimits::NONE, window));

        let (requests, failed) = run_with_forbidden(&mut scheduler, |row| row == "0");

        assert_eq!((requests, failed), (21, vec!["0".to_owned()]), "window {window}");
        assert!(scheduler.halted().is_none());
    }
}

#[test]
fn several_forbidden_rows_do_not_stop_a_run_while_another_row_is_in_flight() {
    let mut scheduler = scheduler_with(20, config(RateLimits::NONE, 5));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    for ticket in &tickets[..4] {
        assert!(matches!(scheduler.on_end(*ticket, forbidden(), Instant::ZERO), Next::Again { .. }));
        assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { reason: Reason::Draining, .. }));
    }
    scheduler.on_end(tickets[4], answer(), Instant::from_secs(9));

    assert!(matches!(scheduler.poll(Instant::from_secs(9)), Step::Dispatch { .. }));
}

#[test]
fn a_wrong_key_stops_the_run_after_a_few_requests_and_all_rows_stay_pending() {
    for (rows, window, sent) in [(20, 1, 3), (20, 5, 5), (2, 1, 2), (1, 5, 1)] {
        let mut scheduler = scheduler_with(rows, config(RateLimits::NONE, window));

        let (requests, failed) = run_with_forbidden(&mut scheduler, |_| true);

        assert_eq!((requests, failed.len()), (sent, 0), "{rows} rows, window {window}");
        assert!(matches!(scheduler.halted(), Some(HaltReason::Key(_))));
        assert_eq!(scheduler.take_set_aside().len(), rows);
    }
}

#[test]
fn if_earlier_runs_got_answers_the_last_forbidden_rows_are_not_blamed_on_the_key() {
    let with = |rows| scheduler_with(rows, Config { has_worked_before: true, ..config(RateLimits::NONE, 1) });
    let (mut few, mut many) = (with(2), with(9));

    assert_eq!(run_with_forbidden(&mut few, |_| true), (4, vec!["0".to_owned(), "1".to_owned()]));
    assert!(few.halted().is_none());
    assert_eq!(run_with_forbidden(&mut many, |_| true), (3, vec![]));
    assert!(matches!(many.halted(), Some(HaltReason::Forbidden(_))));
}

/// Returns an answer that does not say how many tokens it used.
fn answered_without_usage() -> Verdict {
    answered(Usage { is_unknown: true, ..Usage::default() })
}

#[test]
fn an_answer_of_unknown_usage_is_kept_and_costs_the_most_against_the_budget() {
    let budget = Budget::new(Some(Money(150)), None, None, Money::ZERO);
    let mut scheduler = Scheduler::new(Config { budget, ..config(RateLimits::NONE, 1) });
    for row in ["a", "b"] {
        let mut planned = planned(row, 100, 100);
        planned.ask.expense = Some(Expense { most: Money(100), ..Expense::default() });
        scheduler.offer(planned, Instant::ZERO);
    }
    scheduler.close_input();
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let Next::Finished(outcome) = scheduler.on_end(tickets[0], answered_without_usage(), Instant::ZERO) else {
        panic!("the row is not finished")
    };

    assert!(matches!(outcome.ended, Ended::Succeeded(_)));
    assert_eq!((outcome.cost(), outcome.maybe_cost(), outcome.maybe_paid()), (None, Money(100), 0));
    assert_eq!(scheduler.spent(), Money(100));
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained), "the budget has no room for the second row");
    let warnings = scheduler.take_events();
    assert_eq!(warnings.iter().filter(|event| matches!(event, EventBody::Warned(_))).count(), 1);
}

#[test]
fn the_rows_of_a_model_that_is_not_found_are_set_aside_and_the_rows_of_other_models_are_sent() {
    let mut scheduler = Scheduler::new(config(RateLimits::NONE, 2));
    for row in 0..6 {
        let mut row = planned(&row.to_string(), 10, 10);
        if row.job.custom_id != "5" {
            row.ask.model = "claude-gone".into();
        }
        scheduler.offer(row, Instant::ZERO);
    }
    scheduler.close_input();
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let next = scheduler.on_end(tickets[0], Verdict::NoModel(Failure::default()), Instant::ZERO);
    assert!(matches!(next, Next::Pending { .. }));
    assert_eq!(scheduler.take_set_aside().len(), 3, "the queued rows of that model are set aside");
    let rest = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rest.len(), 1);
    scheduler.on_end(rest[0], answer(), Instant::ZERO);
    scheduler.on_end(tickets[1], Verdict::NoModel(Failure::default()), Instant::ZERO);

    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
    assert!(matches!(scheduler.halted(), Some(HaltReason::Models(_))), "rows are left");
}

#[test]
fn a_missing_model_whose_rows_come_first_does_not_stop_the_run_before_the_others_are_answered() {
    let mut scheduler = Scheduler::new(config(RateLimits::NONE, 4));
    let mut rows = (0..300).map(|row| {
        let mut planned = planned(&row.to_string(), 10, 10);
        if row < 200 {
            planned.ask.model = "claude-gone".into();
        }
        planned
    });
    let (mut answered, mut aside, mut now) = (0, 0, Instant::ZERO);
    loop {
        while scheduler.wants() > 0 {
            match rows.next() {
                Some(row) => scheduler.offer(row, now),
                None => scheduler.close_input(),
            }
        }
        let tickets = dispatched(&mut scheduler, now);
        aside += scheduler.take_set_aside().len();
        if tickets.is_empty() && matches!(scheduler.poll(now), Step::Drained) {
            break;
        }
        for ticket in tickets {
            let is_gone = &*scheduler.sent(ticket).ask.model == "claude-gone";
            let verdict = if is_gone { Verdict::NoModel(Failure::default()) } else { answer() };
            match scheduler.on_end(ticket, verdict, now) {
                Next::Finished(_) => answered += 1,
                Next::Pending { .. } => aside += 1,
                other => panic!("{other:?}"),
            }
        }
        now = now + Duration::from_millis(100);
    }

    assert_eq!((answered, aside), (100, 200));
    assert!(matches!(scheduler.halted(), Some(HaltReason::Models(_))));
}

#[test]
fn refusals_without_retry_after_make_rows_take_turns_and_waits_grow() {
    let mut scheduler =
        scheduler_with(50, Config { retry_for: Duration::from_secs(36_000), ..config(RateLimits::NONE, 1) });
    let bare = || Verdict::Limited { kind: LimitKind::Concurrency, retry_after: None, failure: Failure::default() };
    let mut now = Instant::ZERO;
    let mut tried: Vec<(String, Instant)> = Vec::new();
    while tried.len() < 17 {
        for ticket in dispatched(&mut scheduler, now) {
            tried.push((scheduler.sent(ticket).job.custom_id.clone(), now));
            scheduler.on_end(ticket, bare(), now);
        }
        now = now + Duration::from_millis(50);
    }

    let gaps: Vec<_> = tried.windows(2).map(|pair| pair[1].1.since(pair[0].1)).collect();
    assert!(gaps.is_sorted(), "{gaps:?}");
    let most = tried.iter().map(|(row, _)| tried.iter().filter(|(other, _)| other == row).count()).max();
    assert!(most <= Some(4), "{tried:?}");
}

#[test]
fn no_row_waits_longer_than_retry_for_whatever_the_cause() {
    let failure = || Failure { status: Some(529), ..Failure::default() };
    let overloaded = |asked| Verdict::Overloaded { retry_after: asked, maybe_paid: false, failure: failure() };
    let bare = || Verdict::Limited { kind: LimitKind::Rate, retry_after: None, failure: failure() };
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let verdicts: [&dyn Fn() -> Verdict; 5] =
        [&|| overloaded(None), &|| overloaded(seconds(20)), &bare, &|| limited(Some(20)), &fault];
    for (kind, verdict) in verdicts.into_iter().enumerate() {
        for seed in 0..20 {
            let config =
                Config { retry_for: Duration::from_secs(30), seed, max_retries: 100, ..config(RateLimits::NONE, 4) };
            let mut scheduler = scheduler_with(200, config);
            let (mut now, mut ended_at) = (Instant::ZERO, None);
            while ended_at.is_none() {
                for ticket in dispatched(&mut scheduler, now) {
                    let is_bad = scheduler.sent(ticket).job.custom_id == "1";
                    let next = scheduler.on_end(ticket, if is_bad { verdict() } else { answer() }, now);
                    if is_bad && matches!(next, Next::Finished(_)) {
                        ended_at = Some(now);
                    }
                }
                now = now + Duration::from_millis(50);
                assert!(now < Instant::from_secs(100), "kind {kind}, seed {seed}: it is not given up");
            }
            let waited = ended_at.expect("the row has ended").since(Instant::ZERO);
            assert!(waited <= Duration::from_secs(31), "kind {kind}, seed {seed}: {waited:?}");
        }
    }
}

#[test]
fn the_first_ten_rows_stop_the_run_if_they_fail_alike() {
    let mut scheduler = scheduler_with(50, config(RateLimits::NONE, 10));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    for ticket in tickets {
        assert!(matches!(scheduler.on_end(ticket, rejected(), Instant::ZERO), Next::Finished(_)));
    }

    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Drained));
    assert!(matches!(scheduler.halted(), Some(HaltReason::AllFail { rows: 10, .. })));
    assert_eq!(scheduler.take_set_aside().len(), 40);
}

#[test]
fn ten_failures_stop_the_run_only_if_the_requests_in_flight_bring_no_answer() {
    for (last, rows) in [(answer(), None), (rejected(), Some(12)), (fault(), Some(11))] {
        let mut scheduler = scheduler_with(50, config(RateLimits::NONE, 12));
        let tickets = dispatched(&mut scheduler, Instant::ZERO);

        tickets[..11].iter().for_each(|ticket| drop(scheduler.on_end(*ticket, rejected(), Instant::ZERO)));
        let waiting = scheduler.poll(Instant::ZERO);
        let halted_early = scheduler.halted().is_some();
        scheduler.on_end(tickets[11], last, Instant::ZERO);
        let sent = dispatched(&mut scheduler, Instant::ZERO).len();

        assert!(matches!(waiting, Step::Wait { reason: Reason::Draining, .. }) && !halted_early, "{waiting:?}");
        let halted = scheduler.halted().map(|reason| match reason {
            HaltReason::AllFail { rows, .. } => *rows,
            other => panic!("{other:?}"),
        });
        assert_eq!((halted, sent > 0), (rows, rows.is_none()));
    }
}

#[test]
fn a_budget_waits_for_requests_in_flight_before_it_stops_the_run() {
    let mut config = config(RateLimits::NONE, 10);
    config.budget = Budget::new(Some(Money(2500)), None, None, Money::ZERO);
    let mut scheduler = scheduler_with(500, config);
    let mut finished = 0;
    loop {
        let tickets = dispatched(&mut scheduler, Instant::ZERO);
        assert!(tickets.len() <= 2);
        if tickets.is_empty() {
            break;
        }
        for ticket in tickets {
            scheduler.on_end(ticket, answer(), Instant::ZERO);
            finished += 1;
        }
    }

    assert!(matches!(scheduler.halted(), Some(HaltReason::Budget(_))));
    assert_eq!(finished, 151, "a row starts only if at least 1,000 of the 2,500 are left");
    assert!(scheduler.spent() <= Money(2500));
}

#[test]
fn the_size_of_a_row_is_computed_once_and_not_again_while_it_waits_for_money() {
    let dialect = Dialect { api_version: "2023-06-01".to_owned(), betas: Vec::new() };
    let catalog = Arc::new(Catalog::builtin());
    let mut planner = Planner::new(RequestDefaults::default(), dialect, catalog, "anthropic".into(), "".into());
    let before = walks();
    let mut plan = |row: u64| {
        let content = "a long prompt ".repeat(1000);
        let messages = format!(r#"[{{"role":"user","content":"{content}{row}"}}]"#);
        let params = Params(vec![("messages".into(), RawValue::from_string(messages).expect("valid JSON"))]);
        let origin = Origin { source: "test".into(), line: row + 1 };
        let row_of = Row { origin, custom_id: None, params, extra: Params::default(), error: None, input: None };
        planner.plan(row_of, JobId(row)).expect("the row is valid")
    };
    let rows = [0, 1, 2, 3].map(&mut plan);
    let most = rows[0].ask.expense.expect("the model has a price").most;
    let mut scheduler = Scheduler::new(Config {
        budget: Budget::new(Some(most + most + Money(1000)), None, None, Money::ZERO),
        ..config(RateLimits::NONE, 10)
    });
    rows.into_iter().for_each(|planned| scheduler.offer(planned, Instant::ZERO));
    scheduler.close_input();

    let first = dispatched(&mut scheduler, Instant::ZERO);
    let waits =
        (0..1000).filter(|_| matches!(scheduler.poll(Instant::ZERO), Step::Wait { reason: Reason::Budget, .. }));
    let waits = waits.count();
    scheduler.on_end(first[0], answer(), Instant::ZERO);
    let second = dispatched(&mut scheduler, Instant::ZERO);

    assert_eq!((first.len(), waits, second.len()), (2, 1000, 1));
    assert_eq!((scheduler.unsettled().1, walks() - before), (most + most, 4), "the size of each row is computed once");
}

#[test]
fn a_follow_up_reserves_its_own_highest_cost() {
    let dear = Expense { most: Money(2000), ..Expense::default() };
    let policy: Policy = Box::new(move |_, ask, _, attempts| match attempts {
        [_] => Decision::Ask(Box::new(Ask { expense: Some(dear), ..ask.clone() })),
        _ => Decision::Keep,
    });
    let budget = Budget::new(Some(Money(5000)), None, None, Money::ZERO);
    let mut scheduler = scheduler_with(1, Config { policy: Some(policy), budget, ..config(RateLimits::NONE, 1) });
    let first = dispatched(&mut scheduler, Instant::ZERO)[0];
    let reserved_first = scheduler.unsettled().1;

    scheduler.on_end(first, answer(), Instant::ZERO);
    dispatched(&mut scheduler, Instant::ZERO);

    assert_eq!((reserved_first, scheduler.unsettled().1), (Money(1000), Money(2000)));
}

#[test]
fn a_row_whose_answer_is_not_accepted_may_succeed_later_only_if_its_class_allows_it() {
    for (class, may_succeed) in
        [(ErrorClass::InvalidOutput, true), (ErrorClass::Truncated, false), (ErrorClass::Refused, false)]
    {
        let policy: Policy = Box::new(move |_, _, _, _| Decision::Fail { class, failure: Failure::default() });
        let mut scheduler = scheduler_with(1, Config { policy: Some(policy), ..config(RateLimits::NONE, 1) });
        let ticket = dispatched(&mut scheduler, Instant::ZERO)[0];

        let next = scheduler.on_end(ticket, answer(), Instant::ZERO);

        let Next::Finished(outcome) = next else { panic!("the row is not finished") };
        assert!(matches!(outcome.ended, Ended::Failed { is_retryable, .. } if is_retryable == may_succeed), "{class}");
    }
}

#[test]
fn two_attempts_below_a_price_step_are_not_priced_as_one_prompt_above_it() {
    let mut scheduler = scheduler_with(1, config_with_step());
    let half = Usage { input_tokens: 60_000, ..Usage::default() };
    let tickets = dispatched(&mut scheduler, Instant::ZERO);
    scheduler.on_end(tickets[0], broken_off(half), Instant::ZERO);

    let now = Instant::from_secs(3);
    let tickets = dispatched(&mut scheduler, now);
    let next = scheduler.on_end(tickets[0], answered(half), now);

    let Next::Finished(outcome) = next else { panic!("the row is not finished") };
    assert_eq!(
        outcome.usage().prompt_tokens(),
        120_000,
        "together, the two prompts are above the price step of 100,000 tokens"
    );
    // There are two prompts of 60,000 tokens each, at $0.10 per million tokens.
    assert_eq!(outcome.cost(), Some(Money::from_dollars(0.012)));
}

#[test]
fn an_answer_that_broke_off_is_recorded_with_its_usage_and_the_budget_is_charged_the_reservation() {
    let mut config = config_with_step();
    config.budget = Budget::new(Some(Money::from_dollars(1.0)), None, None, Money::ZERO);
    config.retry_ambiguous = false;
    let mut scheduler = scheduler_with(1, config);
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let usage = Usage { input_tokens: 60_000, ..Usage::default() };
    let next = scheduler.on_end(tickets[0], broken_off(usage), Instant::ZERO);

    let Next::Finished(outcome) = next else { panic!("the row is tried again") };
    assert!(matches!(outcome.ended, Ended::Failed { .. }));
    assert_eq!(outcome.cost(), Some(Money::from_dollars(0.006)));
    assert_eq!(scheduler.spent(), Money(1_000));
}

#[test]
fn a_row_without_a_price_has_no_cost_and_takes_nothing_from_the_budget() {
    let mut config = config(RateLimits::NONE, 1);
    config.real_cost = Box::new(|_, _| None);
    let mut scheduler = scheduler_with(1, config);
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    let next = scheduler.on_end(tickets[0], answer(), Instant::ZERO);

    let Next::Finished(outcome) = next else { panic!("the row is not finished") };
    assert_eq!(outcome.cost(), None);
    assert_eq!(scheduler.spent(), Money::ZERO);
}

/// Returns settings with the prices of a model. The prices are higher for prompts of more than 100,000 tokens.
fn config_with_step() -> Config {
    let mut config = config(RateLimits::NONE, 1);
    config.real_cost = Box::new(|_, usage| Catalog::builtin().cost("claude-haiku-5-5", usage));
    config
}

#[test]
fn a_head_raises_a_bucket_towards_the_remaining_amount_that_the_server_reports() {
    let mut scheduler = scheduler_with(1000, config(RateLimits::new(1000, 450_000, 90_000), 500));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(tickets.len(), 15, "the output limit of one second, divided by the predicted output of a row");
    let signals = RateSignals {
        requests: LimitSignal { limit: Some(1000), remaining: Some(990) },
        input_tokens: LimitSignal { limit: Some(450_000), remaining: Some(449_000) },
        output_tokens: LimitSignal { limit: Some(90_000), remaining: Some(90_000) },
        ..RateSignals::default()
    };

    tickets.iter().for_each(|&ticket| scheduler.on_head(ticket, 200, &signals, None, Instant::ZERO));

    assert_eq!(
        dispatched(&mut scheduler, Instant::ZERO).len(),
        92,
        "eight times as many as the first eight rows, and four times as many as the other seven"
    );
}

#[test]
fn after_a_halt_nothing_starts() {
    let mut scheduler = scheduler_with(10, config(RateLimits::NONE, 2));
    let tickets = dispatched(&mut scheduler, Instant::ZERO);

    scheduler.halt(HaltReason::Signal(2));
    scheduler.offer(planned("late", 1, 1), Instant::ZERO);

    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { reason: Reason::Draining, .. }));
    tickets.into_iter().for_each(|ticket| {
        scheduler.on_end(ticket, answer(), Instant::from_secs(1));
    });
    assert!(matches!(scheduler.poll(Instant::from_secs(1)), Step::Drained));
    assert_eq!(scheduler.take_set_aside().len(), 9);
}

/// Makes rows for a pool with 60,000 input tokens per minute. One big row needs 50,000 tokens. Smaller rows come before
/// and after the big row, and a bigger row comes last.
fn behind_a_big_row(small: usize) -> Scheduler {
    let mut scheduler = Scheduler::new(config(RateLimits::new(60_000, 60_000, 6_000_000), 1_000));
    scheduler.offer(planned("first", 1_000, 10), Instant::ZERO);
    scheduler.offer(planned("big", 50_000, 10), Instant::ZERO);
    (0..small).for_each(|_| scheduler.offer(planned("small", 500, 10), Instant::ZERO));
    scheduler.offer(planned("bigger", 55_000, 10), Instant::ZERO);
    scheduler.close_input();
    scheduler
}

/// Simulates a run with a server that answers immediately. Returns, for each row, the second at which it is sent.
fn sent_at(scheduler: &mut Scheduler, seconds: u64) -> Vec<(String, u64)> {
    let mut sent = Vec::new();
    for tenth in 0..seconds * 10 {
        let now = Instant::from_millis(tenth * 100);
        for ticket in dispatched(scheduler, now) {
            let label = scheduler.sent(ticket).job.custom_id.clone();
            let input_tokens = match &*label {
                "first" => 1_000,
                "big" => 50_000,
                "bigger" => 55_000,
                _ => 500,
            };
            sent.push((label, tenth / 10));
            let usage = Usage { input_tokens, output_tokens: 10, ..Usage::default() };
            scheduler.on_end(ticket, answered(usage), now);
        }
    }
    sent
}

#[test]
fn small_rows_pass_a_big_row_with_at_most_a_quarter_of_the_limit() {
    let mut scheduler = behind_a_big_row(200);
    // The response head shows that the server's bucket is large enough for this request. The request empties the
    // server's bucket.
    let all = Cost { requests: 1, input_tokens: 60_000, output_tokens: 10 };
    let full = LimitSignal { limit: Some(60_000), remaining: Some(60_000) };
    let pool = &mut scheduler.pools[0].pool;
    pool.observe(all, &RateSignals { input_tokens: full, ..RateSignals::default() }, true, Instant::ZERO);
    let Admission::Granted(reservation) = pool.reserve(all, Instant::ZERO) else { panic!("the bucket has no room") };
    pool.settle(reservation, all, true, Instant::ZERO);

    let sent = sent_at(&mut scheduler, 300);

    let at = |label: &str| sent.iter().find(|(sent, _)| sent == label).expect("the row is sent").1;
    let passed = sent.iter().filter(|(label, second)| label == "small" && *second < at("big")).count();
    assert!(
        (50..=70).contains(&at("big")),
        "the big row is sent after at most four thirds of 50 s, here after {} s",
        at("big")
    );
    assert!((20..=40).contains(&passed), "{passed} rows passed, and a quarter of the limit allows 33");
    assert_eq!(sent.len(), 203);
}
