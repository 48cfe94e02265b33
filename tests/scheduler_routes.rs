//! Tests runs in which rows can go to several endpoints, send a second request, or wait for another row.
//!
//! Some tests try a single feature: another account if one account fails, a repair that a policy requests, or rows that
//! wait for another row. In the other tests, random runs combine the features. After every event, the tests check the
//! invariants that the module doc of the scheduler lists.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use claude_batch::answer::{Decision, Policy, RequestResult};
use claude_batch::clock::Instant;
use claude_batch::domain::{
    Ask, AttemptRecord, ErrorClass, Failure, FallbackOn, HaltReason, Job, LimitKind, Message, Money, Planned, PoolId,
    PrefixId, Purpose, Quality, RateLimits, RateSignals, Reason, Request, Usage, Verdict,
};
use claude_batch::scheduler::{Config, EndpointId, Fallback, HaltRule, Next, Scheduler, Step, Ticket, Window};

use support::player::{Player, World, answer, fault, for_each_seed};
use support::prefixed;

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
        RequestResult::Halt(_) if &*ask.pool.account == "first" => {
            let Planned { ask, .. } = routed(job.id.0, "second");
            Decision::Ask(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
        }
        _ => Decision::Keep,
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
        (RequestResult::Answer(_), [_]) => Decision::Ask(Box::new(repair(job.id.0))),
        _ => Decision::Keep,
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
    let policy: Policy = Box::new(|job, _, _, _| Decision::Ask(Box::new(repair(job.id.0))));
    let mut scheduler = Scheduler::new(config(1, Some(policy)));
    offer(&mut scheduler, [routed(0, "first")]);
    let first = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(end(&mut scheduler, first, 1));

    scheduler.halt(HaltReason::Signal(2));

    assert_eq!((scheduler.take_set_aside().len(), scheduler.unkept()), (1, 1));
}

#[test]
fn rows_that_share_a_prefix_are_sent_when_the_answer_to_the_first_row_begins() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(leader.len(), 1);
    assert!(matches!(scheduler.poll(Instant::ZERO), Step::Wait { reason: Reason::Gate, .. }));

    scheduler.on_head(leader[0], 200, &RateSignals::default(), None, Instant::from_secs(1));
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(1)), [], "the head does not show whether it was written");
    scheduler.on_begin(leader[0], &written(2_000), Instant::from_secs(1));

    let sent = dispatched(&mut scheduler, Instant::from_secs(1));
    assert_eq!(rows_of(&scheduler, &sent), [1, 2, 3]);
}

#[test]
fn when_the_first_row_of_a_prefix_fails_the_next_row_is_sent_alone() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..3).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    drop(scheduler.on_end(leader, fault(false), Instant::ZERO));
    let next = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rows_of(&scheduler, &next), [1], "the failed row waits for its next try");
    let rejected = Verdict::Rejected { class: ErrorClass::InvalidRequest, failure: Failure::default() };
    drop(scheduler.on_end(next[0], rejected, Instant::from_secs(1)));

    let last = dispatched(&mut scheduler, Instant::from_secs(1));
    assert_eq!(rows_of(&scheduler, &last), [2]);
}

#[test]
fn the_other_rows_wait_for_one_row_at_each_level_of_nested_prefixes() {
    let mut scheduler = Scheduler::new(config(8, None));
    let rows = [(0, [1, 2]), (1, [1, 2]), (2, [1, 3]), (3, [1, 3])];
    offer(&mut scheduler, rows.map(|(row, prefixes)| prefixed(routed(row, "first"), &prefixes)));
    let first = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rows_of(&scheduler, &first), [0]);

    scheduler.on_begin(first[0], &written(4_000), Instant::from_secs(1));
    let second = dispatched(&mut scheduler, Instant::from_secs(1));
    assert_eq!(rows_of(&scheduler, &second), [1, 2], "row 1 reads, and row 2 writes what follows the shared part");
    scheduler.on_begin(second[1], &written(2_000), Instant::from_secs(2));

    let sent = dispatched(&mut scheduler, Instant::from_secs(2));
    assert_eq!(rows_of(&scheduler, &sent), [3]);
}

#[test]
fn after_a_pause_longer_than_the_lifetime_the_other_rows_wait_for_one_row_again() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, [prefixed(routed(0, "first"), &[7])]);
    let first = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(scheduler.on_end(first, cached(&written(2_000)), Instant::from_secs(1)));

    (1..3).for_each(|row| scheduler.offer(prefixed(routed(row, "first"), &[7]), Instant::from_secs(280)));
    let warm = dispatched(&mut scheduler, Instant::from_secs(280));
    assert_eq!(warm.len(), 2);
    (3..5).for_each(|row| scheduler.offer(prefixed(routed(row, "first"), &[7]), Instant::from_secs(580)));
    let cold = dispatched(&mut scheduler, Instant::from_secs(580));

    assert_eq!(rows_of(&scheduler, &cold), [3]);
}

#[test]
fn no_row_waits_for_a_prefix_that_the_api_does_not_cache() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    scheduler.on_begin(leader, &Usage { input_tokens: 2_000, ..Usage::default() }, Instant::from_secs(1));

    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(1)).len(), 3);
}

#[test]
fn a_stream_that_begins_without_its_usage_shows_only_at_its_end_whether_a_prefix_is_cached() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    scheduler.on_begin(leader, &Usage::default(), Instant::from_secs(1));
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(1)), []);
    drop(scheduler.on_end(leader, cached(&written(2_000)), Instant::from_secs(2)));
    assert_eq!(dispatched(&mut scheduler, Instant::from_secs(2)).len(), 3);
    scheduler.offer(prefixed(routed(9, "first"), &[7]), Instant::from_secs(300));
    scheduler.offer(prefixed(routed(10, "first"), &[7]), Instant::from_secs(300));

    let cold = dispatched(&mut scheduler, Instant::from_secs(300));
    assert_eq!(rows_of(&scheduler, &cold), [9], "the prefix counts as one that is cached");
}

#[test]
fn a_server_that_refuses_marks_gets_the_same_rows_without_them() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];

    assert!(matches!(scheduler.on_end(leader, refused(""), Instant::ZERO), Next::Again { .. }));
    let again = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rows_of(&scheduler, &again), [0]);
    assert!(matches!(scheduler.on_end(again[0], answer(100, 50), Instant::ZERO), Next::Finished(_)));

    assert_eq!(dispatched(&mut scheduler, Instant::ZERO).len(), 3, "nobody waits any more");
}

#[test]
fn an_answer_without_marks_that_begins_does_not_show_that_marks_are_accepted() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, [prefixed(routed(0, "first"), &[7]), prefixed(routed(1, "first"), &[8])]);
    let leaders = dispatched(&mut scheduler, Instant::ZERO);
    assert!(matches!(scheduler.on_end(leaders[0], refused(""), Instant::ZERO), Next::Again { .. }));
    let again = dispatched(&mut scheduler, Instant::ZERO)[0];

    scheduler.on_begin(again, &Usage { input_tokens: 2_000, ..Usage::default() }, Instant::from_secs(1));

    assert!(matches!(scheduler.on_end(leaders[1], refused(""), Instant::from_secs(2)), Next::Again { .. }));
}

#[test]
fn a_prefix_whose_marks_are_refused_is_sent_without_them_although_others_are_accepted() {
    let mut scheduler = Scheduler::new(config(8, None));
    let of = |row, prefix| prefixed(routed(row, "first"), &[prefix]);
    scheduler.offer(of(0, 7), Instant::ZERO);
    let accepted = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(scheduler.on_end(accepted, cached(&written(2_000)), Instant::ZERO));
    offer(&mut scheduler, [of(1, 8), of(2, 8), of(3, 8), of(4, 7)]);
    let sent = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rows_of(&scheduler, &sent), [1, 4]);

    assert!(matches!(scheduler.on_end(sent[0], refused(""), Instant::ZERO), Next::Again { .. }));
    let again = dispatched(&mut scheduler, Instant::ZERO)[0];
    assert!(matches!(scheduler.on_end(again, answer(100, 50), Instant::ZERO), Next::Finished(_)));
    let rest = dispatched(&mut scheduler, Instant::ZERO);

    assert_eq!(rows_of(&scheduler, &rest), [2, 3], "nobody leads");
}

#[test]
fn a_row_that_is_refused_with_and_without_marks_fails_and_the_next_row_is_marked() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(scheduler.on_end(leader, refused(""), Instant::ZERO));
    let again = dispatched(&mut scheduler, Instant::ZERO)[0];

    assert!(matches!(scheduler.on_end(again, refused(""), Instant::ZERO), Next::Finished(_)));

    let sent = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rows_of(&scheduler, &sent), [1]);
}

#[test]
fn marks_that_are_refused_although_the_prefix_was_accepted_before_are_left_out_from_then_on() {
    let mut scheduler = Scheduler::new(config(8, None));
    offer(&mut scheduler, (0..4).map(|row| prefixed(routed(row, "first"), &[7])));
    let leader = dispatched(&mut scheduler, Instant::ZERO)[0];
    drop(scheduler.on_end(leader, cached(&written(2_000)), Instant::ZERO));
    let rest = dispatched(&mut scheduler, Instant::ZERO);
    assert_eq!(rest.len(), 3);

    let other = scheduler.on_end(rest[0], refused("messages: at least one is needed"), Instant::ZERO);
    assert!(matches!(other, Next::Finished(_)), "the marks are not the cause");
    let blamed = scheduler.on_end(rest[1], refused("system.0.cache_control: not permitted"), Instant::ZERO);
    assert!(matches!(blamed, Next::Again { .. }));
    let again = dispatched(&mut scheduler, Instant::ZERO)[0];
    assert!(matches!(scheduler.on_end(again, answer(100, 50), Instant::ZERO), Next::Finished(_)));

    offer(&mut scheduler, (4..8).map(|row| prefixed(routed(row, "first"), &[8])));
    assert_eq!(dispatched(&mut scheduler, Instant::ZERO).len(), 4, "nobody leads");
}

/// Returns a refusal with status 400.
fn refused(message: &str) -> Verdict {
    let failure = Failure { status: Some(400), message: message.to_owned(), ..Failure::default() };
    Verdict::Rejected { class: ErrorClass::InvalidRequest, failure }
}

// ---- random runs --------------------------------------------------------------------------------------------------

const SEEDS: u64 = 2_000;
const ACCOUNTS: [&str; 3] = ["first", "second", "third"];

#[test]
fn random_runs_over_several_endpoints_keep_every_invariant() {
    for_each_seed(SEEDS, random_run);
}

/// Several endpoints. The endpoints fail and halt at random.
struct SeveralEndpoints {
    window: usize,
    /// For each row in flight, the account to which the row was sent.
    in_flight: BTreeMap<u64, String>,
    /// Accounts that have halted.
    halted: BTreeSet<String>,
    /// For each row in flight whose answer has not begun, the marked prefixes of the row. Each prefix is stored with
    /// the row's account.
    unanswered: BTreeMap<u64, Vec<(String, PrefixId)>>,
    /// The prefixes of rows whose answers have begun.
    known: BTreeSet<(String, PrefixId)>,
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
        unanswered: BTreeMap::new(),
        known: BTreeSet::new(),
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
        RequestResult::Answer(_) if asks_more && job.id.0 % 3 == 0 && answers(attempts) < 3 => {
            Decision::Ask(Box::new(Ask { pool: ask.pool.clone(), ..repair(job.id.0) }))
        }
        RequestResult::Answer(_) if job.id.0 % 7 == 6 => {
            Decision::Fail { class: ErrorClass::InvalidOutput, failure: Failure::default() }
        }
        RequestResult::Failure { .. } | RequestResult::Halt(_) if reroutes && ask.purpose != Purpose::Fallback => {
            let account = ACCOUNTS[job.id.0 as usize % ACCOUNTS.len()];
            let Planned { ask, .. } = routed(job.id.0, account);
            Decision::Ask(Box::new(Ask { purpose: Purpose::Fallback, ..ask }))
        }
        RequestResult::Answer(_) | RequestResult::Pause(_) | RequestResult::Failure { .. } | RequestResult::Halt(_) => {
            Decision::Keep
        }
    })
}

fn offer_all(player: &mut Player<SeveralEndpoints>, rows: u64, accounts: usize) {
    let Player { scheduler, rng, now, .. } = player;
    for row in 0..rows {
        let planned = routed(row, ACCOUNTS[rng.usize(0..accounts)]);
        let (one, two, three) = (rng.u64(1..4), rng.u64(1..6), rng.u64(1..4));
        let prefixes = [one, 10 * one + two, 100 * one + 10 * two + three];
        match rng.usize(0..5) {
            levels @ 1..4 => scheduler.offer(prefixed(planned, &prefixes[..levels]), *now),
            _ => scheduler.offer(planned, *now),
        }
    }
    scheduler.close_input();
}

impl World for SeveralEndpoints {
    fn on_sent(&mut self, planned: &Planned, _now: Instant) {
        let (row, account) = (planned.job.id.0, planned.ask.pool.account.to_string());
        assert!(!self.halted.contains(&account), "{account} has halted");
        let levels = planned.ask.prefixes.iter().flat_map(|prefixes| &prefixes.levels);
        let mine: Vec<_> = levels.map(|level| (account.clone(), level.id)).collect();
        let is_unknown = |prefix: &&(String, PrefixId)| !self.known.contains(prefix);
        let others = self.unanswered.values().flatten().filter(is_unknown);
        let both: Vec<_> = others.filter(|prefix| mine.contains(prefix)).collect();
        assert!(both.is_empty(), "row {row} is sent while another row writes {both:?}");
        self.unanswered.insert(row, mine);
        let there = self.in_flight.values().filter(|own| **own == account).count();
        assert!(there < self.window, "the window of {account} is exceeded");
        self.in_flight.insert(row, account);
    }

    fn verdict(&mut self, row: Option<u64>, rng: &mut fastrand::Rng, _now: Instant) -> Verdict {
        let Some(account) = row.and_then(|row| self.in_flight.remove(&row)) else {
            return if rng.bool() { fault(false) } else { answer(100, 50) };
        };
        let verdict = match rng.f64() {
            chance if chance < self.halts => {
                self.halted.insert(account);
                Verdict::Halt(HaltReason::Account(Failure::default()))
            }
            chance if chance < self.halts + self.faults => fault(false),
            // For most answers, tokens were read from the cache. Without cache reads, the scheduler would stop using
            // the cache, and no row would wait.
            _ if rng.u8(0..8) > 0 => cached(&Usage { input_tokens: 20, cache_read_tokens: 40, ..written(40) }),
            _ => answer(100, 50),
        };
        let prefixes = row.and_then(|row| self.unanswered.remove(&row)).unwrap_or_default();
        if matches!(verdict, Verdict::Answered(_)) {
            self.known.extend(prefixes);
        }
        verdict
    }
}

#[test]
fn random_runs_over_a_chain_keep_every_invariant_and_no_row_moves_back() {
    for_each_seed(SEEDS, random_chain_run);
}

/// A chain of endpoints, each with its own kinds of trouble.
struct Chain {
    window: usize,
    /// For each row in flight, the place of its endpoint in the chain.
    in_flight: BTreeMap<u64, usize>,
    /// For each row, the furthest place in the chain to which the row was sent.
    furthest: BTreeMap<u64, usize>,
    halted: BTreeSet<usize>,
    held_until: [Instant; 3],
    lacks: BTreeSet<usize>,
    /// The shares of four kinds of trouble at each endpoint: faults, refusals, overloads and rejected answers.
    troubles: [[f64; 4]; 3],
    halts: f64,
}

fn random_chain_run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.u64(1..80);
    let mut trouble = || [0, 1, 2, 3].map(|_: u8| [0.0, 0.0, 0.1, 0.4][rng.usize(0..4)]);
    let troubles = [trouble(), trouble(), trouble()];
    let world = Chain {
        window: rng.usize(1..8),
        in_flight: BTreeMap::new(),
        furthest: BTreeMap::new(),
        halted: BTreeSet::new(),
        held_until: [Instant::ZERO; 3],
        lacks: (0..3).filter(|_| rng.u8(0..8) == 0).collect(),
        troubles,
        halts: [0.0, 0.01, 0.1][rng.usize(0..3)],
    };
    let on = FallbackOn {
        limit: rng.bool().then(|| Duration::from_secs(rng.u64(0..400))),
        overload: rng.bool(),
        endpoint: rng.bool(),
        refusal: rng.bool(),
        model: rng.bool(),
        account: rng.bool(),
    };
    let id = |account: &str| EndpointId { provider: account.into(), account: "".into() };
    let config = Config {
        seed,
        endpoints: ACCOUNTS.map(id).to_vec(),
        fallback: Some(Fallback { on, ask_for: Box::new(ask_for) }),
        retry_ambiguous: rng.bool(),
        ..config(world.window, None)
    };
    let mut player = Player::new(config, world, Duration::from_secs(3), rng);
    {
        let Player { scheduler, rng, now, .. } = &mut player;
        for row in 0..rows {
            let planned = at_provider(row, ACCOUNTS[0]);
            let levels = rng.usize(0..3);
            let prefixes = [rng.u64(1..4), 10 + rng.u64(1..6)];
            scheduler.offer(if levels == 0 { planned } else { prefixed(planned, &prefixes[..levels]) }, *now);
        }
        scheduler.close_input();
    }
    let halt_at = (player.rng.u8(0..4) == 0).then(|| player.rng.u64(1..2 * rows));

    player.play(halt_at);

    assert_eq!((player.finished.len() + player.pending.len()) as u64, rows, "every row ends");
    let is_complete = player.pending.is_empty() && halt_at.is_none() && player.world.halted.is_empty();
    assert!(!is_complete || player.scheduler.halted().is_none(), "{:?}", player.scheduler.halted());
}

/// Returns the request of a row for another endpoint. Every eleventh row must stay at its endpoint.
fn ask_for(job: &Job, id: &EndpointId) -> Result<Ask, Box<Failure>> {
    match job.id.0 % 11 {
        10 => Err(Box::default()),
        _ => Ok(at_provider(job.id.0, &id.provider).ask),
    }
}

fn at_provider(row: u64, provider: &str) -> Planned {
    let mut planned = support::planned(row, POOL, 100, 100);
    planned.ask.pool = Arc::new(PoolId { provider: provider.into(), ..support::pool_id(POOL) });
    planned
}

impl World for Chain {
    fn on_sent(&mut self, planned: &Planned, now: Instant) {
        let (row, provider) = (planned.job.id.0, &*planned.ask.pool.provider);
        let place = ACCOUNTS.iter().position(|own| *own == provider).expect("it is in the chain");
        assert!(!self.halted.contains(&place), "{provider} has halted");
        assert!(now >= self.held_until[place], "{provider} is held");
        let furthest = self.furthest.entry(row).or_default();
        assert!(place >= *furthest, "row {row} moves back to {provider}");
        *furthest = place;
        assert!(row % 11 != 10 || place == 0, "row {row} can't be sent to {provider}");
        assert_eq!(planned.ask.purpose == Purpose::Fallback, place > 0);
        let there = self.in_flight.values().filter(|own| **own == place).count();
        assert!(there < self.window, "the window of {provider} is exceeded");
        self.in_flight.insert(row, place);
    }

    fn verdict(&mut self, row: Option<u64>, rng: &mut fastrand::Rng, now: Instant) -> Verdict {
        let Some(place) = row.and_then(|row| self.in_flight.remove(&row)) else {
            return if rng.bool() { fault(false) } else { answer(100, 50) };
        };
        let failure = |status| Failure { status: Some(status), ..Failure::default() };
        if self.lacks.contains(&place) {
            return Verdict::NoModel(failure(404));
        }
        if rng.f64() < self.halts {
            self.halted.insert(place);
            return Verdict::Halt(HaltReason::Account(Failure::default()));
        }
        let mut chance = rng.f64() * 1.6;
        let kind = self.troubles[place].iter().position(|share| {
            chance -= share;
            chance < 0.0
        });
        match kind {
            Some(0) => fault(rng.bool()),
            Some(1) => {
                let wait = [1, 10, 200, 600, 3_000][rng.usize(0..5)];
                self.held_until[place] = self.held_until[place].max(now + Duration::from_secs(wait));
                let retry_after = Some(Duration::from_secs(wait));
                Verdict::Limited { kind: LimitKind::Rate, retry_after, failure: failure(429) }
            }
            Some(2) => Verdict::Overloaded { retry_after: None, maybe_paid: false, failure: failure(529) },
            Some(3) => match answer(100, 50) {
                Verdict::Answered(message) => Verdict::Answered(Message { quality: Quality::Refused, ..message }),
                other => other,
            },
            _ => answer(100, 50),
        }
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

fn written(tokens: u64) -> Usage {
    Usage { cache_write_5m_tokens: tokens, input_tokens: 100, output_tokens: 50, ..Usage::default() }
}

fn cached(usage: &Usage) -> Verdict {
    match answer(100, 50) {
        Verdict::Answered(message) => Verdict::Answered(Message { usage: *usage, ..message }),
        other => other,
    }
}

fn rows_of(scheduler: &Scheduler, tickets: &[Ticket]) -> Vec<u64> {
    tickets.iter().map(|ticket| scheduler.sent(*ticket).job.id.0).collect()
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

/// Answers every request until the run is over. Returns the accounts that answered the requests.
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
