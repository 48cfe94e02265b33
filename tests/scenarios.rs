//! Behaviours of whole runs, on virtual time: the real loop and scheduler against the simulated API.

mod support;

use std::time::Duration;

use claude_batch::domain::{HaltReason, RateLimits, Usage};
use claude_batch::runner::Interrupt;
use claude_batch::scheduler::Window;
use claude_batch::sim::config::{Burst, Keys, OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;
use claude_batch::sim::transport::lock;
use support::whole::{Whole, WholeRow, refused, whole_run};

const HAIKU: &str = "claude-haiku-4-5";
const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

/// What a load is made of: rows of one kind, or a cycle of kinds.
struct Load {
    name: &'static str,
    words: &'static [usize],
    output: u32,
}

const LOADS: [Load; 4] = [
    Load { name: "request-bound", words: &[20], output: 20 },
    Load { name: "input-bound", words: &[1_000], output: 20 },
    Load { name: "output-bound", words: &[20], output: 300 },
    Load { name: "mixed", words: &[20, 1_200, 60, 250, 15, 900], output: 85 },
];

fn rows(count: usize, words: &[usize]) -> Vec<WholeRow> {
    let row = |words: usize| WholeRow { model: HAIKU, words, max_tokens: 1024, estimate: words as u32 + 10 };
    (0..count).map(|at| row(words[at % words.len()])).collect()
}

fn sim(burst: Burst, output: u32) -> SimConfig {
    SimConfig::new(presets::models()).with_limits(TIER_2).with_burst(burst).with_lengths(OutputLengths::fixed(output))
}

fn run_at_tier_2(sim: SimConfig, rows: Vec<WholeRow>) -> Whole {
    whole_run(sim, || support::config(TIER_2, Window::auto(1000), 1), rows, |_| {})
}

/// The shortest time in which limits with such a burst let this through.
fn bound(rows: usize, usage: Usage, burst: Duration) -> f64 {
    let needs = [
        (rows as f64, 1_000.0),
        (usage.limited_input_tokens() as f64, 450_000.0),
        (usage.output_tokens as f64, 90_000.0),
    ];
    let time = |(total, limit): (f64, f64)| (total * 60.0 / limit) - burst.as_secs_f64();
    needs.into_iter().map(time).fold(0.0, f64::max)
}

fn assert_at_the_limit(load: &Load, burst: Duration) {
    const ROWS: usize = 20_000;
    let whole = run_at_tier_2(sim(Burst::Time(burst), load.output), rows(ROWS, load.words));

    assert_eq!(whole.ledger.answered.len(), ROWS, "{}", load.name);
    let billed = lock(&whole.model).books().billed;
    let ratio = whole.elapsed.as_secs_f64() / bound(ROWS, billed, burst);
    let refused = refused(&whole);
    eprintln!("{}, server burst of {burst:?}: {ratio:.4} of the bound, {refused} refused", load.name);
    assert!((0.999..=1.05).contains(&ratio), "{}: {ratio:.4} of the bound", load.name);
    assert!(refused <= ROWS as u64 / 1_000, "{}: {refused} of {ROWS} refused", load.name);
}

#[test]
fn twenty_thousand_rows_run_at_the_limit_when_a_minute_can_be_used_at_once() {
    LOADS.iter().for_each(|load| assert_at_the_limit(load, Duration::from_secs(60)));
}

#[test]
fn twenty_thousand_rows_run_at_the_limit_when_only_five_seconds_can_be_used_at_once() {
    LOADS.iter().for_each(|load| assert_at_the_limit(load, Duration::from_secs(5)));
}

#[test]
fn a_short_file_does_not_wait_for_a_burst_that_the_server_has() {
    let whole = run_at_tier_2(sim(Burst::Minute, 20), rows(200, &[20]));

    assert_eq!(whole.ledger.answered.len(), 200);
    assert!(whole.elapsed < Duration::from_secs(8), "{:?}", whole.elapsed);
    assert_eq!(refused(&whole), 0);
}

#[test]
fn random_faults_lose_no_row() {
    let faults = r#"{"seed":3,"rules":[{"status":500,"share":0.07,"draw":"attempt"},{"status":529,"share":0.06,"draw":"attempt"}]}"#;
    let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");

    let whole = run_at_tier_2(sim(Burst::Minute, 20).with_faults(faults), rows(400, &[20]));

    assert_eq!(whole.ledger.answered.len(), 400);
    assert!(whole.sent <= 520, "{} requests for 400 rows", whole.sent);
}

#[test]
fn a_wrong_key_stops_the_run_with_every_row_pending_and_none_written() {
    let mut sim = sim(Burst::Minute, 20);
    sim.keys = Keys::None;

    let whole = run_at_tier_2(sim, rows(500, &[20]));

    assert!(matches!(whole.finish.halted, Some(HaltReason::Key(_))), "{:?}", whole.finish.halted);
    assert!(whole.ledger.answered.is_empty() && whole.ledger.failed.is_empty());
    assert!(whole.sent <= 16, "{} requests were sent", whole.sent);
    assert!(whole.elapsed < Duration::from_secs(1));
}

#[test]
fn an_interrupt_lets_what_is_in_flight_finish_and_starts_nothing_more() {
    let whole = whole_run(
        sim(Burst::Minute, 200),
        || support::config(TIER_2, Window::auto(1000), 1),
        rows(2_000, &[20]),
        |interrupts| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(3)).await;
                interrupts.send(Interrupt::End(2)).await.expect("the run listens");
            });
        },
    );

    let answered = whole.ledger.answered.len();
    assert_eq!(whole.finish.halted, Some(HaltReason::Signal(2)));
    assert!(answered > 0 && answered < 2_000);
    assert_eq!(answered as u64, whole.sent, "every request that was sent is answered and written");
    assert_eq!(whole.finish.aborted, 0);
}

#[test]
fn a_second_interrupt_cuts_off_what_is_in_flight_and_counts_it() {
    let whole = whole_run(
        sim(Burst::Minute, 1_000),
        || support::config(TIER_2, Window::auto(1000), 1),
        rows(500, &[20]),
        |interrupts| {
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_secs(2)).await;
                for _ in 0..2 {
                    interrupts.send(Interrupt::End(2)).await.expect("the run listens");
                }
            });
        },
    );

    assert!(whole.finish.aborted > 0);
    assert_eq!(whole.finish.aborted + whole.ledger.answered.len() as u64, whole.sent);
    assert!(whole.elapsed < Duration::from_secs(3), "{:?}", whole.elapsed);
}
