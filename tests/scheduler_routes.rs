//! Tests runs in which rows can go to several endpoints, send a second request, or wait for another row.
//!
//! Each feature is first tested alone: one account fails while another works, a policy requests a repair, and other
//! rows wait for one row. Then random runs combine all of them. After every event, the invariants of the scheduler's
//! module doc are checked.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use claude_batch::answer::{Came, Policy, Then};
use claude_batch::clock::Instant;
use claude_batch::domain::{
    Ask, AttemptRecord, ErrorClass, Failure, HaltReason, Money, Planned, PoolId, Purpose, RateLimits, RateSignals,
    Reason, Request, Verdict,
};
use claude_batch::scheduler::{Config, EndpointId, HaltRule, Next, Scheduler, Step, Ticket, Window};

use support::player::{Player, World, answer, fault, for_each_seed};

const POOL: &str = "haiku-4.5";

#[test]
fn when_one_endpoint_halts_the_rows_of_the_other_endpoint_are_still_answered() {
    let mut scheduler = Scheduler::new(config(2, None));
    offer(&mut scheduler, (0..6).map(|row| routed(row, ["first", "second"][row as usize % 2])));
    let sent = dispatched(&mut scheduler, Instant::ZERO);

    let refused = ticket_of(&scheduler, &sent, "first");
    let next = scheduler.on_end(refused, Verdict::Halt(HaltReason::Key(Failure::default())), Instant::from_secs(1));
    sent.iter().filter(|ticket| **ticket != refused).for_each(|ticket| drop(end(&mut scheduler, *ticket, 1)));
    let rest = finish_all(&mut scheduler, Instant::from_secs(1));

    assert!(matches!(next, Next::Pending { .. }));
    assert!(rest.iter().all(|account| account == "second"), "{rest:?}");
    let set_aside = scheduler.take_set_aside();
    assert!(set_aside.iter().all(|planned| &*planned.ask.pool.account == "first") && !set_aside.is_empty());
    assert!(
        matches!(scheduler.halted(), Some(HaltReason::Key(_))),
        "the run ends with the reason that left rows pending"
    );
}

#[test]
fn a_failing_endpoint_is_probed_while_the_other_fills_the_window() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..600).map(|row| routed(row, ["first", "second"][row as usize % 2])));
    let mut now = Instant::ZERO;
    for _ in 0..12 {
        for ticket in dispatched(&mut scheduler, now) {
            let verdict = if account(&scheduler, ticket) == "first" { fault(false) } else { answer(100, 50) };
            drop(scheduler.on_end(ticket, verdict, now));
        }
        now = now + Duration::from_millis(100);
    }

    let (failing, working): (Vec<_>, Vec<_>) =
        dispatched(&mut scheduler, now).into_iter().partition(|ticket| account(&scheduler, *ticket) == "first");

    assert!(
        scheduler.in_flight() - working.len() <= 1,
        "at most one probe is in flight to the failing endpoint: {failing:?}"
    );
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
fn an_answer_and_its_follow_up_request_give_one_outcome_with_both_costs() {
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
    let Next::Finished(outcome) = end(&mut scheduler, second, 2) else { panic!("the row is not finished") };

    assert!(matches!(next, Next::More { job } if job.0 == 7));
    assert_eq!(&asked.ask.request.json()[..], b"{\"repair\":7}");
    assert_eq!(asked.job.request.json(), routed(7, "first").job.request.json(), "the row's own request is not changed");
    assert_eq!(
        outcome.attempts.iter().map(|attempt| attempt.purpose).collect::<Vec<_>>(),
        [Purpose::First, Purpose::Repair]
    );
    assert_eq!((outcome.cost(), outcome.usage().output_tokens), (Some(Money(20)), 100));
    assert_eq!(scheduler.spent(), Money(20));
}

#[test]
fn an_answer_whose_follow_up_is_cut_off_by_a_halt_is_counted_as_paid_but_not_kept() {
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
fn a_gate_stays_closed_while_its_leader_is_retried_and_opens_when_the_leader_fails() {
    let mut scheduler = Scheduler::new(config(8, None));
    let gate = scheduler.offer_leader(routed(0, "first"), Instant::ZERO);
    scheduler.offer_behind(routed(1, "first"), gate, Instant::ZERO);
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    scheduler.on_head(leader, 529, &RateSignals::default(), None, Instant::ZERO);
    drop(scheduler.on_end(leader, fault(false), Instant::ZERO));
    let again = dispatched(&mut scheduler, Instant::from_secs(60));
    let rejected = Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() };
    drop(scheduler.on_end(again[0], rejected, Instant::from_secs(60)));

    assert_eq!(again.len(), 1, "the row behind the gate still waits");
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(60)).len(), 1);
}

// ---- random runs --------------------------------------------------------------------------------------------------

const SEEDS: u64 = 2_000;
const ACCOUNTS: [&str; 3] = ["first", "second", "third"];

#[test]
fn random_runs_over_several_endpoints_keep_every_invariant() {
    for_each_seed(SEEDS, random_run);
}

/// Several endpoints. They fail and halt at random.
struct SeveralEndpoints {
    window: usize,
    /// For each row in flight, the account that it was sent to.
    in_flight: BTreeMap<u64, String>,
    /// Accounts that have halted.
    halted: BTreeSet<String>,
    /// For each row behind a gate, its leader. The entry is removed when the leader's head has arrived, or when the
    /// leader has ended.
    behind: BTreeMap<u64, u64>,
    faults: f64,
    halts: f64,
}

fn random_run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.u64(1..80);
    let accounts = rng.usize(1..=ACCOUNTS.len());
    let world = SeveralEndpoints {
        window: rng.usize(1..8),
        in_flight: BTreeMap::new(),
        halted: BTreeSet::new(),
        behind: BTreeMap::new(),
        faults: [0.0, 0.2, 0.5][rng.usize(0..3)],
        halts: [0.0, 0.01, 0.1][rng.usize(0..3)],
    };
    let policy = random_policy(rng.bool(), rng.bool());
    let config = Config { seed, ..config(world.window, Some(policy)) };
    let mut player = Player::new(config, world, Duration::from_secs(3), rng);
    offer_all(&mut player, rows, accounts);
    let halt_at = (player.rng.u8(0..4) == 0).then(|| player.rng.u64(1..2 * rows));

    player.play(halt_at);

    assert_eq!((player.finished.len() + player.pending.len()) as u64, rows, "every row ends");
}

/// Returns a policy that sends a second request for some answered rows, and sends failed rows to another account.
fn random_policy(asks_more: bool, reroutes: bool) -> Policy {
    Box::new(move |job, ask, came, attempts| match came {
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
    })
}

fn offer_all(player: &mut Player<SeveralEndpoints>, rows: u64, accounts: usize) {
    let Player { scheduler, rng, world, now, .. } = player;
    let mut gates = Vec::new();
    for row in 0..rows {
        let planned = routed(row, ACCOUNTS[rng.usize(0..accounts)]);
        match rng.u8(0..5) {
            0 => gates.push((row, scheduler.offer_leader(planned, *now))),
            1 | 2 if !gates.is_empty() => {
                let (leader, gate) = gates[rng.usize(0..gates.len())];
                world.behind.insert(row, leader);
                scheduler.offer_behind(planned, gate, *now);
            }
            _ => scheduler.offer(planned, *now),
        }
    }
    scheduler.close_input();
}

impl World for SeveralEndpoints {
    fn on_sent(&mut self, planned: &Planned, _now: Instant) {
        let (row, account) = (planned.job.id.0, planned.ask.pool.account.to_string());
        assert!(!self.halted.contains(&account), "{account} has halted");
        // A request on another route does not wait behind the gate.
        if planned.ask.purpose == Purpose::Fallback {
            self.behind.remove(&row);
        }
        assert!(!self.behind.contains_key(&row), "row {row} is sent before its leader's head");
        let there = self.in_flight.values().filter(|own| **own == account).count();
        assert!(there < self.window, "the window of {account} is exceeded");
        self.in_flight.insert(row, account);
    }

    fn verdict(&mut self, row: Option<u64>, rng: &mut fastrand::Rng, _now: Instant) -> Verdict {
        let Some(account) = row.and_then(|row| self.in_flight.remove(&row)) else {
            return if rng.bool() { fault(false) } else { answer(100, 50) };
        };
        match rng.f64() {
            chance if chance < self.halts => {
                self.halted.insert(account);
                Verdict::Halt(HaltReason::Account(Failure::default()))
            }
            chance if chance < self.halts + self.faults => fault(false),
            _ => answer(100, 50),
        }
    }

    fn on_answered_or_ended(&mut self, row: u64) {
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
    scheduler.on_end(ticket, answer(100, 50), Instant::from_secs(second))
}

/// Answers every request until the run is over. Returns the accounts that answered.
fn finish_all(scheduler: &mut Scheduler, now: Instant) -> Vec<String> {
    let mut accounts = Vec::new();
    loop {
        match scheduler.poll(now) {
            Step::Dispatch { ticket, .. } => {
                accounts.push(account(scheduler, ticket));
                drop(scheduler.on_end(ticket, answer(100, 50), now));
            }
            Step::Canary { .. } => panic!("nothing fails"),
            Step::Wait { until, reason } => panic!("the run waits until {until:?} for {reason:?}"),
            Step::Drained => return accounts,
        }
    }
}
