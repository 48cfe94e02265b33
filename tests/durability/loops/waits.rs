//! Checks that a run waits as long as servers tell it to wait. Some runs get all valid forms of `retry-after`, some get
//! values of `retry-after` that make no sense, and some have an outage.

use std::time::Duration;

use claude_batch::domain::RateLimits;
use claude_batch::scheduler::Window;
use claude_batch::sim::config::{OutputLengths, SimConfig};
use claude_batch::sim::faults::FaultPlan;
use claude_batch::sim::presets;

use super::judged::{Judgement, run};
use super::{Seen, Size};
use crate::support;

const TIER_2: RateLimits = RateLimits::new(1_000, 450_000, 90_000);

/// Values of `retry-after` that make no sense.
pub const NONSENSE: [&str; 14] = [
    "soon",
    "-5",
    "",
    "1e999",
    "NaN",
    "inf",
    "0",
    "99999999999999999999",
    "Wed, 99 Foo 2026 10:00:00 GMT",
    "1,2",
    "0x10",
    "1 minute",
    "Thu, 01 Jan 1970 00:00:00 GMT",
    "٣",
];

fn sim(limits: RateLimits, faults: &str) -> SimConfig {
    let faults = FaultPlan::parse(faults, "faults.json").expect("the plan is well-formed");
    SimConfig::new(presets::models()).with_limits(limits).with_lengths(OutputLengths::fixed(20)).with_faults(faults)
}

/// Plays a run in which refusals say how long to wait: as a number, a decimal number, milliseconds or a date.
pub fn told(rows: u64) -> Judgement {
    let faults = r#"{"seed":5,"rules":[
        {"status":429,"share":0.08,"draw":"attempt","retry_after":"3"},
        {"status":429,"share":0.08,"draw":"attempt","retry_after":"0.75"},
        {"status":429,"share":0.08,"draw":"attempt","retry_after":null,"retry_after_ms":1250},
        {"status":429,"share":0.08,"draw":"attempt","retry_after":{"date":"5s"}},
        {"status":429,"share":0.08,"draw":"attempt","retry_after":"1","retry_after_ms":4000}]}"#;
    run(sim(RateLimits::NONE, faults), || support::config(RateLimits::NONE, Window::fixed(32), 1), rows)
}

/// Plays a run in which refusals have a `retry-after` header. The header has the nonsensical value `value`.
pub fn nonsense(value: &str) -> Judgement {
    let faults =
        format!(r#"{{"seed":5,"rules":[{{"status":429,"share":0.3,"draw":"attempt","retry_after":{value:?}}}]}}"#);
    run(sim(TIER_2, &faults), || support::config(TIER_2, Window::auto(1000), 1), 60)
}

/// Asserts that no value in [`NONSENSE`] stops a run or makes the run hang.
pub fn assert_nonsense_is_survived() {
    for value in NONSENSE {
        let run = nonsense(value);
        assert_eq!(run.ledger.answered.len(), 60, "{value:?}: {:?}", run.finish);
        assert!(run.longest_silence <= Duration::from_secs(66), "{value:?}: {:?}", run.longest_silence);
    }
}

/// The measures of a run with an outage.
#[derive(Clone, Copy, Debug)]
pub struct Outage {
    /// The number of requests per minute during the outage, divided by the number before the outage. The first half
    /// minute of the outage is left out.
    pub rate: f64,
    /// The number of requests per row, over the whole run.
    pub amplification: f64,
    /// The seconds from the end of the outage until the rate reaches nine tenths of its value before the outage. The
    /// rate is measured over ten seconds.
    pub back_after_s: u64,
    /// The number of requests that were refused because of a limit.
    pub refused: u64,
    /// The number of rows that got no answer.
    pub lost: u64,
}

const FROM: u64 = 120;
const UNTIL: u64 = 720;

/// Plays a run with an outage of ten minutes, in which every request fails with this status.
pub fn outage(status: u16) -> Outage {
    const ROWS: u64 = 9_000;
    let faults = format!(r#"{{"rules":[{{"status":{status},"from":"{FROM}s","until":"{UNTIL}s"}}]}}"#);
    let run = run(sim(TIER_2, &faults), || support::config(TIER_2, Window::auto(1000), 1), ROWS);
    let sent = |from: u64, until: u64| run.seen.sent_in.range(from..until).map(|(_, count)| count).sum::<u64>() as f64;
    let before = sent(60, FROM) / 60.0;
    let during = sent(FROM + 30, UNTIL) / (UNTIL - FROM - 30) as f64;
    let is_back = |after: &u64| sent(UNTIL + after, UNTIL + after + 10) / 10.0 >= 0.9 * before;
    Outage {
        rate: during / before,
        amplification: run.seen.sent as f64 / ROWS as f64,
        back_after_s: (0..600).find(is_back).unwrap_or(u64::MAX),
        refused: run.books.refused_total(),
        lost: ROWS - run.ledger.answered.len() as u64,
    }
}

/// Runs this loop. Returns the results as lines for `benches/DURABILITY.md`.
pub fn page(size: Size) -> Vec<Seen> {
    let told = told(size.pick(2_000, 20_000));
    assert_eq!((told.seen.early, told.stats.failed_total(), told.finish.pending), (0, 0, 0));
    assert_nonsense_is_survived();
    let outages = [500, 529, 503].map(|status| (status, outage(status)));
    let shown = outages.map(|(status, outage)| {
        format!(
            "{status}: rate {:.1} %, amplification {:.3}, 90 % again after {} s, {} refused, {} lost",
            100.0 * outage.rate,
            outage.amplification,
            outage.back_after_s,
            outage.refused,
            outage.lost
        )
    });
    vec![
        Seen::new(
            "`retry-after`",
            "0 of 10,000 requests are sent too early; 12 nonsense values do no harm",
            format!(
                "{} of {} requests too early; {} nonsense values did no harm",
                told.seen.early,
                told.seen.told,
                NONSENSE.len()
            ),
        ),
        Seen::new(
            "outage of 10 virtual minutes",
            "the rate falls to 10 % or less within 30 s, at most 1.1 requests per row (amplification), 90 % of the \
             rate again within 60 s",
            shown.join("; "),
        ),
    ]
}
