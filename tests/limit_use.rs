//! Tests that the run reports each moment at which the used share of a limit crosses 80 % or 95 %. The runs use virtual
//! time.

mod support;

use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::limiter::Headroom;
use claude_batch::scheduler::{Config, Window};
use claude_batch::sim::config::{Burst, OutputLengths, SimConfig};
use claude_batch::sim::presets;
use serde_json::Value;
use support::whole::{WholeRow, whole_run_in_json};

const LIMITS: RateLimits = RateLimits::new(200, 450_000, 90_000);

#[test]
fn a_run_crosses_each_threshold_below_its_use_exactly_once() {
    for (headroom, expected) in [(0.40, &[][..]), (0.15, &[80]), (0.03, &[80, 95])] {
        for seed in 1..=20 {
            let burst = if seed % 2 == 0 { Burst::Minute } else { Burst::Time(Duration::from_secs(3)) };

            let crossed = crossings(burst, headroom, seed);

            let up: Vec<u64> = crossed.iter().filter(|line| line["above"] == true).map(threshold).collect();
            assert_eq!(up, expected, "headroom {headroom}, seed {seed}, {burst:?}: {crossed:?}");
            assert!(crossed.iter().all(|line| line["dimension"] == "requests"), "{crossed:?}");
        }
    }
}

fn threshold(line: &Value) -> u64 {
    (line["threshold"].as_f64().expect("a number") * 100.0).round() as u64
}

/// Runs rows for about eight minutes. The share `headroom` of the limits stays unused. Returns the crossings of 80 %
/// and 95 % that the run reported.
fn crossings(burst: Burst, headroom: f64, seed: u64) -> Vec<Value> {
    let words = 15 + seed as usize % 10;
    let row = WholeRow { model: "claude-haiku-4-5", words, max_tokens: 64, estimate: words as u32 + 10 };
    let lengths = OutputLengths::fixed(20);
    let sim = SimConfig::new(presets::models()).with_limits(LIMITS).with_burst(burst).with_lengths(lengths);
    let config = || Config { headroom: Headroom::Fixed(headroom), ..support::config(LIMITS, Window::auto(1000), seed) };
    let count = (200.0 * 8.0 * (1.0 - headroom)) as usize;

    let (whole, lines) = whole_run_in_json(sim, config, &vec![row; count]);

    assert_eq!(whole.ledger.answered.len(), count);
    lines.into_iter().filter(|line| line["type"] == "crossed").collect()
}
