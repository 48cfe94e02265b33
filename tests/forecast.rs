//! Compares forecasts with the real cost and time. `benches/plan` makes this comparison for more and larger workloads.

mod support;

use claude_batch::domain::Money;
use support::workload::{Known, Workload, width};

/// Workloads that the real loop runs within a second or two.
const SEEDS: [u64; 3] = [5, 16, 21];
const MOST_ROWS: usize = 250;

#[test]
fn cost_and_time_are_within_their_intervals() {
    for seed in SEEDS {
        let workload = Workload::new(seed, MOST_ROWS);

        let (known, blind, truth) = (workload.plan(Known::Answers), workload.plan(Known::Nothing), workload.truth());

        let (cost, at_most) = (known.totals.cost.expect("a price"), known.totals.at_most.expect("a price"));
        let blind_cost = blind.totals.cost.expect("a price");
        let words = &workload.words;
        assert!(cost.contains(truth.cost), "{words}: {} is not in {cost:?}", truth.cost);
        assert!(width(cost.map(Money::dollars)) <= 0.15, "{words}: {cost:?}");
        assert!(truth.cost <= at_most, "{words}: {} is above {at_most}", truth.cost);
        assert!(blind_cost.contains(truth.cost), "{words}: {} is not in {blind_cost:?}", truth.cost);
        assert!(blind.time.time.contains(truth.time), "{words}: {:?} is not in {:?}", truth.time, blind.time);
    }
}
