//! Tests what happens if a run on virtual time gets orders at random moments.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use claude_batch::domain::{HaltReason, RateLimits, SteeredBy};
use claude_batch::limiter::Headroom;
use claude_batch::runner::{Applied, Interrupt, Order, Steer};
use claude_batch::scheduler::{Steering, Window};
use claude_batch::sim::config::{Latency, OutputLengths, SimConfig};
use claude_batch::sim::presets;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::support;
use crate::support::whole::{Whole, WholeRow, whole_run};

const ROWS: usize = 60;
const LIMITS: RateLimits = RateLimits::new(600, 450_000, 90_000);
/// The longest allowed time until an order takes effect.
const SOON: Duration = Duration::from_secs(1);

/// The orders that a run got, and how they took effect.
#[derive(Debug, Default)]
struct Seen {
    orders: u32,
    applied: u32,
    /// The number of orders that came when the run was ending or had ended.
    late: u32,
    longest: Duration,
    /// Whether the run was stopped by one of the orders that it got.
    was_stopped: bool,
}

#[test]
fn in_two_hundred_runs_that_are_steered_at_random_moments_no_row_is_lost_and_every_order_is_applied() {
    let mut all = Seen::default();
    for seed in 0..200 {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (orders, ends) = (seen.clone(), seed % 2 == 0);

        let whole = run(|interrupts| {
            tokio::spawn(meddle(interrupts, fastrand::Rng::with_seed(seed), ends, orders));
        });

        let answered: BTreeSet<_> = whole.ledger.answered.iter().collect();
        assert_eq!(answered.len(), whole.ledger.answered.len(), "seed {seed}: a row has two lines");
        assert_eq!(whole.ledger.failed, [], "seed {seed}");
        assert_eq!(answered.len() as u64 + whole.finish.pending, ROWS as u64, "seed {seed}: a row is lost");
        let is_ended = matches!(whole.finish.halted, Some(HaltReason::Ctl { .. }));
        assert!(is_ended || answered.len() == ROWS, "seed {seed}: {:?}", whole.finish.halted);
        let seen = seen.lock().expect("nobody panics");
        if !seen.was_stopped {
            assert_eq!(whole.finish.aborted, 0, "seed {seed}: a drain waits for the requests in flight");
        }
        assert_eq!(seen.applied + seen.late, seen.orders, "seed {seed}: {seen:?}");
        assert!(seen.longest <= SOON, "seed {seed}: {seen:?}");
        all.applied += seen.applied;
    }
    assert!(all.applied > 600, "{all:?}");
}

#[test]
fn while_a_run_is_paused_nothing_is_sent_and_then_it_finishes() {
    let whole = run(|interrupts| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            give(&interrupts, Order::Pause).await.expect("it is applied");
            tokio::time::sleep(Duration::from_secs(3_600)).await;
            give(&interrupts, Order::Resume).await.expect("it is applied");
        });
    });

    assert_eq!(whole.ledger.answered.len(), ROWS);
    assert!((3_600..3_660).contains(&whole.elapsed.as_secs()), "{:?}", whole.elapsed);
}

#[test]
fn a_paused_run_can_be_drained() {
    let whole = run(|interrupts| {
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            give(&interrupts, Order::Pause).await.expect("it is applied");
            tokio::time::sleep(Duration::from_secs(60)).await;
            give(&interrupts, Order::Drain).await.expect("it is applied");
        });
    });

    assert_eq!(whole.finish.halted, Some(HaltReason::Ctl { is_drain: true }));
    assert!(whole.finish.pending > 0 && !whole.ledger.answered.is_empty());
    assert_eq!(whole.ledger.answered.len() as u64 + whole.finish.pending, ROWS as u64);
}

fn run(meddle: impl FnOnce(mpsc::Sender<Interrupt>)) -> Whole {
    let latency = Latency { first_token: Duration::from_millis(1_500), jitter: 0.4, ..Latency::ZERO };
    let sim = SimConfig::new(presets::models())
        .with_limits(LIMITS)
        .with_latency(latency)
        .with_lengths(OutputLengths::fixed(20));
    let row = WholeRow { model: "claude-haiku-4-5", words: 5, max_tokens: 64, estimate: 15 };
    whole_run(sim, || support::config(LIMITS, Window::fixed(4), 1), vec![row; ROWS], meddle)
}

/// Gives orders at random moments. If `ends` is true, some of the orders can end the run. The last order resumes the
/// run.
async fn meddle(interrupts: mpsc::Sender<Interrupt>, mut rng: fastrand::Rng, ends: bool, seen: Arc<Mutex<Seen>>) {
    for _ in 0..rng.u32(3..12) {
        tokio::time::sleep(Duration::from_millis(rng.u64(0..1_500))).await;
        let order = match rng.u8(0..8) {
            0 | 1 => Order::Pause,
            2 | 3 => Order::Resume,
            4 if ends => Order::Drain,
            5 if ends => Order::Stop,
            _ => Order::Set(Box::new(steering(&mut rng))),
        };
        note(&interrupts, order, &seen).await;
    }
    note(&interrupts, Order::Resume, &seen).await;
}

async fn note(interrupts: &mpsc::Sender<Interrupt>, order: Order, seen: &Mutex<Seen>) {
    let (begin, is_stop) = (Instant::now(), matches!(order, Order::Stop));
    let result = give(interrupts, order).await;
    let mut seen = seen.lock().expect("nobody panics");
    seen.orders += 1;
    seen.was_stopped |= is_stop && result.is_ok();
    match result {
        Ok(_) => seen.applied += 1,
        Err(_) => seen.late += 1,
    }
    seen.longest = seen.longest.max(begin.elapsed());
}

/// Sends an order to the run, and waits for the result.
async fn give(interrupts: &mpsc::Sender<Interrupt>, order: Order) -> Result<String, String> {
    let (result_in, result) = oneshot::channel();
    let applied = Applied::tell(move |told| result_in.send(told).expect("somebody waits"));
    let steer = Steer { order, by: SteeredBy::Ctl, message: "changed".to_owned(), applied };
    let ended = |_| "the run has ended".to_owned();
    interrupts.send(Interrupt::Steer(steer)).await.map_err(|error| error.to_string())?;
    result.await.map_err(ended)?
}

fn steering(rng: &mut fastrand::Rng) -> Steering {
    let preset = RateLimits::new(rng.u32(300..3_000), 450_000, 90_000);
    Steering {
        limits_of: Box::new(move |_| preset),
        by_hand: RateLimits { rpm: rng.bool().then(|| rng.u32(300..3_000)), ..RateLimits::NONE },
        headroom: if rng.bool() { Headroom::Auto } else { Headroom::Fixed(rng.f64() * 0.9) },
        window: if rng.bool() { Window::auto(rng.usize(1..50)) } else { Window::fixed(rng.usize(1..50)) },
        max_cost: None,
        max_requests: None,
        max_time: None,
    }
}
