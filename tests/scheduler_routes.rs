//! Runs whose rows have more than one place to go, more than one thing to ask, or another row to wait for.
//!
//! Doubles stand for what uses this: an account that fails beside one that works, a policy that asks for a repair, a leader
//! of a group. First each by itself, then random runs of all of them together, with the invariants of the scheduler's module
//! doc after every event.

mod support;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use claude_batch::answer::{Came, Policy, Then};
use claude_batch::clock::Instant;
use claude_batch::domain::{
    Ask, AttemptRecord, ErrorClass, Failure, HaltReason, Message, Money, Planned, PoolId, Purpose, Quality, RateLimits,
    RateSignals, Reason, Request, Usage, Verdict,
};
use claude_batch::scheduler::{Config, EndpointId, HaltRule, Next, Scheduler, Step, Ticket, Window};

const POOL: &str = "haiku-4.5";

#[test]
fn one_endpoint_halts_and_the_other_goes_on() {
    let mut scheduler = Scheduler::new(config(2, None));
    offer(&mut scheduler, (0..6).map(|row| routed(row, ["first", "second"][row as usize % 2])));
    let sent = dispatched(&mut scheduler, Instant::ZERO);

    let refused = ticket_of(&scheduler, &sent, "first");
    let next = scheduler.on_end(refused, Verdict::Halt(HaltReason::Key(Failure::default())), Instant::from_secs(1));
    sent.iter().filter(|ticket| **ticket != refused).for_each(|ticket| drop(end(&mut scheduler, *ticket, 1)));
    let rest = finish_all(&mut scheduler, Instant::from_secs(1));

    assert!(matches!(next, Next::Pending(_)));
    assert!(rest.iter().all(|account| account == "second"), "{rest:?}");
    let set_aside = scheduler.take_set_aside();
    assert!(set_aside.iter().all(|planned| &*planned.ask.pool.account == "first") && !set_aside.is_empty());
    assert!(matches!(scheduler.halted(), Some(HaltReason::Key(_))), "it ends by what left rows");
}

#[test]
fn a_failing_endpoint_is_probed_while_the_other_works_at_full_width() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..600).map(|row| routed(row, ["first", "second"][row as usize % 2])));
    let mut now = Instant::ZERO;
    for _ in 0..12 {
        for ticket in dispatched(&mut scheduler, now) {
            let verdict = if account(&scheduler, ticket) == "first" { fault() } else { answer() };
            drop(scheduler.on_end(ticket, verdict, now));
        }
        now = now + Duration::from_millis(100);
    }

    let (failing, working): (Vec<_>, Vec<_>) =
        dispatched(&mut scheduler, now).into_iter().partition(|ticket| account(&scheduler, *ticket) == "first");

    assert!(scheduler.in_flight() - working.len() <= 1, "a row or a canary: {failing:?}");
    assert!(scheduler.halted().is_none() && working.len() == 8);
}

#[test]
fn a_row_of_a_halted_endpoint_goes_where_the_policy_sends_it() {
    let policy: Policy = Box::new(|job, ask, came, _| match came {
        Came::Halt(_) if &*ask.pool.account == "first" => {
            let Planned { ask, .. } = routed(job.id.0, "second");
            Then::Ask(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
        }
        _ => Then::Keep,
    });
    let mut scheduler = Scheduler::new(config(2, Some(policy)));
    offer(&mut scheduler, (0..6).map(|row| routed(row, "first")));
    let sent = dispatched(&mut scheduler, Instant::ZERO);

    let next = scheduler.on_end(sent[0], Verdict::Halt(HaltReason::Account(Failure::default())), Instant::ZERO);
    let other = end(&mut scheduler, sent[1], 0);
    let rest = finish_all(&mut scheduler, Instant::ZERO);

    assert!(matches!(next, Next::More { .. }) && matches!(other, Next::Finished(_)));
    assert_eq!((rest.len(), rest.iter().all(|account| account == "second")), (5, true));
    assert!(scheduler.take_set_aside().is_empty());
}

#[test]
fn an_ask_that_follows_an_answer_is_paid_with_it_and_ends_in_one_outcome() {
    let policy: Policy = Box::new(|job, _, came, attempts| match (came, attempts) {
        (Came::Answer(_), [_]) => Then::Ask(Box::new(repair(job.id.0))),
        _ => Then::Keep,
    });
    let mut scheduler = Scheduler::new(config(1, Some(policy)));
    offer(&mut scheduler, [routed(7, "first")]);
    let first = dispatched(&mut scheduler, Instant::ZERO)[0];

    let next = end(&mut scheduler, first, 1);
    let second = dispatched(&mut scheduler, Instant::from_secs(1))[0];
    let asked = scheduler.sent(second).clone();
    let Next::Finished(outcome) = end(&mut scheduler, second, 2) else { panic!("it is answered") };

    assert!(matches!(next, Next::More { job } if job.0 == 7));
    assert_eq!(&asked.ask.request.json()[..], b"{\"repair\":7}");
    assert_eq!(asked.job.request.json(), routed(7, "first").job.request.json(), "the row stays what it was");
    assert_eq!(
        outcome.attempts.iter().map(|attempt| attempt.purpose).collect::<Vec<_>>(),
        [Purpose::First, Purpose::Repair]
    );
    assert_eq!((outcome.cost(), outcome.usage().output_tokens), (Some(Money(20)), 100));
    assert_eq!(scheduler.spent(), Money(20));
}

#[test]
fn a_follow_up_that_a_halt_cuts_off_is_counted_as_paid_and_not_kept() {
    let policy: Policy = Box::new(|job, _, _, _| Then::Ask(Box::new(repair(job.id.0))));
    let mut scheduler = Scheduler::new(config(1, Some(policy)));
    offer(&mut scheduler, [routed(0, "first")]);
    let first = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(end(&mut scheduler, first, 1));

    scheduler.halt(HaltReason::Signal(2));

    assert_eq!((scheduler.take_set_aside().len(), scheduler.unkept()), (1, 1));
}

#[test]
fn rows_behind_a_gate_are_sent_when_the_head_of_their_leader_comes() {
    let mut scheduler = Scheduler::new(config(8, None));
    let gate = scheduler.offer_leader(routed(0, "first"), Instant::ZERO);
    (1..4).for_each(|row| scheduler.offer_behind(routed(row, "first"), gate, Instant::ZERO));
    scheduler.close_input();
    let leader = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(leader.len(), 1);
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { reason: Reason::Gate, .. }));

    scheduler.on_head(leader[0], 200, &RateSignals::default(), None, Instant::from_secs(1));

    let rows: Vec<u64> = dispatched(&mut scheduler, Instant::from_secs(1))
        .into_iter()
        .map(|ticket| scheduler.sent(ticket).job.id.0)
        .collect();
    assert_eq!(rows, [1, 2, 3]);
}

#[test]
fn a_gate_opens_when_its_leader_ends_without_an_answer_and_not_while_it_is_tried_again() {
    let mut scheduler = Scheduler::new(config(8, None));
    let gate = scheduler.offer_leader(routed(0, "first"), Instant::ZERO);
    scheduler.offer_behind(routed(1, "first"), gate, Instant::ZERO);
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    scheduler.on_head(leader, 529, &RateSignals::default(), None, Instant::ZERO);
    drop(scheduler.on_end(leader, fault(), Instant::ZERO));
    let again = dispatched(&mut scheduler, Instant::from_secs(60));
    let rejected = Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() };
    drop(scheduler.on_end(again[0], rejected, Instant::from_secs(60)));

    assert_eq!(again.len(), 1, "the row behind still waits");
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(60)).len(), 1);
}

// ---- random runs --------------------------------------------------------------------------------------------------

const SEEDS: u64 = 2_000;
const ACCOUNTS: [&str; 3] = ["first", "second", "third"];

#[test]
fn random_runs_over_several_endpoints_keep_every_invariant() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| random_run(seed));
        if let Err(panic) = result {
            eprintln!("the run of seed {seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

struct Play {
    rng: fastrand::Rng,
    scheduler: Scheduler,
    window: usize,
    now: Instant,
    ends: BinaryHeap<Reverse<(Instant, u64, Ticket)>>,
    serial: u64,
    in_flight: BTreeMap<Ticket, (u64, String)>,
    /// Accounts that have halted.
    halted: BTreeSet<String>,
    ended: BTreeSet<u64>,
    /// For rows behind a gate: their leader, until its head or its end has come.
    behind: BTreeMap<u64, u64>,
    faults: f64,
    halts: f64,
}

fn random_run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.u64(1..80);
    let window = rng.usize(1..8);
    let accounts = rng.usize(1..=ACCOUNTS.len());
    let (asks_more, reroutes) = (rng.bool(), rng.bool());
    let policy: Policy = Box::new(move |job, ask, came, attempts| match came {
        Came::Answer(_) if asks_more && job.id.0 % 3 == 0 && answers(attempts) < 3 => {
            Then::Ask(Box::new(Ask { pool: ask.pool.clone(), ..repair(job.id.0) }))
        }
        Came::Answer(_) if job.id.0 % 7 == 6 => {
            Then::Fail { class: ErrorClass::InvalidOutput, failure: Failure::default() }
        }
        Came::Failure { .. } | Came::Halt(_) if reroutes && ask.purpose != Purpose::Fallback => {
            let account = ACCOUNTS[job.id.0 as usize % ACCOUNTS.len()];
            let Planned { ask, .. } = routed(job.id.0, account);
            Then::Ask(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
        }
        Came::Answer(_) | Came::Failure { .. } | Came::Halt(_) => Then::Keep,
    });
    let mut play = Play {
        scheduler: Scheduler::new(Config { seed, ..config(window, Some(policy)) }),
        window,
        now: Instant::ZERO,
        ends: BinaryHeap::new(),
        serial: 0,
        in_flight: BTreeMap::new(),
        halted: BTreeSet::new(),
        ended: BTreeSet::new(),
        behind: BTreeMap::new(),
        faults: [0.0, 0.2, 0.5][rng.usize(0..3)],
        halts: [0.0, 0.01, 0.1][rng.usize(0..3)],
        rng,
    };
    play.offer_all(rows, accounts);
    let halt_at = (play.rng.u8(0..4) == 0).then(|| play.rng.u64(1..2 * rows));
    let mut events = 0;
    while play.step() {
        events += 1;
        if Some(events) == halt_at {
            play.scheduler.halt(HaltReason::Signal(2));
        }
        assert!(events < 100_000, "the run does not end");
    }
    for planned in play.scheduler.take_set_aside() {
        play.end_row(planned.job.id.0);
    }
    assert_eq!(play.ended.len() as u64, rows, "every row ends");
    assert_eq!(play.scheduler.in_flight(), 0);
    let (limits, money) = play.scheduler.unsettled();
    assert!(limits.iter().all(|pool| *pool == [0; 3]) && money == Money::ZERO, "{limits:?} {money:?}");
}

impl Play {
    fn offer_all(&mut self, rows: u64, accounts: usize) {
        let mut gates = Vec::new();
        for row in 0..rows {
            let planned = routed(row, ACCOUNTS[self.rng.usize(0..accounts)]);
            match self.rng.u8(0..5) {
                0 => gates.push((row, self.scheduler.offer_leader(planned, self.now))),
                1 | 2 if !gates.is_empty() => {
                    let (leader, gate) = gates[self.rng.usize(0..gates.len())];
                    self.behind.insert(row, leader);
                    self.scheduler.offer_behind(planned, gate, self.now);
                }
                _ => self.scheduler.offer(planned, self.now),
            }
        }
        self.scheduler.close_input();
    }

    fn step(&mut self) -> bool {
        match self.scheduler.poll(self.now) {
            Step::Dispatch { ticket, .. } => self.dispatch(ticket),
            Step::Canary { ticket, .. } => self.take_off(ticket),
            Step::Wait { until, .. } => {
                let end = self.ends.peek().map_or(Instant::NEVER, |Reverse((at, _, _))| *at);
                let next = until.min(end);
                assert!(next < Instant::NEVER, "it waits for nothing");
                self.now = self.now.max(next);
                if end <= self.now {
                    self.finish_one();
                }
            }
            Step::Drained => return false,
        }
        true
    }

    fn dispatch(&mut self, ticket: Ticket) {
        assert!(self.scheduler.halted().is_none(), "nothing starts after a halt");
        self.take_set_aside();
        let account = account(&self.scheduler, ticket);
        let row = self.scheduler.sent(ticket).job.id.0;
        assert!(!self.halted.contains(&account), "{account} has halted");
        assert!(!self.ended.contains(&row), "row {row} has ended and is sent again");
        // On another route there is nothing to wait for.
        if self.scheduler.sent(ticket).ask.purpose == Purpose::Fallback {
            self.behind.remove(&row);
        }
        assert!(!self.behind.contains_key(&row), "row {row} is sent before its leader's head");
        let there = self.in_flight.values().filter(|(_, own)| *own == account).count();
        assert!(there < self.window, "the window of {account} is exceeded");
        assert!(self.in_flight.values().all(|(sent, _)| *sent != row), "row {row} is in flight twice");
        self.in_flight.insert(ticket, (row, account));
        self.take_off(ticket);
    }

    fn take_off(&mut self, ticket: Ticket) {
        self.serial += 1;
        self.ends.push(Reverse((self.now + Duration::from_millis(self.rng.u64(1..3_000)), self.serial, ticket)));
    }

    fn finish_one(&mut self) {
        let Some(Reverse((_, _, ticket))) = self.ends.pop() else { return };
        let Some((row, account)) = self.in_flight.remove(&ticket) else {
            let verdict = if self.rng.bool() { fault() } else { answer() };
            let next = self.scheduler.on_end(ticket, verdict, self.now);
            return assert!(matches!(next, Next::NoRow), "{next:?}");
        };
        let verdict = match self.rng.f64() {
            chance if chance < self.halts => {
                self.halted.insert(account);
                Verdict::Halt(HaltReason::Account(Failure::default()))
            }
            chance if chance < self.halts + self.faults => fault(),
            _ => answer(),
        };
        let is_answer = matches!(verdict, Verdict::Answered(_));
        if self.rng.bool() {
            let status = if is_answer { 200 } else { 500 };
            self.scheduler.on_head(ticket, status, &RateSignals::default(), None, self.now);
            if is_answer {
                self.behind.retain(|_, leader| *leader != row);
            }
        }
        match self.scheduler.on_end(ticket, verdict, self.now) {
            Next::Finished(outcome) => {
                assert_eq!(outcome.job.id.0, row);
                self.end_row(row);
            }
            Next::Again { .. } => assert!(self.scheduler.halted().is_none(), "no row is queued after a halt"),
            Next::More { job } => assert_eq!(job.0, row),
            Next::NoRow => panic!("row {row} is one"),
            Next::Pending(planned) => {
                assert_eq!(planned.job.id.0, row);
                self.end_row(row);
            }
        }
        self.take_set_aside();
    }

    fn take_set_aside(&mut self) {
        for planned in self.scheduler.take_set_aside() {
            self.end_row(planned.job.id.0);
        }
    }

    fn end_row(&mut self, row: u64) {
        assert!(self.ended.insert(row), "row {row} ends twice");
        self.behind.retain(|_, leader| *leader != row);
    }
}

fn answers(attempts: &[AttemptRecord]) -> usize {
    attempts.iter().filter(|attempt| attempt.failed.is_none()).count()
}

// ---- parts ---------------------------------------------------------------------------------------------------------

fn config(window: usize, policy: Option<Policy>) -> Config {
    let endpoint = |account: &&str| EndpointId { provider: "anthropic".into(), account: (*account).into() };
    Config {
        endpoints: ["first", "second"].iter().map(endpoint).collect(),
        halt: HaltRule::Never,
        real_cost: Box::new(|_, usage| (usage.output_tokens > 0).then_some(Money(10)).or(Some(Money::ZERO))),
        policy,
        ..support::config(RateLimits::NONE, Window::fixed(window), 1)
    }
}

fn routed(row: u64, account: &str) -> Planned {
    let mut planned = support::planned(row, POOL, 100, 100);
    planned.ask.pool = Arc::new(PoolId { account: account.into(), ..support::pool_id(POOL) });
    planned
}

fn repair(row: u64) -> Ask {
    let mut params = claude_batch::domain::Params::default();
    params.set("repair", serde_json::value::RawValue::from_string(row.to_string()).expect("a number is JSON"));
    Ask { request: Request::of(&params), purpose: Purpose::Repair, ..routed(row, "first").ask }
}

fn offer(scheduler: &mut Scheduler, rows: impl IntoIterator<Item = Planned>) {
    rows.into_iter().for_each(|planned| scheduler.offer(planned, Instant::ZERO));
    scheduler.close_input();
}

fn dispatched(scheduler: &mut Scheduler, now: Instant) -> Vec<Ticket> {
    let mut tickets = Vec::new();
    loop {
        match scheduler.poll(now) {
            Step::Dispatch { ticket, .. } => tickets.push(ticket),
            Step::Canary { .. } => {}
            Step::Wait { .. } | Step::Drained => return tickets,
        }
    }
}

fn account(scheduler: &Scheduler, ticket: Ticket) -> String {
    scheduler.sent(ticket).ask.pool.account.to_string()
}

fn ticket_of(scheduler: &Scheduler, tickets: &[Ticket], wanted: &str) -> Ticket {
    let found = tickets.iter().find(|ticket| account(scheduler, **ticket) == wanted);
    *found.expect("a row of each account is in flight")
}

fn end(scheduler: &mut Scheduler, ticket: Ticket, second: u64) -> Next {
    scheduler.on_end(ticket, answer(), Instant::from_secs(second))
}

/// Answers everything until the run is over; returns the accounts that answered.
fn finish_all(scheduler: &mut Scheduler, now: Instant) -> Vec<String> {
    let mut accounts = Vec::new();
    loop {
        match scheduler.poll(now) {
            Step::Dispatch { ticket, .. } => {
                accounts.push(account(scheduler, ticket));
                drop(scheduler.on_end(ticket, answer(), now));
            }
            Step::Canary { .. } => panic!("nothing fails"),
            Step::Wait { until, reason } => panic!("it waits until {until:?} for {reason:?}"),
            Step::Drained => return accounts,
        }
    }
}

fn answer() -> Verdict {
    let usage = Usage { input_tokens: 100, output_tokens: 50, ..Usage::default() };
    Verdict::Answered(Message { json: Bytes::from_static(b"{}"), content: 0..0, usage, quality: Quality::Ok })
}

fn fault() -> Verdict {
    let failure = Failure { status: Some(500), ..Failure::default() };
    Verdict::Transient { class: ErrorClass::Server, retry_after: None, maybe_paid: false, failure }
}
