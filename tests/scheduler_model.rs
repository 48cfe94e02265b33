//! Random whole runs of the scheduler on virtual time: the invariants of its module doc after every event.
//!
//! Each run is made from one seed; a failing seed is named and reproduces.

mod support;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use bytes::Bytes;
use claude_batch::clock::Instant;
use claude_batch::domain::{
    ErrorClass, Failure, HaltReason, LimitKind, Message, Money, Quality, RateLimits, RateSignals, Usage, Verdict,
};
use claude_batch::scheduler::{Budget, HaltRule, Next, Scheduler, Step, Ticket, Window};

const SEEDS: u64 = 3_000;
/// Of those runs that have a budget: some end by it.
const BUDGET: u128 = 20_000;
const POOLS: [&str; 2] = ["haiku-4.5", "opus-4.x"];

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Finished,
    Pending,
}

struct Sim {
    rng: fastrand::Rng,
    scheduler: Scheduler,
    window: usize,
    now: Instant,
    ends: BinaryHeap<Reverse<(Instant, u64, Ticket)>>,
    serial: u64,
    sent_rows: BTreeMap<Ticket, u64>,
    held_until: BTreeMap<&'static str, Instant>,
    pool_of_row: Vec<&'static str>,
    tries: Vec<u32>,
    ended: BTreeMap<u64, Ended>,
    is_halted: bool,
    share_of_faults: f64,
}

#[test]
fn random_runs_keep_every_invariant() {
    for seed in 0..SEEDS {
        let result = std::panic::catch_unwind(|| run(seed));
        if let Err(panic) = result {
            eprintln!("the run of seed {seed} fails");
            std::panic::resume_unwind(panic);
        }
    }
}

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.u64(1..120);
    let window = rng.usize(1..20);
    let limits = match rng.u8(0..3) {
        0 => RateLimits::NONE,
        1 => RateLimits::new(rng.u32(10..600), 1_000_000, 1_000_000),
        _ => RateLimits::new(1_000, rng.u32(2_000..200_000), rng.u32(1_000..50_000)),
    };
    let mut config = support::config(limits, Window::fixed(window), seed);
    config.halt = HaltRule::Never;
    if rng.u8(0..4) == 0 {
        config.real_cost = Box::new(|_, usage| Some(Money(u128::from(usage.output_tokens.min(1)))));
        config.budget = Budget::new(Some(Money(BUDGET)), None, None, Money::ZERO);
    }
    let mut sim = Sim {
        scheduler: Scheduler::new(config),
        window,
        now: Instant::ZERO,
        ends: BinaryHeap::new(),
        serial: 0,
        sent_rows: BTreeMap::new(),
        held_until: BTreeMap::new(),
        pool_of_row: Vec::new(),
        tries: vec![0; rows as usize],
        ended: BTreeMap::new(),
        is_halted: false,
        share_of_faults: [0.0, 0.1, 0.4][rng.usize(0..3)],
        rng,
    };
    sim.offer_all(rows);
    let halt_at = sim.rng.bool().then(|| sim.rng.u64(1..2 * rows));
    let mut events = 0;
    while sim.step() {
        events += 1;
        if Some(events) == halt_at {
            sim.scheduler.halt(HaltReason::Signal(2));
            sim.is_halted = true;
        }
        assert!(events < 100_000, "the run does not end");
    }
    for planned in sim.scheduler.take_set_aside() {
        sim.end(planned.job.id.0, Ended::Pending);
    }
    assert_eq!(sim.ended.len() as u64, rows, "every row ends");
    assert_eq!(sim.scheduler.in_flight(), 0);
    let (limits, money) = sim.scheduler.unsettled();
    assert!(limits.iter().all(|pool| *pool == [0; 3]), "reservations leak: {limits:?}");
    assert_eq!(money, Money::ZERO, "reserved money leaks");
    assert!(sim.scheduler.spent() <= Money(BUDGET), "{:?} of {BUDGET} are spent", sim.scheduler.spent());
    let has_pending = sim.ended.values().any(|ended| *ended == Ended::Pending);
    assert!(!has_pending || sim.scheduler.halted().is_some(), "only a halted run leaves rows");
}

impl Sim {
    fn offer_all(&mut self, rows: u64) {
        for row in 0..rows {
            let pool = POOLS[self.rng.usize(0..POOLS.len())];
            self.pool_of_row.push(pool);
            let planned = support::planned(row, pool, self.rng.u32(1..3_000), self.rng.u32(1..2_000));
            self.scheduler.offer(planned, self.now);
        }
        self.scheduler.close_input();
    }

    /// Does one thing; returns whether the run goes on.
    fn step(&mut self) -> bool {
        match self.scheduler.poll(self.now) {
            Step::Dispatch { ticket, .. } => self.dispatch(ticket),
            Step::Canary { ticket, .. } => self.take_off(ticket),
            Step::Wait { until, .. } => {
                let end = self.ends.peek().map_or(Instant::NEVER, |Reverse((at, _, _))| *at);
                let next = until.min(end);
                assert!(next < Instant::NEVER, "it waits for nothing");
                assert!(next.since(self.now) <= Duration::from_secs(3600), "it waits for more than an hour");
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
        assert!(!self.is_halted && self.scheduler.halted().is_none(), "nothing starts after a halt");
        assert!(self.scheduler.in_flight() <= self.window, "the window is exceeded");
        let row = self.scheduler.sent(ticket).job.id.0;
        assert!(!self.ended.contains_key(&row), "row {row} has ended and is sent again");
        let pool = self.pool_of_row[row as usize];
        let held = self.held_until.get(pool).copied().unwrap_or_default();
        assert!(self.now >= held, "pool {pool} is held until {held:?}, sent at {:?}", self.now);
        assert!(self.sent_rows.insert(ticket, row).is_none(), "a ticket is used twice at once");
        assert!(self.sent_rows.values().filter(|&&sent| sent == row).count() == 1, "row {row} is in flight twice");
        self.take_off(ticket);
    }

    fn take_off(&mut self, ticket: Ticket) {
        assert!(!self.is_halted && self.scheduler.in_flight() <= self.window);
        let latency = Duration::from_millis(self.rng.u64(1..5_000));
        self.serial += 1;
        self.ends.push(Reverse((self.now + latency, self.serial, ticket)));
    }

    fn finish_one(&mut self) {
        let Some(Reverse((_, _, ticket))) = self.ends.pop() else { return };
        let Some(row) = self.sent_rows.remove(&ticket) else { return self.finish_canary(ticket) };
        let verdict = self.verdict(row);
        if self.rng.bool() {
            self.scheduler.on_head(ticket, 200, &RateSignals::default(), None, self.now);
        }
        match self.scheduler.on_end(ticket, verdict, self.now) {
            Next::Finished(outcome) => {
                assert_eq!(outcome.job.id.0, row);
                assert!(!outcome.attempts.is_empty());
                self.end(row, Ended::Finished);
            }
            Next::More { .. } | Next::NoRow => panic!("it is a row, and no policy asks for more"),
            Next::Again { .. } => assert!(self.scheduler.halted().is_none(), "no row is queued after a halt"),
            Next::Pending(planned) => {
                assert_eq!(planned.job.id.0, row);
                self.end(row, Ended::Pending);
            }
        }
    }

    fn finish_canary(&mut self, ticket: Ticket) {
        let row = self.rng.usize(0..self.tries.len()) as u64;
        let verdict = self.verdict(row);
        let next = self.scheduler.on_end(ticket, verdict, self.now);
        assert!(matches!(next, Next::NoRow), "{next:?}");
    }

    fn verdict(&mut self, row: u64) -> Verdict {
        let failure = Failure { status: Some(500), ..Failure::default() };
        if self.rng.f64() >= self.share_of_faults {
            let usage = Usage {
                input_tokens: self.rng.u64(1..4_000),
                output_tokens: self.rng.u64(1..2_000),
                ..Usage::default()
            };
            let json = Bytes::from_static(b"{}");
            return Verdict::Answered(Message { json, usage, quality: Quality::Ok, content: 0..0 });
        }
        self.tries[row as usize] += 1;
        match self.rng.u8(0..7) {
            0 | 1 => Verdict::Transient {
                class: ErrorClass::Server,
                retry_after: None,
                maybe_paid: self.rng.bool(),
                failure,
            },
            2 => Verdict::Overloaded { retry_after: None, maybe_paid: false, failure },
            3 | 4 => {
                let wait = Duration::from_secs(self.rng.u64(1..200));
                let pool = self.pool_of_row[row as usize];
                let held = self.held_until.entry(pool).or_default();
                *held = (*held).max(self.now + wait);
                Verdict::Limited { kind: LimitKind::Rate, retry_after: Some(wait), failure }
            }
            5 => Verdict::Limited { kind: LimitKind::Concurrency, retry_after: None, failure },
            _ => Verdict::Rejected { class: ErrorClass::InvalidRequest, failure },
        }
    }

    fn end(&mut self, row: u64, ended: Ended) {
        assert!(self.ended.insert(row, ended).is_none(), "row {row} ends twice");
    }
}
