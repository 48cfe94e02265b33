//! Plays random whole runs of the scheduler on virtual time. After every event, the tests check the invariants that the
//! module doc of the scheduler lists.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use claude_batch::clock::Instant;
use claude_batch::domain::{ErrorClass, Failure, LimitKind, Money, Planned, RateLimits, Verdict};
use claude_batch::scheduler::{Budget, Config, HaltRule, Window};

use support::player::{Player, World, answer, fault, for_each_seed};

const SEEDS: u64 = 3_000;
/// The budget, for the runs that have one. Some runs end because this budget is used up.
const BUDGET: u128 = 20_000;
const POOLS: [&str; 2] = ["haiku-4.5", "opus-4.x"];

/// One endpoint with two pools (groups of models that share limits). At random, the endpoint rejects requests or fails.
struct OneEndpoint {
    held_until: BTreeMap<String, Instant>,
    pool_of_row: BTreeMap<u64, String>,
    share_of_faults: f64,
}

#[test]
fn random_runs_keep_every_invariant() {
    for_each_seed(SEEDS, run);
}

fn run(seed: u64) {
    let mut rng = fastrand::Rng::with_seed(seed);
    let rows = rng.u64(1..120);
    let window = rng.usize(1..20);
    let (config, has_budget) = random_config(window, seed, &mut rng);
    let world = OneEndpoint {
        held_until: BTreeMap::new(),
        pool_of_row: BTreeMap::new(),
        share_of_faults: [0.0, 0.1, 0.4][rng.usize(0..3)],
    };
    let mut player = Player::new(config, world, Duration::from_secs(5), rng);
    for row in 0..rows {
        let rng = &mut player.rng;
        let planned = support::planned(row, POOLS[rng.usize(0..POOLS.len())], rng.u32(1..3_000), rng.u32(1..2_000));
        player.scheduler.offer(planned, Instant::ZERO);
    }
    player.scheduler.close_input();
    let halt_at = player.rng.bool().then(|| player.rng.u64(1..2 * rows));

    player.play(halt_at);

    let (scheduler, finished, pending) = (&player.scheduler, player.finished.len(), player.pending.len());
    assert_eq!((finished + pending) as u64, rows, "every row ends");
    assert!(player.most_in_flight <= window, "the window of {window} is exceeded: {}", player.most_in_flight);
    assert_eq!(scheduler.max_in_flight(), player.most_in_flight);
    assert!(!has_budget || scheduler.spent() <= Money(BUDGET), "{:?} of {BUDGET} are spent", scheduler.spent());
    assert!(pending == 0 || scheduler.halted().is_some(), "only a halted run leaves rows pending");
}

/// Returns random settings, and whether they have a budget.
fn random_config(window: usize, seed: u64, rng: &mut fastrand::Rng) -> (Config, bool) {
    let limits = match rng.u8(0..3) {
        0 => RateLimits::NONE,
        1 => RateLimits::new(rng.u32(10..600), 1_000_000, 1_000_000),
        _ => RateLimits::new(1_000, rng.u32(2_000..200_000), rng.u32(1_000..50_000)),
    };
    let mut config = support::config(limits, Window::fixed(window), seed);
    config.halt = HaltRule::Never;
    let has_budget = rng.u8(0..4) == 0;
    if has_budget {
        config.real_cost = Box::new(|_, usage| Some(Money(u128::from(usage.output_tokens.min(1)))));
        config.budget = Budget::new(Some(Money(BUDGET)), None, None, Money::ZERO);
    }
    (config, has_budget)
}

impl World for OneEndpoint {
    fn on_sent(&mut self, planned: &Planned, now: Instant) {
        let pool = planned.ask.pool.class.0.to_string();
        let held = self.held_until.get(&pool).copied().unwrap_or_default();
        assert!(now >= held, "pool {pool} is held until {held:?}, sent at {now:?}");
        self.pool_of_row.insert(planned.job.id.0, pool);
    }

    fn verdict(&mut self, row: Option<u64>, rng: &mut fastrand::Rng, now: Instant) -> Verdict {
        if rng.f64() >= self.share_of_faults {
            return answer(rng.u64(1..4_000), rng.u64(1..2_000));
        }
        let failure = Failure { status: Some(500), ..Failure::default() };
        match rng.u8(0..7) {
            0 | 1 => fault(rng.bool()),
            2 => Verdict::Overloaded { retry_after: None, maybe_paid: false, failure },
            3 | 4 => {
                let wait = Duration::from_secs(rng.u64(1..200));
                if let Some(pool) = row.and_then(|row| self.pool_of_row.get(&row)) {
                    let held = self.held_until.entry(pool.clone()).or_default();
                    *held = (*held).max(now + wait);
                }
                Verdict::Limited { kind: LimitKind::Rate, retry_after: Some(wait), failure }
            }
            5 => Verdict::Limited { kind: LimitKind::Concurrency, retry_after: None, failure },
            _ => Verdict::Rejected { class: ErrorClass::InvalidRequest, failure },
        }
    }
}
